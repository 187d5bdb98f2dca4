//! Competitions of every kind of metric, built by hand and prepared.

use std::fmt::Write as _;

use synth_core::{
    LeaderboardScores, Licence, Limits, Origin, Predictions, Rewarding, Score, SourceId, Split,
};
use synth_score::score_predictions;

use super::*;

/// A competition of which nothing is known but its name.
pub(super) fn source() -> Source {
    Source {
        id: SourceId::of("competition"),
        origin: Origin::Competition,
        slug: "the-contest".to_owned(),
        title: "The Contest".to_owned(),
        pages: Pages::default(),
        metric: None,
        host_segment: Some("Playground".to_owned()),
        deadline: Some("2023-05-01T00:00:00Z".to_owned()),
        accepts_submissions: Some(true),
        team_count: None,
        leaderboard: None,
        metric_is_max: None,
        kaggle: None,
        licence: Licence::default(),
        attribution: String::new(),
        tags: Vec::new(),
        files: Vec::new(),
        target: None,
        questions: Vec::new(),
        published: Vec::new(),
        held_out: false,
        fetched_at: "2024-01-01".to_owned(),
    }
}

struct World {
    _folder: tempfile::TempDir,
    work: Work,
}

fn world(metric: &str, files: &[(&str, String)]) -> World {
    let folder = tempfile::tempdir().unwrap();
    let blobs = Blobs::open(folder.path()).unwrap();
    let mut source = source();
    source.metric = Some(metric.to_owned());
    source.files = files
        .iter()
        .map(|(path, text)| stored(&blobs, path, text.as_bytes()).unwrap())
        .collect();
    let open = Task {
        id: TaskId::of("open"),
        source_id: source.id.clone(),
        slug: source.slug.clone(),
        origin: source.origin,
        kind: TaskKind::Analysis,
        files: source.files.clone(),
        tables: Vec::new(),
        context: String::new(),
        prompt: String::new(),
        constraints: String::new(),
        answer_format: String::new(),
        verifier: None,
        hidden: Vec::new(),
        design: None,
        checks: Checks::default(),
        limits: Limits {
            turns: 15,
            cell_seconds: 60,
            total_seconds: 300,
            memory_bytes: 1 << 31,
            output_bytes: 10_000,
        },
        domain: String::new(),
        keywords: Vec::new(),
        level: None,
        licence: Licence::default(),
        split: Split::Train,
        created_at: source.fetched_at.clone(),
        seed: 1,
    };
    let work = Work {
        blobs,
        config: synth_core::config::load(&[]).unwrap().prepare,
        source,
        open,
        id: TaskId::of("compete"),
        seed: 7,
    };
    World {
        _folder: folder,
        work,
    }
}

/// A table of 200 rows, each as the closure says.
fn table(header: &str, row: impl Fn(usize) -> String) -> String {
    rows(header, 0..200, row)
}

fn rows(header: &str, range: std::ops::Range<usize>, row: impl Fn(usize) -> String) -> String {
    range.fold(header.to_owned(), |mut text, i| {
        write!(text, "\n{}", row(i)).unwrap();
        text
    })
}

impl World {
    fn task(&self) -> Task {
        compete(&self.work).unwrap()
    }

    fn reason(&self) -> &'static str {
        match compete(&self.work) {
            Err(Refusal::Unfit { reason, message }) => {
                assert!(!message.is_empty());
                reason
            }
            other => panic!("{other:?}"),
        }
    }

    fn read(&self, file: &DataFile) -> String {
        String::from_utf8(self.work.blobs.read(file.blake3).unwrap()).unwrap()
    }

    fn file(&self, task: &Task, path: &str) -> tables::Table {
        let file = task.files.iter().find(|file| file.path == path).unwrap();
        tables::read_table(self.read(file).as_bytes()).unwrap()
    }

    fn with_leaderboard(mut self, scores: &[f64]) -> Self {
        let board = LeaderboardScores {
            public_scores: Vec::new(),
            private_scores: scores.to_vec(),
        };
        let json = serde_json::to_vec(&board).unwrap();
        self.work.source.leaderboard =
            Some(stored(&self.work.blobs, "leaderboard.json", &json).unwrap());
        self
    }

    /// What a prediction earns by the task's own verifier.
    fn score(&self, task: &Task, prediction: &[u8]) -> Score {
        let rule = rule(task);
        let truth = self.read(&rule.truth);
        let board = match &rule.reward {
            Rewarding::Standing { leaderboard } => {
                Some(self.work.blobs.read(leaderboard.blake3).unwrap())
            }
            _ => None,
        };
        score_predictions(rule, Some(prediction), truth.as_bytes(), board.as_deref())
    }
}

fn rule(task: &Task) -> &Predictions {
    match &task.verifier {
        Some(Verifier::Predictions(rule)) => rule,
        other => panic!("{other:?}"),
    }
}

/// Three tables of a competition with one target of these values.
fn single(target: impl Fn(usize) -> String, example: &str) -> Vec<(&'static str, String)> {
    vec![
        (
            "train.csv",
            table("id,x,w,y", |i| {
                format!("{i},{}.25,a{},{}", i % 17, i % 5, target(i * 7919 % 200))
            }),
        ),
        (
            "test.csv",
            rows("id,x,w", 200..260, |i| {
                format!("{i},{}.25,a{}", i % 17, i % 5)
            }),
        ),
        (
            "sample_submission.csv",
            rows("id,y", 200..260, |i| format!("{i},{example}")),
        ),
    ]
}

fn kinds() -> Vec<(&'static str, World)> {
    let two = |i: usize| (i % 3 / 2).to_string();
    let number = |i: usize| format!("{}.5", i + 10);
    let label = |i: usize| format!("label{}", i % 4);
    let mut kinds: Vec<(&'static str, World)> = [
        "rmse",
        "rmsle",
        "mse",
        "mae",
        "median_ae",
        "mape",
        "smape",
        "r2",
        "gini",
        "spearman",
        "pearson",
    ]
    .map(|metric| (metric, world(metric, &single(number, "0.0"))))
    .into();
    kinds.extend(
        ["auc", "log_loss", "brier"].map(|metric| (metric, world(metric, &single(two, "0.5")))),
    );
    kinds.extend(["f1", "mcc"].map(|metric| (metric, world(metric, &single(two, "0")))));
    kinds.extend(
        ["accuracy", "macro_f1", "micro_f1", "weighted_f1"]
            .map(|metric| (metric, world(metric, &single(label, "label0")))),
    );
    kinds.push((
        "quadratic_weighted_kappa",
        world("qwk", &single(|i| (i % 5).to_string(), "0")),
    ));
    kinds.push((
        "map@3",
        world("MAP@3", &single(label, "label0 label1 label2")),
    ));
    kinds.push((
        "jaccard",
        world("jaccard", &single(|i| format!("some words {i}"), "words")),
    ));
    kinds.push((
        "multiclass_log_loss",
        world(
            "Multiclass Loss",
            &[
                (
                    "train.csv",
                    table("id,x,Status", |i| {
                        format!("{i},{},{}", i % 17, ["C", "CL", "D"][i * 7919 % 3])
                    }),
                ),
                (
                    "test.csv",
                    rows("id,x", 200..260, |i| format!("{i},{}", i % 17)),
                ),
                (
                    "sample_submission.csv",
                    rows("id,Status_C,Status_CL,Status_D", 200..260, |i| {
                        format!("{i},0.3,0.3,0.4")
                    }),
                ),
            ],
        ),
    ));
    kinds.push((
        "rmse",
        world(
            "MCRMSE",
            &[
                (
                    "train.csv",
                    table("id,x,a,b", |i| {
                        format!("{i},{},{}.5,{}", i % 17, i * 31 % 101, i * 17 % 43)
                    }),
                ),
                (
                    "test.csv",
                    rows("id,x", 200..260, |i| format!("{i},{}", i % 17)),
                ),
                (
                    "sample_submission.csv",
                    rows("id,a,b", 200..260, |i| format!("{i},0,0")),
                ),
            ],
        ),
    ));
    kinds.push((
        "auc",
        world(
            "Mean Columnwise Area Under Receiver Operating Characteristic Curve",
            &[
                (
                    "train.csv",
                    table("id,x,a,b", |i| {
                        format!("{i},{},{},{}", i % 17, i * 31 % 2, i * 17 % 3 / 2)
                    }),
                ),
                (
                    "test.csv",
                    rows("id,x", 200..260, |i| format!("{i},{}", i % 17)),
                ),
                (
                    "sample_submission.csv",
                    rows("id,a,b", 200..260, |i| format!("{i},0.5,0.5")),
                ),
            ],
        ),
    ));
    kinds
}

#[test]
fn every_kind_of_metric_makes_a_task_that_the_truth_wins() {
    for (metric, world) in kinds() {
        let task = compete(&world.work).unwrap_or_else(|refusal| panic!("{metric}: {refusal:?}"));
        let rule = rule(&task);
        assert_eq!(rule.metric.to_string(), metric);
        let truth = world.read(&rule.truth);
        let perfect = world.score(&task, truth.as_bytes());
        assert!(
            perfect.success && perfect.reward > 0.999,
            "{metric}: {perfect:?}"
        );
        let floor = task.checks.floor.unwrap();
        assert!(floor < 0.01, "{metric}: {floor}");
        assert_eq!(task.checks.baselines.len(), 1);
        // The example has the shape of a valid submission.
        let sample = task
            .files
            .iter()
            .find(|file| file.path == "sample_submission.csv")
            .unwrap();
        let example = world.score(&task, world.read(sample).as_bytes());
        assert!(
            example.value.is_some() || matches!(metric, "spearman" | "pearson"),
            "{metric}: {example:?}"
        );
        assert!(!example.success, "{metric}: {example:?}");
        assert!(task.prompt.contains(&format!("- metric: `{metric}`")));
    }
}

#[test]
fn labels_that_read_as_missing_are_not_asked_for() {
    let label = |i: usize| ["None", "apnea", "insomnia"][i % 3].to_owned();
    let world = world("accuracy", &single(label, "apnea"));
    let task = world.task();
    let truth = world.read(&rule(&task).truth);
    assert!(!truth.contains("None") && truth.contains("apnea"));
    assert!(
        task.checks
            .remarks
            .iter()
            .any(|remark| remark.contains("`None`"))
    );
    let train = world.file(&task, "train.csv");
    assert!(train.rows.iter().any(|row| row[3] == "None"));
}

#[test]
fn a_leaderboard_is_what_answers_are_compared_with() {
    let scores: Vec<f64> = (0..40).map(|i| 5.0 + f64::from(i)).collect();
    let number = |i: usize| format!("{}.5", i + 10);
    let world = world("RMSE", &single(number, "0.0")).with_leaderboard(&scores);
    let task = world.task();
    assert!(matches!(rule(&task).reward, Rewarding::Standing { .. }));
    let truth = world.read(&rule(&task).truth);
    let score = world.score(&task, truth.as_bytes());
    assert!(score.success && score.reward > 0.999 && score.standing.unwrap().rank == 1);
    assert!(task.checks.floor.unwrap() < 0.01);
    assert!(task.prompt.contains("those of 40 teams"));
}

#[test]
fn hidden_answers_are_in_no_file_that_agents_see() {
    let mut files = single(|i| format!("81{i:04}.5"), "0.0");
    let train = files[0].1.clone();
    files.push(("train.csv.bak.csv", train.clone()));
    files.push(("old/train_full.csv", train.clone()));
    files.push(("train.json", train.clone()));
    files.push(("copy.csv", train.replace("id,x,w,y", "who,a,b,c")));
    files.push(("weather.csv", table("day,rain", |i| format!("{i},{i}"))));
    let world = world("RMSE", &files);
    let task = world.task();
    let paths: Vec<&str> = task.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "sample_submission.csv",
            "test.csv",
            "train.csv",
            "weather.csv"
        ]
    );
    let truth = tables::read_table(world.read(&rule(&task).truth).as_bytes()).unwrap();
    assert_eq!(truth.rows.len(), 40);
    let shown: Vec<String> = task.files.iter().map(|file| world.read(file)).collect();
    let task_text = serde_json::to_string(&task).unwrap();
    for row in &truth.rows {
        assert!(shown.iter().all(|text| !text.contains(&row[1])), "{row:?}");
        assert!(!task_text.contains(&row[1]), "{row:?}");
    }
}

#[test]
fn rows_are_held_back_once_and_shown_as_the_competition_shows_its_own() {
    let world = world("RMSE", &single(|i| format!("{i}.5"), "0.25"));
    let task = world.task();
    let [train, test, sample] =
        ["train.csv", "test.csv", "sample_submission.csv"].map(|path| world.file(&task, path));
    assert_eq!(train.header, ["id", "x", "w", "y"]);
    assert_eq!(test.header, ["id", "x", "w"]);
    assert_eq!(sample.header, ["id", "y"]);
    assert_eq!(
        (train.rows.len(), test.rows.len(), sample.rows.len()),
        (160, 40, 40)
    );
    assert!(
        sample
            .rows
            .iter()
            .zip(&test.rows)
            .all(|(sample, test)| sample[0] == test[0] && sample[1] == "0.25")
    );
    assert!(
        test.rows
            .iter()
            .all(|test| train.rows.iter().all(|train| train[0] != test[0]))
    );
    assert_eq!(task.checks.grading.as_deref(), Some("random"));
    assert_eq!(
        (task.level.as_deref(), task.created_at.as_str()),
        (Some("easy"), "2023-05-01T00:00:00Z")
    );
    // The same seed holds back the same rows.
    assert_eq!(task, world.task());
}

#[test]
fn columns_that_the_test_lacks_are_for_training_only() {
    let world = world(
        "RMSE",
        &[
            (
                "train.csv",
                table("id,x,casual,y", |i| {
                    format!("{i},{},{},{}", i % 7, i % 9, i * 31 % 97)
                }),
            ),
            (
                "test.csv",
                rows("id,x", 200..260, |i| format!("{i},{}", i % 7)),
            ),
            (
                "sample_submission.csv",
                rows("id,y", 200..260, |i| format!("{i},0")),
            ),
        ],
    );
    let task = world.task();
    assert_eq!(world.file(&task, "test.csv").header, ["id", "x"]);
    assert_eq!(
        world.file(&task, "train.csv").header,
        ["id", "x", "casual", "y"]
    );
}

#[test]
fn keys_that_follow_the_answers_are_made_anew() {
    let world = world(
        "accuracy",
        &[
            (
                "train.csv",
                table("id,x,y", |i| format!("{i},{},{}", i % 7, i / 100)),
            ),
            (
                "test.csv",
                rows("id,x", 200..260, |i| format!("{i},{}", i % 7)),
            ),
            (
                "sample_submission.csv",
                rows("id,y", 200..260, |i| format!("{i},0")),
            ),
        ],
    );
    let task = world.task();
    let test = world.file(&task, "test.csv");
    assert!(
        test.rows
            .iter()
            .all(|row| row[0].parse::<usize>().unwrap() >= 260)
    );
    let truth = tables::read_table(world.read(&rule(&task).truth).as_bytes()).unwrap();
    let changes = truth
        .rows
        .windows(2)
        .filter(|pair| pair[0][1] != pair[1][1])
        .count();
    assert!(changes > 8, "{changes}");
}

#[test]
fn keys_come_in_many_forms() {
    let sample =
        |key: &dyn Fn(usize) -> String| rows("row_id,y", 200..260, |i| format!("{},0", key(i)));
    // Joined from columns of the test table.
    let joined = world(
        "RMSE",
        &[
            (
                "train.csv",
                table("store,day,y", |i| {
                    format!("s{},d{},{}", i % 4, i / 4, i * 31 % 97)
                }),
            ),
            (
                "test.csv",
                rows("store,day", 200..260, |i| format!("s{},d{}", i % 4, i / 4)),
            ),
            (
                "sample_submission.csv",
                sample(&|i| format!("s{}_d{}", i % 4, i / 4)),
            ),
        ],
    );
    let task = joined.task();
    let sample_rows = joined.file(&task, "sample_submission.csv").rows;
    let test_rows = joined.file(&task, "test.csv").rows;
    assert!(
        sample_rows
            .iter()
            .zip(&test_rows)
            .all(|(sample, test)| sample[0] == format!("{}_{}", test[0], test[1]))
    );
    // Under another name in the tables.
    let renamed = world(
        "RMSE",
        &[
            (
                "train.csv",
                table("image,x,y", |i| format!("i{i},{},{}", i % 7, i * 31 % 97)),
            ),
            (
                "test.csv",
                rows("image,x", 200..260, |i| format!("i{i},{}", i % 7)),
            ),
            ("sample_submission.csv", sample(&|i| format!("i{i}"))),
        ],
    );
    let task = renamed.task();
    assert!(
        task.prompt
            .contains("- key columns: `row_id`\n- key column in the tables: `image`\n")
    );
    // In no table: by the order of rows.
    let counted = world(
        "RMSE",
        &[
            (
                "train.csv",
                table("x,y", |i| format!("{},{}", i % 7, i * 31 % 97)),
            ),
            ("test.csv", rows("x", 200..260, |i| format!("{}", i % 7))),
            ("sample_submission.csv", sample(&|i| i.to_string())),
        ],
    );
    let task = counted.task();
    assert_eq!(counted.file(&task, "test.csv").header, ["row_id", "x"]);
    // With pictures in place of a test table.
    let pictures = world(
        "accuracy",
        &[
            (
                "train.csv",
                table("image,y", |i| format!("{i}.jpg,l{}", i * 31 % 3)),
            ),
            (
                "sample_submission.csv",
                rows("image,y", 200..260, |i| format!("{i}.jpg,l0")),
            ),
            ("images/0.jpg", String::new()),
        ],
    );
    let task = pictures.task();
    assert_eq!(task.files.len(), 3);
    assert!(task.prompt.contains("- rows to predict: none\n"));
}

#[test]
fn a_target_of_another_name_is_found_where_there_is_but_one() {
    let world = world(
        "RMSE",
        &[
            (
                "train.csv",
                table("id,x,price", |i| format!("{i},{},{}", i % 7, i * 31 % 97)),
            ),
            (
                "test.csv",
                rows("id,x", 200..260, |i| format!("{i},{}", i % 7)),
            ),
            (
                "sample_submission.csv",
                rows("id,prediction", 200..260, |i| format!("{i},0")),
            ),
        ],
    );
    let task = world.task();
    assert_eq!(rule(&task).targets, ["prediction"]);
    assert!(
        task.prompt
            .contains("- column in the table of known answers: `price`\n")
    );
    assert!(
        task.checks
            .remarks
            .iter()
            .any(|remark| remark.contains("`price`"))
    );
}

#[test]
fn later_stages_nested_folders_and_original_test_files_are_seen_to() {
    let mut files = vec![
        (
            "data/stage1_test.csv",
            rows("id,x", 300..360, |i| format!("{i},{}", i % 7)),
        ),
        (
            "data/stage1_sample_submission.csv",
            rows("id,y", 300..360, |i| format!("{i},0")),
        ),
        (
            "data/stage1_train.csv",
            table("id,x,y", |i| format!("{i},{},{}", i % 7, i * 31 % 97)),
        ),
        (
            "data/stage2_test.csv",
            rows("id,x", 200..260, |i| format!("{i},{}", i % 7)),
        ),
        (
            "data/stage2_sample_submission.csv",
            rows("id,y", 200..260, |i| format!("{i},0")),
        ),
    ];
    files.sort();
    let mut world = world("RMSE", &files);
    world.work.source.pages.data = "Files: train.csv, lost.csv and stage2_test.csv.".to_owned();
    world.work.config.competitions.original_test = true;
    let task = world.task();
    let paths: Vec<&str> = task.files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(
        paths,
        [
            "data/stage1_train.csv",
            "data/stage2_sample_submission.csv",
            "data/stage2_test.csv",
            "original_test/data/stage2_test.csv"
        ]
    );
    assert_eq!(
        world
            .file(&task, "original_test/data/stage2_test.csv")
            .rows
            .len(),
        60
    );
    assert!(
        task.checks
            .remarks
            .iter()
            .any(|remark| remark.contains("`lost.csv`, `train.csv`"))
    );
    assert!(
        task.prompt
            .contains("The pages speak of `lost.csv`, `train.csv` too")
    );
}

#[test]
fn a_large_table_is_recognised_wherever_the_look_at_it_ends() {
    let text = "é".repeat(300);
    let mut half_letters = 0;
    // One of two neighbouring lengths ends the look within a letter.
    for blank in ["", " "] {
        let known = rows("id,w,größe", 0..1000, |i| {
            format!("{i},{blank}{text},{}", i * 31 % 97)
        });
        half_letters += usize::from(std::str::from_utf8(&known.as_bytes()[..1 << 18]).is_err());
        let files = [
            ("known.csv", known),
            ("test.csv", rows("id,w", 1000..1060, |i| format!("{i},é"))),
            (
                "sample_submission.csv",
                rows("id,größe", 1000..1060, |i| format!("{i},0")),
            ),
        ];
        let task = world("RMSE", &files).task();
        assert_eq!(rule(&task).targets, ["größe"]);
    }
    assert!(half_letters > 0, "no look ends within a letter");
}

#[test]
fn what_cannot_become_a_task_says_why() {
    let good = single(|i| format!("{i}.5"), "0.0");
    let but = |path: &str, text: String| -> Vec<(&'static str, String)> {
        good.iter()
            .map(|(name, known)| {
                (
                    *name,
                    if *name == path {
                        text.clone()
                    } else {
                        known.clone()
                    },
                )
            })
            .collect()
    };
    let without = |path: &str| -> Vec<(&'static str, String)> {
        good.iter()
            .filter(|(name, _)| *name != path)
            .cloned()
            .collect()
    };
    let train = |header: &str, row: &dyn Fn(usize) -> String| but("train.csv", table(header, row));
    for (expected, metric, files) in [
        ("no_files", "RMSE", Vec::new()),
        ("unknown_metric", "Dice", good.clone()),
        (
            "no_sample_submission",
            "RMSE",
            without("sample_submission.csv"),
        ),
        ("no_train_table", "RMSE", without("train.csv")),
        ("no_test_table", "RMSE", without("test.csv")),
        (
            "sample_submission_one_column",
            "RMSE",
            but("sample_submission.csv", "id\n1\n2".to_owned()),
        ),
        (
            "sample_submission_empty",
            "RMSE",
            but("sample_submission.csv", "id,y\n".to_owned()),
        ),
        (
            "unreadable_table",
            "RMSE",
            but("sample_submission.csv", " \n".to_owned()),
        ),
        ("no_train_table", "RMSE", but("train.csv", String::new())),
        (
            "no_train_rows",
            "RMSE",
            but("train.csv", "id,x,w,y\n".to_owned()),
        ),
        (
            "target_not_in_train",
            "RMSE",
            train("id,x,w,y1,y2", &|i| format!("{i},1,2,3,{i}")),
        ),
        (
            "constant_target",
            "RMSE",
            train("id,x,w,y", &|i| format!("{i},1,2,3")),
        ),
        (
            "target_not_numeric",
            "RMSE",
            train("id,x,w,y", &|i| format!("{i},1,2,v{i}")),
        ),
        (
            "target_negative",
            "RMSLE",
            train("id,x,w,y", &|i| format!("{i},1,2,-{i}")),
        ),
        ("no_shared_columns", "RMSE", train("y", &|i| i.to_string())),
        (
            "target_not_binary",
            "AUC",
            train("id,x,w,y", &|i| format!("{i},1,2,{i}")),
        ),
        (
            "label_with_spaces",
            "MAP@3",
            train("id,x,w,y", &|i| format!("{i},1,2,a {i}")),
        ),
        (
            "too_few_test_rows",
            "RMSE",
            but(
                "train.csv",
                rows("id,x,w,y", 0..20, |i| format!("{i},1,2,{i}")),
            ),
        ),
        (
            "too_few_test_rows",
            "RMSE",
            train("id,x,w,y", &|i| {
                if i < 3 {
                    format!("{i},1,2,{i}")
                } else {
                    format!("{i},1,2,")
                }
            }),
        ),
        (
            "unknown_key",
            "RMSE",
            but("test.csv", rows("x,w", 0..50, |i| format!("{},2", i % 3))),
        ),
    ] {
        assert_eq!(
            world(metric, &files).reason(),
            expected,
            "{metric} {:?}",
            files.first()
        );
    }
    let mut large = world("RMSE", &good);
    large.work.config.competitions.max_table_bytes = 100;
    assert_eq!(large.reason(), "table_too_large");
    let mut many = world("RMSE", &good);
    many.work.config.competitions.max_files = 2;
    assert_eq!(many.reason(), "too_many_files");
    let mut contrary = world("RMSE", &good);
    contrary.work.source.metric_is_max = Some(true);
    assert_eq!(contrary.reason(), "metric_direction_differs");
}

#[test]
fn repeated_keys_are_numbered_anew_or_refused() {
    let repeated = |test_key: &dyn Fn(usize) -> usize| {
        world(
            "RMSE",
            &[
                (
                    "train.csv",
                    table("id,x,y", |i| format!("{},{},{}", i / 2, i % 7, i * 31 % 97)),
                ),
                (
                    "test.csv",
                    rows("id,x", 200..260, |i| format!("{},{}", test_key(i), i % 7)),
                ),
                (
                    "sample_submission.csv",
                    rows("id,y", 200..260, |i| format!("{},0", test_key(i))),
                ),
            ],
        )
    };
    let task = repeated(&|i| i).task();
    assert!(
        task.checks
            .remarks
            .iter()
            .any(|remark| remark.contains("numbered anew"))
    );
    assert_eq!(repeated(&|i| i / 2).reason(), "duplicate_keys");
}

#[test]
fn half_files_end_as_a_reason_or_a_task() {
    let good = single(|i| format!("{i}.5"), "0.0");
    for path in ["train.csv", "test.csv", "sample_submission.csv"] {
        let whole = &good.iter().find(|(name, _)| *name == path).unwrap().1;
        for cut in (0..whole.len()).step_by(211) {
            let files: Vec<(&str, String)> = good
                .iter()
                .map(|(name, text)| {
                    (
                        *name,
                        if *name == path {
                            text[..cut].to_owned()
                        } else {
                            text.clone()
                        },
                    )
                })
                .collect();
            match compete(&world("RMSE", &files).work) {
                Ok(task) => assert!(task.checks.floor.is_some()),
                Err(Refusal::Unfit { message, .. }) => assert!(!message.is_empty()),
                Err(Refusal::Files(error)) => panic!("{path} to {cut}: {error}"),
            }
        }
    }
}

#[test]
fn pages_are_plain_and_the_metric_may_stand_there() {
    let mut world = world("", &single(|i| format!("{i}.5"), "0.0"));
    world.work.source.metric = None;
    world.work.source.pages = Pages {
        description: "<h2>Goal</h2><p>Predict <b>y</b>.<img src=\"https://t.example/a.png\"></p>"
            .to_owned(),
        evaluation: "<p>Submissions are scored on the <em>mean absolute error</em>.</p>".to_owned(),
        data: "Rows in `train.csv`.".to_owned(),
    };
    let task = world.task();
    assert_eq!(rule(&task).metric, Metric::Mae);
    assert_eq!(
        task.context,
        "## Description\n\n## Goal\n\nPredict **y**.\n\n## Data\n\nRows in `train.csv`."
    );
    assert!(
        task.prompt
            .starts_with("This is a competition. Predict `y` for 40 rows")
    );
    assert!(task.prompt.contains("scored on the *mean absolute error*"));
}

/// What a crawl finds of the fixture's competitions, as far as a preparation looks at it.
fn crawled(competition: &synth_fixtures::world::Competition) -> World {
    let files: Vec<(&str, String)> = competition
        .files
        .iter()
        .map(|file| {
            let text = String::from_utf8_lossy(&file.content.bytes()).into_owned();
            (file.name.as_str(), text)
        })
        .collect();
    let mut world = world("", &files);
    let page = |name: &str| {
        let found = competition
            .pages
            .iter()
            .find(|page| page.name.eq_ignore_ascii_case(name));
        found.map(|page| page.content.clone()).unwrap_or_default()
    };
    world.work.source = Source {
        slug: competition.slug.clone(),
        title: competition.title.clone(),
        metric: competition.metric.clone(),
        host_segment: Some(competition.category.clone()),
        deadline: Some(competition.deadline.clone()),
        tags: competition.tags.clone(),
        pages: Pages {
            description: page("Description"),
            evaluation: page("Evaluation"),
            data: page("data-description"),
        },
        ..world.work.source
    };
    let scores: Vec<f64> = competition
        .leaderboard
        .private
        .iter()
        .copied()
        .filter(|score| score.is_finite())
        .collect();
    if scores.is_empty() {
        world
    } else {
        world.with_leaderboard(&scores)
    }
}

#[test]
fn the_fixtures_competitions_become_tasks_or_say_why() {
    let fixtures = synth_fixtures::World::small();
    let made = |slug: &str| {
        let world = crawled(&fixtures.competition(slug).unwrap());
        match compete(&world.work) {
            Ok(task) => {
                let rule = rule(&task);
                let perfect = world.score(&task, world.read(&rule.truth).as_bytes());
                assert!(
                    perfect.success && perfect.reward > 0.999,
                    "{slug}: {perfect:?}"
                );
                assert!(
                    task.checks.floor.unwrap() < 0.5,
                    "{slug}: {:?}",
                    task.checks
                );
                let grading = task.checks.grading.clone().unwrap();
                format!(
                    "{} {grading} {}",
                    rule.metric,
                    task.level.as_deref().unwrap()
                )
            }
            Err(Refusal::Unfit { reason, .. }) => reason.to_owned(),
            Err(Refusal::Files(error)) => panic!("{slug}: {error}"),
        }
    };
    for (slug, expected) in [
        ("shells-and-snails", "accuracy stratified easy"),
        ("orchard-harvest", "rmse random easy"),
        ("workshop-prices", "rmsle random easy"),
        ("ferry-delays", "auc stratified hard"),
        ("mushroom-outcomes", "multiclass_log_loss stratified easy"),
        ("soil-quality", "quadratic_weighted_kappa stratified easy"),
        ("fever-ranking", "map@3 stratified easy"),
        ("bakery-sales", "smape time hard"),
        ("breath-pressure", "mae group hard"),
        ("kiln-defects", "auc stratified easy"),
        ("hillside-blooms", "f1 stratified hard"),
        ("village-cup", "log_loss stratified easy"),
        ("odd-measure", "unknown_metric"),
        ("shortest-program", "unknown_metric"),
        ("town-hackathon", "no_files"),
        ("no-sample", "no_sample_submission"),
        ("one-class", "constant_target"),
        ("one-column", "no_shared_columns"),
        ("bare-pages", "accuracy stratified easy"),
    ] {
        assert_eq!(made(slug), expected, "{slug}");
    }
}

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn real_pages_are_plain_and_real_levels_are_told() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../shared/data/kaggle/competitions.json.gz");
    if !path.exists() {
        assert!(
            std::env::var_os("SYNTH_REQUIRE_SHARED").is_none(),
            "`{}` is missing",
            path.display()
        );
        eprintln!("skipped: there is no {}", path.display());
        return;
    }
    let json = flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap());
    let all: serde_json::Value = serde_json::from_reader(json).unwrap();
    let competitions = all["competitions"].as_array().unwrap();
    assert_eq!(competitions.len(), 60);
    let mut domains = 0;
    for one in competitions {
        let text = |key: &str| one[key].as_str().unwrap().to_owned();
        let source = Source {
            slug: text("slug"),
            title: text("slug").replace('-', " "),
            host_segment: None,
            pages: Pages {
                description: text("description"),
                evaluation: text("evaluation"),
                data: text("data"),
            },
            ..source()
        };
        assert_eq!(facts::level(&source), text("difficulty"), "{}", source.slug);
        let shown =
            context(&source.pages) + &pages::clean(&source.pages.evaluation, EVALUATION_CHARACTERS);
        for mark in ["<img", "![", "utm_", "<script", "<div", "</"] {
            assert!(!shown.contains(mark), "{}: {mark}", source.slug);
        }
        assert!(shown.len() > 200, "{}: {shown}", source.slug);
        let domain = facts::domain(&source, &source.pages.description);
        domains += usize::from(Some(domain) == one["metadata"]["domain"].as_str());
    }
    eprintln!("{domains} of 60 domains as its publishers say");
}
