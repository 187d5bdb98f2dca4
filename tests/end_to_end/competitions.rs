//! Competitions from a list to tasks, against a fixture of Kaggle: each kind of metric becomes a task that only the hidden
//! answers win, and no file that agents may read holds them.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;
use synth_core::{Rewarding, Task, TaskKind, Verifier};
use synth_fixtures::world::World;
use synth_fixtures::{Fixture, TOKEN};
use synth_pipeline::Blobs;
use synth_score::score_predictions;

use crate::support::{Place, part_rows};

/// Slug, metric, and how rows are held back.
const EXPECTED: [(&str, &str, &str); 13] = [
    ("shells-and-snails", "accuracy", "stratified"),
    ("orchard-harvest", "rmse", "random"),
    ("workshop-prices", "rmsle", "random"),
    ("ferry-delays", "auc", "stratified"),
    ("mushroom-outcomes", "multiclass_log_loss", "stratified"),
    ("soil-quality", "quadratic_weighted_kappa", "stratified"),
    ("fever-ranking", "map@3", "stratified"),
    ("bakery-sales", "smape", "time"),
    ("breath-pressure", "mae", "group"),
    ("kiln-defects", "auc", "stratified"),
    ("hillside-blooms", "f1", "stratified"),
    ("village-cup", "log_loss", "stratified"),
    ("zipped-alone", "accuracy", "stratified"),
];
/// Slug, and why there is no task.
const REFUSED: [(&str, &str); 3] = [
    ("no-sample", "no_sample_submission"),
    ("one-class", "constant_target"),
    ("one-column", "no_shared_columns"),
];

#[test]
fn the_fixtures_competitions_become_tasks_that_only_their_hidden_answers_win() {
    let slugs: Vec<String> = EXPECTED
        .iter()
        .map(|(slug, ..)| *slug)
        .chain(REFUSED.iter().map(|(slug, _)| *slug))
        .map(|slug| format!("\"{slug}\""))
        .collect();
    let fixture = Fixture::start(World::small());
    let place = Place::of(
        None,
        &format!(
            "[sources.competitions]\nkind = \"kaggle_competitions\"\nslugs = [{}]\n",
            slugs.join(", ")
        ),
    );
    // What the filter would leave out for their data is let through, to see what a preparation says of it.
    let ended = place
        .run()
        .args(&["--until", "prepare"])
        .set("kaggle.host", fixture.api_url())
        .set("kaggle.requests_per_minute", "0")
        .set("kaggle.min_free_bytes", "0")
        .set("filter.min_columns", "1")
        .set("filter.competitions.csv_submissions", "false")
        .set("filter.competitions.judge", "false")
        .env("KAGGLE_API_TOKEN", TOKEN)
        .env("HOME", place.folder().to_str().unwrap())
        .succeed();
    let tasks = tasks(&place.run_folder().join("03-prepare"));
    let blobs = Blobs::open(&place.output().join("store")).unwrap();
    for (slug, metric, grading) in EXPECTED {
        let task = tasks
            .get(slug)
            .unwrap_or_else(|| panic!("no task of {slug}: {}", ended.account()));
        let Some(Verifier::Predictions(rule)) = &task.verifier else {
            panic!("{slug}: {:?}", task.verifier);
        };
        assert_eq!(
            (
                rule.metric.to_string().as_str(),
                task.checks.grading.as_deref()
            ),
            (metric, Some(grading)),
            "{slug}"
        );
        let truth = blobs.read(rule.truth.blake3).unwrap();
        let board = match &rule.reward {
            Rewarding::Standing { leaderboard } => Some(blobs.read(leaderboard.blake3).unwrap()),
            _ => None,
        };
        let perfect = score_predictions(rule, Some(&truth), &truth, board.as_deref());
        assert!(
            perfect.success && perfect.reward > 0.999,
            "{slug}: {perfect:?}"
        );
        let floor = task.checks.floor.unwrap();
        assert!(
            floor < 0.5 && (task.checks.baselines[0].reward - floor).abs() < 1e-12,
            "{slug}: {floor}"
        );
        assert_hidden(slug, task, &blobs, &truth);
    }
    for (slug, reason) in REFUSED {
        assert!(!tasks.contains_key(slug), "{slug}");
        let dropped = part_rows(&place.run_folder().join("03-prepare/dropped.parquet"));
        let row = dropped.iter().find(|row| row.id == slug);
        assert_eq!(row.map(|row| row.reason.as_str()), Some(reason), "{slug}");
    }
}

/// The competition tasks by slug.
fn tasks(folder: &Path) -> BTreeMap<String, Task> {
    let mut tasks = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if !name.starts_with("part-") {
            continue;
        }
        for row in part_rows(&path) {
            let record: Value = row.record.unwrap();
            let task: Task = serde_json::from_value(record).unwrap();
            if task.kind == TaskKind::Competition {
                tasks.insert(task.slug.clone(), task);
            }
        }
    }
    tasks
}

/// No row of a file that agents may read begins with a hidden key and ends with its answer.
fn assert_hidden(slug: &str, task: &Task, blobs: &Blobs, truth: &[u8]) {
    let truth = String::from_utf8(truth.to_vec()).unwrap();
    let hidden: BTreeMap<&str, &str> = truth
        .lines()
        .skip(1)
        .filter_map(|line| line.split_once(','))
        .collect();
    assert!(hidden.len() >= 40, "{slug}");
    let mut keys = 0;
    for file in task
        .files
        .iter()
        .filter(|file| !file.path.to_lowercase().contains("sample"))
    {
        let text = String::from_utf8(blobs.read(file.blake3).unwrap()).unwrap();
        let has_answers = file.path.to_lowercase().contains("train");
        for line in text.lines().skip(1) {
            let key = line.split(',').next().unwrap();
            let is_hidden = hidden.contains_key(key);
            keys += usize::from(is_hidden);
            assert!(
                !(is_hidden && has_answers),
                "{slug}: `{}` tells of {key}",
                file.path
            );
        }
    }
    // They stand in the table of rows to predict, without their answers.
    assert_eq!(keys, hidden.len(), "{slug}");
}
