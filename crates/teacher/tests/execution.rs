//! The teacher against real Python: every family in every style, and whole explorations with attempts at what they posed.

#![expect(
    clippy::print_stderr,
    reason = "measurements are shown with --nocapture"
)]

mod driver;
#[path = "execution/tasks.rs"]
mod tasks;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use driver::{Worker, converse, prompt, python, same, values};
use serde_json::{Value, json};
use synth_teacher::dice::Dice;
use synth_teacher::{TeacherConfig, conversation, families, fill, profile, prompt as prompts};

const PERFECT: TeacherConfig = TeacherConfig {
    error_rate: 0.0,
    wrong_rate: 0.0,
};

/// Folders with made-up tables; removed with the guard.
struct Folders(PathBuf);

impl Folders {
    fn make(python: &Path, name: &str) -> Self {
        let root =
            std::env::temp_dir().join(format!("synth-teacher-{name}-{}", std::process::id()));
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/driver/make_tables.py");
        let status = Command::new(python)
            .arg(script)
            .arg(&root)
            .status()
            .expect("the test Python starts");
        assert!(status.success());
        Self(root)
    }

    /// The folders with tables to ask about.
    fn each(&self) -> Vec<PathBuf> {
        let predicts = |folder: &PathBuf| {
            folder
                .file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("predict-"))
        };
        let entries = std::fs::read_dir(&self.0).expect("tables were made");
        let mut folders: Vec<PathBuf> = entries
            .map(|entry| entry.expect("readable").path())
            .filter(|folder| !predicts(folder))
            .collect();
        folders.sort();
        folders
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        std::fs::remove_dir_all(&self.0).ok();
    }
}

fn explore_prompt(tables: &Value, per_task: usize) -> String {
    prompt(
        "queries/explore",
        &json!({"title": "t", "context": "", "tables": tables, "per_task": per_task, "seed_question": ""}),
    )
}

fn solve_prompt(tables: &Value, query: &Posed) -> String {
    prompt(
        "trajectories/solve",
        &json!({"title": "t", "context": "", "tables": tables, "question": query.question, "constraints": query.constraints, "answer_format": query.format}),
    )
}

#[test]
fn every_style_of_every_family_runs_and_agrees() {
    let Some(python) = python() else { return };
    let folders = Folders::make(&python, "styles");
    let mut worker = Worker::start(&python);
    let mut tried: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut problems, mut runs, mut telling, mut mistakes) = (Vec::new(), 0, 0, 0);
    for folder in folders.each() {
        let tables = prompts::tables(&explore_prompt(&worker.tables(&folder), 5));
        worker.open(&folder);
        let output = worker.run(&profile::script(&tables));
        let profile = profile::read(&output).unwrap_or_else(|| panic!("no profile in {output}"));
        for (number, family) in families::all().iter().enumerate() {
            for round in 0..2 {
                let mut dice = Dice::new(&["styles", &number.to_string(), &round.to_string()]);
                let Some(problem) = fill::fill(family, &profile, &mut dice) else {
                    continue;
                };
                let mut results: Vec<(usize, String, Vec<Option<String>>)> = Vec::new();
                let mut run = |worker: &mut Worker, label: usize, code: &str| {
                    worker.open(&folder);
                    let output = worker.run(&format!("{}\n{code}", problem.load(&tables)));
                    let values = problem
                        .names()
                        .iter()
                        .map(|name| conversation::printed(&[&output], name))
                        .collect();
                    results.push((label, output, values));
                };
                for (index, style) in family.style.iter().enumerate() {
                    run(&mut worker, index, &problem.cells(style).join("\n\n"));
                }
                let right = results[0].2.clone();
                let clear = problem.check().is_none_or(|check| {
                    worker.run(&format!("print(bool({check}))")).trim() == "True"
                });
                runs += results.len();
                if !clear {
                    continue;
                }
                *tried.entry(&family.id).or_default() += 1;
                let pairs = |values: &[Option<String>]| -> Vec<(String, String)> {
                    problem
                        .names()
                        .into_iter()
                        .zip(values.iter().map(|value| value.clone().unwrap_or_default()))
                        .collect()
                };
                for (index, output, values) in &results {
                    if values.iter().any(Option::is_none) {
                        problems.push(format!("{} style {index}: {output}", family.id));
                    } else if !same(&pairs(values), &pairs(&right), 1e-9) {
                        problems.push(format!(
                            "{} style {index}: {values:?} is not {right:?} for {:?}",
                            family.id, problem.slots
                        ));
                    }
                }
                for which in 0..family.wrong.len() {
                    worker.open(&folder);
                    let output = worker.run(&format!(
                        "{}\n{}",
                        problem.load(&tables),
                        problem.mistaken(which)
                    ));
                    let values: Vec<_> = problem
                        .names()
                        .iter()
                        .map(|name| conversation::printed(&[&output], name))
                        .collect();
                    mistakes += 1;
                    if values.iter().any(Option::is_none) {
                        problems.push(format!("{} mistake {which}: {output}", family.id));
                    } else {
                        telling += usize::from(!same(&pairs(&values), &pairs(&right), 1e-9));
                        if same(&pairs(&values), &pairs(&right), 1e-9) {
                            eprintln!("{} mistake {which} changes nothing", family.id);
                        }
                    }
                }
            }
        }
    }
    let untried: Vec<&str> = families::all()
        .iter()
        .map(|family| family.id.as_str())
        .filter(|id| !tried.contains_key(id))
        .collect();
    eprintln!(
        "{} families, {runs} runs of styles, {telling} of {mistakes} mistakes change the result",
        families::all().len()
    );
    assert!(untried.is_empty(), "never applicable: {untried:?}");
    assert!(
        problems.is_empty(),
        "{}\n{}",
        problems.len(),
        problems.join("\n---\n")
    );
}

#[test]
fn what_it_poses_it_solves_in_every_attempt() {
    let Some(python) = python() else { return };
    let folders = Folders::make(&python, "explore");
    let mut worker = Worker::start(&python);
    for folder in folders.each() {
        let report = Report::over(&mut worker, &folder, 2, 3);
        eprintln!("{}: {report:?}", folder.display());
        assert_eq!(report.queries, 10, "{}", folder.display());
        assert_eq!(report.right, report.attempts, "{:?}", report.wrong);
    }
}

#[derive(Debug, Default)]
struct Report {
    queries: usize,
    attempts: usize,
    right: usize,
    wrong: Vec<String>,
    families: BTreeSet<String>,
    cells: usize,
}

impl Report {
    /// Explores a folder with several seeds, and attempts every query that comes of it with several more.
    fn over(worker: &mut Worker, folder: &Path, explorations: u64, attempts: u64) -> Self {
        let tables = worker.tables(folder);
        let mut report = Self::default();
        for seed in 0..explorations {
            let task = explore_prompt(&tables, 5);
            let ended = converse(&PERFECT, worker, folder, &task, seed, seed % 2 == 1);
            report.cells += ended.cells.len();
            let queries = posed(&ended.answer.unwrap_or_default());
            for query in queries {
                report.queries += 1;
                report.families.insert(query.keywords.clone());
                assert!(["easy", "medium", "hard"].contains(&query.level.as_str()));
                let reference = values(&query.reference);
                let output = &ended.cells[query.cell - 1].1;
                for (name, value) in &reference {
                    let printed = conversation::printed(&[output], name);
                    let found = printed.as_deref().map(str::trim);
                    assert_eq!(found, Some(value.as_str()), "{query:?}\n{output}");
                }
                for attempt in 0..attempts {
                    let task = solve_prompt(&tables, &query);
                    let solved = converse(
                        &PERFECT,
                        worker,
                        folder,
                        &task,
                        100 + attempt,
                        attempt % 2 == 1,
                    );
                    report.attempts += 1;
                    let answer = solved.answer.unwrap_or_default();
                    if same(&values(&answer), &reference, 1e-9) {
                        report.right += 1;
                    } else {
                        report
                            .wrong
                            .push(format!("{query:?}: {answer}; {:?}", solved.cells.last()));
                    }
                }
            }
        }
        report
    }
}

#[test]
fn errors_are_tripped_over_and_repaired() {
    let Some(python) = python() else { return };
    let folders = Folders::make(&python, "trips");
    let folder = &folders.each()[0];
    let mut worker = Worker::start(&python);
    let tables = worker.tables(folder);
    let ended = converse(
        &PERFECT,
        &mut worker,
        folder,
        &explore_prompt(&tables, 5),
        3,
        false,
    );
    let clumsy = TeacherConfig {
        error_rate: 1.0,
        wrong_rate: 0.0,
    };
    let (mut failed, mut attempts) = (0, 0);
    for query in posed(&ended.answer.unwrap_or_default()) {
        for seed in 0..8 {
            let solved = converse(
                &clumsy,
                &mut worker,
                folder,
                &solve_prompt(&tables, &query),
                seed,
                false,
            );
            attempts += 1;
            let errors = solved
                .cells
                .iter()
                .filter(|(_, output)| output.contains("Traceback"))
                .count();
            failed += usize::from(errors > 0);
            assert!(errors <= 1, "{:?}", solved.cells);
            assert!(
                same(
                    &values(&solved.answer.unwrap_or_default()),
                    &values(&query.reference),
                    1e-9
                ),
                "{:?}",
                solved.cells
            );
        }
    }
    eprintln!("{failed} of {attempts} attempts tripped");
    assert!(failed * 10 >= attempts * 9, "{failed} of {attempts}");
}

#[test]
fn predictions_are_written_and_better_than_a_guess() {
    let Some(python) = python() else { return };
    let folders = Folders::make(&python, "predict");
    let mut worker = Worker::start(&python);
    for (name, target, metric, time) in [
        ("predict-class", "dear", "macro_f1", None),
        ("predict-reg", "price", "r2", None),
        ("predict-series", "visitors", "r2", Some("day")),
    ] {
        let folder = folders.0.join(name);
        let question = prompt(
            "trajectories/predict",
            &json!({"train_file": "train.csv", "test_file": "test.csv", "target": target, "targets": [target], "id_column": "row id", "keys": ["row id"],
                "submission_file": "submission.csv", "metric": metric, "time_column": time}),
        );
        let tables = worker.tables(&folder);
        let task = prompt(
            "trajectories/solve",
            &json!({"title": "t", "context": "", "tables": tables, "question": question, "constraints": "", "answer_format": "the name of the file"}),
        );
        for (seed, error_rate) in [(0, 0.0), (1, 1.0), (2, 1.0), (3, 0.0), (4, 1.0), (5, 0.0)] {
            let config = TeacherConfig {
                error_rate,
                wrong_rate: 0.0,
            };
            std::fs::remove_file(folder.join("submission.csv")).ok();
            let ended = converse(&config, &mut worker, &folder, &task, seed, seed % 2 == 1);
            assert_eq!(
                ended.answer.as_deref(),
                Some("submission.csv"),
                "{name}: {:?}",
                ended.cells
            );
            let failed = ended
                .cells
                .iter()
                .filter(|(_, output)| output.contains("Traceback"))
                .count();
            assert_eq!(
                failed,
                usize::from(error_rate > 0.0),
                "{name}: {:?}",
                ended.cells
            );
            let score = worker.run(&format!(
                "import pandas as pd\nfrom sklearn.metrics import f1_score, r2_score\npair = pd.read_csv('truth.csv').merge(pd.read_csv('submission.csv'), on='row id')\nassert len(pair) == len(pd.read_csv('truth.csv'))\nprint({})",
                if metric == "r2" { "r2_score(pair.iloc[:, 1], pair.iloc[:, 2])" } else { "f1_score(pair.iloc[:, 1], pair.iloc[:, 2], average='macro')" }
            ));
            eprintln!("{name} seed {seed}: {}", score.trim());
            assert!(
                score.trim().parse::<f64>().is_ok_and(|score| score > 0.5),
                "{name} seed {seed}: {score} {:?}",
                ended.cells
            );
        }
    }
}

#[test]
#[ignore = "takes minutes; needs a folder of CSV files named by SYNTH_TEST_TABLES"]
fn real_tables_give_queries_that_are_solved() {
    let (Some(python), Ok(source)) = (python(), std::env::var("SYNTH_TEST_TABLES")) else {
        return;
    };
    let mut worker = Worker::start(&python);
    let root = std::env::temp_dir().join(format!("synth-teacher-real-{}", std::process::id()));
    let mut total = Report::default();
    let mut files: Vec<_> = std::fs::read_dir(source)
        .expect("readable")
        .map(|entry| entry.expect("readable").path())
        .collect();
    files.sort();
    for (number, file) in files.iter().enumerate() {
        let folder = root.join(number.to_string());
        std::fs::create_dir_all(folder.join("data")).expect("writable");
        std::fs::copy(
            file,
            folder.join("data").join(file.file_name().expect("a file")),
        )
        .expect("writable");
        let report = Report::over(&mut worker, &folder, 1, 2);
        eprintln!(
            "{}: {} queries in {} cells, {} of {} right",
            file.display(),
            report.queries,
            report.cells,
            report.right,
            report.attempts
        );
        for wrong in &report.wrong {
            eprintln!("    {wrong}");
        }
        total.queries += report.queries;
        total.attempts += report.attempts;
        total.right += report.right;
        total.cells += report.cells;
    }
    std::fs::remove_dir_all(root).ok();
    eprintln!(
        "{} files: {} queries in {} cells, {} of {} attempts right",
        files.len(),
        total.queries,
        total.cells,
        total.right,
        total.attempts
    );
}

#[test]
#[ignore = "takes minutes; needs a folder of CSV files named by SYNTH_TEST_TABLES"]
fn real_tables_can_be_predicted() {
    let (Some(python), Ok(source)) = (python(), std::env::var("SYNTH_TEST_TABLES")) else {
        return;
    };
    let split = r#"
import os, sys, json, time
import numpy as np, pandas as pd
path, root = sys.argv[1:]
for encoding in ["utf-8", "cp1252"]:
    try:
        table = pd.read_csv(path, encoding=encoding)
        break
    except UnicodeDecodeError:
        pass
made = []
table = table.sample(frac=1, random_state=0).reset_index(drop=True)
numeric = [c for c in table.select_dtypes("number") if table[c].nunique() > 20]
labels = [c for c in table.columns if 2 <= table[c].nunique() <= 10 and table[c].value_counts().min() > 5]
for kind, columns in [("r2", numeric[:1]), ("macro_f1", labels[:1])]:
    for column in columns:
        rows = table[table[column].notna()].copy()
        rows.insert(0, "row id", np.arange(len(rows)))
        cut = int(len(rows) * 0.8)
        if cut < 20:
            continue
        folder = os.path.join(root, kind)
        os.makedirs(os.path.join(folder, "data"), exist_ok=True)
        rows.iloc[:cut].to_csv(os.path.join(folder, "data", "train.csv"), index=False)
        rows.iloc[cut:].drop(columns=[column]).to_csv(os.path.join(folder, "data", "test.csv"), index=False)
        rows.iloc[cut:][["row id", column]].to_csv(os.path.join(folder, "truth.csv"), index=False)
        made.append([kind, column])
print(json.dumps(made))
"#;
    let mut worker = Worker::start(&python);
    let (mut written, mut attempts) = (0, 0);
    let entries = std::fs::read_dir(source).expect("readable");
    for file in entries.map(|entry| entry.expect("readable").path()) {
        let root = std::env::temp_dir().join(format!("synth-teacher-split-{}", std::process::id()));
        std::fs::remove_dir_all(&root).ok();
        let output = Command::new(&python)
            .args(["-W", "ignore", "-c", split])
            .arg(&file)
            .arg(&root)
            .output()
            .expect("the test Python starts");
        let made: Vec<(String, String)> =
            serde_json::from_slice(&output.stdout).unwrap_or_default();
        for (metric, target) in made {
            let folder = root.join(&metric);
            let question = prompt(
                "trajectories/predict",
                &json!({"train_file": "train.csv", "test_file": "test.csv", "target": target, "targets": [target], "id_column": "row id", "keys": ["row id"],
                    "submission_file": "submission.csv", "metric": metric, "time_column": null}),
            );
            let tables = worker.tables(&folder);
            let task = prompt(
                "trajectories/solve",
                &json!({"title": "t", "context": "", "tables": tables, "question": question, "constraints": "", "answer_format": "the name of the file"}),
            );
            for seed in 0..3 {
                std::fs::remove_file(folder.join("submission.csv")).ok();
                let start = std::time::Instant::now();
                let ended = converse(&PERFECT, &mut worker, &folder, &task, seed, false);
                attempts += 1;
                let failed: Vec<_> = ended
                    .cells
                    .iter()
                    .filter(|(_, output)| output.contains("Traceback"))
                    .collect();
                written += usize::from(failed.is_empty() && folder.join("submission.csv").exists());
                let score = ended.cells.iter().find_map(|(_, output)| {
                    output.lines().find(|line| line.starts_with("held-out"))
                });
                eprintln!(
                    "{} {metric} `{target}` {score:?} in {:?}",
                    file.display(),
                    start.elapsed()
                );
                for (code, output) in failed {
                    eprintln!(
                        "    {output}\n    after {}",
                        code.lines().last().unwrap_or_default()
                    );
                }
            }
        }
        std::fs::remove_dir_all(&root).ok();
    }
    eprintln!("{written} of {attempts} attempts wrote a file without an error");
}

/// A query out of an exploration's answer.
#[derive(Clone, Debug)]
struct Posed {
    question: String,
    constraints: String,
    format: String,
    reference: String,
    cell: usize,
    keywords: String,
    level: String,
}

fn posed(answer: &str) -> Vec<Posed> {
    let field = |block: &str, name: &str| {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        block
            .split_once(&open)
            .and_then(|(_, rest)| rest.split_once(&close))
            .map(|(text, _)| text.to_owned())
            .unwrap_or_default()
    };
    answer
        .split("<query>")
        .skip(1)
        .map(|block| Posed {
            question: field(block, "question"),
            constraints: field(block, "constraints"),
            format: field(block, "format"),
            reference: field(block, "reference"),
            cell: field(block, "cell").parse().unwrap_or(0),
            keywords: field(block, "keywords"),
            level: field(block, "level"),
        })
        .collect()
}
