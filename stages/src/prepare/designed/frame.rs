//! A table with typed columns: cells as text in one form for each type, a gap as the empty text.

use std::collections::{BTreeMap, HashSet};

use crate::tables::{Table, is_missing};

/// What all cells of a column are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Whole numbers.
    Integer,
    /// Numbers.
    Number,
    /// Text.
    Text,
}

/// A column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Column {
    /// Its name: no line breaks, no backticks, no blanks at its ends.
    pub name: String,
    /// What its cells are.
    pub kind: Kind,
    /// Its cells; a gap is empty.
    pub cells: Vec<String>,
}

/// Columns of one length.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Frame {
    /// The columns, in order.
    pub columns: Vec<Column>,
}

impl Column {
    /// The cells as numbers, gaps left as they are; `None` for a column of text.
    pub(super) fn numbers(&self) -> Option<Vec<Option<f64>>> {
        (self.kind != Kind::Text).then(|| self.cells.iter().map(|cell| number(cell)).collect())
    }

    /// The share of gaps, 0 to 1.
    pub(super) fn missing_share(&self) -> f64 {
        let missing = self.cells.iter().filter(|cell| cell.is_empty()).count();
        missing as f64 / self.cells.len().max(1) as f64
    }

    /// How often each value stands, gaps aside.
    pub(super) fn counts(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for cell in self.cells.iter().filter(|cell| !cell.is_empty()) {
            *counts.entry(cell.as_str()).or_default() += 1;
        }
        counts
    }

    /// The smallest and the largest number.
    pub(super) fn bounds(&self) -> Option<(f64, f64)> {
        let mut bounds: Option<(f64, f64)> = None;
        for number in self.cells.iter().filter_map(|cell| number(cell)) {
            let (low, high) = bounds.unwrap_or((number, number));
            bounds = Some((low.min(number), high.max(number)));
        }
        bounds.filter(|_| self.kind != Kind::Text)
    }
}

/// A cell as a number.
pub(super) fn number(cell: &str) -> Option<f64> {
    cell.parse().ok().filter(|number: &f64| number.is_finite())
}

/// Whether a text could be taken for something else by a reader that guesses types: a number, or a truth value.
pub(super) fn is_ambiguous(cell: &str) -> bool {
    cell.parse::<f64>().is_ok()
        || matches!(
            cell.to_lowercase().as_str(),
            "true" | "false" | "inf" | "infinity"
        )
        || is_missing(cell)
}

impl Frame {
    /// Types the columns of a table. Columns without a value are left out; truth values become 1 and 0.
    pub(super) fn of(table: &Table) -> Self {
        let mut taken = HashSet::new();
        let columns = table.header.iter().enumerate().filter_map(|(place, name)| {
            let cells: Vec<&str> = table.rows.iter().map(|row| row[place].trim()).collect();
            let (kind, cells) = typed(&cells)?;
            let mut name = plain(name);
            if name.is_empty() {
                name = format!("column {}", place + 1);
            }
            // SQLite knows no difference between `a` and `A`.
            while !taken.insert(name.to_lowercase()) {
                name.push('_');
            }
            Some(Column { name, kind, cells })
        });
        Self {
            columns: columns.collect(),
        }
    }

    /// How many rows there are.
    pub(super) fn rows(&self) -> usize {
        self.columns.first().map_or(0, |column| column.cells.len())
    }

    /// The column of this name.
    pub(super) fn column(&self, name: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.name == name)
    }

    /// These rows, in this order.
    pub(super) fn take(&self, rows: &[usize]) -> Self {
        let columns = self.columns.iter().map(|column| Column {
            name: column.name.clone(),
            kind: column.kind,
            cells: rows.iter().map(|row| column.cells[*row].clone()).collect(),
        });
        Self {
            columns: columns.collect(),
        }
    }

    /// These columns, in this order; names that there are not are passed over.
    pub(super) fn select<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Self {
        Self {
            columns: names
                .into_iter()
                .filter_map(|name| self.column(name).cloned())
                .collect(),
        }
    }

    /// All but these columns.
    pub(super) fn without(&self, names: &[String]) -> Self {
        Self {
            columns: self
                .columns
                .iter()
                .filter(|column| !names.contains(&column.name))
                .cloned()
                .collect(),
        }
    }

    /// With the rows numbered from `first` in a first column of this name.
    pub(super) fn numbered(mut self, name: &str, first: usize) -> Self {
        let cells = (first..first + self.rows())
            .map(|id| id.to_string())
            .collect();
        self.columns.insert(
            0,
            Column {
                name: name.to_owned(),
                kind: Kind::Integer,
                cells,
            },
        );
        self
    }

    /// The rows in which none of these columns has a gap.
    pub(super) fn complete_rows(&self, names: &[String]) -> Vec<usize> {
        let columns: Vec<&Column> = names.iter().filter_map(|name| self.column(name)).collect();
        (0..self.rows())
            .filter(|row| columns.iter().all(|column| !column.cells[*row].is_empty()))
            .collect()
    }

    /// The first of rows that say the same, each.
    pub(super) fn distinct_rows(&self) -> Vec<usize> {
        let mut seen = HashSet::new();
        (0..self.rows())
            .filter(|row| {
                let cells: Vec<&str> = self
                    .columns
                    .iter()
                    .map(|column| column.cells[*row].as_str())
                    .collect();
                seen.insert(synth_core::Fingerprint::of(&cells))
            })
            .collect()
    }

    /// A name for the column that numbers rows, which no column has.
    pub(super) fn id_column(&self) -> String {
        let mut name = "row_id".to_owned();
        while self
            .columns
            .iter()
            .any(|column| column.name.eq_ignore_ascii_case(&name))
        {
            name.insert(0, '_');
        }
        name
    }
}

/// A name or phrase on one line, without the signs that prompts quote with.
pub(super) fn plain(text: &str) -> String {
    let text: String = text
        .chars()
        .map(|character| match character {
            '`' | '"' => '\'',
            character if character.is_control() => ' ',
            character => character,
        })
        .collect();
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn typed(cells: &[&str]) -> Option<(Kind, Vec<String>)> {
    let values = || cells.iter().copied().filter(|cell| !is_missing(cell));
    values().next()?;
    let write = |form: &dyn Fn(&str) -> String| {
        cells
            .iter()
            .map(|cell| {
                if is_missing(cell) {
                    String::new()
                } else {
                    form(cell)
                }
            })
            .collect()
    };
    let truth = |cell: &str| match cell {
        "True" | "true" | "TRUE" => Some("1"),
        "False" | "false" | "FALSE" => Some("0"),
        _ => None,
    };
    if values().all(|cell| truth(cell).is_some()) {
        let cells = write(&|cell| truth(cell).unwrap_or_default().to_owned());
        return Some((Kind::Integer, cells));
    }
    if values().all(|cell| cell.parse::<i64>().is_ok()) {
        let cells = write(&|cell| {
            cell.parse::<i64>()
                .map_or_else(|_| cell.to_owned(), |n| n.to_string())
        });
        return Some((Kind::Integer, cells));
    }
    if values().all(|cell| number(cell).is_some()) {
        let cells = write(&|cell| cell.trim_start_matches('+').to_owned());
        return Some((Kind::Number, cells));
    }
    Some((
        Kind::Text,
        write(&|cell| cell.split_whitespace().collect::<Vec<_>>().join(" ")),
    ))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::tables::read_table;

    pub(in crate::prepare::designed) fn frame(csv: &str) -> Frame {
        Frame::of(&read_table(csv.as_bytes()).unwrap())
    }

    #[test]
    fn columns_are_typed_and_gaps_are_empty() {
        let frame = frame("i,n,b,t,e\n007,1.5,True,x  y,\nNA,+2,false,3,\n");
        let columns: Vec<(&str, Kind, Vec<String>)> = frame
            .columns
            .into_iter()
            .map(|column| {
                (
                    ["i", "n", "b", "t"]
                        .into_iter()
                        .find(|n| *n == column.name)
                        .unwrap(),
                    column.kind,
                    column.cells,
                )
            })
            .collect();
        let cells = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        assert_eq!(
            columns,
            [
                ("i", Kind::Integer, cells("7", "")),
                ("n", Kind::Number, cells("1.5", "2")),
                ("b", Kind::Integer, cells("1", "0")),
                ("t", Kind::Text, cells("x y", "3")),
            ]
        );
    }

    #[test]
    fn names_are_fit_for_prompts_and_for_sqlite() {
        let frame = frame("a`b, A'B ,\"x\ny\"\n1,2,3\n");
        let names: Vec<&str> = frame
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .collect();
        assert_eq!(names, ["a'b", "A'B_", "x y"]);
        assert_eq!(frame.id_column(), "row_id");
        let frame = frame_of_names(&["Row_ID", "_row_id"]);
        assert_eq!(frame.id_column(), "__row_id");
    }

    fn frame_of_names(names: &[&str]) -> Frame {
        frame(&format!(
            "{}\n{}\n",
            names.join(","),
            vec!["1"; names.len()].join(",")
        ))
    }

    #[test]
    fn rows_that_say_the_same_are_one() {
        assert_eq!(frame("a,b\n1,x\n2,y\n1,x\n").distinct_rows(), [0, 1]);
        assert_eq!(
            frame("a,b\n1,x\n,y\n1,\n").complete_rows(&["a".to_owned()]),
            [0, 2]
        );
    }
}
