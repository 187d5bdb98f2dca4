//! What a first user message says: its tables, and which role it asks for.

use std::sync::LazyLock;

use regex::Regex;

use crate::contest::{self, Contest};
use crate::prediction::{self, Prediction};
use crate::workflow::{self, Workflow};

/// A column as the prompt's table section describes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Column {
    /// The name as in the file.
    pub name: String,
    /// `integer`, `number`, `boolean`, `date`, `text` or `empty`.
    pub kind: String,
    /// Empty cells.
    pub missing: u64,
    /// Different values; counting stops at 1000.
    pub distinct: u64,
    /// The range, or examples, as they stand there.
    pub shown: String,
}

/// A table as the prompt describes it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// The path under `data/`.
    pub path: String,
    /// The table's name inside the file, where a file holds several.
    pub inner: Option<String>,
    /// The text encoding.
    pub encoding: String,
    /// The field separator.
    pub separator: String,
    /// Rows without the header.
    pub rows: u64,
    /// The columns in order.
    pub columns: Vec<Column>,
}

impl Table {
    /// Whether the table has this column.
    pub fn has(&self, name: &str) -> bool {
        self.columns.iter().any(|column| column.name == name)
    }
}

/// What is asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// New queries about the tables.
    Explore {
        /// How many.
        count: usize,
        /// A query that must not be posed again.
        seed_question: String,
    },
    /// An answer to a question.
    Solve(Question),
    /// A file of predictions.
    Predict(Prediction),
    /// A submission to a competition.
    Compete(Contest),
    /// A workflow to be followed to the letter.
    Follow(Workflow),
    /// The design of a task over a table, or over a time series.
    Design {
        /// Whether a forecast is to be designed.
        series: bool,
    },
    /// Whether a competition can become a task.
    Valid,
    /// Whether two answers mean the same.
    Equivalent,
    /// A judgement of an attempt.
    Judge,
    /// None of these.
    Unknown,
}

/// A question as a solver is asked it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Question {
    /// What is asked.
    pub text: String,
    /// How the work is to be done.
    pub constraints: String,
    /// How the answer is to be written.
    pub format: String,
}

static TABLE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"^## `data/([^`]+)`(?:, table `([^`]+)`)?: (\d+) rows, \d+ columns(?:, encoding ([A-Za-z0-9_.-]+))?(?:, separator ("(?:[^"\\]|\\.)*"))?\s*$"#,
    )
});
static COLUMN: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^\| `(.*)` \| (integer|number|boolean|date|text|empty) \| (\d+) \| (\d+)(?: or more)? \| (.*)\|\s*$",
    )
});
static COUNT: LazyLock<Regex> = LazyLock::new(|| pattern(r"pose (\d+) new quer"));

/// A regular expression that is part of the program.
pub fn pattern(source: &str) -> Regex {
    Regex::new(source).expect("patterns of the program are valid and tested")
}

/// The tables that a message describes.
pub fn tables(message: &str) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    for line in message.lines() {
        if let Some(found) = TABLE.captures(line) {
            tables.push(Table {
                path: found[1].to_owned(),
                inner: found.get(2).map(|m| m.as_str().to_owned()),
                rows: found[3].parse().unwrap_or(0),
                encoding: found.get(4).map_or("utf-8", |m| m.as_str()).to_owned(),
                separator: found
                    .get(5)
                    .and_then(|m| serde_json::from_str(m.as_str()).ok())
                    .unwrap_or_else(|| ",".to_owned()),
                columns: Vec::new(),
            });
        } else if let (Some(table), Some(found)) = (tables.last_mut(), COLUMN.captures(line)) {
            table.columns.push(Column {
                name: found[1].to_owned(),
                kind: found[2].to_owned(),
                missing: found[3].parse().unwrap_or(0),
                distinct: found[4].parse().unwrap_or(0),
                shown: found[5].trim().to_owned(),
            });
        }
    }
    tables
}

/// The table at a path; the first where a file holds several.
pub fn table<'a>(tables: &'a [Table], path: &str) -> Option<&'a Table> {
    tables.iter().find(|table| table.path == path)
}

/// The names between backticks.
pub fn names(text: &str) -> Vec<String> {
    static NAME: LazyLock<Regex> = LazyLock::new(|| pattern(r"`([^`\n]+)`"));
    NAME.captures_iter(text)
        .map(|found| found[1].to_owned())
        .collect()
}

/// What a message asks for, seen from its structure.
pub fn request(message: &str) -> Request {
    let starts = |opening: &str| message.trim_start().starts_with(opening);
    if starts("You design a prediction task over a table") {
        return Request::Design { series: false };
    }
    if starts("You design a forecasting task over a table") {
        return Request::Design { series: true };
    }
    if starts("You decide whether a Kaggle competition can become a task") {
        return Request::Valid;
    }
    if starts("You decide whether an answer says the same as a reference answer") {
        return Request::Equivalent;
    }
    if message.contains("# Your judgement") && message.contains("`plausibility`") {
        return Request::Judge;
    }
    if message.contains("<query>") && message.contains("<reference>") {
        let count = COUNT
            .captures(message)
            .and_then(|found| found[1].parse().ok())
            .unwrap_or(5);
        let seed_question: Vec<&str> = message
            .lines()
            .filter_map(|line| line.strip_prefix("> "))
            .collect();
        return Request::Explore {
            count,
            seed_question: seed_question.join("\n"),
        };
    }
    let question = section(message, "# Question", &["# Constraints", "# Answer format"]);
    let text = question.as_deref().unwrap_or(message);
    let tables = tables(message);
    if let Some(contest) = contest::read(text) {
        return Request::Compete(contest);
    }
    if let Some(workflow) = workflow::read(text) {
        return Request::Follow(workflow);
    }
    if let Some(prediction) = prediction::read(text, &tables) {
        return Request::Predict(prediction);
    }
    match question {
        Some(text) => Request::Solve(Question {
            text,
            constraints: section(message, "# Constraints", &["# Answer format"])
                .unwrap_or_default(),
            format: section(message, "# Answer format", &[]).unwrap_or_default(),
        }),
        None => Request::Unknown,
    }
}

/// The text under the last heading of this name, up to the next of the headings that may follow.
pub fn section(message: &str, heading: &str, next: &[&str]) -> Option<String> {
    let lines: Vec<&str> = message.lines().collect();
    let start = lines.iter().rposition(|line| line.trim_end() == heading)? + 1;
    let end = lines[start..]
        .iter()
        .position(|line| next.contains(&line.trim_end()))
        .map_or(lines.len(), |found| start + found);
    Some(lines[start..end].join("\n").trim().to_owned())
}

/// The names of an answer format, `@name[…]`, in their order.
pub fn answer_names(format: &str) -> Vec<String> {
    static NAME: LazyLock<Regex> = LazyLock::new(|| pattern(r"@([^\s\[\]@,]+)\["));
    let mut names: Vec<String> = Vec::new();
    for found in NAME.captures_iter(format) {
        if !names.iter().any(|name| name == &found[1]) {
            names.push(found[1].to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_read_with_odd_names_encodings_and_separators() {
        let message = "## `data/a b.csv`: 12 rows, 2 columns, encoding cp1252, separator \"\\t\"\n\n| column | type | missing | different values | range or examples |\n|---|---|---|---|---|\n| ` m/z | x` | number | 3 | 1000 or more | 0.5 to 7 |\n| `#photo` | text | 0 | 2 | a, b |\n";
        let tables = tables(message);
        assert_eq!(tables.len(), 1);
        assert_eq!(tables[0].separator, "\t");
        assert_eq!(tables[0].encoding, "cp1252");
        assert_eq!(tables[0].columns[0].name, " m/z | x");
        assert_eq!(tables[0].columns[0].distinct, 1000);
        assert_eq!(tables[0].columns[1].kind, "text");
    }

    #[test]
    fn names_of_a_format_come_once_and_in_order() {
        assert_eq!(answer_names("@b[x], @a[y] where @b[x] is"), ["b", "a"]);
    }

    #[test]
    fn text_that_is_no_prompt_asks_for_nothing() {
        assert_eq!(request("hello"), Request::Unknown);
    }
}
