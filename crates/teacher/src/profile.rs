//! What exploration found out about the tables: asked for by a cell of code, read back from what it printed.

use serde_json::Value;

use crate::problem::Filling;
use crate::prompt::{self, Table};
use crate::python;

const SCRIPT: &str = include_str!("../python/profile.py");

/// Rows of a table that the look at it reads, at most: it must end within the time of one cell.
const MOST_ROWS: u64 = 300_000;

/// All tables with what joins them.
#[derive(Clone, Debug, Default)]
pub struct Profile {
    /// The tables.
    pub tables: Vec<Measured>,
    /// Left file, right file and the column through which rows of the left find theirs in the right.
    pub keys: Vec<(String, String, String)>,
}

/// A table that was looked at.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// The path.
    pub path: String,
    /// Its rows.
    pub rows: u64,
    /// Its columns.
    pub columns: Vec<Facts>,
}

/// What is known of a column.
#[derive(Clone, Debug, Default)]
pub struct Facts {
    /// The name.
    pub name: String,
    /// Different values.
    pub distinct: u64,
    /// Empty cells.
    pub missing: u64,
    /// Minimum, quantiles at 0.2, 0.4, 0.6 and 0.8, and maximum, where it is worth computing with.
    pub numbers: Vec<f64>,
    /// Whether some entries are no numbers though most are.
    pub mixed: bool,
    /// Whether the numbers take few values only.
    pub flat: bool,
    /// The most frequent values with their counts, where there are few.
    pub values: Vec<(Filling, u64)>,
    /// Different days, months and years, where it holds dates.
    pub dates: Option<[u64; 3]>,
    /// Whether it is free text.
    pub text: bool,
}

/// The cell that looks at the tables and prints what it saw.
pub fn script(tables: &[Table]) -> String {
    let rows: Vec<String> = tables
        .iter()
        .map(|table| {
            let mut call = python::read_csv(table);
            if table.rows > MOST_ROWS {
                call.insert_str(call.len() - 1, &format!(", nrows={MOST_ROWS}"));
            }
            format!("    {}: {call},", python::literal(&table.path))
        })
        .collect();
    SCRIPT.replace("__TABLES__", &rows.join("\n"))
}

/// The profile that a cell printed.
pub fn read(output: &str) -> Option<Profile> {
    let line = output
        .lines()
        .rev()
        .find_map(|line| line.trim().strip_prefix("PROFILE "))?;
    let value: Value = serde_json::from_str(line).ok()?;
    let tables = value["tables"].as_array()?.iter().map(measured).collect();
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let keys = value["keys"]
        .as_array()?
        .iter()
        .map(|key| (text(&key[0]), text(&key[1]), text(&key[2])))
        .collect();
    Some(Profile { tables, keys })
}

fn measured(value: &Value) -> Measured {
    Measured {
        path: value["path"].as_str().unwrap_or_default().to_owned(),
        rows: value["rows"].as_u64().unwrap_or(0),
        columns: value["columns"]
            .as_array()
            .map(|columns| columns.iter().map(facts).collect())
            .unwrap_or_default(),
    }
}

fn facts(value: &Value) -> Facts {
    let list = |name: &str| value[name].as_array().cloned().unwrap_or_default();
    let dates: Vec<u64> = list("date").iter().filter_map(Value::as_u64).collect();
    Facts {
        name: value["n"].as_str().unwrap_or_default().to_owned(),
        distinct: value["u"].as_u64().unwrap_or(0),
        missing: value["m"].as_u64().unwrap_or(0),
        numbers: list("num").iter().filter_map(Value::as_f64).collect(),
        mixed: value["mixed"].as_u64() == Some(1),
        flat: value["flat"].as_u64() == Some(1),
        values: list("cat")
            .iter()
            .filter_map(|pair| Some((filling(&pair[0])?, pair[1].as_u64()?)))
            .collect(),
        dates: <[u64; 3]>::try_from(dates).ok(),
        text: value["text"].as_u64() == Some(1),
    }
}

fn filling(value: &Value) -> Option<Filling> {
    match value {
        Value::Bool(true) => Some(Filling::Plain("True".to_owned())),
        Value::Bool(false) => Some(Filling::Plain("False".to_owned())),
        Value::Number(number) => Some(Filling::Plain(number.to_string())),
        Value::String(text) => Some(Filling::Text(text.clone())),
        _ => None,
    }
}

/// What the prompt alone tells, for when the look at the data failed.
pub fn from_prompt(tables: &[Table]) -> Profile {
    let column = |column: &prompt::Column| {
        let bounds: Vec<f64> = column
            .shown
            .split(" to ")
            .filter_map(|bound| bound.trim().parse().ok())
            .collect();
        let numeric = matches!(column.kind.as_str(), "integer" | "number") && column.distinct >= 10;
        let numbers = match bounds[..] {
            [low, high] if numeric && low < high => (0..6)
                .map(|step| low + (high - low) * f64::from(step) / 5.0)
                .collect(),
            _ => Vec::new(),
        };
        let few = column.kind == "text" && (2..=20).contains(&column.distinct);
        let values = column
            .shown
            .split(", ")
            .filter(|value| few && !value.is_empty());
        Facts {
            name: column.name.clone(),
            distinct: column.distinct,
            missing: column.missing,
            numbers,
            values: values
                .map(|value| (Filling::Text(value.to_owned()), 5))
                .collect(),
            text: column.kind == "text" && column.distinct > 20,
            ..Facts::default()
        }
    };
    Profile {
        tables: tables
            .iter()
            .map(|table| Measured {
                path: table.path.clone(),
                rows: table.rows,
                columns: table.columns.iter().map(column).collect(),
            })
            .collect(),
        keys: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_beginning_of_a_long_table_is_profiled() {
        let table = |rows| Table {
            path: "a.csv".into(),
            rows,
            ..Table::default()
        };
        assert!(script(&[table(5_000_000)]).contains("pd.read_csv(\"data/a.csv\", nrows=300000)"));
        assert!(!script(&[table(50)]).contains("nrows"));
    }

    #[test]
    fn a_profile_is_read_from_the_line_that_holds_it() {
        let printed = "a.csv (3, 2)\nPROFILE {\"tables\":[{\"path\":\"a.csv\",\"rows\":3,\"columns\":[{\"n\":\" m/z\",\"u\":12,\"m\":1,\"num\":[1,2,3,4,5,6]},{\"n\":\"c\",\"u\":2,\"m\":0,\"cat\":[[\"x\",2],[true,1]]}]}],\"keys\":[]}";
        let profile = read(printed).expect("a profile was printed");
        assert_eq!(profile.tables[0].columns[0].name, " m/z");
        assert_eq!(profile.tables[0].columns[0].numbers.len(), 6);
        assert_eq!(
            profile.tables[0].columns[1].values[1],
            (Filling::Plain("True".into()), 1)
        );
        assert!(read("PROFILE {\"tables\": [...]").is_none());
    }
}
