//! The metrics beside scikit-learn, SciPy and NumPy: thousands of random cases by `reference.py`, the same value to 1e-9.
#![expect(
    clippy::print_stdout,
    reason = "a test fails by panicking and says what it skipped"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;
use synth_core::{DataFile, Fingerprint, Metric, Predictions, Rewarding};
use synth_score::score_predictions;

const SEED: &str = "20";
const CASES: usize = 5_800;

#[derive(Deserialize)]
struct Case {
    metric: Metric,
    targets: Vec<String>,
    truth: String,
    prediction: String,
    value: f64,
}

#[test]
fn every_metric_agrees_with_its_reference_on_random_cases() {
    let Some(python) = std::env::var_os("SYNTH_TEST_PYTHON") else {
        println!("skipped: SYNTH_TEST_PYTHON names no Python with scikit-learn");
        return;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reference.py");
    let output = Command::new(python)
        .arg(script)
        .args([SEED, &CASES.to_string()])
        .env("OMP_NUM_THREADS", "1")
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let case: Case = serde_json::from_str(line).unwrap();
        let score = score_predictions(
            &rule(&case),
            Some(case.prediction.as_bytes()),
            case.truth.as_bytes(),
            None,
        );
        let name = case.metric.to_string();
        let name = name.split('@').next().unwrap();
        *counts.entry(name.to_owned()).or_default() += 1;
        let allowed = 1e-9 * case.value.abs().max(1.0);
        if !score
            .value
            .is_some_and(|value| (value - case.value).abs() <= allowed)
        {
            wrong.push(format!(
                "{:?} instead of {}: {}\n{line}",
                score.value, case.value, score.reason
            ));
        }
    }
    println!("{counts:?}");
    assert_eq!(counts.values().sum::<usize>(), CASES);
    assert!(
        wrong.is_empty(),
        "{} cases differ:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(8)].join("\n")
    );
    // Of every metric there are cases.
    assert_eq!(counts.len(), 28);
}

fn rule(case: &Case) -> Predictions {
    Predictions {
        file: String::new(),
        truth: DataFile {
            path: String::new(),
            bytes: 0,
            blake3: Fingerprint::of_bytes(b""),
        },
        keys: vec!["id".into()],
        targets: case.targets.clone(),
        metric: case.metric,
        reward: Rewarding::Skill { floor: 0.5 },
        success: 1.0,
        naive_error: None,
        exact_shape: true,
    }
}
