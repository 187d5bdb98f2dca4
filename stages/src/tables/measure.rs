//! Measures a table's columns: what prompts say of the data and what rules look at.

use std::collections::HashSet;

use synth_core::{ColumnSummary, TableSummary};

use super::Table;

/// Raised when measurements change, so that tables are measured again.
pub const SUMMARY_VERSION: u32 = 2;

/// Counting different values stops here.
const MAX_DISTINCT: usize = 1000;
const EXAMPLES: usize = 5;
/// A long example tells no more than its beginning.
const EXAMPLE_CHARACTERS: usize = 40;

/// Measures every column.
pub fn measure(path: &str, table: &Table) -> TableSummary {
    let columns = table
        .header
        .iter()
        .enumerate()
        .map(|(place, name)| column(name, table.rows.iter().map(|row| row[place].as_str())))
        .collect();
    TableSummary {
        path: path.to_owned(),
        table: table.name.clone(),
        encoding: table.encoding.to_owned(),
        separator: table.separator.to_string(),
        rows: table.rows.len() as u64,
        columns,
    }
}

fn column<'a>(name: &str, cells: impl Iterator<Item = &'a str>) -> ColumnSummary {
    let mut missing = 0;
    let mut distinct = HashSet::new();
    let mut examples: Vec<String> = Vec::new();
    let mut kinds = Kinds::default();
    let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
    let (mut first, mut last): (Option<&str>, Option<&str>) = (None, None);
    let (mut sum, mut count) = (0.0, 0_u64);
    for cell in cells {
        if is_missing(cell) {
            missing += 1;
            continue;
        }
        count += 1;
        let text = cell.trim();
        kinds.add(text);
        if distinct.len() < MAX_DISTINCT && distinct.insert(text) && examples.len() < EXAMPLES {
            examples.push(text.chars().take(EXAMPLE_CHARACTERS).collect());
        }
        if let Some(number) = number(text) {
            (low, high, sum) = (low.min(number), high.max(number), sum + number);
        }
        if first.is_none_or(|first| text < first) {
            first = Some(text);
        }
        if last.is_none_or(|last| text > last) {
            last = Some(text);
        }
    }
    let kind = kinds.name(count);
    let (min, max, mean) = match kind {
        "integer" | "number" => (
            Some(low.to_string()),
            Some(high.to_string()),
            Some(sum / count as f64),
        ),
        "date" => (first.map(str::to_owned), last.map(str::to_owned), None),
        _ => (None, None, None),
    };
    ColumnSummary {
        name: name.to_owned(),
        kind: kind.to_owned(),
        missing,
        distinct: distinct.len() as u64,
        min,
        max,
        mean,
        examples,
    }
}

/// What pandas takes for a missing value.
pub fn is_missing(cell: &str) -> bool {
    matches!(
        cell.trim(),
        "" | "#N/A"
            | "#N/A N/A"
            | "#NA"
            | "-1.#IND"
            | "-1.#QNAN"
            | "-NaN"
            | "-nan"
            | "1.#IND"
            | "1.#QNAN"
            | "<NA>"
            | "N/A"
            | "NA"
            | "NULL"
            | "NaN"
            | "None"
            | "n/a"
            | "nan"
            | "null"
    )
}

fn number(text: &str) -> Option<f64> {
    text.parse().ok().filter(|number: &f64| number.is_finite())
}

/// How many cells could be what.
#[derive(Default)]
struct Kinds {
    integers: u64,
    numbers: u64,
    booleans: u64,
    dates: u64,
}

impl Kinds {
    fn add(&mut self, text: &str) {
        self.integers += u64::from(text.parse::<i64>().is_ok());
        self.numbers += u64::from(number(text).is_some());
        self.booleans += u64::from(matches!(
            text,
            "True" | "False" | "true" | "false" | "TRUE" | "FALSE"
        ));
        self.dates += u64::from(is_date(text));
    }

    fn name(&self, count: u64) -> &'static str {
        match count {
            0 => "empty",
            _ if self.booleans == count => "boolean",
            _ if self.integers == count => "integer",
            _ if self.numbers == count => "number",
            _ if self.dates == count => "date",
            _ => "text",
        }
    }
}

/// Dates as tables write them: three numbers (or two and a month's name) with separators, perhaps a time behind them.
fn is_date(text: &str) -> bool {
    let date = text.split(['T', ' ']).next().unwrap_or(text);
    let parts: Vec<&str> = date.split(['-', '/', '.']).collect();
    let digits = |part: &&str| {
        !part.is_empty() && part.len() <= 4 && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    let month =
        |part: &&str| part.len() == 3 && part.bytes().all(|byte| byte.is_ascii_alphabetic());
    match parts.as_slice() {
        [year, month] => {
            year.len() == 4
                && month.len() <= 2
                && date.contains('-')
                && digits(year)
                && digits(month)
        }
        [a, b, c] => {
            digits(a)
                && (digits(b) || month(b))
                && digits(c)
                && (a.len() == 4 || c.len() == 4 || c.len() == 2)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tables::read_table;

    fn summary(csv: &str) -> Vec<ColumnSummary> {
        measure("t.csv", &read_table(csv.as_bytes()).unwrap()).columns
    }

    #[test]
    fn kinds_are_told_apart() {
        let columns = summary("i,n,b,d,t,e\n1,1.5,True,2020-01-02,x,\n-2,3,False,2020-02-01,1,\n");
        let kinds: Vec<&str> = columns.iter().map(|column| column.kind.as_str()).collect();
        assert_eq!(
            kinds,
            ["integer", "number", "boolean", "date", "text", "empty"]
        );
    }

    #[test]
    fn missing_values_are_those_of_pandas() {
        let columns = summary("a,b\n1,x\nNA,y\n,None\n3,z\n");
        assert_eq!((columns[0].missing, columns[1].missing), (2, 1));
        assert_eq!(
            (
                columns[0].min.as_deref(),
                columns[0].max.as_deref(),
                columns[0].mean
            ),
            (Some("1"), Some("3"), Some(2.0))
        );
    }

    #[test]
    fn dates_come_in_many_forms() {
        for date in [
            "2020-01-02",
            "1/2/2020",
            "01.02.2020",
            "2015-01-01T00:00:00Z",
            "17-Sep-2017",
            "2020-01",
        ] {
            assert!(is_date(date), "{date}");
        }
        for other in ["1.5", "2020", "a-b-c", "1-2", "10.0.0.1", "hello"] {
            assert!(!is_date(other), "{other}");
        }
    }
}
