//! The local backend: one Python process for each sandbox, forked from a warm one and isolated by the kernel.
//!
//! A `nursery` makes sandboxes by two processes: the `jailer` gives each its namespaces, with the mounts that `root` lists, and a
//! process 1; the `zygote` forks the Python process into them. The `park` keeps some made ahead. `cgroup` bounds each, `scratch` is
//! the folder on the host, `layout` what a sandbox needs there.

use std::path::Path;
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
use crate::nonce::Nonces;
use crate::{
    Artifact, CellResult, Sandbox, SandboxError, SandboxLimits, SandboxSpec, Sandboxes,
    WorkspaceFile,
};

pub mod cgroup;
mod hierarchy;
mod jailer;
mod layout;
mod line;
mod nursery;
mod park;
mod root;
mod scratch;
mod zygote;

use layout::{Layout, lay_out};
use nursery::{Life, Nursery};
use park::Park;
pub use scratch::Scratch;
use zygote::Setup;

/// Sandboxes as local processes.
pub struct LocalSandboxes {
    shared: Arc<Shared>,
    slots: Arc<Semaphore>,
    opened: AtomicU64,
}

/// What the backend and its sandboxes have in common.
struct Shared {
    nursery: Arc<Nursery>,
    park: Park,
    scratch: Scratch,
    nonces: Nonces,
}

impl LocalSandboxes {
    /// Makes the Python environment if there is none, starts the processes that make sandboxes, and opens one to see that it works.
    /// `slots` sandboxes can be open at once; `scratch` is the folder for workspaces; `progress` is told what takes long.
    pub async fn start(
        config: &SandboxConfig,
        slots: usize,
        scratch: &Path,
        progress: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Self, SandboxError> {
        Self::start_as(config, slots, scratch, progress, false).await
    }

    /// As [`start`](Self::start), but each sandbox's interpreter loads the libraries itself, which takes seconds. What code prints
    /// must not depend on the difference.
    pub async fn start_cold(
        config: &SandboxConfig,
        slots: usize,
        scratch: &Path,
        progress: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Self, SandboxError> {
        Self::start_as(config, slots, scratch, progress, true).await
    }

    async fn start_as(
        config: &SandboxConfig,
        slots: usize,
        scratch: &Path,
        progress: &(dyn Fn(&str) + Send + Sync),
        cold: bool,
    ) -> Result<Self, SandboxError> {
        let environment = environment::provide(config, progress).await?;
        let scratch = Scratch::claim(scratch)?;
        let nonces = Nonces::new()?;
        let slots = slots.max(1);
        let parked = if cold { 0 } else { config.parked.min(slots) };
        let preload = config.preload;
        let setup = |isolate| Setup {
            isolate,
            cold,
            preload,
        };
        let nursery = |isolate| {
            let nursery = Nursery::new(environment.clone(), &scratch.path, setup(isolate));
            Arc::new(nursery)
        };
        let isolated = nursery(true);
        let (nursery, parked) = match isolated.prepare().await {
            Ok(lacking) => {
                isolation::demand(config.isolation, &lacking)?;
                for lacking in &lacking {
                    let (layer, lost) = (lacking.layer.name(), lacking.layer.lost());
                    tracing::info!(layer, lacking.why, lost, "code runs without a layer");
                }
                (isolated, parked)
            }
            Err(SandboxError::Isolation { missing, .. }) => {
                let lacking = Layer::blamed_in(&missing).refused(missing);
                isolation::demand(config.isolation, std::slice::from_ref(&lacking))?;
                tracing::warn!(
                    lacking.why,
                    lost = lacking.layer.lost(),
                    "the kernel does not isolate; code runs with resource limits only"
                );
                isolated.close().await;
                (nursery(false), 0)
            }
            Err(error) => return Err(error),
        };
        let shared = Shared {
            park: Park::new(Arc::clone(&nursery), parked),
            nursery,
            scratch,
            nonces,
        };
        shared.trial().await?;
        Ok(Self {
            shared: Arc::new(shared),
            slots: Arc::new(Semaphore::new(slots)),
            opened: AtomicU64::new(0),
        })
    }

    /// The process that sandboxes are forked from, while it runs.
    pub async fn process_id(&self) -> Option<u32> {
        self.shared.nursery.process_id().await
    }

    /// The process that makes their namespaces, while it runs; none without isolation.
    pub async fn jailer_id(&self) -> Option<u32> {
        self.shared.nursery.jailer_id().await
    }

    /// Whether the kernel isolates the sandboxes.
    pub fn isolated(&self) -> bool {
        self.shared.nursery.isolates()
    }
}

#[async_trait]
impl Sandboxes for LocalSandboxes {
    async fn open(&self, spec: &SandboxSpec) -> Result<Box<dyn Sandbox>, SandboxError> {
        let slot = Arc::clone(&self.slots)
            .acquire_owned()
            .await
            .map_err(|_| SandboxError::Closed)?;
        let living = self.shared.open(spec).await?;
        self.opened.fetch_add(1, Ordering::Relaxed);
        let interrupter = Interrupter::default();
        interrupter.point_to(&living.child);
        tracing::debug!(
            label = spec.label,
            proc = living.child.hello.proc,
            seccomp = living.child.hello.seccomp,
            "opened a sandbox"
        );
        Ok(Box::new(LocalSandbox {
            spec: spec.clone(),
            living: Some(living),
            ended: None,
            interrupter,
            shared: Arc::clone(&self.shared),
            _slot: slot,
        }))
    }

    fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    async fn close(&self) {
        self.slots.close();
        self.shared.park.close();
        self.shared.nursery.close().await;
    }
}

/// What the zygote is asked for where there is no isolation.
#[derive(Serialize)]
struct BareRequest<'a> {
    folder: &'a Path,
    seed: u64,
    memory_bytes: u64,
    workspace_bytes: u64,
    output_bytes: u64,
}

/// A sandbox's process, and what ends or goes with it.
struct Living {
    child: Child,
    /// None without isolation: the child's end is all that there is to end.
    _life: Option<Life>,
    _folder: Option<TempDir>,
}

impl Shared {
    async fn open(&self, spec: &SandboxSpec) -> Result<Living, SandboxError> {
        let (isolates, separates) = (self.nursery.isolates(), self.nursery.separates_users());
        let layout = if isolates && spec.files.is_empty() {
            Layout::default()
        } else {
            let (parent, files) = (self.scratch.path.clone(), spec.files.clone());
            let laid_out =
                spawn_blocking(move || lay_out(&parent, &files, isolates, separates)).await;
            laid_out.map_err(|error| SandboxError::Open(error.to_string()))??
        };
        let opened = self.open_in(spec, &layout).await;
        let (child, life) = match opened {
            // Those who make sandboxes may die in the middle of it; they are healed once.
            Err(SandboxError::Open(why)) => {
                tracing::warn!(why, "a sandbox did not open; trying once more");
                self.open_in(spec, &layout).await?
            }
            outcome => outcome?,
        };
        Ok(Living {
            child,
            _life: life,
            _folder: layout.folder,
        })
    }

    async fn open_in(
        &self,
        spec: &SandboxSpec,
        layout: &Layout,
    ) -> Result<(Child, Option<Life>), SandboxError> {
        if self.nursery.isolates() {
            let parked = self.park.take().await?;
            let handed_out = parked.hand_out(spec.seed, &spec.limits, &layout.files);
            let (child, life) = handed_out.await?;
            return Ok((child, Some(life)));
        }
        let folder = layout.folder.as_ref().ok_or(SandboxError::Closed)?;
        let (ends, far) = Ends::pair()?;
        let request = BareRequest {
            folder: folder.path(),
            seed: spec.seed,
            memory_bytes: spec.limits.memory_bytes,
            workspace_bytes: spec.limits.workspace_bytes,
            output_bytes: spec.limits.output_bytes,
        };
        self.nursery.fork_bare(&request, &far).await?;
        drop(far);
        Ok((Child::greet(ends).await?, None))
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
        let mut living = self.open(&spec).await?;
        let outcome = living
            .child
            .execute("1 + 1", &self.nonces.next(), &spec.limits)
            .await;
        living.child.close().await;
        match outcome.observation.value.as_deref() {
            Some("2") => Ok(()),
            _ => Err(SandboxError::Open(format!(
                "`1 + 1` gave {:?}",
                outcome.observation
            ))),
        }
    }
}

struct LocalSandbox {
    spec: SandboxSpec,
    /// The process; gone after its end, and while a cell runs, so that a dropped `execute` leaves no process that is half-way.
    living: Option<Living>,
    /// How the process before ended.
    ended: Option<String>,
    interrupter: Interrupter,
    shared: Arc<Shared>,
    _slot: OwnedSemaphorePermit,
}

impl LocalSandbox {
    /// The process, a new one if the last has ended.
    async fn take_living(&mut self) -> Result<Living, SandboxError> {
        if let Some(living) = self.living.take() {
            return Ok(living);
        }
        let living = self.shared.open(&self.spec).await?;
        self.interrupter.point_to(&living.child);
        Ok(living)
    }

    async fn in_workspace<T, F>(&mut self, action: F) -> Result<T, SandboxError>
    where
        T: Send + 'static,
        F: FnOnce(&std::os::fd::OwnedFd) -> Result<T, SandboxError> + Send + 'static,
    {
        let living = self.take_living().await?;
        let workspace = living.child.workspace.clone();
        self.living = Some(living);
        let workspace =
            workspace.ok_or_else(|| SandboxError::Open("it sent no workspace".into()))?;
        let outcome = spawn_blocking(move || action(&workspace)).await;
        outcome.map_err(|error| SandboxError::Open(error.to_string()))?
    }
}

#[async_trait]
impl Sandbox for LocalSandbox {
    async fn execute(&mut self, code: &str) -> Result<CellResult, SandboxError> {
        let mut living = self.take_living().await?;
        let before = self.ended.replace("the cell was abandoned".into());
        let nonce = self.shared.nonces.next();
        let mut outcome = living.child.execute(code, &nonce, &self.spec.limits).await;
        if let Some(how) = before {
            outcome.tell_of_restart(&how);
        }
        self.ended = outcome.ended;
        if self.ended.is_none() {
            self.living = Some(living);
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
        if let Some(living) = self.living {
            living.child.close().await;
        }
    }
}
