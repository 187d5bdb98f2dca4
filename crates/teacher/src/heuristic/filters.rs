//! Which rows a question means: conditions on columns, and groups that the names of its format stand for.

use std::sync::LazyLock;

use regex::Regex;

use super::Reading;
use crate::prompt::{Column, pattern};
use crate::python::literal;

/// A condition on a column.
pub struct Filter {
    /// The column.
    pub column: String,
    /// The condition in Python, over the frame `part`.
    pub condition: String,
}

/// The conditions that the question states.
pub fn filters(reading: &Reading) -> Vec<Filter> {
    let mut found: Vec<Filter> = Vec::new();
    for column in &reading.table.columns {
        let condition = equality(reading, column)
            .or_else(|| year(reading, column))
            .or_else(|| named_value(reading, column))
            .or_else(|| verb(reading, column))
            .or_else(|| ordinal(reading, column));
        if let Some(condition) = condition {
            found.push(Filter {
                column: column.name.clone(),
                condition,
            });
        }
    }
    found
}

/// Whether a text has a name in it at all, in letters of any case. A pattern of a column's own is dear, and most columns are not spoken of.
fn speaks_of(text: &str, name: &str) -> bool {
    text.to_lowercase().contains(&name.to_lowercase())
}

/// `Grade = 'C'`, `(ANGLE) equal to 90`.
fn equality(reading: &Reading, column: &Column) -> Option<String> {
    let source = format!(
        r#"(?i){}['")\]]*\s*(?:column\s+)?(?:==|=|is equal to|exactly equal to|equal to|equals)\s*['"]?([A-Za-z][\w-]*|-?\d+(?:\.\d+)?)"#,
        regex::escape(column.name.trim())
    );
    let words = column.name.trim().to_lowercase().replace('_', " ");
    let spelt = format!(
        r"(?i)\b{} (?:exactly )?(?:of|equal to|exactly equal to) (\d+(?:\.\d+)?)",
        regex::escape(&words)
    );
    let text = reading.text();
    let mut all: Vec<String> = Vec::new();
    if speaks_of(&text, column.name.trim()) {
        let expression = Regex::new(&source).ok()?;
        let found = expression.captures_iter(&text);
        all.extend(found.map(|found| found[1].to_owned()));
    }
    let value = match all.first() {
        // Several values of one column are groups to compare, not a condition.
        Some(first) if all.iter().all(|value| value == first) => first.clone(),
        None if speaks_of(&reading.question.text, &words) => {
            Regex::new(&spelt).ok()?.captures(&reading.question.text)?[1].to_owned()
        }
        _ => return None,
    };
    let name = literal(&column.name);
    if value.parse::<f64>().is_ok() && column.kind != "text" {
        Some(format!("part[{name}] == {value}"))
    } else if column.kind == "text" && column.shown.split(", ").any(|shown| shown == value) {
        Some(format!("part[{name}] == {}", literal(&value)))
    } else {
        None
    }
}

/// `in the year 2010`, `for the years 2000 and beyond`.
fn year(reading: &Reading, column: &Column) -> Option<String> {
    static YEAR: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"(?i)\byears?\s+(\d{4})( and (?:beyond|later|after|onwards))?"));
    if column.name.trim().to_lowercase() != "year" || column.kind != "integer" {
        return None;
    }
    let text = reading.text();
    let found = YEAR.captures(&text)?;
    let sign = if found.get(2).is_some() { ">=" } else { "==" };
    Some(format!(
        "part[{}] {sign} {}",
        literal(&column.name),
        &found[1]
    ))
}

/// `female birds`, `the "coastal" habitat`.
fn named_value(reading: &Reading, column: &Column) -> Option<String> {
    if column.kind != "text" || column.distinct > 30 {
        return None;
    }
    let lower = reading.question.text.to_lowercase();
    let words: Vec<&str> = lower
        .split(|c: char| !(c.is_alphanumeric() || c == '-'))
        .collect();
    let values: Vec<&str> = column
        .shown
        .split(", ")
        .filter(|value| {
            value.len() > 2
                && value.parse::<f64>().is_err()
                && words.contains(&value.to_lowercase().as_str())
        })
        .collect();
    let mentioned: std::collections::BTreeSet<&str> = values.into_iter().collect();
    if mentioned.len() == 1 {
        let value = mentioned.first()?;
        return Some(format!(
            "part[{}] == {}",
            literal(&column.name),
            literal(value)
        ));
    }
    // A quoted value right before the column's own name, though the description does not show it.
    if !speaks_of(&lower, column.name.trim()) {
        return None;
    }
    let source = format!(
        r#"["']([^"'\n]{{2,30}})["']\s+{}\b"#,
        regex::escape(&column.name.trim().to_lowercase())
    );
    let place = Regex::new(&source).ok()?.captures(&lower)?.get(1)?.range();
    let value = reading.question.text.get(place)?;
    Some(format!(
        "part[{}] == {}",
        literal(&column.name),
        literal(value)
    ))
}

fn is_flag(column: &Column) -> bool {
    column.distinct == 2
        && (column.kind == "boolean" || column.kind == "integer" && column.shown.trim() == "0 to 1")
}

/// `who renewed`, for a column of zeros and ones.
fn verb(reading: &Reading, column: &Column) -> Option<String> {
    if !is_flag(column) {
        return None;
    }
    let lower = reading.question.text.to_lowercase();
    let name = column.name.to_lowercase();
    let stem = name.trim_end_matches("ed").trim_end_matches('e');
    let yes = lower.contains(&format!("who {name}")) || lower.contains(&format!("that {name}"));
    let no = ["did not", "didn't", "not"]
        .iter()
        .any(|not| lower.contains(&format!("{not} {stem}")));
    match (yes, no) {
        (true, false) => Some(format!("part[{}] == 1", literal(&column.name))),
        (false, true) => Some(format!("part[{}] == 0", literal(&column.name))),
        _ => None,
    }
}

const ORDINALS: [(&str, u8); 4] = [("first", 1), ("second", 2), ("third", 3), ("fourth", 4)];

/// `in first class`, for a column such as `Wclass`.
fn ordinal(reading: &Reading, column: &Column) -> Option<String> {
    let name = column.name.to_lowercase();
    if column.kind != "integer" || column.distinct > 10 || !name.ends_with("class") {
        return None;
    }
    let lower = reading.question.text.to_lowercase();
    let meant: Vec<u8> = ORDINALS
        .iter()
        .filter(|(word, _)| lower.contains(&format!("{word} class")))
        .map(|(_, number)| *number)
        .collect();
    match meant[..] {
        [one] => Some(format!("part[{}] == {one}", literal(&column.name))),
        _ => None,
    }
}

/// The group that a name of the format stands for: the Python literal of its value, and the column.
pub fn group_of(reading: &Reading, name: &str) -> Option<(String, String)> {
    if reading.names.len() < 2 {
        return None;
    }
    let lower = name.to_lowercase();
    let parts: Vec<&str> = lower.split('_').collect();
    let compares = [
        "each",
        "separately",
        "versus",
        " vs",
        "compared",
        "groupby",
        "respectively",
    ]
    .iter()
    .any(|word| reading.lower.contains(word));
    if !compares {
        return None;
    }
    for mention in &reading.mentions {
        let column = &mention.column;
        if column.distinct > 12 {
            continue;
        }
        if is_flag(column) {
            let stem = column.name.to_lowercase();
            if lower.contains(&stem)
                || lower.contains(stem.trim_end_matches("ed").trim_end_matches('e'))
                    && lower.contains("not")
            {
                return Some((
                    u8::from(!parts.contains(&"not")).to_string(),
                    column.name.clone(),
                ));
            }
        }
        if column.kind == "integer" {
            let digit = parts.iter().find_map(|part| {
                part.trim_start_matches(|c: char| c.is_alphabetic())
                    .parse::<u8>()
                    .ok()
            });
            let ordinal = ORDINALS
                .iter()
                .find(|(word, _)| parts.contains(word))
                .map(|(_, number)| *number);
            if let Some(value) = digit.or(ordinal) {
                return Some((value.to_string(), column.name.clone()));
            }
        }
        if column.kind == "text"
            && let Some(value) = column
                .shown
                .split(", ")
                .find(|value| value.len() > 2 && parts.contains(&value.to_lowercase().as_str()))
        {
            return Some((literal(value), column.name.clone()));
        }
    }
    None
}
