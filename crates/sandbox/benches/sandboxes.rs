//! Drives a backend through the public contract, for `benches/sandbox/run.sh`, which holds its times against baselines.
//!
//!     sandboxes --slots 8 [--set sandbox.key=value]...
//!
//! Says `{}` when the backend stands; from then on an [`Order`] a line on stdin, an answer a line on stdout, both JSON.

use std::io::Write as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};
use synth_core::CellOutcome;
use synth_core::config::{Layer, SandboxConfig, load};
use synth_sandbox::{MountedFile, Sandbox, SandboxSpec, Sandboxes, open_backend};
use tokio::task::JoinSet;
use tokio::time::sleep;

type Measured<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
enum Order {
    /// Sandboxes one after another, each opened, asked for `1+1` and closed, with a pause after each for the pool to fill.
    Open { times: usize, pause_ms: u64 },
    /// Cells one after another in one sandbox.
    Cells { times: usize },
    /// Sandboxes that stay open, each asked for `1+1`, until they are released.
    Hold { count: usize },
    /// Closes them.
    Release,
    /// Sandboxes as fast as so many clients can open and close them.
    Sustain { clients: usize, seconds: f64 },
    /// So many times the same cells, each time in a fresh sandbox.
    Trajectories(Script),
}

#[derive(Deserialize)]
struct Script {
    count: usize,
    clients: usize,
    /// What the cells find as `data/sales.csv`.
    file: PathBuf,
    cells: Vec<String>,
    /// What the last cell prints.
    answer: String,
}

#[tokio::main]
async fn main() -> Measured<()> {
    let (slots, config) = arguments()?;
    let scratch = tempfile::tempdir()?;
    let say = |what: &str| tracing::info!(what);
    let sandboxes = open_backend(&config, slots, scratch.path(), &say).await?;
    tell(&json!({}))?;
    let mut held = Vec::new();
    // This thread is none of the runtime's, so it may wait.
    for line in std::io::stdin().lines() {
        let answer = match serde_json::from_str(&line?)? {
            Order::Open { times, pause_ms } => open(&*sandboxes, times, pause_ms).await?,
            Order::Cells { times } => cells(&*sandboxes, times).await?,
            Order::Hold { count } => {
                for _ in 0..count {
                    held.push(opened(&*sandboxes).await?);
                }
                json!({})
            }
            Order::Release => {
                for sandbox in held.drain(..) {
                    sandbox.close().await;
                }
                json!({})
            }
            Order::Sustain { clients, seconds } => sustain(&sandboxes, clients, seconds).await?,
            Order::Trajectories(script) => trajectories(&sandboxes, script).await?,
        };
        tell(&answer)?;
    }
    sandboxes.close().await;
    Ok(())
}

fn arguments() -> Measured<(usize, SandboxConfig)> {
    let (mut slots, mut layers) = (8, Vec::new());
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        match (word.as_str(), words.next()) {
            ("--slots", Some(value)) => slots = value.parse()?,
            ("--set", Some(value)) => layers.push(Layer::from_argument(&value)?),
            _ => return Err("run it by `benches/sandbox/run.sh`".into()),
        }
    }
    Ok((slots, load(&layers)?.sandbox))
}

fn tell(answer: &Value) -> Measured<()> {
    writeln!(std::io::stdout(), "{answer}")?;
    Ok(())
}

/// A sandbox that has answered `1+1`.
async fn opened(sandboxes: &dyn Sandboxes) -> Measured<Box<dyn Sandbox>> {
    let spec = SandboxSpec {
        label: "bench".into(),
        ..SandboxSpec::default()
    };
    let mut sandbox = sandboxes.open(&spec).await?;
    add(&mut *sandbox).await?;
    Ok(sandbox)
}

async fn add(sandbox: &mut dyn Sandbox) -> Measured<()> {
    let observation = sandbox.execute("1+1").await?.observation;
    match observation.value.as_deref() {
        Some("2") => Ok(()),
        _ => Err(format!("`1+1` gave {observation:?}").into()),
    }
}

async fn open(sandboxes: &dyn Sandboxes, times: usize, pause_ms: u64) -> Measured<Value> {
    let (mut first, mut close) = (Vec::new(), Vec::new());
    for _ in 0..times {
        sleep(Duration::from_millis(pause_ms)).await;
        let begun = Instant::now();
        let sandbox = opened(sandboxes).await?;
        first.push(millis(begun));
        let begun = Instant::now();
        sandbox.close().await;
        close.push(millis(begun));
    }
    Ok(json!({ "first_ms": first, "close_ms": close }))
}

async fn cells(sandboxes: &dyn Sandboxes, times: usize) -> Measured<Value> {
    let mut sandbox = opened(sandboxes).await?;
    let mut taken = Vec::new();
    for _ in 0..times {
        let begun = Instant::now();
        add(&mut *sandbox).await?;
        taken.push(millis(begun));
    }
    sandbox.close().await;
    Ok(json!({ "cell_ms": taken }))
}

async fn sustain(sandboxes: &Arc<dyn Sandboxes>, clients: usize, seconds: f64) -> Measured<Value> {
    let until = Instant::now() + Duration::from_secs_f64(seconds);
    side_by_side(clients, || {
        let sandboxes = Arc::clone(sandboxes);
        async move {
            let mut taken = Vec::new();
            while Instant::now() < until {
                let begun = Instant::now();
                opened(&*sandboxes).await?.close().await;
                taken.push(millis(begun));
            }
            Ok(taken)
        }
    })
    .await
}

async fn trajectories(sandboxes: &Arc<dyn Sandboxes>, script: Script) -> Measured<Value> {
    let script = Arc::new(script);
    let next = Arc::new(AtomicUsize::new(0));
    side_by_side(script.clients, || {
        let (sandboxes, script, next) = (
            Arc::clone(sandboxes),
            Arc::clone(&script),
            Arc::clone(&next),
        );
        async move {
            let mut taken = Vec::new();
            while next.fetch_add(1, Ordering::Relaxed) < script.count {
                let begun = Instant::now();
                trajectory(&*sandboxes, &script).await?;
                taken.push(millis(begun));
            }
            Ok(taken)
        }
    })
    .await
}

/// Has each client do its work, and says how long each piece of it took and how long it was until all were done.
async fn side_by_side<F>(clients: usize, work: impl Fn() -> F) -> Measured<Value>
where
    F: Future<Output = Measured<Vec<f64>>> + Send + 'static,
{
    let begun = Instant::now();
    let mut all = JoinSet::new();
    for _ in 0..clients {
        all.spawn(work());
    }
    let taken: Vec<_> = all.join_all().await.into_iter().collect::<Measured<_>>()?;
    Ok(json!({ "seconds": begun.elapsed().as_secs_f64(), "taken_ms": taken.concat() }))
}

async fn trajectory(sandboxes: &dyn Sandboxes, script: &Script) -> Measured<()> {
    let spec = SandboxSpec {
        label: "bench".into(),
        files: vec![MountedFile {
            path: "sales.csv".into(),
            host_path: script.file.clone(),
        }],
        ..SandboxSpec::default()
    };
    let mut sandbox = sandboxes.open(&spec).await?;
    let mut printed = String::new();
    for cell in &script.cells {
        let observation = sandbox.execute(cell).await?.observation;
        if observation.outcome != CellOutcome::Ok {
            return Err(format!("`{cell}` gave {observation:?}").into());
        }
        printed = observation.stdout;
    }
    sandbox.close().await;
    if printed.trim() == script.answer {
        Ok(())
    } else {
        Err(format!("the last cell printed `{printed}`").into())
    }
}

fn millis(begun: Instant) -> f64 {
    begun.elapsed().as_secs_f64() * 1e3
}
