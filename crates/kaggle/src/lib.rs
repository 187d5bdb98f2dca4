//! Kaggle, as a crawl needs it: typed calls, downloads that survive a kill, archives unpacked safely, the Meta Kaggle dump.
//!
//! Start with [`Kaggle::open`]. A call passes these files: `competitions` and `datasets` name it, `call` says how it is
//! written in both wire forms, `client` paces, sends and tries again (`pace`, `tries`, `fault`), `decode` and `records` read the
//! answer whatever dialect it is in. `download` streams files to disk, [`mod@unpack`] opens archives, [`meta`] reads the
//! offline dump. [`Credentials`] are found by `credentials` and go to the API's own host only.

mod call;
mod client;
mod competitions;
mod credentials;
mod datasets;
mod decode;
mod disk;
mod download;
mod error;
mod fault;
mod leaderboard;
mod licence;
pub mod meta;
mod mle_bench;
mod options;
mod pace;
mod pager;
mod part;
mod records;
mod storage;
mod submit;
mod tries;
pub mod unpack;

pub use client::Kaggle;
pub use competitions::{CompetitionFilter, Fetched, Version};
pub use credentials::Credentials;
pub use datasets::DatasetFilter;
pub use disk::free_bytes;
pub use download::{Artifact, DownloadLimits, Downloaded, Progress, Watch, unwatched};
pub use error::KaggleError;
pub use leaderboard::{Standing, read_leaderboard};
pub use licence::spdx;
pub use mle_bench::MLE_BENCH_LITE;
pub use options::{Dialect, KaggleOptions};
pub use pace::Patience;
pub use pager::Pager;
pub use records::{
    Column, Competition, Dataset, DatasetMetadata, FileType, FilesSummary, LeaderboardRow,
    LicenceName, Page, PageKind, RemoteFile, Submission, SubmissionLimits, SubmissionState, Tag,
};
pub use unpack::{Content, UnpackError, UnpackLimits, Unpacked, unpack, unpack_into};
