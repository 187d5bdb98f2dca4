//! Tasks of a Kaggle competition: its own answers are private, so that a part of its training rows is held back to grade by.
//!
//! - `pages` makes its pages plain; `facts` tells level, field and the stage that counts.
//! - `shape` finds tables, keys and targets; `values` the truth in the form of a submission.
//! - `split` chooses rows to hold back; `written` writes what agents see and what they do not.
//! - `files` keeps hidden answers out of all other files.
//! - `grade` fixes the verifier and measures what a constant earns.

mod facts;
mod files;
mod grade;
mod pages;
mod shape;
mod split;
mod values;
mod written;

use std::collections::HashMap;

use minijinja::{Value, context};
use synth_core::config::PrepareConfig;
use synth_core::{
    Checks, DataFile, Metric, Pages, Source, TableSummary, Task, TaskId, TaskKind, Verifier,
};
use synth_pipeline::{Blobs, Rejected, StageError, WorkError};
use synth_score::recognise::{metric_by_name, metric_in_text};

use super::{Made, SUBMISSION};
use crate::{Cx, prompts, tables};
use shape::Shape;
use values::{Form, Values};
use written::Written;

/// Characters of a page that agents are shown, at most.
const PAGE_CHARACTERS: usize = 8_000;
/// Characters of the Evaluation page that agents are shown, at most.
const EVALUATION_CHARACTERS: usize = 4_000;
/// Columns of tables that agents are shown measured, at most; the main tables' always are.
const MOST_COLUMNS: usize = 400;
/// Files that agents are told of one by one.
const MOST_LISTED: usize = 40;
/// Names in one remark.
const MOST_NAMED: usize = 10;

/// Why there is no task.
#[derive(Debug)]
enum Refusal {
    /// The competition does not fit.
    Unfit {
        /// Why, in snake case.
        reason: &'static str,
        /// Why, for a person.
        message: String,
    },
    /// The data store cannot be used.
    Files(StageError),
}

fn refuse(reason: &'static str, message: impl Into<String>) -> Refusal {
    Refusal::Unfit {
        reason,
        message: message.into(),
    }
}

impl From<std::io::Error> for Refusal {
    fn from(error: std::io::Error) -> Self {
        Self::Files(error.into())
    }
}

/// What a task is made from.
struct Work {
    blobs: Blobs,
    config: PrepareConfig,
    source: Source,
    open: Task,
    id: TaskId,
    seed: u64,
}

/// The task that a competition sets, graded here.
pub(super) async fn tasks(cx: &Cx<'_>, source: &Source, open: &Task) -> Result<Made, WorkError> {
    let id = TaskId::of(&(&source.id, "compete"));
    let work = Work {
        blobs: cx.blobs.clone(),
        config: cx.config.prepare.clone(),
        source: source.clone(),
        open: open.clone(),
        seed: super::seed(cx, &id),
        id,
    };
    // Tables are parsed and scored on a thread of their own.
    let made = tokio::task::spawn_blocking(move || compete(&work))
        .await
        .map_err(|error| StageError::Files(format!("cannot prepare a competition: {error}")))?;
    match made {
        Ok(task) => Ok(Made {
            records: vec![task],
            rejected: Vec::new(),
        }),
        Err(Refusal::Unfit { reason, message }) => Ok(Made {
            records: Vec::new(),
            rejected: vec![Rejected {
                id: source.slug.clone(),
                reason: reason.to_owned(),
                message,
            }],
        }),
        Err(Refusal::Files(error)) => Err(error.into()),
    }
}

/// A competition's description and data page, made plain.
pub(super) fn context(said: &Pages) -> String {
    let section = |title: &str, page: &str| {
        let text = pages::clean(page, PAGE_CHARACTERS);
        if text.is_empty() {
            String::new()
        } else {
            format!("## {title}\n\n{text}")
        }
    };
    super::join(
        &section("Description", &said.description),
        &section("Data", &said.data),
    )
}

fn compete(work: &Work) -> Result<Task, Refusal> {
    let source = &work.source;
    let limits = &work.config.competitions;
    if source.files.is_empty() {
        let why = source
            .kaggle
            .as_ref()
            .and_then(|facts| facts.refused.clone());
        return Err(refuse(
            "no_files",
            why.unwrap_or_else(|| "it has no files".to_owned()),
        ));
    }
    if source.files.len() as u64 > limits.max_files {
        return Err(refuse(
            "too_many_files",
            format!(
                "it has {} files; at most {}, by `prepare.competitions.max_files`",
                source.files.len(),
                limits.max_files
            ),
        ));
    }
    let evaluation = pages::clean(&source.pages.evaluation, EVALUATION_CHARACTERS);
    let mut remarks = Vec::new();
    let named = metric(source, &evaluation, &mut remarks)?;
    let (files, earlier) = facts::latest_stage(&source.files);
    if !earlier.is_empty() {
        remarks.push(format!(
            "of an earlier stage, left out: {}",
            listed(&earlier)
        ));
    }
    let mut shape = shape::find(&work.blobs, &files, limits.max_table_bytes)?;
    remarks.append(&mut shape.remarks);
    let values = values::values(&shape, named)?;
    if values.metric != named {
        remarks.push(format!(
            "`{named}` is `{}` for columns of this shape",
            values.metric
        ));
    }
    if let Some(word) = values::word_for_missing(&shape, &values) {
        remarks.push(format!(
            "rows whose answer is `{word}`, which reads as missing, are not asked for"
        ));
    }
    let held = held_back(work, &shape, &values)?;
    let others: Vec<DataFile> = files
        .iter()
        .filter(|file| {
            let main = [
                Some(&shape.train.path),
                Some(&shape.sample.path),
                shape.test.as_ref().map(|test| &test.path),
            ];
            !main.contains(&Some(&file.path))
        })
        .cloned()
        .collect();
    let written = written::write(&shape, &values, &held, &others, &mut remarks)?;
    let (mut shown, summaries) = main_files(work, &shape, &written)?;
    let kept = harmless(
        work,
        &shape,
        &values,
        &held,
        &written,
        &others,
        &mut remarks,
    )?;
    let tables = all_tables(summaries, &work.open.tables, &kept);
    if limits.original_test
        && let Some(test) = &shape.test
        && let Some(original) = files.iter().find(|file| file.path == test.path)
    {
        shown.push(DataFile {
            path: format!("original_test/{}", original.path),
            ..original.clone()
        });
    }
    shown.extend(kept);
    shown.sort_by(|a, b| a.path.cmp(&b.path));

    let train: Vec<usize> = written.train_rows.clone();
    let graded = grade::grade(work, &values, &written, &train, &mut remarks)?;
    let said = [
        &source.pages.description,
        &source.pages.evaluation,
        &source.pages.data,
    ]
    .map(String::as_str);
    let present = source.files.iter().map(|file| file.path.as_str());
    let absent = files::mentioned_only(&said, present);
    if !absent.is_empty() {
        remarks.push(format!(
            "the pages name files that are not there: {}",
            listed(&absent)
        ));
    }
    let prompt = prompt(
        work,
        &shape,
        &values,
        &held,
        &written,
        &shown,
        &absent,
        &evaluation,
        graded.teams,
    );
    let description = pages::clean(&source.pages.description, PAGE_CHARACTERS);
    Ok(Task {
        id: work.id.clone(),
        kind: TaskKind::Competition,
        files: shown,
        tables,
        context: context(&source.pages),
        prompt,
        constraints: String::new(),
        answer_format: format!("the name of the file that you wrote: {SUBMISSION}"),
        verifier: Some(Verifier::Predictions(graded.predictions)),
        checks: Checks {
            baselines: graded.baselines,
            floor: Some(graded.floor),
            grading: Some(held.grading.to_owned()),
            remarks,
            ..Checks::default()
        },
        domain: facts::domain(source, &description).to_owned(),
        level: Some(facts::level(source).to_owned()),
        created_at: source
            .deadline
            .clone()
            .unwrap_or_else(|| work.open.created_at.clone()),
        seed: work.seed,
        ..work.open.clone()
    })
}

/// The metric that the origin names, else the one that the Evaluation page declares.
fn metric(source: &Source, evaluation: &str, remarks: &mut Vec<String>) -> Result<Metric, Refusal> {
    let named = source.metric.as_deref().and_then(metric_by_name);
    let declared = metric_in_text(evaluation);
    let metric = match (named, declared) {
        // The logarithm that a page speaks of is taken by the host where Kaggle's name has none.
        (Some(Metric::Rmse), Ok(Metric::Rmsle)) => Metric::Rmsle,
        (Some(named), Ok(declared)) if named != declared => {
            remarks.push(format!(
                "its metric is named `{named}`, and its page declares `{declared}`"
            ));
            named
        }
        (Some(named), _) => named,
        (None, Ok(declared)) => declared,
        (None, Err(quote)) => {
            let name = source.metric.as_deref().unwrap_or("none");
            return Err(refuse(
                "unknown_metric",
                format!("metric named: {name}; declared: {quote}"),
            ));
        }
    };
    match source.metric_is_max {
        Some(is_max) if is_max != metric.is_max() => Err(refuse(
            "metric_direction_differs",
            format!(
                "`{metric}` was recognised, and the origin says that {} is better",
                if is_max { "more" } else { "less" }
            ),
        )),
        _ => Ok(metric),
    }
}

fn held_back(work: &Work, shape: &Shape, values: &Values) -> Result<split::Held, Refusal> {
    let eligible: Vec<usize> = (0..shape.train.table.rows.len())
        .filter(|row| values.truth[*row].is_some())
        .collect();
    let first = eligible.first().map(|row| &values.truth[*row]);
    if eligible
        .iter()
        .all(|row| Some(&values.truth[*row]) == first)
    {
        return Err(refuse(
            "constant_target",
            format!("all {} known answers are the same", eligible.len()),
        ));
    }
    split::hold_back(&split::Rows {
        train: &shape.train.table,
        test: shape.test.as_ref().map(|test| &test.table),
        eligible: &eligible,
        classes: values.classes.as_deref(),
        apart: &written::apart(shape),
        test_share: work.config.test_share,
        fewest: work.config.min_test_rows,
        most: work.config.competitions.max_test_rows,
        seed: work.seed,
    })
}

/// Stores the tables that were written anew, and measures them.
fn main_files(
    work: &Work,
    shape: &Shape,
    written: &Written,
) -> Result<(Vec<DataFile>, Vec<TableSummary>), Refusal> {
    let mut parts = vec![
        (&shape.train.path, &written.train),
        (&shape.sample.path, &written.sample),
    ];
    if let (Some(test), Some(bytes)) = (&shape.test, &written.test) {
        parts.insert(1, (&test.path, bytes));
    }
    let (mut files, mut summaries) = (Vec::new(), Vec::new());
    for (path, bytes) in parts {
        files.push(stored(&work.blobs, path, bytes)?);
        if let Ok(table) = tables::read_table(bytes) {
            summaries.push(tables::measure(path, &table));
        }
    }
    Ok((files, summaries))
}

fn stored(blobs: &Blobs, path: &str, bytes: &[u8]) -> Result<DataFile, Refusal> {
    Ok(DataFile {
        path: path.to_owned(),
        bytes: bytes.len() as u64,
        blake3: blobs.put(bytes)?,
    })
}

/// The files beside the main ones that tell no hidden answer.
fn harmless(
    work: &Work,
    shape: &Shape,
    values: &Values,
    held: &split::Held,
    written: &Written,
    others: &[DataFile],
    remarks: &mut Vec<String>,
) -> Result<Vec<DataFile>, Refusal> {
    let mut rows: HashMap<&str, &[String]> = HashMap::new();
    for (at, row) in held.rows.iter().enumerate() {
        if let (Some(truth), Some(key)) = (&values.truth[*row], written.original_keys.get(at)) {
            rows.insert(key.as_str(), truth.as_slice());
        }
    }
    let columns = written::target_columns(shape);
    let columns = columns
        .iter()
        .map(|column| shape.train.table.header[*column].as_str())
        .collect();
    let (kept, mut why) = files::harmless(&work.blobs, others, &files::Hidden { rows, columns })?;
    if why.len() > MOST_NAMED {
        let more = why.len() - MOST_NAMED;
        why.truncate(MOST_NAMED);
        why.push(format!("{more} more files are left out"));
    }
    remarks.append(&mut why);
    Ok(kept)
}

/// The main tables as measured now, and of the others, as measured before, what agents can be shown.
fn all_tables(
    mut summaries: Vec<TableSummary>,
    measured: &[TableSummary],
    kept: &[DataFile],
) -> Vec<TableSummary> {
    let mut columns: usize = summaries.iter().map(|table| table.columns.len()).sum();
    for table in measured {
        columns += table.columns.len();
        if columns <= MOST_COLUMNS && kept.iter().any(|file| file.path == table.path) {
            summaries.push(table.clone());
        }
    }
    summaries
}

fn listed(names: &[String]) -> String {
    let shown: Vec<String> = names
        .iter()
        .take(MOST_NAMED)
        .map(|name| format!("`{name}`"))
        .collect();
    let more = names.len().saturating_sub(MOST_NAMED);
    match more {
        0 => shown.join(", "),
        _ => format!("{} and {more} more", shown.join(", ")),
    }
}

#[expect(
    clippy::too_many_arguments,
    reason = "a prompt says all there is to know"
)]
fn prompt(
    work: &Work,
    shape: &Shape,
    values: &Values,
    held: &split::Held,
    written: &Written,
    shown: &[DataFile],
    absent: &[String],
    evaluation: &str,
    teams: Option<usize>,
) -> String {
    let (form, most) = match values.form {
        Form::Number => ("number", 0),
        Form::Label => ("label", 0),
        Form::Probability => ("probability", 0),
        Form::Ranked(most) => ("ranked labels", most),
        Form::Text => ("text", 0),
    };
    let (class_column, classes) = match &shape.targets {
        shape::Targets::Classes { column, of } => (
            Some(shape.train.table.header[*column].clone()),
            of.iter()
                .map(|(column, label)| context! { column, label })
                .collect(),
        ),
        shape::Targets::Columns(_) => (None, Vec::new()),
    };
    // Under another name in the training table than in the submission.
    let known_as = match &shape.targets {
        shape::Targets::Columns(columns) => columns
            .iter()
            .map(|(name, column)| (name, &shape.train.table.header[*column]))
            .find(|(name, known)| name != known)
            .map(|(_, known)| known.clone()),
        shape::Targets::Classes { .. } => None,
    };
    let files: Vec<Value> = shown
        .iter()
        .take(MOST_LISTED)
        .map(|file| context! { path => &file.path, bytes => file.bytes })
        .collect();
    let limits = &work.open.limits;
    prompts::render(
        &prompts::COMPETE,
        context! {
            train_file => &shape.train.path,
            test_file => shape.test.as_ref().map(|test| &test.path),
            sample_file => &shape.sample.path,
            keys => &written.keys,
            table_key => &written.table_key,
            targets => &values.names,
            known_as,
            class_column,
            classes => Value::from(classes),
            form,
            most,
            metric => values.metric.to_string(),
            is_max => values.metric.is_max(),
            rows => held.rows.len(),
            grading => held.grading,
            graded_by => &held.by,
            submission_file => SUBMISSION,
            evaluation,
            files => Value::from(files),
            more_files => shown.len().saturating_sub(MOST_LISTED),
            absent => absent.iter().take(MOST_NAMED).cloned().collect::<Vec<_>>(),
            teams,
            turns => limits.turns,
            cell_seconds => limits.cell_seconds,
            total_seconds => limits.total_seconds,
            memory_mib => limits.memory_bytes >> 20,
        },
    )
}

#[cfg(test)]
mod tests;
