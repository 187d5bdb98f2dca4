//! The builtin teacher: a procedural data scientist behind an OpenAI-compatible HTTP surface. It needs no key and no network,
//! and it never pretends to be a language model.
//!
//! Start with [`complete`]: a request becomes a [`conversation`], its first user message says which role is asked for ([`prompt`]),
//! and the role makes one move:
//!
//! - `explorer` profiles the tables ([`profile`]), finds columns for a family ([`fill`]), solves what it poses, reports what held;
//! - `solver` reads a question back into family and columns ([`problem`]), or by keywords where the words are not its own
//!   (`heuristic`), solves it in a style of its seed, trips over honest errors (`trips`) and repairs them;
//! - `predictor` builds a model, checks it on held-out rows and writes the file that is asked for; what is more than one plain
//!   table with one target (several files, keys or targets, series, competitions) goes to `tabular`;
//! - `follower` does what instructions prescribe ([`workflow`] reads them);
//! - `designer` fixes the columns of a task over a table, and mends what is refused;
//! - `judge`, `validity` and `equivalence` grade by rules over facts and words.
//!
//! Python that cells are made of lies in `python/`; [`reading`] writes the lines that load files.
//!
//! What it can ask is data: `families/*.toml`, read by [`families`]. All that is random comes from [`dice`], seeded by the first
//! user message and the request's `seed`, so an attempt has one plan over all its turns and another seed gives another attempt.
//! [`serve`] puts [`complete`] behind HTTP.

#![expect(
    clippy::format_push_string,
    reason = "code and prose are put together from small pieces; a copy costs nothing here"
)]

mod complete;
pub mod contest;
pub mod conversation;
mod designer;
pub mod dice;
mod equivalence;
mod explorer;
pub mod families;
pub mod fill;
mod follower;
mod heuristic;
mod judge;
pub mod prediction;
mod predictor;
pub mod problem;
pub mod profile;
pub mod prompt;
mod python;
pub mod reading;
mod server;
mod solver;
mod tabular;
mod trips;
mod validity;
pub mod workflow;

pub use complete::complete;
pub use server::{Server, serve};

/// The model's name in rows and in `GET /v1/models`.
pub const MODEL: &str = "builtin/teacher";

/// How often the teacher errs on purpose, so that verifiers and filters have something to catch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct TeacherConfig {
    /// Share of attempts that trip over an error and recover.
    pub error_rate: f64,
    /// Share of attempts that end in a wrong answer.
    pub wrong_rate: f64,
}

impl Default for TeacherConfig {
    fn default() -> Self {
        Self {
            error_rate: 0.25,
            wrong_rate: 0.15,
        }
    }
}
