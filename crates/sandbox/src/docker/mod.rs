//! The Docker backend: a container for each sandbox, on one or several hosts.
//!
//! `host` reaches an Engine and gives it up for a while when it is gone; `container` makes a container whose process 1 is
//! `agent/supervisor.py`, and `pool` keeps some of them warm; `volume` has the data on the host; `relay` then carries the sandbox's
//! lines over the container's one stream, so that `child` runs cells as it does locally, and `files` asks for files over the same
//! stream. `owner` and `sweep` see to it that nothing outlives its owner; `image` and `rootfs` make the image.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bollard::Docker;
use serde::Serialize;
use synth_core::config::SandboxConfig;
use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::{Instant, sleep, timeout};

use crate::child::{Child, Ends, Interrupter};
use crate::frame::End;
use crate::nonce::Nonces;
use crate::{Artifact, CellResult, Sandbox, SandboxError, SandboxSpec, Sandboxes, WorkspaceFile};

mod container;
mod files;
mod host;
mod image;
mod owner;
mod pool;
mod probe;
mod relay;
mod rootfs;
mod sweep;
mod volume;

pub use image::{Built, Image, build, states};
pub use probe::findings;
pub use sweep::Swept;

use container::{Key, Warm};
use files::FileLine;
use host::Host;
use owner::Owner;
use pool::Pool;
use relay::{Attached, Far, Lost, Verdict, relay};
use volume::{Contents, Listing};

/// How long a host may be waited for when none is up.
const PATIENCE: Duration = Duration::from_secs(30);
const VERDICT: Duration = Duration::from_secs(15);
const LAST_WORDS: Duration = Duration::from_secs(10);
/// What a sandbox that is handed out has before the next container is started.
const HEAD_START: Duration = Duration::from_millis(100);
/// Between looks at what has been idle for long.
const HOUSEKEEPING: Duration = Duration::from_secs(30);

/// Sandboxes as containers.
pub struct DockerSandboxes {
    shared: Arc<Shared>,
    slots: Arc<Semaphore>,
    opened: AtomicU64,
}

/// What the backend, its sandboxes and its tasks have in common.
struct Shared {
    config: SandboxConfig,
    hosts: Vec<Arc<Host>>,
    owner: Owner,
    contents: Contents,
    pool: Pool,
    nonces: Nonces,
    users: AtomicU32,
    /// Starts take processors, on this machine or another of about that size.
    starts: Semaphore,
    tasks: Mutex<JoinSet<()>>,
}

impl DockerSandboxes {
    /// Connects to the hosts, sweeps what dead owners left there and looks for the default image. `slots` sandboxes can be open at
    /// once, if the hosts have so many.
    pub async fn start(
        config: &SandboxConfig,
        slots: usize,
        progress: &(dyn Fn(&str) + Send + Sync),
    ) -> Result<Self, SandboxError> {
        let slots = slots.max(1);
        let endpoints = host::endpoints(&config.docker.hosts);
        let hosts: Vec<_> = endpoints
            .into_iter()
            .map(|endpoint| Arc::new(Host::new(endpoint, slots)))
            .collect();
        let slots = slots.min(hosts.iter().map(|host| host.slots).sum());
        let owner = Owner::new().map_err(SandboxError::io("read `/proc`"))?;
        let first_user = getrandom::u32()
            .map_err(|error| SandboxError::io("draw a random user id")(error.into()))?;
        let shared = Arc::new(Shared {
            config: config.clone(),
            hosts,
            owner,
            contents: Contents::default(),
            pool: Pool::default(),
            nonces: Nonces::new()?,
            users: AtomicU32::new(first_user),
            starts: Semaphore::new(
                std::thread::available_parallelism().map_or(2, std::num::NonZero::get),
            ),
            tasks: Mutex::default(),
        });
        let image = Image::named(config, "")?;
        let mut outcome = Err(SandboxError::Closed);
        for host in &shared.hosts {
            let looked = async {
                let docker = host.engine(&shared.owner).await?;
                host.check_image(&docker, &image.name, &image.fingerprint)
                    .await
            };
            match looked.await {
                Ok(()) => outcome = Ok(()),
                Err(error) => {
                    progress(&format!("going on without `{}`: {error}", host.name));
                    outcome = outcome.or(Err(error));
                }
            }
        }
        outcome?;
        let weak = Arc::downgrade(&shared);
        shared.spawn(async move {
            loop {
                sleep(HOUSEKEEPING).await;
                match weak.upgrade() {
                    Some(shared) => shared.pool.drain(),
                    None => return,
                }
            }
        });
        Ok(Self {
            shared,
            slots: Arc::new(Semaphore::new(slots)),
            opened: AtomicU64::new(0),
        })
    }

    /// How many containers wait to be handed out.
    pub fn warm(&self) -> usize {
        self.shared.pool.len()
    }

    /// The label that all containers of this start carry, as `synth.run`.
    pub fn run(&self) -> &str {
        &self.shared.owner.run
    }
}

/// Sweeps the configured hosts, with all data volumes that nobody holds; what was removed on each.
pub async fn sweep_hosts(config: &SandboxConfig) -> Result<Vec<(String, Swept)>, SandboxError> {
    let owner = Owner::new().map_err(SandboxError::io("read `/proc`"))?;
    let mut swept = Vec::new();
    for endpoint in host::endpoints(&config.docker.hosts) {
        let host = Host::new(endpoint, 1);
        let docker = host.connect().await?;
        swept.push((host.name.clone(), sweep::sweep_all(&docker, &owner).await));
    }
    Ok(swept)
}

#[async_trait]
impl Sandboxes for DockerSandboxes {
    async fn open(&self, spec: &SandboxSpec) -> Result<Box<dyn Sandbox>, SandboxError> {
        let slot = Arc::clone(&self.slots)
            .acquire_owned()
            .await
            .map_err(|_| SandboxError::Closed)?;
        let running = Shared::open(&self.shared, spec).await?;
        self.opened.fetch_add(1, Ordering::Relaxed);
        let interrupter = Interrupter::default();
        interrupter.point_to(&running.child);
        tracing::debug!(
            label = spec.label,
            host = running.host.name,
            "opened a sandbox"
        );
        Ok(Box::new(DockerSandbox {
            spec: spec.clone(),
            running: Some(running),
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
        let mut tasks = std::mem::take(&mut *self.shared.tasks());
        tasks.shutdown().await;
        for host in self.shared.hosts.iter().filter(|host| host.is_up()) {
            if let Ok(docker) = host.engine(&self.shared.owner).await {
                sweep::remove_own(&docker, &self.shared.owner).await;
            }
        }
    }
}

/// What a supervisor is asked for.
#[derive(Serialize)]
struct OpenRequest {
    seed: u64,
    memory_bytes: u64,
    workspace_bytes: u64,
    output_bytes: u64,
}

/// A container that has become a sandbox.
struct Running {
    child: Child,
    files: FileLine,
    verdict: watch::Receiver<Option<Verdict>>,
    host: Arc<Host>,
    _slot: HostSlot,
}

/// A place on a host.
struct HostSlot(Arc<Host>);

impl HostSlot {
    fn take(host: &Arc<Host>) -> Self {
        host.take_slot();
        Self(Arc::clone(host))
    }
}

impl Drop for HostSlot {
    fn drop(&mut self) {
        self.0.free_slot();
    }
}

impl Running {
    /// Why its host does not answer, if that is how it ended.
    async fn lost(&mut self) -> Option<String> {
        let verdict = timeout(VERDICT, self.verdict.wait_for(Option::is_some)).await;
        match verdict {
            Ok(Ok(verdict)) => verdict.as_ref().and_then(|verdict| verdict.lost.clone()),
            Ok(Err(_)) => None,
            Err(_) => Some("it does not say how the container ended".into()),
        }
    }
}

impl Shared {
    /// A sandbox on some host. A host that fails is passed over for another.
    async fn open(shared: &Arc<Self>, spec: &SandboxSpec) -> Result<Running, SandboxError> {
        let image = {
            let (shared, name) = (Arc::clone(shared), spec.image.clone());
            blocking(move || Image::named(&shared.config, &name)).await?
        };
        let (volume, listing) = if spec.files.is_empty() {
            (None, Listing::new())
        } else {
            let (shared, files) = (Arc::clone(shared), spec.files.clone());
            let (name, listing) = blocking(move || shared.contents.name(&files)).await?;
            (Some(name), listing)
        };
        let key = Key::new(image.name.clone(), volume, &spec.limits);
        let deadline = Instant::now() + PATIENCE;
        let mut last = None;
        loop {
            let Some(index) = shared.choose(&key) else {
                if Instant::now() > deadline {
                    return Err(last.unwrap_or(SandboxError::Unavailable {
                        host: "every Docker host".into(),
                        why: "none is up; look at `sandbox.docker.hosts`".into(),
                    }));
                }
                sleep(Duration::from_millis(100)).await;
                continue;
            };
            let slot = HostSlot::take(&shared.hosts[index]);
            match Self::open_on(shared, index, &image, &key, &listing, spec, slot).await {
                Err(error @ SandboxError::Unavailable { .. }) => {
                    shared.pool.forget(index);
                    last = Some(error);
                }
                outcome => return outcome,
            }
        }
    }

    /// The host for the next sandbox: one that is up, with a container that waits if there is such, and the most free slots.
    fn choose(&self, key: &Key) -> Option<usize> {
        let free = self.hosts.iter().enumerate();
        let free = free.filter(|(_, host)| host.is_up() && host.free() > 0);
        free.max_by_key(|(index, host)| (self.pool.has(*index, key), host.free()))
            .map(|(index, _)| index)
    }

    async fn open_on(
        shared: &Arc<Self>,
        index: usize,
        image: &Image,
        key: &Key,
        listing: &Listing,
        spec: &SandboxSpec,
        slot: HostSlot,
    ) -> Result<Running, SandboxError> {
        let host = &shared.hosts[index];
        let docker = host.engine(&shared.owner).await?;
        host.check_image(&docker, &image.name, &image.fingerprint)
            .await?;
        if let Some(volume) = &key.volume {
            volume::provide(
                host,
                &docker,
                &shared.owner,
                &key.image,
                volume,
                listing.clone(),
            )
            .await?;
        }
        let mut slot = Some(slot);
        while let Some(warm) = shared.pool.take(index, key) {
            // One that died while it waited is no failure.
            match shared.hand_out(host, &docker, warm, spec).await {
                Ok(hand_out) => {
                    Self::refill(shared, index, &docker, key);
                    return Ok(hand_out.on(host, slot.take().expect("returned at once")));
                }
                Err(error) => tracing::debug!(%error, "a waiting container was of no use"),
            }
        }
        let warm = shared.start(host, &docker, key).await?;
        let running = shared.hand_out(host, &docker, warm, spec).await?;
        Self::refill(shared, index, &docker, key);
        Ok(running.on(host, slot.take().expect("returned at once")))
    }

    async fn start(&self, host: &Host, docker: &Docker, key: &Key) -> Result<Warm, SandboxError> {
        let _turn = self
            .starts
            .acquire()
            .await
            .map_err(|_| SandboxError::Closed)?;
        let user = self.users.fetch_add(1, Ordering::Relaxed);
        container::start(host, docker, key, &self.config, &self.owner, user).await
    }

    /// Makes a sandbox of a warm container.
    async fn hand_out(
        &self,
        host: &Arc<Host>,
        docker: &Docker,
        warm: Warm,
        spec: &SandboxSpec,
    ) -> Result<HandedOut, SandboxError> {
        const WHAT: &str = "make a sandbox's sockets";
        let Warm {
            id, mut attached, ..
        } = warm;
        let request = OpenRequest {
            seed: spec.seed,
            memory_bytes: spec.limits.memory_bytes,
            workspace_bytes: spec.limits.workspace_bytes,
            output_bytes: spec.limits.output_bytes,
        };
        let told = attached.tell(&request).await;
        let (ends, far) = Ends::pair()?;
        let (ours, theirs) = UnixStream::pair().map_err(SandboxError::io(WHAT))?;
        let far = Far::new(far, theirs).map_err(SandboxError::io(WHAT))?;
        let (sender, verdict) = watch::channel(None);
        self.spawn(serve(
            Arc::clone(host),
            docker.clone(),
            id,
            attached,
            far,
            sender,
        ));
        told.map_err(|error| SandboxError::Open(error.to_string()))?;
        let mut child = Child::greet(ends).await?;
        let files = FileLine::new(ours);
        child.witness = Box::new(files.clone());
        Ok(HandedOut {
            child,
            files,
            verdict,
        })
    }

    /// Has containers started for the next ones that want the same.
    fn refill(shared: &Arc<Self>, index: usize, docker: &Docker, key: &Key) {
        while shared.pool.reserve(index, key, shared.config.docker.warm) {
            let (weak, docker, key) = (Arc::downgrade(shared), docker.clone(), key.clone());
            shared.spawn(async move {
                // A start takes a core for a second or two: first whoever was just handed out gets to work.
                sleep(HEAD_START).await;
                let Some(shared) = weak.upgrade() else { return };
                let started = shared.start(&shared.hosts[index], &docker, &key).await;
                if let Err(error) = &started {
                    tracing::debug!(%error, "no container was started ahead");
                }
                shared.pool.fill(index, &key, started.ok());
            });
        }
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks();
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    fn tasks(&self) -> MutexGuard<'_, JoinSet<()>> {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct HandedOut {
    child: Child,
    files: FileLine,
    verdict: watch::Receiver<Option<Verdict>>,
}

impl HandedOut {
    fn on(self, host: &Arc<Host>, slot: HostSlot) -> Running {
        Running {
            child: self.child,
            files: self.files,
            verdict: self.verdict,
            host: Arc::clone(host),
            _slot: slot,
        }
    }
}

/// Relays for one sandbox, says how it ended, and removes its container.
async fn serve(
    host: Arc<Host>,
    docker: Docker,
    id: String,
    attached: Attached,
    far: Far,
    verdict: watch::Sender<Option<Verdict>>,
) {
    let judge = async |told: Result<End, Lost>| judge(&host, &docker, &id, told).await;
    let ended = |found: Verdict| {
        verdict.send_replace(Some(found));
    };
    relay(attached, far, judge, ended).await;
    host.remove(&docker, &id).await;
}

/// How a container ended that did not say so, or that cannot know it: as its Engine has it.
async fn judge(host: &Host, docker: &Docker, id: &str, told: Result<End, Lost>) -> Verdict {
    let found = timeout(LAST_WORDS, host::last_words(docker, id, told.is_err())).await;
    let words = match found {
        Ok(Ok(words)) => words,
        failed => {
            let why = match failed {
                Ok(Err(error)) => error.to_string(),
                _ => "it does not answer".into(),
            };
            host.down(&why);
            return Verdict {
                end: told.unwrap_or_default(),
                lost: Some(why),
            };
        }
    };
    if words.memory {
        let end = End {
            memory: true,
            ..End::default()
        };
        return Verdict { end, lost: None };
    }
    match told {
        Ok(end) => Verdict { end, lost: None },
        Err(Lost::Malformed) => Verdict {
            end: End::default(),
            lost: None,
        },
        // A supervisor that lost us goes by itself; all other ends of a container are its own.
        Err(Lost::Ended) => Verdict {
            end: End {
                exit: words.exit.and_then(|code| code.try_into().ok()),
                ..End::default()
            },
            lost: (words.exit.is_none() || words.exit == Some(0))
                .then(|| "the connection to its container broke".to_owned()),
        },
    }
}

async fn blocking<T: Send + 'static>(
    action: impl FnOnce() -> Result<T, SandboxError> + Send + 'static,
) -> Result<T, SandboxError> {
    let outcome = spawn_blocking(action).await;
    outcome.map_err(|error| SandboxError::Open(error.to_string()))?
}

struct DockerSandbox {
    spec: SandboxSpec,
    /// The container; gone after its end, and while a cell runs, so that a dropped `execute` leaves none that is half-way.
    running: Option<Running>,
    /// How the one before ended.
    ended: Option<String>,
    interrupter: Interrupter,
    shared: Arc<Shared>,
    _slot: OwnedSemaphorePermit,
}

impl DockerSandbox {
    /// The container, a new one if the last has ended.
    async fn take_running(&mut self) -> Result<Running, SandboxError> {
        if let Some(running) = self.running.take() {
            return Ok(running);
        }
        let running = Shared::open(&self.shared, &self.spec).await?;
        self.interrupter.point_to(&running.child);
        Ok(running)
    }

    async fn files(&mut self) -> Result<FileLine, SandboxError> {
        let running = self.take_running().await?;
        let files = running.files.clone();
        self.running = Some(running);
        Ok(files)
    }

    /// Turns the end of a container under a request for files into the loss of its host, where that is the reason.
    async fn checked<T>(&mut self, outcome: Result<T, SandboxError>) -> Result<T, SandboxError> {
        if let Err(SandboxError::Open(_)) = &outcome
            && let Some(mut running) = self.running.take()
        {
            self.ended = Some("the end of its container".into());
            if let Some(why) = running.lost().await {
                let host = running.host.name.clone();
                return Err(SandboxError::Unavailable { host, why });
            }
        }
        outcome
    }
}

#[async_trait]
impl Sandbox for DockerSandbox {
    async fn execute(&mut self, code: &str) -> Result<CellResult, SandboxError> {
        let mut running = self.take_running().await?;
        let before = self.ended.replace("the cell was abandoned".into());
        let nonce = self.shared.nonces.next();
        let mut outcome = running.child.execute(code, &nonce, &self.spec.limits).await;
        if outcome.ended.is_some()
            && let Some(why) = running.lost().await
        {
            self.ended = Some("the loss of its host".into());
            let host = running.host.name.clone();
            return Err(SandboxError::Unavailable { host, why });
        }
        if let Some(how) = before {
            outcome.tell_of_restart(&how);
        }
        self.ended = outcome.ended;
        if self.ended.is_none() {
            self.running = Some(running);
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
        let outcome = self.files().await?.list(max).await;
        self.checked(outcome).await
    }

    async fn read_file(&mut self, path: &str, max_bytes: u64) -> Result<Vec<u8>, SandboxError> {
        let outcome = self.files().await?.read(path, max_bytes).await;
        self.checked(outcome).await
    }

    async fn write_file(&mut self, path: &str, bytes: &[u8]) -> Result<(), SandboxError> {
        let outcome = self.files().await?.write(path, bytes).await;
        self.checked(outcome).await
    }

    async fn collect(
        &mut self,
        paths: &[String],
        max_bytes: u64,
    ) -> Result<Vec<Artifact>, SandboxError> {
        let files = self.files().await?;
        let mut left = max_bytes;
        let mut artifacts = Vec::new();
        for path in paths {
            if artifacts.len() == crate::files::MAX_ARTIFACTS {
                break;
            }
            match files.read(path, left).await {
                Ok(bytes) => {
                    left -= bytes.len() as u64;
                    artifacts.push(Artifact {
                        path: path.clone(),
                        bytes,
                    });
                }
                Err(SandboxError::File { .. }) => {}
                Err(error) => return self.checked(Err(error)).await,
            }
        }
        Ok(artifacts)
    }

    fn interrupter(&self) -> Interrupter {
        self.interrupter.clone()
    }

    async fn close(self: Box<Self>) {
        if let Some(running) = self.running {
            running.child.close().await;
        }
    }
}
