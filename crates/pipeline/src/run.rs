//! A run's folder: what people and other programs look at, written to temporary names and renamed, the manifest last.

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use synth_core::Fingerprint;

use crate::Spend;
use crate::each::Entry;
pub use crate::each::rejected_of;
use crate::ledger::{Ledger, Listing, OutcomeKey, Provenance, Status};
use crate::stage::{Mode, Rejected, Services, StageCx, StageError, Summary, damaged};

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
        let place = self
            .stages
            .iter()
            .position(|name| *name == stage)
            .map_or(0, |place| place + 1);
        self.folder.join(format!("{place:02}-{stage}"))
    }

    /// Whether the folder of a stage shows what the stage made of what the folders of the stages it read show now.
    pub fn is_current(&self, stage: &str) -> bool {
        self.manifest(stage).is_some_and(|manifest| {
            let unchanged = |input: &str, view| {
                self.manifest(input).is_some_and(|now| now.view == view) && self.is_current(input)
            };
            manifest
                .inputs
                .iter()
                .all(|(input, view)| unchanged(input, *view))
        })
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
    fn write(
        &self,
        folder: &Path,
        stem: &str,
        rows: &mut dyn Iterator<Item = Result<PartRow, StageError>>,
    ) -> Result<Vec<WrittenPart>, StageError>;
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
    /// The same of the stages that were read, by name; see [`Run::is_current`].
    #[serde(default)]
    pub inputs: BTreeMap<String, Fingerprint>,
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

/// The status of a piece that was left out of a kept item.
const REJECTED: &str = "rejected";
/// The reason of an item that came a second time.
pub(crate) const REPEATED: &str = "repeated";

/// Lists what the run now has of the stage, writes the stage's folder unless it already shows that, and completes the account
/// with what was rejected. `repeated` are the items that came twice.
pub(crate) async fn publish<S: Services>(
    cx: &StageCx<'_, S>,
    entries: &[Entry],
    repeated: &[String],
    summary: &mut Summary,
) -> Result<(), StageError> {
    let listing = Listing {
        records: summary.records,
        keys: entries.iter().map(|entry| entry.key).collect(),
    };
    if cx.mode == Mode::Plan {
        cx.planned
            .lock()
            .expect("no holder panics")
            .insert(cx.stage, listing);
        return Ok(());
    }
    let inputs = cx.inputs.lock().expect("no holder panics").clone();
    let provenance = Provenance {
        view: view(entries, repeated),
        inputs,
    };
    cx.ledger
        .list(&cx.run.name, cx.stage, &listing, &provenance)
        .await?;
    drop(listing);
    write_folder(cx, entries, repeated, provenance, summary)
}

/// Writes down what a stage that stops has settled, for `synth show`; no stage reads it, and the listing of the whole replaces it.
pub(crate) async fn note_partial<S>(cx: &StageCx<'_, S>, entries: &[Entry]) {
    if cx.mode == Mode::Plan {
        return;
    }
    let settled = entries.iter().filter(|entry| entry.is_settled());
    let keys = settled.map(|entry| entry.key).collect();
    // The stage stops for a reason of its own, which a full disk, say, must not hide.
    if let Err(error) = cx.ledger.list_partial(&cx.run.name, cx.stage, keys).await {
        tracing::debug!(stage = cx.stage, %error, "what was settled so far is not listed");
    }
}

fn write_folder<S: Services>(
    cx: &StageCx<'_, S>,
    entries: &[Entry],
    repeated: &[String],
    provenance: Provenance,
    summary: &mut Summary,
) -> Result<(), StageError> {
    let folder = cx.run.stage_folder(cx.stage);
    let before = cx.run.manifest(cx.stage);
    let (spend, seconds) = before
        .as_ref()
        .map_or((summary.spend, summary.seconds), |before| {
            (
                add(summary.spend, before.spend),
                summary.seconds + before.seconds,
            )
        });
    if let Some(before) = before
        && before.view == provenance.view
        && before.synth == env!("CARGO_PKG_VERSION")
        && before.parts.iter().all(|part| {
            fs::metadata(folder.join(&part.path)).is_ok_and(|found| found.len() == part.bytes)
        })
    {
        summary.rejected.clone_from(&before.counts.rejected);
        if summary.worked > 0 || before.inputs != provenance.inputs || before.version != cx.version
        {
            let manifest = Manifest {
                inputs: provenance.inputs,
                version: cx.version,
                spend,
                seconds,
                ..before
            };
            write_manifest(&folder, &manifest)?;
        }
        return Ok(());
    }

    let (fresh, old) = (folder.with_extension("new"), folder.with_extension("old"));
    remove_folder(&fresh)?;
    fs::create_dir_all(&fresh)?;
    let mut rejected = BTreeMap::new();
    let mut parts = Vec::new();
    // The kept outcomes that have rejected pieces, so that those without are read once only.
    let mut with_rejected = HashSet::new();
    for (stem, wanted) in [
        ("part", Status::Kept),
        ("dropped", Status::Dropped),
        ("failed", Status::Failed),
    ] {
        let among_dropped = if wanted == Status::Dropped {
            std::mem::take(&mut with_rejected)
        } else {
            HashSet::new()
        };
        let rows = entries
            .iter()
            .enumerate()
            .filter(|(place, entry)| entry.status == wanted || among_dropped.contains(place));
        let rows = rows.flat_map(|(place, entry)| {
            if cx.cancel.is_hard() {
                return vec![Err(StageError::Interrupted)];
            }
            match rows_of(cx.ledger, &entry.key, wanted) {
                Ok(rows) => {
                    if rows.has_rejected {
                        with_rejected.insert(place);
                    }
                    rows.rows
                        .into_iter()
                        .inspect(|row| count_rejected(row, &mut rejected))
                        .map(Ok)
                        .collect()
                }
                Err(error) => vec![Err(error)],
            }
        });
        let again = repeated
            .iter()
            .filter(|_| wanted == Status::Dropped)
            .map(|id| Ok(repeated_row(id)));
        parts.extend(cx.run.format.write(&fresh, stem, &mut rows.chain(again))?);
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
    let manifest = Manifest {
        stage: cx.stage.to_owned(),
        complete: true,
        counts,
        view: provenance.view,
        inputs: provenance.inputs,
        version: cx.version,
        synth: env!("CARGO_PKG_VERSION").to_owned(),
        parts,
        spend,
        seconds,
    };
    write_manifest(&fresh, &manifest)?;
    // Two renames and no deletion between the old folder and the new one; a crash between them leaves none, and no manifest.
    remove_folder(&old)?;
    if folder.exists() {
        fs::rename(&folder, &old)?;
    }
    fs::rename(&fresh, &folder)?;
    remove_folder(&old)?;
    Ok(())
}

fn write_manifest(folder: &Path, manifest: &Manifest) -> io::Result<()> {
    write_atomically(
        &folder.join("manifest.json"),
        &serde_json::to_vec_pretty(manifest).map_err(io::Error::from)?,
    )
}

/// The fingerprint of what the outcomes say, in their order, and of the items that came twice.
fn view(entries: &[Entry], repeated: &[String]) -> Fingerprint {
    let mut hasher = blake3::Hasher::new();
    for entry in entries {
        hasher.update(entry.key.as_bytes());
        hasher.update(&entry.digest);
    }
    for id in repeated {
        hasher.update(Fingerprint::of_bytes(id.as_bytes()).as_bytes());
    }
    Fingerprint::from_bytes(*hasher.finalize().as_bytes())
}

fn repeated_row(id: &str) -> PartRow {
    PartRow {
        id: id.to_owned(),
        parent: id.to_owned(),
        status: Status::Dropped.as_str().to_owned(),
        reason: Some(REPEATED.to_owned()),
        message: Some("the same item came before".to_owned()),
        record: None,
    }
}

struct Rows {
    rows: Vec<PartRow>,
    has_rejected: bool,
}

/// The rows that an outcome has in the file for `wanted`: its records, itself, or its rejected pieces among the dropped.
fn rows_of(ledger: &Ledger, key: &OutcomeKey, wanted: Status) -> Result<Rows, StageError> {
    let outcome = ledger.outcome(key)?.ok_or_else(|| damaged(ledger))?;
    let row = |id: String,
               status: &str,
               reason: Option<String>,
               message: Option<String>,
               record: Option<String>| {
        PartRow {
            id,
            parent: outcome.item.clone(),
            status: status.to_owned(),
            reason,
            message,
            record,
        }
    };
    let status = outcome.status.as_str();
    let rejected = rejected_of(&outcome.value);
    let has_rejected = !rejected.is_empty();
    let rows = match (outcome.status, wanted) {
        (Status::Kept, Status::Kept) => raw_records(&outcome.value)
            .into_iter()
            .map(|(id, record)| row(id, status, None, None, Some(record)))
            .collect(),
        (Status::Kept, _) => {
            let piece = |piece: Rejected| {
                row(
                    piece.id,
                    REJECTED,
                    Some(piece.reason),
                    Some(piece.message),
                    None,
                )
            };
            rejected.into_iter().map(piece).collect()
        }
        _ => {
            let record = raw_records(&outcome.value)
                .into_iter()
                .next()
                .map(|(_, record)| record);
            vec![row(
                outcome.item.clone(),
                status,
                outcome.reason.clone(),
                outcome.message.clone(),
                record,
            )]
        }
    };
    Ok(Rows { rows, has_rejected })
}

fn count_rejected(row: &PartRow, rejected: &mut BTreeMap<String, u64>) {
    if row.status == REJECTED
        && let Some(reason) = &row.reason
    {
        *rejected.entry(reason.clone()).or_default() += 1;
    }
}

/// The records of a stored value with their ids, as the JSON text that was stored.
pub fn raw_records(value: &[u8]) -> Vec<(String, String)> {
    #[derive(Deserialize)]
    struct Raw<'a> {
        ids: Vec<String>,
        #[serde(borrow)]
        records: Vec<&'a RawValue>,
    }
    let Ok(raw) = serde_json::from_slice::<Raw>(value) else {
        return Vec::new();
    };
    raw.ids
        .into_iter()
        .zip(
            raw.records
                .into_iter()
                .map(|record| record.get().to_owned()),
        )
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
    let mut file = temporary_in(folder)?;
    file.write_all(bytes)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// How the names of files begin that do not have their own yet.
pub(crate) const TEMPORARY: &str = ".new-";

/// A temporary file that, unlike most, others may read once it has its name.
pub(crate) fn temporary_in(folder: &Path) -> io::Result<tempfile::NamedTempFile> {
    tempfile::Builder::new()
        .prefix(TEMPORARY)
        .permissions(fs::Permissions::from_mode(0o644))
        .tempfile_in(folder)
}

/// Removes a folder; one that is not there is fine.
pub fn remove_folder(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
