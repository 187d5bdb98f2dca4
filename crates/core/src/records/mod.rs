//! The records of the house, a file each in the order in which they come to be.

mod judgement;
mod query;
mod source;
mod task;
mod trajectory;

pub use judgement::*;
pub use query::*;
pub use source::*;
pub use task::*;
pub use trajectory::*;

/// Text that chat templates and trainers take for something else than text; no row may hold it.
pub const CONTROL_TOKENS: [&str; 4] = ["<|im_", "<image>", "<video>", "<audio>"];
