//! Writes what agents see, the training rows that are left, the rows to predict and an example submission, and what they do
//! not: the truth in the form of a submission.

use std::collections::HashSet;

use synth_core::DataFile;

use super::shape::{Keys, Shape, Targets, cells};
use super::split::Held;
use super::values::Values;
use super::{Refusal, files, refuse};
use crate::tables::Table;

/// Rows whose order tells their answers to more than this degree, 0 to 1, are numbered anew.
const TELLING_ORDER: f64 = 0.8;

/// What has been written.
pub(super) struct Written {
    pub train: Vec<u8>,
    pub test: Option<Vec<u8>>,
    pub sample: Vec<u8>,
    pub truth: Vec<u8>,
    /// Key columns of the submission.
    pub keys: Vec<String>,
    /// The key's name in the tables, where it is another there.
    pub table_key: Option<String>,
    /// The keys of the rows held back, as in the submission.
    pub ids: Vec<Vec<String>>,
    /// The first key that each had in the training table.
    pub original_keys: Vec<String>,
    /// The rows of the training table that are left.
    pub train_rows: Vec<usize>,
}

/// Columns of the training table that are hidden in the rows to predict.
pub(super) fn target_columns(shape: &Shape) -> Vec<usize> {
    match &shape.targets {
        Targets::Columns(columns) => columns.iter().map(|(_, column)| *column).collect(),
        Targets::Classes { column, .. } => vec![*column],
    }
}

/// Columns of the training table that group no rows: single keys and targets.
pub(super) fn apart(shape: &Shape) -> Vec<usize> {
    let mut columns = target_columns(shape);
    if let Keys::Columns(keys) = &shape.keys
        && let [(_, Some(column), _)] = keys.as_slice()
    {
        columns.push(*column);
    }
    columns
}

/// Writes all parts.
pub(super) fn write(
    shape: &Shape,
    values: &Values,
    held: &Held,
    others: &[DataFile],
    remarks: &mut Vec<String>,
) -> Result<Written, Refusal> {
    let table = &shape.train.table;
    let named = ids(shape, values, held, others, remarks)?;
    let hidden: HashSet<usize> = held.rows.iter().copied().collect();
    let train_rows: Vec<usize> = (0..table.rows.len())
        .filter(|row| !hidden.contains(row))
        .collect();
    let mut train = Csv::new(table.separator, &table.header);
    for row in &train_rows {
        train.row(table.rows[*row].iter().map(String::as_str));
    }
    let test = if let Some(test) = &shape.test {
        Some(test_table(
            shape,
            &test.table,
            held,
            &named,
            others,
            remarks,
        )?)
    } else {
        only_keys(shape, others, &named)?;
        None
    };
    let (sample, truth) = submissions(shape, values, held, &named);
    let table_key = match &shape.keys {
        Keys::Columns(keys) => keys
            .iter()
            .find(|(name, _, in_tables)| name != in_tables)
            .map(|(_, _, in_tables)| in_tables.clone()),
        Keys::Composed { .. } | Keys::New(_) => None,
    };
    Ok(Written {
        train: train.bytes(),
        test,
        sample,
        truth,
        keys: named.names,
        table_key,
        ids: named.ids,
        original_keys: named.original,
        train_rows,
    })
}

/// Rows of a table on their way to bytes.
struct Csv(csv::Writer<Vec<u8>>);

impl Csv {
    fn new<T: AsRef<str>>(separator: char, header: &[T]) -> Self {
        let writer = csv::WriterBuilder::new()
            .delimiter(u8::try_from(separator).unwrap_or(b','))
            .from_writer(Vec::new());
        let mut csv = Self(writer);
        csv.row(header.iter().map(AsRef::as_ref));
        csv
    }

    fn row<'a>(&mut self, cells: impl Iterator<Item = &'a str>) {
        self.0
            .write_record(cells)
            .expect("rows of one length are written to memory");
    }

    fn bytes(self) -> Vec<u8> {
        self.0
            .into_inner()
            .expect("writing to memory does not fail")
    }
}

/// How the rows held back are called.
struct Named {
    names: Vec<String>,
    ids: Vec<Vec<String>>,
    original: Vec<String>,
    /// Whether they got numbers that they did not have.
    are_new: bool,
}

fn ids(
    shape: &Shape,
    values: &Values,
    held: &Held,
    others: &[DataFile],
    remarks: &mut Vec<String>,
) -> Result<Named, Refusal> {
    let table = &shape.train.table;
    let kept = |names: Vec<String>,
                of: &dyn Fn(usize) -> Vec<String>,
                original: &dyn Fn(usize) -> String| Named {
        names,
        ids: held.rows.iter().map(|row| of(*row)).collect(),
        original: held.rows.iter().map(|row| original(*row)).collect(),
        are_new: false,
    };
    match &shape.keys {
        Keys::New(name) => Ok(renumbered(shape, held, name, None)),
        Keys::Composed {
            name,
            train,
            separator,
            ..
        } => {
            let joined = |row: usize| {
                let parts: Vec<&str> = train
                    .iter()
                    .map(|column| table.rows[row][*column].trim())
                    .collect();
                parts.join(&separator.to_string())
            };
            if !are_unique(table.rows.len(), joined) {
                return Err(refuse(
                    "duplicate_keys",
                    format!("rows of `{}` share a key `{name}`", shape.train.path),
                ));
            }
            Ok(kept(vec![name.clone()], &|row| vec![joined(row)], &joined))
        }
        Keys::Columns(keys) => {
            let names: Vec<String> = keys.iter().map(|(name, ..)| name.clone()).collect();
            let places: Option<Vec<usize>> = keys.iter().map(|(_, column, _)| *column).collect();
            let cells_of = |row: usize, places: &[usize]| -> Vec<String> {
                places
                    .iter()
                    .map(|column| table.rows[row][*column].trim().to_owned())
                    .collect()
            };
            let unique = places.as_ref().is_some_and(|places| {
                are_unique(table.rows.len(), |row| cells_of(row, places).join("\u{1f}"))
                    && places
                        .iter()
                        .all(|column| cells(table, *column).all(|cell| !cell.is_empty()))
            });
            match (places, keys.as_slice()) {
                (Some(places), _) if unique => {
                    let first = places[0];
                    if let [(name, ..)] = keys.as_slice()
                        && order_tells(table, first, values, held)
                    {
                        if others.iter().any(|file| files::is_media(&file.path)) {
                            remarks.push(format!("the order of `{name}` tells of the answers"));
                        } else {
                            remarks.push(format!("the order of `{name}` tells of the answers; rows to predict are numbered anew"));
                            return Ok(renumbered(shape, held, name, Some(first)));
                        }
                    }
                    Ok(kept(names, &|row| cells_of(row, &places), &|row| {
                        table.rows[row][first].trim().to_owned()
                    }))
                }
                (places, [(name, _, in_test)])
                    if !is_repeated_in_test(shape, in_test) && others_bear_no_media(others) =>
                {
                    remarks.push(format!("`{name}` names no single rows of the training table; rows to predict are numbered anew"));
                    Ok(renumbered(
                        shape,
                        held,
                        name,
                        places.map(|places| places[0]),
                    ))
                }
                _ => Err(refuse(
                    "duplicate_keys",
                    format!(
                        "rows of `{}` share a key `{}`",
                        shape.train.path,
                        names.join("`, `")
                    ),
                )),
            }
        }
    }
}

fn others_bear_no_media(others: &[DataFile]) -> bool {
    !others.iter().any(|file| files::is_media(&file.path))
}

fn are_unique(rows: usize, key: impl Fn(usize) -> String) -> bool {
    let mut seen = HashSet::with_capacity(rows);
    (0..rows).all(|row| seen.insert(key(row)))
}

/// Whether keys repeat in the competition's own test table: then rows are not what is asked for.
fn is_repeated_in_test(shape: &Shape, column: &str) -> bool {
    shape.test.as_ref().is_some_and(|test| {
        let place = test.table.header.iter().position(|name| name == column);
        place.is_some_and(|place| {
            let mut seen = HashSet::new();
            !cells(&test.table, place).all(|cell| seen.insert(cell))
        })
    })
}

/// Numbers behind all that are there already, in the order in which rows are asked for.
fn renumbered(shape: &Shape, held: &Held, name: &str, in_train: Option<usize>) -> Named {
    let table = &shape.train.table;
    let known = in_train.into_iter().flat_map(|column| cells(table, column));
    let numbers = |cells: &mut dyn Iterator<Item = &str>| -> Option<u64> {
        cells
            .map(|cell| {
                cell.parse::<u64>()
                    .ok()
                    .filter(|number| *number < u64::MAX / 2)
            })
            .try_fold(0, |most: u64, number| {
                Some(most.max(number?.saturating_add(1)))
            })
    };
    let asked = cells(&shape.sample.table, 0);
    let first = numbers(&mut known.chain(asked));
    let id = |at: usize| match first {
        Some(first) => (first + at as u64).to_string(),
        None => format!("row_{at:07}"),
    };
    let original = held.rows.iter().map(|row| {
        in_train.map_or_else(String::new, |column| {
            table.rows[*row][column].trim().to_owned()
        })
    });
    Named {
        names: vec![name.to_owned()],
        ids: (0..held.rows.len()).map(|at| vec![id(at)]).collect(),
        original: original.collect(),
        are_new: true,
    }
}

/// Whether keys rise with the rows and the rows are in the order of their answers: a key then tells an answer by its
/// neighbours.
fn order_tells(table: &Table, key: usize, values: &Values, held: &Held) -> bool {
    if !matches!(held.grading, "random" | "stratified") {
        return false;
    }
    let keys: Option<Vec<f64>> = cells(table, key).map(|cell| cell.parse().ok()).collect();
    let Some(keys) = keys else { return false };
    let rises = keys.windows(2).filter(|pair| pair[0] < pair[1]).count();
    if keys.len() < 3 || (rises as f64) < 0.99 * (keys.len() - 1) as f64 {
        return false;
    }
    let known: Vec<&String> = values
        .truth
        .iter()
        .flatten()
        .filter_map(|cells| cells.first())
        .collect();
    if values.classes.is_none() {
        let numbers: Option<Vec<f64>> = known.iter().map(|cell| cell.parse().ok()).collect();
        return numbers.is_some_and(|numbers| monotony(&numbers) > TELLING_ORDER);
    }
    let classes: Vec<String> = values
        .truth
        .iter()
        .flatten()
        .map(|cells| cells.join("\u{1f}"))
        .collect();
    let mut counts: std::collections::HashMap<&str, f64> = std::collections::HashMap::new();
    for class in &classes {
        *counts.entry(class).or_default() += 1.0;
    }
    let total = classes.len() as f64;
    let by_chance: f64 = counts.values().map(|count| (count / total).powi(2)).sum();
    let same = classes.windows(2).filter(|pair| pair[0] == pair[1]).count() as f64;
    let same = same / (classes.len().saturating_sub(1)).max(1) as f64;
    by_chance < 1.0 && (same - by_chance) / (1.0 - by_chance) > TELLING_ORDER
}

/// The absolute rank correlation of numbers with their order.
fn monotony(numbers: &[f64]) -> f64 {
    let count = numbers.len() as f64;
    let mut order: Vec<usize> = (0..numbers.len()).collect();
    order.sort_by(|a, b| numbers[*a].total_cmp(&numbers[*b]));
    let squares: f64 = order
        .iter()
        .enumerate()
        .map(|(rank, at)| (rank as f64 - *at as f64).powi(2))
        .sum();
    if count < 2.0 {
        return 0.0;
    }
    (1.0 - 6.0 * squares / (count * (count * count - 1.0))).abs()
}

/// The rows to predict: the columns that the competition's own have, as far as training rows have them.
fn test_table(
    shape: &Shape,
    test: &Table,
    held: &Held,
    named: &Named,
    others: &[DataFile],
    remarks: &mut Vec<String>,
) -> Result<Vec<u8>, Refusal> {
    let table = &shape.train.table;
    let hidden = target_columns(shape);
    let new_key = match &shape.keys {
        Keys::New(name) => Some(name.clone()),
        Keys::Columns(keys) if named.are_new => {
            keys.first().map(|(.., in_tables)| in_tables.clone())
        }
        Keys::Columns(_) | Keys::Composed { .. } => None,
    };
    // What stands in a column: a number that was made, or a column of the training table.
    let mut columns: Vec<(&str, Option<usize>)> = Vec::new();
    let mut absent = Vec::new();
    if let Keys::New(name) = &shape.keys {
        columns.push((name, None));
    }
    for name in &test.header {
        if new_key.as_ref() == Some(name) {
            columns.push((name, None));
            continue;
        }
        match table.header.iter().position(|column| column == name) {
            Some(column) if hidden.contains(&column) => {}
            Some(column) => columns.push((name, Some(column))),
            None => absent.push(name.clone()),
        }
    }
    if !absent.is_empty() {
        remarks.push(format!(
            "columns of `{}` that training rows lack: {}",
            shape.test.as_ref().map_or("", |test| &test.path),
            super::listed(&absent)
        ));
    }
    let tells = |name: &str| match &shape.keys {
        Keys::Columns(keys) => keys.iter().all(|(_, _, key)| key != name),
        Keys::New(key) => key != name,
        Keys::Composed { .. } => true,
    };
    let has_more = others
        .iter()
        .any(|file| files::is_media(&file.path) || super::shape::is_delimited(&file.path));
    if !has_more
        && !columns
            .iter()
            .any(|(name, column)| column.is_some() && tells(name))
    {
        return Err(refuse(
            "no_shared_columns",
            "the tables of known answers and of rows to predict have no column in common but the key",
        ));
    }
    let header: Vec<&str> = columns.iter().map(|(name, _)| *name).collect();
    let mut csv = Csv::new(test.separator, &header);
    for (row, id) in held.rows.iter().zip(&named.ids) {
        csv.row(columns.iter().map(|(_, column)| match column {
            Some(column) => table.rows[*row][*column].trim(),
            None => id[0].as_str(),
        }));
    }
    Ok(csv.bytes())
}

/// Without a table of rows to predict their keys have to tell of something: a picture, or rows of another table.
fn only_keys(shape: &Shape, others: &[DataFile], named: &Named) -> Result<(), Refusal> {
    let has_more = others
        .iter()
        .any(|file| files::is_media(&file.path) || super::shape::is_delimited(&file.path));
    if has_more && !named.are_new {
        return Ok(());
    }
    Err(refuse(
        "no_test_table",
        format!(
            "no table is named like test data, and nothing else tells of the keys of `{}`",
            shape.train.path
        ),
    ))
}

/// The example submission with the values that the competition's own begins with, and the truth.
fn submissions(shape: &Shape, values: &Values, held: &Held, named: &Named) -> (Vec<u8>, Vec<u8>) {
    enum Cell {
        Key(usize),
        Target(usize),
    }
    let original = &shape.sample.table;
    let places: Vec<Cell> = original
        .header
        .iter()
        .filter_map(|name| {
            let key = named
                .names
                .iter()
                .position(|key| key == name)
                .map(Cell::Key);
            key.or_else(|| {
                values
                    .names
                    .iter()
                    .position(|target| target == name)
                    .map(Cell::Target)
            })
        })
        .collect();
    let mut sample = Csv::new(',', &original.header);
    let mut truth = Csv::new(',', &original.header);
    for (row, id) in held.rows.iter().zip(&named.ids) {
        let cells = values.truth[*row].as_deref().unwrap_or_default();
        sample.row(places.iter().enumerate().map(|(at, cell)| match cell {
            Cell::Key(key) => id[*key].as_str(),
            Cell::Target(_) => original.rows[0][at].trim(),
        }));
        truth.row(places.iter().map(|cell| match cell {
            Cell::Key(key) => id[*key].as_str(),
            Cell::Target(target) => cells.get(*target).map_or("", String::as_str),
        }));
    }
    (sample.bytes(), truth.bytes())
}

/// A submission of the same cells in every row.
pub(super) fn constant(written: &Written, names: &[String], cells: &[String]) -> Vec<u8> {
    let header: Vec<&String> = written.keys.iter().chain(names).collect();
    let mut csv = Csv::new(',', &header);
    for id in &written.ids {
        csv.row(id.iter().chain(cells).map(String::as_str));
    }
    csv.bytes()
}
