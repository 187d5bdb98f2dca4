//! The teacher's predictions, forecasts, competitions and workflows against real Python, over made-up tables.

use std::path::Path;

use serde_json::json;
use synth_teacher::TeacherConfig;

use super::driver::{Ended, Worker, converse, prompt, python};
use super::{Folders, PERFECT};

/// An attempt at a question over a folder, with a clean slate; failed cells must be as many as mistakes were asked for.
fn attempt(
    worker: &mut Worker,
    folder: &Path,
    question: &str,
    file: &str,
    seed: u64,
    config: &TeacherConfig,
) -> Ended {
    let tables = worker.tables(folder);
    let task = prompt(
        "trajectories/solve",
        &json!({"title": "t", "context": "", "tables": tables, "question": question, "constraints": "", "answer_format": "the name of the file"}),
    );
    std::fs::remove_file(folder.join(file)).ok();
    let ended = converse(config, worker, folder, &task, seed, seed % 2 == 1);
    assert_eq!(ended.answer.as_deref(), Some(file), "{:?}", ended.cells);
    let failed = ended
        .cells
        .iter()
        .filter(|(_, output)| output.contains("Traceback"))
        .count();
    let expected = usize::from(config.error_rate > 0.0);
    assert_eq!(failed, expected, "{}: {:?}", folder.display(), ended.cells);
    ended
}

fn clumsy() -> TeacherConfig {
    TeacherConfig {
        error_rate: 1.0,
        ..PERFECT
    }
}

fn score(worker: &mut Worker, code: &str) -> f64 {
    let output = worker.run(code);
    output
        .trim()
        .parse()
        .unwrap_or_else(|_| panic!("no score: {output}"))
}

#[test]
fn files_of_each_format_and_several_targets_are_predicted() {
    let Some(python) = python() else { return };
    let folders = Folders::make(&python, "rich");
    let mut worker = Worker::start(&python);
    let sqlite = "Predict the columns `height` and `width` for every row of `data/val.sqlite`. `data/train.sqlite` holds the rows for which they are known. Both files are SQLite databases: the training rows lie in the tables `trees`, `soil \"a\"` and `measured`, to be joined on `row_id`, the rows to predict in the table `rows`.\n\nWrite `prediction.csv` into the working directory: a CSV file with the columns `row_id`, `height` and `width`, one row for\neach row of the test file, its `row_id` taken from there. It is scored by the coefficient of determination, R2, the mean over the columns, against values that you cannot see.";
    let parquet = "Predict the column `sick` for every row of `data/val.parquet`. `data/train.parquet` holds the rows for which it is known.\n\nWrite `prediction.csv` into the working directory: a CSV file with the columns `row_id` and `sick`, one row for\neach row of the test file, its `row_id` taken from there. It is scored by the macro-averaged F1 score against values that you cannot see.";
    let published = "Load data in `train.parquet` as your full training set. Once that's done, using only CPU resources, train a classification model on this training data. Then use `val.parquet` to generate a prediction for `sick` for each `row_id`. The model should output a file named `prediction.csv`.";
    for (folder, question, metric, floor) in [
        (
            "predict-rich-sqlite",
            sqlite,
            "(r2_score(pair.height_t, pair.height) + r2_score(pair.width_t, pair.width)) / 2",
            0.85,
        ),
        (
            "predict-rich-parquet",
            parquet,
            "f1_score(pair.sick_t, pair.sick, average='macro')",
            0.8,
        ),
        (
            "predict-rich-parquet",
            published,
            "f1_score(pair.sick_t, pair.sick, average='macro')",
            0.8,
        ),
    ] {
        let folder = folders.0.join(folder);
        for (seed, config) in [(0, PERFECT), (1, clumsy()), (2, PERFECT), (3, clumsy())] {
            attempt(
                &mut worker,
                &folder,
                question,
                "prediction.csv",
                seed,
                &config,
            );
            let found = score(
                &mut worker,
                &format!(
                    "import pandas as pd\nfrom sklearn.metrics import f1_score, r2_score\ntruth = pd.read_csv('truth.csv')\npair = truth.merge(pd.read_csv('prediction.csv'), on='row_id', suffixes=('_t', ''))\nassert len(pair) == len(truth)\nprint({metric})"
                ),
            );
            eprintln!("{} seed {seed}: {found}", folder.display());
            assert!(found > floor, "{} seed {seed}: {found}", folder.display());
        }
    }
}

#[test]
fn series_are_forecast_with_and_without_what_is_known_ahead() {
    let Some(python) = python() else { return };
    let folders = Folders::make(&python, "series");
    let mut worker = Worker::start(&python);
    let question = "Predict the column `sold` for every row of `data/val.csv`. `data/train.csv` holds the rows for which it is known; the rows to predict come later in time, by `day`. Times are written as `%d/%m/%Y`. A row stands for a step of `1D`. There is a series for each `store`.\n\nWrite `submission.csv` into the working directory: a CSV file with the columns `day`, `store` and `sold`, one row for\neach row of the test file, its `day` and `store` taken from there. It is scored by the coefficient of determination, R2 against values that you cannot see.";
    for folder in ["predict-xf", "predict-cf"] {
        let folder = folders.0.join(folder);
        for (seed, config) in [(0, PERFECT), (1, clumsy()), (2, PERFECT)] {
            let ended = attempt(
                &mut worker,
                &folder,
                question,
                "submission.csv",
                seed,
                &config,
            );
            let found = score(
                &mut worker,
                "import pandas as pd\nfrom sklearn.metrics import r2_score\ntruth = pd.read_csv('truth.csv')\npair = truth.merge(pd.read_csv('submission.csv'), on=['day', 'store'], suffixes=('_t', ''))\nassert len(pair) == len(truth)\nprint(r2_score(pair.sold_t, pair.sold))",
            );
            eprintln!("{} seed {seed}: {found}", folder.display());
            assert!(
                found > 0.8,
                "{} seed {seed}: {found} {:?}",
                folder.display(),
                ended.cells
            );
        }
    }
}

fn contest(key: &str, targets: &str, more: &str, values: &str, metric: &str) -> String {
    format!(
        "This is a competition. Predict {targets} for 200 rows whose answers are held back, as well as you can.\n\n## Facts\n\n- known answers: `data/train.csv`\n- rows to predict: `data/test.csv`\n- example submission: `data/sample_submission.csv`\n- key columns: `id`\n{key}- columns to predict: {targets}\n{more}- values: {values}\n- metric: `{metric}`, more is better\n- submission: `submission.csv`\n\n## Submission\n\nWrite it."
    )
}

#[test]
fn competitions_are_entered_in_the_shape_of_the_example() {
    let Some(python) = python() else { return };
    let folders = Folders::make(&python, "contests");
    let mut worker = Worker::start(&python);
    let grades = "`grade_0`, `grade_1`, `grade_2`, `grade_3`";
    let classes = "- classes: `grade` with `grade_0` for `0`, `grade_1` for `1`, `grade_2` for `2`, `grade_3` for `3`\n";
    for (folder, question, metric, floor) in [
        (
            "predict-contest-numbers",
            contest(
                "- key column in the tables: `Id`\n",
                "`width`",
                "",
                "number",
                "rmsle",
            ),
            "1 - mean_squared_error(np.log1p(truth.width), np.log1p(found.width.astype(float))) / np.log1p(truth.width).var()",
            0.8,
        ),
        (
            "predict-contest-probability",
            contest("", "`sick`", "", "probability", "auc"),
            "roc_auc_score(truth.sick == 'sound', found.sick.astype(float))",
            0.9,
        ),
        (
            "predict-contest-classes",
            contest("", grades, classes, "probability", "multiclass_log_loss"),
            "2 - log_loss(truth.grade, found[['grade_%d' % k for k in range(4)]].astype(float))",
            1.3,
        ),
        (
            "predict-contest-ranked",
            contest("", "`grade`", "", "ranked labels, at most 3", "map@3"),
            "np.mean([1 / (1 + row.split().index(str(label))) if str(label) in row.split() else 0 for row, label in zip(found.grade, truth.grade)])",
            0.85,
        ),
        (
            "predict-contest-grades",
            contest("", "`grade`", "", "label", "quadratic_weighted_kappa"),
            "cohen_kappa_score(truth.grade, found.grade.astype(int), weights='quadratic')",
            0.75,
        ),
        (
            "predict-contest-grades",
            contest("", "`grade`", "", "label", "accuracy"),
            "accuracy_score(truth.grade, found.grade.astype(int))",
            0.7,
        ),
    ] {
        let folder = folders.0.join(folder);
        for (seed, config) in [(0, PERFECT), (1, clumsy()), (2, PERFECT)] {
            attempt(
                &mut worker,
                &folder,
                &question,
                "submission.csv",
                seed,
                &config,
            );
            let found = score(
                &mut worker,
                &format!(
                    "import numpy as np, pandas as pd\nfrom sklearn.metrics import *\nsample = pd.read_csv('data/sample_submission.csv', dtype=str)\nfound = pd.read_csv('submission.csv', dtype=str)\nassert list(found.columns) == list(sample.columns) and list(found.id) == list(sample.id)\ntruth = pd.read_csv('truth.csv')\nprint({metric})"
                ),
            );
            eprintln!(
                "{} {} seed {seed}: {found}",
                folder.display(),
                &metric[..12]
            );
            assert!(found > floor, "{} seed {seed}: {found}", folder.display());
        }
    }
}

/// The same workflow in each wording.
fn workflows() -> Vec<String> {
    let wording = |name: &str| {
        let column = |meaning: &str, column: &str| match name {
            "brief" => format!("\"{meaning}\" (`{column}`)"),
            _ => format!("\"{meaning}\""),
        };
        let wet = column("wetness of the soil: 0 to 1", "wetness, share");
        let kind = column("species, in common words", "kind");
        let age = column("years since planting", "age");
        let height = column("metres from the ground to the top", "height");
        prompt(
            &format!("prepare/instructions_{name}"),
            &json!({
                "problem": "classification", "targets": "`sick`", "several_targets": false, "joint": false,
                "train_file": "`data/train_v1.csv`", "test_file": "`data/val_v1.csv`", "metadata_file": "`data/metadata.txt`",
                "format": "csv", "train_tables": "", "several_tables": false, "test_table": "", "id_column": "`row_id`",
                "ranges": [
                    format!("{age} between 1 and 90, both included"),
                    format!("{kind} one of `birch`, `oak` and `pine`"),
                    format!("{height} between 0.5 and 60, both included"),
                ],
                "features": format!("{wet}, {kind} and {age}"),
                "numeric": format!("{wet} and {age}"), "categorical": kind,
                "imputer": "`median`", "scaler": "`StandardScaler`",
                "model": "`MLPClassifier`", "module": "`sklearn.neural_network`",
                "parameters": "`hidden_layer_sizes=(8,)`, `max_iter=150` and `random_state=4`",
                "submission": "`prediction.csv`", "submission_columns": "`row_id` and `sick`",
            }),
        )
    };
    ["steps", "prose", "brief"].map(wording).to_vec()
}

const REFERENCE: &str = r#"
import warnings
import pandas as pd
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

warnings.filterwarnings("ignore")
train = pd.read_csv("data/train_v1.csv", keep_default_na=False, na_values=[""])
test = pd.read_csv("data/val_v1.csv", keep_default_na=False, na_values=[""])
for column, holds in [("age", train["age"].between(1, 90)), ("kind", train["kind"].isin(["birch", "oak", "pine"])), ("height", train["height"].between(0.5, 60))]:
    train = train[train[column].isna() | holds[train.index]]
prepare = ColumnTransformer([
    ("n", make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), ["wetness, share", "age"]),
    ("c", make_pipeline(SimpleImputer(strategy="most_frequent"), OneHotEncoder(handle_unknown="ignore", sparse_output=False)), ["kind"]),
])
model = MLPClassifier(hidden_layer_sizes=(8,), max_iter=150, random_state=4).fit(prepare.fit_transform(train), train["sick"])
test["expected"] = model.predict(prepare.transform(test))
pair = test.merge(pd.read_csv("prediction.csv"), on="row_id")
print(float((pair["expected"] == pair["sick"]).mean()) if len(pair) == len(test) else 0)
"#;

#[test]
fn workflows_are_followed_to_the_letter_and_slips_show() {
    let Some(python) = python() else { return };
    let folders = Folders::make(&python, "workflows");
    let mut worker = Worker::start(&python);
    let folder = folders.0.join("predict-follow");
    let slips = TeacherConfig {
        wrong_rate: 1.0,
        ..PERFECT
    };
    let mut told = 0;
    for question in &workflows() {
        for (seed, config) in (0..6).zip([PERFECT, clumsy(), PERFECT, clumsy(), PERFECT, clumsy()])
        {
            let ended = attempt(
                &mut worker,
                &folder,
                question,
                "prediction.csv",
                seed,
                &config,
            );
            let same = score(&mut worker, REFERENCE);
            assert!(same >= 1.0, "seed {seed}: {same} {:?}", ended.cells);
        }
        for seed in 0..6 {
            attempt(
                &mut worker,
                &folder,
                question,
                "prediction.csv",
                seed,
                &slips,
            );
            told += usize::from(score(&mut worker, REFERENCE) < 1.0);
        }
    }
    eprintln!("{told} of 18 slips change the file");
    assert!(told >= 9, "{told}");
}
