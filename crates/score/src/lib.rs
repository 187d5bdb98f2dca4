//! Verifiers: pure functions from what an agent left behind to a [`Score`].
//!
//! They are total: whatever bytes come in, a score and a reason come out. They read no file, no clock and no global
//! state, so that the same answer always earns the same reward. A reason may quote the truth; it belongs in records,
//! never in what an agent is shown.
//!
//! - `keyed` takes answers apart, `@name[value]`, and scores them; start here.
//! - `equal` says when two values are the same.
//! - `predictions` aligns a CSV of predictions with the hidden truth.
//! - `metrics` holds the arithmetic of macro-F1 and clipped R².
//! - `recognise` finds the metric that a competition names.
//! - `process` has files that an agent wrote scored by another process, the one part that is not pure.

mod equal;
mod keyed;
mod metrics;
mod predictions;
mod process;
pub mod recognise;

pub use equal::values_equal;
pub use keyed::{parse_keyed, score_keyed};
pub use predictions::score_predictions;
pub use process::{Scorer, answer};

use synth_core::Score;

/// A score of zero that never counts as a success, whatever the threshold.
fn refused(reason: impl Into<String>) -> Score {
    Score {
        reason: reason.into(),
        ..Score::default()
    }
}

/// A value as a reason quotes it: on one line, its end cut off when it is long.
fn quoted(text: &str) -> String {
    const SHOWN: usize = 80;
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("`{}…`", &line[..end]),
        None => format!("`{line}`"),
    }
}
