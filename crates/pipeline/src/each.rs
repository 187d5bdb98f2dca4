//! The loop under every stage: skip what is settled, work on the rest, several at once, account for all of it.
//!
//! Memory stays flat: what an item made goes to the ledger and is forgotten here; all that is kept is 24 bytes an item, the
//! key, in the order of the items. So the order of a run's records is that of its input, whatever order the work ended in.

use std::future::Future;
use std::time::Instant;

use futures::StreamExt;
use futures::stream::FuturesUnordered;

use crate::ledger::{Basis, Listing, OutcomeKey, Status, StoredOutcome};
use crate::stage::{Item, Mode, Outcome, Record, Rejected, Services, StageCx, StageError, Summary, Value, WorkError};
use crate::{Event, run};

/// Failures up to this number never stop a stage: on few items a share says little.
const FAILURES_ALWAYS_ALLOWED: u64 = 10;

pub(crate) async fn each<S, I, R, F, W>(
    cx: &StageCx<'_, S>,
    total: usize,
    items: impl Iterator<Item = Result<I, StageError>>,
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
    let total = total.min(cx.limit.unwrap_or(usize::MAX));
    cx.observer.on(&Event::StageStarted { stage: cx.stage, total: total as u64 });

    let mut account = Account::new(cx);
    let mut keys: Vec<OutcomeKey> = Vec::with_capacity(total);
    let mut in_flight = FuturesUnordered::new();
    let jobs = jobs(cx);
    let mut items = items.take(total);
    let mut stopping: Option<StageError> = None;

    loop {
        if cx.cancel.is_soft() && stopping.is_none() {
            stopping = Some(StageError::Interrupted);
        }
        // Take new items while there is room and no reason to stop.
        if stopping.is_none() && in_flight.len() < jobs {
            if let Some(item) = items.next() {
                let item = match item {
                    Ok(item) => item,
                    Err(error) => {
                        stopping = Some(error);
                        continue;
                    }
                };
                let (id, basis) = (item.id(), basis(cx, &item));
                let key = OutcomeKey::new(cx.stage, &id, &basis);
                keys.push(key);
                if let Some((status, reason, records)) = settled(cx, &key)? {
                    account.known(cx, id, status, reason, records);
                    if account.summary.read.is_multiple_of(1024) {
                        tokio::task::yield_now().await;
                    }
                } else if cx.mode == Mode::Plan {
                    explain(cx, &id, &key, &basis)?;
                    keys.pop();
                    account.summary.read += 1;
                    account.summary.pending += 1;
                } else {
                    explain(cx, &id, &key, &basis)?;
                    let outcome = work(item);
                    in_flight.push(async move { (id, key, basis, outcome.await) });
                }
                continue;
            }
        }
        if in_flight.is_empty() {
            break;
        }
        let finished = tokio::select! {
            biased;
            () = cx.cancel.hard() => return Err(StageError::Interrupted),
            // A soft stop is noticed at the top of the loop; those in flight go on.
            () = cx.cancel.soft(), if stopping.is_none() => continue,
            finished = in_flight.next() => finished,
        };
        let Some((id, key, basis, outcome)) = finished else { break };
        match store(cx, &id, key, basis, outcome).await {
            Ok(stored) => {
                account.worked(cx, id, &stored);
                if stopping.is_none() {
                    stopping = account.too_many_failed(cx, total as u64);
                }
            }
            Err(error) => stopping = Some(stopping.unwrap_or(error)),
        }
    }
    drop(in_flight);
    if let Some(error) = stopping {
        return Err(error);
    }

    let mut summary = account.summary;
    summary.stage = cx.stage.to_owned();
    summary.seconds = started.elapsed().as_secs_f64();
    summary.spend = cx.services.spend() - before;
    assert!(summary.is_balanced(), "stage `{}` lost an item: {summary:?}", cx.stage);
    let listing = Listing { records: summary.records, keys };
    if cx.mode == Mode::Plan {
        cx.planned.lock().expect("no holder panics").insert(cx.stage, listing);
    } else {
        cx.ledger.put_listing(&cx.run.name, cx.stage, &listing).await?;
        run::publish(cx, &listing, &mut summary)?;
    }
    cx.observer.on(&Event::StageFinished { summary: summary.clone() });
    Ok(summary)
}

fn jobs<S>(cx: &StageCx<'_, S>) -> usize {
    match cx.config.jobs.items {
        0 => 2 * std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
        jobs => jobs,
    }
}

fn basis<S>(cx: &StageCx<'_, S>, item: &impl Item) -> Basis {
    Basis { version: cx.version, config: cx.config_fingerprint, prompts: cx.prompts_fingerprint, content: item.content() }
}

/// The item's outcome if there is one and it is final: spurious failures are tried again.
fn settled<S>(cx: &StageCx<'_, S>, key: &OutcomeKey) -> Result<Option<(Status, Option<String>, u64)>, StageError> {
    if cx.mode == Mode::Fresh {
        return Ok(None);
    }
    Ok(cx.ledger.status(key)?.filter(|(_, _, spurious, _)| !spurious).map(|(status, reason, _, records)| (status, reason, records)))
}

fn explain<S>(cx: &StageCx<'_, S>, id: &str, key: &OutcomeKey, basis: &Basis) -> Result<(), StageError> {
    if !cx.explain {
        return Ok(());
    }
    let why = if cx.mode == Mode::Fresh {
        "asked for by --fresh".to_owned()
    } else if let Some((_, reason, _, _)) = cx.ledger.status(key)? {
        format!("failed before: {}", reason.unwrap_or_default())
    } else {
        cx.ledger.latest_basis(key)?.map_or("new".to_owned(), |earlier| basis.changed_since(&earlier))
    };
    cx.observer.on(&Event::Explained { stage: cx.stage, id: id.to_owned(), why });
    Ok(())
}

/// Writes down how an item ended; a stage error is nobody's outcome and is passed on.
async fn store<S, R: Record>(
    cx: &StageCx<'_, S>,
    id: &str,
    key: OutcomeKey,
    basis: Basis,
    outcome: Result<Outcome<R>, WorkError>,
) -> Result<Stored, StageError> {
    let (status, reason, message, spurious, records, rejected) = match outcome {
        Ok(Outcome::Kept { records, rejected }) => (Status::Kept, None, None, false, records, rejected),
        Ok(Outcome::Dropped { reason, message, record }) => {
            (Status::Dropped, Some(reason), Some(message), false, record.into_iter().collect(), Vec::new())
        }
        Err(WorkError::Record(error)) => {
            (Status::Failed, Some(error.reason), Some(error.message), error.is_spurious, Vec::new(), Vec::new())
        }
        Err(WorkError::Stage(error)) => return Err(error),
    };
    let made = if status == Status::Kept { records.iter().map(Record::id).collect() } else { Vec::new() };
    let stored = Stored {
        status,
        reason: reason.clone(),
        message: message.clone(),
        records: if status == Status::Kept { records.len() as u64 } else { 0 },
    };
    let value = Value { records, rejected };
    let value = serde_json::to_vec(&value).expect("records serialise to JSON: their keys are strings");
    let outcome = StoredOutcome { item: id.to_owned(), status, reason, message, spurious, made, value };
    cx.ledger.put_outcome(key, cx.stage, basis, outcome).await?;
    Ok(stored)
}

struct Stored {
    status: Status,
    reason: Option<String>,
    message: Option<String>,
    records: u64,
}

/// The counting, and telling whoever watches.
struct Account {
    summary: Summary,
    first_failure: Option<String>,
    max_failed: f64,
}

impl Account {
    fn new<S>(cx: &StageCx<'_, S>) -> Self {
        Self { summary: Summary::default(), first_failure: None, max_failed: cx.config.run.max_failed }
    }

    fn known<S: Services>(&mut self, cx: &StageCx<'_, S>, id: String, status: Status, reason: Option<String>, records: u64) {
        self.count(cx, id, status, reason, records, true);
    }

    fn worked<S: Services>(&mut self, cx: &StageCx<'_, S>, id: String, stored: &Stored) {
        self.summary.worked += 1;
        if stored.status == Status::Failed && self.first_failure.is_none() {
            let message = stored.message.as_deref().unwrap_or("no reason given");
            self.first_failure = Some(format!("`{id}`: {message}"));
        }
        self.count(cx, id, stored.status, stored.reason.clone(), stored.records, false);
    }

    fn count<S: Services>(&mut self, cx: &StageCx<'_, S>, id: String, status: Status, reason: Option<String>, records: u64, earlier: bool) {
        self.summary.read += 1;
        self.summary.records += records;
        let name = reason.clone().unwrap_or_else(|| "unknown".to_owned());
        match status {
            Status::Kept => self.summary.kept += 1,
            Status::Dropped => *self.summary.dropped.entry(name).or_default() += 1,
            Status::Failed => *self.summary.failed.entry(name).or_default() += 1,
        }
        cx.observer.on(&Event::ItemSettled { stage: cx.stage, id, status: status.as_str(), reason, earlier, spend: cx.services.spend() });
    }

    fn too_many_failed<S>(&self, cx: &StageCx<'_, S>, total: u64) -> Option<StageError> {
        let failed = self.summary.failed_total();
        let too_many = failed > FAILURES_ALWAYS_ALLOWED && failed as f64 > self.max_failed * total as f64;
        let first = self.first_failure.clone().unwrap_or_else(|| format!("see `synth show --run {} --failed`", cx.run.name));
        too_many.then_some(StageError::TooManyFailed { failed, read: self.summary.read, first })
    }
}

/// Rejected pieces of an outcome, for the account in a stage's folder.
pub(crate) fn rejected_of(value: &[u8]) -> Vec<Rejected> {
    #[derive(serde::Deserialize)]
    struct Pieces {
        rejected: Vec<Rejected>,
    }
    serde_json::from_slice::<Pieces>(value).map(|pieces| pieces.rejected).unwrap_or_default()
}
