//! Nothing outlives its owner, and what dies early is healed: processes of the local backend, counted from outside.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a test that cannot go on panics, one that is skipped says why, and the killed process tells its child"
)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use synth_core::CellOutcome;
use synth_core::config::{Isolation, Preload, SandboxBackend, SandboxConfig};
use synth_sandbox::{
    LocalSandboxes, MountedFile, SandboxError, SandboxLimits, SandboxSpec, Sandboxes, probe,
};

const SCRATCH: &str = "SYNTH_LIFETIME_SCRATCH";
const WEAK: &str = "SYNTH_LIFETIME_WEAK";

fn config(isolation: Isolation) -> SandboxConfig {
    let python = std::env::var_os("SYNTH_TEST_PYTHON")
        .map(PathBuf::from)
        .unwrap_or_default();
    SandboxConfig {
        backend: SandboxBackend::Local,
        python,
        cache: PathBuf::new(),
        isolation,
        preload: Preload::Pandas,
        ..SandboxConfig::default()
    }
}

fn spec() -> SandboxSpec {
    SandboxSpec {
        label: "lifetime".into(),
        seed: 0,
        limits: SandboxLimits {
            cell: Duration::from_secs(20),
            memory_bytes: 1 << 30,
            output_bytes: 10_000,
            workspace_bytes: 1 << 20,
            ..SandboxLimits::default()
        },
        ..SandboxSpec::default()
    }
}

async fn start(scratch: &Path) -> Option<LocalSandboxes> {
    start_with(scratch, 2).await
}

/// With so many sandboxes made ahead.
async fn start_with(scratch: &Path, parked: usize) -> Option<LocalSandboxes> {
    let config = SandboxConfig {
        parked,
        ..config(Isolation::Standard)
    };
    match LocalSandboxes::start(&config, 2, scratch, &|_| {}).await {
        Ok(sandboxes) => Some(sandboxes),
        Err(error @ SandboxError::Isolation { .. }) => {
            eprintln!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

/// All processes: id, parent, command line.
fn processes() -> Vec<(u32, u32, String)> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else {
            continue;
        };
        let Ok(stat) = fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        let fields: Vec<&str> = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .collect();
        let command = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        if fields[0] != "Z" {
            found.push((
                pid,
                fields[1].parse().unwrap(),
                String::from_utf8_lossy(&command).into_owned(),
            ));
        }
    }
    found
}

fn children(parent: u32) -> usize {
    processes()
        .iter()
        .filter(|(_, its_parent, _)| *its_parent == parent)
        .count()
}

fn wait_until(what: &str, done: impl Fn() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < Duration::from_secs(5), "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[tokio::test]
async fn closing_leaves_nothing_running() {
    let scratch = tempfile::tempdir().unwrap();
    let Some(sandboxes) = start_with(scratch.path(), 0).await else {
        return;
    };
    let zygote = sandboxes.process_id().await.unwrap();
    let mut sandbox = sandboxes.open(&spec()).await.unwrap();
    sandbox.execute("import subprocess\nfor n in range(3): subprocess.Popen(['setsid', 'sleep', '31.4159'])").await.unwrap();
    let sleepers = || {
        processes()
            .iter()
            .filter(|(_, _, command)| command.contains("31.4159"))
            .count()
    };
    wait_until("the sleepers run", || sleepers() == 3);
    assert_eq!(children(zygote), 1);
    sandbox.close().await;
    wait_until("the sandbox's processes are gone", || {
        sleepers() == 0 && children(zygote) == 0
    });
    // One that is dropped rather than closed goes too.
    drop(sandboxes.open(&spec()).await.unwrap());
    wait_until("the dropped sandbox is gone", || children(zygote) == 0);
    sandboxes.close().await;
    assert!(!processes().iter().any(|(pid, _, _)| *pid == zygote));
    drop(sandboxes);
    assert_eq!(
        fs::read_dir(scratch.path()).unwrap().count(),
        0,
        "the scratch folder is empty again"
    );
}

#[tokio::test]
async fn a_zygote_that_dies_is_started_anew_and_living_sandboxes_go_on() {
    let scratch = tempfile::tempdir().unwrap();
    let Some(sandboxes) = start(scratch.path()).await else {
        return;
    };
    let mut sandbox = sandboxes.open(&spec()).await.unwrap();
    sandbox.execute("x = 41").await.unwrap();
    let zygote = sandboxes.process_id().await.unwrap();
    assert!(
        Command::new("kill")
            .args(["-9", &zygote.to_string()])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(
        sandbox
            .execute("x + 1")
            .await
            .unwrap()
            .observation
            .value
            .as_deref(),
        Some("42")
    );
    let mut other = sandboxes.open(&spec()).await.unwrap();
    assert_eq!(
        other
            .execute("1 + 1")
            .await
            .unwrap()
            .observation
            .value
            .as_deref(),
        Some("2")
    );
    // What is made ahead fills itself up again, by a new one.
    while sandboxes.process_id().await.is_none_or(|now| now == zygote) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    other.close().await;
    sandbox.close().await;
    sandboxes.close().await;
}

#[tokio::test]
async fn a_jailer_that_dies_is_started_anew_and_living_sandboxes_go_on() {
    let scratch = tempfile::tempdir().unwrap();
    let Some(sandboxes) = start(scratch.path()).await else {
        return;
    };
    let mut sandbox = sandboxes.open(&spec()).await.unwrap();
    sandbox.execute("x = 41").await.unwrap();
    let jailer = sandboxes.jailer_id().await.unwrap();
    assert!(
        Command::new("kill")
            .args(["-9", &jailer.to_string()])
            .status()
            .unwrap()
            .success()
    );
    assert_eq!(
        sandbox
            .execute("x + 1")
            .await
            .unwrap()
            .observation
            .value
            .as_deref(),
        Some("42")
    );
    let mut other = sandboxes.open(&spec()).await.unwrap();
    assert_eq!(
        other
            .execute("1 + 1")
            .await
            .unwrap()
            .observation
            .value
            .as_deref(),
        Some("2")
    );
    // What is made ahead fills itself up again, by a new one.
    while sandboxes.jailer_id().await.is_none_or(|now| now == jailer) {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    other.close().await;
    sandbox.close().await;
    sandboxes.close().await;
}

#[tokio::test]
async fn the_same_code_gives_the_same_bytes_in_two_backends() {
    let code = "import pandas as pd, warnings\nwarnings.warn('w')\nprint(hash('x'), {'b', 'a', 'c'})\npd.DataFrame()['missing']";
    let mut seen = Vec::new();
    for _ in 0..2 {
        let scratch = tempfile::tempdir().unwrap();
        let Some(sandboxes) = start_with(scratch.path(), 0).await else {
            return;
        };
        let mut sandbox = sandboxes.open(&spec()).await.unwrap();
        let observation = sandbox.execute(code).await.unwrap().observation;
        seen.push((observation.outcome, observation.stdout, observation.stderr));
        sandbox.close().await;
        sandboxes.close().await;
    }
    assert_eq!(seen[0], seen[1]);
    assert!(!format!("{seen:?}").contains(".cache"), "{seen:?}");
}

/// Not a test of its own: the process that the next test kills.
#[tokio::test]
async fn owner_that_is_killed() {
    let Some(scratch) = std::env::var_os(SCRATCH) else {
        return;
    };
    let Some(sandboxes) = start(Path::new(&scratch)).await else {
        return;
    };
    let mut sandbox = sandboxes.open(&spec()).await.unwrap();
    let code =
        "import subprocess\nsubprocess.Popen(['setsid', 'sleep', '27.1828'])\nwhile True: pass";
    let interrupter = sandbox.interrupter();
    let tell = async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        interrupter.clone().interrupt(); // a second handle is held for ever: it must keep nothing alive
        println!("zygote={}", sandboxes.process_id().await.unwrap());
        std::future::pending::<()>().await;
    };
    let run = async {
        loop {
            sandbox.execute(code).await.unwrap();
        }
    };
    tokio::join!(run, tell);
}

#[test]
fn an_owner_killed_outright_takes_everything_with_it_and_its_scratch_is_swept() {
    let scratch = tempfile::tempdir().unwrap();
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "owner_that_is_killed", "--nocapture"])
        .env(SCRATCH, scratch.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines();
    let zygote = lines
        .map_while(Result::ok)
        .find_map(|line| Some(line.split_once("zygote=")?.1.trim().parse::<u32>().unwrap()));
    let Some(zygote) = zygote else {
        owner.wait().unwrap();
        return; // skipped there, with the reason
    };
    let sleepers = || {
        processes()
            .iter()
            .filter(|(_, _, command)| command.contains("27.1828"))
            .count()
    };
    wait_until("the sleeper runs", || sleepers() > 0);
    owner.kill().unwrap();
    owner.wait().unwrap();
    wait_until("everything is gone", || {
        sleepers() == 0 && !processes().iter().any(|(pid, _, _)| *pid == zygote)
    });
    assert_eq!(
        fs::read_dir(scratch.path()).unwrap().count(),
        2,
        "a folder and its lock are left"
    );
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let sandboxes = runtime.block_on(start(scratch.path())).unwrap();
    assert_eq!(
        fs::read_dir(scratch.path()).unwrap().count(),
        2,
        "only our own are there"
    );
    runtime.block_on(sandboxes.close());
}

#[tokio::test]
async fn the_doctor_names_every_layer() {
    let findings = probe::findings(&config(Isolation::Standard)).await;
    let names: Vec<&str> = findings
        .iter()
        .map(|finding| finding.name.as_str())
        .collect();
    let layers = [
        "python",
        "python packages",
        "user namespace",
        "mount namespace",
        "pid namespace",
        "network namespace",
        "ipc namespace",
        "uts namespace",
        "seccomp",
        "landlock",
        "memory cgroup",
        "cpu cgroup",
        "pids cgroup",
        "isolation",
    ];
    // Hosts of containers may follow.
    assert_eq!(names[..layers.len()], layers);
    assert!(
        findings
            .iter()
            .all(|finding| finding.ok || (!finding.detail.is_empty() && finding.remedy.is_some())),
        "{findings:?}"
    );
}

#[tokio::test]
async fn without_isolation_code_runs_under_resource_limits() {
    let scratch = tempfile::tempdir().unwrap();
    // A user namespace in which no further ones are allowed is a kernel that refuses.
    let Some(scratch_path) = std::env::var_os(WEAK) else {
        let limited = "echo 0 > /proc/sys/user/max_user_namespaces && exec \"$@\"";
        let output = Command::new("unshare")
            .args([
                "--user",
                "--map-root-user",
                "--mount",
                "--pid",
                "--fork",
                "--mount-proc",
                "sh",
                "-c",
                limited,
                "sh",
            ])
            .arg(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "without_isolation_code_runs_under_resource_limits",
                "--nocapture",
            ])
            .env(WEAK, scratch.path())
            .output();
        match output {
            Ok(output) if output.status.success() => {}
            Ok(output) if String::from_utf8_lossy(&output.stderr).contains("unshare") => {
                eprintln!("skipped: no `unshare` here");
            }
            Ok(output) => panic!(
                "{}",
                String::from_utf8_lossy(&[output.stdout, output.stderr].concat())
            ),
            Err(error) => eprintln!("skipped: {error}"),
        }
        return;
    };
    let scratch = Path::new(&scratch_path);
    let refused = LocalSandboxes::start(&config(Isolation::Standard), 1, scratch, &|_| {}).await;
    let error = refused.err().unwrap();
    assert!(
        matches!(error, SandboxError::Isolation { .. })
            && error
                .to_string()
                .contains("set `sandbox.isolation = \"weak\"`"),
        "{error}"
    );

    let findings = probe::findings(&config(Isolation::Standard)).await;
    let said = |name: &str| {
        let finding = findings
            .iter()
            .find(|finding| finding.name == name)
            .unwrap();
        (
            finding.ok,
            finding.needed,
            finding.remedy.clone().unwrap_or_default(),
        )
    };
    let (ok, needed, remedy) = said("user namespace");
    assert!(
        !ok && needed && remedy.contains("user.max_user_namespaces=15000"),
        "{remedy}"
    );
    let (ok, needed, remedy) = said("isolation");
    assert!(
        !ok && needed && remedy.contains("isolation = \"weak\""),
        "{remedy}"
    );

    let sandboxes = LocalSandboxes::start(&config(Isolation::Weak), 1, scratch, &|_| {})
        .await
        .unwrap();
    assert!(!sandboxes.isolated());
    let data = scratch.join("data.csv");
    fs::write(&data, "1,2").unwrap();
    let files = vec![MountedFile {
        path: "data.csv".into(),
        host_path: data,
    }];
    let mut sandbox = sandboxes
        .open(&SandboxSpec {
            files,
            limits: SandboxLimits {
                cell: Duration::from_secs(1),
                ..spec().limits
            },
            ..spec()
        })
        .await
        .unwrap();
    let observation = sandbox
        .execute("open('made', 'w').write('x'); print(open('data/data.csv').read())")
        .await
        .unwrap()
        .observation;
    assert_eq!(observation.stdout, "1,2\n", "{observation:?}");
    assert_eq!(sandbox.read_file("made", 10).await.unwrap(), b"x");
    let deaf = "import signal, subprocess\nsubprocess.Popen(['setsid', 'sleep', '16.1803'])\n\
                signal.signal(signal.SIGINT, signal.SIG_IGN)\nwhile True: pass";
    let observation = sandbox.execute(deaf).await.unwrap().observation;
    assert_eq!(
        observation.outcome,
        CellOutcome::Timeout { state_kept: false }
    );
    assert!(
        !processes()
            .iter()
            .any(|(_, _, command)| command.contains("16.1803"))
    );
    let observation = sandbox
        .execute("import os\nos._exit(4)")
        .await
        .unwrap()
        .observation;
    assert_eq!(
        observation.outcome,
        CellOutcome::Died {
            how: "exit code 4".into()
        }
    );
    sandbox.close().await;
    sandboxes.close().await;
}
