//! The type of a column, guessed from all its cells as `pandas.read_csv` guesses it.

use std::borrow::Cow;

use super::Cells;

/// Texts that stand for a missing cell.
const MISSING: [&str; 19] = [
    "", "NA", "N/A", "n/a", "NaN", "nan", "-NaN", "-nan", "null", "NULL", "None", "<NA>", "#N/A",
    "#N/A N/A", "#NA", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN",
];

/// A column of one type; one cell of text makes all of it text.
#[derive(Clone, Debug, PartialEq)]
pub enum Column<'a> {
    /// Whole numbers, none missing.
    Whole(Vec<i64>),
    /// Whole numbers from 0 to beyond `i64`, none missing.
    Unsigned(Vec<u64>),
    /// Numbers; missing ones are NaN.
    Real(Vec<f64>),
    /// Truth values.
    Bool(Vec<Option<bool>>),
    /// Text.
    Text(Vec<Option<&'a str>>),
}

impl<'a> Column<'a> {
    /// Guesses: whole numbers, else numbers, else truth values, else text.
    ///
    /// Blanks around numbers and leading zeros do not count; a quoted number is one. `inf` is a number. Thousands separators, units and other
    /// bases make text, and so do whole numbers of more than 64 bits and numbers too large for a double.
    pub fn of(cells: &'a Cells) -> Self {
        let missing = cells.iter().any(is_missing);
        if !missing {
            match whole(cells) {
                Ok(column) => return column,
                Err(Unfit::TooLarge) => return Self::text(cells),
                Err(Unfit::NoInteger) => {}
            }
        }
        let real = |cell| {
            if is_missing(cell) {
                Some(f64::NAN)
            } else {
                number(cell)
            }
        };
        if let Some(column) = cells.iter().map(real).collect() {
            return Self::Real(column);
        }
        let truth = |cell| match cell {
            "True" | "TRUE" | "true" => Some(Some(true)),
            "False" | "FALSE" | "false" => Some(Some(false)),
            cell => is_missing(cell).then_some(None),
        };
        match cells.iter().map(truth).collect() {
            Some(column) => Self::Bool(column),
            None => Self::text(cells),
        }
    }

    fn text(cells: &'a Cells) -> Self {
        let text = |cell| (!is_missing(cell)).then_some(cell);
        Self::Text(cells.iter().map(text).collect())
    }

    /// The cells at these rows, in their order.
    pub fn gather(self, rows: &[usize]) -> Self {
        fn pick<T: Copy>(cells: &[T], rows: &[usize]) -> Vec<T> {
            rows.iter()
                .filter_map(|row| cells.get(*row).copied())
                .collect()
        }
        match self {
            Self::Whole(cells) => Self::Whole(pick(&cells, rows)),
            Self::Unsigned(cells) => Self::Unsigned(pick(&cells, rows)),
            Self::Real(cells) => Self::Real(pick(&cells, rows)),
            Self::Bool(cells) => Self::Bool(pick(&cells, rows)),
            Self::Text(cells) => Self::Text(pick(&cells, rows)),
        }
    }

    /// How many rows there are.
    pub const fn len(&self) -> usize {
        match self {
            Self::Whole(cells) => cells.len(),
            Self::Unsigned(cells) => cells.len(),
            Self::Real(cells) => cells.len(),
            Self::Bool(cells) => cells.len(),
            Self::Text(cells) => cells.len(),
        }
    }

    /// Whether there is no row.
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it holds text.
    pub const fn is_text(&self) -> bool {
        matches!(self, Self::Text(_))
    }

    /// The cells as numbers, missing ones as NaN; `None` for text.
    #[expect(
        clippy::cast_precision_loss,
        reason = "the originals compute with doubles too"
    )]
    pub fn numbers(&self) -> Option<Cow<'_, [f64]>> {
        let truth = |cell: &Option<bool>| cell.map_or(f64::NAN, |cell| f64::from(u8::from(cell)));
        Some(match self {
            Self::Whole(cells) => cells.iter().map(|cell| *cell as f64).collect(),
            Self::Unsigned(cells) => cells.iter().map(|cell| *cell as f64).collect(),
            Self::Real(cells) => Cow::Borrowed(cells),
            Self::Bool(cells) => cells.iter().map(truth).collect(),
            Self::Text(_) => return None,
        })
    }
}

/// What may stand around a number.
const BLANKS: [char; 6] = [' ', '\t', '\n', '\r', '\u{b}', '\u{c}'];

/// A number as pandas reads one: decimal, perhaps with an exponent and with blanks around it, or an infinity.
pub fn number(cell: &str) -> Option<f64> {
    // Most numbers begin with a digit and need no trimming.
    if cell.as_bytes().first().is_some_and(u8::is_ascii_digit)
        && let Ok(number) = cell.parse::<f64>()
    {
        return Some(number).filter(|number| number.is_finite());
    }
    let text = cell.trim_matches(BLANKS);
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if unsigned.starts_with(|first: char| first.is_ascii_digit() || first == '.') {
        return text.parse().ok().filter(|number: &f64| number.is_finite());
    }
    let infinite = ["inf", "infinity"]
        .iter()
        .any(|name| unsigned.eq_ignore_ascii_case(name));
    (infinite && text.len() == cell.len()).then(|| {
        if text.starts_with('-') {
            f64::NEG_INFINITY
        } else {
            f64::INFINITY
        }
    })
}

fn is_missing(cell: &str) -> bool {
    // What most cells begin with, and the length of the longest, spare most comparisons.
    match cell.as_bytes() {
        [] => true,
        [b'1', rest @ ..] => rest.starts_with(b".#") && MISSING.contains(&cell),
        [b'#' | b'-' | b'<' | b'N' | b'n', ..] => cell.len() <= 9 && MISSING.contains(&cell),
        _ => false,
    }
}

enum Unfit {
    NoInteger,
    TooLarge,
}

fn whole(cells: &Cells) -> Result<Column<'_>, Unfit> {
    if cells.len() == 0 {
        return Err(Unfit::TooLarge);
    }
    let mut signed = Vec::with_capacity(cells.len());
    for cell in cells.iter() {
        // Most need no trimming, and no second look at their digits.
        if let Ok(number) = cell.parse() {
            signed.push(number);
            continue;
        }
        match integer(cell) {
            None => return Err(Unfit::NoInteger),
            Some(digits) => match digits.parse() {
                Ok(number) => signed.push(number),
                Err(_) => return unsigned(cells),
            },
        }
    }
    Ok(Column::Whole(signed))
}

fn unsigned(cells: &Cells) -> Result<Column<'_>, Unfit> {
    let number = |cell| {
        let digits = integer(cell).ok_or(Unfit::NoInteger)?;
        digits.parse().map_err(|_| Unfit::TooLarge)
    };
    cells
        .iter()
        .map(number)
        .collect::<Result<_, _>>()
        .map(Column::Unsigned)
}

/// The digits of an integer with their sign.
fn integer(cell: &str) -> Option<&str> {
    let text = cell.trim_matches(BLANKS);
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    (!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::super::Table;
    use super::*;

    fn guessed(cells: &[&str]) -> String {
        let file = cells.iter().fold("y,z\n".to_owned(), |file, cell| {
            format!("{file}\"{cell}\",0\n")
        });
        let table = Table::read(file.as_bytes(), None).unwrap();
        format!("{:?}", Column::of(table.column("y").unwrap()))
    }

    #[test]
    fn types_are_guessed_as_pandas_guesses_them() {
        for (cells, column) in [
            (&["1", " 02", "-3 "][..], "Whole([1, 2, -3])"),
            (
                &["1", "2.50", "1e3", ".5", "5."],
                "Real([1.0, 2.5, 1000.0, 0.5, 5.0])",
            ),
            (&["1", "NA"], "Real([1.0, NaN])"),
            (&["inf", "-Infinity", ""], "Real([inf, -inf, NaN])"),
            (&["None", "null"], "Real([NaN, NaN])"),
            (&["True", "false"], "Bool([Some(true), Some(false)])"),
            (&["True", ""], "Bool([Some(true), None])"),
            (&["True", "1"], "Text([Some(\"True\"), Some(\"1\")])"),
            (&["1", "x", "NaN"], "Text([Some(\"1\"), Some(\"x\"), None])"),
            (&["1", "0x10"], "Text([Some(\"1\"), Some(\"0x10\")])"),
            (&["1,234"], "Text([Some(\"1,234\")])"),
            (&["1_000"], "Text([Some(\"1_000\")])"),
            (&["1e999"], "Text([Some(\"1e999\")])"),
            (&[" inf"], "Text([Some(\" inf\")])"),
            (
                &["18446744073709551615", "1"],
                "Unsigned([18446744073709551615, 1])",
            ),
            (
                &["18446744073709551615", "-1"],
                "Text([Some(\"18446744073709551615\"), Some(\"-1\")])",
            ),
            (
                &["99999999999999999999999"],
                "Text([Some(\"99999999999999999999999\")])",
            ),
            (
                &["99999999999999999999999", "x"],
                "Text([Some(\"99999999999999999999999\"), Some(\"x\")])",
            ),
            (&[], "Text([])"),
        ] {
            assert_eq!(guessed(cells), column);
        }
    }

    #[test]
    fn numbers_are_decimal() {
        for text in [
            "", "+", "e5", "1e", "1e+", "1d5", "nan", "0b1", "--1", "1 2", "infinit",
        ] {
            assert_eq!(number(text), None, "{text}");
        }
    }
}
