//! Splits a table into what the agent learns from, what it predicts, and the truth that it never sees.

use synth_core::config::PrepareConfig;
use synth_core::{DataFile, Fingerprint, Target, TargetKind};
use synth_pipeline::{Blobs, StageError};

use crate::tables::{Table, is_missing, read_table};

/// The three parts, as CSV.
pub(super) struct Parts {
    /// All columns.
    pub train: Vec<u8>,
    /// All columns but the target; for a forecast the time alone.
    pub test: Vec<u8>,
    /// The id and the target.
    pub truth: Vec<u8>,
    /// The column that names rows.
    pub id_column: String,
}

/// Why there is no prediction task.
pub(super) enum Refusal {
    /// The target does not hold.
    Target {
        /// Why, in snake case.
        reason: &'static str,
        /// Why, for a person.
        message: String,
    },
    /// The data store cannot be used.
    Files(StageError),
}

/// Splits the target's table: at random for classification and regression, by time for a forecast.
pub(super) fn split(
    blobs: &Blobs,
    files: &[DataFile],
    target: &Target,
    config: &PrepareConfig,
    seed: u64,
) -> Result<Parts, Refusal> {
    let refuse = |reason, message: String| Refusal::Target { reason, message };
    let file = files
        .iter()
        .find(|file| file.path == target.file)
        .ok_or_else(|| {
            refuse(
                "target_file_missing",
                format!(
                    "there is no table `{}`; `target.file` names it",
                    target.file
                ),
            )
        })?;
    let bytes = blobs
        .read(file.blake3)
        .map_err(|error| Refusal::Files(error.into()))?;
    let table = read_table(&bytes).map_err(|problem| {
        refuse(
            "target_file_unreadable",
            format!("`{}`: {problem}", target.file),
        )
    })?;
    split_table(&table, target, config, seed).map_err(|(reason, message)| refuse(reason, message))
}

fn split_table(
    table: &Table,
    target: &Target,
    config: &PrepareConfig,
    seed: u64,
) -> Result<Parts, (&'static str, String)> {
    let column = |name: &str, key: &str| {
        table
            .header
            .iter()
            .position(|column| column == name)
            .ok_or_else(|| {
                (
                    "target_column_missing",
                    format!(
                        "`{}` has no column `{name}`; `target.{key}` names it",
                        target.file
                    ),
                )
            })
    };
    let target_at = column(&target.column, "column")?;
    let time_at = target
        .time_column
        .as_deref()
        .map(|name| column(name, "time_column"))
        .transpose()?;
    let mut rows: Vec<usize> = (0..table.rows.len())
        .filter(|row| !is_missing(&table.rows[*row][target_at]))
        .collect();

    let values: std::collections::BTreeSet<&str> = rows
        .iter()
        .map(|row| table.rows[*row][target_at].trim())
        .collect();
    if values.len() < 2 {
        return Err((
            "degenerate_target",
            format!(
                "`{}` has {} different values; needs two",
                target.column,
                values.len()
            ),
        ));
    }
    if target.kind != TargetKind::Classification
        && let Some(text) = values
            .iter()
            .find(|value| !value.parse::<f64>().is_ok_and(f64::is_finite))
    {
        return Err((
            "target_not_numeric",
            format!("`{}` holds `{text}`, which is no number", target.column),
        ));
    }
    match (target.kind, time_at) {
        (TargetKind::Forecast, Some(time)) => {
            sort_by_time(table, &mut rows, time)?;
            let mut times = rows.iter().map(|row| table.rows[*row][time].trim());
            let first = times.next();
            if let (_, Some(repeated)) = times.fold((first, None), |(before, repeated), time| {
                (
                    Some(time),
                    repeated.or(before.filter(|before| *before == time)),
                )
            }) {
                let message = format!(
                    "`{repeated}` stands twice in column `{}`; a forecast needs one row a step",
                    table.header[time]
                );
                return Err(("repeated_time", message));
            }
        }
        (TargetKind::Forecast, None) => {
            return Err((
                "no_time_column",
                "a forecast needs `target.time_column`".to_owned(),
            ));
        }
        _ => rows.sort_by_key(|row| Fingerprint::of(&(seed, row))),
    }
    let test_rows = (rows.len() as f64 * config.test_share).round() as usize;
    if (test_rows as u64) < config.min_test_rows || test_rows >= rows.len() {
        return Err((
            "too_few_test_rows",
            format!(
                "{test_rows} of {} rows would be hidden; needs at least {}",
                rows.len(),
                config.min_test_rows
            ),
        ));
    }
    let (train, test) = rows.split_at(rows.len() - test_rows);
    let (mut train, mut test) = (train.to_vec(), test.to_vec());
    if target.kind != TargetKind::Forecast {
        // In the order of the table: the order of a shuffle would tell nothing and look odd.
        train.sort_unstable();
        test.sort_unstable();
    }
    Ok(write(table, target, target_at, time_at, &train, &test))
}

/// Sorts by number where all are numbers, else as text, which for ISO dates is the order of time.
fn sort_by_time(
    table: &Table,
    rows: &mut [usize],
    time: usize,
) -> Result<(), (&'static str, String)> {
    let cell = |row: &usize| table.rows[*row][time].trim();
    let numbers: Option<Vec<f64>> = rows
        .iter()
        .map(|row| cell(row).parse().ok().filter(|n: &f64| n.is_finite()))
        .collect();
    if numbers.is_some() {
        rows.sort_by(|a, b| {
            cell(a)
                .parse::<f64>()
                .unwrap_or(0.0)
                .total_cmp(&cell(b).parse().unwrap_or(0.0))
        });
        return Ok(());
    }
    if let Some(row) = rows.iter().find(|row| !is_iso(cell(row))) {
        let message = format!(
            "`{}` in column `{}` is neither a number nor an ISO date",
            cell(row),
            table.header[time]
        );
        return Err(("unreadable_time", message));
    }
    rows.sort_by(|a, b| cell(a).cmp(cell(b)));
    Ok(())
}

/// Whether text sorts as time does: `2021-05`, `2021-05-14`, perhaps with a time of day behind it, all parts padded.
fn is_iso(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| {
        bytes
            .get(range)
            .is_some_and(|part| part.iter().all(u8::is_ascii_digit))
    };
    let dash = |at: usize| bytes.get(at) == Some(&b'-');
    let month = digits(0..4) && dash(4) && digits(5..7);
    month
        && (bytes.len() == 7
            || dash(7) && digits(8..10) && !bytes.get(10).is_some_and(u8::is_ascii_digit))
}

fn write(
    table: &Table,
    target: &Target,
    target_at: usize,
    time_at: Option<usize>,
    train: &[usize],
    test: &[usize],
) -> Parts {
    let mut id_column = "row_id".to_owned();
    while table.header.contains(&id_column) {
        id_column.insert(0, '_');
    }
    let shown: Vec<usize> = match (target.kind, time_at) {
        (TargetKind::Forecast, Some(time)) => vec![time],
        _ => (0..table.header.len())
            .filter(|column| *column != target_at)
            .collect(),
    };
    let all: Vec<usize> = (0..table.header.len()).collect();
    let part = |rows: &[usize], first_id: usize, columns: &[usize]| {
        let mut writer = csv::Writer::from_writer(Vec::new());
        let header = std::iter::once(id_column.as_str())
            .chain(columns.iter().map(|column| table.header[*column].as_str()));
        let mut write = |fields: Vec<&str>| {
            writer
                .write_record(fields)
                .expect("writing to memory does not fail");
        };
        write(header.collect());
        for (place, row) in rows.iter().enumerate() {
            let id = (first_id + place).to_string();
            let cells = columns
                .iter()
                .map(|column| table.rows[*row][*column].trim());
            write(std::iter::once(id.as_str()).chain(cells).collect());
        }
        writer
            .into_inner()
            .expect("writing to memory does not fail")
    };
    Parts {
        train: part(train, 0, &all),
        test: part(test, train.len(), &shown),
        truth: part(test, train.len(), &[target_at]),
        id_column: id_column.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> PrepareConfig {
        synth_core::config::load(&[]).unwrap().prepare
    }

    fn target(kind: TargetKind) -> Target {
        Target {
            file: "t.csv".to_owned(),
            column: "y".to_owned(),
            kind,
            time_column: Some("t".to_owned()),
        }
    }

    fn table(rows: impl Iterator<Item = String>) -> Table {
        let text: Vec<String> = std::iter::once("t,x,y".to_owned()).chain(rows).collect();
        read_table(text.join("\n").as_bytes()).unwrap()
    }

    fn column(csv: &[u8], name: &str) -> Vec<String> {
        let table = read_table(csv).unwrap();
        let at = table
            .header
            .iter()
            .position(|column| column == name)
            .unwrap();
        table.rows.into_iter().map(|row| row[at].clone()).collect()
    }

    #[test]
    fn the_test_part_does_not_hold_the_target() {
        let table = table((0..100).map(|i| format!("{i},{},{}", i * 2, i % 3)));
        let parts = split_table(&table, &target(TargetKind::Classification), &config(), 1)
            .ok()
            .unwrap();
        assert_eq!(
            read_table(&parts.test).unwrap().header,
            ["row_id", "t", "x"]
        );
        assert_eq!(
            column(&parts.test, "row_id"),
            column(&parts.truth, "row_id")
        );
        let mut all = [
            column(&parts.train, "row_id"),
            column(&parts.truth, "row_id"),
        ]
        .concat();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 100);
    }

    #[test]
    fn a_forecast_shows_nothing_of_the_future_but_its_time() {
        let table = table((0..100).rev().map(|i| format!("{i},{},{}", i * 2, i * 3)));
        let parts = split_table(&table, &target(TargetKind::Forecast), &config(), 1)
            .ok()
            .unwrap();
        assert_eq!(read_table(&parts.test).unwrap().header, ["row_id", "t"]);
        assert_eq!(column(&parts.test, "t")[0], "80");
        assert_eq!(column(&parts.truth, "y")[19], "297");
    }

    #[test]
    fn rows_without_a_target_are_in_neither_part() {
        let gap = |i: usize| ["", "NA", "nan"][i % 3];
        let table = table((0..120).map(|i| match i % 4 {
            0 => format!("{i},1,{}", gap(i / 4)),
            _ => format!("{i},1,{i}"),
        }));
        let parts = split_table(&table, &target(TargetKind::Regression), &config(), 1)
            .ok()
            .unwrap();
        let rows = column(&parts.train, "y").len() + column(&parts.truth, "y").len();
        assert_eq!(rows, 90);
    }

    #[test]
    fn the_same_seed_hides_the_same_rows() {
        let table = table((0..100).map(|i| format!("{i},1,{i}")));
        let truth = |seed| {
            split_table(&table, &target(TargetKind::Regression), &config(), seed)
                .ok()
                .unwrap()
                .truth
        };
        assert_eq!(truth(1), truth(1));
        assert_ne!(truth(1), truth(2));
    }

    #[test]
    fn targets_that_do_not_hold_are_refused_with_a_reason() {
        let reason = |table: &Table, kind| {
            split_table(table, &target(kind), &config(), 1)
                .err()
                .unwrap()
                .0
        };
        assert_eq!(
            reason(
                &table((0..100).map(|i| format!("{i},1,same"))),
                TargetKind::Classification
            ),
            "degenerate_target"
        );
        assert_eq!(
            reason(
                &table((0..100).map(|i| format!("{i},1,v{i}"))),
                TargetKind::Regression
            ),
            "target_not_numeric"
        );
        assert_eq!(
            reason(
                &table((0..12).map(|i| format!("{i},1,{i}"))),
                TargetKind::Regression
            ),
            "too_few_test_rows"
        );
        assert_eq!(
            reason(
                &table((0..100).map(|i| format!("{},1,{i}", i / 2))),
                TargetKind::Forecast
            ),
            "repeated_time"
        );
        assert_eq!(
            reason(
                &table((1..100).map(|i| format!("2021-{}-1,1,{i}", 1 + i % 12))),
                TargetKind::Forecast
            ),
            "unreadable_time"
        );
        assert_eq!(
            reason(
                &table((0..100).map(|i| format!("on {i},1,{i}"))),
                TargetKind::Forecast
            ),
            "unreadable_time"
        );
    }
}
