//! Reading a CSV as `pandas.read_csv` does by default, as the published scorers do: only the columns that are asked for are kept.
//!
//! `column` guesses the types, `align` brings the rows of two tables together.

mod align;
mod column;

pub use align::align;
pub use column::{Column, number};

use std::io::Read;
use std::str;

use crate::quoted;

/// More rows than any truth has: what is longer is refused before it fills the memory.
const MAX_ROWS: usize = 8_000_000;
/// A header of more names than any table has.
const MAX_COLUMNS: usize = 100_000;
/// Stands behind the file as a line of its own; a quote that never closes swallows it.
const END: &str = "\u{1}the end\u{1}";

/// The cells of one column as they stand in the file, without quotes.
#[derive(Debug, Default)]
pub struct Cells {
    text: String,
    ends: Vec<usize>,
}

impl Cells {
    fn push(&mut self, cell: &str) {
        self.text.push_str(cell);
        self.ends.push(self.text.len());
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// The cell of a row; empty beyond the last one.
    pub fn get(&self, row: usize) -> &str {
        let end = self.ends.get(row).copied().unwrap_or_default();
        let start = row
            .checked_sub(1)
            .and_then(|before| self.ends.get(before))
            .copied()
            .unwrap_or_default();
        self.text.get(start..end).unwrap_or_default()
    }

    /// All cells, from the first row on.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        (0..self.len()).map(|row| self.get(row))
    }
}

/// The columns of a table that were asked for.
#[derive(Debug)]
pub struct Table {
    /// Names of all columns, in the order of the file.
    pub header: Vec<String>,
    /// How many rows there are.
    pub rows: usize,
    columns: Vec<(String, Cells)>,
}

impl Table {
    /// Reads the wanted columns, or all; a name that the header does not have is no error here.
    ///
    /// UTF-8 with or without a byte order mark, cells between commas, quotes doubled inside quotes, any line ends, blank lines
    /// skipped. A row that is too short is filled with missing cells. Where the first row is longer than the header, its first
    /// cells are a nameless index in all rows. Of two columns of one name the first counts. Refused are a file without a header, a row
    /// longer than the first one, a quote that never closes and what is not UTF-8, as there the original raises.
    pub fn read(bytes: &[u8], wanted: Option<&[&str]>) -> Result<Self, String> {
        let text = decoded(bytes)?;
        let mut reader = csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .from_reader(text.as_bytes().chain("\n".as_bytes()).chain(END.as_bytes()));
        let mut record = csv::ByteRecord::new();
        let header = loop {
            if !reader.read_byte_record(&mut record).unwrap_or(false) || is_end(&record) {
                return Err("it is empty".to_owned());
            }
            if !is_blank(&record) {
                break header(&record)?;
            }
        };
        let mut columns: Vec<(String, Cells)> = Vec::new();
        let mut positions = Vec::new();
        for (position, name) in header.iter().enumerate() {
            let is_wanted = wanted.is_none_or(|wanted| wanted.contains(&name.as_str()));
            if is_wanted && !columns.iter().any(|(known, _)| known == name) {
                columns.push((name.clone(), Cells::default()));
                positions.push(position);
            }
        }
        let (mut rows, mut most, mut index) = (0, header.len(), 0);
        loop {
            let more = reader
                .read_byte_record(&mut record)
                .map_err(|error| format!("not readable as CSV: {error}"))?;
            if !more {
                return Err("a quote is opened and never closed".to_owned());
            }
            if is_end(&record) {
                break;
            }
            if is_blank(&record) {
                continue;
            }
            if rows == 0 {
                most = most.max(record.len());
                index = most - header.len();
            } else if record.len() > most {
                let line = record.position().map_or(0, csv::Position::line);
                let cells = record.len();
                return Err(format!("line {line} has {cells} cells, {most} is the most"));
            } else if rows == MAX_ROWS {
                return Err(format!("it has more than {MAX_ROWS} rows"));
            }
            rows += 1;
            for (position, (_, cells)) in positions.iter().zip(&mut columns) {
                let cell = record.get(index + position).unwrap_or_default();
                cells.push(str::from_utf8(cell).unwrap_or_default());
            }
        }
        Ok(Self {
            header,
            rows,
            columns,
        })
    }

    /// A column that was asked for.
    pub fn column(&self, name: &str) -> Option<&Cells> {
        self.columns
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, cells)| cells)
    }

    /// Why a column is not there, with the name that was perhaps meant.
    pub fn lacks(&self, name: &str) -> String {
        let plain = |name: &str| name.trim().to_lowercase();
        let near = self.header.iter().find(|other| plain(other) == plain(name));
        let hint = near.map_or_else(String::new, |near| {
            format!(
                ", though there is {}: names must be the same to the letter",
                exactly(near)
            )
        });
        format!("column {} is missing{hint}", quoted(name))
    }
}

/// A name with the blanks that make it another one.
fn exactly(name: &str) -> String {
    format!("`{}`", name.chars().take(80).collect::<String>())
}

fn decoded(bytes: &[u8]) -> Result<&str, String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    str::from_utf8(bytes).map_err(|error| {
        let valid = bytes.get(..error.valid_up_to()).unwrap_or_default();
        let line = valid.split(|byte| *byte == b'\n').count();
        let looks = match bytes {
            [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => ", it looks like UTF-16",
            _ => "",
        };
        format!("line {line} is not UTF-8{looks}")
    })
}

fn header(record: &csv::ByteRecord) -> Result<Vec<String>, String> {
    if record.len() > MAX_COLUMNS {
        return Err(format!("it has more than {MAX_COLUMNS} columns"));
    }
    let name = |(position, name): (usize, &[u8])| match name {
        // As pandas names it; an index that was written along has no name.
        [] => format!("Unnamed: {position}"),
        name => String::from_utf8_lossy(name).into_owned(),
    };
    Ok(record.iter().enumerate().map(name).collect())
}

fn is_end(record: &csv::ByteRecord) -> bool {
    record.len() == 1 && record.get(0) == Some(END.as_bytes())
}

/// Whether a line holds nothing but blanks.
fn is_blank(record: &csv::ByteRecord) -> bool {
    record.len() == 1
        && record.get(0).is_some_and(|cell| {
            !cell.is_empty() && cell.iter().all(|byte| matches!(byte, b' ' | b'\t'))
        })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cells(text: &str) -> Result<Vec<Vec<String>>, String> {
        let table = Table::read(text.as_bytes(), None)?;
        let column = |name: &String| {
            let cells = table.column(name).unwrap();
            cells.iter().map(str::to_owned).collect()
        };
        Ok(table.header.iter().map(column).collect())
    }

    #[test]
    fn files_are_read_in_any_dress() {
        let expected = Ok(vec![
            vec!["1".to_owned(), "2".to_owned()],
            vec!["a".to_owned(), "b, c".to_owned()],
        ]);
        for text in [
            "id,y\n1,a\n2,\"b, c\"\n",
            "\u{feff}id,y\r\n1,a\r\n2,\"b, c\"",
            "\u{feff}\"id\",\"y\"\r1,a\r2,\"b, c\"\r",
            "\n \n\"id\",y\n\n1,a\n\t\n\"2\",\"b, c\"\n\n\n",
        ] {
            assert_eq!(cells(text), expected, "{text:?}");
        }
    }

    #[test]
    fn quotes_hold_lines_and_quotes() {
        let text = "id,y\n1,\"a\nb\"\n2,\"c \"\"d\"\"\"\n3,e\"f\n";
        assert_eq!(cells(text).unwrap()[1], ["a\nb", "c \"d\"", "e\"f"]);
    }

    #[test]
    fn short_rows_are_filled_and_a_first_row_that_is_longer_holds_an_index() {
        assert_eq!(cells("id,y\n1,a\n2\n").unwrap()[1], ["a", ""]);
        let shifted = cells("id,y\n0,1,a\n1,2,b\n").unwrap();
        assert_eq!(shifted, [["1", "2"], ["a", "b"]]);
    }

    #[test]
    fn what_the_original_cannot_read_is_refused_with_a_reason() {
        for (bytes, reason) in [
            (&b""[..], "it is empty"),
            (b"\n\n \n", "it is empty"),
            (b"\xef\xbb\xbf", "it is empty"),
            (b"id,y\n1,a\n2,b,c\n", "line 3 has 3 cells, 2 is the most"),
            (b"id,y\n1,\"a\n2,b\n", "a quote is opened and never closed"),
            (b"id,y\n1,\"", "a quote is opened and never closed"),
            (b"id,y\n1,caf\xe9\n", "line 2 is not UTF-8"),
            (
                b"\xff\xfei\0d\0",
                "line 1 is not UTF-8, it looks like UTF-16",
            ),
        ] {
            assert_eq!(Table::read(bytes, None).unwrap_err(), reason);
        }
    }

    #[test]
    fn a_name_that_is_nearly_there_is_told() {
        let table = Table::read(b"id, Y\n1,2\n", Some(&["id"])).unwrap();
        assert!(table.lacks("y").contains("there is ` Y`"));
        assert_eq!(table.lacks("z"), "column `z` is missing");
        assert!(table.column(" Y").is_none() && table.column("id").is_some());
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_table_or_a_reason(bytes in prop::collection::vec(any::<u8>(), 0..300), text in "[a,\"\n\r \t1]{0,80}") {
            for bytes in [&bytes[..], text.as_bytes()] {
                match Table::read(bytes, None) {
                    Ok(table) => prop_assert!(table.columns.iter().all(|(_, cells)| cells.len() == table.rows)),
                    Err(reason) => prop_assert!(!reason.is_empty()),
                }
            }
        }

        #[test]
        fn what_is_written_is_read(rows in prop::collection::vec(("[a-z\",\n é]{1,8}", "[x-z\"]{1,4}"), 0..20)) {
            let mut writer = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(Vec::new());
            writer.write_record(["left", "right"]).unwrap();
            for (left, right) in &rows {
                writer.write_record([left, right]).unwrap();
            }
            let bytes = writer.into_inner().unwrap();
            let table = Table::read(&bytes, None).unwrap();
            let read: Vec<_> = table.column("left").unwrap().iter().map(str::to_owned).collect();
            prop_assert_eq!(read, rows.into_iter().map(|row| row.0).collect::<Vec<_>>());
        }
    }
}
