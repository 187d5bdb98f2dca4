//! `prepare`: from sources to tasks. Tables are measured, ground truth goes where agents cannot see it, and every source is
//! given its side of the fence for good.
//!
//! `holdout` splits a declared target's table, `competition` and `designed` make the tasks of their kinds.

mod competition;
mod designed;
mod holdout;
mod predict;
mod published;
mod split;

pub(crate) use split::pinned_split;

use async_trait::async_trait;
use serde::Serialize;
use synth_core::config::{Config, SourceConfig};
use synth_core::{
    Checks, DataFile, Limits, Metric, Origin, Predictions, Rewarding, Split, Target, TargetKind,
    Task, TaskId, TaskKind, Verifier,
};
use synth_pipeline::{Item, Outcome, Rejected, Stage, StageError, Summary, WorkError};

use crate::filter::FilteredSource;
use crate::services::{Services, reply_basis};
use crate::{Cx, prompts, tables};

/// The stage.
pub struct Prepare;

/// The file that predictions are written to.
pub const SUBMISSION: &str = "submission.csv";

/// Numbers in suite answers may differ by this much, as in `DAEval`.
const ABS_TOLERANCE: f64 = 1e-6;
/// Predictions from here on count as a success: DARE-bench's thresholds for rejection sampling (0.8, 0.7, 0.6, 0.3).
const SUCCESS: [(TaskKind, f64); 4] = [
    (TaskKind::ClassMm, 0.8),
    (TaskKind::RegMm, 0.7),
    (TaskKind::TsXf, 0.6),
    (TaskKind::TsCf, 0.3),
];

/// The reward from which on a task of this kind counts as solved: all of it where nothing less will do.
fn success(kind: TaskKind) -> f64 {
    SUCCESS
        .into_iter()
        .find(|(of, _)| *of == kind)
        .map_or(1.0, |(_, success)| success)
}

#[derive(Serialize)]
struct Prepared {
    filtered: FilteredSource,
    split: Split,
}

impl Item for Prepared {
    fn id(&self) -> String {
        self.filtered.id.clone()
    }
}

#[async_trait]
impl Stage<Services> for Prepare {
    fn name(&self) -> &'static str {
        "prepare"
    }

    fn about(&self) -> &'static str {
        "make tasks: hide ground truth, fix metric and verifier, assign the split"
    }

    fn reads(&self) -> &'static [&'static str] {
        &["filter"]
    }

    fn makes(&self) -> &'static str {
        "tasks"
    }

    fn version(&self) -> u32 {
        4
    }

    // `prepare.eval_share` is not among them: a source keeps the side that it was given.
    fn config_keys(&self) -> &'static [&'static str] {
        &[
            "prepare.test_share",
            "prepare.min_test_rows",
            "prepare.competitions",
            "prepare.limits",
            "prepare.designed",
            "run.seed",
        ]
    }

    fn depends_on(&self, config: &Config) -> synth_core::Fingerprint {
        reply_basis(config, "designer")
    }

    fn prompts(&self) -> Vec<&'static str> {
        [
            prompts::PREDICT,
            prompts::COMPETE,
            prompts::TABLES,
            prompts::DESIGN_TABLE,
            prompts::DESIGN_SERIES,
            prompts::DESIGN_AGAIN,
            prompts::INSTRUCTIONS_STEPS,
            prompts::INSTRUCTIONS_PROSE,
            prompts::INSTRUCTIONS_BRIEF,
        ]
        .map(|prompt| prompt.text())
        .to_vec()
    }

    // Two designs for each source of the origins that are designed for, where any place of the configuration has such sources.
    fn estimate(&self, config: &Config) -> synth_pipeline::Estimate {
        let origins = &config.prepare.designed.origins;
        let is_designed = config.sources.values().any(|source| {
            let origin = match source {
                SourceConfig::KaggleCompetitions(_) => Some(Origin::Competition),
                SourceConfig::KaggleDatasets(_) => Some(Origin::Dataset),
                SourceConfig::Bundled { .. } | SourceConfig::Folder { .. } => Some(Origin::Folder),
                _ => None,
            };
            origin.is_some_and(|origin| origins.contains(&origin))
        });
        let calls = if is_designed { 2.0 } else { 0.0 };
        synth_pipeline::Estimate {
            records: 2.0 + calls,
            calls,
            tokens: calls * 3000.0,
        }
    }

    async fn run(&self, cx: &Cx<'_>) -> Result<Summary, StageError> {
        let (_, sources) = cx.records::<FilteredSource>("filter")?;
        let sources = sources.collect::<Result<Vec<_>, _>>()?;
        let splits = split::assign(cx, &sources).await?;
        let items = sources.into_iter().map(|filtered| {
            let split = splits[&filtered.id];
            Ok(Prepared { filtered, split })
        });
        cx.each(splits.len(), items, |prepared| tasks(cx, prepared))
            .await
    }
}

/// What a source gave: tasks, and what could not become one.
#[derive(Default)]
struct Made {
    records: Vec<Task>,
    rejected: Vec<Rejected>,
}

impl Made {
    fn extend(&mut self, other: Self) {
        self.records.extend(other.records);
        self.rejected.extend(other.rejected);
    }
}

/// The tasks of a source: one to explore, one for each question that came with it, one for its declared target, and those
/// that its origin calls for.
async fn tasks(cx: &Cx<'_>, prepared: Prepared) -> Result<Outcome<Task>, WorkError> {
    let open = open_task(cx, &prepared);
    let source = &prepared.filtered.source;
    let mut made = Made::default();
    made.records.push(open.clone());
    made.records.extend(published::questions(source, &open));
    made.records
        .extend(published::predictions(source, &open, |id| seed(cx, id)));
    if let Some(target) = &source.target {
        match prediction_task(cx, &open, target) {
            Ok(task) => made.records.push(task),
            Err(holdout::Refusal::Target { reason, message }) => {
                made.rejected.push(Rejected {
                    id: format!("{}: {}", source.slug, target.column),
                    reason: reason.to_owned(),
                    message,
                });
            }
            Err(holdout::Refusal::Files(error)) => return Err(error.into()),
        }
    }
    match source.origin {
        Origin::Competition => made.extend(competition::tasks(cx, source, &open).await?),
        Origin::Dataset | Origin::Suite | Origin::Folder => {}
    }
    made.extend(designed::tasks(cx, source, &open).await?);
    Ok(Outcome::Kept {
        records: made.records,
        rejected: made.rejected,
    })
}

/// The task to explore: all tables, no question yet.
fn open_task(cx: &Cx<'_>, prepared: &Prepared) -> Task {
    let Prepared {
        filtered: FilteredSource { source, tables, .. },
        split,
    } = prepared;
    let limits = &cx.config.prepare.limits;
    let id = TaskId::of(&(&source.id, "explore"));
    Task {
        seed: seed(cx, &id),
        id,
        source_id: source.id.clone(),
        slug: source.slug.clone(),
        origin: source.origin,
        kind: TaskKind::Analysis,
        files: source
            .files
            .iter()
            .filter(|file| tables::is_table(&file.path))
            .cloned()
            .collect(),
        tables: tables.clone(),
        context: match source.origin {
            Origin::Competition => competition::context(&source.pages),
            Origin::Dataset | Origin::Suite | Origin::Folder => {
                join(&source.pages.description, &source.pages.data)
            }
        },
        prompt: String::new(),
        constraints: String::new(),
        answer_format: String::new(),
        verifier: None,
        hidden: Vec::new(),
        design: None,
        checks: Checks::default(),
        limits: Limits {
            turns: limits.turns,
            cell_seconds: limits.cell_seconds,
            total_seconds: limits.total_seconds,
            memory_bytes: limits.memory_mib << 20,
            output_bytes: limits.output_bytes,
        },
        domain: source.tags.first().cloned().unwrap_or_default(),
        keywords: source.tags.clone(),
        level: None,
        licence: source.licence.clone(),
        split: *split,
        created_at: source.fetched_at.clone(),
    }
}

/// The task to predict the target: its table split in two, the truth of the second part hidden.
fn prediction_task(cx: &Cx<'_>, open: &Task, target: &Target) -> Result<Task, holdout::Refusal> {
    let id = TaskId::of(&(&open.source_id, "predict", &target.file, &target.column));
    let seed = seed(cx, &id);
    let parts = holdout::split(cx.blobs, &open.files, target, &cx.config.prepare, seed)?;
    let (kind, metric) = match target.kind {
        TargetKind::Classification => (TaskKind::ClassMm, Metric::MacroF1),
        TargetKind::Regression => (TaskKind::RegMm, Metric::ClippedR2),
        TargetKind::Forecast => (TaskKind::TsCf, Metric::ClippedR2),
    };
    let file = |path: &str, bytes: &[u8]| -> Result<DataFile, holdout::Refusal> {
        let blake3 = cx
            .blobs
            .put(bytes)
            .map_err(|error| holdout::Refusal::Files(error.into()))?;
        Ok(DataFile {
            path: path.to_owned(),
            bytes: bytes.len() as u64,
            blake3,
        })
    };
    let shown = [("train.csv", &parts.train), ("test.csv", &parts.test)];
    let summaries = shown.iter().filter_map(|(path, bytes)| {
        tables::read_table(bytes)
            .ok()
            .map(|table| tables::measure(path, &table))
    });
    let (keys, targets) = (vec![parts.id_column], vec![target.column.clone()]);
    let prompt = predict::Predict {
        train_file: "train.csv",
        test_file: "test.csv",
        targets: &targets,
        keys: &keys,
        metric: &metric.to_string(),
        time_column: target
            .time_column
            .as_deref()
            .filter(|_| target.kind == TargetKind::Forecast),
        ..predict::Predict::default()
    }
    .render();
    Ok(Task {
        id,
        kind,
        tables: summaries.collect(),
        files: vec![
            file("train.csv", &parts.train)?,
            file("test.csv", &parts.test)?,
        ],
        prompt,
        answer_format: format!("the name of the file that you wrote: {SUBMISSION}"),
        verifier: Some(Verifier::Predictions(Predictions {
            file: SUBMISSION.to_owned(),
            truth: file("truth.csv", &parts.truth)?,
            keys,
            targets,
            metric,
            reward: Rewarding::Value,
            success: success(kind),
            naive_error: None,
            exact_shape: false,
        })),
        seed,
        ..open.clone()
    })
}

fn seed(cx: &Cx<'_>, id: &TaskId) -> u64 {
    // Endpoints and NumPy take seeds of 31 bits.
    synth_core::Fingerprint::of(&(cx.config.run.seed, id)).seed() >> 33
}

fn join(a: &str, b: &str) -> String {
    [a.trim(), b.trim()]
        .iter()
        .filter(|part| !part.is_empty())
        .copied()
        .collect::<Vec<_>>()
        .join("\n\n")
}
