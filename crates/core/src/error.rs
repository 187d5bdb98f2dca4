//! A record error: this item failed, it is written down, the run goes on.
//!
//! Two other things are not record errors. A failure of the agent's own code is an *observation*, data for its next turn.
//! A *stage error*, after which nobody can go on, is the business of the pipeline.

use serde::{Deserialize, Serialize};

/// Who is to blame for a failed item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// A sandbox could not be opened or broke.
    Sandbox,
    /// A model endpoint refused, failed or answered with something unusable.
    Model,
    /// The item's own data is not what it says it is.
    Data,
    /// A limit of the configuration was reached.
    Limit,
}

/// Why one item failed, and whether another try may help.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason}: {message}")]
pub struct RecordError {
    /// Who is to blame.
    pub kind: FailureKind,
    /// A short snake-case name to count by.
    pub reason: String,
    /// A lower-case fragment for a person, which ends with what to do.
    pub message: String,
    /// Whether the next run should try this item again.
    pub is_spurious: bool,
}

impl RecordError {
    /// A failure that another try would only repeat.
    pub fn permanent(
        kind: FailureKind,
        reason: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            reason: reason.into(),
            message: message.into(),
            is_spurious: false,
        }
    }

    /// A failure that may be gone on the next try.
    pub fn spurious(
        kind: FailureKind,
        reason: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            kind,
            reason: reason.into(),
            message: message.into(),
            is_spurious: true,
        }
    }
}
