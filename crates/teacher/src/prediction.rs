//! What a prompt for predictions says: files, columns, metric, and what it tells of time.

use std::sync::LazyLock;

use regex::Regex;

use crate::prompt::{self, Table, names, pattern};
use crate::reading::Rows;

/// A prediction as a solver is asked for it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prediction {
    /// The columns to predict.
    pub targets: Vec<String>,
    /// The rows to predict.
    pub test: Rows,
    /// The rows for which the targets are known.
    pub train: Rows,
    /// The file to write.
    pub submission: String,
    /// The columns that align rows.
    pub keys: Vec<String>,
    /// Whether labels are predicted (macro F1), not numbers (R2).
    pub labels: bool,
    /// The column that orders rows in time, for forecasts.
    pub time_column: Option<String>,
    /// How times are written.
    pub time_format: Option<String>,
    /// The columns that tell one series from another.
    pub entities: Vec<String>,
    /// A step into which training rows are to be gathered first, and how.
    pub gather: Option<(String, String)>,
    /// Whether the prompt says more than the plainest one does.
    pub rich: bool,
}

/// Names in backticks: `a`, `a` and `b`, `a`, `b` and `c`, `a`, `b`.
const LIST: &str = r"(`[^`\n]+`(?:(?:, | and )`[^`\n]+`)*)";

/// The prediction that a question asks for, in our words or in those of the published benchmark.
pub fn read(text: &str, tables: &[Table]) -> Option<Prediction> {
    own(text).or_else(|| published(text, tables))
}

fn own(question: &str) -> Option<Prediction> {
    static PREDICT: LazyLock<Regex> = LazyLock::new(|| {
        pattern(&format!(
            r"Predict the columns? {LIST} for every row of `data/([^`\n]+)`\. `data/([^`\n]+)` holds the rows for which (?:it is|they are) known(?:; the rows to predict come later in time, by `([^`\n]+)`)?"
        ))
    });
    static SUBMISSION: LazyLock<Regex> = LazyLock::new(|| {
        pattern(&format!(
            r"Write `([^`\n]+)` into the working directory: a CSV file with the columns {LIST}, one row for"
        ))
    });
    static FORMAT: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"Times are written as `([^`\n]+)`\."));
    static ENTITIES: LazyLock<Regex> =
        LazyLock::new(|| pattern(&format!(r"There is a series for each {LIST}\.")));
    static TABLES: LazyLock<Regex> = LazyLock::new(|| {
        pattern(&format!(
            r"the training rows lie in the tables? {LIST}(?:, to be joined on `([^`\n]+)`)?, the rows to predict in the table `([^`\n]+)`"
        ))
    });
    let (known, file) = (PREDICT.captures(question)?, SUBMISSION.captures(question)?);
    let targets = names(&known[1]);
    // The keys stand first, the targets behind them.
    let mut keys = names(&file[2]);
    keys.truncate(keys.len().saturating_sub(targets.len()).max(1));
    let rows = |path: &str| Rows {
        path: path.to_owned(),
        tables: Vec::new(),
        join: keys[0].clone(),
    };
    let (mut test, mut train) = (rows(&known[2]), rows(&known[3]));
    if let Some(found) = TABLES.captures(question) {
        train.tables = names(&found[1]);
        if let Some(join) = found.get(2) {
            join.as_str().clone_into(&mut train.join);
        }
        test.tables = vec![found[3].to_owned()];
    }
    let time_format = FORMAT.captures(question).map(|found| found[1].to_owned());
    let entities = ENTITIES
        .captures(question)
        .map(|found| names(&found[1]))
        .unwrap_or_default();
    let rich = targets.len() > 1
        || keys.len() > 1
        || time_format.is_some()
        || !entities.is_empty()
        || !train.is_text()
        || !test.is_text()
        || question.contains("` describes the columns.")
        || question.contains("A row stands for a step of `")
        || question.contains("Nothing else is known of the rows to predict");
    Some(Prediction {
        targets,
        test,
        train,
        submission: file[1].to_owned(),
        keys,
        labels: question.contains("F1"),
        time_column: known.get(4).map(|m| m.as_str().to_owned()),
        time_format,
        entities,
        gather: None,
        rich,
    })
}

/// A question of the published benchmark, for predictions (not for a workflow).
fn published(question: &str, tables: &[Table]) -> Option<Prediction> {
    static TRAIN: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"Load (?:data in|the file) `([^`\n]+)` as your (?:full training set|complete training data)",
        )
    });
    static MODELLED: LazyLock<Regex> = LazyLock::new(|| {
        pattern(&format!(
            r"(?:use `([^`\n]+)` to generate a prediction for {LIST} for each `([^`\n]+)`|generate predictions for {LIST} in `([^`\n]+)` for each `([^`\n]+)`)"
        ))
    });
    static FORECAST: LazyLock<Regex> = LazyLock::new(|| {
        pattern(&format!(
            r"based on the file `([^`\n]+)`, forecast the target columns? {LIST}"
        ))
    });
    static GATHER: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"uniform time interval of '([^'\n]+)', and aggregate the target columns? using the method '([a-z]+)'",
        )
    });
    static FILE: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"output a file named `([^`\n]+)`|output file must be named `([^`\n]+)`")
    });
    let group = |found: &regex::Captures<'_>, places: &[usize]| {
        places
            .iter()
            .find_map(|place| found.get(*place))
            .map(|m| m.as_str().to_owned())
            .unwrap_or_default()
    };
    let train = TRAIN.captures(question)?[1].to_owned();
    let submission = group(&FILE.captures(question)?, &[1, 2]);
    let forecast = FORECAST.captures(question);
    let (test, targets, mut keys) = match (&forecast, MODELLED.captures(question)) {
        (Some(found), _) => (found[1].to_owned(), names(&found[2]), Vec::new()),
        (None, Some(found)) => (
            group(&found, &[1, 5]),
            names(&group(&found, &[2, 4])),
            vec![group(&found, &[3, 6])],
        ),
        (None, None) => return None,
    };
    let in_time = forecast.is_some() || question.contains("future time points");
    let columns = prompt::table(tables, &test).map(|table| &table.columns);
    if keys.is_empty() {
        keys = columns?.iter().map(|column| column.name.clone()).collect();
    }
    let time_column = columns
        .filter(|_| in_time)
        .and_then(|columns| time_of(columns));
    let entities = match (&forecast, &time_column) {
        (Some(_), Some(time)) => keys.iter().filter(|key| *key != time).cloned().collect(),
        _ => Vec::new(),
    };
    Some(Prediction {
        targets,
        test: Rows::described(&test, tables),
        train: Rows::described(&train, tables),
        submission,
        keys,
        labels: question.contains("train a classification model"),
        time_column,
        time_format: None,
        entities,
        gather: GATHER
            .captures(question)
            .map(|found| (found[1].to_owned(), found[2].to_owned())),
        rich: true,
    })
}

/// The column that says when, by its type or by its name.
fn time_of(columns: &[prompt::Column]) -> Option<String> {
    let named = |column: &&prompt::Column| {
        let name = column.name.to_lowercase();
        ["date", "time", "year", "month", "day", "period"]
            .iter()
            .any(|word| name.contains(word))
    };
    columns
        .iter()
        .find(|column| column.kind == "date" && named(column))
        .or_else(|| columns.iter().find(|column| column.kind == "date"))
        .or_else(|| columns.iter().find(named))
        .map(|column| column.name.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rich_prompt_is_read_whole() {
        let text = "Predict the columns `a` and `b` for every row of `data/val.sqlite`. `data/train.sqlite` holds the rows for which they are known; the rows to predict come later in time, by `day`. Times are written as `%d/%m/%Y`. There is a series for each `shop`. Both files are SQLite databases: the training rows lie in the tables `x`, `y` and `z`, to be joined on `row_id`, the rows to predict in the table `rows`.\n\nWrite `out.csv` into the working directory: a CSV file with the columns `day`, `shop` and `a` and `b`, one row for\neach row of the test file, its `day` and `shop` taken from there. It is scored by the coefficient of determination, R2, the mean over the columns, against values that you cannot see.";
        let prediction = read(text, &[]).expect("it is a prediction");
        assert_eq!(prediction.targets, ["a", "b"]);
        assert_eq!(prediction.keys, ["day", "shop"]);
        assert_eq!(prediction.train.tables, ["x", "y", "z"]);
        assert_eq!(prediction.train.join, "row_id");
        assert_eq!(prediction.test.tables, ["rows"]);
        assert_eq!(prediction.entities, ["shop"]);
        assert_eq!(prediction.time_format.as_deref(), Some("%d/%m/%Y"));
        assert!(prediction.rich && !prediction.labels);
    }

    #[test]
    fn forecasts_of_the_published_benchmark_are_read() {
        let column = |name: &str, kind: &str| prompt::Column {
            name: name.to_owned(),
            kind: kind.to_owned(),
            ..prompt::Column::default()
        };
        let tables = [Table {
            path: "val_v2.csv".to_owned(),
            columns: vec![column("state", "text"), column("date", "date")],
            ..Table::default()
        }];
        let text = "Load the file `train.csv` as your complete training data. Then, based on the file `val_v2.csv`, forecast the target column `y`. Before training, resample the training data to a uniform time interval of '1D', and aggregate the target column using the method 'count'. Your output file must be named `prediction.csv` and";
        let prediction = read(text, &tables).expect("it is a forecast");
        assert_eq!(prediction.keys, ["state", "date"]);
        assert_eq!(prediction.entities, ["state"]);
        assert_eq!(prediction.time_column.as_deref(), Some("date"));
        assert_eq!(
            prediction.gather,
            Some(("1D".to_owned(), "count".to_owned()))
        );
        let text = "Load data in `train_v2.parquet` as your full training set. train a classification model on this training data. Then use `val_v2.parquet` to generate a prediction for `a`, `b` for each `row_id`. The model should output a file named `prediction.csv`.";
        let prediction = read(text, &[]).expect("it is a prediction");
        assert_eq!(prediction.targets, ["a", "b"]);
        assert!(prediction.labels && prediction.time_column.is_none());
    }
}
