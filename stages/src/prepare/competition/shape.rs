//! The shape of a competition: which tables hold known answers, rows to predict and the example submission, which columns are
//! keys, and which are asked for. Found by names and by content; what cannot be told is refused with a reason.

use std::collections::{BTreeMap, HashSet};
use std::io::Read;

use synth_core::DataFile;
use synth_pipeline::{Blobs, StageError};

use super::facts::{is_sample, path_words};
use super::{Refusal, refuse};
use crate::tables::{Table, is_missing, read_table};

/// What is read of a table to see its header and first rows.
const PEEKED_BYTES: u64 = 1 << 18;
/// Labels of a column whose classes stand in columns of their own, at most.
const MOST_CLASSES: usize = 2_000;
/// Columns that a composed key is looked for among, at most.
const MOST_KEY_CANDIDATES: usize = 40;
/// Parts of a composed key, at most.
const MOST_KEY_PARTS: usize = 4;

/// A table of the competition's.
pub(super) struct Part {
    pub path: String,
    pub table: Table,
}

/// How rows are named in a submission.
pub(super) enum Keys {
    /// By columns of the tables: name in the submission, place in the training table where it is there, name in the test table.
    Columns(Vec<(String, Option<usize>, String)>),
    /// By one column of several joined: name in the submission, places in the training table, separator.
    Composed {
        name: String,
        train: Vec<usize>,
        separator: char,
    },
    /// By numbers that no table holds.
    New(String),
}

/// What is asked for.
pub(super) enum Targets {
    /// Columns of the training table: name in the submission, and place.
    Columns(Vec<(String, usize)>),
    /// A column for each class of one of the training table's: its place, and pairs of column and label.
    Classes {
        column: usize,
        of: Vec<(String, String)>,
    },
}

/// What has been found.
pub(super) struct Shape {
    pub train: Part,
    pub test: Option<Part>,
    pub sample: Part,
    pub keys: Keys,
    pub targets: Targets,
    pub remarks: Vec<String>,
}

/// Finds the shape of these files.
pub(super) fn find(
    blobs: &Blobs,
    files: &[DataFile],
    max_table_bytes: u64,
) -> Result<Shape, Refusal> {
    let tables: Vec<&DataFile> = files
        .iter()
        .filter(|file| is_delimited(&file.path))
        .collect();
    let sample = sample_file(&tables).ok_or_else(|| {
        refuse(
            "no_sample_submission",
            "no table is named like a sample submission",
        )
    })?;
    let sample = load(blobs, sample, max_table_bytes)?;
    if sample.table.header.len() < 2 {
        return Err(refuse(
            "sample_submission_one_column",
            format!("`{}` has one column; needs a key and a target", sample.path),
        ));
    }
    if sample.table.rows.is_empty() {
        return Err(refuse(
            "sample_submission_empty",
            format!("`{}` has no rows", sample.path),
        ));
    }
    let mut others = BTreeMap::new();
    for file in &tables {
        if file.path != sample.path
            && !is_submission(&file.path)
            && let Some(table) = peek(blobs, file)?
        {
            others.insert(file.path.as_str(), table);
        }
    }
    let file = |path: &str| tables.iter().find(|file| file.path == path).copied();
    let train_path = train_path(&others, &sample.table).ok_or_else(|| {
        refuse(
            "no_train_table",
            "no table is named like training data, and none holds the asked columns",
        )
    })?;
    let test_path = test_path(&others, train_path, &sample.table);
    let missing = || refuse("no_train_table", "the training table is gone");
    let train = load(
        blobs,
        file(train_path).ok_or_else(missing)?,
        max_table_bytes,
    )?;
    let test = match test_path.and_then(file) {
        Some(test) => Some(load(blobs, test, max_table_bytes)?),
        None => None,
    };
    if train.table.rows.is_empty() {
        return Err(refuse(
            "no_train_rows",
            format!("`{}` has no rows", train.path),
        ));
    }
    let mut remarks = Vec::new();
    let keys = keys(&train, test.as_ref(), &sample)?;
    let targets = targets(&train, test.as_ref(), &sample, &keys, &mut remarks)?;
    Ok(Shape {
        train,
        test,
        sample,
        keys,
        targets,
        remarks,
    })
}

fn load(blobs: &Blobs, file: &DataFile, max_table_bytes: u64) -> Result<Part, Refusal> {
    if file.bytes > max_table_bytes {
        return Err(refuse(
            "table_too_large",
            format!(
                "`{}` has {} bytes; at most {max_table_bytes}, by `prepare.competitions.max_table_bytes`",
                file.path, file.bytes
            ),
        ));
    }
    let bytes = blobs
        .read(file.blake3)
        .map_err(|error| unreadable(file, &error))?;
    let table = read_table(&bytes)
        .map_err(|problem| refuse("unreadable_table", format!("`{}`: {problem}", file.path)))?;
    Ok(Part {
        path: file.path.clone(),
        table,
    })
}

fn unreadable(file: &DataFile, error: &std::io::Error) -> Refusal {
    Refusal::Files(StageError::Files(format!(
        "cannot read `{}` from the data store: {error}",
        file.path
    )))
}

/// The header and first rows; `None` where there is no header.
fn peek(blobs: &Blobs, file: &DataFile) -> Result<Option<Table>, Refusal> {
    let mut bytes = Vec::new();
    std::fs::File::open(blobs.path(file.blake3))
        .and_then(|open| open.take(PEEKED_BYTES).read_to_end(&mut bytes))
        .map_err(|error| unreadable(file, &error))?;
    let is_cut = file.bytes > PEEKED_BYTES;
    if is_cut {
        // Half a letter would make the whole of it look like another encoding.
        let lines = bytes.iter().rposition(|byte| matches!(byte, b'\n' | b'\r'));
        bytes.truncate(lines.map_or(0, |last| last + 1));
    }
    let mut table = read_table(&bytes).ok();
    if let Some(table) = &mut table
        && is_cut
    {
        // The last row may end within a quoted cell.
        table.rows.pop();
    }
    Ok(table)
}

/// The table that is named most like a sample submission, nearest to the top.
fn sample_file<'a>(tables: &[&'a DataFile]) -> Option<&'a DataFile> {
    tables
        .iter()
        .copied()
        .filter(|file| is_submission(&file.path))
        .min_by_key(|file| (!is_sample(&file.path), depth(&file.path), &file.path))
}

/// Whether a path is named like a submission, sample or not.
fn is_submission(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_lowercase();
    is_sample(path) || name.contains("submission") || name.contains("submit")
}

fn depth(path: &str) -> usize {
    path.matches('/').count()
}

fn is_named(path: &str, word: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    path_words(name).iter().any(|found| found.starts_with(word))
}

/// The table of known answers: named so, and with most of the asked columns.
fn train_path<'a>(others: &BTreeMap<&'a str, Table>, sample: &Table) -> Option<&'a str> {
    let asked = |table: &Table| {
        sample
            .header
            .iter()
            .skip(1)
            .filter(|name| table.header.contains(name))
            .count()
    };
    let has_key = |table: &Table| table.header.contains(&sample.header[0]);
    others
        .iter()
        .filter(|(path, table)| {
            let whole = asked(table) + 1 == sample.header.len();
            is_named(path, "train") || whole && !is_named(path, "test") && !is_named(path, "valid")
        })
        .max_by_key(|(path, table)| {
            (
                asked(table),
                is_named(path, "train"),
                has_key(table),
                table.header.len() > 1,
                path_words(path).len() <= 2,
                std::cmp::Reverse((depth(path), path.len(), **path)),
            )
        })
        .map(|(path, _)| *path)
}

/// The table of rows to predict: named so, and most like the training table.
fn test_path<'a>(
    others: &BTreeMap<&'a str, Table>,
    train_path: &str,
    sample: &Table,
) -> Option<&'a str> {
    let train = others.get(train_path)?;
    others
        .iter()
        .filter(|(path, _)| **path != train_path && is_named(path, "test"))
        .filter(|(_, table)| {
            table.header.iter().any(|name| train.header.contains(name))
                || table.header.contains(&sample.header[0])
        })
        .max_by_key(|(path, table)| {
            let shared = table
                .header
                .iter()
                .filter(|name| train.header.contains(name))
                .count();
            (
                table.header.contains(&sample.header[0]),
                shared,
                std::cmp::Reverse((depth(path), path.len(), **path)),
            )
        })
        .map(|(path, _)| *path)
}

fn place(table: &Table, name: &str) -> Option<usize> {
    table.header.iter().position(|column| column == name)
}

/// The cells of a column, trimmed.
pub(super) fn cells(table: &Table, column: usize) -> impl Iterator<Item = &str> {
    table.rows.iter().map(move |row| row[column].trim())
}

/// Columns of the sample that name its rows.
fn keys(train: &Part, test: Option<&Part>, sample: &Part) -> Result<Keys, Refusal> {
    let first = sample.table.header[0].clone();
    let Some(test) = test else {
        return keys_without_test(train, sample, first);
    };
    let named: Vec<(String, Option<usize>, String)> = sample
        .table
        .header
        .iter()
        .enumerate()
        .filter_map(|(at, name)| {
            let in_test = place(&test.table, name)?;
            // A target may stand in the test table with nothing in it.
            let is_hollow = at > 0
                && distinct(&test.table, in_test, 2) < 2
                && place(&train.table, name).is_some();
            (!is_hollow).then(|| (name.clone(), place(&train.table, name), name.clone()))
        })
        .collect();
    if !named.is_empty() {
        return Ok(Keys::Columns(named));
    }
    let asked: HashSet<&str> = cells(&sample.table, 0).collect();
    let same = (0..test.table.header.len()).find(|column| {
        let there: HashSet<&str> = cells(&test.table, *column).collect();
        there == asked && asked.len() > 1
    });
    if let Some(column) = same {
        let name = test.table.header[column].clone();
        return Ok(Keys::Columns(vec![(
            first,
            place(&train.table, &name),
            name,
        )]));
    }
    if let Some((parts, separator)) = composed(&sample.table, &test.table) {
        let in_train: Option<Vec<usize>> = parts
            .iter()
            .map(|part| place(&train.table, &test.table.header[*part]))
            .collect();
        if let Some(train) = in_train {
            return Ok(Keys::Composed {
                name: first,
                train,
                separator,
            });
        }
    }
    if sample.table.rows.len() == test.table.rows.len() && place(&train.table, &first).is_none() {
        return Ok(Keys::New(first));
    }
    Err(refuse(
        "unknown_key",
        format!(
            "`{first}` of `{}` names rows of `{}` in no way that can be told",
            sample.path, test.path
        ),
    ))
}

/// Without a table of rows to predict, the key is all that is known of them.
fn keys_without_test(train: &Part, sample: &Part, first: String) -> Result<Keys, Refusal> {
    let in_train = place(&train.table, &first).or_else(|| {
        let asked = &sample.table.header;
        let mut left = (0..train.table.header.len())
            .filter(|column| !asked.contains(&train.table.header[*column]));
        // The one column that is not asked for, under another name.
        left.next().filter(|_| left.next().is_none())
    });
    let Some(column) = in_train else {
        return Err(refuse(
            "no_test_table",
            format!(
                "no table is named like test data, and `{}` has no column `{first}`",
                train.path
            ),
        ));
    };
    Ok(Keys::Columns(vec![(
        first,
        Some(column),
        train.table.header[column].clone(),
    )]))
}

/// The columns of the test table that, joined, are the sample's keys row by row; and what joins them.
fn composed(sample: &Table, test: &Table) -> Option<(Vec<usize>, char)> {
    if sample.rows.len() != test.rows.len() {
        return None;
    }
    let columns = test.header.len().min(MOST_KEY_CANDIDATES);
    let joined = |row: &[String], parts: &[usize], separator: char| {
        let mut key = String::new();
        for (at, part) in parts.iter().enumerate() {
            if at > 0 {
                key.push(separator);
            }
            key.push_str(row[*part].trim());
        }
        key
    };
    for separator in ['_', '-', ' ', '|', ':'] {
        // Depth first over columns whose values begin the key of the first row.
        let key = sample.rows[0][0].trim();
        let mut open: Vec<Vec<usize>> = vec![Vec::new()];
        while let Some(parts) = open.pop() {
            let so_far = joined(&test.rows[0], &parts, separator);
            if parts.len() > 1 && so_far == key {
                let all = sample
                    .rows
                    .iter()
                    .zip(&test.rows)
                    .all(|(sample, test)| joined(test, &parts, separator) == sample[0].trim());
                if all {
                    return Some((parts, separator));
                }
            }
            if parts.len() == MOST_KEY_PARTS {
                continue;
            }
            for column in (0..columns).filter(|column| !parts.contains(column)) {
                let longer: Vec<usize> = parts.iter().copied().chain([column]).collect();
                let is_empty = test.rows[0][column].trim().is_empty();
                if !is_empty && key.starts_with(&joined(&test.rows[0], &longer, separator)) {
                    open.push(longer);
                }
            }
        }
    }
    None
}

/// Different values of a column; counting stops at `most`.
pub(super) fn distinct(table: &Table, column: usize, most: usize) -> usize {
    let mut seen = HashSet::new();
    for cell in cells(table, column) {
        if !is_missing(cell) && seen.insert(cell) && seen.len() >= most {
            break;
        }
    }
    seen.len()
}

fn targets(
    train: &Part,
    test: Option<&Part>,
    sample: &Part,
    keys: &Keys,
    remarks: &mut Vec<String>,
) -> Result<Targets, Refusal> {
    let is_key = |name: &String| match keys {
        Keys::Columns(columns) => columns.iter().any(|(key, ..)| key == name),
        Keys::Composed { name: key, .. } | Keys::New(key) => key == name,
    };
    let asked: Vec<&String> = sample
        .table
        .header
        .iter()
        .filter(|name| !is_key(name))
        .collect();
    if asked.is_empty() {
        return Err(refuse(
            "no_target_column",
            format!("all columns of `{}` name rows", sample.path),
        ));
    }
    let there: Vec<Option<usize>> = asked.iter().map(|name| place(&train.table, name)).collect();
    if let Some(places) = there.iter().copied().collect::<Option<Vec<usize>>>() {
        let columns = asked.into_iter().cloned().zip(places).collect();
        return Ok(Targets::Columns(columns));
    }
    let key_columns: Vec<usize> = match keys {
        Keys::Columns(columns) => columns
            .iter()
            .filter_map(|(_, column, _)| *column)
            .collect(),
        Keys::Composed { train, .. } => train.clone(),
        Keys::New(_) => Vec::new(),
    };
    let own: Vec<usize> = (0..train.table.header.len())
        .filter(|column| !key_columns.contains(column))
        .filter(|column| {
            test.is_none_or(|test| place(&test.table, &train.table.header[*column]).is_none())
        })
        .collect();
    if asked.len() > 1
        && there.iter().all(Option::is_none)
        && let Some(classes) = classes(&train.table, &own, &asked)
    {
        return Ok(classes);
    }
    if let ([asked], [column]) = (asked.as_slice(), own.as_slice()) {
        remarks.push(format!(
            "`{asked}` of the example submission is `{}` of the training table",
            train.table.header[*column]
        ));
        return Ok(Targets::Columns(vec![((*asked).clone(), *column)]));
    }
    let absent: Vec<&str> = asked
        .iter()
        .zip(&there)
        .filter(|(_, there)| there.is_none())
        .map(|(name, _)| name.as_str())
        .take(5)
        .collect();
    Err(refuse(
        "target_not_in_train",
        format!("`{}` has no column `{}`", train.path, absent.join("`, `")),
    ))
}

/// The column whose labels are the asked columns, by their whole names or behind what all names begin with.
fn classes(train: &Table, own: &[usize], asked: &[&String]) -> Option<Targets> {
    let prefix = common_prefix(asked);
    let mut readings: Vec<Vec<&str>> = vec![asked.iter().map(|name| name.as_str()).collect()];
    if !prefix.is_empty() {
        readings.push(asked.iter().map(|name| &name[prefix.len()..]).collect());
    }
    for labels in &readings {
        let known: HashSet<&str> = labels.iter().copied().collect();
        for column in own {
            let mut seen = HashSet::new();
            let all = cells(train, *column)
                .filter(|cell| !is_missing(cell))
                .all(|cell| {
                    seen.insert(cell);
                    known.contains(cell) && seen.len() <= MOST_CLASSES
                });
            if all && seen.len() > 1 {
                let of = asked
                    .iter()
                    .zip(labels)
                    .map(|(name, label)| ((*name).clone(), (*label).to_owned()))
                    .collect();
                return Some(Targets::Classes {
                    column: *column,
                    of,
                });
            }
        }
    }
    None
}

/// What all names begin with, up to a separator.
fn common_prefix<'a>(names: &[&'a String]) -> &'a str {
    let Some(first) = names.first() else {
        return "";
    };
    let mut length = first.len();
    for name in names {
        let shared = first
            .char_indices()
            .zip(name.chars())
            .find(|((_, a), b)| a != b)
            .map_or(first.len().min(name.len()), |((at, _), _)| at);
        length = length.min(shared);
    }
    let end = first[..length]
        .rfind(['_', '-', '.', ' ', ':'])
        .map_or(0, |at| at + 1);
    // A name that is all prefix has no label behind it.
    if names.iter().any(|name| name.len() <= end) {
        ""
    } else {
        &first[..end]
    }
}

/// Whether a path names delimited text.
pub(super) fn is_delimited(path: &str) -> bool {
    matches!(crate::tables::ending(path).as_str(), "csv" | "tsv")
}
