//! Questions in other people's words: a plan by keywords, columns found in the text, and the names of the answer format.
//!
//! `mentions` finds columns, `filters` the rows that are meant, `wording` decimals and labels; `reading` holds what is known.
//! `models`, `extreme` and `value` (with `relation` and `label`) write the lines that compute and print. What has no place is left
//! alone: a plan covers every value or there is none.

mod extreme;
mod filters;
mod label;
mod mentions;
mod models;
mod reading;
mod relation;
mod value;
mod wording;

use std::collections::BTreeSet;

use mentions::mentions;
use reading::Reading;

use crate::prompt::{Question, Table};

/// A way to answer a question.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The thought that goes before the code.
    pub thought: String,
    /// The cell that prints every value.
    pub code: String,
    /// The columns in use.
    pub columns: Vec<String>,
}

impl Plan {
    /// The same plan with a plausible mistake.
    pub fn mistaken(&self) -> String {
        let swaps = [
            (".mean()", ".median()"),
            ("stats.pearsonr", "stats.kendalltau"),
            (".std()", ".var()"),
            (".median()", ".mean()"),
            ("stats.shapiro", "stats.normaltest"),
            (".isna()", ".notna()"),
            ("idxmax()", "idxmin()"),
            ("test_size=0.", "test_size=0.1"),
            ("1.5 *", "1.0 *"),
            (".sum()", ".count()"),
        ];
        let (from, to) = swaps
            .iter()
            .find(|(from, _)| self.code.contains(from))
            .copied()
            .unwrap_or(("%.2f", "%.0f"));
        self.code.replace(from, to)
    }
}

/// A plan for every value of the answer format, or none.
pub fn plan(question: &Question, tables: &[Table], names: &[String]) -> Option<Plan> {
    if names.is_empty() || names.len() > 12 {
        return None;
    }
    let table = tables
        .iter()
        .max_by_key(|table| mentions(&question.text, table).len())?;
    let mut found = mentions(&question.text, table);
    for mention in mentions(&question.constraints, table) {
        if !found
            .iter()
            .any(|earlier| earlier.column.name == mention.column.name)
        {
            found.push(mention);
        }
    }
    let mut reading = Reading {
        question,
        table,
        names,
        lower: format!("{} {}", question.text, question.constraints).to_lowercase(),
        mentions: found,
        used: BTreeSet::new(),
        lines: Vec::new(),
        done: BTreeSet::new(),
        derived: None,
    };
    reading.prepare(tables);
    let printed = models::train(&mut reading)
        .or_else(|| extreme::extreme(&mut reading))
        .or_else(|| {
            let mut printed = Vec::new();
            for name in names {
                printed.push(value::value(&mut reading, name)?);
            }
            // The same expression under two names means that the difference between them was not understood.
            let expressions: BTreeSet<&str> = printed
                .iter()
                .filter_map(|line| line.split_once(" % ").map(|(_, expression)| expression))
                .collect();
            (expressions.len() == printed.len()).then_some(printed)
        })?;
    let columns: Vec<String> = reading.used.iter().cloned().collect();
    let quoted: Vec<String> = columns.iter().map(|column| format!("`{column}`")).collect();
    let mut code = reading.lines.join("\n");
    code.push('\n');
    code.push_str(&printed.join("\n"));
    let mut imports = String::new();
    if code.contains("stats.") {
        imports.push_str("from scipy import stats\n\n");
    }
    if code.contains("numeric(") {
        imports.push_str(NUMERIC);
    }
    let thought = format!(
        "The question is about {}; I compute each value of the answer and print it in the form that is asked for.",
        quoted.join(", ")
    );
    Some(Plan {
        thought,
        code: format!("{imports}{code}"),
        columns,
    })
}

const NUMERIC: &str = r#"
def numeric(column):
    text = column.astype(str).str.strip()
    if text.str.fullmatch(r"\d+:\d\d:\d\d").mean() > 0.5:
        return pd.to_timedelta(text, errors="coerce").dt.total_seconds()
    return text.str.replace(",", "").str.extract(r"(-?\d+\.?\d*(?:[eE][-+]?\d+)?)")[0].astype(float)


"#;

pub(super) fn print_number(name: &str, expression: &str, places: usize) -> String {
    let name = name.replace('%', "%%");
    if places == 0 {
        format!("print(\"@{name}[%d]\" % round({expression}))")
    } else {
        format!("print(\"@{name}[%.{places}f]\" % ({expression}))")
    }
}

pub(super) fn print_text(name: &str, expression: &str) -> String {
    format!(
        "print(\"@{}[%s]\" % ({expression}))",
        name.replace('%', "%%")
    )
}
