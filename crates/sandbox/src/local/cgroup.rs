//! Control groups: the kernel counts and bounds what all processes of a sandbox take together, and ends them as one.
//!
//! [`Cgroups::claim`] makes a group of our own in each hierarchy that bounds something, of version 1 or 2, and each sandbox gets a
//! group below it. Ours lies below the group that this process is in, so that whatever bounds us bounds the sandboxes; where version 2
//! forbids that (a group with processes cannot hand controllers on), it lies below the nearest group above that hands them on.
//!
//! A lock on the group's folder says that its owner lives; the kernel lets go of it however the owner dies. Whoever claims next
//! kills and removes the groups whose locks nobody holds.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rustix::fs::{Access, FlockOperation, access, flock, getxattr};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use super::hierarchy::{self, Hierarchy};
use crate::SandboxLimits;
use crate::isolation::{Lacking, Layer};

pub use super::hierarchy::{Controller, Version};

/// How our groups are named; digits follow, so that nothing of anybody else's is taken for one.
const PREFIX: &str = "synth-sandboxes-";
/// Where this process moves when its own group is to hand controllers on.
const LEAF: &str = "synth-orchestrator";
/// How often a leaf is made that somebody else removes.
const LEAF_TRIES: usize = 8;
/// The period over which processor time is counted, in microseconds: the kernel's default.
const CPU_PERIOD: u64 = 100_000;
/// How long the groups of an ending backend may take to become empty.
const END_TIMEOUT: Duration = Duration::from_secs(2);
/// How many backends one process may have at once.
const MAX_NAMES: usize = 256;
/// Groups lie at most this deep; a hierarchy that is deeper is not ours to search.
const MAX_DEPTH: usize = 12;

/// The groups of one backend. Without any hierarchy to be had it still makes groups: they bound nothing.
pub struct Cgroups {
    /// What this machine does not give, and how to get it.
    pub lacking: Vec<Lacking>,
    shared: Arc<Shared>,
}

/// What happened in a group since it was made; nothing where nobody counts it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Events {
    /// Processes that were killed because the group's memory was used up.
    pub oom_kills: Option<u64>,
    /// Processes and threads that were refused because there were too many.
    pub refused_forks: Option<u64>,
    /// The most memory that its processes and files took together, in bytes.
    pub memory_peak: Option<u64>,
}

/// A group of one sandbox; dropping it kills what is left in it and removes it.
pub struct Group {
    name: String,
    shared: Arc<Shared>,
    counters: OnceLock<Counters>,
}

/// The files that count, open: they are read after every cell.
#[derive(Default)]
struct Counters {
    oom_kills: Option<File>,
    refused_forks: Option<File>,
    memory_peak: Option<File>,
}

struct Shared {
    places: Vec<Place>,
    made: AtomicU64,
    /// Groups whose processes were still ending when they were dropped.
    leftovers: Mutex<Vec<PathBuf>>,
}

/// Our group in one hierarchy.
struct Place {
    folder: PathBuf,
    version: Version,
    controllers: Vec<Controller>,
    _lock: OwnedFd,
}

impl Cgroups {
    /// Makes groups of our own wherever we may, after sweeping what dead owners left.
    pub fn claim() -> Self {
        // One at a time: it may move this process, and the next has to see it where it is then.
        static CLAIMING: Mutex<()> = Mutex::new(());
        let _alone = CLAIMING.lock().unwrap_or_else(PoisonError::into_inner);
        let mut hierarchies = hierarchy::find().unwrap_or_default();
        // Where forks can be forbidden comes first: a sweep that kills is then quicker than what it kills.
        hierarchies.sort_by_key(|hierarchy| !hierarchy.controllers.contains(&Controller::Pids));
        let mut places: Vec<Place> = Vec::new();
        let mut refusals = Vec::new();
        for hierarchy in &hierarchies {
            sweep(hierarchy);
            let wanted: Vec<Controller> = Controller::ALL
                .into_iter()
                .filter(|wanted| {
                    !places
                        .iter()
                        .any(|place| place.controllers.contains(wanted))
                })
                .collect();
            match settle(hierarchy, &wanted) {
                Ok(Some(place)) => places.push(place),
                Ok(None) => {}
                Err(error) => refusals.push((hierarchy, error)),
            }
        }
        let lacking = Controller::ALL
            .into_iter()
            .filter(|wanted| {
                !places
                    .iter()
                    .any(|place| place.controllers.contains(wanted))
            })
            .map(|controller| lack(controller, &hierarchies, &refusals))
            .collect();
        let shared = Shared {
            places,
            made: AtomicU64::new(0),
            leftovers: Mutex::default(),
        };
        Self {
            lacking,
            shared: Arc::new(shared),
        }
    }

    /// Through which of the kernel's interfaces groups are bounded in this, if they are.
    pub fn version(&self, controller: Controller) -> Option<Version> {
        let mut places = self.shared.places.iter();
        let place = places.find(|place| place.controllers.contains(&controller))?;
        Some(place.version)
    }

    /// Whether groups are bounded in this.
    pub fn has(&self, controller: Controller) -> bool {
        self.version(controller).is_some()
    }

    /// Makes a group without limits.
    pub fn create(&self) -> io::Result<Group> {
        self.shared.remove_leftovers();
        let number = self.shared.made.fetch_add(1, Ordering::Relaxed);
        let group = Group {
            name: number.to_string(),
            shared: Arc::clone(&self.shared),
            counters: OnceLock::new(),
        };
        for folder in group.folders() {
            fs::create_dir(&folder).map_err(|error| named(&folder, &error))?;
        }
        Ok(group)
    }
}

impl Group {
    /// Sets how much its processes may take together. Files in the sandbox's tmpfs count as memory, and each tmpfs has a bound of its
    /// own, so the group may hold all of them full beside the memory that is the agent's; `overhead_bytes` is for the tmpfs
    /// other than the workspace and for what the agent itself needs.
    pub fn limit(&self, limits: &SandboxLimits, overhead_bytes: u64) -> io::Result<()> {
        let memory = limits
            .memory_bytes
            .saturating_add(limits.workspace_bytes)
            .saturating_add(overhead_bytes)
            .to_string();
        let quota = u64::from(limits.cpu_percent) * CPU_PERIOD / 100;
        for place in &self.shared.places {
            let folder = place.folder.join(&self.name);
            for controller in &place.controllers {
                match (place.version, controller) {
                    (Version::V2, Controller::Memory) => {
                        write(&folder, "memory.max", &memory)?;
                        // A child's end may leave the state alive: not the whole group at once.
                        write(&folder, "memory.oom.group", "0")?;
                        write_if_there(&folder, "memory.swap.max", "0")?;
                    }
                    (Version::V1, Controller::Memory) => {
                        // Memory and swap together may not be bounded lower than memory alone: raise them first, lower them last.
                        let _ = write(&folder, "memory.memsw.limit_in_bytes", &memory);
                        write(&folder, "memory.limit_in_bytes", &memory)?;
                        write_if_there(&folder, "memory.memsw.limit_in_bytes", &memory)?;
                    }
                    (Version::V2, Controller::Cpu) if quota == 0 => {
                        write(&folder, "cpu.max", "max")?;
                    }
                    (Version::V2, Controller::Cpu) => {
                        write(&folder, "cpu.max", &format!("{quota} {CPU_PERIOD}"))?;
                    }
                    (Version::V1, Controller::Cpu) if quota == 0 => {
                        write(&folder, "cpu.cfs_quota_us", "-1")?;
                    }
                    (Version::V1, Controller::Cpu) => {
                        write(&folder, "cpu.cfs_period_us", &CPU_PERIOD.to_string())?;
                        write(&folder, "cpu.cfs_quota_us", &quota.to_string())?;
                    }
                    (_, Controller::Pids) => {
                        write(&folder, "pids.max", &limits.processes.to_string())?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Files through which a process joins the group: it writes `0` to each, while it has one thread. They were opened by us, so it
    /// needs no right of its own. In version 1 a thread that moves itself takes no lock that all forks of the machine wait for;
    /// being moved as a process, or by another, takes it, which costs ten milliseconds at times.
    pub fn doors(&self) -> io::Result<Vec<OwnedFd>> {
        let mut doors = Vec::with_capacity(self.shared.places.len());
        for place in &self.shared.places {
            let file = match place.version {
                Version::V1 => "tasks",
                Version::V2 => "cgroup.procs",
            };
            doors.push(open(&place.folder.join(&self.name), file)?.into());
        }
        Ok(doors)
    }

    /// What happened in the group so far.
    pub fn events(&self) -> Events {
        let counters = self.counters.get_or_init(|| self.counters());
        let read = |file: &Option<File>| {
            let mut bytes = [0; 1024];
            let count = file.as_ref()?.read_at(&mut bytes, 0).ok()?;
            String::from_utf8(bytes[..count].to_vec()).ok()
        };
        Events {
            oom_kills: read(&counters.oom_kills).map(|text| counter(&text, "oom_kill")),
            refused_forks: read(&counters.refused_forks).map(|text| counter(&text, "max")),
            memory_peak: read(&counters.memory_peak).and_then(|text| text.trim().parse().ok()),
        }
    }

    fn counters(&self) -> Counters {
        let mut counters = Counters::default();
        for place in &self.shared.places {
            let folder = place.folder.join(&self.name);
            let open = |file: &str| File::open(folder.join(file)).ok();
            if place.controllers.contains(&Controller::Memory) {
                (counters.oom_kills, counters.memory_peak) = match place.version {
                    Version::V1 => (
                        open("memory.oom_control"),
                        open("memory.max_usage_in_bytes"),
                    ),
                    Version::V2 => (open("memory.events"), open("memory.peak")),
                };
            }
            if place.controllers.contains(&Controller::Pids) {
                counters.refused_forks = open("pids.events");
            }
        }
        counters
    }

    /// Kills every process of the group, those too that are being forked; does not wait for their end.
    pub fn kill(&self) {
        if let Some(place) = self.shared.places.first() {
            kill(&place.folder.join(&self.name));
        }
    }

    fn folders(&self) -> impl Iterator<Item = PathBuf> {
        let places = self.shared.places.iter();
        places.map(|place| place.folder.join(&self.name))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let busy: Vec<PathBuf> = self.folders().filter(|folder| !remove(folder)).collect();
        if !busy.is_empty() {
            self.kill();
        }
        self.shared.leftovers().extend(busy);
        self.shared.remove_leftovers();
    }
}

impl Shared {
    fn leftovers(&self) -> std::sync::MutexGuard<'_, Vec<PathBuf>> {
        // A list of paths is never half-changed.
        self.leftovers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn remove_leftovers(&self) {
        self.leftovers().retain(|folder| !remove(folder));
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let deadline = Instant::now() + END_TIMEOUT;
        for place in &self.places {
            while !remove_tree(&place.folder) && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }
}

/// Makes our group in a hierarchy, for those of the `wanted` controllers that it has.
fn settle(hierarchy: &Hierarchy, wanted: &[Controller]) -> io::Result<Option<Place>> {
    let (base, offered) = match hierarchy.version {
        Version::V1 => (hierarchy.ours.clone(), hierarchy.controllers.clone()),
        Version::V2 => base(hierarchy, wanted)?,
    };
    let controllers: Vec<Controller> = offered
        .into_iter()
        .filter(|offered| wanted.contains(offered))
        .collect();
    if controllers.is_empty() {
        return Ok(None);
    }
    for number in 0..MAX_NAMES {
        let folder = base.join(format!("{PREFIX}{}-{number}", std::process::id()));
        match fs::create_dir(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            made => made.map_err(|error| named(&folder, &error))?,
        }
        // A sweeper may have been quicker between the making and the locking; it then removes what it locked.
        let Some(lock) = lock(&folder) else {
            remove(&folder);
            continue;
        };
        if hierarchy.version == Version::V2 {
            hand_on(&folder, &controllers).inspect_err(|_| {
                remove(&folder);
            })?;
        }
        return Ok(Some(Place {
            folder,
            version: hierarchy.version,
            controllers,
            _lock: lock,
        }));
    }
    Err(io::Error::other(format!(
        "no group of ours can be locked in `{}`",
        base.display()
    )))
}

/// The group of version 2 below which ours can lie, and what it hands on: our own where it may hand controllers on (we move into a
/// leaf of it if we are alone there), else the nearest above that does already. What is not ours is left as it is: when a process
/// anywhere below a unit of systemd's runs out of memory, systemd stops the unit, and this process with it, unless it is delegated.
fn base(hierarchy: &Hierarchy, wanted: &[Controller]) -> io::Result<(PathBuf, Vec<Controller>)> {
    let ours = &hierarchy.ours;
    let handed_on = |folder: &Path| {
        let mut controllers = listed(folder, "cgroup.subtree_control");
        controllers.retain(|controller| wanted.contains(controller));
        controllers
    };
    if may_write(ours) && !ours.ends_with(LEAF) && !kept_by_systemd(hierarchy) {
        let offered: Vec<Controller> = listed(ours, "cgroup.controllers")
            .into_iter()
            .filter(|controller| wanted.contains(controller))
            .collect();
        if handed_on(ours) != offered && hand_on(ours, &offered).is_err() && alone_in(ours) {
            move_into_leaf(ours)?;
            hand_on(ours, &offered)?;
        }
    }
    let mut best = (ours.clone(), Vec::new());
    for folder in ours
        .ancestors()
        .take_while(|folder| folder.starts_with(&hierarchy.top))
    {
        // To move a process one has to be able to write to the group above both ends of its way.
        if may_write(folder) && may_write(&folder.join("cgroup.procs")) {
            let controllers = handed_on(folder);
            if controllers.len() > best.1.len() {
                best = (folder.to_owned(), controllers);
            }
        }
    }
    if best.1.is_empty() && !may_write(ours) {
        access(ours, Access::WRITE_OK).map_err(|error| named(ours, &error.into()))?;
    }
    Ok(best)
}

/// Whether our group is a unit of the system's manager that was not delegated. It marks those that were; users' managers mark nothing.
fn kept_by_systemd(hierarchy: &Hierarchy) -> bool {
    let ours = &hierarchy.ours;
    let is_unit = ours
        .extension()
        .is_some_and(|kind| kind == "service" || kind == "scope");
    let of_a_user = ours
        .strip_prefix(&hierarchy.top)
        .is_ok_and(|path| path.iter().any(is_users_manager));
    let delegated = ["trusted.delegate", "user.delegate"]
        .iter()
        .any(|mark| getxattr(ours, *mark, &mut [0_u8; 8]).is_ok());
    is_unit && !of_a_user && !delegated
}

/// The group of the manager that systemd runs for this user.
fn users_manager(hierarchy: &Hierarchy) -> PathBuf {
    let uid = rustix::process::getuid().as_raw();
    let manager = format!("user.slice/user-{uid}.slice/user@{uid}.service");
    hierarchy.top.join(manager)
}

/// Whether it is the group of the manager that systemd runs for a user: `user@1000.service`.
fn is_users_manager(name: &OsStr) -> bool {
    let name = name.to_str().unwrap_or_default();
    name.starts_with("user@") && name.ends_with(".service")
}

/// Moves this process into a group below its own, so that its own holds no process.
fn move_into_leaf(ours: &Path) -> io::Result<()> {
    let leaf = ours.join(LEAF);
    let mut tries = LEAF_TRIES;
    loop {
        let _ = fs::create_dir(&leaf);
        let moved = write(&leaf, "cgroup.procs", &std::process::id().to_string());
        tries -= 1;
        // A sweeper elsewhere removes a leaf that nobody is in yet.
        if moved.is_ok() || tries == 0 {
            return moved;
        }
    }
}

/// What a machine that does not give `controller` is to be blamed for, and the way out.
fn lack(
    controller: Controller,
    hierarchies: &[Hierarchy],
    refusals: &[(&Hierarchy, io::Error)],
) -> Lacking {
    let name = controller.name();
    let lack = |why: String, remedy: String| Lacking {
        layer: match controller {
            Controller::Memory => Layer::Memory,
            Controller::Cpu => Layer::Cpu,
            Controller::Pids => Layer::Processes,
        },
        why,
        remedy,
    };
    let may_have = |hierarchy: &&Hierarchy| match hierarchy.version {
        Version::V1 => hierarchy.controllers.contains(&controller),
        Version::V2 => listed(&hierarchy.top, "cgroup.controllers").contains(&controller),
    };
    let Some(hierarchy) = hierarchies.iter().find(may_have) else {
        return if hierarchies.is_empty() {
            lack(
                "no control groups are mounted".into(),
                "mount them: `mount -t cgroup2 none /sys/fs/cgroup`".into(),
            )
        } else {
            lack(
                format!("the kernel offers no `{name}` controller here"),
                format!(
                    "in a container, have the host hand it on; else boot with `cgroup_enable={name}`"
                ),
            )
        };
    };
    let refusal = refusals
        .iter()
        .find(|(refusing, _)| *refusing == hierarchy)
        .map(|(_, error)| error);
    if let Some(error) = refusal
        && error.kind() == io::ErrorKind::ReadOnlyFilesystem
    {
        return lack(
            error.to_string(),
            "this is a container: start it with `--privileged`, or with `--cgroupns=host -v /sys/fs/cgroup:/sys/fs/cgroup:rw`"
                .into(),
        );
    }
    let why = refusal.map_or_else(
        || {
            format!(
                "the group `{}` hands no `{name}` on to groups below it",
                hierarchy.ours.display()
            )
        },
        ToString::to_string,
    );
    let ours = hierarchy.ours.display();
    let remedy = match hierarchy.version {
        Version::V1 => {
            let uid = rustix::process::geteuid().as_raw();
            format!(
                "run as root, or have root hand the group over: `sudo chown {uid} {ours} {ours}/cgroup.procs {ours}/tasks`"
            )
        }
        Version::V2 if !Path::new("/run/systemd/system").exists() => format!(
            "give the group's processes a leaf and have it hand controllers on, as root: `mkdir {ours}/init && \
             xargs -rn1 < {ours}/cgroup.procs > {ours}/init/cgroup.procs; echo '+memory +cpu +pids' > {ours}/cgroup.subtree_control`"
        ),
        Version::V2 if rustix::process::geteuid().is_root() => {
            "start it with `systemd-run --scope -p Delegate=yes synth …`, or write `Delegate=yes` into its unit".into()
        }
        Version::V2 if listed(&users_manager(hierarchy), "cgroup.controllers").contains(&controller) => {
            "start it with `systemd-run --user --scope -p Delegate=yes synth …`".into()
        }
        Version::V2 => "have the user's manager get it: `sudo mkdir -p /etc/systemd/system/user@.service.d && printf \
             '[Service]\\nDelegate=cpu memory pids\\n' | sudo tee /etc/systemd/system/user@.service.d/delegate.conf && sudo systemctl \
             daemon-reload`, log in again, and start with `systemd-run --user --scope -p Delegate=yes synth …`"
            .into(),
    };
    lack(why, remedy)
}

/// Kills and removes the groups of dead owners, wherever they lie.
fn sweep(hierarchy: &Hierarchy) {
    let mut folders = vec![(hierarchy.top.clone(), 0)];
    while let Some((folder, depth)) = folders.pop() {
        for child in children(&folder) {
            let name = child.file_name().and_then(|name| name.to_str());
            let number = name.and_then(|name| name.strip_prefix(PREFIX));
            let is_ours = number.is_some_and(|number| {
                number
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || byte == b'-')
            });
            if name == Some(LEAF) {
                // Refused while somebody is in it.
                remove(&child);
            } else if is_ours {
                // Another user's are left to that user: waiting for them to go would be in vain.
                if may_write(&child)
                    && let Some(_lock) = lock(&child)
                {
                    tracing::debug!(path = %child.display(), "sweeping what a dead owner left");
                    let deadline = Instant::now() + END_TIMEOUT;
                    for group in children(&child) {
                        kill(&group);
                    }
                    while !remove_tree(&child) && Instant::now() < deadline {
                        std::thread::sleep(Duration::from_millis(5));
                    }
                }
            } else if depth < MAX_DEPTH {
                folders.push((child, depth + 1));
            }
        }
    }
}

/// The lock of a group that exists and that nobody else holds.
fn lock(folder: &Path) -> Option<OwnedFd> {
    let file = File::open(folder).ok()?;
    flock(&file, FlockOperation::NonBlockingLockExclusive).ok()?;
    let locked = file.metadata().ok()?.ino();
    let there = fs::metadata(folder).ok()?.ino();
    (locked == there).then(|| file.into())
}

/// Kills all that is in one group.
fn kill(folder: &Path) {
    if write(folder, "cgroup.kill", "1").is_ok() {
        return;
    }
    // No new processes: what is listed now is all there will be.
    let _ = write(folder, "pids.max", "0");
    let mut killed = Vec::new();
    // Where forks cannot be forbidden, a storm is chased; the bound is for one that cannot be caught.
    for _ in 0..256 {
        let mut fresh = members(folder);
        fresh.retain(|process| !killed.contains(process));
        if fresh.is_empty() {
            return;
        }
        for process in fresh {
            // Held before it is looked for again: a number that was given to somebody else meanwhile is then not in the group.
            if let Ok(held) = pidfd_open(process, PidfdFlags::empty())
                && members(folder).contains(&process)
            {
                let _ = pidfd_send_signal(held, Signal::KILL);
            }
            killed.push(process);
        }
    }
}

fn members(folder: &Path) -> Vec<Pid> {
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    text.lines()
        .filter_map(|line| Pid::from_raw(line.parse().ok()?))
        .collect()
}

fn children(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

/// Whether the group is gone.
fn remove(folder: &Path) -> bool {
    match fs::remove_dir(folder) {
        Ok(()) => true,
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    }
}

fn remove_tree(folder: &Path) -> bool {
    children(folder).iter().all(|child| remove(child)) && remove(folder)
}

/// Has a group of version 2 hand controllers on to the groups below it.
fn hand_on(folder: &Path, controllers: &[Controller]) -> io::Result<()> {
    let names: Vec<String> = controllers
        .iter()
        .map(|controller| format!("+{}", controller.name()))
        .collect();
    write(folder, "cgroup.subtree_control", &names.join(" "))
}

fn listed(folder: &Path, file: &str) -> Vec<Controller> {
    Controller::named_in(&fs::read_to_string(folder.join(file)).unwrap_or_default())
}

fn alone_in(folder: &Path) -> bool {
    members(folder) == [rustix::process::getpid()]
}

fn may_write(path: &Path) -> bool {
    access(path, Access::WRITE_OK).is_ok()
}

/// The number behind `key` in a file of `key number` lines.
fn counter(text: &str, key: &str) -> u64 {
    text.lines()
        .filter_map(|line| line.split_once(' '))
        .find_map(|(name, number)| (name == key).then(|| number.trim().parse().ok())?)
        .unwrap_or(0)
}

fn open(folder: &Path, file: &str) -> io::Result<File> {
    let path = folder.join(file);
    let opened = OpenOptions::new().write(true).open(&path);
    opened.map_err(|error| named(&path, &error))
}

fn write(folder: &Path, file: &str, text: &str) -> io::Result<()> {
    let written = open(folder, file)?.write_all(text.as_bytes());
    written.map_err(|error| named(&folder.join(file), &error))
}

fn write_if_there(folder: &Path, file: &str, text: &str) -> io::Result<()> {
    match write(folder, file, text) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        written => written,
    }
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("`{}`: {error}", path.display()))
}

#[cfg(test)]
#[expect(clippy::print_stderr, reason = "a test that is skipped says why")]
mod tests {
    use std::process::{Child, Command, Stdio};

    use super::*;

    /// Groups, where this machine gives all there is.
    fn claim() -> Option<Cgroups> {
        let cgroups = Cgroups::claim();
        if cgroups.lacking.is_empty() {
            return Some(cgroups);
        }
        eprintln!("skipped: {:?}", cgroups.lacking);
        None
    }

    fn limits() -> SandboxLimits {
        SandboxLimits {
            memory_bytes: 16 << 20,
            workspace_bytes: 8 << 20,
            cpu_percent: 50,
            processes: 8,
            ..SandboxLimits::default()
        }
    }

    /// A shell that runs `script` once it is in the group.
    fn spawn(group: &Group, script: &str) -> Child {
        let mut child = Command::new("sh")
            .args(["-c", &format!("read line; {script}")])
            .stdin(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        for folder in group.folders() {
            write(&folder, "cgroup.procs", &child.id().to_string()).unwrap();
        }
        drop(child.stdin.take());
        child
    }

    fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
        let started = Instant::now();
        while !done() {
            assert!(started.elapsed() < Duration::from_secs(5), "{what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn is_empty(group: &Group) -> bool {
        group.folders().all(|folder| members(&folder).is_empty())
    }

    #[test]
    fn a_memory_bomb_is_killed_and_counted() {
        let Some(cgroups) = claim() else { return };
        let group = cgroups.create().unwrap();
        group.limit(&limits(), 4 << 20).unwrap();
        let mut bomb = spawn(&group, "exec tail /dev/zero");
        assert!(!bomb.wait().unwrap().success());
        assert_eq!(group.events().oom_kills, Some(1));
        assert!(group.events().memory_peak > Some(16 << 20));
        // Limits can be raised and lowered later.
        let larger = SandboxLimits {
            memory_bytes: 1 << 30,
            cpu_percent: 0,
            ..limits()
        };
        group.limit(&larger, 0).unwrap();
        group.limit(&limits(), 0).unwrap();
    }

    #[test]
    fn processes_beyond_the_limit_are_refused_and_counted() {
        let Some(cgroups) = claim() else { return };
        let group = cgroups.create().unwrap();
        group.limit(&limits(), 0).unwrap();
        assert_eq!(group.events().refused_forks, Some(0));
        let script = "for n in 1 2 3 4 5 6 7 8 9; do sleep 60 & done; wait";
        let mut many = spawn(&group, script);
        wait_until("a fork is refused", || {
            group.events().refused_forks > Some(0)
        });
        group.kill();
        many.wait().unwrap();
        wait_until("the group is empty", || is_empty(&group));
    }

    #[test]
    fn a_fork_storm_ends_whole_and_its_group_is_removed() {
        let Some(cgroups) = claim() else { return };
        let group = cgroups.create().unwrap();
        let roomy = SandboxLimits {
            processes: 200,
            memory_bytes: 1 << 30,
            ..limits()
        };
        group.limit(&roomy, 0).unwrap();
        let mut storm = spawn(&group, "storm() { storm | storm & }; storm; sleep 60");
        wait_until("the storm blows", || group.events().refused_forks > Some(0));
        let folders: Vec<PathBuf> = group.folders().collect();
        drop(group);
        storm.wait().unwrap();
        wait_until("the groups are gone", || {
            cgroups.shared.remove_leftovers();
            folders.iter().all(|folder| !folder.exists())
        });
    }

    #[test]
    fn a_process_joins_through_the_doors() {
        let Some(cgroups) = claim() else { return };
        let group = cgroups.create().unwrap();
        let mut doors = group.doors().unwrap().into_iter().map(Stdio::from);
        let mut next = || doors.next().unwrap_or_else(Stdio::null);
        // It needs no right of its own and no path: three descriptors.
        let mut child = Command::new("sh")
            .args([
                "-c",
                "printf 0 >&0; printf 0 >&1; printf 0 >&2; exec sleep 60",
            ])
            .stdin(next())
            .stdout(next())
            .stderr(next())
            .spawn()
            .unwrap();
        let pid = Pid::from_raw(child.id() as i32).unwrap();
        wait_until("it is in every hierarchy", || {
            group.folders().all(|folder| members(&folder) == [pid])
        });
        group.kill();
        child.wait().unwrap();
    }

    #[test]
    fn what_a_dead_owner_left_is_swept_and_what_a_living_one_has_is_not() {
        let Some(living) = claim() else { return };
        let kept = living.create().unwrap();
        let folders: Vec<PathBuf> = kept.folders().collect();
        // As a dead owner leaves it: nobody holds the lock.
        let mut dead = Vec::new();
        for place in &living.shared.places {
            let folder = place
                .folder
                .with_file_name(format!("{PREFIX}0-{}", std::process::id()));
            fs::create_dir(&folder).unwrap();
            dead.push((lock(&folder), folder));
        }
        let groups: Vec<PathBuf> = dead.iter().map(|(_, folder)| folder.join("0")).collect();
        let mut orphan = Command::new("sleep").arg("60").spawn().unwrap();
        for group in &groups {
            fs::create_dir(group).unwrap();
            write(group, "cgroup.procs", &orphan.id().to_string()).unwrap();
        }
        let dead: Vec<PathBuf> = dead.into_iter().map(|(_, folder)| folder).collect();
        let mut other = Cgroups::claim();
        // A process that another test is about to start holds a copy of the lock until it runs its program.
        wait_until("what is dead is swept", || {
            let is_swept = dead.iter().all(|folder| !folder.exists());
            if !is_swept {
                other = Cgroups::claim();
            }
            is_swept
        });
        assert!(!orphan.wait().unwrap().success());
        assert!(folders.iter().all(|folder| folder.exists()));
        drop(kept);
        drop(living);
        assert!(folders.iter().all(|folder| !folder.exists()));
        assert!(other.create().is_ok());
    }

    #[test]
    fn a_unit_of_systemd_is_left_to_it_unless_it_was_handed_over() {
        let top = tempfile::tempdir().unwrap();
        let kept = |path: &str| {
            let ours = top.path().join(path);
            fs::create_dir_all(&ours).unwrap();
            kept_by_systemd(&Hierarchy {
                version: Version::V2,
                controllers: Vec::new(),
                top: top.path().to_owned(),
                ours,
            })
        };
        assert!(kept("system.slice/synth.service"));
        assert!(kept("system.slice/run-r1.scope"));
        assert!(kept("user.slice/user-0.slice/session-1.scope"));
        // A user's manager does not say; containers and machines without systemd have no units.
        let users = "user.slice/user-1000.slice/user@1000.service/app.slice/run-r1.scope";
        assert!(!kept(users));
        assert!(!kept("docker/4f"));
        assert!(!kept(""));
        let unit = top.path().join("system.slice/synth.service");
        let marked = rustix::fs::setxattr(
            &unit,
            "user.delegate",
            b"1",
            rustix::fs::XattrFlags::empty(),
        );
        // Not every file system takes marks.
        if marked.is_ok() {
            assert!(!kept("system.slice/synth.service"));
        }
    }

    #[test]
    fn events_are_read_in_either_version() {
        let v1 = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
        let v2 = "low 0\nhigh 0\nmax 12\noom 2\noom_kill 3\noom_group_kill 0\n";
        assert_eq!((counter(v1, "oom_kill"), counter(v2, "oom_kill")), (3, 3));
        assert_eq!(counter("max 7\n", "max"), 7);
        assert_eq!(counter("", "max"), 0);
    }

    #[test]
    fn a_lack_says_how_to_get_what_is_missing() {
        let nothing = lack(Controller::Memory, &[], &[]);
        assert!(nothing.remedy.contains("mount -t cgroup2"));
        let v1 = Hierarchy {
            version: Version::V1,
            controllers: vec![Controller::Pids],
            top: "/cg/pids".into(),
            ours: "/cg/pids/mine".into(),
        };
        let hierarchies = [v1];
        let refused = |kind| vec![(&hierarchies[0], io::Error::from(kind))];
        let denied = refused(io::ErrorKind::PermissionDenied);
        let denied = lack(Controller::Pids, &hierarchies, &denied);
        assert!(denied.remedy.contains("chown"), "{denied:?}");
        let read_only = refused(io::ErrorKind::ReadOnlyFilesystem);
        let read_only = lack(Controller::Pids, &hierarchies, &read_only);
        assert!(
            read_only.remedy.contains("--cgroupns=host"),
            "{read_only:?}"
        );
        let absent = lack(Controller::Memory, &hierarchies, &[]);
        assert!(absent.why.contains("no `memory` controller"), "{absent:?}");
    }
}
