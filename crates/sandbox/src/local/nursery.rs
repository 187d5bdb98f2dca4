//! Where sandboxes are made: the jailer and the zygote, started together and healed together, and what they make between them.

use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use rustix::fs::{Mode, OFlags, openat};
use rustix::process::{Signal, geteuid, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::cgroup::{Cgroups, Controller, Group};
use super::jailer::{Jailer, report};
use super::root::{self, Steps};
use super::zygote::{Setup, Zygote};
use crate::child::{Child, Ends, remedy};
use crate::environment::Environment;
use crate::frame::{self, FrameReader, Hello};
use crate::isolation::{Lacking, Layer};
use crate::witness::{Seen, Witness, is_full};
use crate::{MountedFile, SandboxError, SandboxLimits};

/// How long a sandbox may take to be made; a cold one loads the libraries first.
const MAKE_TIMEOUT: Duration = Duration::from_secs(180);
/// How long one may take to be handed out.
const HAND_OUT_TIMEOUT: Duration = Duration::from_secs(30);
/// Where the range of user ids starts that root hands out to sandboxes, and how long it is.
const OUTSIDE_IDS: u32 = 0x6F00_0000;
const OUTSIDE_COUNT: u32 = 0x0F00_0000;
/// Memory that an agent takes for itself: pages that it copies of the loaded libraries', and what it keeps to answer with.
const AGENT_BYTES: u64 = 96 << 20;

/// By how much the resource limit on processes is the higher one where a control group counts them.
const SPARE_PROCESSES: u32 = 64;

/// Makes sandboxes.
pub struct Nursery {
    environment: Environment,
    /// The folder of this backend.
    scratch: PathBuf,
    setup: Setup,
    /// Whether we are root and may hand out user ids.
    as_root: bool,
    cgroups: Cgroups,
    made: AtomicU32,
    state: Mutex<State>,
}

enum State {
    Stopped,
    Running(Arc<Staff>),
    Closed,
}

/// The processes that make sandboxes.
struct Staff {
    zygote: Zygote,
    /// None where the kernel does not isolate.
    jailer: Option<Jailer>,
    own: Steps,
}

impl Staff {
    fn is_alive(&self) -> bool {
        self.zygote.is_alive() && self.jailer.as_ref().is_none_or(Jailer::is_alive)
    }
}

/// A sandbox that is made and warm, and nobody's yet.
pub struct Parked {
    ends: Ends,
    life: Life,
    staff: Arc<Staff>,
    root: PathBuf,
    agent: Greeting,
    proc: bool,
    /// Whether it has a user id of its own.
    separated: bool,
    /// Whether init has to watch its memory, which no control group does.
    watched: bool,
    /// Whether its control group counts its processes.
    counted: bool,
}

/// Holds a sandbox's processes: when it is dropped they end, however little they listen.
pub struct Life {
    init: OwnedFd,
    group: Arc<Group>,
}

impl Drop for Life {
    fn drop(&mut self) {
        // It can only fail for one that has ended already.
        let _ = pidfd_send_signal(&self.init, Signal::KILL);
    }
}

/// What the zygote is asked for.
#[derive(Serialize)]
struct ForkRequest<'a> {
    root: &'a Path,
    #[serde(rename = "become")]
    become_other: bool,
}

/// What an agent says when it is parked.
#[derive(Deserialize)]
struct Greeting {
    version: u32,
    #[serde(default)]
    pid: u32,
    #[serde(default)]
    seccomp: bool,
    #[serde(default)]
    landlock: u32,
    #[serde(default)]
    error: Option<String>,
    #[serde(default)]
    layer: Option<String>,
}

/// What a parked agent is told.
#[derive(Serialize)]
struct Task {
    seed: u64,
    memory_bytes: u64,
    workspace_bytes: u64,
    output_bytes: u64,
    processes: u32,
}

impl Nursery {
    /// A nursery that starts its processes with the first sandbox.
    pub fn new(environment: Environment, scratch: &Path, setup: Setup) -> Self {
        Self {
            environment,
            scratch: scratch.to_path_buf(),
            setup,
            as_root: geteuid().is_root() && maps_other_users(),
            cgroups: Cgroups::claim(),
            made: AtomicU32::new(0),
            state: Mutex::new(State::Stopped),
        }
    }

    /// Whether the kernel isolates what is made.
    pub const fn isolates(&self) -> bool {
        self.setup.isolate
    }

    /// Whether each sandbox is a user of its own.
    pub const fn separates_users(&self) -> bool {
        self.as_root
    }

    /// Makes a sandbox to see that it works, and says which layers it lacks.
    pub async fn prepare(&self) -> Result<Vec<Lacking>, SandboxError> {
        let parked = self.make().await?;
        let mut lacking = self.cgroups.lacking.clone();
        if !parked.agent.seccomp {
            lacking.push(Layer::Seccomp.refused("the kernel does not take our filter"));
        }
        if parked.agent.landlock == 0 {
            lacking.push(Layer::Landlock.refused("the kernel does not have it"));
        }
        Ok(lacking)
    }

    /// Makes a sandbox and parks it. Whoever died among those who make it is replaced, once.
    pub async fn make(&self) -> Result<Parked, SandboxError> {
        let staff = self.staff().await?;
        match self.make_by(&staff).await {
            Err(error) if error.is_spurious() => {
                tracing::warn!(%error, "a sandbox was not made; trying once more");
                let staff = self.staff().await?;
                self.make_by(&staff).await
            }
            outcome => outcome,
        }
    }

    async fn make_by(&self, staff: &Arc<Staff>) -> Result<Parked, SandboxError> {
        let making = self.make_in_time(staff);
        match timeout(MAKE_TIMEOUT, making).await {
            Ok(outcome) => outcome,
            Err(_) => Err(SandboxError::Open("it is not set up in time".into())),
        }
    }

    async fn make_in_time(&self, staff: &Arc<Staff>) -> Result<Parked, SandboxError> {
        let jailer = staff.jailer.as_ref().ok_or(SandboxError::Closed)?;
        let (mut ends, [control, status, stdout, stderr]) = Ends::pair()?;
        let group = self.cgroups.create();
        let group = group.map_err(SandboxError::io("make a control group"))?;
        let doors = group.doors();
        let doors = doors.map_err(SandboxError::io("open a control group"))?;
        let init = jailer
            .make(self.outside(), &staff.own, &ends.status, status)
            .await?;
        let life = Life {
            init: init.process,
            group: Arc::new(group),
        };
        let root = self.root();
        let request = ForkRequest {
            root: &root,
            become_other: self.as_root,
        };
        let lines = [&control, &stdout, &stderr, &life.init, &init.burials];
        let descriptors: Vec<_> = lines.into_iter().chain(&doors).map(AsFd::as_fd).collect();
        staff.zygote.fork(&request, &descriptors).await?;
        drop(descriptors);
        drop((control, stdout, stderr, init.burials, doors));
        let agent = greeting(&mut ends).await?;
        Ok(Parked {
            ends,
            life,
            staff: Arc::clone(staff),
            root,
            agent,
            proc: init.proc,
            separated: self.as_root,
            watched: !self.cgroups.has(Controller::Memory),
            counted: self.cgroups.has(Controller::Pids),
        })
    }

    /// Has a sandbox forked that is not isolated, behind `far`, by a request that names its folder.
    pub async fn fork_bare<T: Serialize>(
        &self,
        request: &T,
        far: &[OwnedFd; 4],
    ) -> Result<(), SandboxError> {
        let staff = self.staff().await?;
        staff
            .zygote
            .fork(request, &far.each_ref().map(AsFd::as_fd))
            .await
    }

    /// The process that sandboxes are forked from, while it runs.
    pub async fn process_id(&self) -> Option<u32> {
        match &*self.state.lock().await {
            State::Running(staff) => staff.zygote.pid(),
            _ => None,
        }
    }

    /// The process that makes namespaces, while it runs.
    pub async fn jailer_id(&self) -> Option<u32> {
        match &*self.state.lock().await {
            State::Running(staff) => staff.jailer.as_ref().and_then(Jailer::pid),
            _ => None,
        }
    }

    /// Ends the processes and waits for them; nothing is made after.
    pub async fn close(&self) {
        let state = std::mem::replace(&mut *self.state.lock().await, State::Closed);
        if let State::Running(staff) = state
            && let Some(staff) = Arc::into_inner(staff)
        {
            staff.zygote.close().await;
        }
    }

    /// Those who make sandboxes, started if they are not running.
    async fn staff(&self) -> Result<Arc<Staff>, SandboxError> {
        let mut state = self.state.lock().await;
        match &*state {
            State::Closed => return Err(SandboxError::Closed),
            State::Running(staff) if staff.is_alive() => return Ok(Arc::clone(staff)),
            State::Running(_) => {
                tracing::warn!("a process that makes sandboxes is gone; starting it anew");
            }
            State::Stopped => {}
        }
        *state = State::Stopped;
        let staff = Arc::new(self.start().await?);
        *state = State::Running(Arc::clone(&staff));
        Ok(staff)
    }

    async fn start(&self) -> Result<Staff, SandboxError> {
        let root = self.root();
        let jailer = if self.setup.isolate {
            Some(Jailer::start(self.as_root).await?)
        } else {
            None
        };
        let namespace = jailer.as_ref().and_then(|jailer| jailer.namespace.as_ref());
        let log = self.scratch.join("zygote.log");
        let zygote = Zygote::start(&self.environment, self.setup, namespace, &log).await?;
        if let Some(jailer) = &jailer {
            jailer
                .lay_out(&root::skeleton(&root, &zygote.folders))
                .await?;
        }
        Ok(Staff {
            own: root::own(&root, &zygote.folders),
            zygote,
            jailer,
        })
    }

    fn root(&self) -> PathBuf {
        self.scratch.join("root")
    }

    /// Two user ids that no other sandbox has, if we may hand them out.
    fn outside(&self) -> Option<u32> {
        let number = self.made.fetch_add(2, Ordering::Relaxed);
        let ours = std::process::id() << 12;
        self.as_root
            .then(|| OUTSIDE_IDS + ours.wrapping_add(number) % OUTSIDE_COUNT)
    }
}

impl Parked {
    /// Gives it its data and limits, and lets its agent go. What comes back with the child holds its processes.
    pub async fn hand_out(
        self,
        seed: u64,
        limits: &SandboxLimits,
        files: &[MountedFile],
    ) -> Result<(Child, Life), SandboxError> {
        match timeout(HAND_OUT_TIMEOUT, self.hand_out_in_time(seed, limits, files)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(SandboxError::Open("it is not handed out in time".into())),
        }
    }

    async fn hand_out_in_time(
        mut self,
        seed: u64,
        limits: &SandboxLimits,
        files: &[MountedFile],
    ) -> Result<(Child, Life), SandboxError> {
        let gone = |error| SandboxError::Open(format!("its process 1: {error}"));
        let overhead = root::overhead_bytes(limits) + AGENT_BYTES;
        self.life
            .group
            .limit(limits, overhead)
            .map_err(SandboxError::io("set the limits of a control group"))?;
        let steps = root::for_task(&self.root, limits, files);
        let mut orders = Vec::new();
        for part in steps.parts() {
            orders.extend(message(b'o', &part));
        }
        let watched_bytes = if self.watched { limits.memory_bytes } else { 0 };
        let task = format!(
            "{}\0{watched_bytes}\0{}\0/workspace\0",
            self.agent.pid,
            u8::from(self.separated)
        );
        orders.extend(message(b'g', task.as_bytes()));
        self.ends.status.write_all(&orders).await.map_err(gone)?;
        let (_, descriptors) = report(&self.ends.status, &steps).await?;
        let workspace = descriptors.into_iter().next().map(Arc::new);
        let hello = Hello {
            version: frame::VERSION,
            proc: self.proc,
            seccomp: self.agent.seccomp,
            error: None,
            layer: None,
        };
        let witness = GroupWitness {
            group: Arc::clone(&self.life.group),
            workspace: workspace.clone(),
        };
        let mut child = Child::assemble(self.ends, workspace, hello);
        child.witness = Box::new(witness);
        let task = Task {
            seed,
            memory_bytes: limits.memory_bytes,
            workspace_bytes: limits.workspace_bytes,
            output_bytes: limits.output_bytes,
            // A refusal by the group is told apart from other errors, so it comes first.
            processes: limits.processes + if self.counted { SPARE_PROCESSES } else { 0 },
        };
        child.tell(&task).await.map_err(gone)?;
        tracing::trace!(landlock = self.agent.landlock, "handed a sandbox out");
        Ok((child, self.life))
    }

    /// Whether those who made it still live: an agent's end is told by them.
    pub fn is_fresh(&self) -> bool {
        self.staff.is_alive()
    }
}

/// One order to an init: a letter, a length, a body.
fn message(letter: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("a part of a list of steps is short");
    [&[letter], length.to_le_bytes().as_slice(), body].concat()
}

async fn greeting(ends: &mut Ends) -> Result<Greeting, SandboxError> {
    let gone = || SandboxError::Open("the agent ended before it was set up".into());
    let body = FrameReader::default()
        .next(&mut ends.control, 1 << 16)
        .await;
    let greeting: Greeting =
        serde_json::from_slice(&body.map_err(|_| gone())?).map_err(|_| gone())?;
    match (greeting.error, greeting.layer) {
        (Some(missing), Some(layer)) => Err(SandboxError::Isolation {
            remedy: remedy(&layer),
            missing,
        }),
        (Some(error), None) => Err(SandboxError::Open(error)),
        _ if greeting.version != frame::VERSION => Err(SandboxError::Open(
            "it speaks another version of the protocol".into(),
        )),
        _ => Ok(Greeting {
            error: None,
            layer: None,
            ..greeting
        }),
    }
}

/// Whether root here may hand out user ids: not so in a user namespace with a small map.
fn maps_other_users() -> bool {
    let map = fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().map(str::parse::<u64>);
        let (first, _, length) = (numbers.next(), numbers.next(), numbers.next());
        first == Some(Ok(0))
            && length.is_some_and(|length| length.is_ok_and(|length| length >= 1 << 31))
    })
}

/// What may be written to beside the workspace, as it is found from there.
const SCRATCH: [&str; 2] = ["../tmp", "../dev/shm"];

/// Sees what the kernel counts of a sandbox's control group and of its file systems.
struct GroupWitness {
    group: Arc<Group>,
    workspace: Option<crate::files::Workspace>,
}

#[async_trait]
impl Witness for GroupWitness {
    async fn look(&self) -> Seen {
        let events = self.group.events();
        Seen {
            oom_kills: events.oom_kills,
            refused_forks: events.refused_forks,
            memory_peak: events.memory_peak,
            disk_full: self.workspace.as_ref().and_then(any_full),
        }
    }
}

/// Whether the workspace or a scratch folder is full. Their names are not the agent's to change: the root is read-only.
fn any_full(workspace: &crate::files::Workspace) -> Option<bool> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let is_scratch_full = SCRATCH.iter().any(|folder| {
        openat(workspace, *folder, flags, Mode::empty())
            .is_ok_and(|folder| is_full(folder) == Some(true))
    });
    Some(is_full(workspace)? || is_scratch_full)
}
