//! Counts what models did in this invocation: calls, tokens, money; per model and together.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use synth_core::Usage;

/// The counters of all models; one for an invocation, shared.
#[derive(Debug, Default)]
pub struct Meter {
    models: Mutex<BTreeMap<String, Arc<Counters>>>,
}

/// The readings of a [`Meter`] at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct MeterSnapshot {
    /// All models together.
    pub total: Counts,
    /// Each model, by its name in the configuration.
    pub models: BTreeMap<String, Counts>,
}

/// What was counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Counts {
    /// Calls that an endpoint answered.
    pub calls: u64,
    /// Replies that cost nothing: from the memory, a recording or a shared call.
    pub cached_replies: u64,
    /// Requests that were sent again after a passing fault.
    pub retries: u64,
    /// Tokens sent.
    pub prompt_tokens: u64,
    /// Tokens received.
    pub completion_tokens: u64,
    /// Tokens sent that the endpoint had cached.
    pub cached_tokens: u64,
    /// US dollars, by the prices in the configuration.
    pub usd: f64,
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.calls += other.calls;
        self.cached_replies += other.cached_replies;
        self.retries += other.retries;
        self.prompt_tokens += other.prompt_tokens;
        self.completion_tokens += other.completion_tokens;
        self.cached_tokens += other.cached_tokens;
        self.usd += other.usd;
    }
}

impl Meter {
    /// A meter at zero.
    pub fn new() -> Self {
        Self::default()
    }

    /// What was counted until now.
    pub fn snapshot(&self) -> MeterSnapshot {
        let models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        let mut snapshot = MeterSnapshot::default();
        for (name, counters) in models.iter() {
            let counts = counters.read();
            snapshot.total += counts;
            snapshot.models.insert(name.clone(), counts);
        }
        snapshot
    }

    /// The counters of one model.
    pub(crate) fn model(&self, name: &str) -> Arc<Counters> {
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(models.entry(name.to_owned()).or_default())
    }
}

/// The counters of one model. Money is kept in billionths of a dollar, so that it can be an atomic integer.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    calls: AtomicU64,
    cached_replies: AtomicU64,
    retries: AtomicU64,
    prompt_tokens: AtomicU64,
    completion_tokens: AtomicU64,
    cached_tokens: AtomicU64,
    nano_usd: AtomicU64,
}

impl Counters {
    pub(crate) fn call(&self, usage: Usage) {
        self.calls.fetch_add(1, Relaxed);
        self.prompt_tokens.fetch_add(usage.prompt_tokens, Relaxed);
        self.completion_tokens
            .fetch_add(usage.completion_tokens, Relaxed);
        self.cached_tokens.fetch_add(usage.cached_tokens, Relaxed);
        self.nano_usd.fetch_add(nano_usd(usage.usd), Relaxed);
    }

    pub(crate) fn cached_reply(&self) {
        self.cached_replies.fetch_add(1, Relaxed);
    }

    pub(crate) fn retry(&self) {
        self.retries.fetch_add(1, Relaxed);
    }

    fn read(&self) -> Counts {
        Counts {
            calls: self.calls.load(Relaxed),
            cached_replies: self.cached_replies.load(Relaxed),
            retries: self.retries.load(Relaxed),
            prompt_tokens: self.prompt_tokens.load(Relaxed),
            completion_tokens: self.completion_tokens.load(Relaxed),
            cached_tokens: self.cached_tokens.load(Relaxed),
            usd: usd(self.nano_usd.load(Relaxed)),
        }
    }
}

/// Dollars as billionths; what is negative or no number counts as nothing.
pub(crate) fn nano_usd(usd: f64) -> u64 {
    (usd * 1e9).round() as u64
}

/// Billionths as dollars.
pub(crate) fn usd(nano_usd: u64) -> f64 {
    nano_usd as f64 / 1e9
}
