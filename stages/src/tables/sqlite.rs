//! Reads the tables of a SQLite file of somebody else's, which is opened as hostile: read-only, its schema not trusted.

use std::io::Write;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OpenFlags};

use super::Table;

/// Tables of one file that are read.
const MAX_TABLES: usize = 50;
/// Text that is taken into memory, in bytes.
const MAX_TEXT: usize = 2 << 30;
/// Steps of SQLite's machine after which reading is given up: many times what a table of the largest size takes.
const MAX_STEPS: i32 = 2_000_000_000;

/// Every table of the file, by name. Fails, with the reason, when the bytes are no database.
pub fn read_sqlite(bytes: &[u8]) -> Result<Vec<Table>, String> {
    let mut file = tempfile::NamedTempFile::new().map_err(|error| error.to_string())?;
    file.write_all(bytes).map_err(|error| error.to_string())?;
    read(file.path()).map_err(|error| match error {
        Problem::Sqlite(error) => error.to_string(),
        Problem::TooLarge => format!("it holds more than {MAX_TEXT} bytes of text"),
    })
}

enum Problem {
    Sqlite(rusqlite::Error),
    TooLarge,
}

impl From<rusqlite::Error> for Problem {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

fn read(path: &std::path::Path) -> Result<Vec<Table>, Problem> {
    let mut connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.execute_batch("PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;")?;
    connection.progress_handler(MAX_STEPS, Some(|| true))?;
    // Views are left out: what they compute is theirs to say.
    let names = connection
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name LIMIT ?1")?
        .query_map([MAX_TABLES as i64], |row| row.get::<_, String>(0))?
        .collect::<Result<Vec<_>, _>>()?;
    let mut text = 0;
    let mut tables = Vec::new();
    for name in names {
        let query = format!("SELECT * FROM \"{}\"", name.replace('"', "\"\""));
        let mut statement = connection.prepare(&query)?;
        let header: Vec<String> = statement.column_names().map(str::to_owned).collect();
        let mut found = statement.query([])?;
        let mut rows = Vec::new();
        while let Some(row) = found.next()? {
            let mut cells = Vec::with_capacity(header.len());
            for place in 0..header.len() {
                let cell = cell(row.get_ref(place)?);
                text += cell.len();
                cells.push(cell);
            }
            if text > MAX_TEXT {
                return Err(Problem::TooLarge);
            }
            rows.push(cells);
        }
        tables.push(Table {
            name: Some(name),
            encoding: "utf-8",
            separator: ',',
            header,
            rows,
            ragged: 0,
        });
    }
    Ok(tables)
}

fn cell(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => String::new(),
        ValueRef::Integer(number) => number.to_string(),
        // As JSON and Python write it: 1.0, not 1.
        ValueRef::Real(number) => format!("{number:?}"),
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => {
            String::from_utf8_lossy(bytes).into_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn database(statements: &str) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("d.sqlite");
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch(statements).unwrap();
        drop(connection);
        std::fs::read(path).unwrap()
    }

    #[test]
    fn every_table_is_read_and_no_view() {
        let bytes = database(
            "CREATE TABLE \"odd \"\"name\" (row_id INTEGER, \"a b\" TEXT, x REAL);
             INSERT INTO \"odd \"\"name\" VALUES (1, 'é', 2.0), (2, NULL, 1e-7);
             CREATE TABLE b (row_id INTEGER PRIMARY KEY AUTOINCREMENT);
             CREATE VIEW v AS SELECT 1;",
        );
        let tables = read_sqlite(&bytes).unwrap();
        let names: Vec<_> = tables.iter().map(|table| table.name.as_deref()).collect();
        assert_eq!(names, [Some("b"), Some("odd \"name")]);
        assert_eq!(tables[1].header, ["row_id", "a b", "x"]);
        assert_eq!(tables[1].rows, [["1", "é", "2.0"], ["2", "", "1e-7"]]);
        assert!(tables[0].rows.is_empty());
    }

    #[test]
    fn damaged_files_are_refused_and_end_nothing() {
        let bytes = database("CREATE TABLE t (x); INSERT INTO t VALUES (1), (2);");
        assert!(read_sqlite(b"").unwrap().is_empty());
        assert!(read_sqlite(b"SQLite format 3\0 and no more").is_err());
        assert!(read_sqlite(&bytes[..bytes.len() / 2]).is_err());
        for place in 0..bytes.len().min(300) {
            let mut damaged = bytes.clone();
            damaged[place] ^= 0xff;
            let _ = read_sqlite(&damaged);
        }
    }
}
