//! What `benches/score/run.sh` measures: DARE-bench cases in one process, or one pair of large tables. Does nothing without arguments.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement that cannot go on panics, and its figures go to standard output"
)]

use std::path::Path;
use std::time::Instant;

use synth_core::{DataFile, Fingerprint, Predictions, Rewarding};
use synth_score::dare::Case;
use synth_score::score_predictions;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["dare", cases] => dare(Path::new(cases)),
        ["tables", truth, prediction, metric] => tables(truth, prediction, metric),
        _ => {}
    }
}

/// Prints the seconds from reading the list of cases to the last score, then the scores.
fn dare(cases: &Path) {
    let started = Instant::now();
    let lines = std::fs::read_to_string(cases).unwrap();
    let folder = cases.parent().unwrap();
    let score = |line: &str| {
        let case: Case = serde_json::from_str(line).unwrap();
        case.score(folder).unwrap().reward
    };
    let scores: Vec<String> = lines.lines().map(|line| score(line).to_string()).collect();
    println!("{} {}", started.elapsed().as_secs_f64(), scores.join(" "));
}

/// Prints the reason of the score; the time and memory of the process are measured from outside.
fn tables(truth: &str, prediction: &str, metric: &str) {
    let rule = Predictions {
        file: String::new(),
        truth: DataFile {
            path: String::new(),
            bytes: 0,
            blake3: Fingerprint::of_bytes(b""),
        },
        keys: vec!["id".into()],
        targets: vec!["y".into()],
        metric: metric.parse().unwrap(),
        reward: Rewarding::Skill { floor: 0.5 },
        success: 1.0,
        naive_error: None,
        exact_shape: false,
    };
    let read = |path: &str| std::fs::read(path).unwrap();
    let score = score_predictions(&rule, Some(&read(prediction)), &read(truth), None);
    assert!(score.value.is_some(), "{}", score.reason);
    println!("{}", score.reason);
}
