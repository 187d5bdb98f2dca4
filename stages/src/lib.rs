//! The stages, in order: from sources to Parquet. Each file tells one stage's story in its `run`.
//!
//! `crawl` → `filter` → `prepare` → `queries` → `trajectories` → `judge` → `select` → `emit`. [`STAGES`] is the list that the
//! command line, the progress and the README follow. [`services`] holds what stages need of the world, [`agent`] how a
//! model and a sandbox converse, [`prompts`] what models are told, [`tables`] how data files are read.

pub mod agent;
pub mod crawl;
pub mod emit;
mod equivalent;
pub mod filter;
pub mod judge;
pub mod parts;
pub mod prepare;
pub mod prompts;
pub mod purse;
pub mod queries;
mod sampling;
pub mod select;
pub mod services;
pub mod tables;
pub mod target;
pub mod trajectories;
mod verdict;

pub use services::Services;

/// What a stage is given.
pub type Cx<'a> = synth_pipeline::StageCx<'a, Services>;

/// All stages, in the order in which they run.
pub const STAGES: [&dyn synth_pipeline::Stage<Services>; 8] = [
    &crawl::Crawl,
    &filter::Filter,
    &prepare::Prepare,
    &queries::Queries,
    &trajectories::Trajectories,
    &judge::Judge,
    &select::Select,
    &emit::Emit,
];
