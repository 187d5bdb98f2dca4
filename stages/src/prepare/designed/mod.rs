//! Tasks that a model designs over a table and code checks: DARE-bench's six kinds.
//!
//! The story: the largest table of a source is typed (`frame`), the designer is asked what can be predicted of it (`design`), each
//! of its claims is checked against the data (`check`, `series`), rows are gathered (`resample`), told apart (`split`) and mixed with
//! noise (`noise`), a workflow is drawn (`draw`, `recipe`) and proven (`follow`), the files are written (`package`, `metadata`),
//! baselines say what a task is worth (`baselines`), and what stands becomes a task (`tabular`, `forecast`).

mod baselines;
mod check;
mod design;
mod dice;
mod draw;
mod follow;
mod forecast;
mod frame;
mod metadata;
mod noise;
mod package;
mod recipe;
mod resample;
mod script;
mod series;
mod split;
mod tabular;
mod times;

use std::collections::BTreeSet;

use synth_core::{DataFile, Source, TableSummary, Task, TaskKind};
use synth_pipeline::{Rejected, StageError, WorkError};

use super::Made;
use crate::Cx;
use crate::tables::{is_table, measure, read_tables};
use design::{SeriesDesign, TableDesign};
use dice::Dice;
use frame::{Frame, Kind};
use recipe::Format;

/// Why there is no task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Why, in snake case.
    pub reason: String,
    /// Why, for a person.
    pub message: String,
}

impl Refusal {
    pub(crate) fn new(reason: &str, message: impl Into<String>) -> Self {
        Self {
            reason: reason.to_owned(),
            message: message.into(),
        }
    }

    fn of(self, source: &Source, what: &str) -> Rejected {
        Rejected {
            id: format!("{}: {what}", source.slug),
            reason: self.reason,
            message: self.message,
        }
    }
}

/// A table that is worth a design.
struct Designable {
    path: String,
    frame: Frame,
    summary: TableSummary,
}

/// The tasks that a source is good for.
pub(super) async fn tasks(cx: &Cx<'_>, source: &Source, open: &Task) -> Result<Made, WorkError> {
    let settings = &cx.config.prepare.designed;
    let mut made = Made::default();
    let wanted = |kinds: &[TaskKind]| kinds.iter().any(|kind| settings.kinds.contains(kind));
    let tabular_wanted = wanted(&[
        TaskKind::ClassIf,
        TaskKind::ClassMm,
        TaskKind::RegIf,
        TaskKind::RegMm,
    ]);
    let series_wanted = wanted(&[TaskKind::TsXf, TaskKind::TsCf]);
    if !settings.origins.contains(&source.origin) || !(tabular_wanted || series_wanted) {
        return Ok(made);
    }
    let table = match designable(cx, open).await? {
        Ok(table) => table,
        Err(refusal) => {
            made.rejected.push(refusal.of(source, "design"));
            return Ok(made);
        }
    };
    if tabular_wanted {
        let checked = design::ask(
            cx,
            source,
            &table.summary,
            &table.frame,
            |design: &TableDesign, strict| check::check(&table.frame, design, settings, strict),
        )
        .await?;
        match checked {
            Ok(checked) => {
                made.extend(tabular::tasks(cx, source, open, &table.path, &checked).await?);
            }
            Err(refusal) => made.rejected.push(refusal.of(source, "table design")),
        }
    }
    if series_wanted {
        if has_times(&table.frame) {
            let checked = design::ask(
                cx,
                source,
                &table.summary,
                &table.frame,
                |design: &SeriesDesign, strict| {
                    series::check(&table.frame, design, settings, strict)
                },
            )
            .await?;
            match checked {
                Ok(series) => {
                    made.extend(forecast::tasks(cx, source, open, &table.path, &series).await?);
                }
                Err(refusal) => made.rejected.push(refusal.of(source, "series design")),
            }
        } else {
            let refusal = Refusal::new("no_time_column", "no column tells times in a common form");
            made.rejected.push(refusal.of(source, "series design"));
        }
    }
    Ok(made)
}

/// The table with the most rows, typed; of a very long one a sample. Why there is none where there is none.
async fn designable(cx: &Cx<'_>, open: &Task) -> Result<Result<Designable, Refusal>, WorkError> {
    let rows = |file: &DataFile| {
        let summaries = open.tables.iter().filter(|table| table.path == file.path);
        summaries.map(|table| table.rows).max().unwrap_or(0)
    };
    let Some(file) = open
        .files
        .iter()
        .filter(|file| is_table(&file.path))
        .max_by_key(|file| (rows(file), std::cmp::Reverse(&file.path)))
        .cloned()
    else {
        return Ok(Err(Refusal::new(
            "no_table",
            "there is no table that can be read",
        )));
    };
    let settings = cx.config.prepare.designed.clone();
    let (blobs, seed) = (cx.blobs.clone(), open.seed);
    let read = move || -> Result<Result<Designable, Refusal>, StageError> {
        let bytes = blobs.read(file.blake3)?;
        Ok(typed(&file.path, &bytes, &settings, seed))
    };
    let read = tokio::task::spawn_blocking(read).await;
    Ok(read.map_err(|error| StageError::Files(format!("read a table: {error}")))??)
}

fn typed(
    path: &str,
    bytes: &[u8],
    settings: &synth_core::config::DesignedConfig,
    seed: u64,
) -> Result<Designable, Refusal> {
    let unreadable =
        |problem: String| Refusal::new("unreadable_table", format!("`{path}`: {problem}"));
    let tables = read_tables(path, bytes).map_err(unreadable)?;
    let longest = tables.into_iter().max_by_key(|table| table.rows.len());
    let table = longest.ok_or_else(|| unreadable("it holds no table".to_owned()))?;
    let mut frame = Frame::of(&table);
    let summary = measure(path, &table);
    drop(table);
    if frame.columns.len() < 2 {
        let message = format!(
            "`{path}` has {} columns with values; a task needs two",
            frame.columns.len()
        );
        return Err(Refusal::new("too_few_columns", message));
    }
    if (frame.rows() as u64) < settings.min_rows {
        let message = format!(
            "`{path}` has {} rows; needs {}",
            frame.rows(),
            settings.min_rows
        );
        return Err(Refusal::new("too_few_rows", message));
    }
    let most = settings.max_rows as usize;
    if frame.rows() > most {
        frame = frame.take(&sample(&frame, most, seed));
    }
    Ok(Designable {
        path: path.to_owned(),
        frame,
        summary,
    })
}

/// Rows of a table that is too long: without times at random, with times those in one piece at the end that its order makes the latest.
fn sample(frame: &Frame, most: usize, seed: u64) -> Vec<usize> {
    if has_times(frame) {
        return (frame.rows() - most..frame.rows()).collect();
    }
    let mut rows: Vec<usize> = (0..frame.rows()).collect();
    Dice::new(seed, "sample").shuffle(&mut rows);
    rows.truncate(most);
    rows.sort_unstable();
    rows
}

/// Whether any column could tell when a row was measured.
fn has_times(frame: &Frame) -> bool {
    const LOOKED_AT: usize = 50;
    frame.columns.iter().any(|column| {
        let filled = column.cells.iter().filter(|cell| !cell.is_empty());
        let cells: Vec<&str> = filled.take(LOOKED_AT).map(String::as_str).collect();
        // A column of one year throughout tells no times.
        let varies = cells.iter().collect::<BTreeSet<_>>().len() > 1;
        let is_whole = column.kind != Kind::Number || cells.iter().all(|cell| cell.ends_with(".0"));
        varies && is_whole && times::could_be_times(&cells)
    })
}

/// A seed for what tasks of one design have in common.
fn design_seed(cx: &Cx<'_>, source: &Source, path: &str, purpose: &str) -> u64 {
    synth_core::Fingerprint::of(&(cx.config.run.seed, &source.id, path, purpose)).seed() >> 33
}

/// One of the formats that the configuration allows.
fn format(cx: &Cx<'_>, dice: &mut Dice) -> Format {
    let formats: Vec<Format> = cx
        .config
        .prepare
        .designed
        .formats
        .iter()
        .filter_map(|name| {
            [Format::Csv, Format::Sqlite, Format::Parquet]
                .into_iter()
                .find(|format| format.ending() == name)
        })
        .collect();
    if formats.is_empty() {
        Format::Csv
    } else {
        dice.pick(&formats)
    }
}

/// The share of rows to predict: one of the configured ones that leaves enough of them.
fn test_share(cx: &Cx<'_>, rows: usize, dice: &mut Dice) -> f64 {
    let settings = &cx.config.prepare.designed;
    let enough: Vec<f64> = settings
        .test_shares
        .iter()
        .copied()
        .filter(|share| (rows as f64 * share) as u64 >= settings.min_test_rows)
        .collect();
    if enough.is_empty() {
        settings.test_shares.iter().copied().fold(0.0, f64::max)
    } else {
        dice.pick(&enough)
    }
}

/// Stores a file.
fn store(cx: &Cx<'_>, path: &str, bytes: &[u8]) -> Result<DataFile, WorkError> {
    let blake3 = cx.blobs.put(bytes).map_err(StageError::from)?;
    Ok(DataFile {
        path: path.to_owned(),
        bytes: bytes.len() as u64,
        blake3,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> synth_core::config::DesignedConfig {
        synth_core::config::load(&[]).unwrap().prepare.designed
    }

    fn lines(rows: impl Iterator<Item = String>) -> String {
        rows.collect()
    }

    #[test]
    fn tables_that_are_worth_no_design_are_refused_with_a_reason() {
        let reason = |bytes: &[u8]| typed("t.csv", bytes, &settings(), 1).err().unwrap().reason;
        let column = lines((0..300).map(|i| format!("{i}\n")));
        assert_eq!(reason(format!("x\n{column}").as_bytes()), "too_few_columns");
        assert_eq!(reason(b"x,y\n1,2\n3,4\n"), "too_few_rows");
        assert_eq!(reason(b""), "unreadable_table");
        assert_eq!(
            reason(b"PK\x03\x04\x14\0\0\0\x08\0half of a zip"),
            "too_few_columns"
        );
    }

    #[test]
    fn a_long_table_is_sampled_and_a_long_series_keeps_its_end() {
        let mut settings = settings();
        settings.max_rows = 150;
        let rows = lines((0..400).map(|i| format!("{},{}\n", (i * 7919) % 1_000_003, i % 3)));
        let sampled = typed("t.csv", format!("x,y\n{rows}").as_bytes(), &settings, 1)
            .ok()
            .unwrap()
            .frame;
        assert_eq!(sampled.rows(), 150);
        let again = typed("t.csv", format!("x,y\n{rows}").as_bytes(), &settings, 1)
            .ok()
            .unwrap()
            .frame;
        assert_eq!(again, sampled);
        let rows = lines(
            (0..400).map(|i| format!("{},{}\n", times::write("%Y-%m-%d", i * 86_400), i % 3)),
        );
        let series = typed("t.csv", format!("x,y\n{rows}").as_bytes(), &settings, 1)
            .ok()
            .unwrap()
            .frame;
        assert_eq!(series.columns[0].cells[149], "1971-02-04");
        assert_eq!(
            series.columns[0].cells[0],
            times::write("%Y-%m-%d", 250 * 86_400)
        );
    }
}
