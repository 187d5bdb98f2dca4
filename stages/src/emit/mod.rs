//! `emit`: the dataset. Conversations to learn from (`sft`) and prompts with checkable answers (`rl`), train and eval apart,
//! with a card that says what they are.

mod card;
mod rows;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::path::Path;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use synth_core::config::Config;
use synth_core::{Fingerprint, Judgement, Selection, Split, Task, Trajectory};
use synth_dataset::{DatasetWriter, RlRow, Row, SftRow, WriteError, WrittenFile};
use synth_pipeline::{Index, Item, Outcome, Record, Stage, StageError, Summary};

use crate::filter::FilteredSource;
use crate::select::Duplicate;
use crate::services::Services;
use crate::target::{self, Target, Targets};
use crate::{Cx, prompts, select};
use card::Statistics;

/// The stage.
pub struct Emit;

/// A row of the dataset, by name: its content is rebuilt from the records that it names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmittedRow {
    /// The row's id.
    pub id: String,
    /// `sft` or `rl`.
    pub config: String,
    /// Its split.
    pub split: Split,
}

impl Record for EmittedRow {
    fn id(&self) -> String {
        self.id.clone()
    }
}

/// What became of the dataset, beside its files: `dataset/statistics.json`.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct DatasetSummary {
    /// The fingerprint of the rows and of how they are written.
    pub view: String,
    /// Rows by config and split.
    pub rows: BTreeMap<String, BTreeMap<String, u64>>,
    /// The data files.
    pub files: Vec<WrittenFile>,
}

impl DatasetSummary {
    /// What a dataset's folder says of itself, if it says anything.
    pub fn read(dataset: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(dataset.join("statistics.json")).ok()?).ok()
    }
}

/// A row to be, with all that it is made of.
#[derive(Serialize)]
enum Candidate {
    Sft(Box<rows::Sft>),
    Rl(Box<rows::Rl>),
}

impl Candidate {
    fn id(&self) -> String {
        match self {
            Self::Sft(sft) => sft.trajectory.id.to_string(),
            Self::Rl(rl) => format!("rl_{}", rl.target.id()),
        }
    }

    fn target(&self) -> &Target {
        match self {
            Self::Sft(sft) => &sft.target,
            Self::Rl(rl) => &rl.target,
        }
    }

    fn config(&self) -> &'static str {
        match self {
            Self::Sft(_) => "sft",
            Self::Rl(_) => "rl",
        }
    }

    /// Why this is no row, if it is none.
    fn refusal(&self, held_out: &HashSet<String>) -> Option<(String, String)> {
        let task = &self.target().task;
        if task.split == Split::Train && held_out.contains(task.source_id.as_str()) {
            let message = "a table of its source belongs to a held-out source too";
            return Some(("data_held_out".to_owned(), message.to_owned()));
        }
        let broken = match self {
            Self::Sft(sft) => sft.row().check(),
            Self::Rl(rl) => {
                if let Some(duplicate) = &rl.duplicate {
                    return Some((duplicate.clone(), "another query asks the same".to_owned()));
                }
                if rl.target.query.is_some() && rl.attempts.solved == 0 {
                    return Some((
                        "never_solved".to_owned(),
                        "no independent attempt reached the reference answer".to_owned(),
                    ));
                }
                rl.row(0).check()
            }
        };
        broken
            .err()
            .map(|error| (error.rule.as_str().to_owned(), error.to_string()))
    }
}

impl Item for Candidate {
    fn id(&self) -> String {
        Candidate::id(self)
    }
}

#[async_trait]
impl Stage<Services> for Emit {
    fn name(&self) -> &'static str {
        "emit"
    }

    fn about(&self) -> &'static str {
        "write the Parquet datasets, their card and statistics"
    }

    fn reads(&self) -> &'static [&'static str] {
        &[
            "filter",
            "prepare",
            "queries",
            "trajectories",
            "judge",
            "select",
        ]
    }

    fn makes(&self) -> &'static str {
        "rows"
    }

    fn version(&self) -> u32 {
        1
    }

    fn config_keys(&self) -> &'static [&'static str] {
        &["emit", "run.timings", "select.max_similarity"]
    }

    fn depends_on(&self, config: &Config) -> Fingerprint {
        crate::services::reply_basis(config, "embedder")
    }

    fn prompts(&self) -> Vec<&'static str> {
        vec![
            prompts::AGENT_TAGS.text(),
            prompts::TABLES.text(),
            prompts::SOLVE.text(),
        ]
    }

    async fn run(&self, cx: &Cx<'_>) -> Result<Summary, StageError> {
        let sources = Sources::open(cx).await?;
        let total = cx.listing("select")?.records as usize + target::all(cx)?.1;
        let summary = cx
            .each(total, sources.candidates()?, |candidate| {
                let refusal = candidate.refusal(&sources.held_out);
                async move {
                    Ok(match refusal {
                        Some((reason, message)) => Outcome::dropped(reason, message),
                        None => Outcome::kept(EmittedRow {
                            id: candidate.id(),
                            config: candidate.config().to_owned(),
                            split: candidate.target().task.split,
                        }),
                    })
                }
            })
            .await?;
        if !cx.is_planning() {
            write(cx, &sources)?;
        }
        Ok(summary)
    }
}

/// The records that rows are made of, by reference.
struct Sources<'a> {
    cx: &'a Cx<'a>,
    targets: Targets<'a>,
    trajectories: Index<'a>,
    judgements: Index<'a>,
    attempts: HashMap<String, rows::Attempts>,
    duplicates: HashMap<String, Duplicate>,
    /// Sources to train on that bring a table of a held-out one.
    held_out: HashSet<String>,
}

impl<'a> Sources<'a> {
    async fn open(cx: &'a Cx<'_>) -> Result<Self, StageError> {
        let mut attempts: HashMap<String, rows::Attempts> = HashMap::new();
        for trajectory in cx.records::<Trajectory>("trajectories")?.1 {
            let trajectory = trajectory?;
            let target = trajectory
                .query_id
                .as_ref()
                .map_or(trajectory.task_id.as_str(), synth_core::QueryId::as_str);
            attempts
                .entry(target.to_owned())
                .or_default()
                .add(&trajectory);
        }
        let held_out = held_out(cx)?;
        Ok(Self {
            targets: Targets::open(cx)?,
            trajectories: cx.index::<Trajectory>("trajectories")?,
            judgements: cx.index::<Judgement>("judge")?,
            duplicates: select::duplicates(cx).await?,
            attempts,
            held_out,
            cx,
        })
    }

    /// All rows to be, conversations first, each in the order of its stage.
    fn candidates(
        &self,
    ) -> Result<impl Iterator<Item = Result<Candidate, StageError>> + '_, StageError> {
        let sft = self
            .cx
            .records::<Selection>("select")?
            .1
            .map(|selection| self.sft(&selection?));
        let rl = target::all(self.cx)?.0.map(|target| Ok(self.rl(target?)));
        Ok(sft.chain(rl))
    }

    fn sft(&self, selection: &Selection) -> Result<Candidate, StageError> {
        let trajectory: Trajectory = self.trajectories.get(selection.trajectory_id.as_str())?;
        let judgement: Judgement = self
            .judgements
            .get(&synth_pipeline::judgement_id(&trajectory.id))?;
        let target = self.targets.of(&trajectory)?;
        let attempts = self.attempts(target.id());
        Ok(Candidate::Sft(Box::new(rows::Sft {
            trajectory,
            judgement,
            target,
            attempts,
        })))
    }

    fn rl(&self, target: Target) -> Candidate {
        let attempts = self.attempts(target.id());
        let duplicate = self
            .duplicates
            .get(target.id())
            .map(|duplicate| duplicate.reason.to_owned());
        Candidate::Rl(Box::new(rows::Rl {
            truth: rows::truth(self.cx.blobs, &target),
            scaffold_prompt: rows::system_prompt(&target),
            duplicate,
            target,
            attempts,
        }))
    }

    fn attempts(&self, target: &str) -> rows::Attempts {
        self.attempts.get(target).cloned().unwrap_or_default()
    }
}

/// The sources that share a table with a held-out one. `prepare` puts such sources on one side; this is for a source whose
/// files changed after its side was settled.
fn held_out(cx: &Cx<'_>) -> Result<HashSet<String>, StageError> {
    let mut sides: HashMap<String, Split> = HashMap::new();
    for task in cx.records::<Task>("prepare")?.1 {
        let task = task?;
        sides.insert(task.source_id.to_string(), task.split);
    }
    let mut tables = HashSet::new();
    let mut sources = Vec::new();
    for source in cx.records::<FilteredSource>("filter")?.1 {
        let source = source?;
        if sides.get(&source.id) == Some(&Split::Eval) {
            tables.extend(source.signatures);
        } else {
            sources.push((source.id, source.signatures));
        }
    }
    let shares = |signatures: &[Fingerprint]| signatures.iter().any(|table| tables.contains(table));
    Ok(sources
        .into_iter()
        .filter(|(_, signatures)| shares(signatures))
        .map(|(id, _)| id)
        .collect())
}

/// Writes the dataset beside its place and swaps it in whole; does nothing where it already shows these rows.
fn write(cx: &Cx<'_>, sources: &Sources<'_>) -> Result<(), StageError> {
    let folder = cx.run.folder.join("dataset");
    let listing = cx.listing("emit")?;
    let keys: Vec<&[u8]> = listing
        .keys
        .iter()
        .map(|key| key.as_bytes().as_slice())
        .collect();
    let view =
        Fingerprint::of(&(env!("CARGO_PKG_VERSION"), keys, card::fingerprint(cx)?)).to_string();
    if let Some(summary) = DatasetSummary::read(&folder)
        && summary.view == view
        && folder.join("README.md").is_file()
        && summary.files.iter().all(|file| {
            fs::metadata(folder.join(&file.path)).is_ok_and(|found| found.len() == file.bytes)
        })
    {
        return Ok(());
    }
    let kept: HashSet<String> = cx
        .records::<EmittedRow>("emit")?
        .1
        .map(|row| row.map(|row| row.id))
        .collect::<Result<_, _>>()?;
    let fresh = cx.run.folder.join("dataset.new");
    synth_pipeline::run::remove_folder(&fresh)?;
    fs::create_dir_all(&fresh)?;

    let mut statistics = Statistics::default();
    let mut splits_of: HashMap<String, Split> = HashMap::new();
    let mut writers = Writers::open(cx, &fresh);
    for candidate in sources.candidates()? {
        let candidate = candidate?;
        if !kept.contains(&candidate.id()) {
            continue;
        }
        let task = &candidate.target().task;
        let split = *splits_of
            .entry(task.source_id.to_string())
            .or_insert(task.split);
        if split != task.split {
            return Err(StageError::Files(format!(
                "source `{}` stands in both splits; nothing was written",
                task.slug
            )));
        }
        statistics.add(&candidate);
        writers.push(&candidate)?;
    }
    let files = writers.finish()?;
    let card = card::card(cx, &statistics, &files)?;
    fs::write(fresh.join("README.md"), synth_dataset::render_card(&card))?;
    synth_dataset::write_dataset_info(&fresh)?;
    let summary = DatasetSummary {
        view,
        rows: statistics.rows.clone(),
        files,
    };
    fs::write(
        fresh.join("statistics.json"),
        serde_json::to_vec_pretty(&summary).map_err(std::io::Error::from)?,
    )?;

    let old = cx.run.folder.join("dataset.old");
    synth_pipeline::run::remove_folder(&old)?;
    if folder.exists() {
        fs::rename(&folder, &old)?;
    }
    fs::rename(&fresh, &folder)?;
    synth_pipeline::run::remove_folder(&old)?;
    Ok(())
}

/// A writer for each config and split.
struct Writers {
    sft: BTreeMap<Split, DatasetWriter<SftRow>>,
    rl: BTreeMap<Split, DatasetWriter<RlRow>>,
    rl_rows: BTreeMap<Split, i64>,
}

impl Writers {
    fn open(cx: &Cx<'_>, folder: &Path) -> Self {
        let (options, timings) = (&cx.config.emit, cx.config.run.timings);
        let splits = [Split::Train, Split::Eval];
        Self {
            sft: splits
                .map(|split| {
                    (
                        split,
                        DatasetWriter::create(folder, "sft", split, options).with_timings(timings),
                    )
                })
                .into(),
            rl: splits
                .map(|split| (split, DatasetWriter::create(folder, "rl", split, options)))
                .into(),
            rl_rows: BTreeMap::new(),
        }
    }

    fn push(&mut self, candidate: &Candidate) -> Result<(), StageError> {
        let split = candidate.target().task.split;
        match candidate {
            Candidate::Sft(sft) => self
                .sft
                .get_mut(&split)
                .map(|writer| writer.push(sft.row())),
            Candidate::Rl(rl) => {
                let index = self.rl_rows.entry(split).or_default();
                *index += 1;
                self.rl
                    .get_mut(&split)
                    .map(|writer| writer.push(rl.row(*index - 1)))
            }
        }
        .unwrap_or(Ok(()))
        .map_err(write_error)
    }

    fn finish(self) -> Result<Vec<WrittenFile>, StageError> {
        let mut files = Vec::new();
        for (split, writer) in self.sft {
            files.extend(located("sft", split, writer.finish().map_err(write_error)?));
        }
        for (split, writer) in self.rl {
            files.extend(located("rl", split, writer.finish().map_err(write_error)?));
        }
        Ok(files)
    }
}

/// Files with their path from the dataset's folder.
fn located(config: &str, split: Split, files: Vec<WrittenFile>) -> Vec<WrittenFile> {
    let prefix = format!("data/{config}/{}/", split.as_str());
    let locate = |file: WrittenFile| {
        if file.path.starts_with("data/") {
            file
        } else {
            WrittenFile {
                path: format!("{prefix}{}", file.path),
                ..file
            }
        }
    };
    files.into_iter().map(locate).collect()
}

fn write_error(error: WriteError) -> StageError {
    match error {
        WriteError::Io { path, source } => {
            let StageError::Files(message) = StageError::from(source) else {
                unreachable!("an I/O error is one of files")
            };
            StageError::Files(format!("cannot write `{}`: {message}", path.display()))
        }
        WriteError::Row(error) => StageError::Files(error.to_string()),
    }
}
