//! What a first user message says: its tables, and which role it asks for.

use std::sync::LazyLock;

use regex::Regex;

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

/// A prediction as a solver is asked for it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Prediction {
    /// The column to predict.
    pub target: String,
    /// The rows to predict.
    pub test_file: String,
    /// The rows for which the target is known.
    pub train_file: String,
    /// The file to write.
    pub submission: String,
    /// The column that aligns rows.
    pub id_column: String,
    /// Whether labels are predicted (macro F1), not numbers (R2).
    pub labels: bool,
    /// The column that orders rows in time, for forecasts.
    pub time_column: Option<String>,
}

static TABLE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"^## `data/(.+)`: (\d+) rows, \d+ columns(?:, encoding ([A-Za-z0-9_.-]+))?(?:, separator ("(?:[^"\\]|\\.)*"))?\s*$"#,
    )
});
static COLUMN: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"^\| `(.*)` \| (integer|number|boolean|date|text|empty) \| (\d+) \| (\d+)(?: or more)? \| (.*)\|\s*$",
    )
});
static PREDICT: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"Predict the column `([^`\n]+)` for every row of `data/([^`\n]+)`\. `data/([^`\n]+)` holds the rows for which it is known(?:; the rows to predict come later in time, by `([^`\n]+)`)?",
    )
});
static SUBMISSION: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"Write `([^`\n]+)` into the working directory: a CSV file with the columns `([^`\n]+)` and",
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
                rows: found[2].parse().unwrap_or(0),
                encoding: found.get(3).map_or("utf-8", |m| m.as_str()).to_owned(),
                separator: found
                    .get(4)
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

/// What a message asks for, seen from its structure.
pub fn request(message: &str) -> Request {
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
    if let (Some(known), Some(file)) = (PREDICT.captures(text), SUBMISSION.captures(text)) {
        return Request::Predict(Prediction {
            target: known[1].to_owned(),
            test_file: known[2].to_owned(),
            train_file: known[3].to_owned(),
            time_column: known.get(4).map(|m| m.as_str().to_owned()),
            submission: file[1].to_owned(),
            id_column: file[2].to_owned(),
            labels: text.contains("F1"),
        });
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
fn section(message: &str, heading: &str, next: &[&str]) -> Option<String> {
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
