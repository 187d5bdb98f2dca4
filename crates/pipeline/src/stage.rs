//! What a stage is, what it is given, and what it says of its work.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::sync::Mutex;

use async_trait::async_trait;
use futures::Stream;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use synth_core::{Config, Fingerprint, RecordError};

use crate::ledger::{Listing, OutcomeKey, Provenance};
use crate::{Blobs, Cancel, Ledger, LedgerError, Observer, Run, Spend};

/// One step from sources to datasets. Name, CLI verb, folder and log field are one word.
#[async_trait]
pub trait Stage<S: Services>: Sync {
    /// The one word.
    fn name(&self) -> &'static str;

    /// What it does, in one line, for `--help` and the README.
    fn about(&self) -> &'static str;

    /// The stages whose records it reads.
    fn reads(&self) -> &'static [&'static str];

    /// The kind of record it makes, for people.
    fn makes(&self) -> &'static str;

    /// Raised whenever its outcomes change for reasons that neither the configuration nor a prompt shows.
    fn version(&self) -> u32;

    /// The configuration keys that its outcomes depend on, as dotted paths.
    fn config_keys(&self) -> &'static [&'static str];

    /// What else of the configuration its outcomes depend on: the models behind its roles, say.
    fn depends_on(&self, _config: &Config) -> Fingerprint {
        Fingerprint::of(&())
    }

    /// The texts of the prompts that its outcomes depend on.
    fn prompts(&self) -> Vec<&'static str> {
        Vec::new()
    }

    /// What an item will cost, for `synth plan`.
    fn estimate(&self, _config: &Config) -> Estimate {
        Estimate {
            records: 1.0,
            calls: 0.0,
            tokens: 0.0,
        }
    }

    /// Into how many of its items a record of each earlier stage turns, for `synth plan`.
    fn feeds(&self, _config: &Config) -> Vec<(&'static str, f64)> {
        self.reads()
            .last()
            .map(|stage| (*stage, 1.0))
            .into_iter()
            .collect()
    }

    /// Works through its input.
    async fn run(&self, cx: &StageCx<'_, S>) -> Result<Summary, StageError>;
}

/// What one item of a stage makes and costs, about.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Estimate {
    /// Records made.
    pub records: f64,
    /// Model calls.
    pub calls: f64,
    /// Tokens, in and out.
    pub tokens: f64,
}

/// What stages bring along: models, sandboxes and the like.
pub trait Services: Send + Sync {
    /// What was spent so far in this invocation.
    fn spend(&self) -> Spend;
}

/// Something a stage works on: it has a stable name and a content.
pub trait Item: Serialize + Send {
    /// The name that it keeps when its content changes.
    fn id(&self) -> String;

    /// The content; a change of it means that the item is worked on again.
    fn content(&self) -> Fingerprint {
        Fingerprint::of(self)
    }
}

/// Something a stage makes.
pub trait Record: Serialize + DeserializeOwned + Send {
    /// Its id.
    fn id(&self) -> String;
}

/// A piece of an item that was left out while the rest went on: a malformed query among good ones, say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rejected {
    /// The piece, by a name that a person understands.
    pub id: String,
    /// Why, in snake case.
    pub reason: String,
    /// Why, for a person.
    pub message: String,
}

/// How an item ended, if it did not fail.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome<R> {
    /// It made records; pieces of it may have been left out.
    Kept {
        /// The records.
        records: Vec<R>,
        /// The pieces left out.
        rejected: Vec<Rejected>,
    },
    /// It was left out.
    Dropped {
        /// Why, in snake case.
        reason: String,
        /// Why, for a person.
        message: String,
        /// A record all the same, to be looked at (a refused source with its verdicts, say).
        record: Option<R>,
    },
}

impl<R> Outcome<R> {
    /// One record, nothing left out.
    pub fn kept(record: R) -> Self {
        Self::Kept {
            records: vec![record],
            rejected: Vec::new(),
        }
    }

    /// Left out, with nothing to look at.
    pub fn dropped(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Self::Dropped {
            reason: reason.into(),
            message: message.into(),
            record: None,
        }
    }
}

/// Why an item's work did not come to an outcome.
#[derive(Debug, thiserror::Error)]
pub enum WorkError {
    /// This item failed; it is written down and the run goes on.
    #[error(transparent)]
    Record(#[from] RecordError),
    /// Nobody can go on.
    #[error(transparent)]
    Stage(#[from] StageError),
}

/// Why a stage stopped.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// A person asked.
    #[error("interrupted")]
    Interrupted,
    /// Too many items failed.
    #[error(
        "{failed} of {read} items failed, more than `run.max_failed` allows; the first: {first}"
    )]
    TooManyFailed {
        /// Items failed.
        failed: u64,
        /// Items read.
        read: u64,
        /// The first failure.
        first: String,
    },
    /// What it reads is not there.
    #[error("it reads `{missing}`, which run `{run}` does not have yet")]
    MissingInput {
        /// The stage whose records are missing.
        missing: String,
        /// The run.
        run: String,
    },
    /// What it reads was made before something that it was made of changed.
    #[error("it reads `{outdated}`, which is older than `{changed}` in run `{run}`")]
    OutdatedInput {
        /// The stage whose records are out of date.
        outdated: String,
        /// The stage that they were made of, which has changed since.
        changed: String,
        /// The run.
        run: String,
    },
    /// The ledger cannot be used.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// A limit on spending was reached.
    #[error("{0}")]
    Budget(String),
    /// A model's endpoint cannot be used at all.
    #[error("{0}")]
    Model(String),
    /// No sandbox can be opened at all.
    #[error("{0}")]
    Sandbox(String),
    /// Where data comes from cannot be used at all.
    #[error("{0}")]
    Origin(String),
    /// A file could not be read or written.
    #[error("{0}")]
    Files(String),
}

impl From<synth_core::MemoError> for StageError {
    fn from(error: synth_core::MemoError) -> Self {
        Self::Files(error.to_string())
    }
}

impl From<std::io::Error> for StageError {
    fn from(error: std::io::Error) -> Self {
        let hint = if error.kind() == std::io::ErrorKind::StorageFull {
            "; free some space and run again: all that was finished is kept"
        } else {
            ""
        };
        Self::Files(format!("{error}{hint}"))
    }
}

/// A stage's account: read = kept + dropped + failed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    /// The stage.
    pub stage: String,
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
    /// Items that this invocation worked on; the rest was known.
    pub worked: u64,
    /// Items not yet worked on: only under `synth plan`.
    pub pending: u64,
    /// What was spent on it in this invocation.
    pub spend: Spend,
    /// Wall time in this invocation, in seconds.
    pub seconds: f64,
}

impl Summary {
    /// Items left out.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.values().sum()
    }

    /// Items that failed.
    pub fn failed_total(&self) -> u64 {
        self.failed.values().sum()
    }

    /// Whether every item that was read is accounted for.
    pub fn is_balanced(&self) -> bool {
        self.read == self.kept + self.dropped_total() + self.failed_total() + self.pending
    }
}

/// What an invocation does with items that are not settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Works on them.
    Work,
    /// Works on everything, settled or not.
    Fresh,
    /// Counts them.
    Plan,
}

/// What a stage is given.
pub struct StageCx<'a, S> {
    /// The run.
    pub run: &'a Run,
    /// The configuration.
    pub config: &'a Config,
    /// What the stages brought along.
    pub services: &'a S,
    /// The memory across runs.
    pub ledger: &'a Ledger,
    /// The store of large values.
    pub blobs: &'a Blobs,
    /// Whether to stop.
    pub cancel: &'a Cancel,
    /// Whoever watches.
    pub observer: &'a dyn Observer,
    pub(crate) stage: &'static str,
    pub(crate) version: u32,
    pub(crate) config_fingerprint: Fingerprint,
    pub(crate) prompts_fingerprint: Fingerprint,
    pub(crate) mode: Mode,
    pub(crate) limit: Option<usize>,
    pub(crate) explain: bool,
    pub(crate) planned: &'a Mutex<BTreeMap<&'static str, Listing>>,
    /// What the listings showed that this stage has read so far.
    pub(crate) inputs: Mutex<BTreeMap<String, Fingerprint>>,
}

impl<S: Services> StageCx<'_, S> {
    /// Works on each of `total` items that is not settled, several at once, and accounts for all of them.
    pub async fn each<I, R, F, W>(
        &self,
        total: usize,
        items: impl Iterator<Item = Result<I, StageError>>,
        work: F,
    ) -> Result<Summary, StageError>
    where
        I: Item,
        R: Record,
        F: Fn(I) -> W,
        W: Future<Output = Result<Outcome<R>, WorkError>>,
    {
        crate::each::each(self, total, futures::stream::iter(items), work).await
    }

    /// [`StageCx::each`] over items that come one by one, from a network say: those there are are worked on meanwhile.
    pub async fn each_of_stream<I, R, F, W>(
        &self,
        total: usize,
        items: impl Stream<Item = Result<I, StageError>>,
        work: F,
    ) -> Result<Summary, StageError>
    where
        I: Item,
        R: Record,
        F: Fn(I) -> W,
        W: Future<Output = Result<Outcome<R>, WorkError>>,
    {
        crate::each::each(self, total, items, work).await
    }

    /// The records that this run has of `stage`, in order, read from the ledger one outcome at a time; and how many there are.
    pub fn records<R: Record>(
        &self,
        stage: &'static str,
    ) -> Result<
        (
            usize,
            impl Iterator<Item = Result<R, StageError>> + use<'_, S, R>,
        ),
        StageError,
    > {
        let listing = self.listing(stage)?;
        let ledger = self.ledger;
        let records =
            listing
                .keys
                .into_iter()
                .flat_map(move |key| match kept_records(ledger, &key) {
                    Ok(records) => records.into_iter().map(Ok).collect::<Vec<_>>(),
                    Err(error) => vec![Err(error)],
                });
        Ok((listing.records as usize, records))
    }

    /// Where each record of `stage` lies, for joins without holding the records.
    pub fn index<R: Record>(&self, stage: &'static str) -> Result<Index<'_>, StageError> {
        let mut places = HashMap::new();
        for key in self.listing(stage)?.keys {
            for record in kept_records::<R>(self.ledger, &key)? {
                places.insert(record.id(), key);
            }
        }
        Ok(Index {
            ledger: self.ledger,
            stage,
            places,
        })
    }

    /// Whether this invocation only counts what there is to do: nothing may be written then.
    pub fn is_planning(&self) -> bool {
        self.mode == Mode::Plan
    }

    /// The run's outcomes of a stage that came before. What is not up to date is an error, never read silently.
    pub fn listing(&self, stage: &'static str) -> Result<Listing, StageError> {
        if let Some(listing) = self.planned.lock().expect("no holder panics").get(stage) {
            return Ok(listing.clone());
        }
        let missing = || StageError::MissingInput {
            missing: stage.to_owned(),
            run: self.run.name.clone(),
        };
        let provenance = self
            .ledger
            .provenance(&self.run.name, stage)?
            .ok_or_else(missing)?;
        self.check_current(stage, &provenance)?;
        self.inputs
            .lock()
            .expect("no holder panics")
            .insert(stage.to_owned(), provenance.view);
        self.ledger
            .listing(&self.run.name, stage)?
            .ok_or_else(missing)
    }

    /// A listing is current if those that it was made of are still what they were, and current themselves.
    fn check_current(&self, stage: &str, provenance: &Provenance) -> Result<(), StageError> {
        for (input, view) in &provenance.inputs {
            match self.ledger.provenance(&self.run.name, input)? {
                Some(now) if now.view == *view => self.check_current(input, &now)?,
                _ => {
                    let (outdated, changed) = (stage.to_owned(), input.clone());
                    return Err(StageError::OutdatedInput {
                        outdated,
                        changed,
                        run: self.run.name.clone(),
                    });
                }
            }
        }
        Ok(())
    }
}

/// Where the records of a stage lie.
pub struct Index<'a> {
    ledger: &'a Ledger,
    stage: &'static str,
    places: HashMap<String, OutcomeKey>,
}

impl Index<'_> {
    /// Reads the record with this id.
    pub fn get<R: Record>(&self, id: &str) -> Result<R, StageError> {
        let gone = || {
            StageError::Files(format!(
                "`{id}` is not among the records of `{}` in this run; run that stage again",
                self.stage
            ))
        };
        let key = self.places.get(id).ok_or_else(gone)?;
        kept_records::<R>(self.ledger, key)?
            .into_iter()
            .find(|record| record.id() == id)
            .ok_or_else(gone)
    }
}

/// An outcome's value as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(bound(serialize = "R: Serialize", deserialize = "R: DeserializeOwned"))]
pub(crate) struct Value<R> {
    /// The ids of the records, for readers that do not know the records' type.
    pub ids: Vec<String>,
    pub records: Vec<R>,
    pub rejected: Vec<Rejected>,
}

/// The records of an outcome; none if it is not a kept one.
fn kept_records<R: Record>(ledger: &Ledger, key: &OutcomeKey) -> Result<Vec<R>, StageError> {
    let Some(outcome) = ledger.outcome(key)? else {
        return Err(damaged(ledger));
    };
    if outcome.status != crate::ledger::Status::Kept {
        return Ok(Vec::new());
    }
    let value: Value<R> = serde_json::from_slice(&outcome.value).map_err(|error| {
        StageError::Files(format!("an outcome of `{}` in the ledger does not read as this version expects: {error}; run its stage with `--fresh`", outcome.item))
    })?;
    Ok(value.records)
}

/// The ledger forgets a damaged outcome when it is read, so that the next run finds the item open.
pub(crate) fn damaged(ledger: &Ledger) -> StageError {
    let path = ledger.path().display();
    StageError::Files(format!(
        "an outcome that this run lists is gone or damaged in `{path}`; run again to work it out anew"
    ))
}
