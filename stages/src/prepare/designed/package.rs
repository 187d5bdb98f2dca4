//! Writes a task's tables as agents find them: CSV, `SQLite` with the training rows in several tables, or Parquet.

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};
use synth_core::TableSummary;
use synth_dataset::{PlainCells, write_plain};

use super::dice::Dice;
use super::frame::{Column, Frame, Kind, number};
use super::recipe::Format;
use crate::tables::{Table, measure};

/// The one table of a `SQLite` file that is not divided.
pub(super) const WHOLE: &str = "rows";

/// A file, and what it holds.
pub(super) struct Packed {
    pub path: String,
    pub bytes: Vec<u8>,
    pub summaries: Vec<TableSummary>,
}

/// The tables that the columns of a frame are divided into: for `SQLite` two or three, each with the id column and some of the others.
pub(super) fn divide(
    frame: &Frame,
    id_column: &str,
    format: Format,
    dice: &mut Dice,
) -> Vec<(String, Vec<String>)> {
    let names: Vec<String> = frame
        .columns
        .iter()
        .map(|column| column.name.clone())
        .collect();
    let mut others: Vec<String> = names
        .iter()
        .filter(|name| *name != id_column)
        .cloned()
        .collect();
    if format != Format::Sqlite || others.len() < 2 {
        return vec![(WHOLE.to_owned(), names)];
    }
    let parts = if others.len() < 3 {
        2
    } else {
        2 + dice.below(2)
    };
    dice.shuffle(&mut others);
    let mut tables: Vec<(String, Vec<String>)> = (1..=parts)
        .map(|part| (format!("part_{part}"), vec![id_column.to_owned()]))
        .collect();
    for (place, name) in others.into_iter().enumerate() {
        tables[place % parts].1.push(name);
    }
    // Within a table the columns keep their order.
    for (_, columns) in &mut tables {
        columns.sort_by_key(|name| names.iter().position(|other| other == name));
    }
    tables
}

/// Writes a frame to `stem` with the format's ending. An error says why it cannot be written.
pub(super) fn pack(
    stem: &str,
    frame: &Frame,
    tables: &[(String, Vec<String>)],
    format: Format,
) -> Result<Packed, String> {
    let path = format!("{stem}.{}", format.ending());
    let bytes = match format {
        Format::Csv => csv(frame),
        Format::Parquet => write_plain(
            frame
                .columns
                .iter()
                .map(|column| (column.name.clone(), plain_cells(column)))
                .collect(),
        )
        .map_err(|error| format!("`{path}` cannot be written: {error}"))?,
        Format::Sqlite => {
            sqlite(frame, tables).map_err(|error| format!("`{path}` cannot be written: {error}"))?
        }
    };
    let summaries = if format == Format::Sqlite {
        tables
            .iter()
            .map(|(name, columns)| {
                summary(
                    &path,
                    Some(name),
                    &frame.select(columns.iter().map(String::as_str)),
                )
            })
            .collect()
    } else {
        vec![summary(&path, None, frame)]
    };
    Ok(Packed {
        path,
        bytes,
        summaries,
    })
}

/// A frame as CSV: commas, a header, UTF-8, gaps empty.
pub(super) fn csv(frame: &Frame) -> Vec<u8> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer
        .write_record(frame.columns.iter().map(|column| column.name.as_str()))
        .expect("writing to memory does not fail");
    for row in 0..frame.rows() {
        writer
            .write_record(
                frame
                    .columns
                    .iter()
                    .map(|column| column.cells[row].as_str()),
            )
            .expect("writing to memory does not fail");
    }
    writer
        .into_inner()
        .expect("writing to memory does not fail")
}

fn plain_cells(column: &Column) -> PlainCells {
    let cells = || column.cells.iter().map(String::as_str);
    match column.kind {
        Kind::Integer => PlainCells::Integers(cells().map(|cell| cell.parse().ok()).collect()),
        Kind::Number => PlainCells::Numbers(cells().map(number).collect()),
        Kind::Text => PlainCells::Texts(
            cells()
                .map(|cell| (!cell.is_empty()).then(|| cell.to_owned()))
                .collect(),
        ),
    }
}

fn sqlite(
    frame: &Frame,
    tables: &[(String, Vec<String>)],
) -> Result<Vec<u8>, Box<dyn std::error::Error>> {
    let file = tempfile::NamedTempFile::new()?;
    let mut connection = Connection::open(file.path())?;
    // No journal is needed for what is thrown away when it fails; it would only be waited for.
    connection.pragma_update(None, "journal_mode", "OFF")?;
    connection.pragma_update(None, "synchronous", "OFF")?;
    let quoted = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
    let transaction = connection.transaction()?;
    for (name, columns) in tables {
        let part = frame.select(columns.iter().map(String::as_str));
        let declared: Vec<String> = part
            .columns
            .iter()
            .map(|column| {
                let kind = match column.kind {
                    Kind::Integer => "INTEGER",
                    Kind::Number => "REAL",
                    Kind::Text => "TEXT",
                };
                format!("{} {kind}", quoted(&column.name))
            })
            .collect();
        transaction.execute(
            &format!("CREATE TABLE {} ({})", quoted(name), declared.join(", ")),
            [],
        )?;
        let places = vec!["?"; part.columns.len()].join(", ");
        let mut insert =
            transaction.prepare(&format!("INSERT INTO {} VALUES ({places})", quoted(name)))?;
        for row in 0..part.rows() {
            insert.execute(params_from_iter(
                part.columns.iter().map(|column| value(column, row)),
            ))?;
        }
    }
    transaction.commit()?;
    connection.close().map_err(|(_, error)| error)?;
    Ok(std::fs::read(file.path())?)
}

fn value(column: &Column, row: usize) -> Value {
    let cell = column.cells[row].as_str();
    match column.kind {
        _ if cell.is_empty() => Value::Null,
        Kind::Integer => cell.parse().map_or(Value::Null, Value::Integer),
        Kind::Number => number(cell).map_or(Value::Null, Value::Real),
        Kind::Text => Value::Text(cell.to_owned()),
    }
}

fn summary(path: &str, table: Option<&str>, frame: &Frame) -> TableSummary {
    let whole = Table {
        name: table.map(str::to_owned),
        encoding: "utf-8",
        separator: ',',
        header: frame
            .columns
            .iter()
            .map(|column| column.name.clone())
            .collect(),
        rows: (0..frame.rows())
            .map(|row| {
                frame
                    .columns
                    .iter()
                    .map(|column| column.cells[row].clone())
                    .collect()
            })
            .collect(),
        ragged: 0,
    };
    measure(path, &whole)
}

#[cfg(test)]
mod tests {
    use super::super::frame::tests::frame;
    use super::*;

    fn table() -> Frame {
        frame("a,b,c,d\n1,0.5,\"x, y\",p\n,2,,q\n3,,z,\n").numbered("row_id", 5)
    }

    #[test]
    fn sqlite_files_hold_all_columns_between_them() {
        let frame = table();
        for seed in 0..10 {
            let tables = divide(
                &frame,
                "row_id",
                Format::Sqlite,
                &mut Dice::new(seed, "tables"),
            );
            assert!((2..=3).contains(&tables.len()));
            let packed = pack("train", &frame, &tables, Format::Sqlite).unwrap();
            assert_eq!(
                (packed.path.as_str(), packed.summaries.len()),
                ("train.sqlite", tables.len())
            );
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), &packed.bytes).unwrap();
            let connection = Connection::open(file.path()).unwrap();
            let from: Vec<String> = tables.iter().map(|(name, _)| name.clone()).collect();
            let joined = from.join(" NATURAL JOIN ");
            let read = |column: &str| {
                let mut statement = connection
                    .prepare(&format!("SELECT {column} FROM {joined} ORDER BY row_id"))
                    .unwrap();
                let cells = statement
                    .query_map([], |row| row.get::<_, Value>(0))
                    .unwrap();
                cells.map(Result::unwrap).collect::<Vec<_>>()
            };
            assert_eq!(
                read("a"),
                [Value::Integer(1), Value::Null, Value::Integer(3)]
            );
            assert_eq!(read("b"), [Value::Real(0.5), Value::Real(2.0), Value::Null]);
            assert_eq!(
                read("c"),
                [
                    Value::Text("x, y".to_owned()),
                    Value::Null,
                    Value::Text("z".to_owned())
                ]
            );
            assert_eq!(
                read("row_id"),
                [Value::Integer(5), Value::Integer(6), Value::Integer(7)]
            );
            let again = pack("train", &frame, &tables, Format::Sqlite).unwrap();
            assert_eq!(again.bytes, packed.bytes);
        }
    }

    #[test]
    fn csv_files_read_back_as_they_were() {
        let frame = table();
        let tables = divide(&frame, "row_id", Format::Csv, &mut Dice::new(1, "tables"));
        let packed = pack("train", &frame, &tables, Format::Csv).unwrap();
        let read = crate::tables::read_table(&packed.bytes).unwrap();
        assert_eq!(Frame::of(&read), frame);
        assert_eq!(
            (packed.summaries[0].rows, packed.summaries[0].columns.len()),
            (3, 5)
        );
    }
}
