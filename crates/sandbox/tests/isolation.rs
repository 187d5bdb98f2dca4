//! Levels of isolation are held, and control groups do not outlive their owner.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that cannot go on panics, one that is skipped says why, and the killed process tells its parent"
)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use synth_core::config::{Isolation, Preload, SandboxConfig};
use synth_sandbox::isolation::Layer;
use synth_sandbox::{LocalSandboxes, SandboxError, SandboxSpec, Sandboxes, probe};

const SCRATCH: &str = "SYNTH_ISOLATION_SCRATCH";
const BARE: &str = "SYNTH_ISOLATION_BARE";

fn config(isolation: Isolation) -> SandboxConfig {
    let python = std::env::var_os("SYNTH_TEST_PYTHON")
        .map(PathBuf::from)
        .unwrap_or_default();
    SandboxConfig {
        python,
        isolation,
        parked: 1,
        preload: Preload::Pandas,
        ..SandboxConfig::default()
    }
}

async fn start(isolation: Isolation, scratch: &Path) -> Result<LocalSandboxes, SandboxError> {
    LocalSandboxes::start(&config(isolation), 2, scratch, &|_| {}).await
}

/// Our groups that `owner` made, in every hierarchy that can be seen.
fn groups_of(owner: u32) -> Vec<PathBuf> {
    let prefix = format!("synth-sandboxes-{owner}-");
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::from("/sys/fs/cgroup")];
    while let Some(folder) = folders.pop() {
        // Groups of others come and go meanwhile.
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue;
        };
        for entry in entries.flatten() {
            if entry.file_name().to_string_lossy().starts_with(&prefix) {
                found.push(entry.path());
            } else if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            }
        }
    }
    found
}

#[tokio::test]
async fn a_machine_that_reaches_the_strict_level_runs_at_it() {
    let findings = probe::findings(&config(Isolation::Strict)).await;
    let level = findings.iter().find(|finding| finding.name == "isolation");
    let scratch = tempfile::tempdir().unwrap();
    let started = start(Isolation::Strict, scratch.path()).await;
    if !level.unwrap().ok {
        // What the doctor says is what happens.
        let error = started.err().unwrap();
        assert!(matches!(error, SandboxError::Isolation { .. }), "{error}");
        eprintln!("skipped: {error}");
        return;
    }
    let sandboxes = started.unwrap();
    assert!(sandboxes.isolated());
    assert!(!groups_of(std::process::id()).is_empty());
    let mut sandbox = sandboxes.open(&SandboxSpec::default()).await.unwrap();
    let observation = sandbox.execute("6 * 7").await.unwrap().observation;
    assert_eq!(observation.value.as_deref(), Some("42"));
    sandbox.close().await;
    sandboxes.close().await;
}

/// Not a test of its own: the process that the next test kills.
#[tokio::test]
async fn owner_that_is_killed() {
    let Some(scratch) = std::env::var_os(SCRATCH) else {
        return;
    };
    let sandboxes = match start(Isolation::Standard, Path::new(&scratch)).await {
        Ok(sandboxes) => sandboxes,
        Err(error) => {
            eprintln!("skipped: {error}");
            return;
        }
    };
    let mut sandbox = sandboxes.open(&SandboxSpec::default()).await.unwrap();
    let storm =
        "import subprocess\nfor n in range(20): subprocess.Popen(['setsid', 'sleep', '14.1421'])";
    sandbox.execute(storm).await.unwrap();
    println!("ready");
    std::future::pending::<()>().await;
}

#[test]
fn the_groups_of_an_owner_killed_outright_are_gone_after_the_next_start() {
    let scratch = tempfile::tempdir().unwrap();
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "owner_that_is_killed", "--nocapture"])
        .env(SCRATCH, scratch.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let ready = lines.any(|line| line.is_ok_and(|line| line.contains("ready")));
    let made = groups_of(owner.id());
    owner.kill().unwrap();
    owner.wait().unwrap();
    if !ready || made.is_empty() {
        eprintln!("skipped: no control groups here");
        return;
    }
    // Another start, in another folder and by another process, finds them all the same.
    let elsewhere = tempfile::tempdir().unwrap();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let sandboxes = runtime.block_on(start(Isolation::Standard, elsewhere.path()));
    let sandboxes = sandboxes.unwrap();
    assert_eq!(groups_of(owner.id()), [] as [PathBuf; 0]);
    runtime.block_on(sandboxes.close());
}

#[tokio::test]
async fn without_control_groups_strict_is_refused_and_standard_runs() {
    if std::env::var_os(BARE).is_none() {
        // A view of the machine in which none are mounted.
        let name = "without_control_groups_strict_is_refused_and_standard_runs";
        let output = Command::new("unshare")
            .args([
                "--mount",
                "sh",
                "-c",
                "umount -R /sys/fs/cgroup && exec \"$@\"",
                "sh",
            ])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", name, "--nocapture"])
            .env(BARE, "1")
            .output();
        match output {
            Ok(output) if output.status.success() => {}
            Ok(output) => {
                let said =
                    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
                assert!(
                    said.contains("unshare:") || said.contains("umount:"),
                    "{said}"
                );
                eprintln!("skipped: {said}");
            }
            Err(error) => eprintln!("skipped: {error}"),
        }
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let error = start(Isolation::Strict, scratch.path())
        .await
        .err()
        .unwrap();
    let said = error.to_string();
    for part in [
        Layer::Memory.name(),
        Layer::Cpu.name(),
        Layer::Processes.name(),
        "mount -t cgroup2",
        "set `sandbox.isolation = \"standard\"`",
    ] {
        assert!(said.contains(part), "{part}: {said}");
    }
    let sandboxes = match start(Isolation::Standard, scratch.path()).await {
        Ok(sandboxes) => sandboxes,
        Err(error) => return eprintln!("skipped: {error}"),
    };
    let mut sandbox = sandboxes.open(&SandboxSpec::default()).await.unwrap();
    let observation = sandbox.execute("6 * 7").await.unwrap().observation;
    assert_eq!(observation.value.as_deref(), Some("42"));
    sandbox.close().await;
    sandboxes.close().await;
}
