//! Verifiers: pure functions from what an agent left behind to a [`Score`].
//!
//! They are total: whatever bytes come in, a score and a reason come out. They read no file, no clock and no global
//! state, so that the same answer always earns the same reward. A reason may quote the truth; it belongs in records,
//! never in what an agent is shown.
//!
//! - `keyed` takes answers apart, `@name[value]`, and scores them; start here. `answer` scores those of one declared form.
//! - `equal` says when two values are the same.
//! - `predictions` scores a CSV of predictions: `table` reads it as pandas does and aligns it with the hidden truth, `metrics` has the
//!   arithmetic, `standing` the leaderboard.
//! - `dare` has the rules of DARE-bench.
//! - `recognise` finds the metric that a competition names.
//! - `process` has files that an agent wrote scored by another process, the one part that is not pure.

mod answer;
pub mod dare;
mod equal;
mod keyed;
mod metrics;
mod predictions;
mod process;
pub mod recognise;
mod standing;
mod table;

pub use answer::{score_answer, score_text};
pub use equal::values_equal;
pub use keyed::{parse_keyed, score_keyed};
pub use predictions::score_predictions;
pub use process::{Scorer, answer};
pub use standing::standing;

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
