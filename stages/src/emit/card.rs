//! What the card tells: counted while rows are written.

use std::collections::BTreeMap;

use synth_core::Fingerprint;
use synth_dataset::{Card, CardSource, CardSplit, Histogram, StageCounts, WrittenFile};
use synth_pipeline::StageError;

use super::Candidate;
use crate::Cx;
use crate::filter::FilteredSource;

/// Counts over the rows that were written.
#[derive(Default)]
pub(super) struct Statistics {
    /// Rows by config and split.
    pub rows: BTreeMap<String, BTreeMap<String, u64>>,
    of_source: BTreeMap<String, (u64, String)>,
    of_model: BTreeMap<String, u64>,
    of_kind: BTreeMap<String, u64>,
    of_level: BTreeMap<String, u64>,
    turns: BTreeMap<i64, u64>,
    grades: BTreeMap<&'static str, (f64, u64)>,
    tokens: u64,
    conversations: u64,
}

impl Statistics {
    pub(super) fn add(&mut self, candidate: &Candidate) {
        let task = &candidate.target().task;
        *self
            .rows
            .entry(candidate.config().to_owned())
            .or_default()
            .entry(task.split.as_str().to_owned())
            .or_default() += 1;
        let of_source = self
            .of_source
            .entry(task.source_id.to_string())
            .or_insert_with(|| (0, task.split.as_str().to_owned()));
        of_source.0 += 1;
        let Candidate::Sft(sft) = candidate else {
            return;
        };
        let row = sft.row();
        *self.of_model.entry(row.generation.model).or_default() += 1;
        *self
            .of_kind
            .entry(task.kind.as_str().to_owned())
            .or_default() += 1;
        let level = sft
            .target
            .query
            .as_ref()
            .map_or(task.level.as_deref(), |query| query.level.as_deref());
        *self
            .of_level
            .entry(level.unwrap_or("not stated").to_owned())
            .or_default() += 1;
        *self.turns.entry(row.generation.num_turns).or_default() += 1;
        for (criterion, grade) in &sft.judgement.criteria {
            let sum = self.grades.entry(criterion.as_str()).or_default();
            *sum = (sum.0 + grade.score, sum.1 + 1);
        }
        self.tokens += row.generation.num_tokens.unwrap_or_default() as u64;
        self.conversations += 1;
    }
}

/// What of the run the card shows besides the rows.
pub(super) fn fingerprint(cx: &Cx<'_>) -> Result<Fingerprint, StageError> {
    let counts: Vec<_> = cx
        .run
        .stages
        .iter()
        .filter(|stage| **stage != "emit")
        .map(|stage| cx.run.manifest(stage).map(|manifest| manifest.counts))
        .collect();
    let mut sources = Vec::new();
    for filtered in cx.records::<FilteredSource>("filter")?.1 {
        let FilteredSource { source, .. } = filtered?;
        sources.push((
            source.slug,
            source.title,
            source.licence,
            source.attribution,
        ));
    }
    Ok(Fingerprint::of(&(&cx.config.emit.name, counts, sources)))
}

pub(super) fn card(
    cx: &Cx<'_>,
    statistics: &Statistics,
    files: &[WrittenFile],
) -> Result<Card, StageError> {
    let mut splits = Vec::new();
    for (config, of_split) in &statistics.rows {
        for (split, rows) in of_split {
            let prefix = format!("data/{config}/{split}/");
            let bytes = files
                .iter()
                .filter(|file| file.path.starts_with(&prefix))
                .map(|file| file.bytes)
                .sum();
            splits.push(CardSplit {
                config: config.clone(),
                split: split.clone(),
                rows: *rows,
                bytes,
            });
        }
    }
    let mut sources = Vec::new();
    for filtered in cx.records::<FilteredSource>("filter")?.1 {
        let FilteredSource { source, .. } = filtered?;
        if let Some((rows, split)) = statistics.of_source.get(source.id.as_str()) {
            sources.push(CardSource {
                name: source.slug,
                title: source.title,
                origin: source.origin.as_str().to_owned(),
                licence: source.licence.name,
                attribution: source.attribution,
                redistributable: source.licence.redistributable,
                split: split.clone(),
                rows: *rows,
            });
        }
    }
    let histogram = |title: &str, counts: &BTreeMap<String, u64>| Histogram {
        title: title.to_owned(),
        buckets: counts
            .iter()
            .map(|(name, rows)| (name.clone(), *rows))
            .collect(),
    };
    let mut means: Vec<(String, f64)> = statistics
        .grades
        .iter()
        .map(|(criterion, (sum, count))| {
            (
                format!("judge's grade, {criterion} (1 to 5)"),
                sum / *count as f64,
            )
        })
        .collect();
    if statistics.conversations > 0 {
        means.push((
            "tokens of a conversation (characters/4)".to_owned(),
            statistics.tokens as f64 / statistics.conversations as f64,
        ));
    }
    Ok(Card {
        name: cx.config.emit.name.clone(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        splits,
        sources,
        models: statistics
            .of_model
            .iter()
            .map(|(model, rows)| (model.clone(), *rows))
            .collect(),
        means,
        histograms: vec![
            Histogram {
                title: "Assistant turns of a conversation".to_owned(),
                buckets: statistics
                    .turns
                    .iter()
                    .map(|(turns, rows)| (turns.to_string(), *rows))
                    .collect(),
            },
            histogram("Kind of task", &statistics.of_kind),
            histogram("Level", &statistics.of_level),
        ],
        stages: cx
            .run
            .stages
            .iter()
            .filter(|stage| **stage != "emit")
            .filter_map(|stage| stage_counts(cx, stage))
            .collect(),
        timings: cx.config.run.timings,
    })
}

fn stage_counts(cx: &Cx<'_>, stage: &str) -> Option<StageCounts> {
    let counts = cx.run.manifest(stage)?.counts;
    Some(StageCounts {
        stage: stage.to_owned(),
        read: counts.read,
        kept: counts.kept,
        dropped: counts.dropped.values().sum(),
        failed: counts.failed.values().sum(),
    })
}
