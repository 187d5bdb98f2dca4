//! The one writer: takes what is waiting, commits it in one transaction, then tells those who wait.

use std::path::{Path, PathBuf};
use std::thread;

use rusqlite::{Connection, Transaction, params};
use synth_core::Fingerprint;
use tokio::sync::{mpsc, oneshot};

use super::{Basis, Digest, LedgerError, OutcomeKey, StoredOutcome, sqlite_error};

/// Writes that may wait; when the disk is slow, those who write wait too.
const QUEUE: usize = 1024;
/// Writes in one transaction at most: beyond this a longer one is no faster.
const GROUP: usize = 512;

/// Something to be written; values are packed.
pub(super) enum Write {
    Outcome {
        key: OutcomeKey,
        stage: &'static str,
        basis: Basis,
        digest: Digest,
        outcome: Box<StoredOutcome>,
    },
    Memo {
        key: Fingerprint,
        value: Vec<u8>,
    },
    Listing {
        run: String,
        stage: &'static str,
        records: u64,
        view: Fingerprint,
        inputs: String,
        keys: Vec<u8>,
    },
    Partial {
        run: String,
        stage: &'static str,
        keys: Vec<u8>,
    },
    Pins(Vec<(String, String)>),
    Forget(Vec<OutcomeKey>),
}

type Acknowledgement = oneshot::Sender<Result<(), LedgerError>>;

pub(super) struct Writer {
    queue: Option<mpsc::Sender<(Write, Acknowledgement)>>,
    thread: Option<thread::JoinHandle<()>>,
    path: PathBuf,
}

impl Writer {
    pub(super) fn start(connection: Connection, path: &Path) -> std::io::Result<Self> {
        let (queue, waiting) = mpsc::channel(QUEUE);
        let owned = path.to_owned();
        let thread = thread::Builder::new()
            .name("ledger".to_owned())
            .spawn(move || work(connection, waiting, &owned))?;
        Ok(Self {
            queue: Some(queue),
            thread: Some(thread),
            path: path.to_owned(),
        })
    }

    /// Hands over a write and waits until it is durable.
    pub(super) async fn write(&self, write: Write) -> Result<(), LedgerError> {
        let gone = || LedgerError::Broken {
            path: self.path.display().to_string(),
            message: "its writer ended".to_owned(),
        };
        let (acknowledge, acknowledged) = oneshot::channel();
        self.queue
            .as_ref()
            .ok_or_else(gone)?
            .send((write, acknowledge))
            .await
            .map_err(|_| gone())?;
        acknowledged.await.map_err(|_| gone())?
    }

    /// Hands over a write that nobody waits for; it is left undone when the queue is full.
    pub(super) fn write_soon(&self, write: Write) {
        if let Some(queue) = &self.queue {
            drop(queue.try_send((write, oneshot::channel().0)));
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the writer has been reported to everyone who waited for it.
            drop(thread.join());
        }
    }
}

fn work(
    mut connection: Connection,
    mut waiting: mpsc::Receiver<(Write, Acknowledgement)>,
    path: &Path,
) {
    let mut group = Vec::with_capacity(GROUP);
    while waiting.blocking_recv_many(&mut group, GROUP) > 0 {
        let (writes, acknowledgements): (Vec<Write>, Vec<Acknowledgement>) =
            group.drain(..).unzip();
        let result = commit(&mut connection, writes).map_err(|error| sqlite_error(path, &error));
        for acknowledgement in acknowledgements {
            // Whoever no longer waits was cancelled; the write stands all the same.
            drop(acknowledgement.send(result.clone()));
        }
    }
}

fn commit(connection: &mut Connection, writes: Vec<Write>) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    for write in writes {
        apply(&transaction, write)?;
    }
    transaction.commit()
}

fn apply(transaction: &Transaction<'_>, write: Write) -> rusqlite::Result<()> {
    match write {
        Write::Outcome {
            key,
            stage,
            basis,
            digest,
            outcome,
        } => {
            transaction
                .prepare_cached(
                    "INSERT OR REPLACE INTO outcome (key, stage, item, basis, status, reason, message, spurious, records, digest, value)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
                )?
                .execute(params![
                    key.as_bytes().as_slice(),
                    stage,
                    outcome.item,
                    basis.to_bytes(),
                    outcome.status as i64,
                    outcome.reason,
                    outcome.message,
                    outcome.spurious,
                    outcome.made.len() as i64,
                    digest,
                    outcome.value,
                ])?;
            // An update keeps the row's place: the first stage that made a record stays the first.
            let mut made = transaction.prepare_cached(
                "INSERT INTO made (id, stage, key) VALUES (?1, ?2, ?3) ON CONFLICT (id, stage) DO UPDATE SET key = excluded.key",
            )?;
            for id in &outcome.made {
                made.execute(params![id, stage, key.as_bytes().as_slice()])?;
            }
        }
        Write::Memo { key, value } => {
            transaction
                .prepare_cached("INSERT OR REPLACE INTO memo (key, value) VALUES (?1, ?2)")?
                .execute(params![key.as_bytes().as_slice(), value])?;
        }
        Write::Listing {
            run,
            stage,
            records,
            view,
            inputs,
            keys,
        } => {
            transaction
                .prepare_cached("INSERT OR REPLACE INTO listing (run, stage, records, view, inputs, keys) VALUES (?1, ?2, ?3, ?4, ?5, ?6)")?
                .execute(params![run, stage, records as i64, view.as_bytes(), inputs, keys])?;
            transaction
                .prepare_cached("DELETE FROM partial WHERE run = ?1 AND stage = ?2")?
                .execute([run.as_str(), stage])?;
        }
        Write::Partial { run, stage, keys } => {
            transaction
                .prepare_cached(
                    "INSERT OR REPLACE INTO partial (run, stage, keys) VALUES (?1, ?2, ?3)",
                )?
                .execute(params![run, stage, keys])?;
        }
        Write::Pins(facts) => {
            let mut pin = transaction
                .prepare_cached("INSERT OR IGNORE INTO pin (name, value) VALUES (?1, ?2)")?;
            for (name, value) in facts {
                pin.execute([name, value])?;
            }
        }
        Write::Forget(keys) => {
            let mut forget = transaction.prepare_cached("DELETE FROM outcome WHERE key = ?1")?;
            for key in keys {
                forget.execute([key.as_bytes().as_slice()])?;
            }
        }
    }
    Ok(())
}
