//! Many sandboxes at once, and very many one after the other: nothing fails and nothing is left behind.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on panics, and one that is long or skipped says so"
)]

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::future::join_all;
use synth_core::CellOutcome;
use synth_core::config::{Preload, SandboxConfig};
use synth_sandbox::{LocalSandboxes, SandboxError, SandboxLimits, SandboxSpec, Sandboxes};
use tokio::sync::Mutex;

mod support;

/// One measures at a time: they count what belongs to this process.
static ALONE: Mutex<()> = Mutex::const_new(());

/// Opened and closed in a row on the local backend, of an interpreter that is bare: what could be left of a sandbox is not what it imports.
const LOCAL_ROW: usize = 10_000;
/// The same with the whole stack, whose pages are most of what such a sandbox costs.
const FULL_ROW: usize = 1_000;
/// A container costs a hundred times as much, nearly all of it in the Engine.
const DOCKER_ROW: usize = 24;
const DOCKER_AT_ONCE: usize = 12;

fn spec() -> SandboxSpec {
    SandboxSpec {
        label: "load".into(),
        seed: 7,
        limits: SandboxLimits {
            cell: Duration::from_secs(60),
            memory_bytes: 512 << 20,
            processes: 32,
            workspace_bytes: 16 << 20,
            ..SandboxLimits::default()
        },
        ..SandboxSpec::default()
    }
}

async fn local(slots: usize, preload: Preload, scratch: &Path) -> Option<LocalSandboxes> {
    let config = SandboxConfig {
        python: std::env::var_os("SYNTH_TEST_PYTHON")
            .map(PathBuf::from)
            .unwrap_or_default(),
        preload,
        ..SandboxConfig::default()
    };
    match LocalSandboxes::start(&config, slots, scratch, &|_| {}).await {
        Ok(sandboxes) => Some(sandboxes),
        Err(error @ SandboxError::Isolation { .. }) => {
            eprintln!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// Opens `count` sandboxes, all of them before any is closed, and runs cells in each.
async fn all_at_once(sandboxes: &dyn Sandboxes, count: usize) {
    let open = AtomicUsize::new(0);
    let work = (0..count).map(|number| {
        let open = &open;
        async move {
            let mut sandbox = sandboxes.open(&spec()).await.unwrap();
            open.fetch_add(1, Ordering::SeqCst);
            let cells = [
                (
                    format!("mine = {number}\nopen('mine', 'w').write(str(mine))\nmine"),
                    format!("{number}"),
                ),
                (
                    "import pandas as pd\nint(pd.Series(range(100)).sum())".to_owned(),
                    "4950".to_owned(),
                ),
            ];
            for (code, expected) in cells {
                let observation = sandbox.execute(&code).await.unwrap().observation;
                assert_eq!(observation.value, Some(expected), "{observation:?}");
            }
            while open.load(Ordering::SeqCst) < count {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let observation = sandbox
                .execute("open('mine').read() == str(mine), mine")
                .await
                .unwrap()
                .observation;
            assert_eq!(observation.outcome, CellOutcome::Ok);
            assert_eq!(
                observation.value,
                Some(format!("(True, {number})")),
                "{observation:?}"
            );
            sandbox.close().await;
        }
    });
    join_all(work).await;
}

/// Opens and closes `count` sandboxes, `lanes` at a time, with a cell in each.
async fn in_a_row(sandboxes: &dyn Sandboxes, count: usize, lanes: usize) {
    let next = AtomicUsize::new(0);
    let lane = async || {
        while next.fetch_add(1, Ordering::SeqCst) < count {
            let mut sandbox = sandboxes.open(&spec()).await.unwrap();
            let observation = sandbox.execute("1 + 1").await.unwrap().observation;
            assert_eq!(observation.value.as_deref(), Some("2"), "{observation:?}");
            sandbox.close().await;
        }
    };
    join_all((0..lanes).map(|_| lane())).await;
}

/// What this process and those below it hold.
#[derive(Debug)]
struct Holdings {
    processes: usize,
    descriptors: usize,
    mounts: usize,
    groups: usize,
    files: usize,
    memory_bytes: u64,
}

impl Holdings {
    /// Counted once the last sandbox is gone, which the kernel does a little after it was told to.
    async fn of(scratch: &Path) -> Self {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        let family = family();
        let field = |pid: &u32, name: &str| -> u64 {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
            let line = status
                .lines()
                .find_map(|line| line.strip_prefix(name).map(str::to_owned));
            line.and_then(|line| {
                line.split_whitespace()
                    .next()
                    .map(|number| number.parse().unwrap())
            })
            .unwrap_or(0)
        };
        let count = |path: String| fs::read_dir(path).map_or(0, Iterator::count);
        // The orchestrator and what it forks from; the sandboxes that wait to be handed out come and go.
        let lasting: Vec<u32> = family
            .iter()
            .filter(|(_, depth)| **depth < 2)
            .map(|(pid, _)| *pid)
            .collect();
        Self {
            processes: family.len(),
            descriptors: lasting
                .iter()
                .map(|pid| count(format!("/proc/{pid}/fd")))
                .sum(),
            mounts: fs::read_to_string("/proc/self/mountinfo")
                .unwrap()
                .lines()
                .count(),
            groups: groups(Path::new("/sys/fs/cgroup"), 0),
            files: files(scratch),
            memory_bytes: lasting
                .iter()
                .map(|pid| field(pid, "RssAnon:") * 1024)
                .sum(),
        }
    }

    /// Panics if `after` holds more than this, beyond what an allocator and a pool that refills make up.
    fn assert_not_outgrown(&self, after: &Self, opened: usize) {
        let told = format!("before: {self:?}\nafter {opened} more: {after:?}");
        assert!(
            after.processes <= self.processes + 4,
            "processes are left\n{told}"
        );
        assert!(
            after.descriptors <= self.descriptors + 12,
            "descriptors are left\n{told}"
        );
        assert!(after.mounts <= self.mounts + 2, "mounts are left\n{told}");
        assert!(
            after.groups <= self.groups + 12,
            "control groups are left\n{told}"
        );
        assert!(after.files <= self.files + 12, "files are left\n{told}");
        assert!(
            after.memory_bytes <= self.memory_bytes + (24 << 20),
            "memory is left\n{told}"
        );
    }
}

/// This process and those below it, each with how far below.
fn family() -> HashMap<u32, u32> {
    let mut parents = HashMap::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let stat = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        if let (Ok(pid), Some(Ok(parent))) = (
            entry.file_name().to_string_lossy().parse(),
            fields.get(1).map(|field| field.parse::<u32>()),
        ) {
            parents.insert(pid, parent);
        }
    }
    let mut family = HashMap::from([(std::process::id(), 0)]);
    loop {
        let below: Vec<(u32, u32)> = parents
            .iter()
            .filter(|(pid, _)| !family.contains_key(pid))
            .filter_map(|(pid, parent)| Some((*pid, family.get(parent)? + 1)))
            .collect();
        if below.is_empty() {
            return family;
        }
        family.extend(below);
    }
}

/// The control groups of this process's sandboxes, in all hierarchies.
fn groups(folder: &Path, depth: usize) -> usize {
    if depth > 8 {
        return 0;
    }
    let ours = format!("synth-sandboxes-{}-", std::process::id());
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| {
            let is_ours = entry.path().to_string_lossy().contains(&ours);
            usize::from(is_ours) + groups(&entry.path(), depth + 1)
        })
        .sum()
}

/// Files and folders below `folder`.
fn files(folder: &Path) -> usize {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| {
            1 + if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                files(&entry.path())
            } else {
                0
            }
        })
        .sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_sandboxes_are_open_at_once() {
    let _alone = ALONE.lock().await;
    let scratch = tempfile::tempdir().unwrap();
    let Some(sandboxes) = local(200, Preload::All, scratch.path()).await else {
        return;
    };
    all_at_once(&sandboxes, 200).await;
    sandboxes.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_sandboxes_in_a_row_leave_nothing_behind() {
    let _alone = ALONE.lock().await;
    for (preload, row) in [(Preload::Nothing, LOCAL_ROW), (Preload::All, FULL_ROW)] {
        leaves_nothing_behind(preload, row).await;
    }
}

async fn leaves_nothing_behind(preload: Preload, row: usize) {
    let scratch = tempfile::tempdir().unwrap();
    let Some(sandboxes) = local(4, preload, scratch.path()).await else {
        return;
    };
    in_a_row(&sandboxes, 200, 2).await;
    let before = Holdings::of(scratch.path()).await;
    let started = Instant::now();
    in_a_row(&sandboxes, row, 2).await;
    let rate = row as f64 / started.elapsed().as_secs_f64();
    let after = Holdings::of(scratch.path()).await;
    eprintln!(
        "{row} sandboxes with {preload:?} at {rate:.0} a second; before: {before:?}; after: {after:?}"
    );
    before.assert_not_outgrown(&after, row);
    sandboxes.close().await;
    drop(sandboxes);
    let left = Holdings::of(scratch.path()).await;
    assert_eq!(
        (left.processes, left.groups, left.files),
        (1, 0, 0),
        "{left:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers_at_once_and_in_a_row_leave_nothing_behind() {
    let _alone = ALONE.lock().await;
    let scratch = tempfile::tempdir().unwrap();
    let sandboxes = match support::start_docker(&support::docker_config(), DOCKER_AT_ONCE).await {
        Ok(sandboxes) => sandboxes,
        Err(why) => {
            eprintln!("skipped: {why}");
            return;
        }
    };
    all_at_once(&sandboxes, DOCKER_AT_ONCE).await;
    let before = Holdings::of(scratch.path()).await;
    in_a_row(&sandboxes, DOCKER_ROW, 4).await;
    let after = Holdings::of(scratch.path()).await;
    eprintln!("{DOCKER_ROW} containers; before: {before:?}; after: {after:?}");
    before.assert_not_outgrown(&after, DOCKER_ROW);
    sandboxes.close().await;
}
