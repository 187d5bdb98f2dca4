//! Sandboxes: isolated, stateful Python, one for each trajectory.
//!
//! A stage holds `dyn` [`Sandboxes`], opens a [`Sandbox`] for each trajectory and has it [execute](Sandbox::execute) cells. A
//! failure of the agent's code is an [`Observation`]; a [`SandboxError`] means that the sandbox itself could not do its work.
//!
//! The arrows: [`LocalSandboxes`] (`local`) has a Python [`environment`] made and starts two processes: a jailer, a native program
//! in `jail/` that makes namespaces with a process 1 for each sandbox, and a zygote, which forks the Python process into them;
//! what they make is one `child` per sandbox. `child` runs one cell: it sends and receives frames (`frame`), drains what the cell
//! prints (`output`) and judges time, memory and death from outside (`witness`). `files` reads and writes in the workspace,
//! [`probe`] tells `synth doctor` what the kernel offers. The Python side is `agent/`: `zygote.py` forks, `jail.py` gives up
//! privileges, `agent.py` runs cells. Start reading at [`Sandbox`], then `child`.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use synth_core::Observation;

mod backend;
mod child;
pub mod docker;
pub mod environment;
mod error;
mod files;
mod frame;
pub mod isolation;
mod local;
mod nonce;
mod output;
pub mod probe;
mod witness;

pub use backend::{open_backend, slots_of};
pub use child::Interrupter;
pub use docker::DockerSandboxes;
pub use error::SandboxError;
pub use local::{LocalSandboxes, Scratch};
pub use witness::{Seen, Witness};

/// A file of the host that a sandbox sees, read-only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountedFile {
    /// Where the agent finds it: relative, under `data/`.
    pub path: String,
    /// Where it lies on the host.
    pub host_path: PathBuf,
}

/// What a sandbox holds and how far it may go.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SandboxSpec {
    /// Whose it is, for logs: a record's id.
    pub label: String,
    /// Which of the backend's images, by name; empty for the default one. Images differ in their packages.
    pub image: String,
    /// The files under `data/`.
    pub files: Vec<MountedFile>,
    /// The seed of `random` and of `NumPy`'s global generator.
    pub seed: u64,
    /// How far it may go.
    pub limits: SandboxLimits,
}

/// How far the code in a sandbox may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SandboxLimits {
    /// Wall time of one cell.
    pub cell: Duration,
    /// Memory that the agent may take beyond the loaded libraries.
    pub memory_bytes: u64,
    /// Hundredths of one core that all its processes together may use; 0 for no such limit.
    pub cpu_percent: u32,
    /// Processes and threads at once.
    pub processes: u32,
    /// Bytes of each stream, and of the value, that an observation shows.
    pub output_bytes: u64,
    /// Bytes that a cell may print before it is stopped.
    pub printed_bytes: u64,
    /// Bytes that the workspace may hold.
    pub workspace_bytes: u64,
    /// Files and folders that the workspace may hold.
    pub workspace_files: u64,
}

impl Default for SandboxLimits {
    fn default() -> Self {
        Self {
            cell: Duration::from_secs(60),
            memory_bytes: 2 << 30,
            cpu_percent: 100,
            processes: 256,
            output_bytes: 16 << 10,
            printed_bytes: 256 << 20,
            workspace_bytes: 1 << 30,
            workspace_files: 100_000,
        }
    }
}

/// What a cell came to: the record of it, and the bytes that the record names by their hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CellResult {
    /// The record.
    pub observation: Observation,
    /// The content of each of the observation's displays, in their order.
    pub displays: Vec<Vec<u8>>,
}

/// A file that an agent made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Its path in the workspace, as it was asked for.
    pub path: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// A regular file in a workspace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkspaceFile {
    /// Its path in the workspace.
    pub path: String,
    /// Its size.
    pub bytes: u64,
}

/// A backend: opens sandboxes, so many at once.
#[async_trait]
pub trait Sandboxes: Send + Sync {
    /// Opens a fresh sandbox; waits while all slots are taken.
    async fn open(&self, spec: &SandboxSpec) -> Result<Box<dyn Sandbox>, SandboxError>;

    /// How many sandboxes were opened so far.
    fn opened(&self) -> u64;

    /// Ends the backend; sandboxes that are still open die with it.
    async fn close(&self);
}

/// One Python interpreter with a workspace, alive from cell to cell.
#[async_trait]
pub trait Sandbox: Send {
    /// Runs a cell. Whatever the code does is an observation; after a cell that ended the interpreter the next one finds it new
    /// and empty, and its `stderr` says so.
    async fn execute(&mut self, code: &str) -> Result<CellResult, SandboxError>;

    /// Sets the wall time of the cells that follow, instead of the one that the sandbox was opened with.
    fn limit_cell(&mut self, cell: Duration);

    /// The regular files of the workspace in the order of their paths, no more than `max`. Links are not followed; the data files
    /// are not among them.
    async fn list_files(&mut self, max: usize) -> Result<Vec<WorkspaceFile>, SandboxError>;

    /// Reads a file of the workspace that has no more than `max_bytes`.
    async fn read_file(&mut self, path: &str, max_bytes: u64) -> Result<Vec<u8>, SandboxError>;

    /// Writes a file of the workspace, with the folders above it.
    async fn write_file(&mut self, path: &str, bytes: &[u8]) -> Result<(), SandboxError>;

    /// Takes regular files out of the workspace, no more than `max_bytes` together. Links are not followed; what is missing, not a
    /// regular file or too large is left out.
    async fn collect(
        &mut self,
        paths: &[String],
        max_bytes: u64,
    ) -> Result<Vec<Artifact>, SandboxError>;

    /// A handle that interrupts the running cell from elsewhere.
    fn interrupter(&self) -> Interrupter;

    /// Ends the interpreter and everything that it started, and frees the slot.
    async fn close(self: Box<Self>);
}
