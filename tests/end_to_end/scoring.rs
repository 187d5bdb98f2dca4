//! Files that agents wrote are scored by a process of their own.

use synth_core::{DataFile, Fingerprint, Metric, Predictions, Rewarding};
use synth_score::{Scorer, score_predictions};

use crate::support::{Place, part_rows};

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

#[test]
fn files_of_agents_are_scored_for_a_task_of_a_run() {
    let place = Place::small();
    place.run().args(&["--until", "prepare"]).succeed();
    let task = std::fs::read_dir(place.run_folder().join("03-prepare"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            name.starts_with("part-")
        })
        .flat_map(|path| part_rows(&path))
        .filter_map(|row| row.record)
        .find(|task| task["verifier"]["type"] == "predictions")
        .unwrap();
    let id = task["id"].as_str().unwrap();
    let truth: Fingerprint =
        serde_json::from_value(task["verifier"]["truth"]["blake3"].clone()).unwrap();
    let blobs = synth_pipeline::Blobs::open(&place.output().join("store")).unwrap();
    let truth = blobs.read(truth).unwrap();
    place.write("work/files/a.csv", std::str::from_utf8(&truth).unwrap());
    place.write("work/files/b.csv", "half a fi");

    let begin = &id[..id.len() - 2];
    let scored = place
        .synth(&["score", "--task", begin, "--prediction", "files"])
        .succeed();
    let lines: Vec<serde_json::Value> = scored
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 2, "{}", scored.stdout);
    assert_eq!(
        (&lines[0]["task_id"], &lines[0]["reward"]),
        (&task["id"], &1.0.into())
    );
    assert_eq!(lines[1]["reward"], 0.0);
    assert!(lines[1]["reason"].as_str().unwrap().contains("is missing"));

    for (arguments, code) in [
        (
            &["score", "--task", "tsk_none", "--prediction", "files"][..],
            2,
        ),
        (&["score", "--task", id, "--prediction", "nowhere"], 8),
        (&["score", "--task", id], 2),
        (&["score"], 2),
    ] {
        assert_eq!(place.synth(arguments).run().code, code, "{arguments:?}");
    }
}

#[test]
fn cases_of_dare_bench_are_scored_line_by_line() {
    let place = Place::empty();
    place.write(
        "work/dare/m.json",
        r#"{"question": {"target": "y", "problem_type": "classification"}}"#,
    );
    place.write("work/dare/gt.csv", "row_id,y\n1,a\n2,b\n");
    place.write("work/dare/twice.csv", "row_id,y\n1,a\n1,a\n");
    let case = |id: &str, prediction: &str| {
        format!(
            r#"{{"case_id": "{id}", "version": "v2", "metadata": "m.json", "gt": "gt.csv", "prediction": "{prediction}", "more": 1}}"#
        )
    };
    let good = [
        case("right", "gt.csv"),
        case("twice", "twice.csv"),
        String::new(),
        case("absent", "no.csv"),
    ]
    .join("\n");
    place.write("work/dare/cases.jsonl", &good);
    let scored = place
        .synth(&["score", "--dare", "dare/cases.jsonl"])
        .succeed();
    assert_eq!(
        scored.stdout,
        "{\"case_id\":\"right\",\"reason\":\"macro_f1 1.0000 over 2 rows\",\"score\":1.0}\n\
         {\"case_id\":\"twice\",\"reason\":\"key `1` stands there twice\",\"score\":0.0}\n\
         {\"case_id\":\"absent\",\"reason\":\"no prediction file\",\"score\":0.0}\n"
    );
    let bad = [
        case("right", "gt.csv"),
        "{\"case_id\": \"odd\"}".to_owned(),
        case("gone", "gt.csv").replace("m.json", "none.json"),
    ]
    .join("\n");
    place.write("work/dare/cases.jsonl", &bad);
    let ended = place.synth(&["score", "--dare", "dare/cases.jsonl"]).run();
    assert_eq!(ended.code, 1);
    assert!(
        ended.stderr.contains("2 of 3 lines have no score"),
        "{}",
        ended.stderr
    );
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert!(
        lines[1].contains("\"case_id\":\"odd\"") && lines[1].contains("\"line\":2"),
        "{}",
        lines[1]
    );
    assert!(
        lines[2].contains("failed to read `none.json`"),
        "{}",
        lines[2]
    );
    assert_eq!(
        place
            .synth(&["score", "--dare", "dare/none.jsonl"])
            .run()
            .code,
        8
    );
}
