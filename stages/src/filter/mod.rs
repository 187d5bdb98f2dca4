//! `filter`: which sources are good enough. Rules are data; each gives its verdict on every source, and none is silent.
//!
//! `tables` holds the rules about files and tables, `competitions` and `datasets` those about what Kaggle says, which `crawl`
//! asks before it downloads; `validity` asks a model what no field tells.

mod competitions;
mod datasets;
mod direction;
mod rule;
mod tables;
pub(crate) mod validity;

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use synth_core::config::{Config, FilterConfig, SourceConfig};
use synth_core::{
    DataFile, FailureKind, Fingerprint, KaggleFacts, Origin, RecordError, Source, TableSummary,
};
use synth_pipeline::{
    Blobs, Estimate, Item, Outcome, Record, Stage, StageError, Summary, WorkError,
};

use crate::Cx;
use crate::services::Services;
use crate::tables::{
    SUMMARY_VERSION, content_signature, ending, is_table, measure as summarise, read_tables,
};
use tables::Seen;

/// The stage.
pub struct Filter;

/// A source with every rule's verdict and its tables measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FilteredSource {
    /// The source's id.
    pub id: String,
    /// The source.
    pub source: Source,
    /// Its tables.
    pub tables: Vec<TableSummary>,
    /// What each of its files says, however it is written: by this the same data is known again under another name.
    pub signatures: Vec<Fingerprint>,
    /// What each rule said.
    pub rulings: Vec<Ruling>,
}

impl Record for FilteredSource {
    fn id(&self) -> String {
        self.id.clone()
    }
}

/// What one rule said of one source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ruling {
    /// The rule, which is also the reason of a drop.
    pub rule: String,
    /// Whether the source passes.
    pub passed: bool,
    /// What was found, and what the rule asks for.
    pub evidence: String,
}

impl Ruling {
    fn of(rule: &str, (passed, evidence): (bool, String)) -> Self {
        Self {
            rule: rule.to_owned(),
            passed,
            evidence,
        }
    }
}

/// The rules about tables that competitions are asked: what their data must be like is a matter of their pages.
const OF_COMPETITIONS: [&str; 2] = ["unreadable_tables", "duplicate_content"];
/// The rules about tables that datasets are asked: the others ask what rules of their own have answered.
const OF_DATASETS: [&str; 6] = [
    "unreadable_tables",
    "too_few_rows",
    "too_many_rows",
    "too_few_columns",
    "too_many_columns",
    "duplicate_content",
];

/// What the rules say that need no data. `crawl` asks before it downloads.
pub(crate) fn before_data(config: &FilterConfig, source: &Source) -> Vec<Ruling> {
    match source.origin {
        Origin::Competition => competitions::rulings(&config.competitions, source),
        Origin::Dataset => datasets::rulings(&config.datasets, source),
        Origin::Suite | Origin::Folder => Vec::new(),
    }
}

/// What the rules say of the files themselves.
fn of_data(config: &FilterConfig, seen: &Seen<'_>) -> Vec<Ruling> {
    let (only, max_bytes): (&[&str], u64) = match seen.source.origin {
        Origin::Competition => (&OF_COMPETITIONS, config.competitions.max_bytes),
        Origin::Dataset => (&OF_DATASETS, config.datasets.max_bytes),
        Origin::Suite | Origin::Folder => return tables::rulings(config, seen, &[]),
    };
    let (files, bytes) = (seen.source.files.len(), bytes_of(seen.source));
    let mut rulings = vec![Ruling::of(
        "no_files",
        (files > 0, format!("{files} files were downloaded")),
    )];
    if max_bytes > 0 {
        let evidence = format!("{bytes} bytes unpacked; at most {max_bytes}");
        rulings.push(Ruling::of("too_large", (bytes <= max_bytes, evidence)));
    }
    rulings.extend(tables::rulings(config, seen, only));
    rulings
}

/// All files together, as the origin tells: its own sum, or that of the files if it tells the size of each.
fn listed_bytes(facts: &KaggleFacts) -> Option<u64> {
    facts.total_bytes.or_else(|| {
        let sizes: Option<Vec<u64>> = facts.listed.iter().map(|file| file.bytes).collect();
        sizes
            .filter(|sizes| !sizes.is_empty())
            .map(|sizes| sizes.into_iter().fold(0, u64::saturating_add))
    })
}

fn list(names: &[String]) -> String {
    if names.is_empty() {
        "none".to_owned()
    } else {
        names.join(", ")
    }
}

/// An item: a source, and which earlier source has the same tables.
#[derive(Serialize)]
struct Candidate {
    source: Source,
    signatures: Vec<Fingerprint>,
    duplicate_of: Option<String>,
    /// What a model's judgement of it would rest on.
    #[serde(skip_serializing_if = "Option::is_none")]
    judged_by: Option<Fingerprint>,
}

impl Item for Candidate {
    fn id(&self) -> String {
        self.source.id.to_string()
    }
}

#[async_trait]
impl Stage<Services> for Filter {
    fn name(&self) -> &'static str {
        "filter"
    }

    fn about(&self) -> &'static str {
        "drop sources that break a rule, and say which"
    }

    fn reads(&self) -> &'static [&'static str] {
        &["crawl"]
    }

    fn makes(&self) -> &'static str {
        "sources"
    }

    fn version(&self) -> u32 {
        2
    }

    fn config_keys(&self) -> &'static [&'static str] {
        &["filter"]
    }

    fn depends_on(&self, _: &Config) -> Fingerprint {
        Fingerprint::of(&SUMMARY_VERSION)
    }

    fn estimate(&self, config: &Config) -> Estimate {
        let is_judged = config.filter.competitions.judge
            && config
                .sources
                .values()
                .any(|source| matches!(source, SourceConfig::KaggleCompetitions(_)));
        let calls = if is_judged { 1.0 } else { 0.0 };
        Estimate {
            records: 1.0,
            calls,
            tokens: calls * 2500.0,
        }
    }

    async fn run(&self, cx: &Cx<'_>) -> Result<Summary, StageError> {
        // Sources are many and large, what tells them apart is small: they are read twice and never held together.
        let mut signed = Vec::new();
        for source in cx.records::<Source>("crawl")?.1 {
            let source = source?;
            signed.push(Signed {
                signatures: signatures(cx, &source).await?,
                id: source.id.to_string(),
                slug: source.slug,
                duplicate_of: None,
            });
        }
        mark_duplicates(cx, &mut signed)?;
        let (total, sources) = cx.records::<Source>("crawl")?;
        let candidates = sources.zip(signed).map(|(source, signed)| {
            let source = source?;
            let judged_by = match source.origin {
                Origin::Competition => validity::basis(cx.config),
                _ => None,
            };
            Ok(Candidate {
                source,
                signatures: signed.signatures,
                duplicate_of: signed.duplicate_of,
                judged_by,
            })
        });
        cx.each(total, candidates, |candidate| judge(cx, candidate))
            .await
    }
}

async fn judge(cx: &Cx<'_>, candidate: Candidate) -> Result<Outcome<FilteredSource>, WorkError> {
    let Candidate {
        source,
        signatures,
        duplicate_of,
        ..
    } = candidate;
    let mut rulings = before_data(&cx.config.filter, &source);
    // The judge needs no data either, and `crawl` has downloaded none of what it refused.
    if source.origin == Origin::Competition && rulings.iter().all(|ruling| ruling.passed) {
        rulings.extend(validity::rulings(cx, &source).await?);
    }
    let mut tables = Vec::new();
    // Of what broke a rule already there is no data to look at.
    if rulings.iter().all(|ruling| ruling.passed) {
        let measured = measure(cx, &source).await?;
        let seen = Seen {
            source: &source,
            tables: &measured.0,
            unmeasured: measured.1,
            duplicate_of: duplicate_of.as_deref(),
        };
        rulings.extend(of_data(&cx.config.filter, &seen));
        tables = measured.0;
    }
    let broken = rulings.iter().find(|ruling| !ruling.passed).cloned();
    let slug = source.slug.clone();
    let filtered = FilteredSource {
        id: source.id.to_string(),
        source,
        tables,
        signatures,
        rulings,
    };
    Ok(match broken {
        None => Outcome::kept(filtered),
        Some(ruling) => Outcome::Dropped {
            reason: ruling.rule,
            message: format!("`{slug}`: {}", ruling.evidence),
            record: Some(filtered),
        },
    })
}

/// The tables of a source, and how many more there are that are too large to be measured.
async fn measure(cx: &Cx<'_>, source: &Source) -> Result<(Vec<TableSummary>, u64), WorkError> {
    let max_bytes = cx.config.filter.max_bytes;
    let (small, unmeasured) = if is_kaggle(source) {
        let small = measurable(source, max_bytes);
        let tables = source.files.iter().filter(|file| is_table(&file.path));
        let unmeasured = (tables.count() - small.len()) as u64;
        (small, unmeasured)
    } else if bytes_of(source) <= max_bytes {
        (source.files.clone(), 0)
    } else {
        (Vec::new(), 0)
    };
    let blobs = cx.blobs.clone();
    // Parsing tables is work for a thread of its own.
    let tables = tokio::task::spawn_blocking(move || summaries(&blobs, &small))
        .await
        .map_err(|error| StageError::Files(format!("cannot measure tables: {error}")))??;
    Ok((tables, unmeasured))
}

/// Of a source that may be larger than memory, the tables that fit into the limit together, the smallest first.
fn measurable(source: &Source, max_bytes: u64) -> Vec<DataFile> {
    let mut tables: Vec<&DataFile> = source
        .files
        .iter()
        .filter(|file| is_table(&file.path))
        .collect();
    tables.sort_by_key(|file| file.bytes);
    let mut sum = 0_u64;
    let mut fit: Vec<DataFile> = tables
        .into_iter()
        .take_while(|file| {
            sum = sum.saturating_add(file.bytes);
            sum <= max_bytes
        })
        .cloned()
        .collect();
    fit.sort_by(|a, b| a.path.cmp(&b.path));
    fit
}

fn is_kaggle(source: &Source) -> bool {
    matches!(source.origin, Origin::Competition | Origin::Dataset)
}

/// The tables among these files. One that cannot be read counts as absent; the rule `unreadable_tables` speaks when none is
/// left.
fn summaries(blobs: &Blobs, files: &[DataFile]) -> Result<Vec<TableSummary>, RecordError> {
    let mut summaries = Vec::new();
    for file in files.iter().filter(|file| is_table(&file.path)) {
        let bytes = blobs.read(file.blake3).map_err(|error| {
            let message = format!("cannot read `{}` from the data store: {error}", file.path);
            RecordError::spurious(FailureKind::Data, "missing_blob", message)
        })?;
        for table in read_tables(&file.path, &bytes).unwrap_or_default() {
            summaries.push(summarise(&file.path, &table));
        }
    }
    Ok(summaries)
}

fn bytes_of(source: &Source) -> u64 {
    source.files.iter().map(|file| file.bytes).sum()
}

/// What tells a source apart from others.
struct Signed {
    id: String,
    slug: String,
    signatures: Vec<Fingerprint>,
    duplicate_of: Option<String>,
}

/// Of sources with the same tables one stays: one whose split is settled already, else the first. Those without files are
/// none of them.
fn mark_duplicates(cx: &Cx<'_>, signed: &mut [Signed]) -> Result<(), StageError> {
    let mut order = Vec::new();
    for (place, one) in signed.iter().enumerate() {
        let is_new = crate::prepare::pinned_split(cx, &one.id)?.is_none();
        order.push((is_new, place));
    }
    order.sort_unstable();
    let mut first_with: BTreeMap<Fingerprint, usize> = BTreeMap::new();
    for (_, place) in order {
        if signed[place].signatures.is_empty() {
            continue;
        }
        let first = *first_with
            .entry(Fingerprint::of(&signed[place].signatures))
            .or_insert(place);
        if first != place {
            signed[place].duplicate_of = Some(signed[first].slug.clone());
        }
    }
    Ok(())
}

/// What each file says, sorted; remembered, since it rests on the files' content alone.
async fn signatures(cx: &Cx<'_>, source: &Source) -> Result<Vec<Fingerprint>, StageError> {
    let mut signatures = Vec::new();
    let max_bytes = cx.config.filter.max_bytes;
    let is_too_large = |file: &DataFile| {
        if is_kaggle(source) {
            file.bytes > max_bytes || !is_table(&file.path)
        } else {
            bytes_of(source) > max_bytes
        }
    };
    for file in &source.files {
        // What is not read, or not in the store yet, is told apart by its bytes alone.
        signatures.push(if is_too_large(file) {
            file.blake3
        } else {
            signature_of(cx, file).await?
        });
    }
    signatures.sort();
    Ok(signatures)
}

async fn signature_of(cx: &Cx<'_>, file: &DataFile) -> Result<Fingerprint, StageError> {
    let ending = ending(&file.path);
    let key = Fingerprint::of(&("content signature", SUMMARY_VERSION, ending, file.blake3));
    if let Some(Ok(known)) = cx
        .services
        .memo
        .get(key)
        .await?
        .as_deref()
        .map(serde_json::from_slice)
    {
        return Ok(known);
    }
    let signature = cx
        .blobs
        .read(file.blake3)
        .map_or(file.blake3, |bytes| content_signature(&file.path, &bytes));
    if !cx.is_planning() {
        let bytes = serde_json::to_vec(&signature).expect("a fingerprint serialises to JSON");
        cx.services.memo.put(key, bytes).await?;
    }
    Ok(signature)
}
