//! The memory that rooms left of the ledger may use: bytes under a key, durable once [`Memo::put`] returns.

use async_trait::async_trait;

use crate::Fingerprint;

/// Remembers paid work (model replies, observations) across crashes. The ledger is the real one; tests use a map.
#[async_trait]
pub trait Memo: Send + Sync {
    /// What was put under `key`, if anything. A value whose checksum does not fit is treated as absent.
    async fn get(&self, key: Fingerprint) -> Result<Option<Vec<u8>>, MemoError>;

    /// Stores `value`; when this returns `Ok`, no crash of the process or the machine loses it.
    async fn put(&self, key: Fingerprint, value: Vec<u8>) -> Result<(), MemoError>;
}

/// The memory cannot be read or written: nobody can go on.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub struct MemoError(pub String);
