//! What can be seen of a sandbox from outside of it, so that no cell is judged by its own word alone.

use std::os::fd::AsFd;

use async_trait::async_trait;
use rustix::fs::fstatvfs;

use crate::files::Workspace;

/// What happened in a sandbox since it began; `None` for what nobody counts here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Processes that the kernel ended because memory ran out.
    pub oom_kills: Option<u64>,
    /// Forks and threads that the kernel refused because there were too many.
    pub refused_forks: Option<u64>,
    /// Whether a folder that may be written to is full now: the workspace, `/tmp` or `/dev/shm`.
    pub disk_full: Option<bool>,
    /// The most memory that all processes together had, in bytes.
    pub memory_peak: Option<u64>,
}

/// Somebody who sees a sandbox from outside.
#[async_trait]
pub trait Witness: Send + Sync {
    /// What happened so far. Asked after every cell.
    async fn look(&self) -> Seen;
}

/// Sees how full the workspace is, and nothing else.
pub struct WorkspaceWitness(Option<Workspace>);

impl WorkspaceWitness {
    /// A witness of this workspace.
    pub const fn new(workspace: Option<Workspace>) -> Self {
        Self(workspace)
    }
}

#[async_trait]
impl Witness for WorkspaceWitness {
    async fn look(&self) -> Seen {
        Seen {
            disk_full: self.0.as_ref().and_then(is_full),
            ..Seen::default()
        }
    }
}

/// Whether so little is left in a folder's file system that a write may have failed for it.
pub fn is_full(folder: impl AsFd) -> Option<bool> {
    const SPARE_BYTES: u64 = 64 << 10;
    let state = fstatvfs(folder).ok()?;
    let no_bytes =
        state.f_blocks > 0 && state.f_bavail.saturating_mul(state.f_frsize) < SPARE_BYTES;
    let no_inodes = state.f_files > 0 && state.f_favail == 0;
    Some(no_bytes || no_inodes)
}
