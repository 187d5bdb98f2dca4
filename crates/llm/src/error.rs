//! What can go wrong with a model, and who has to stop because of it.

use std::path::PathBuf;

use synth_core::{FailureKind, Fingerprint, MemoError, RecordError};

/// A call to a model failed. Messages never hold a key.
#[derive(Clone, Debug, thiserror::Error)]
pub enum ModelError {
    /// The endpoint does not accept the key (401, 403).
    #[error(
        "the endpoint of model `{model}` does not accept the key ({status}: {message}); check `api_key_env` and the variable it names"
    )]
    Unauthorized {
        /// The model's name in the configuration.
        model: String,
        /// The HTTP status.
        status: u16,
        /// What the endpoint said.
        message: String,
    },

    /// The endpoint does not know the model or the path (404).
    #[error(
        "the endpoint of model `{model}` does not know it (404: {message}); check `model` and `base_url`, which ends in `/v1` as a rule"
    )]
    NotFound {
        /// The model's name in the configuration.
        model: String,
        /// What the endpoint said.
        message: String,
    },

    /// The account has no means left (402, or 429 with `insufficient_quota`).
    #[error(
        "the account behind model `{model}` has no quota left ({message}); top it up, then run again: finished work is kept"
    )]
    QuotaExceeded {
        /// The model's name in the configuration.
        model: String,
        /// What the endpoint said.
        message: String,
    },

    /// The endpoint refuses this very request; to send it again would not help.
    #[error(
        "the endpoint of model `{model}` refused the request ({status}: {message}); check the request against the model's limits"
    )]
    Refused {
        /// The model's name in the configuration.
        model: String,
        /// The HTTP status.
        status: u16,
        /// The endpoint's own name for the reason, where it gives one: `context_length_exceeded`, …
        code: Option<String>,
        /// What the endpoint said.
        message: String,
    },

    /// The reply cannot be used.
    #[error(
        "model `{model}` sent an unusable reply: {message}; check that `base_url` is an OpenAI-compatible endpoint"
    )]
    Malformed {
        /// The model's name in the configuration.
        model: String,
        /// What is wrong with it.
        message: String,
    },

    /// The endpoint is overloaded, out of order or limits the rate (408, 409, 425, 429, 5xx).
    #[error(
        "the endpoint of model `{model}` is not available ({status}: {message}); try again later"
    )]
    Unavailable {
        /// The model's name in the configuration.
        model: String,
        /// The HTTP status.
        status: u16,
        /// What the endpoint said.
        message: String,
    },

    /// The connection failed, fell silent or was cut.
    #[error(
        "the connection to the endpoint of model `{model}` failed: {message}; check that it runs and that `base_url` is right"
    )]
    Connection {
        /// The model's name in the configuration.
        model: String,
        /// What happened.
        message: String,
    },

    /// A passing fault did not pass.
    #[error("gave up on model `{model}` after {tries} tries; the last: {last}")]
    Exhausted {
        /// The model's name in the configuration.
        model: String,
        /// Requests sent.
        tries: u32,
        /// What the last one met.
        last: Box<ModelError>,
    },

    /// The spending limit of this invocation is reached; nothing was sent.
    #[error(
        "the budget is spent ({spent} of {limit}); raise `budget.{key}` and run again: finished work is kept"
    )]
    BudgetReached {
        /// The key in the configuration: `usd` or `tokens`.
        key: &'static str,
        /// What was spent, with its unit.
        spent: String,
        /// The limit, with its unit.
        limit: String,
    },

    /// The memory cannot be read or written.
    #[error("the memory of model replies failed: {0}; check the ledger's disk")]
    Memo(#[from] MemoError),

    /// The model's configuration cannot work.
    #[error("model `{model}` is not usable as configured: {message}")]
    Configuration {
        /// The model's name in the configuration.
        model: String,
        /// What is wrong and what to do.
        message: String,
    },

    /// The replayed file has no answer to this request.
    #[error("model `{model}` has no recorded exchange `{key}` in `{}`; record again with `record` set on the real model, with the same `model`, `structured` and prompts", path.display())]
    Replay {
        /// The model's name in the configuration.
        model: String,
        /// The file.
        path: PathBuf,
        /// The request's key.
        key: Fingerprint,
    },

    /// The file of recorded exchanges cannot be written.
    #[error("cannot write the exchanges of model `{model}` to `{}`: {message}; check the disk or empty `record`", path.display())]
    Recording {
        /// The model's name in the configuration.
        model: String,
        /// The file.
        path: PathBuf,
        /// What the system said.
        message: String,
    },
}

impl ModelError {
    /// Whether every further call must fail as well, so that the run has to stop rather than go on with the next item.
    pub fn stops_the_run(&self) -> bool {
        match self {
            Self::Unauthorized { .. }
            | Self::NotFound { .. }
            | Self::QuotaExceeded { .. }
            | Self::BudgetReached { .. }
            | Self::Memo(_)
            | Self::Configuration { .. }
            | Self::Recording { .. } => true,
            Self::Refused { .. }
            | Self::Malformed { .. }
            | Self::Unavailable { .. }
            | Self::Connection { .. }
            | Self::Replay { .. } => false,
            Self::Exhausted { last, .. } => last.stops_the_run(),
        }
    }

    /// Whether the conversation is longer than the model can read: a limit of this item, not a fault.
    pub fn is_context_length(&self) -> bool {
        matches!(self, Self::Refused { code: Some(code), .. } if code == "context_length_exceeded")
    }

    /// The short snake-case name to count by.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unauthorized { .. } => "model_unauthorized",
            Self::NotFound { .. } => "model_not_found",
            Self::QuotaExceeded { .. } => "model_quota_exceeded",
            Self::Refused { .. } if self.is_context_length() => "context_length",
            Self::Refused { .. } => "model_refused",
            Self::Malformed { .. } => "model_malformed",
            Self::Unavailable { .. } => "model_unavailable",
            Self::Connection { .. } => "model_connection",
            Self::Exhausted { last, .. } => last.reason(),
            Self::BudgetReached { .. } => "budget_reached",
            Self::Memo(_) => "model_memory",
            Self::Configuration { .. } => "model_configuration",
            Self::Replay { .. } => "exchange_missing",
            Self::Recording { .. } => "model_recording",
        }
    }
}

impl From<ModelError> for RecordError {
    fn from(error: ModelError) -> Self {
        let kind = match &error {
            ModelError::BudgetReached { .. } => FailureKind::Limit,
            error if error.is_context_length() => FailureKind::Limit,
            _ => FailureKind::Model,
        };
        // Only what lies in the request itself would fail again: all else passes, or a person puts it right.
        let is_permanent = matches!(
            error,
            ModelError::Refused { .. } | ModelError::Malformed { .. }
        );
        Self {
            kind,
            reason: error.reason().to_owned(),
            message: error.to_string(),
            is_spurious: !is_permanent,
        }
    }
}
