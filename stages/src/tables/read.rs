//! Reads delimited text as people leave it lying around: any common encoding, separator and line ending, ragged rows.

use std::collections::HashMap;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};
use synth_core::Fingerprint;

/// A table in memory, all cells as text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    /// Its name within the file, where a file holds several.
    pub name: Option<String>,
    /// The encoding, as Python names it.
    pub encoding: &'static str,
    /// The field separator.
    pub separator: char,
    /// Column names, as pandas would call them: unnamed and repeated ones get a name of their own.
    pub header: Vec<String>,
    /// Rows, each as long as the header.
    pub rows: Vec<Vec<String>>,
    /// Rows that were longer than the header or shorter.
    pub ragged: u64,
}

/// Whether a path names a table that can be read.
pub fn is_table(path: &str) -> bool {
    matches!(
        ending(path).as_str(),
        "csv" | "tsv" | "parquet" | "sqlite" | "sqlite3" | "db"
    )
}

/// The ending of a path, in lower case.
pub fn ending(path: &str) -> String {
    path.rsplit_once('.')
        .map_or_else(String::new, |(_, ending)| ending.to_lowercase())
}

/// Reads the tables of a file by its ending: one of delimited text or Parquet, any number of SQLite. Fails, with the reason,
/// when it is none.
pub fn read_tables(path: &str, bytes: &[u8]) -> Result<Vec<Table>, String> {
    match ending(path).as_str() {
        "parquet" => {
            let (header, rows) = synth_dataset::read_parquet(bytes.to_vec())?;
            Ok(vec![Table {
                name: None,
                encoding: "utf-8",
                separator: ',',
                header,
                rows,
                ragged: 0,
            }])
        }
        "sqlite" | "sqlite3" | "db" => super::sqlite::read_sqlite(bytes),
        _ => read_table(bytes).map(|table| vec![table]),
    }
}

/// Reads a table of delimited text. Fails, with the reason, when there is no header.
pub fn read_table(bytes: &[u8]) -> Result<Table, String> {
    let (encoding, text) = decode(bytes);
    let text = text.trim_start_matches('\u{feff}');
    if text.trim().is_empty() {
        return Err("the file is empty".to_owned());
    }
    let separator = sniff_separator(text);
    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(separator as u8)
        .from_reader(text.as_bytes());
    let mut records = reader.records();
    let first = records
        .next()
        .ok_or("the file has no header")?
        .map_err(|error| error.to_string())?;
    let header = name_columns(first.iter());
    let (mut rows, mut ragged) = (Vec::new(), 0);
    for record in records {
        let record = record.map_err(|error| error.to_string())?;
        if record.len() == 1 && record[0].trim().is_empty() {
            continue;
        }
        ragged += u64::from(record.len() != header.len());
        let mut row: Vec<String> = record
            .iter()
            .take(header.len())
            .map(str::to_owned)
            .collect();
        row.resize(header.len(), String::new());
        rows.push(row);
    }
    Ok(Table {
        name: None,
        encoding,
        separator,
        header,
        rows,
        ragged,
    })
}

/// A fingerprint of what a table says, whatever its encoding, line endings and quoting; of the bytes if it is no table.
pub fn content_signature(path: &str, bytes: &[u8]) -> Fingerprint {
    if is_table(path)
        && let Ok(tables) = read_tables(path, bytes)
        && !tables.is_empty()
    {
        return match tables.as_slice() {
            // The same table is the same in a file of any kind.
            [table] => Fingerprint::of(&(&table.header, &table.rows)),
            tables => Fingerprint::of(
                &tables
                    .iter()
                    .map(|table| (&table.name, &table.header, &table.rows))
                    .collect::<Vec<_>>(),
            ),
        };
    }
    Fingerprint::of_bytes(bytes)
}

fn decode(bytes: &[u8]) -> (&'static str, String) {
    let by_mark: Option<(&'static str, &'static Encoding)> = match bytes {
        [0xef, 0xbb, 0xbf, ..] => Some(("utf-8-sig", UTF_8)),
        [0xff, 0xfe, ..] => Some(("utf-16", UTF_16LE)),
        [0xfe, 0xff, ..] => Some(("utf-16", UTF_16BE)),
        _ => None,
    };
    if let Some((name, encoding)) = by_mark {
        return (name, encoding.decode(bytes).0.into_owned());
    }
    match std::str::from_utf8(bytes) {
        Ok(text) => ("utf-8", text.to_owned()),
        Err(_) => ("cp1252", WINDOWS_1252.decode(bytes).0.into_owned()),
    }
}

/// The separator that splits the first lines most evenly into more than one field.
fn sniff_separator(text: &str) -> char {
    let lines: Vec<&str> = text
        .split(['\n', '\r'])
        .filter(|line| !line.trim().is_empty())
        .take(30)
        .collect();
    let evenness = |separator: char| {
        let mut counts = HashMap::new();
        for line in &lines {
            *counts.entry(fields(line, separator)).or_insert(0_usize) += 1;
        }
        counts
            .into_iter()
            .filter(|(fields, _)| *fields > 1)
            .map(|(fields, lines)| (lines, fields))
            .max()
    };
    // Comma first: it wins where others do no better.
    [',', '\t', ';', '|']
        .into_iter()
        .rev()
        .max_by_key(|separator| evenness(*separator))
        .filter(|s| evenness(*s).is_some())
        .unwrap_or(',')
}

fn fields(line: &str, separator: char) -> usize {
    let mut quoted = false;
    1 + line
        .chars()
        .filter(|character| {
            quoted ^= *character == '"';
            !quoted && *character == separator
        })
        .count()
}

/// Names as pandas gives them: `Unnamed: 3` for an empty one, `x.1` for the second `x`.
fn name_columns<'a>(names: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut seen: HashMap<String, usize> = HashMap::new();
    names
        .enumerate()
        .map(|(place, name)| {
            let name = if name.is_empty() {
                format!("Unnamed: {place}")
            } else {
                name.to_owned()
            };
            let count = seen.entry(name.clone()).or_default();
            *count += 1;
            if *count == 1 {
                name
            } else {
                format!("{name}.{}", *count - 1)
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_are_found() {
        for (text, separator) in [
            ("a,b\n1,2\n", ','),
            ("a;b\n1,5;2\n", ';'),
            ("a\tb\n1\t2\n", '\t'),
            ("a|b\n1|2\n", '|'),
            ("a\n1\n", ','),
        ] {
            assert_eq!(
                read_table(text.as_bytes()).unwrap().separator,
                separator,
                "{text:?}"
            );
        }
    }

    #[test]
    fn encodings_are_found() {
        assert_eq!(
            read_table(b"\xef\xbb\xbfa,b\n1,2").unwrap().encoding,
            "utf-8-sig"
        );
        assert_eq!(read_table(b"a,b\ncaf\xe9,2").unwrap().rows[0][0], "café");
        assert_eq!(
            read_table(b"\xff\xfea\0,\0b\0\n\0").unwrap().header,
            ["a", "b"]
        );
    }

    #[test]
    fn any_line_ending_will_do() {
        for text in ["a,b\n1,2\n3,4", "a,b\r\n1,2\r\n3,4\r\n", "a,b\r1,2\r3,4\r"] {
            assert_eq!(
                read_table(text.as_bytes()).unwrap().rows.len(),
                2,
                "{text:?}"
            );
        }
    }

    #[test]
    fn columns_are_named_as_pandas_names_them() {
        assert_eq!(
            read_table(b",x,x,\n1,2,3,4\n").unwrap().header,
            ["Unnamed: 0", "x", "x.1", "Unnamed: 3"]
        );
    }

    #[test]
    fn ragged_rows_are_counted_and_squared() {
        let table = read_table(b"a,b\n1\n1,2,3\n4,5\n").unwrap();
        assert_eq!(table.ragged, 2);
        assert!(table.rows.iter().all(|row| row.len() == 2));
    }

    #[test]
    fn the_same_table_in_other_clothes_has_the_same_signature() {
        let plain = content_signature("a.csv", b"a,b\n1,x\n");
        assert_eq!(
            content_signature("b.csv", b"\xef\xbb\xbf\"a\",b\r\n1,\"x\"\r\n"),
            plain
        );
        assert_ne!(content_signature("a.csv", b"a,b\n1,y\n"), plain);
    }

    #[test]
    fn an_empty_file_is_no_table() {
        assert!(read_table(b"\n\n").is_err());
    }
}
