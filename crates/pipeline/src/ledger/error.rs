//! Why the ledger cannot be used, each with what to do.

use std::path::Path;

use super::open::FORMAT;

/// The ledger cannot be opened, read or written.
#[derive(Debug, Clone, thiserror::Error)]
pub enum LedgerError {
    /// Another process has it.
    #[error(
        "the ledger `{path}` is in use by {holder}; wait for that run to end, or give this one another `run.output`"
    )]
    InUse {
        /// The ledger.
        path: String,
        /// Who has it.
        holder: String,
    },
    /// The disk is full.
    #[error(
        "no space left for the ledger `{0}`; free some space and run again: all that was finished is kept"
    )]
    DiskFull(String),
    /// It was written by another version.
    #[error(
        "the ledger `{path}` has format {found}, this version reads format {FORMAT}; use the version that wrote it, or another `run.output`"
    )]
    Format {
        /// The ledger.
        path: String,
        /// Its format.
        found: i64,
    },
    /// There is none.
    #[error("there is no ledger at `{0}` yet; `synth run` makes one")]
    Missing(String),
    /// It is damaged.
    #[error(
        "the ledger `{0}` is damaged; put a backup in its place, or move it away and run again, which works everything out anew"
    )]
    Damaged(String),
    /// Anything else.
    #[error("cannot use the ledger `{path}`: {message}")]
    Broken {
        /// The ledger.
        path: String,
        /// What `SQLite` or the system said.
        message: String,
    },
}

pub(super) fn sqlite_error(path: &Path, error: &rusqlite::Error) -> LedgerError {
    let path = path.display().to_string();
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => LedgerError::DiskFull(path),
        Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase) => {
            LedgerError::Damaged(path)
        }
        _ => LedgerError::Broken {
            path,
            message: error.to_string(),
        },
    }
}

pub(super) fn io_error(path: &Path, error: &std::io::Error) -> LedgerError {
    let path = path.display().to_string();
    match error.kind() {
        std::io::ErrorKind::StorageFull => LedgerError::DiskFull(path),
        _ => LedgerError::Broken {
            path,
            message: error.to_string(),
        },
    }
}
