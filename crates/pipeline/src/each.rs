//! The loop under every stage: skip what is settled, work on the rest, several at once, account for all of it.
//!
//! Memory stays flat: what an item made goes to the ledger and is forgotten here; all that is kept is an [`Entry`] an item,
//! in the order of the items. So the order of a run's records is that of its input, whatever order the work ended in.
//!
//! An item is first *working*, of which there are never more than `jobs.items`, then *storing*: waiting for the disk in the
//! company of others, which share one commit, while its place among the working has gone to the next item.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::time::Instant;

use futures::stream::FuturesUnordered;
use futures::{FutureExt, Stream, StreamExt};
use synth_core::{FailureKind, RecordError};

use crate::ledger::{Basis, Digest, OutcomeKey, Settled, Status, StoredOutcome};
use crate::stage::{
    Item, Mode, Outcome, Record, Rejected, Services, StageCx, StageError, Summary, Value, WorkError,
};
use crate::{Event, Spend, run};

/// Failures up to this number do not stop a stage under way: on few items a share says little. A stage in which every item
/// failed stops at its end all the same.
const FAILURES_ALWAYS_ALLOWED: u64 = 10;
/// Outcomes that may wait for the disk before no new items are taken.
const STORING: usize = 256;
/// Settled items walked past before those in flight, and whoever else shares the thread, get their turn.
const STRIDE: u64 = 256;

/// One item of the stage's account, as it is published.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub key: OutcomeKey,
    pub digest: Digest,
    pub status: Status,
}

impl Entry {
    /// The entry of an item that is worked on: digest and status follow when the work is stored.
    fn open(key: OutcomeKey) -> Self {
        Self {
            key,
            digest: Digest::default(),
            status: Status::Failed,
        }
    }

    pub(crate) fn is_settled(&self) -> bool {
        self.digest != Digest::default()
    }
}

pub(crate) async fn each<S, I, R, F, W>(
    cx: &StageCx<'_, S>,
    total: usize,
    items: impl Stream<Item = Result<I, StageError>>,
    work: F,
) -> Result<Summary, StageError>
where
    S: Services,
    I: Item,
    R: Record,
    F: Fn(I) -> W,
    W: Future<Output = Result<Outcome<R>, WorkError>>,
{
    let started = Instant::now();
    let before = cx.services.spend();
    let limit = cx.limit.unwrap_or(usize::MAX);
    let total = total.min(limit);
    cx.observer.on(&Event::StageStarted {
        stage: cx.stage,
        total: total as u64,
    });

    let mut account = Account::new(cx, total);
    // What is limited is what is read, not what was announced: a wrong total must not lose an item.
    let mut items = pin!(items.take(limit).fuse());
    // An item that came while others were worked on, or the news that there are no more.
    let mut held: Option<Option<Result<I, StageError>>> = None;
    let mut exhausted = false;
    let jobs = jobs(cx);
    let mut working = FuturesUnordered::new();
    let mut storing = FuturesUnordered::new();
    let mut stopping: Option<StageError> = None;
    let (mut soft, mut hard) = (pin!(cx.cancel.soft()), pin!(cx.cancel.hard()));

    loop {
        if stopping.is_none() {
            stopping = if cx.cancel.is_soft() {
                Some(StageError::Interrupted)
            } else {
                account.too_many_failed()
            };
        }
        // Take a new item while there is room and no reason to stop.
        let room =
            stopping.is_none() && !exhausted && working.len() < jobs && storing.len() < STORING;
        let next = if room {
            held.take().or_else(|| items.next().now_or_never())
        } else {
            None
        };
        // With room for an item and none there yet, whichever comes first is next: an item or an end.
        let is_waiting = room && next.is_none();
        if let Some(next) = next {
            match account.take(cx, next) {
                Ok(Taken::Settled) if account.summary.read.is_multiple_of(STRIDE) => {}
                Ok(Taken::Settled) => continue,
                Ok(Taken::Open {
                    item,
                    place,
                    id,
                    basis,
                }) => {
                    let outcome = AssertUnwindSafe(work(item)).catch_unwind();
                    working.push(async move { (place, id, basis, outcome.await) });
                    continue;
                }
                Ok(Taken::Nothing) => {
                    exhausted = true;
                    continue;
                }
                Err(error) => {
                    stopping = Some(error);
                    continue;
                }
            }
        }
        if working.is_empty() && storing.is_empty() && !room {
            break;
        }
        tokio::select! {
            biased;
            () = &mut hard => {
                // What is finished is paid for, and only the disk stands between it and the ledger.
                drop(working);
                while let Some(stored) = storing.next().await {
                    if let Ok(stored) = stored {
                        account.worked(cx, stored);
                    }
                }
                stopping = Some(StageError::Interrupted);
                break;
            }
            // A soft stop is noticed at the top of the loop; those in flight go on.
            () = &mut soft, if stopping.is_none() => {}
            Some(stored) = storing.next(), if !storing.is_empty() => match stored {
                Ok(stored) => account.worked(cx, stored),
                Err(error) => stopping = Some(stopping.unwrap_or(error)),
            },
            Some((place, id, basis, outcome)) = working.next(), if !working.is_empty() => {
                match outcome.unwrap_or_else(|_| Err(panicked().into())) {
                    Err(WorkError::Stage(error)) => stopping = Some(stopping.unwrap_or(error)),
                    outcome => {
                        let outcome = ended(outcome);
                        account.finished(&id, &outcome);
                        storing.push(store(cx, place, account.entries[place].key, id, basis, outcome));
                    }
                }
            }
            next = items.next(), if is_waiting => held = Some(next),
            () = tokio::task::yield_now(), if room && !is_waiting => {}
        }
    }
    if let Some(error) = stopping.or_else(|| account.all_failed(cx)) {
        run::note_partial(cx, &account.entries).await;
        return Err(error);
    }

    let Account {
        mut summary,
        entries,
        repeated,
        ..
    } = account;
    summary.stage = cx.stage.to_owned();
    summary.seconds = started.elapsed().as_secs_f64();
    summary.spend = cx.services.spend() - before;
    assert!(
        summary.is_balanced(),
        "stage `{}` lost an item: {summary:?}",
        cx.stage
    );
    run::publish(cx, &entries, &repeated, &mut summary).await?;
    cx.observer.on(&Event::StageFinished {
        summary: summary.clone(),
    });
    Ok(summary)
}

fn jobs<S>(cx: &StageCx<'_, S>) -> usize {
    match cx.config.jobs.items {
        0 => 2 * std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
        jobs => jobs,
    }
}

fn basis<S>(cx: &StageCx<'_, S>, item: &impl Item) -> Basis {
    Basis {
        version: cx.version,
        config: cx.config_fingerprint,
        prompts: cx.prompts_fingerprint,
        content: item.content(),
    }
}

/// The item's outcome if there is one and it is final: spurious failures are tried again.
fn settled<S>(cx: &StageCx<'_, S>, key: &OutcomeKey) -> Result<Option<Settled>, StageError> {
    if cx.mode == Mode::Fresh {
        return Ok(None);
    }
    Ok(cx.ledger.settled(key)?.filter(|settled| !settled.spurious))
}

fn explain<S>(
    cx: &StageCx<'_, S>,
    id: &str,
    key: &OutcomeKey,
    basis: &Basis,
) -> Result<(), StageError> {
    if !cx.explain {
        return Ok(());
    }
    let why = if cx.mode == Mode::Fresh {
        "asked for by --fresh".to_owned()
    } else if let Some(Settled { reason, .. }) = cx.ledger.settled(key)? {
        format!("failed before: {}", reason.unwrap_or_default())
    } else {
        cx.ledger
            .latest_basis(key)?
            .map_or("new".to_owned(), |earlier| basis.changed_since(&earlier))
    };
    cx.observer.on(&Event::Explained {
        stage: cx.stage,
        id: id.to_owned(),
        why,
    });
    Ok(())
}

/// A bug that one item brings to light is that item's failure; the next run, with a better program, tries again.
fn panicked() -> RecordError {
    RecordError::spurious(
        FailureKind::Data,
        "panicked",
        "its work panicked, which is a bug of `synth`; the log says where",
    )
}

/// An outcome as it is stored.
fn ended<R: Record>(outcome: Result<Outcome<R>, WorkError>) -> StoredOutcome {
    let (status, reason, message, spurious, records, rejected) = match outcome {
        Ok(Outcome::Kept { records, rejected }) => {
            (Status::Kept, None, None, false, records, rejected)
        }
        Ok(Outcome::Dropped {
            reason,
            message,
            record,
        }) => (
            Status::Dropped,
            Some(reason),
            Some(message),
            false,
            record.into_iter().collect(),
            Vec::new(),
        ),
        Err(WorkError::Record(error)) => (
            Status::Failed,
            Some(error.reason),
            Some(error.message),
            error.is_spurious,
            Vec::new(),
            Vec::new(),
        ),
        Err(WorkError::Stage(_)) => unreachable!("a stage error is nobody's outcome"),
    };
    let ids: Vec<String> = records.iter().map(Record::id).collect();
    let made = if status == Status::Kept {
        ids.clone()
    } else {
        Vec::new()
    };
    let value = serde_json::to_vec(&Value {
        ids,
        records,
        rejected,
    })
    .expect("records serialise to JSON: their keys are strings");
    StoredOutcome {
        item: String::new(),
        status,
        reason,
        message,
        spurious,
        made,
        value,
    }
}

/// Writes down how an item ended.
async fn store<S>(
    cx: &StageCx<'_, S>,
    place: usize,
    key: OutcomeKey,
    id: String,
    basis: Basis,
    mut outcome: StoredOutcome,
) -> Result<Stored, StageError> {
    outcome.item.clone_from(&id);
    let (status, reason, records) = (
        outcome.status,
        outcome.reason.clone(),
        outcome.made.len() as u64,
    );
    let digest = cx.ledger.store(key, cx.stage, basis, outcome).await?;
    Ok(Stored {
        place,
        id,
        status,
        reason,
        records,
        digest,
    })
}

struct Stored {
    place: usize,
    id: String,
    status: Status,
    reason: Option<String>,
    records: u64,
    digest: Digest,
}

/// What became of taking the next item.
enum Taken<I> {
    /// There is none.
    Nothing,
    /// It is accounted for.
    Settled,
    /// It is to be worked on.
    Open {
        item: I,
        place: usize,
        id: String,
        basis: Basis,
    },
}

/// The counting, and telling whoever watches.
struct Account {
    summary: Summary,
    entries: Vec<Entry>,
    /// Where in `entries` a key lies, by eight bytes of it: enough to find items that come twice.
    places: HashMap<u64, u32>,
    /// The ids of items that came twice.
    repeated: Vec<String>,
    total: usize,
    /// Items finished, and failed, that wait for the disk: they count towards `max_failed` at once.
    storing: u64,
    storing_failed: u64,
    first_failure: Option<String>,
    max_failed: f64,
    spend: Spend,
}

impl Account {
    fn new<S: Services>(cx: &StageCx<'_, S>, total: usize) -> Self {
        // A total is somebody's word: room is made for it within reason.
        let room = total.min(1 << 20);
        Self {
            summary: Summary::default(),
            entries: Vec::with_capacity(room),
            places: HashMap::with_capacity(room),
            repeated: Vec::new(),
            total,
            storing: 0,
            storing_failed: 0,
            first_failure: None,
            max_failed: cx.config.run.max_failed,
            spend: cx.services.spend(),
        }
    }

    /// Accounts for the next item, unless it has to be worked on.
    fn take<S: Services, I: Item>(
        &mut self,
        cx: &StageCx<'_, S>,
        next: Option<Result<I, StageError>>,
    ) -> Result<Taken<I>, StageError> {
        let Some(item) = next.transpose()? else {
            return Ok(Taken::Nothing);
        };
        let (id, basis) = (item.id(), basis(cx, &item));
        let key = OutcomeKey::new(cx.stage, &id, &basis);
        if self.is_repeated(&key) {
            self.repeated.push(id.clone());
            self.count(
                cx,
                id,
                Status::Dropped,
                Some(run::REPEATED.to_owned()),
                0,
                true,
            );
            return Ok(Taken::Settled);
        }
        if let Some(Settled {
            status,
            reason,
            records,
            digest,
            ..
        }) = settled(cx, &key)?
        {
            if status == Status::Failed && self.first_failure.is_none() {
                let message = cx.ledger.outcome(&key)?.and_then(|outcome| outcome.message);
                self.note_failure(&id, message.as_deref());
            }
            self.enter(Entry {
                key,
                digest,
                status,
            });
            self.count(cx, id, status, reason, records, true);
            return Ok(Taken::Settled);
        }
        explain(cx, &id, &key, &basis)?;
        if cx.mode == Mode::Plan {
            self.summary.read += 1;
            self.summary.pending += 1;
            return Ok(Taken::Settled);
        }
        let place = self.entries.len();
        self.enter(Entry::open(key));
        Ok(Taken::Open {
            item,
            place,
            id,
            basis,
        })
    }

    fn is_repeated(&self, key: &OutcomeKey) -> bool {
        let place = self
            .places
            .get(&key.short())
            .and_then(|place| self.entries.get(*place as usize));
        place.is_some_and(|entry| entry.key == *key)
    }

    fn enter(&mut self, entry: Entry) {
        self.places
            .insert(entry.key.short(), self.entries.len() as u32);
        self.entries.push(entry);
    }

    fn finished(&mut self, id: &str, outcome: &StoredOutcome) {
        self.storing += 1;
        if outcome.status == Status::Failed {
            self.storing_failed += 1;
            self.note_failure(id, outcome.message.as_deref());
        }
    }

    fn note_failure(&mut self, id: &str, message: Option<&str>) {
        self.first_failure
            .get_or_insert_with(|| format!("`{id}`: {}", message.unwrap_or("no reason given")));
    }

    fn worked<S: Services>(&mut self, cx: &StageCx<'_, S>, stored: Stored) {
        let Stored {
            place,
            id,
            status,
            reason,
            records,
            digest,
        } = stored;
        self.storing -= 1;
        self.storing_failed -= u64::from(status == Status::Failed);
        self.summary.worked += 1;
        self.spend = cx.services.spend();
        let entry = &mut self.entries[place];
        (entry.digest, entry.status) = (digest, status);
        self.count(cx, id, status, reason, records, false);
    }

    fn count<S: Services>(
        &mut self,
        cx: &StageCx<'_, S>,
        id: String,
        status: Status,
        reason: Option<String>,
        records: u64,
        earlier: bool,
    ) {
        self.summary.read += 1;
        self.summary.records += records;
        let count_in = |counts: &mut BTreeMap<String, u64>| {
            *counts
                .entry(reason.clone().unwrap_or_else(|| "unknown".to_owned()))
                .or_default() += 1;
        };
        match status {
            Status::Kept => self.summary.kept += 1,
            Status::Dropped => count_in(&mut self.summary.dropped),
            Status::Failed => count_in(&mut self.summary.failed),
        }
        cx.observer.on(&Event::ItemSettled {
            stage: cx.stage,
            id,
            status: status.as_str(),
            reason,
            earlier,
            spend: self.spend,
        });
    }

    /// Counts failures of earlier runs too: a stage that stopped for them stops again until something changes.
    fn too_many_failed(&self) -> Option<StageError> {
        let failed = self.storing_failed
            + if self.summary.failed.is_empty() {
                0
            } else {
                self.summary.failed_total()
            };
        let read = self.storing + self.summary.read;
        let total = read.max(self.total as u64);
        let too_many =
            failed > FAILURES_ALWAYS_ALLOWED && failed as f64 > self.max_failed * total as f64;
        too_many.then(|| self.stop_for_failures(failed, read))
    }

    /// However few they were: what makes every item fail is no matter of the items, and stages after this one would
    /// replace what there is by nothing.
    fn all_failed<S>(&self, cx: &StageCx<'_, S>) -> Option<StageError> {
        let (failed, read) = (self.summary.failed_total(), self.summary.read);
        let all = failed > 0 && failed + self.repeated.len() as u64 == read;
        // A plan tells what is to be done; and whoever allows every item to fail means it.
        (all && self.max_failed < 1.0 && cx.mode != Mode::Plan)
            .then(|| self.stop_for_failures(failed, read))
    }

    fn stop_for_failures(&self, failed: u64, read: u64) -> StageError {
        StageError::TooManyFailed {
            failed,
            read,
            first: self.first_failure.clone().unwrap_or_default(),
        }
    }
}

/// Rejected pieces of an outcome, for the account in a stage's folder.
pub fn rejected_of(value: &[u8]) -> Vec<Rejected> {
    #[derive(serde::Deserialize)]
    struct Pieces {
        rejected: Vec<Rejected>,
    }
    serde_json::from_slice::<Pieces>(value)
        .map(|pieces| pieces.rejected)
        .unwrap_or_default()
}
