//! Files that agents wrote are scored by a process of their own.

use synth_core::{DataFile, Fingerprint, Metric, Predictions, Rewarding};
use synth_score::{Scorer, score_predictions};

const TRUTH: &[u8] = b"id,y\n1,a\n2,b\n3,a\n";

fn rule() -> Predictions {
    Predictions {
        file: "submission.csv".into(),
        truth: DataFile {
            path: "truth.csv".into(),
            bytes: TRUTH.len() as u64,
            blake3: Fingerprint::of_bytes(TRUTH),
        },
        keys: vec!["id".into()],
        targets: vec!["y".into()],
        metric: Metric::MacroF1,
        reward: Rewarding::Value,
        success: 0.5,
        naive_error: None,
        exact_shape: false,
    }
}

fn scorer() -> Scorer {
    Scorer::Process {
        executable: env!("CARGO_BIN_EXE_synth").into(),
        arguments: vec!["score-file".into()],
    }
}

#[tokio::test]
async fn a_process_gives_the_score_that_the_function_gives() {
    let long = [b"id,y\n".as_slice(), &b"1,a\n".repeat(1 << 18)].concat();
    let predictions: [Option<&[u8]>; 6] = [
        None,
        Some(b""),
        Some(TRUTH),
        Some(b"\xef\xbb\xbfy,id\r\nb,3\r\na,2\r\na,1\r\n"),
        Some(b"\0\xff\xfe,\"\n"),
        Some(&long),
    ];
    for prediction in predictions {
        let expected = score_predictions(&rule(), prediction, TRUTH, None);
        let score = scorer()
            .score_predictions(&rule(), prediction, TRUTH, None)
            .await
            .unwrap();
        assert_eq!(score, expected);
    }
}

#[tokio::test]
async fn a_file_that_needs_too_much_memory_ends_its_process_and_scores_zero() {
    // One field of more than the process may hold, as a file of holes would give.
    let huge = vec![b'x'; 2100 << 20];
    let score = scorer()
        .score_predictions(&rule(), Some(&huge), TRUTH, None)
        .await
        .unwrap();
    assert!(!score.success && score.reward.abs() < f64::EPSILON);
    assert!(score.reason.contains("without a score"), "{}", score.reason);
}
