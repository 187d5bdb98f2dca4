//! What instructions to be followed to the letter say: read back, step by step, from any of their wordings.

use std::sync::LazyLock;

use regex::Regex;

use crate::prompt::{names, pattern};
use crate::reading::Rows;

/// A prescribed workflow.
#[derive(Clone, Debug, PartialEq)]
pub struct Workflow {
    /// The columns to predict.
    pub targets: Vec<String>,
    /// The training rows.
    pub train: Rows,
    /// The rows to predict.
    pub test: Rows,
    /// The file that describes columns.
    pub metadata: String,
    /// What training rows must keep to.
    pub ranges: Vec<(Named, Within)>,
    /// The columns to learn from.
    pub features: Vec<Named>,
    /// Those of them that are numeric.
    pub numeric: Vec<Named>,
    /// Those of them that are categorical.
    pub categorical: Vec<Named>,
    /// The strategy of imputation for numeric features.
    pub imputer: String,
    /// The class that scales numeric features.
    pub scaler: String,
    /// The model's class.
    pub model: String,
    /// The model's module.
    pub module: String,
    /// The model's arguments, as code.
    pub parameters: Vec<String>,
    /// Whether one model learns all targets together.
    pub joint: bool,
    /// The column that names rows.
    pub id_column: String,
    /// The file to write.
    pub submission: String,
}

/// A column as instructions call it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// By its name.
    Name(String),
    /// By what it means.
    Meaning(String),
}

/// What a value must be.
#[derive(Clone, Debug, PartialEq)]
pub enum Within {
    /// A number from the first to the second, both included.
    Between(String, String),
    /// One of these texts.
    OneOf(Vec<String>),
}

/// A column: `"what it means" (`name`)`, `"what it means"` or `` `name` ``.
const COLUMN: &str = r#"(?:"[^"\n]+"(?: \(`[^`\n]+`\))?|`[^`\n]+`)"#;
const CODES: &str = r"(?:`[^`\n]+`(?:(?:, | and )`[^`\n]+`)*)";

/// A pattern in which `COLUMNS`, `COLUMN`, `CODES` and `CODE` stand for what instructions quote.
fn says(source: &str) -> Regex {
    let columns = format!("(?:{COLUMN}(?:(?:, | and ){COLUMN})*)");
    pattern(
        &source
            .replace("COLUMNS", &format!("({columns})"))
            .replace("COLUMN", &format!("({COLUMN})"))
            .replace("CODES", &format!("({CODES})"))
            .replace("CODE", r"`([^`\n]+)`"),
    )
}

macro_rules! said {
    ($question:expr, $($source:literal),+ $(,)?) => {{
        static WAYS: LazyLock<Vec<Regex>> = LazyLock::new(|| vec![$(says($source)),+]);
        WAYS.iter().find_map(|way| way.captures($question))
    }};
}

/// The workflow that a question prescribes.
pub fn read(question: &str) -> Option<Workflow> {
    let question = question.trim_start();
    if !question.starts_with("Follow this workflow to the letter: ") {
        return None;
    }
    let group = |found: Option<regex::Captures<'_>>, place: usize| {
        found
            .and_then(|found| found.get(place).map(|m| m.as_str().to_owned()))
            .unwrap_or_default()
    };
    let file = |path: String| {
        path.strip_prefix("data/")
            .map_or(path.clone(), str::to_owned)
    };
    let targets = said!(
        question,
        r"predict the target columns? CODES for the rows of ",
        r"of the target columns? CODES for the validation data",
        r"Predict CODES \((?:classification|regression)\) for ",
    )?;
    let train = said!(
        question,
        r"Load the training rows from the (?:CSV|Parquet|SQLite) file CODE",
        r"You have training data in CODE",
        r"\((?:classification|regression)\) for `[^`\n]+` from CODE",
    )?;
    let test = said!(
        question,
        r"for the rows of CODE",
        r"validation data in CODE",
        r"\((?:classification|regression)\) for CODE from ",
    )?;
    let metadata = said!(
        question,
        r"CODE has a line `name: description`",
        r"and CODE, which describes the data",
        r"see CODE for the meaning of the columns",
    );
    let output = said!(
        question,
        r"the CSV file CODE in(?:to)? the working directory"
    )?;
    let columns = said!(
        question,
        r"in(?:to)? the working directory, (?:with the )?columns CODES"
    )?;
    let id_column = names(&columns[1]).into_iter().next()?;
    let (train_tables, test_table) = tables(question);
    let model = said!(
        question,
        r"Train CODE (?:of|from) CODE (?:with CODES)?",
        r"- Model: CODE \(CODE\), (?:CODES)?",
    )?;
    let numeric = said!(
        question,
        r"Numeric features, in this order: COLUMNS\.",
        r"Treat COLUMNS as numeric features",
        r"- Numeric: COLUMNS\. ",
    );
    let categorical = said!(
        question,
        r"Categorical features, in this order: COLUMNS\.",
        r"reat COLUMNS as categorical features",
        r"- Categorical: COLUMNS\. ",
    );
    let features = said!(
        question,
        r"Learn from these features only, in this order: COLUMNS\.",
        r"the following features, in this exact order: COLUMNS\.",
        r"- Features: COLUMNS, in that order",
    )?;
    let filled = said!(
        question,
        r"by CODE imputation \(`SimpleImputer`\), then scale them with CODE",
        r"of numeric features by CODE imputation and then apply CODE",
        r"- Numeric: [^\n]* Impute by CODE, then CODE",
    );
    let rows = |path: &str, tables: Vec<String>| Rows {
        path: file(path.to_owned()),
        tables,
        join: id_column.clone(),
    };
    Some(Workflow {
        targets: names(&targets[1]),
        train: rows(&train[1], train_tables),
        test: rows(&test[1], test_table.into_iter().collect()),
        metadata: file(group(metadata, 1)),
        ranges: ranges(question),
        features: columns_of(&features[1]),
        numeric: columns_of(&group(numeric, 1)),
        categorical: columns_of(&group(categorical, 1)),
        imputer: filled
            .as_ref()
            .map_or_else(|| "mean".to_owned(), |found| found[1].to_owned()),
        scaler: filled.map_or_else(|| "StandardScaler".to_owned(), |found| found[2].to_owned()),
        model: model[1].to_owned(),
        module: model[2].to_owned(),
        parameters: model
            .get(3)
            .map(|list| names(list.as_str()))
            .unwrap_or_default(),
        joint: question.contains("all targets together"),
        id_column: id_column.clone(),
        submission: output[1].to_owned(),
    })
}

/// The tables of an `SQLite` file that hold the training rows, and the one that holds the rows to predict.
fn tables(question: &str) -> (Vec<String>, Option<String>) {
    let train = said!(
        question,
        r"join its tables CODES on ",
        r": its table CODES\. ",
        r"joining its tables CODES on ",
        r"from the table CODES of the SQLite file",
        r"the join of CODES in ",
        r"The training table is CODES in ",
    );
    let test = said!(
        question,
        r"the rows to predict from the table CODE of ",
        r"the validation data is the table CODE of ",
        r"the rows to predict are CODE in ",
    );
    (
        train.map(|found| names(&found[1])).unwrap_or_default(),
        test.map(|found| found[1].to_owned()),
    )
}

fn ranges(text: &str) -> Vec<(Named, Within)> {
    static RANGE: LazyLock<Regex> = LazyLock::new(|| {
        says(
            r"COLUMN (?:between (-?[0-9][^ ,\n]*) and (-?[0-9][^ ,\n]*), both included|one of CODES)",
        )
    });
    RANGE
        .captures_iter(text)
        .filter_map(|found| {
            let within = match found.get(4) {
                Some(codes) => Within::OneOf(names(codes.as_str())),
                None => Within::Between(found[2].to_owned(), found[3].to_owned()),
            };
            Some((columns_of(&found[1]).into_iter().next()?, within))
        })
        .collect()
}

fn columns_of(list: &str) -> Vec<Named> {
    static ONE: LazyLock<Regex> =
        LazyLock::new(|| pattern(r#""([^"\n]+)"(?: \(`([^`\n]+)`\))?|`([^`\n]+)`"#));
    ONE.captures_iter(list)
        .filter_map(
            |found| match (found.get(2).or(found.get(3)), found.get(1)) {
                (Some(name), _) => Some(Named::Name(name.as_str().to_owned())),
                (None, Some(meaning)) => Some(Named::Meaning(meaning.as_str().to_owned())),
                (None, None) => None,
            },
        )
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_read_in_order() {
        let text = "- \"hours of sleep, a night\" between -0.5 and 10, both included; `odd \"name\"` one of `a b`, `c` and `d, e`; \"x\" (`y`) between 1e-3 and 2, both included.";
        let between = |low: &str, high: &str| Within::Between(low.to_owned(), high.to_owned());
        let expected = [
            (
                Named::Meaning("hours of sleep, a night".to_owned()),
                between("-0.5", "10"),
            ),
            (
                Named::Name("odd \"name\"".to_owned()),
                Within::OneOf(vec!["a b".to_owned(), "c".to_owned(), "d, e".to_owned()]),
            ),
            (Named::Name("y".to_owned()), between("1e-3", "2")),
        ];
        assert_eq!(ranges(text), expected);
    }
}
