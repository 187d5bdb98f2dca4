//! A run's folder: what people and other programs look at, written to temporary names and renamed, the manifest last.

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use synth_core::Fingerprint;

use crate::ledger::{Ledger, Listing, OutcomeKey, Status};
use crate::stage::{Services, StageCx, StageError, Summary};
use crate::{LedgerError, Spend, each};

/// A run by its name, and how its folders are written.
pub struct Run {
    /// The name.
    pub name: String,
    /// Its folder.
    pub folder: PathBuf,
    /// The stages in order, for the numbers of their folders.
    pub stages: Vec<&'static str>,
    /// Who writes the part files.
    pub format: Box<dyn PartFormat>,
}

impl Run {
    /// The folder of a stage, `<nn>-<stage>`.
    pub fn stage_folder(&self, stage: &str) -> PathBuf {
        let place = self.stages.iter().position(|name| *name == stage).map_or(0, |place| place + 1);
        self.folder.join(format!("{place:02}-{stage}"))
    }

    /// The account that the run has of a stage, if it has one.
    pub fn manifest(&self, stage: &str) -> Option<Manifest> {
        let text = fs::read(self.stage_folder(stage).join("manifest.json")).ok()?;
        serde_json::from_slice(&text).ok()
    }
}

/// A row of a part file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartRow {
    /// The record's id.
    pub id: String,
    /// The item that it was made of.
    pub parent: String,
    /// `kept`, `dropped`, `failed` or `rejected`.
    pub status: String,
    /// Why, in snake case.
    pub reason: Option<String>,
    /// Why, for a person.
    pub message: Option<String>,
    /// The record, as JSON.
    pub record: Option<String>,
}

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenPart {
    /// Its path, relative to the stage's folder.
    pub path: String,
    /// Rows.
    pub rows: u64,
    /// Size in bytes.
    pub bytes: u64,
    /// The hash of its content.
    pub blake3: Fingerprint,
}

/// Who writes part files.
pub trait PartFormat: Send + Sync {
    /// Writes rows to one or more files named after `stem` in `folder`.
    fn write(&self, folder: &Path, stem: &str, rows: &mut dyn Iterator<Item = Result<PartRow, StageError>>) -> Result<Vec<WrittenPart>, StageError>;
}

/// A stage's account: read = kept + dropped + failed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Items read.
    pub read: u64,
    /// Items that made records.
    pub kept: u64,
    /// Items left out, by reason.
    pub dropped: BTreeMap<String, u64>,
    /// Items that failed, by reason.
    pub failed: BTreeMap<String, u64>,
    /// Pieces of kept items left out, by reason.
    pub rejected: BTreeMap<String, u64>,
    /// Records made.
    pub records: u64,
}

/// What a stage's folder says of itself; it is written last, so a folder that has one is whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The stage.
    pub stage: String,
    /// Whether every item is settled.
    pub complete: bool,
    /// The account.
    pub counts: Counts,
    /// The fingerprint of the outcomes that the parts were written from.
    pub view: Fingerprint,
    /// The stage's version.
    pub version: u32,
    /// The version of `synth`.
    pub synth: String,
    /// The files.
    pub parts: Vec<WrittenPart>,
    /// What the invocations that wrote this folder spent, added up.
    pub spend: Spend,
    /// Their wall time, in seconds.
    pub seconds: f64,
}

/// Writes a stage's folder, unless it already shows these outcomes, and completes the account with what was rejected.
pub(crate) fn publish<S: Services>(cx: &StageCx<'_, S>, listing: &Listing, summary: &mut Summary) -> Result<(), StageError> {
    let folder = cx.run.stage_folder(cx.stage);
    let view = view(cx.ledger, listing)?;
    let before = cx.run.manifest(cx.stage);
    if let Some(manifest) = &before
        && manifest.view == view
        && manifest.synth == env!("CARGO_PKG_VERSION")
        && manifest.parts.iter().all(|part| fs::metadata(folder.join(&part.path)).is_ok_and(|found| found.len() == part.bytes))
    {
        summary.rejected.clone_from(&manifest.counts.rejected);
        return Ok(());
    }

    let fresh = folder.with_extension("new");
    remove_folder(&fresh)?;
    fs::create_dir_all(&fresh)?;
    let mut rejected = BTreeMap::new();
    let mut parts = Vec::new();
    for (stem, status) in [("part", Status::Kept), ("dropped", Status::Dropped), ("failed", Status::Failed)] {
        let mut rows = listing.keys.iter().flat_map(|key| match rows_of(cx.ledger, key, status, &mut rejected) {
            Ok(rows) => rows.into_iter().map(Ok).collect::<Vec<_>>(),
            Err(error) => vec![Err(error)],
        });
        parts.extend(cx.run.format.write(&fresh, stem, &mut rows)?);
    }
    summary.rejected = rejected;
    let counts = Counts {
        read: summary.read,
        kept: summary.kept,
        dropped: summary.dropped.clone(),
        failed: summary.failed.clone(),
        rejected: summary.rejected.clone(),
        records: summary.records,
    };
    let mut manifest = Manifest {
        stage: cx.stage.to_owned(),
        complete: true,
        counts,
        view,
        version: cx.version,
        synth: env!("CARGO_PKG_VERSION").to_owned(),
        parts,
        spend: summary.spend,
        seconds: summary.seconds,
    };
    if let Some(before) = before {
        manifest.seconds += before.seconds;
        manifest.spend = add(manifest.spend, before.spend);
    }
    let text = serde_json::to_vec_pretty(&manifest).map_err(io::Error::from)?;
    write_atomically(&fresh.join("manifest.json"), &text)?;
    remove_folder(&folder)?;
    fs::rename(&fresh, &folder)?;
    Ok(())
}

/// The fingerprint of what the outcomes say: of their keys and of how each ended.
fn view(ledger: &Ledger, listing: &Listing) -> Result<Fingerprint, LedgerError> {
    let mut hasher = blake3::Hasher::new();
    for key in &listing.keys {
        hasher.update(key.as_bytes());
        let status = ledger.status(key)?.map_or(u8::MAX, |(status, ..)| status as u8);
        hasher.update(&[status]);
    }
    Ok(Fingerprint::from_bytes(*hasher.finalize().as_bytes()))
}

/// The rows that an outcome has in the file for `wanted`: its records, itself, or its rejected pieces among the dropped.
fn rows_of(ledger: &Ledger, key: &OutcomeKey, wanted: Status, rejected: &mut BTreeMap<String, u64>) -> Result<Vec<PartRow>, StageError> {
    let Some(outcome) = ledger.outcome(key)? else { return Ok(Vec::new()) };
    let mut rows = Vec::new();
    if outcome.status == wanted {
        let records = raw_records(&outcome.value);
        if wanted == Status::Kept {
            rows.extend(records.into_iter().map(|(id, record)| PartRow {
                id,
                parent: outcome.item.clone(),
                status: wanted.as_str().to_owned(),
                reason: None,
                message: None,
                record: Some(record),
            }));
        } else {
            rows.push(PartRow {
                id: outcome.item.clone(),
                parent: outcome.item.clone(),
                status: wanted.as_str().to_owned(),
                reason: outcome.reason.clone(),
                message: outcome.message.clone(),
                record: records.into_iter().next().map(|(_, record)| record),
            });
        }
    }
    if wanted == Status::Dropped && outcome.status == Status::Kept {
        for piece in each::rejected_of(&outcome.value) {
            *rejected.entry(piece.reason.clone()).or_default() += 1;
            rows.push(PartRow {
                id: piece.id,
                parent: outcome.item.clone(),
                status: "rejected".to_owned(),
                reason: Some(piece.reason),
                message: Some(piece.message),
                record: None,
            });
        }
    }
    Ok(rows)
}

/// The records of a stored value with their ids, as the JSON text that was stored.
pub fn raw_records(value: &[u8]) -> Vec<(String, String)> {
    #[derive(Deserialize)]
    struct Raw<'a> {
        #[serde(borrow)]
        records: Vec<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Named {
        #[serde(alias = "trajectory_id")]
        id: String,
    }
    let Ok(raw) = serde_json::from_slice::<Raw>(value) else { return Vec::new() };
    raw.records
        .into_iter()
        .map(|record| (serde_json::from_str::<Named>(record.get()).map_or_else(|_| String::new(), |named| named.id), record.get().to_owned()))
        .collect()
}

fn add(a: Spend, b: Spend) -> Spend {
    Spend {
        calls: a.calls + b.calls,
        cached: a.cached + b.cached,
        prompt_tokens: a.prompt_tokens + b.prompt_tokens,
        completion_tokens: a.completion_tokens + b.completion_tokens,
        usd: a.usd + b.usd,
        sandboxes: a.sandboxes + b.sandboxes,
    }
}

/// Writes a file that is either there whole or not at all.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new().prefix(".new-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// Removes a folder; one that is not there is fine.
pub fn remove_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
