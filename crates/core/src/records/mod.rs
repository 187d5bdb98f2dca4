//! The records of the house, a file each in the order in which they come to be.

mod checks;
mod judgement;
mod metric;
mod query;
mod source;
mod task;
mod trajectory;
mod verifier;

pub use checks::*;
pub use judgement::*;
pub use metric::*;
pub use query::*;
pub use source::*;
pub use task::*;
pub use trajectory::*;
pub use verifier::*;

/// Text that chat templates and trainers take for something else than text; no row may hold it.
pub const CONTROL_TOKENS: [&str; 4] = ["<|im_", "<image>", "<video>", "<audio>"];
