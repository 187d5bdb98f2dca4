//! What a run tells whoever watches: plain data, drawn as bars, printed as lines or written as JSON elsewhere.

use serde::{Deserialize, Serialize};

use crate::Summary;

/// What was spent so far in this invocation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Spend {
    /// Model calls that reached an endpoint.
    pub calls: u64,
    /// Model calls answered from the ledger.
    pub cached: u64,
    /// Tokens sent.
    pub prompt_tokens: u64,
    /// Tokens received.
    pub completion_tokens: u64,
    /// US dollars.
    pub usd: f64,
    /// Sandboxes opened.
    pub sandboxes: u64,
}

impl std::ops::Sub for Spend {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self {
            calls: self.calls.saturating_sub(before.calls),
            cached: self.cached.saturating_sub(before.cached),
            prompt_tokens: self.prompt_tokens.saturating_sub(before.prompt_tokens),
            completion_tokens: self
                .completion_tokens
                .saturating_sub(before.completion_tokens),
            usd: self.usd - before.usd,
            sandboxes: self.sandboxes.saturating_sub(before.sandboxes),
        }
    }
}

/// Something happened.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The run begins.
    RunStarted {
        /// Its name.
        run: String,
    },
    /// A stage begins.
    StageStarted {
        /// The stage.
        stage: &'static str,
        /// Items it will read, where known.
        total: u64,
    },
    /// An item is settled, now or by an earlier run.
    ItemSettled {
        /// The stage.
        stage: &'static str,
        /// The item.
        id: String,
        /// `kept`, `dropped` or `failed`.
        status: &'static str,
        /// Why it was dropped or failed.
        reason: Option<String>,
        /// Whether an earlier run did the work.
        earlier: bool,
        /// What was spent so far.
        spend: Spend,
    },
    /// With `--explain`: why an item is worked on.
    Explained {
        /// The stage.
        stage: &'static str,
        /// The item.
        id: String,
        /// Why.
        why: String,
    },
    /// Bytes come in.
    Downloading {
        /// The stage.
        stage: &'static str,
        /// What is downloaded.
        what: String,
        /// Bytes of it that are here.
        bytes: u64,
        /// All of its bytes, where that is known.
        total: Option<u64>,
        /// Bytes that this invocation downloaded so far.
        all: u64,
    },
    /// Something a person may want to know while waiting.
    Note {
        /// What.
        text: String,
    },
    /// A stage ended.
    StageFinished {
        /// Its account.
        summary: Summary,
    },
}

/// Whoever watches.
pub trait Observer: Send + Sync {
    /// Takes note of an event; must return at once.
    fn on(&self, event: &Event);
}

impl Observer for () {
    fn on(&self, _: &Event) {}
}
