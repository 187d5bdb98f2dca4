//! What is known about a question while its plan is made, and the values that it is about.

use std::collections::BTreeSet;

use super::filters;
use super::mentions::{Mention, mentions};
use super::wording::statistic;
use crate::prompt::{Column, Question, Table};
use crate::python::literal;

/// Everything that is known about a question while its plan is made.
pub(super) struct Reading<'a> {
    pub(super) question: &'a Question,
    pub(super) table: &'a Table,
    pub(super) names: &'a [String],
    /// Question and constraints in lower case.
    pub(super) lower: String,
    /// Columns that the question mentions, then those of the constraints.
    pub(super) mentions: Vec<Mention>,
    /// Columns that the plan uses.
    pub(super) used: BTreeSet<String>,
    /// The cell so far, without the printing of values.
    pub(super) lines: Vec<String>,
    /// What has been computed, so that it is computed once.
    pub(super) done: BTreeSet<String>,
    /// A derived column as name and Python variable, with the columns that it is made of.
    pub(super) derived: Option<(String, Vec<String>)>,
}

impl Reading<'_> {
    pub(super) fn prepare(&mut self, tables: &[Table]) {
        if tables
            .first()
            .is_some_and(|first| first.path != self.table.path)
        {
            self.lines
                .push(format!("df = {}", crate::python::read_csv(self.table)));
        }
        self.lines.push("part = df.copy()".to_owned());
        for filter in filters::filters(self) {
            self.used.insert(filter.column.clone());
            self.lines
                .push(format!("part = part[{}]", filter.condition));
        }
        self.derive();
    }

    pub(super) fn text(&self) -> String {
        format!("{} {}", self.question.text, self.question.constraints)
    }

    /// A column as numbers, in Python.
    pub(super) fn numbers(&mut self, column: &Column) -> String {
        self.used.insert(column.name.clone());
        let name = literal(&column.name);
        match column.kind.as_str() {
            "integer" | "number" | "boolean" => format!("part[{name}]"),
            _ => format!("numeric(part[{name}])"),
        }
    }

    pub(super) fn numeric_mentions(&self) -> Vec<Column> {
        let filtered = filters::filters(self)
            .into_iter()
            .map(|filter| filter.column)
            .collect::<BTreeSet<_>>();
        let numeric =
            |column: &Column| matches!(column.kind.as_str(), "integer" | "number" | "boolean");
        let mut columns: Vec<Column> = self
            .mentions
            .iter()
            .map(|mention| mention.column.clone())
            .filter(|column| numeric(column) && !filtered.contains(&column.name))
            .collect();
        // Texts that hold numbers come last, and only where the question says so or nothing else is there.
        let convertible = self
            .mentions
            .iter()
            .map(|mention| mention.column.clone())
            .filter(|column| {
                column.kind == "text"
                    && column.distinct > 10
                    && column
                        .shown
                        .chars()
                        .next()
                        .is_some_and(|c| c.is_ascii_digit())
            });
        columns.extend(convertible);
        columns.sort_by_key(|column| {
            self.mentions
                .iter()
                .position(|mention| mention.column.name == column.name)
        });
        columns
    }

    /// The column that a name of the format is about.
    pub(super) fn about(&self, name: &str) -> Option<Column> {
        let flat = |text: &str| {
            text.chars()
                .filter(|c| c.is_alphanumeric())
                .flat_map(char::to_lowercase)
                .collect::<String>()
        };
        let target = flat(name);
        let columns = self.numeric_mentions();
        columns
            .iter()
            .filter(|column| flat(&column.name).len() > 1 && target.contains(&flat(&column.name)))
            .max_by_key(|column| column.name.len())
            .or_else(|| {
                let parts: Vec<String> = name
                    .split('_')
                    .map(str::to_lowercase)
                    .filter(|part| part.len() > 2)
                    .collect();
                columns.iter().find(|column| {
                    let lower = column.name.to_lowercase();
                    parts
                        .iter()
                        .any(|part| lower.contains(part.as_str()) && statistic(part).is_none())
                })
            })
            .or(columns.first())
            .cloned()
    }

    /// The values that a name of the format is about, as a Python expression: derived, filled or cleaned as the question says.
    pub(super) fn target(&mut self, name: &str) -> Option<String> {
        if let Some((variable, _)) = &self.derived {
            return Some(variable.clone());
        }
        let column = self.about(name)?;
        let mut x = self.numbers(&column);
        let fills = ["fill", "imput", "replac"]
            .iter()
            .any(|word| self.lower.contains(word))
            && self.lower.contains("missing");
        if fills
            && let Some(by) = ["median", "mean"]
                .into_iter()
                .find(|by| self.lower.contains(&format!("{by} ")))
        {
            x = format!("{x}.fillna({x}.{by}())");
        }
        if let Some(log) = logarithm(&self.lower) {
            x = format!("{log}({x})");
        }
        Some(x)
    }

    /// Finds a derived column: a sum, difference, product, ratio or deviation of columns.
    pub(super) fn derive(&mut self) {
        let lower = self.lower.clone();
        let made = [
            "new feature",
            "new column",
            "create a feature",
            "new variable",
            "generate a",
            "feature engineering",
            "called",
            "named",
            "subtracting",
        ];
        if !made.iter().any(|word| lower.contains(word)) {
            return;
        }
        let verbs: [(&str, char); 16] = [
            ("summing", '+'),
            ("sum of", '+'),
            ("adding", '+'),
            ("combining", '+'),
            ("addition of", '+'),
            ("subtracting the mean", 'm'),
            ("subtracting", 's'),
            ("difference between", '-'),
            ("represents the difference", '-'),
            ("multiplying", '*'),
            ("product of", '*'),
            ("multiplied by", '*'),
            ("dividing", '/'),
            ("ratio of", '/'),
            ("ratio between", '/'),
            ("divided by", '/'),
        ];
        let text = self.text();
        // Lower case may change lengths of odd letters; then places no longer fit and nothing is derived.
        if text.to_lowercase().len() != text.len() {
            return;
        }
        for (verb, sign) in verbs {
            let Some(place) = lower.find(verb) else {
                continue;
            };
            let passive = verb.ends_with(" by");
            let start = if passive {
                lower[..place].rfind(['.', ':']).map_or(0, |dot| dot + 1)
            } else {
                place
            };
            let end = lower[place..]
                .find(". ")
                .map_or(lower.len(), |dot| place + dot);
            let Some(clause) = text.get(start..end) else {
                continue;
            };
            let columns: Vec<Column> = mentions(clause, self.table)
                .into_iter()
                .map(|mention| mention.column)
                .filter(|column| column.kind != "empty")
                .collect();
            let wanted = match sign {
                'm' => 1,
                _ => 2,
            };
            if columns.len() < wanted {
                continue;
            }
            let parts: Vec<String> = columns.iter().map(|column| self.numbers(column)).collect();
            let expression = match sign {
                '+' => parts.join(" + "),
                'm' => format!("{0} - {0}.mean()", parts[0]),
                's' if lower[place..end].contains(" from ") => {
                    format!("{} - {}", parts[1], parts[0])
                }
                's' | '-' => format!("{} - {}", parts[0], parts[1]),
                '*' => format!("{} * {}", parts[0], parts[1]),
                _ if lower.contains("1e-10") => format!("{} / ({} + 1e-10)", parts[0], parts[1]),
                _ => format!("{} / {}", parts[0], parts[1]),
            };
            self.lines
                .push(format!("feature = {expression}\nprint(feature.describe())"));
            let components = if sign == '+' {
                columns
            } else {
                columns.into_iter().take(2).collect()
            };
            self.derived = Some((
                "feature".to_owned(),
                components.into_iter().map(|column| column.name).collect(),
            ));
            return;
        }
    }

    pub(super) fn once(&mut self, key: &str, lines: impl FnOnce() -> String) {
        if self.done.insert(key.to_owned()) {
            self.lines.push(lines());
        }
    }
}

fn logarithm(lower: &str) -> Option<&'static str> {
    if !(lower.contains("logarithm")
        || lower.contains("log transformation")
        || lower.contains("log-transformation"))
    {
        None
    } else if lower.contains("base 10") || lower.contains("log10") {
        Some("np.log10")
    } else {
        Some("np.log")
    }
}
