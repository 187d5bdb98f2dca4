//! Figures of the local backend: `cargo test --release -p synth-sandbox --test figures -- --ignored --nocapture`.

#![expect(
    clippy::print_stdout,
    reason = "a measurement that cannot go on panics, and prints what it finds"
)]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use synth_core::config::{SandboxBackend, SandboxConfig};
use synth_sandbox::{LocalSandboxes, SandboxLimits, SandboxSpec, Sandboxes, environment};

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[tokio::test]
#[ignore = "a measurement"]
async fn figures() {
    let python = std::env::var_os("SYNTH_TEST_PYTHON")
        .map(PathBuf::from)
        .unwrap_or_default();
    let cache = std::env::var_os("SYNTH_TEST_CACHE")
        .map(PathBuf::from)
        .unwrap_or_default();
    let config = SandboxConfig {
        backend: SandboxBackend::Local,
        python,
        cache,
        ..SandboxConfig::default()
    };
    let spec = SandboxSpec {
        label: "figures".into(),
        seed: 0,
        limits: SandboxLimits {
            cell: Duration::from_secs(30),
            memory_bytes: 1 << 30,
            output_bytes: 10_000,
            workspace_bytes: 16 << 20,
            ..SandboxLimits::default()
        },
        ..SandboxSpec::default()
    };
    for _ in 0..2 {
        let started = Instant::now();
        environment::provide(&config, &|_| {}).await.unwrap();
        println!("environment: {:?}", started.elapsed());
    }
    let scratch = tempfile::tempdir().unwrap();
    let started = Instant::now();
    let sandboxes = LocalSandboxes::start(&config, 8, scratch.path(), &|_| {})
        .await
        .unwrap();
    println!("start: {:?}", started.elapsed());

    let (mut opens, mut firsts, mut cells, mut closes) = (vec![], vec![], vec![], vec![]);
    for _ in 0..50 {
        let started = Instant::now();
        let mut sandbox = sandboxes.open(&spec).await.unwrap();
        opens.push(started.elapsed());
        assert_eq!(
            sandbox
                .execute("1+1")
                .await
                .unwrap()
                .observation
                .value
                .as_deref(),
            Some("2")
        );
        firsts.push(started.elapsed());
        for _ in 0..5 {
            let started = Instant::now();
            sandbox.execute("1+1").await.unwrap();
            cells.push(started.elapsed());
        }
        let started = Instant::now();
        sandbox.close().await;
        closes.push(started.elapsed());
    }
    println!(
        "open {:?}, open to first value {:?}",
        median(opens),
        median(firsts)
    );
    println!("cell {:?}, close {:?}", median(cells), median(closes));

    let mut open = Vec::new();
    for _ in 0..8 {
        let mut sandbox = sandboxes.open(&spec).await.unwrap();
        sandbox.execute("1+1").await.unwrap();
        open.push(sandbox);
    }
    let zygote = sandboxes.process_id().await.unwrap();
    let (mut pss, mut dirty) = (0, 0);
    let parents: Vec<(u32, u32)> = std::fs::read_dir("/proc")
        .unwrap()
        .flatten()
        .filter_map(|entry| {
            let stat = std::fs::read_to_string(entry.path().join("stat")).ok()?;
            let parent = stat
                .rsplit(')')
                .next()?
                .split_whitespace()
                .nth(1)?
                .parse()
                .ok()?;
            Some((entry.file_name().to_string_lossy().parse().ok()?, parent))
        })
        .collect();
    let is_below = |pid: u32| {
        let parent = |pid| {
            parents
                .iter()
                .find(|(its, _)| *its == pid)
                .map_or(0, |(_, parent)| *parent)
        };
        parent(pid) == zygote || parent(parent(pid)) == zygote
    };
    for (pid, _) in parents.iter().filter(|(pid, _)| is_below(*pid)) {
        let Ok(text) = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) else {
            continue;
        };
        let field = |name: &str| -> u64 {
            let line = text
                .lines()
                .find(|line| line.starts_with(name))
                .unwrap_or("x 0");
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        pss += field("Pss:");
        dirty += field("Private_Dirty:");
    }
    println!(
        "idle, each of 8: {} kB proportional, {} kB private",
        pss / 8,
        dirty / 8
    );
    for sandbox in open {
        sandbox.close().await;
    }

    for clients in [1, 4] {
        let started = Instant::now();
        let work = (0..clients).map(|_| async {
            for _ in 0..60 / clients {
                let mut sandbox = sandboxes.open(&spec).await.unwrap();
                sandbox.execute("1+1").await.unwrap();
                sandbox.close().await;
            }
        });
        futures::future::join_all(work).await;
        println!(
            "{clients} clients: {:.1} sandboxes a second",
            60.0 / started.elapsed().as_secs_f64()
        );
    }
    sandboxes.close().await;
}
