//! The memory across runs: outcomes, replies and pins in `SQLite`, durable when acknowledged.
//!
//! WAL mode with `synchronous=FULL`; one writer thread commits in groups, so that many waiting writers share one
//! fsync; readers have a connection of their own. `SQLite` cuts the torn tail of a log by itself; every value carries a
//! checksum of ours besides, and one that does not fit counts as absent.

mod error;
mod key;
mod open;
mod value;
mod writer;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};
use synth_core::{Fingerprint, Memo, MemoError};

pub use error::LedgerError;
use error::{io_error, sqlite_error};
pub use key::{Basis, OutcomeKey};
use open::{check_format, is_empty, prepare, read_connection, take_lock};
use writer::Writer;

/// How an item ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It made records.
    Kept,
    /// It was left out for a reason.
    Dropped,
    /// It could not be worked on.
    Failed,
}

impl Status {
    /// The status as it stands in files and events.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Dropped => "dropped",
            Self::Failed => "failed",
        }
    }

    const fn from_code(code: i64) -> Self {
        match code {
            0 => Self::Kept,
            1 => Self::Dropped,
            _ => Self::Failed,
        }
    }
}

/// What is known of an outcome without reading its records.
pub(crate) struct Settled {
    pub status: Status,
    pub reason: Option<String>,
    pub spurious: bool,
    pub records: u64,
    pub digest: Digest,
}

/// Eight bytes of the hash of all that an outcome says: other records, another reason or another end, another digest.
pub(crate) type Digest = [u8; 8];

/// An outcome as it is stored.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredOutcome {
    /// The item's id.
    pub item: String,
    /// How it ended.
    pub status: Status,
    /// Why it was dropped or failed, in snake case.
    pub reason: Option<String>,
    /// The same for a person.
    pub message: Option<String>,
    /// For a failure, whether the next run should try again.
    pub spurious: bool,
    /// The ids of the records made.
    pub made: Vec<String>,
    /// The records and the rejected pieces, as JSON.
    pub value: Vec<u8>,
}

/// The ledger; see the module.
pub struct Ledger {
    path: PathBuf,
    reader: Mutex<Connection>,
    writer: Option<Writer>,
    /// Held, not read: the lock goes with it.
    _lock: Option<File>,
}

impl Ledger {
    /// Opens or makes the ledger in `folder` and keeps every other process out until it is dropped.
    pub fn open(folder: &Path) -> Result<Self, LedgerError> {
        Self::open_bounded(folder, None)
    }

    /// As [`Ledger::open`], with a bound on its pages: the tests' way to a full disk.
    fn open_bounded(folder: &Path, max_pages: Option<u32>) -> Result<Self, LedgerError> {
        let path = folder.join("ledger.sqlite");
        let broken = |error: std::io::Error| io_error(&path, &error);
        fs::create_dir_all(folder).map_err(broken)?;
        let lock = take_lock(folder, &path)?;
        let connection = Connection::open(&path).map_err(|error| sqlite_error(&path, &error))?;
        prepare(&connection, &path)?;
        if let Some(max_pages) = max_pages {
            connection
                .pragma_update(None, "max_page_count", max_pages)
                .map_err(|error| sqlite_error(&path, &error))?;
        }
        let writer = Writer::start(connection, &path).map_err(broken)?;
        let reader = Mutex::new(read_connection(&path)?);
        Ok(Self {
            path,
            reader,
            writer: Some(writer),
            _lock: Some(lock),
        })
    }

    /// Opens the ledger in `folder` to look at, beside a run that may be writing.
    pub fn open_read_only(folder: &Path) -> Result<Self, LedgerError> {
        let path = folder.join("ledger.sqlite");
        if !path.exists() {
            return Err(LedgerError::Missing(path.display().to_string()));
        }
        let connection = read_connection(&path)?;
        if is_empty(&connection).map_err(|error| sqlite_error(&path, &error))? {
            // The moment between the making of the file and of its tables.
            return Err(LedgerError::Missing(path.display().to_string()));
        }
        check_format(&connection, &path)?;
        Ok(Self {
            reader: Mutex::new(connection),
            path,
            writer: None,
            _lock: None,
        })
    }

    /// The outcome under `key`. One whose value is damaged counts as absent, and is forgotten if this ledger may be written,
    /// so that the next run works it out anew.
    pub fn outcome(&self, key: &OutcomeKey) -> Result<Option<StoredOutcome>, LedgerError> {
        self.read(|connection| {
            connection
                .prepare_cached("SELECT item, status, reason, message, spurious, value FROM outcome WHERE key = ?1")?
                .query_row([key.as_bytes().as_slice()], |row| {
                    Ok((
                        StoredOutcome {
                            item: row.get(0)?,
                            status: Status::from_code(row.get(1)?),
                            reason: row.get(2)?,
                            message: row.get(3)?,
                            spurious: row.get(4)?,
                            made: Vec::new(),
                            value: Vec::new(),
                        },
                        row.get::<_, Vec<u8>>(5)?,
                    ))
                })
                .optional()
        })
        .map(|found| {
            let (mut outcome, stored) = found?;
            if let Some(value) = value::unpack(&stored) {
                outcome.value = value;
                return Some(outcome);
            }
            if let Some(writer) = &self.writer {
                writer.write_soon(writer::Write::Forget(vec![*key]));
            }
            None
        })
    }

    /// How the item under `key` ended, without its records.
    pub(crate) fn settled(&self, key: &OutcomeKey) -> Result<Option<Settled>, LedgerError> {
        self.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT status, reason, spurious, records, digest FROM outcome WHERE key = ?1",
                )?
                .query_row([key.as_bytes().as_slice()], |row| {
                    Ok(Settled {
                        status: Status::from_code(row.get(0)?),
                        reason: row.get(1)?,
                        spurious: row.get(2)?,
                        records: row.get::<_, i64>(3)? as u64,
                        digest: row.get(4)?,
                    })
                })
                .optional()
        })
    }

    /// The basis of this stage's latest outcome for the same item, whatever it was based on.
    pub fn latest_basis(&self, key: &OutcomeKey) -> Result<Option<Basis>, LedgerError> {
        let (low, high) = key.same_item();
        self.read(|connection| {
            connection
                .prepare_cached("SELECT basis FROM outcome WHERE key BETWEEN ?1 AND ?2 ORDER BY rowid DESC LIMIT 1")?
                .query_row([low.as_slice(), high.as_slice()], |row| row.get::<_, Vec<u8>>(0))
                .optional()
        })
        .map(|bytes| bytes.and_then(|bytes| Basis::from_bytes(&bytes)))
    }

    /// Stores an outcome; durable when this returns.
    pub async fn put_outcome(
        &self,
        key: OutcomeKey,
        stage: &'static str,
        basis: Basis,
        outcome: StoredOutcome,
    ) -> Result<(), LedgerError> {
        self.store(key, stage, basis, outcome).await.map(drop)
    }

    /// Stores an outcome and returns its digest; durable when this returns.
    pub(crate) async fn store(
        &self,
        key: OutcomeKey,
        stage: &'static str,
        basis: Basis,
        mut outcome: StoredOutcome,
    ) -> Result<Digest, LedgerError> {
        // Packed here and not by the writer, which everybody waits for.
        outcome.value = self.pack(&outcome.value)?;
        let digest = digest(&outcome);
        self.writer()?
            .write(writer::Write::Outcome {
                key,
                stage,
                basis,
                digest,
                outcome: Box::new(outcome),
            })
            .await?;
        Ok(digest)
    }

    /// The latest outcome of an item in a stage, whatever it was based on and in whatever run.
    pub fn latest(&self, stage: &str, item: &str) -> Result<Option<StoredOutcome>, LedgerError> {
        let (low, high) = OutcomeKey::range_of(stage, item);
        let key = self.read(|connection| {
            connection
                .prepare_cached("SELECT key FROM outcome WHERE key BETWEEN ?1 AND ?2 ORDER BY rowid DESC LIMIT 1")?
                .query_row([low.as_slice(), high.as_slice()], |row| row.get::<_, Vec<u8>>(0))
                .optional()
        })?;
        match key.and_then(|key| OutcomeKey::from_bytes(&key)) {
            Some(key) => self.outcome(&key),
            None => Ok(None),
        }
    }

    /// The outcomes in which a record with this id was made, with their stages, in the order in which the stages first
    /// made it. Of each stage it is the latest.
    pub fn makers(&self, id: &str) -> Result<Vec<(String, OutcomeKey)>, LedgerError> {
        self.read(|connection| {
            connection
                .prepare_cached("SELECT stage, key FROM made WHERE id = ?1 ORDER BY rowid")?
                .query_map([id], |row| Ok((row.get(0)?, row.get::<_, Vec<u8>>(1)?)))?
                .collect::<rusqlite::Result<Vec<_>>>()
        })
        .map(|rows| {
            rows.into_iter()
                .filter_map(|(stage, key)| Some((stage, OutcomeKey::from_bytes(&key)?)))
                .collect()
        })
    }

    /// Ids that begin with `prefix`, at most `limit`.
    pub fn ids(&self, prefix: &str, limit: usize) -> Result<Vec<String>, LedgerError> {
        let high = format!("{prefix}\u{10ffff}");
        self.read(|connection| {
            connection
                .prepare_cached(
                    "SELECT DISTINCT id FROM made WHERE id >= ?1 AND id < ?2 ORDER BY id LIMIT ?3",
                )?
                .query_map(params![prefix, high, limit as i64], |row| row.get(0))?
                .collect()
        })
    }

    /// What run `run` has of `stage`: the keys of its outcomes in order, and how many records they made.
    pub fn listing(&self, run: &str, stage: &str) -> Result<Option<Listing>, LedgerError> {
        self.read(|connection| {
            connection
                .prepare_cached("SELECT records, keys FROM listing WHERE run = ?1 AND stage = ?2")?
                .query_row([run, stage], |row| {
                    Ok((row.get::<_, i64>(0)? as u64, row.get::<_, Vec<u8>>(1)?))
                })
                .optional()
        })
        .map(|found| {
            found.map(|(records, bytes)| Listing {
                records,
                keys: OutcomeKey::many_from_bytes(&bytes),
            })
        })
    }

    /// The outcomes that a stage of run `run` had settled when it stopped; none once it has come to its end. They are kept
    /// apart from the listings, for people alone: no stage reads half of its input.
    pub fn partial(&self, run: &str, stage: &str) -> Result<Option<Vec<OutcomeKey>>, LedgerError> {
        self.read(|connection| {
            connection
                .prepare_cached("SELECT keys FROM partial WHERE run = ?1 AND stage = ?2")?
                .query_row([run, stage], |row| row.get::<_, Vec<u8>>(0))
                .optional()
        })
        .map(|found| found.map(|bytes| OutcomeKey::many_from_bytes(&bytes)))
    }

    /// Says what a stage that stops has settled; durable when this returns.
    pub async fn list_partial(
        &self,
        run: &str,
        stage: &'static str,
        keys: Vec<OutcomeKey>,
    ) -> Result<(), LedgerError> {
        let (run, keys) = (run.to_owned(), flat(&keys));
        self.writer()?
            .write(writer::Write::Partial { run, stage, keys })
            .await
    }

    /// Which outcomes the listing of a stage showed when it was made, and which ones those of the stages that it read.
    pub(crate) fn provenance(
        &self,
        run: &str,
        stage: &str,
    ) -> Result<Option<Provenance>, LedgerError> {
        let found = self.read(|connection| {
            connection
                .prepare_cached("SELECT view, inputs FROM listing WHERE run = ?1 AND stage = ?2")?
                .query_row([run, stage], |row| {
                    Ok((row.get(0)?, row.get::<_, String>(1)?))
                })
                .optional()
        })?;
        let Some((view, inputs)) = found else {
            return Ok(None);
        };
        let inputs = serde_json::from_str(&inputs).map_err(|error| LedgerError::Broken {
            path: self.path.display().to_string(),
            message: error.to_string(),
        })?;
        Ok(Some(Provenance {
            view: Fingerprint::from_bytes(view),
            inputs,
        }))
    }

    /// Says what run `run` has of `stage`; durable when this returns.
    pub async fn put_listing(
        &self,
        run: &str,
        stage: &'static str,
        listing: &Listing,
    ) -> Result<(), LedgerError> {
        let view = Fingerprint::of_parts(&[("keys", &flat(&listing.keys))]);
        self.list(
            run,
            stage,
            listing,
            &Provenance {
                view,
                inputs: BTreeMap::new(),
            },
        )
        .await
    }

    pub(crate) async fn list(
        &self,
        run: &str,
        stage: &'static str,
        listing: &Listing,
        provenance: &Provenance,
    ) -> Result<(), LedgerError> {
        let inputs = serde_json::to_string(&provenance.inputs)
            .expect("names and fingerprints serialise to JSON");
        let (run, view, keys) = (run.to_owned(), provenance.view, flat(&listing.keys));
        self.writer()?
            .write(writer::Write::Listing {
                run,
                stage,
                records: listing.records,
                view,
                inputs,
                keys,
            })
            .await
    }

    /// Pins facts that later runs must not change: for each name the value that was pinned first.
    pub async fn pin(&self, facts: Vec<(String, String)>) -> Result<(), LedgerError> {
        self.writer()?.write(writer::Write::Pins(facts)).await
    }

    /// A pinned fact.
    pub fn pinned(&self, name: &str) -> Result<Option<String>, LedgerError> {
        self.read(|connection| {
            connection
                .prepare_cached("SELECT value FROM pin WHERE name = ?1")?
                .query_row([name], |row| row.get(0))
                .optional()
        })
    }

    /// How many outcomes and remembered values there are.
    pub fn sizes(&self) -> Result<(u64, u64), LedgerError> {
        self.read(|connection| {
            Ok((
                connection.query_row("SELECT count(*) FROM outcome", [], |row| {
                    row.get::<_, i64>(0)
                })? as u64,
                connection.query_row("SELECT count(*) FROM memo", [], |row| row.get::<_, i64>(0))?
                    as u64,
            ))
        })
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn pack(&self, bytes: &[u8]) -> Result<Vec<u8>, LedgerError> {
        value::pack(bytes).map_err(|error| io_error(&self.path, &error))
    }

    fn writer(&self) -> Result<&Writer, LedgerError> {
        self.writer.as_ref().ok_or_else(|| LedgerError::Broken {
            path: self.path.display().to_string(),
            message: "it was opened to look at only".to_owned(),
        })
    }

    fn read<T>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, LedgerError> {
        let connection = self
            .reader
            .lock()
            .expect("no reader panics with the connection in hand");
        query(&connection).map_err(|error| sqlite_error(&self.path, &error))
    }
}

/// What a run has of a stage.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Listing {
    /// Records that the outcomes made.
    pub records: u64,
    /// The outcomes, in the order of the items.
    pub keys: Vec<OutcomeKey>,
}

#[async_trait]
impl Memo for Ledger {
    async fn get(&self, key: Fingerprint) -> Result<Option<Vec<u8>>, MemoError> {
        self.read(|connection| {
            connection
                .prepare_cached("SELECT value FROM memo WHERE key = ?1")?
                .query_row([key.as_bytes().as_slice()], |row| row.get::<_, Vec<u8>>(0))
                .optional()
        })
        .map(|stored| stored.and_then(|stored| value::unpack(&stored)))
        .map_err(|error| MemoError(error.to_string()))
    }

    async fn put(&self, key: Fingerprint, value: Vec<u8>) -> Result<(), MemoError> {
        let put = async {
            let value = self.pack(&value)?;
            self.writer()?
                .write(writer::Write::Memo { key, value })
                .await
        };
        put.await.map_err(|error| MemoError(error.to_string()))
    }
}

/// Where a listing comes from: the fingerprints of what it shows and of what the stage read, by stage.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Provenance {
    pub view: Fingerprint,
    pub inputs: BTreeMap<String, Fingerprint>,
}

fn flat(keys: &[OutcomeKey]) -> Vec<u8> {
    keys.iter()
        .flat_map(OutcomeKey::as_bytes)
        .copied()
        .collect()
}

/// The digest of an outcome whose value is packed: the packed value begins with its own checksum.
fn digest(outcome: &StoredOutcome) -> Digest {
    let end = [outcome.status as u8, u8::from(outcome.spurious)];
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let (reason, message) = (text(&outcome.reason), text(&outcome.message));
    let parts = [
        ("end", end.as_slice()),
        ("reason", reason.as_bytes()),
        ("message", message.as_bytes()),
        ("value", value::checksum_of(&outcome.value)),
    ];
    *Fingerprint::of_parts(&parts)
        .as_bytes()
        .first_chunk()
        .expect("a hash has 32 bytes")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(n: u32) -> Vec<u8> {
        (0..1000_u32)
            .flat_map(|place| Fingerprint::of(&(n, place)).as_bytes()[..4].to_vec())
            .collect()
    }

    #[tokio::test]
    async fn a_full_ledger_says_so_and_keeps_what_it_acknowledged()
    -> Result<(), Box<dyn std::error::Error>> {
        let folder = tempfile::tempdir()?;
        let ledger = Ledger::open_bounded(folder.path(), Some(60))?;
        let mut stored = 0;
        let error = loop {
            match ledger.put(Fingerprint::of(&stored), value(stored)).await {
                Ok(()) => stored += 1,
                Err(error) => break error,
            }
        };
        assert!(stored > 10);
        assert_eq!(
            error.to_string(),
            LedgerError::DiskFull(ledger.path().display().to_string()).to_string()
        );
        drop(ledger);

        let ledger = Ledger::open(folder.path())?;
        for n in 0..stored {
            assert_eq!(ledger.get(Fingerprint::of(&n)).await?, Some(value(n)));
        }
        assert_eq!(ledger.get(Fingerprint::of(&stored)).await?, None);
        ledger.put(Fingerprint::of(&stored), value(stored)).await?;
        Ok(())
    }
}
