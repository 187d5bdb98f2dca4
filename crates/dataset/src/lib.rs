//! What trainers load: rows become Parquet files with fixed schemas, and a card tells what they are.
//!
//! The only room that knows Arrow and Parquet. Start with `writer`: a [`DatasetWriter`] takes [`SftRow`]s or [`RlRow`]s,
//! refuses those that would train wrongly, and leaves `data/<config>/<split>/<split>-00000-of-0000N.parquet`.
//!
//! - `rows` says what a row holds; `check` which rows are refused, with a [`Rule`] each.
//! - `schema` and `columns` turn rows into Arrow: utf8, int64, double, bool, struct and list, nothing else, so that every
//!   reader agrees; `schema` lists the columns in the order in which trainers find them.
//! - `file` writes one Parquet file: to a temporary name, synced, renamed. Equal rows give equal bytes.
//! - `parts` writes the generic output of a stage, one JSON record a row.
//! - `read` reads Parquet files of others.
//! - `plain` writes the tables that agents are given.
//! - `card` renders the README with its YAML header; `info` writes LLaMA-Factory's `dataset_info.json`.

mod card;
mod check;
mod columns;
mod file;
mod info;
mod parts;
mod plain;
mod read;
mod rows;
mod schema;
mod writer;

pub use card::{Card, CardSource, CardSplit, Histogram, StageCounts, render_card};
pub use check::{RowError, Rule};
pub use file::WrittenFile;
pub use info::write_dataset_info;
pub use parts::{PartRow, write_parts};
pub use plain::{PlainCells, PlainError, write_plain};
pub use read::read_parquet;
pub use rows::{Generation, JudgeScore, Message, Provenance, RlRow, Row, SftRow, ToolArguments};
pub use writer::{DatasetWriter, WriteError};
