//! `filter`: which sources are good enough. Rules are data; each gives its verdict on every source, and none is silent.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use synth_core::config::{Config, FilterConfig};
use synth_core::{DataFile, FailureKind, Fingerprint, RecordError, Source, TableSummary};
use synth_pipeline::{Blobs, Item, Outcome, Record, Stage, StageError, Summary, WorkError};

use crate::services::Services;
use crate::{Cx, tables};

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

/// What rules look at.
struct Seen<'a> {
    source: &'a Source,
    tables: &'a [TableSummary],
    duplicate_of: Option<&'a str>,
}

/// A rule: its name, and how it judges. The evidence is given either way.
type Rule = (&'static str, fn(&FilterConfig, &Seen<'_>) -> (bool, String));

/// In the order in which they are asked; the first that fails names the drop.
const RULES: [Rule; 9] = [
    ("wrong_file_types", |config, seen| {
        let endings: Vec<String> = seen
            .source
            .files
            .iter()
            .map(|file| tables::ending(&file.path))
            .collect();
        let passed = endings
            .iter()
            .any(|ending| config.file_types.contains(ending));
        (
            passed,
            format!(
                "has {}; needs one of {}",
                list(&endings),
                list(&config.file_types)
            ),
        )
    }),
    ("too_large", |config, seen| {
        let bytes = bytes_of(seen.source);
        (
            bytes <= config.max_bytes,
            format!("{bytes} bytes; at most {}", config.max_bytes),
        )
    }),
    ("unreadable_tables", |_, seen| {
        (
            !seen.tables.is_empty(),
            format!("{} tables can be read; needs one", seen.tables.len()),
        )
    }),
    ("too_few_rows", |config, seen| {
        at_least(most(seen, |table| table.rows), config.min_rows, "rows")
    }),
    ("too_many_rows", |config, seen| {
        at_most(most(seen, |table| table.rows), config.max_rows, "rows")
    }),
    ("too_few_columns", |config, seen| {
        at_least(
            most(seen, |table| table.columns.len() as u64),
            config.min_columns,
            "columns",
        )
    }),
    ("too_many_columns", |config, seen| {
        at_most(
            most(seen, |table| table.columns.len() as u64),
            config.max_columns,
            "columns",
        )
    }),
    ("licence_not_allowed", |config, seen| {
        let name = &seen.source.licence.name;
        let passed = config.licences.is_empty()
            || config
                .licences
                .iter()
                .any(|licence| licence.eq_ignore_ascii_case(name));
        let allowed = if config.licences.is_empty() {
            "any".to_owned()
        } else {
            list(&config.licences)
        };
        (passed, format!("`{name}`; allowed: {allowed}"))
    }),
    ("duplicate_content", |_, seen| {
        (
            seen.duplicate_of.is_none(),
            seen.duplicate_of
                .map_or(
                    "no other source has these tables".to_owned(),
                    |other| match seen.source.questions.len() {
                        0 => format!("the same tables as `{other}`"),
                        questions => format!(
                            "the same tables as `{other}`; its {questions} questions go with it"
                        ),
                    },
                ),
        )
    }),
];

fn most(seen: &Seen<'_>, measure: impl Fn(&TableSummary) -> u64) -> u64 {
    seen.tables.iter().map(measure).max().unwrap_or(0)
}

fn at_least(found: u64, bound: u64, what: &str) -> (bool, String) {
    (found >= bound, format!("{found} {what}; at least {bound}"))
}

fn at_most(found: u64, bound: u64, what: &str) -> (bool, String) {
    (found <= bound, format!("{found} {what}; at most {bound}"))
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
        1
    }

    fn config_keys(&self) -> &'static [&'static str] {
        &["filter"]
    }

    fn depends_on(&self, _: &Config) -> Fingerprint {
        Fingerprint::of(&tables::SUMMARY_VERSION)
    }

    async fn run(&self, cx: &Cx<'_>) -> Result<Summary, StageError> {
        let mut candidates = Vec::new();
        for source in cx.records::<Source>("crawl")?.1 {
            let source = source?;
            let signatures = signatures(cx, &source).await?;
            candidates.push(Candidate {
                source,
                signatures,
                duplicate_of: None,
            });
        }
        mark_duplicates(cx, &mut candidates)?;
        cx.each(
            candidates.len(),
            candidates.into_iter().map(Ok),
            |candidate| judge(cx, candidate),
        )
        .await
    }
}

async fn judge(cx: &Cx<'_>, candidate: Candidate) -> Result<Outcome<FilteredSource>, WorkError> {
    let Candidate {
        source,
        signatures,
        duplicate_of,
    } = candidate;
    let summaries = if bytes_of(&source) <= cx.config.filter.max_bytes {
        let (blobs, files) = (cx.blobs.clone(), source.files.clone());
        // Parsing tables is work for a thread of its own.
        tokio::task::spawn_blocking(move || measure(&blobs, &files))
            .await
            .map_err(|error| StageError::Files(format!("cannot measure tables: {error}")))??
    } else {
        Vec::new()
    };
    let seen = Seen {
        source: &source,
        tables: &summaries,
        duplicate_of: duplicate_of.as_deref(),
    };
    let rulings: Vec<Ruling> = RULES
        .iter()
        .map(|(rule, judge)| {
            let (passed, evidence) = judge(&cx.config.filter, &seen);
            Ruling {
                rule: (*rule).to_owned(),
                passed,
                evidence,
            }
        })
        .collect();
    let broken = rulings.iter().find(|ruling| !ruling.passed).cloned();
    let slug = source.slug.clone();
    let filtered = FilteredSource {
        id: source.id.to_string(),
        source,
        tables: summaries,
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

/// The tables among these files. One that cannot be read counts as absent; the rule `unreadable_tables` speaks when none is
/// left.
fn measure(blobs: &Blobs, files: &[DataFile]) -> Result<Vec<TableSummary>, RecordError> {
    let mut summaries = Vec::new();
    for file in files.iter().filter(|file| tables::is_table(&file.path)) {
        let bytes = blobs.read(file.blake3).map_err(|error| {
            let message = format!("cannot read `{}` from the data store: {error}", file.path);
            RecordError::spurious(FailureKind::Data, "missing_blob", message)
        })?;
        for table in tables::read_tables(&file.path, &bytes).unwrap_or_default() {
            summaries.push(tables::measure(&file.path, &table));
        }
    }
    Ok(summaries)
}

fn bytes_of(source: &Source) -> u64 {
    source.files.iter().map(|file| file.bytes).sum()
}

/// Of sources with the same tables one stays: one whose split is settled already, else the first.
fn mark_duplicates(cx: &Cx<'_>, candidates: &mut [Candidate]) -> Result<(), StageError> {
    let mut order = Vec::new();
    for (place, candidate) in candidates.iter().enumerate() {
        let is_new = crate::prepare::pinned_split(cx, candidate.source.id.as_str())?.is_none();
        order.push((is_new, place));
    }
    order.sort_unstable();
    let mut first_with: BTreeMap<Vec<Fingerprint>, String> = BTreeMap::new();
    for (_, place) in order {
        let candidate = &mut candidates[place];
        let slug = candidate.source.slug.clone();
        match first_with.get(&candidate.signatures) {
            Some(first) => candidate.duplicate_of = Some(first.clone()),
            None => drop(first_with.insert(candidate.signatures.clone(), slug)),
        }
    }
    Ok(())
}

/// What each file says, sorted; remembered, since it rests on the files' content alone.
async fn signatures(cx: &Cx<'_>, source: &Source) -> Result<Vec<Fingerprint>, StageError> {
    let mut signatures = Vec::new();
    let is_too_large = bytes_of(source) > cx.config.filter.max_bytes;
    for file in &source.files {
        // What is not read, or not in the store yet, is told apart by its bytes alone.
        signatures.push(if is_too_large {
            file.blake3
        } else {
            signature_of(cx, file).await?
        });
    }
    signatures.sort();
    Ok(signatures)
}

async fn signature_of(cx: &Cx<'_>, file: &DataFile) -> Result<Fingerprint, StageError> {
    let ending = tables::ending(&file.path);
    let key = Fingerprint::of(&(
        "content signature",
        tables::SUMMARY_VERSION,
        ending,
        file.blake3,
    ));
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
    let signature = cx.blobs.read(file.blake3).map_or(file.blake3, |bytes| {
        tables::content_signature(&file.path, &bytes)
    });
    if !cx.is_planning() {
        let bytes = serde_json::to_vec(&signature).expect("a fingerprint serialises to JSON");
        cx.services.memo.put(key, bytes).await?;
    }
    Ok(signature)
}
