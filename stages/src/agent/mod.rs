//! The agent: a model and a sandbox in conversation. [`scaffold`] reads what a model wrote, [`cells`] runs its code and
//! remembers what came of it, [`episode`] is the loop over turns.

pub mod cells;
pub mod episode;
pub mod python_text;
pub mod scaffold;
mod tags;
mod tools;
pub mod transcript;

pub use cells::Cells;
pub use episode::{Episode, Played};
pub use scaffold::{Action, Parsed, Scaffold};
