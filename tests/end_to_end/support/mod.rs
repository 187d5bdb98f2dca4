//! What the tests stand on: a place to work in, the binary under a clock, an endpoint of ours, eyes on files and processes.

mod binary;
mod endpoint;
mod files;
mod ledger;
mod place;
mod processes;

pub use binary::{Ended, Running, Synth};
pub use endpoint::{Endpoint, Fault, Seen, asked_again_after_use, is_judge};
pub use files::{assert_same_files, dataset, parquet_files, part_rows, sft_rows};
pub use ledger::{stored_replies, stored_text};
pub use place::{Place, repository, shared};
pub use processes::assert_nothing_left;

/// The environment variable that holds the key of the endpoint, and the key.
pub const KEY_VARIABLE: &str = "SYNTH_TEST_KEY";
/// A key that must show nowhere.
pub const KEY: &str = "sk-test-7f3a9c0e55d1";
