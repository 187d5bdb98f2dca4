//! The records that flow through `synth`, their ids, the configuration and the errors: no I/O, no clock, no threads.
//!
//! Start with [`records`]: a [`Source`] becomes [`Task`]s, a task [`Query`]s, a query [`Trajectory`]s, a trajectory a
//! [`Judgement`] and a [`Selection`]. [`ids`] says how each is named by its content, [`config`] how a run is described.

pub mod config;
pub mod error;
pub mod fingerprint;
pub mod ids;
pub mod memo;
pub mod records;

pub use config::{Config, ConfigError};
pub use error::{FailureKind, RecordError};
pub use fingerprint::Fingerprint;
pub use ids::{QueryId, SourceId, TaskId, TrajectoryId};
pub use memo::{Memo, MemoError};
pub use records::*;
