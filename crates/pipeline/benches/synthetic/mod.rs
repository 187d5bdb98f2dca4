//! Any number of small items through `each`, and what that takes; shared by the benchmark and a test.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use synth_core::Fingerprint;
use synth_pipeline::{
    Blobs, Cancel, Invocation, Item, Ledger, Mode, Outcome, PartFormat, PartRow, Record, Run,
    Services, Spend, Stage, StageCx, StageError, Summary, WorkError, WrittenPart, run_stages,
};

/// A record of a few dozen bytes.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Small {
    id: String,
    text: String,
}

impl Item for Small {
    fn id(&self) -> String {
        self.id.clone()
    }
}

impl Record for Small {
    fn id(&self) -> String {
        self.id.clone()
    }
}

struct Synthetic {
    items: usize,
}

#[async_trait]
impl Stage<Nothing> for Synthetic {
    fn name(&self) -> &'static str {
        "synthetic"
    }
    fn about(&self) -> &'static str {
        "keeps small items as they are"
    }
    fn reads(&self) -> &'static [&'static str] {
        &[]
    }
    fn makes(&self) -> &'static str {
        "Small"
    }
    fn version(&self) -> u32 {
        1
    }
    fn config_keys(&self) -> &'static [&'static str] {
        &[]
    }
    async fn run(&self, cx: &StageCx<'_, Nothing>) -> Result<Summary, StageError> {
        let items = (0..self.items).map(|n| {
            Ok(Small {
                id: format!("itm_{n:012}"),
                text: format!("the text of item {n}"),
            })
        });
        cx.each(self.items, items, |item| async move {
            Ok::<_, WorkError>(Outcome::kept(item))
        })
        .await
    }
}

struct Nothing;

impl Services for Nothing {
    fn spend(&self) -> Spend {
        Spend::default()
    }
}

/// Counts rows and writes none: what a part file costs is not the question here.
struct Counted;

impl PartFormat for Counted {
    fn write(
        &self,
        _: &Path,
        stem: &str,
        rows: &mut dyn Iterator<Item = Result<PartRow, StageError>>,
    ) -> Result<Vec<WrittenPart>, StageError> {
        let mut count = 0;
        for row in rows {
            row?;
            count += 1;
        }
        let part = WrittenPart {
            path: format!("{stem}.none"),
            rows: count,
            bytes: 0,
            blake3: Fingerprint::of_bytes(b""),
        };
        Ok(if count == 0 { Vec::new() } else { vec![part] })
    }
}

/// Opens the ledger in `folder`, takes `items` items through `each`, closes it, and says how long that took.
pub async fn pass(
    folder: &Path,
    items: usize,
) -> Result<(Summary, Duration), Box<dyn std::error::Error>> {
    let started = Instant::now();
    let ledger = Ledger::open(folder)?;
    let invocation = Invocation {
        run: &Run {
            name: "synthetic".to_owned(),
            folder: folder.join("run"),
            stages: vec!["synthetic"],
            format: Box::new(Counted),
        },
        config: &synth_core::config::load(&[])?,
        services: &Nothing,
        ledger: &ledger,
        blobs: &Blobs::open(&folder.join("data"))?,
        cancel: &Cancel::default(),
        observer: &(),
        mode: Mode::Work,
        limit: None,
        explain: false,
    };
    let stage = Synthetic { items };
    let mut outcomes = run_stages::<Nothing>(&[&stage], &invocation).await;
    if let Some((_, error)) = outcomes.stopped {
        return Err(error.into());
    }
    let summary = outcomes.summaries.remove(0);
    drop(ledger);
    Ok((summary, started.elapsed()))
}

/// The most memory that this process ever had, in bytes.
pub fn peak_memory() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| {
        line.strip_prefix("VmHWM:")?
            .trim()
            .strip_suffix(" kB")?
            .trim()
            .parse::<u64>()
            .ok()
    });
    peak.unwrap_or(0) * 1024
}
