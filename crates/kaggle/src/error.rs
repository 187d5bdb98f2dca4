//! What can go wrong with Kaggle, by what follows from it: a person must act, it may pass, or it is so.

use std::io;
use std::path::{Path, PathBuf};

use crate::UnpackError;

/// Why a call or a download failed. Messages follow "failed to", hold no secret, and end with what to do where that is known.
#[derive(Debug, thiserror::Error)]
pub enum KaggleError {
    /// There are no credentials, or Kaggle does not accept them.
    #[error("Kaggle does not know who asks: {message}")]
    Unauthenticated {
        /// What to do.
        message: String,
    },
    /// The competition's rules have not been accepted, which only a person can do.
    #[error("the rules of `{slug}` have not been accepted; accept them at {page}")]
    RulesNotAccepted {
        /// The competition.
        slug: String,
        /// Where a person accepts them.
        page: String,
    },
    /// The competition has not been joined, which only a person can do.
    #[error("`{slug}` has not been joined; join it at {page}")]
    NotJoined {
        /// The competition.
        slug: String,
        /// Where a person joins.
        page: String,
    },
    /// There is no such competition, dataset or file, or it is not public.
    #[error("`{what}` is not there, or is not for the public")]
    Gone {
        /// What was asked for.
        what: String,
    },
    /// Kaggle refuses for another reason.
    #[error("{call} was refused with status {status}: {message}")]
    Refused {
        /// The call.
        call: &'static str,
        /// The HTTP status.
        status: u16,
        /// What Kaggle says.
        message: String,
    },
    /// Kaggle asked to slow down for longer than it was waited for.
    #[error("{call} is throttled, tried {tries} times in {seconds} s: {message}; run again later")]
    Throttled {
        /// The call.
        call: &'static str,
        /// How often it was tried.
        tries: u32,
        /// For how long.
        seconds: u64,
        /// What Kaggle says.
        message: String,
    },
    /// A fault that may pass: no connection, a timeout, a server's error.
    #[error("{call} did not get through, tried {tries} times in {seconds} s: {message}")]
    Transient {
        /// The call.
        call: &'static str,
        /// How often it was tried.
        tries: u32,
        /// For how long.
        seconds: u64,
        /// What happened last.
        message: String,
    },
    /// An answer that cannot be read.
    #[error("the answer of {call} cannot be read at `{path}`: {message}")]
    Decode {
        /// The call.
        call: &'static str,
        /// Where in the answer; `.` for the whole.
        path: String,
        /// Why.
        message: String,
    },
    /// A list that does not end, or leads back to where it was.
    #[error("the pages of {call} do not end: {message}")]
    Pagination {
        /// The call.
        call: &'static str,
        /// How that was noticed.
        message: String,
    },
    /// More bytes than the limit allows.
    #[error(
        "`{what}` has {bytes} bytes, more than the {max} that are allowed; raise the limit to have it"
    )]
    TooLarge {
        /// What was asked for.
        what: String,
        /// Its size, as far as it is known.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// The disk has no room.
    #[error("`{}` has {free} bytes free and {needed} are needed, with what is to stay free; make room", folder.display())]
    DiskFull {
        /// The folder on that disk.
        folder: PathBuf,
        /// What is needed.
        needed: u64,
        /// What is free.
        free: u64,
    },
    /// What came is not what was sent.
    #[error("`{what}` arrived damaged: {message}")]
    Corrupt {
        /// What was asked for.
        what: String,
        /// How that was noticed.
        message: String,
    },
    /// Another process downloads to the same path.
    #[error("`{}` is being written by another process; wait for it", path.display())]
    Busy {
        /// The partial file.
        path: PathBuf,
    },
    /// Whoever watched the download said that it is far enough for now.
    #[error("`{what}` was stopped on its way; the next download goes on")]
    Stopped {
        /// What was asked for.
        what: String,
    },
    /// A name that cannot be one of Kaggle's.
    #[error("`{name}` is not a name that Kaggle could have given; correct it")]
    BadName {
        /// The name, shortened.
        name: String,
    },
    /// Settings or credentials that cannot work.
    #[error("{message}")]
    Configuration {
        /// Which, why, and what to do.
        message: String,
    },
    /// An archive that was downloaded cannot be unpacked.
    #[error("{0}")]
    Unpack(#[from] UnpackError),
    /// The disk does not do what it is asked to.
    #[error("`{}`: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

impl KaggleError {
    /// Whether the same call may fare better at another time, with nobody doing anything about it.
    pub fn is_spurious(&self) -> bool {
        match self {
            Self::Throttled { .. }
            | Self::Transient { .. }
            | Self::Corrupt { .. }
            | Self::DiskFull { .. }
            | Self::Busy { .. }
            | Self::Stopped { .. } => true,
            Self::Unauthenticated { .. }
            | Self::RulesNotAccepted { .. }
            | Self::NotJoined { .. }
            | Self::Gone { .. }
            | Self::Refused { .. }
            | Self::Decode { .. }
            | Self::Pagination { .. }
            | Self::TooLarge { .. }
            | Self::BadName { .. }
            | Self::Configuration { .. }
            | Self::Unpack(_)
            | Self::Io { .. } => false,
        }
    }

    /// Whether every other call would end the same way, so that going on is pointless.
    pub fn stops_all(&self) -> bool {
        matches!(
            self,
            Self::Unauthenticated { .. } | Self::Configuration { .. } | Self::DiskFull { .. }
        )
    }

    /// A short name in snake case, to record and to count by.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Unauthenticated { .. } => "unauthenticated",
            Self::RulesNotAccepted { .. } => "rules_not_accepted",
            Self::NotJoined { .. } => "not_joined",
            Self::Gone { .. } => "gone",
            Self::Refused { .. } => "refused",
            Self::Throttled { .. } => "throttled",
            Self::Transient { .. } => "transient",
            Self::Decode { .. } => "unreadable_answer",
            Self::Pagination { .. } => "endless_list",
            Self::TooLarge { .. } => "too_large",
            Self::DiskFull { .. } => "disk_full",
            Self::Corrupt { .. } => "corrupt",
            Self::Busy { .. } => "busy",
            Self::Stopped { .. } => "stopped",
            Self::BadName { .. } => "bad_name",
            Self::Configuration { .. } => "configuration",
            Self::Unpack(error) => error.reason(),
            Self::Io { .. } => "io",
        }
    }

    /// The page where a person can clear the state, if it is one that a person can clear.
    pub fn page(&self) -> Option<&str> {
        match self {
            Self::RulesNotAccepted { page, .. } | Self::NotJoined { page, .. } => Some(page),
            _ => None,
        }
    }

    pub(crate) fn io(path: &Path, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::StorageFull {
            return Self::DiskFull {
                folder: path.parent().unwrap_or(path).to_owned(),
                needed: 1,
                free: 0,
            };
        }
        Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}
