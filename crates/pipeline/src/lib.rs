//! The pipeline: stages, the ledger that remembers their outcomes, runs as views over it, events, cancellation.
//!
//! Start with [`stage`]: a [`Stage`] works through [`StageCx::each`], which skips what the [`ledger`] knows, bounds what is
//! in flight and accounts for every item. [`runner`] puts stages in a row; [`run`] is the folder that people look at;
//! [`blobs`] holds large values by their content. Nothing here knows of models, sandboxes or scores: a stage brings its
//! own services in its context.

pub mod blobs;
pub mod cancel;
mod each;
pub mod events;
pub mod ledger;
mod records;
pub mod run;
pub mod runner;
pub mod stage;

pub use blobs::Blobs;
pub use cancel::Cancel;
pub use events::{Event, Observer, Spend};
pub use ledger::{Ledger, LedgerError};
pub use records::judgement_id;
pub use run::{Counts, Manifest, PartFormat, PartRow, Run, WrittenPart};
pub use runner::{Invocation, Outcomes, run_stages};
pub use stage::{
    Estimate, Index, Item, Mode, Outcome, Record, Rejected, Services, Stage, StageCx, StageError,
    Summary, WorkError,
};
