//! Kaggle, as a crawl needs it: typed calls, downloads that survive a kill, archives unpacked safely, the Meta Kaggle dump.
//!
//! Start with [`Kaggle::open`]. A call passes these files: `competitions` and `datasets` name it, `call` says how it is
//! written in both wire forms, `client` paces, sends and tries again (`pace`, `fault`), `decode` and `records` read the
//! answer whatever dialect it is in. `download` streams files to disk, [`unpack`] opens archives, [`meta`] reads the
//! offline dump. [`Credentials`] are found by `credentials` and go to the API's own host only.

mod call;
mod client;
mod competitions;
mod credentials;
mod datasets;
mod decode;
mod disk;
mod error;
mod fault;
mod licence;
mod mle_bench;
mod options;
mod pace;
mod pager;
mod records;

pub use client::Kaggle;
pub use competitions::{CompetitionFilter, Fetched, Version};
pub use credentials::Credentials;
pub use datasets::DatasetFilter;
pub use disk::free_bytes;
pub use error::KaggleError;
pub use licence::spdx;
pub use mle_bench::MLE_BENCH_LITE;
pub use options::{Dialect, KaggleOptions};
pub use pace::Patience;
pub use pager::Pager;
pub use records::{
    Column, Competition, CompetitionFile, Dataset, DatasetFile, DatasetMetadata, FileType,
    FilesSummary, LeaderboardRow, LicenceName, Page, PageKind, Submission, SubmissionLimits,
    SubmissionState, Tag,
};
