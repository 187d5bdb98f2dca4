//! A world to run stages in: scripted stages, part files of JSON lines, an observer that remembers.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use serde::{Deserialize, Serialize};
use synth_core::{Config, Fingerprint};
use synth_pipeline::{
    Blobs, Cancel, Event, Invocation, Item, Ledger, Mode, Observer, Outcome, Outcomes, PartFormat,
    PartRow, Record, Rejected, Run, Services, Spend, Stage, StageCx, StageError, Summary,
    WorkError, WrittenPart, run_stages,
};

/// What flows through the toy stages.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Thing {
    pub id: String,
    pub text: String,
}

pub fn thing(id: impl Into<String>, text: impl Into<String>) -> Thing {
    Thing {
        id: id.into(),
        text: text.into(),
    }
}

pub fn things(count: usize) -> Vec<Thing> {
    (0..count).map(|n| thing(format!("t{n}"), "text")).collect()
}

impl Item for Thing {
    fn id(&self) -> String {
        self.id.clone()
    }
}

impl Record for Thing {
    fn id(&self) -> String {
        self.id.clone()
    }
}

pub type Worked = Result<Outcome<Thing>, WorkError>;

/// Turns a thing into what its id asks for: `drop…`, `fail…`, `flaky…`, `two…`, or itself.
pub async fn by_name(thing: Thing) -> Worked {
    use synth_core::{FailureKind, RecordError};
    Ok(
        match thing.id.trim_end_matches(|c: char| c.is_ascii_digit()) {
            "drop" => Outcome::dropped("too_small", "it has no rows"),
            "fail" => {
                return Err(RecordError::permanent(
                    FailureKind::Data,
                    "unreadable",
                    "its table does not parse",
                )
                .into());
            }
            "flaky" => {
                return Err(RecordError::spurious(
                    FailureKind::Model,
                    "overloaded",
                    "the endpoint is busy",
                )
                .into());
            }
            "two" => Outcome::Kept {
                records: ["a", "b"]
                    .map(|half| Thing {
                        id: format!("{}{half}", thing.id),
                        text: thing.text.clone(),
                    })
                    .to_vec(),
                rejected: vec![Rejected {
                    id: "third".to_owned(),
                    reason: "malformed".to_owned(),
                    message: "no question".to_owned(),
                }],
            },
            _ => Outcome::kept(thing),
        },
    )
}

/// A stage that does what its script says and remembers what it worked on.
pub struct Toy {
    pub name: &'static str,
    pub reads: &'static [&'static str],
    pub version: u32,
    pub config_keys: &'static [&'static str],
    pub prompts: Vec<&'static str>,
    pub items: Vec<Thing>,
    script: Box<dyn Fn(Thing) -> BoxFuture<'static, Worked> + Send + Sync>,
    worked: Mutex<Vec<String>>,
    running: AtomicUsize,
    pub peak: AtomicUsize,
    /// If set, items come one by one, each after so many were worked on.
    pub comes_after: Option<Vec<usize>>,
    finished: AtomicUsize,
}

impl Toy {
    pub fn source<F, W>(items: Vec<Thing>, script: F) -> Self
    where
        F: Fn(Thing) -> W + Send + Sync + 'static,
        W: Future<Output = Worked> + Send + 'static,
    {
        Self {
            name: "crawl",
            reads: &[],
            version: 1,
            config_keys: &[],
            prompts: Vec::new(),
            items,
            script: Box::new(move |thing| Box::pin(script(thing))),
            worked: Mutex::default(),
            running: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            comes_after: None,
            finished: AtomicUsize::new(0),
        }
    }

    pub fn after(name: &'static str, reads: &'static [&'static str]) -> Self {
        Self {
            name,
            reads,
            ..Self::source(Vec::new(), by_name)
        }
    }

    /// What was worked on since the last call, sorted.
    pub fn worked(&self) -> Vec<String> {
        let mut worked = std::mem::take(&mut *self.worked.lock().unwrap());
        worked.sort();
        worked
    }

    async fn work(&self, thing: Thing) -> Worked {
        self.worked.lock().unwrap().push(thing.id.clone());
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.peak.fetch_max(running, Ordering::SeqCst);
        let worked = (self.script)(thing).await;
        self.running.fetch_sub(1, Ordering::SeqCst);
        self.finished.fetch_add(1, Ordering::SeqCst);
        worked
    }
}

#[async_trait]
impl Stage<Purse> for Toy {
    fn name(&self) -> &'static str {
        self.name
    }
    fn about(&self) -> &'static str {
        "does what its script says"
    }
    fn reads(&self) -> &'static [&'static str] {
        self.reads
    }
    fn makes(&self) -> &'static str {
        "Thing"
    }
    fn version(&self) -> u32 {
        self.version
    }
    fn config_keys(&self) -> &'static [&'static str] {
        self.config_keys
    }
    fn prompts(&self) -> Vec<&'static str> {
        self.prompts.clone()
    }
    async fn run(&self, cx: &StageCx<'_, Purse>) -> Result<Summary, StageError> {
        match self.reads.first() {
            None if self.comes_after.is_some() => {
                let waits = self.comes_after.iter().flatten();
                let items = self.items.iter().cloned().zip(waits);
                let items = futures::stream::iter(items).then(|(thing, wait)| async move {
                    while self.finished.load(Ordering::SeqCst) < *wait {
                        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                    }
                    Ok(thing)
                });
                cx.each_of_stream(self.items.len(), items, |thing| self.work(thing))
                    .await
            }
            None => {
                cx.each(
                    self.items.len(),
                    self.items.iter().cloned().map(Ok),
                    |thing| self.work(thing),
                )
                .await
            }
            Some(input) => {
                let (total, records) = cx.records::<Thing>(input)?;
                cx.each(total, records, |thing| self.work(thing)).await
            }
        }
    }
}

#[derive(Default)]
pub struct Purse;

impl Services for Purse {
    fn spend(&self) -> Spend {
        Spend::default()
    }
}

pub struct JsonLines;

impl PartFormat for JsonLines {
    fn write(
        &self,
        folder: &Path,
        stem: &str,
        rows: &mut dyn Iterator<Item = Result<PartRow, StageError>>,
    ) -> Result<Vec<WrittenPart>, StageError> {
        let (path, mut count) = (format!("{stem}.jsonl"), 0);
        let mut file = BufWriter::new(File::create(folder.join(&path))?);
        for row in rows {
            let PartRow {
                id,
                parent,
                status,
                reason,
                record,
                ..
            } = row?;
            writeln!(
                file,
                "{id} of {parent}: {status} {} {}",
                reason.unwrap_or_default(),
                record.unwrap_or_default()
            )?;
            count += 1;
        }
        file.into_inner()
            .map_err(std::io::IntoInnerError::into_error)?
            .sync_all()?;
        let bytes = fs::read(folder.join(&path))?;
        Ok(vec![WrittenPart {
            path,
            rows: count,
            bytes: bytes.len() as u64,
            blake3: Fingerprint::of_bytes(&bytes),
        }])
    }
}

/// Remembers why items were worked on; cancels once so many items were settled by this invocation.
#[derive(Default)]
pub struct Log {
    pub explained: Mutex<BTreeMap<String, String>>,
    pub settled: Mutex<Vec<String>>,
    /// If set, how many settled items were walked past before the first was worked on to its end.
    pub walked_when_first_worked: Mutex<Option<usize>>,
    pub cancel_after: Mutex<Option<(usize, Cancel)>>,
}

impl Observer for Log {
    fn on(&self, event: &Event) {
        match event {
            Event::Explained { id, why, .. } => {
                self.explained
                    .lock()
                    .unwrap()
                    .insert(id.clone(), why.clone());
            }
            Event::ItemSettled {
                id, earlier: false, ..
            } => {
                self.settled.lock().unwrap().push(id.clone());
                if let Some((left, cancel)) = &mut *self.cancel_after.lock().unwrap() {
                    *left = left.saturating_sub(1);
                    if *left == 0 && !cancel.is_soft() {
                        cancel.escalate();
                    }
                }
            }
            Event::ItemSettled { earlier: true, .. } => {
                if self.settled.lock().unwrap().is_empty()
                    && let Some(walked) = &mut *self.walked_when_first_worked.lock().unwrap()
                {
                    *walked += 1;
                }
            }
            _ => {}
        }
    }
}

/// A folder, a configuration and what was asked for; every run opens the ledger anew, as a new process would.
pub struct World {
    pub folder: tempfile::TempDir,
    pub config: Config,
    pub cancel: Cancel,
    pub log: Arc<Log>,
    pub mode: Mode,
    pub limit: Option<usize>,
}

impl World {
    pub fn new() -> Self {
        let mut config = synth_core::config::load(&[]).unwrap();
        config.jobs.items = 4;
        let folder = tempfile::tempdir().unwrap();
        Self {
            folder,
            config,
            cancel: Cancel::default(),
            log: Arc::default(),
            mode: Mode::Work,
            limit: None,
        }
    }

    pub fn view(&self) -> Run {
        Run {
            name: "nightly".to_owned(),
            folder: self.folder.path().join("nightly"),
            stages: vec!["crawl", "filter", "prepare"],
            format: Box::new(JsonLines),
        }
    }

    pub async fn run(&self, stages: &[&Toy]) -> Outcomes {
        let ledger = Ledger::open(self.folder.path()).unwrap();
        self.run_with(&ledger, stages).await
    }

    pub async fn run_with(&self, ledger: &Ledger, stages: &[&Toy]) -> Outcomes {
        self.log.explained.lock().unwrap().clear();
        self.log.settled.lock().unwrap().clear();
        let blobs = Blobs::open(&self.folder.path().join("data")).unwrap();
        let stages: Vec<&dyn Stage<Purse>> =
            stages.iter().map(|toy| *toy as &dyn Stage<Purse>).collect();
        let invocation = Invocation {
            run: &self.view(),
            config: &self.config,
            services: &Purse,
            ledger,
            blobs: &blobs,
            cancel: &self.cancel,
            observer: &*self.log,
            mode: self.mode,
            limit: self.limit,
            explain: true,
        };
        run_stages(&stages, &invocation).await
    }

    /// Runs stages that are expected to end, and returns their accounts.
    pub async fn ended(&self, stages: &[&Toy]) -> Vec<Summary> {
        let outcomes = self.run(stages).await;
        assert!(
            outcomes.stopped.is_none(),
            "stopped: {:?}",
            outcomes.stopped
        );
        assert!(outcomes.summaries.iter().all(Summary::is_balanced));
        outcomes.summaries
    }

    /// The lines of a part file of the run.
    pub fn part(&self, stage: &str, stem: &str) -> Vec<String> {
        let path = self
            .view()
            .stage_folder(stage)
            .join(format!("{stem}.jsonl"));
        fs::read_to_string(path)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect()
    }

    /// The ids of the records that the run shows of a stage.
    pub fn kept(&self, stage: &str) -> Vec<String> {
        self.part(stage, "part")
            .iter()
            .map(|line| line.split(' ').next().unwrap().to_owned())
            .collect()
    }

    pub fn why(&self, id: &str) -> Option<String> {
        self.log.explained.lock().unwrap().get(id).cloned()
    }
}
