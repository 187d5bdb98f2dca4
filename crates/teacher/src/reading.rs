//! Data files as Python reads them: CSV, Parquet, and `SQLite` with its tables joined.

use crate::prompt::{self, Table};
use crate::python::literal;

/// A file of rows under `data/`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// The path under `data/`.
    pub path: String,
    /// For `SQLite`: the tables to be joined; none when they are not named.
    pub tables: Vec<String>,
    /// For `SQLite` with several tables: the column that joins them.
    pub join: String,
}

impl Rows {
    /// A file with the tables of it that a prompt describes.
    pub fn described(path: &str, tables: &[Table]) -> Self {
        Self {
            path: path.to_owned(),
            tables: tables
                .iter()
                .filter(|table| table.path == path)
                .filter_map(|table| table.inner.clone())
                .collect(),
            join: "row_id".to_owned(),
        }
    }

    /// Whether the file is a plain table in text.
    pub fn is_text(&self) -> bool {
        !is_sqlite(&self.path) && !is_parquet(&self.path)
    }

    /// The lines that load the file into this name. `as_text` columns of a CSV file keep their spelling; of a longer table than
    /// `most` rows only the beginning is read.
    pub fn load(
        &self,
        name: &str,
        described: &[Table],
        as_text: &[String],
        most: Option<u64>,
    ) -> String {
        let path = literal(&format!("data/{}", self.path));
        if is_parquet(&self.path) {
            return format!("{name} = pd.read_parquet({path})\n");
        }
        if is_sqlite(&self.path) {
            return self.load_sqlite(name, &path);
        }
        let mut call = prompt::table(described, &self.path)
            .map_or_else(|| format!("pd.read_csv({path})"), crate::python::read_csv);
        call.pop();
        if !as_text.is_empty() {
            let columns: Vec<String> = as_text
                .iter()
                .map(|column| format!("{}: str", literal(column)))
                .collect();
            call.push_str(&format!(", dtype={{{}}}", columns.join(", ")));
        }
        if let Some(most) = most
            && prompt::table(described, &self.path).is_some_and(|table| table.rows > most)
        {
            call.push_str(&format!(", nrows={most}"));
        }
        format!("{name} = {call})\n")
    }

    fn load_sqlite(&self, name: &str, path: &str) -> String {
        let mut code = format!("connection = sqlite3.connect({path})\n");
        let join = literal(&self.join);
        if self.tables.is_empty() {
            code.push_str(&format!(
                "tables = pd.read_sql_query(\"SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY rowid\", connection)[\"name\"]\nprint(\"tables:\", list(tables))\nparts = [pd.read_sql_query('SELECT * FROM \"%s\"' % table, connection) for table in tables]\n{name} = parts[0]\nfor part in parts[1:]:\n    {name} = {name}.merge(part, on={join})\n"
            ));
        }
        for (place, table) in self.tables.iter().enumerate() {
            let query = literal(&format!("SELECT * FROM \"{}\"", table.replace('"', "\"\"")));
            let rows = format!("pd.read_sql_query({query}, connection)");
            code.push_str(&if place == 0 {
                format!("{name} = {rows}\n")
            } else {
                format!("{name} = {name}.merge({rows}, on={join})\n")
            });
        }
        code.push_str("connection.close()\n");
        code
    }
}

/// The imports that loading these files needs.
pub fn imports(files: &[&Rows]) -> String {
    let sqlite = if files.iter().any(|rows| is_sqlite(&rows.path)) {
        "import sqlite3\n\n"
    } else {
        ""
    };
    format!("{sqlite}import numpy as np\nimport pandas as pd\n")
}

fn is_sqlite(path: &str) -> bool {
    ends(path, &["sqlite", "sqlite3", "db"])
}

fn is_parquet(path: &str) -> bool {
    ends(path, &["parquet"])
}

fn ends(path: &str, endings: &[&str]) -> bool {
    path.rsplit_once('.').is_some_and(|(_, ending)| {
        endings
            .iter()
            .any(|known| ending.eq_ignore_ascii_case(known))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_format_has_its_reader() {
        let rows = |path: &str, tables: &[&str]| Rows {
            path: path.to_owned(),
            tables: tables.iter().map(|&table| table.to_owned()).collect(),
            join: "row_id".to_owned(),
        };
        let csv = rows("a.csv", &[]).load("train", &[], &["id".to_owned()], Some(5));
        assert_eq!(
            csv,
            "train = pd.read_csv(\"data/a.csv\", dtype={\"id\": str})\n"
        );
        let parquet = rows("a.parquet", &[]).load("test", &[], &[], None);
        assert_eq!(parquet, "test = pd.read_parquet(\"data/a.parquet\")\n");
        let sqlite = rows("a.sqlite", &["x", "y\"z"]).load("train", &[], &[], None);
        assert!(
            sqlite.contains("train = pd.read_sql_query(\"SELECT * FROM \\\"x\\\"\", connection)")
        );
        assert!(sqlite.contains("train = train.merge(pd.read_sql_query(\"SELECT * FROM \\\"y\\\"\\\"z\\\"\", connection), on=\"row_id\")"));
    }

    #[test]
    fn a_long_table_is_read_from_its_beginning() {
        let described = [Table {
            path: "a.csv".to_owned(),
            rows: 1_000_000,
            separator: ";".to_owned(),
            ..Table::default()
        }];
        let rows = Rows::described("a.csv", &described);
        assert_eq!(
            rows.load("train", &described, &[], Some(1000)),
            "train = pd.read_csv(\"data/a.csv\", sep=\";\", nrows=1000)\n"
        );
    }
}
