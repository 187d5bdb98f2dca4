//! A published benchmark of predictions: all of its tasks are imported, held out, and no agent sees what is hidden.

use std::collections::BTreeMap;

use serde_json::Value;
use synth_core::{Score, Task, Verifier};
use synth_pipeline::Blobs;
use synth_score::score_predictions;

use crate::support::{Place, part_rows, repository, shared};

fn score(task: &Task, prediction: Option<&[u8]>, truth: &[u8]) -> Score {
    let Some(Verifier::Predictions(rule)) = &task.verifier else {
        panic!("`{}` has no truth to compare with", task.prompt);
    };
    score_predictions(rule, prediction, truth, None)
}

#[test]
fn every_task_of_a_benchmark_is_imported_and_its_truth_hidden() {
    let Some(benchmark) = shared("dare/dev_tasks") else {
        return;
    };
    let place = Place::empty();
    let config = std::fs::read_to_string(repository().join("configs/dare.toml")).unwrap();
    place.write(
        "work/synth.toml",
        &config.replace("name = \"dare\"", "name = \"small\""),
    );
    place
        .run()
        .set("sources.dare.path", benchmark.to_str().unwrap())
        .args(&["--until", "prepare"])
        .succeed();
    let tasks: Vec<Task> = part_rows(&place.run_folder().join("03-prepare/part-00000.parquet"))
        .into_iter()
        .filter_map(|row| serde_json::from_value(row.record.unwrap_or(Value::Null)).ok())
        .filter(|task: &Task| task.verifier.is_some())
        .collect();
    let store = Blobs::open(&place.output().join("store")).unwrap();
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for task in &tasks {
        *kinds.entry(task.kind.as_str()).or_default() += 1;
        assert_eq!(task.split.as_str(), "eval");
        let Some(Verifier::Predictions(rule)) = &task.verifier else {
            panic!("`{}` is no prediction", task.prompt);
        };
        let truth = store.read(rule.truth.blake3).unwrap();
        let perfect = score(task, Some(&truth), &truth);
        assert!(
            perfect.success && perfect.reward > 1.0 - 1e-9,
            "{}: {perfect:?}",
            task.slug
        );
        assert!(!score(task, None, &truth).success);
        for file in &task.files {
            assert!(!file.path.contains("no_err") && file.blake3 != rule.truth.blake3);
        }
        assert!(!task.tables.is_empty(), "{}", task.slug);
    }
    println!("{kinds:?}");
    let six = ["class_if", "class_mm", "reg_if", "reg_mm", "ts_cf", "ts_xf"];
    assert_eq!(kinds, six.map(|kind| (kind, 4)).into());
}
