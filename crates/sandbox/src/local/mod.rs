//! The local backend: one Python process for each sandbox, forked from a warm one and isolated by the kernel.

use std::fs;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use synth_core::config::SandboxConfig;
use tempfile::TempDir;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::spawn_blocking;

use crate::child::{Child, Ends, Interrupter};
use crate::environment;
use crate::files;
use crate::isolation::{self, Layer};
use crate::{
    Artifact, CellResult, MountedFile, Sandbox, SandboxError, SandboxLimits, SandboxSpec,
    Sandboxes, WorkspaceFile,
};

#[cfg_attr(
    not(test),
    expect(dead_code, reason = "sandboxes do not join groups yet")
)]
pub mod cgroup;
mod hierarchy;
mod scratch;
mod zygote;

pub use scratch::Scratch;
use zygote::Zygote;

/// Sandboxes as local processes.
pub struct LocalSandboxes {
    shared: Arc<Shared>,
    slots: Arc<Semaphore>,
    opened: AtomicU64,
}

/// What the backend and its sandboxes have in common.
struct Shared {
    zygote: Zygote,
    scratch: Scratch,
    isolate: bool,
    /// Nonces are drawn from it: nothing that a sandbox has seen tells it the next one.
    secret: [u8; 32],
    nonces: AtomicU64,
}

impl LocalSandboxes {
    /// Makes the Python environment if there is none, starts the process that sandboxes are forked from, and opens one to see that
    /// it works. `slots` sandboxes can be open at once; `scratch` is the folder for sockets and workspaces; `progress` is told
    /// what takes long.
    pub async fn start(
        config: &SandboxConfig,
        slots: usize,
        scratch: &Path,
        progress: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Self, SandboxError> {
        let environment = environment::provide(config, progress).await?;
        let scratch = Scratch::claim(scratch)?;
        let zygote = Zygote::new(environment, scratch.path.join("zygote.log"));
        let mut secret = [0; 32];
        let filled =
            fs::File::open("/dev/urandom").and_then(|mut file| file.read_exact(&mut secret));
        filled.map_err(SandboxError::io("read `/dev/urandom`"))?;
        let mut shared = Shared {
            zygote,
            scratch,
            isolate: true,
            secret,
            nonces: AtomicU64::new(0),
        };
        match shared.trial().await {
            Err(SandboxError::Isolation { missing, .. }) => {
                let lacking = Layer::blamed_in(&missing).refused(missing);
                isolation::demand(config.isolation, std::slice::from_ref(&lacking))?;
                tracing::warn!(
                    lacking.why,
                    "the kernel does not isolate; code runs with resource limits only"
                );
                shared.isolate = false;
                shared.trial().await?;
            }
            outcome => outcome?,
        }
        let slots = Arc::new(Semaphore::new(slots.max(1)));
        Ok(Self {
            shared: Arc::new(shared),
            slots,
            opened: AtomicU64::new(0),
        })
    }

    /// The process that sandboxes are forked from, while it runs.
    pub async fn process_id(&self) -> Option<u32> {
        self.shared.zygote.pid().await
    }

    /// Whether the kernel isolates the sandboxes.
    pub fn isolated(&self) -> bool {
        self.shared.isolate
    }
}

#[async_trait]
impl Sandboxes for LocalSandboxes {
    async fn open(&self, spec: &SandboxSpec) -> Result<Box<dyn Sandbox>, SandboxError> {
        let slot = Arc::clone(&self.slots)
            .acquire_owned()
            .await
            .map_err(|_| SandboxError::Closed)?;
        let (child, folder) = self.shared.open(spec).await?;
        self.opened.fetch_add(1, Ordering::Relaxed);
        let interrupter = Interrupter::default();
        interrupter.point_to(&child);
        tracing::debug!(
            label = spec.label,
            proc = child.hello.proc,
            seccomp = child.hello.seccomp,
            "opened a sandbox"
        );
        Ok(Box::new(LocalSandbox {
            spec: spec.clone(),
            child: Some(child),
            ended: None,
            interrupter,
            shared: Arc::clone(&self.shared),
            folder,
            _slot: slot,
        }))
    }

    fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    async fn close(&self) {
        self.slots.close();
        self.shared.zygote.close().await;
    }
}

/// What the zygote is asked for.
#[derive(Serialize)]
struct OpenRequest<'a> {
    isolate: bool,
    root: PathBuf,
    folder: &'a Path,
    files: Vec<(&'a str, &'a Path)>,
    seed: u64,
    memory_bytes: u64,
    workspace_bytes: u64,
    output_bytes: u64,
}

impl Shared {
    async fn open(&self, spec: &SandboxSpec) -> Result<(Child, TempDir), SandboxError> {
        let (isolate, parent, files) =
            (self.isolate, self.scratch.path.clone(), spec.files.clone());
        let laid_out = spawn_blocking(move || lay_out(&parent, &files, isolate)).await;
        let (folder, files) = laid_out.map_err(|error| SandboxError::Open(error.to_string()))??;
        let request = OpenRequest {
            isolate,
            root: self.scratch.path.join("root"),
            folder: folder.path(),
            files: files
                .iter()
                .map(|file| (file.path.as_str(), file.host_path.as_path()))
                .collect(),
            seed: spec.seed,
            memory_bytes: spec.limits.memory_bytes,
            workspace_bytes: spec.limits.workspace_bytes,
            output_bytes: spec.limits.output_bytes,
        };
        // A zygote that dies between the fork and the greeting is healed once.
        let child = match self.fork(&request).await {
            Err(SandboxError::Open(why)) => {
                tracing::warn!(why, "a sandbox did not open; trying once more");
                self.fork(&request).await?
            }
            other => other?,
        };
        Ok((child, folder))
    }

    async fn fork(&self, request: &OpenRequest<'_>) -> Result<Child, SandboxError> {
        let (ends, far) = Ends::pair()?;
        self.zygote
            .fork(request, &far.each_ref().map(AsFd::as_fd))
            .await?;
        drop(far);
        Child::greet(ends).await
    }

    /// Opens and closes a sandbox: the layers that the kernel refuses show here.
    async fn trial(&self) -> Result<(), SandboxError> {
        let spec = SandboxSpec {
            label: "trial".into(),
            limits: SandboxLimits {
                cell: Duration::from_secs(10),
                ..SandboxLimits::default()
            },
            ..SandboxSpec::default()
        };
        let (mut child, _folder) = self.open(&spec).await?;
        let outcome = child.execute("1 + 1", &self.nonce(), &spec.limits).await;
        child.close().await;
        match outcome.observation.value.as_deref() {
            Some("2") => Ok(()),
            _ => Err(SandboxError::Open(format!(
                "`1 + 1` gave {:?}",
                outcome.observation
            ))),
        }
    }

    fn nonce(&self) -> String {
        let number = self.nonces.fetch_add(1, Ordering::Relaxed);
        blake3::keyed_hash(&self.secret, &number.to_le_bytes()).to_hex()[..32].to_owned()
    }
}

/// The sandbox's folder on the host, and the data files as they are to be mounted. Without isolation the folder is the workspace;
/// with it, it holds copies of those data files that only their owner could read.
fn lay_out(
    parent: &Path,
    files: &[MountedFile],
    isolate: bool,
) -> Result<(TempDir, Vec<MountedFile>), SandboxError> {
    let folder = TempDir::with_prefix_in("sandbox-", parent)
        .map_err(SandboxError::io("make a sandbox's folder"))?;
    // As root we give each sandbox a user of its own, whom the files' modes then bind.
    let as_other_user = isolate && rustix::process::geteuid().is_root();
    let mut laid_out = Vec::with_capacity(files.len());
    for (index, file) in files.iter().enumerate() {
        let names = files::plain(&file.path)?;
        let fail = |source| SandboxError::Data {
            path: file.path.clone(),
            source,
        };
        let mut host_path = file.host_path.canonicalize().map_err(fail)?;
        let metadata = fs::metadata(&host_path).map_err(fail)?;
        if !metadata.is_file() {
            return Err(fail(io::Error::other("it is not a regular file")));
        }
        if !isolate {
            let link = folder.path().join("data").join(names.join("/"));
            fs::create_dir_all(link.parent().expect("it is below the folder")).map_err(fail)?;
            symlink(&host_path, link).map_err(fail)?;
        } else if as_other_user && metadata.mode() & 0o004 == 0 {
            let copy = folder.path().join(format!("copy-{index}"));
            fs::copy(&host_path, &copy).map_err(fail)?;
            fs::set_permissions(&copy, fs::Permissions::from_mode(0o444)).map_err(fail)?;
            host_path = copy;
        }
        laid_out.push(MountedFile {
            path: names.join("/"),
            host_path,
        });
    }
    Ok((folder, laid_out))
}

struct LocalSandbox {
    spec: SandboxSpec,
    /// The process; gone after its end, and while a cell runs, so that a dropped `execute` leaves no process that is half-way.
    child: Option<Child>,
    /// How the process before ended.
    ended: Option<String>,
    interrupter: Interrupter,
    shared: Arc<Shared>,
    folder: TempDir,
    _slot: OwnedSemaphorePermit,
}

impl LocalSandbox {
    /// The process, a new one if the last has ended.
    async fn take_child(&mut self) -> Result<Child, SandboxError> {
        if let Some(child) = self.child.take() {
            return Ok(child);
        }
        let (child, folder) = self.shared.open(&self.spec).await?;
        self.folder = folder;
        self.interrupter.point_to(&child);
        Ok(child)
    }

    async fn in_workspace<T, F>(&mut self, action: F) -> Result<T, SandboxError>
    where
        T: Send + 'static,
        F: FnOnce(&std::os::fd::OwnedFd) -> Result<T, SandboxError> + Send + 'static,
    {
        let child = self.take_child().await?;
        let workspace = child.workspace.clone();
        self.child = Some(child);
        let workspace =
            workspace.ok_or_else(|| SandboxError::Open("it sent no workspace".into()))?;
        let outcome = spawn_blocking(move || action(&workspace)).await;
        outcome.map_err(|error| SandboxError::Open(error.to_string()))?
    }
}

#[async_trait]
impl Sandbox for LocalSandbox {
    async fn execute(&mut self, code: &str) -> Result<CellResult, SandboxError> {
        let mut child = self.take_child().await?;
        let before = self.ended.replace("the cell was abandoned".into());
        let nonce = self.shared.nonce();
        let mut outcome = child.execute(code, &nonce, &self.spec.limits).await;
        if let Some(how) = before {
            let note = format!(
                "[Python was started anew after {how}: all variables and files made before are lost]\n"
            );
            outcome.observation.stderr.insert_str(0, &note);
        }
        self.ended = outcome.ended;
        if self.ended.is_none() {
            self.child = Some(child);
        }
        Ok(CellResult {
            observation: outcome.observation,
            displays: outcome.displays,
        })
    }

    fn limit_cell(&mut self, cell: Duration) {
        self.spec.limits.cell = cell;
    }

    async fn list_files(&mut self, max: usize) -> Result<Vec<WorkspaceFile>, SandboxError> {
        self.in_workspace(move |workspace| files::list(workspace, max))
            .await
    }

    async fn read_file(&mut self, path: &str, max_bytes: u64) -> Result<Vec<u8>, SandboxError> {
        let path = path.to_owned();
        self.in_workspace(move |workspace| files::read(workspace, &path, max_bytes))
            .await
    }

    async fn write_file(&mut self, path: &str, bytes: &[u8]) -> Result<(), SandboxError> {
        let (path, bytes) = (path.to_owned(), bytes.to_vec());
        self.in_workspace(move |workspace| files::write(workspace, &path, &bytes))
            .await
    }

    async fn collect(
        &mut self,
        paths: &[String],
        max_bytes: u64,
    ) -> Result<Vec<Artifact>, SandboxError> {
        let paths = paths.to_vec();
        self.in_workspace(move |workspace| files::collect(workspace, &paths, max_bytes))
            .await
    }

    fn interrupter(&self) -> Interrupter {
        self.interrupter.clone()
    }

    async fn close(self: Box<Self>) {
        if let Some(child) = self.child {
            child.close().await;
        }
    }
}
