//! The configuration's types. `configs/default.toml` explains every key; nothing here has a second default.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::{Origin, Sampling, ScaffoldKind, TaskKind};

/// All of it, resolved. Holds names of environment variables, never secrets.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The run as a whole.
    pub run: RunConfig,
    /// How many items are worked on at once.
    pub jobs: JobsConfig,
    /// Spending limits.
    pub budget: BudgetConfig,
    /// Where data comes from, by name.
    pub sources: BTreeMap<String, SourceConfig>,
    /// How Kaggle is asked.
    pub kaggle: KaggleConfig,
    /// Which sources are good enough.
    pub filter: FilterConfig,
    /// How sources become tasks.
    pub prepare: PrepareConfig,
    /// How queries are posed.
    pub queries: QueriesConfig,
    /// How queries are attempted.
    pub trajectories: TrajectoriesConfig,
    /// How attempts are graded.
    pub judge: JudgeConfig,
    /// Which attempts go into the dataset.
    pub select: SelectConfig,
    /// What the dataset looks like.
    pub emit: EmitConfig,
    /// Chat models, by name.
    pub models: BTreeMap<String, ModelConfig>,
    /// Which model plays which role.
    pub roles: RolesConfig,
    /// Where code runs.
    pub sandbox: SandboxConfig,
}

/// The run as a whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// The run's name, a folder under `output`.
    pub name: String,
    /// Where runs and the ledger live.
    pub output: PathBuf,
    /// The seed of all that is random.
    pub seed: u64,
    /// The share of a stage's items, 0 to 1, that may fail before the stage stops.
    pub max_failed: f64,
    /// Whether records tell how long the work took; readings of a clock make no two runs alike.
    pub timings: bool,
    /// A folder whose templates lie over the embedded ones of the same path; none when empty.
    pub prompts: PathBuf,
}

/// How many items are worked on at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JobsConfig {
    /// Items of a stage in flight; 0 means twice the processors.
    pub items: usize,
    /// Sandboxes open at once; 0 means the processors and one.
    pub sandboxes: usize,
}

/// Spending limits, for one invocation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetConfig {
    /// US dollars; 0 means no limit.
    pub usd: f64,
    /// Tokens in and out; 0 means no limit.
    pub tokens: u64,
    /// Bytes downloaded from the origins of data; 0 means no limit.
    pub download_bytes: u64,
}

/// A place data comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum SourceConfig {
    /// The sources that come with `synth`.
    Bundled {
        /// Only these; all when empty.
        #[serde(default)]
        only: Vec<String>,
    },
    /// A folder that is a source, or whose folders are sources.
    Folder {
        /// The folder.
        path: PathBuf,
    },
    /// A benchmark suite in DSGym's unified task format.
    Suite {
        /// A folder or a `.tar.gz`.
        path: PathBuf,
        /// The licence of its data.
        licence: String,
        /// Whether rows that quote its data may be passed on.
        #[serde(default)]
        redistributable: bool,
    },
    /// DARE-bench as it is published: `question_list.json` beside `databases`.
    Dare {
        /// The folder that holds both, or one whose `data/eval` does.
        path: PathBuf,
        /// The licence of its data.
        licence: String,
        /// Whether rows that quote its data may be passed on.
        #[serde(default)]
        redistributable: bool,
        /// Whether all of it is held out, as a benchmark should be.
        #[serde(default = "default_held_out")]
        held_out: bool,
    },
    /// Kaggle competitions.
    KaggleCompetitions(CompetitionSeeds),
    /// Kaggle datasets.
    KaggleDatasets(DatasetSeeds),
}

const fn default_held_out() -> bool {
    true
}

/// Which Kaggle competitions: those named in any of these ways, or, where none is given, those that Kaggle lists.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CompetitionSeeds {
    /// By their names in addresses.
    pub slugs: Vec<String>,
    /// A file with a name a line; `#` begins a comment.
    pub file: PathBuf,
    /// A folder with the CSV files of Meta Kaggle, which lists more than the API and tells of metrics.
    pub meta_kaggle: PathBuf,
    /// Ask Kaggle for its list, too.
    pub list: bool,
    /// Of the list, those that match this text.
    pub search: String,
    /// Of the list, those of this host segment (`PLAYGROUND`, `FEATURED`, …); all when empty.
    pub category: String,
    /// The order of the list (`RECENTLY_CREATED`, `NUMBER_OF_TEAMS`, …); Kaggle's own when empty.
    pub sort: String,
    /// Competitions at most; 0 means all.
    pub max: usize,
}

/// Which Kaggle datasets: those named, or, where none is, those that Kaggle lists.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DatasetSeeds {
    /// By owner and name, as in `owner/name`.
    pub slugs: Vec<String>,
    /// Ask Kaggle for its list, too.
    pub list: bool,
    /// Of the list, those that match this text.
    pub search: String,
    /// Of the list, those with these tags, by Kaggle's numbers.
    pub tag_ids: Vec<u64>,
    /// Of the list, those under such a licence (`CC`, `GPL`, `ODB`, `OTHER`); all when empty.
    pub licence: String,
    /// Of the list, those with such files (`CSV`, `SQLITE`, `JSON`, `PARQUET`); all when empty.
    pub file_type: String,
    /// Of the list, those with at least so many bytes; 0 means any.
    pub min_bytes: u64,
    /// Of the list, those with at most so many bytes; 0 means any.
    pub max_bytes: u64,
    /// The order of the list (`HOTTEST`, `VOTES`, `UPDATED`, `USABILITY`, …); Kaggle's own when empty.
    pub sort: String,
    /// Datasets at most; 0 means all.
    pub max: usize,
}

/// How Kaggle is asked: its address, its limits and how long it is waited for. Credentials never stand here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KaggleConfig {
    /// The API's address where it is not Kaggle's own; none when empty.
    pub host: String,
    /// API calls a minute; 0 means no limit.
    pub requests_per_minute: u32,
    /// API calls in flight.
    pub concurrency: usize,
    /// Downloads in flight.
    pub downloads: usize,
    /// Tries of a call that meets passing faults.
    pub tries: u32,
    /// Seconds that a call is tried for, pauses included.
    pub patience_seconds: u64,
    /// Seconds that a download may go without a new byte.
    pub download_patience_seconds: u64,
    /// Bytes of the disk that a download leaves free.
    pub min_free_bytes: u64,
    /// Bytes that an archive may unpack to.
    pub max_unpacked_bytes: u64,
    /// Files that an archive may hold.
    pub max_unpacked_files: u64,
}

/// Which sources are good enough. Every rule's verdict is recorded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FilterConfig {
    /// All files together, in bytes.
    pub max_bytes: u64,
    /// Rows of the largest table, at least.
    pub min_rows: u64,
    /// Rows of the largest table, at most.
    pub max_rows: u64,
    /// Columns of the widest table, at least.
    pub min_columns: u64,
    /// Columns of the widest table, at most.
    pub max_columns: u64,
    /// File endings of which a source must have at least one.
    pub file_types: Vec<String>,
    /// Licences that are let through, without regard to case; empty means all.
    pub licences: Vec<String>,
    /// What Kaggle competitions are asked besides, before their data is downloaded.
    pub competitions: CompetitionRules,
    /// What Kaggle datasets are asked besides, before their data is downloaded.
    pub datasets: DatasetRules,
}

/// What a Kaggle competition must be like. A rule that is switched off passes all.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompetitionRules {
    /// The day, ISO 8601, after which it closed or will close; any when empty.
    pub closed_after: String,
    /// Whether it must still take submissions.
    pub accepts_submissions: bool,
    /// Whether submissions must be CSV files.
    pub csv_submissions: bool,
    /// All files together, in bytes; 0 means any.
    pub max_bytes: u64,
    /// Whether it must have a leaderboard.
    pub leaderboard: bool,
    /// Whether it must be known if more of its metric is better.
    pub metric_direction: bool,
    /// Competitions that are left out by name; `mle-bench-lite` stands for that benchmark's.
    pub overlap: Vec<String>,
    /// Words that no title and no name may hold, and no tag may be.
    pub words: Vec<String>,
    /// Phrases that no page may hold.
    pub phrases: Vec<String>,
    /// Whether a model is asked what no field tells, of those that pass all rules.
    pub judge: bool,
}

/// What a Kaggle dataset must be like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DatasetRules {
    /// Licences, by SPDX identifier, that are let through; empty means all.
    pub licences: Vec<String>,
    /// File endings of which it must have at least one.
    pub file_types: Vec<String>,
    /// All files together, in bytes, at least.
    pub min_bytes: u64,
    /// All files together, in bytes; 0 means any.
    pub max_bytes: u64,
    /// Files at most; 0 means any.
    pub max_files: u64,
    /// Kaggle's usability rating, 0 to 1, at least.
    pub min_usability: f64,
    /// Characters of its description, at least.
    pub min_description: u64,
    /// Tags of which it must have at least one; empty means any.
    pub tags: Vec<String>,
    /// Tags that it must not have.
    pub refused_tags: Vec<String>,
}

/// How sources become tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PrepareConfig {
    /// The share of sources, 0 to 1, that is held out.
    pub eval_share: f64,
    /// The share of a predicted table's rows, 0 to 1, that becomes the hidden test.
    pub test_share: f64,
    /// Rows of a hidden test, at least.
    pub min_test_rows: u64,
    /// How competitions become tasks.
    pub competitions: CompetitionsConfig,
    /// The limits of a trajectory.
    pub limits: LimitsConfig,
    /// Tasks that a model designs over a table and code checks.
    pub designed: DesignedConfig,
}

/// Tasks that a model designs over a table and code checks: DARE-bench's kinds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DesignedConfig {
    /// Sources of these origins are designed for.
    pub origins: Vec<Origin>,
    /// The kinds that are made.
    pub kinds: Vec<TaskKind>,
    /// Times that a design is asked for again, with what does not hold of it.
    pub retries: u32,
    /// Rows that a table needs to be worth a design.
    pub min_rows: u64,
    /// Rows that are used; of a longer table a sample, of a longer series its end.
    pub max_rows: u64,
    /// Rows to be predicted, at least.
    pub min_test_rows: u64,
    /// Shares of the rows, 0 to 1, one of which becomes a task's test.
    pub test_shares: Vec<f64>,
    /// Gaps that a target or feature may have, as a share of its cells, 0 to 1.
    pub max_missing: f64,
    /// Labels that a target may have, at most.
    pub max_classes: u64,
    /// Rows of a label, at least.
    pub min_class_rows: u64,
    /// Columns to learn from, at most.
    pub max_features: u64,
    /// Series of a table, at most.
    pub max_entities: u64,
    /// Noise rows among the training rows of a prescribed workflow, as a share of the sound ones.
    pub noise_share: f64,
    /// How tables are written, one of these for each task: `csv`, `sqlite`, `parquet`.
    pub formats: Vec<String>,
    /// Workflows that are tried until one separates enough.
    pub variants: u32,
    /// The share, 0 to 1, of disobedient solutions that a prescribed workflow must tell from its own.
    pub min_separated: f64,
    /// How far, from 0 to 1, the best baseline must get above a constant for a task to have anything to learn.
    pub min_signal: f64,
    /// Whether tasks with nothing to learn are left out; else they are marked.
    pub drop_no_signal: bool,
    /// How the designer samples.
    pub sampling: Sampling,
}

/// How competitions become tasks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompetitionsConfig {
    /// Files of a competition, at most.
    pub max_files: u64,
    /// Bytes of a training table, a test table or a sample submission, at most.
    pub max_table_bytes: u64,
    /// Rows that are held back to grade by, at most.
    pub max_test_rows: u64,
    /// Whether agents may also read the competition's own test table.
    pub original_test: bool,
}

/// The limits of a trajectory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LimitsConfig {
    /// Assistant turns.
    pub turns: u32,
    /// Wall time of one cell, in seconds.
    pub cell_seconds: u64,
    /// Wall time of all cells of a trajectory, in seconds.
    pub total_seconds: u64,
    /// Memory of a sandbox, in MiB.
    pub memory_mib: u64,
    /// Output of a cell that a model is shown, in bytes.
    pub output_bytes: u64,
}

/// How queries are posed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QueriesConfig {
    /// Queries that an exploration is asked for.
    pub per_task: u32,
    /// Explorations of each task.
    pub explorations: u32,
    /// How the explorer samples.
    pub sampling: Sampling,
}

/// How queries are attempted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TrajectoriesConfig {
    /// Attempts at each query or task.
    pub attempts: u32,
    /// How agents act.
    pub scaffold: ScaffoldKind,
    /// Tokens of a conversation at most, as the endpoint counts them.
    pub max_tokens: u64,
    /// How the solver samples.
    pub sampling: Sampling,
}

/// How attempts are graded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgeConfig {
    /// Judgements of each trajectory.
    pub samples: u32,
    /// Times a malformed judgement is asked for again.
    pub retries: u32,
    /// Whether attempts that the verifier refused are judged too.
    pub failed_attempts: bool,
    /// How the judge samples.
    pub sampling: Sampling,
}

/// Which attempts go into the dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SelectConfig {
    /// The smallest mean grade, 1 to 5.
    pub min_mean: f64,
    /// The smallest single grade, 1 to 5.
    pub min_grade: f64,
    /// Queries at least this similar, 0 to 1, count as one.
    pub max_similarity: f64,
    /// Trajectories of one query or task, at most.
    pub per_query: u32,
    /// Trajectories of one source, at most.
    pub per_source: u32,
}

/// What the dataset looks like.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EmitConfig {
    /// The dataset's name, for the card.
    pub name: String,
    /// Uncompressed bytes of a row group, about.
    pub row_group_bytes: u64,
    /// Uncompressed bytes of a file, about.
    pub shard_bytes: u64,
}

/// A chat model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelConfig {
    /// Who serves it.
    pub provider: Provider,
    /// The model's name as the endpoint knows it.
    pub model: String,
    /// The endpoint, up to and including `/v1`; for `openai`.
    #[serde(default)]
    pub base_url: String,
    /// The environment variable that holds the key; none is sent when empty.
    #[serde(default)]
    pub api_key_env: String,
    /// Further headers; a value `env:NAME` is read from the environment.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// How structured output is asked for.
    #[serde(default)]
    pub structured: Structured,
    /// Whether the endpoint takes sampling seeds.
    #[serde(default = "default_seeds")]
    pub seeds: bool,
    /// Time without a byte after which a request is given up, in seconds.
    #[serde(default = "default_timeout")]
    pub timeout_seconds: u64,
    /// Tries after the first, for passing faults.
    #[serde(default = "default_retries")]
    pub retries: u32,
    /// Requests in flight, at most.
    #[serde(default = "default_concurrency")]
    pub concurrency: usize,
    /// Requests a minute; 0 means no limit.
    #[serde(default)]
    pub requests_per_minute: u64,
    /// Tokens a minute; 0 means no limit.
    #[serde(default)]
    pub tokens_per_minute: u64,
    /// US dollars for a million tokens sent.
    #[serde(default)]
    pub usd_per_million_prompt: f64,
    /// US dollars for a million tokens received.
    #[serde(default)]
    pub usd_per_million_completion: f64,
    /// For `builtin`: the share of first attempts, 0 to 1, that trip over an error and recover.
    #[serde(default)]
    pub error_rate: f64,
    /// For `builtin`: the share of attempts, 0 to 1, that end in a wrong answer.
    #[serde(default)]
    pub wrong_rate: f64,
    /// For `replay`: the file of exchanges.
    #[serde(default)]
    pub exchanges: PathBuf,
    /// A file that this model's exchanges are written to, to be replayed later; none when empty.
    #[serde(default)]
    pub record: PathBuf,
}

const fn default_seeds() -> bool {
    true
}
const fn default_timeout() -> u64 {
    120
}
const fn default_retries() -> u32 {
    6
}
const fn default_concurrency() -> usize {
    16
}

/// Who serves a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// The embedded teacher.
    Builtin,
    /// Any OpenAI-compatible endpoint.
    Openai,
    /// A file of exchanges.
    Replay,
}

/// How structured output is asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Structured {
    /// By the prompt alone; every endpoint can.
    #[default]
    Prompt,
    /// `response_format: json_object`.
    JsonObject,
    /// `response_format: json_schema`.
    JsonSchema,
}

/// Which model, by its name under `models`, plays which role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RolesConfig {
    /// Explores data and poses queries.
    pub explorer: String,
    /// Attempts queries.
    pub solver: String,
    /// Grades attempts.
    pub judge: String,
    /// Designs tasks over tables.
    pub designer: String,
    /// Embeds queries; empty means lexical similarity.
    pub embedder: String,
}

/// Where code runs.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SandboxConfig {
    /// Which backend.
    pub backend: SandboxBackend,
    /// A Python 3.10+ to build the environment with; found on the PATH when empty.
    pub python: PathBuf,
    /// Where environments are kept; the user's cache folder when empty.
    pub cache: PathBuf,
    /// How much isolation a machine must offer for code to run at all.
    pub isolation: Isolation,
    /// Local sandboxes kept made ahead, no more than can be open at once.
    #[serde(default)]
    pub parked: usize,
    /// What is imported before a sandbox is handed out.
    #[serde(default)]
    pub preload: Preload,
    /// Containers, for the backend of that name.
    pub docker: DockerConfig,
    /// Images besides the default one, by their names.
    #[serde(default)]
    pub images: BTreeMap<String, ImageConfig>,
}

/// How much isolation is demanded; each level demands what the one before it does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// Nothing: whatever there is.
    Weak,
    /// Namespaces, no network, a filter on system calls.
    #[default]
    Standard,
    /// Landlock, and control groups for memory, processor time and processes.
    Strict,
}

impl Isolation {
    /// As it is written in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Weak => "weak",
            Self::Standard => "standard",
            Self::Strict => "strict",
        }
    }
}

/// What is imported before a sandbox is handed out; a cell that needs more imports it itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Preload {
    /// The whole stack: pandas, SciPy, scikit-learn, statsmodels.
    #[default]
    All,
    /// NumPy and pandas.
    Pandas,
    /// What has to be seeded: NumPy.
    Nothing,
}

impl Preload {
    /// As it is written in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Pandas => "pandas",
            Self::Nothing => "nothing",
        }
    }
}

/// A sandbox backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SandboxBackend {
    /// Local Python processes.
    #[default]
    Local,
    /// Docker containers.
    Docker,
}

/// Sandboxes as containers.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DockerConfig {
    /// The Docker Engines; the local one when empty.
    pub hosts: Vec<DockerHost>,
    /// The image's repository name; an image `data` besides the default one is `<name>-data`.
    pub image: String,
    /// The containers' runtime, `runsc` say; the Engine's default when empty.
    pub runtime: String,
    /// Graphics processors that each container gets.
    pub gpus: u32,
    /// Started containers that wait for the next trajectory on the same data, on each host.
    pub warm: usize,
    /// Which of `sandbox.images` a task runs in, by its domain; the default image for all others.
    #[serde(default)]
    pub by_domain: BTreeMap<String, String>,
}

/// A Docker Engine.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum DockerHost {
    /// Where it listens: `unix:///run/docker.sock`, `tcp://host:2375`.
    Url(String),
    /// One that wants to know who asks, or with slots of its own.
    Detailed(DockerEndpoint),
}

impl DockerHost {
    /// The host in full.
    pub fn endpoint(&self) -> DockerEndpoint {
        match self {
            Self::Url(url) => DockerEndpoint {
                url: url.clone(),
                ..DockerEndpoint::default()
            },
            Self::Detailed(endpoint) => endpoint.clone(),
        }
    }
}

/// A Docker Engine in full.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DockerEndpoint {
    /// Where it listens.
    pub url: String,
    /// The certificate of who vouches for it; with `cert` and `key`, the connection is TLS.
    pub ca: PathBuf,
    /// Our certificate.
    pub cert: PathBuf,
    /// Our key.
    pub key: PathBuf,
    /// Containers of trajectories at once; as many as `jobs.sandboxes` when 0.
    pub slots: usize,
}

/// An image with packages besides the pinned ones.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageConfig {
    /// A requirements file with hashes, as `pip install --require-hashes` takes it.
    pub requirements: PathBuf,
}
