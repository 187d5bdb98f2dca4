//! The records of the house, in the order in which they come to be.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Fingerprint, QueryId, SourceId, TaskId, TrajectoryId};

/// Text that chat templates and trainers take for something else than text; no row may hold it.
pub const CONTROL_TOKENS: [&str; 4] = ["<|im_", "<image>", "<video>", "<audio>"];

/// Where a source comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A Kaggle competition.
    Competition,
    /// A Kaggle dataset.
    Dataset,
    /// The tables of an existing benchmark suite, with its questions.
    Suite,
    /// A folder of one's own.
    Folder,
}

impl Origin {
    /// The origin as it stands in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Competition => "competition",
            Self::Dataset => "dataset",
            Self::Suite => "suite",
            Self::Folder => "folder",
        }
    }
}

/// A file known by its content; the bytes lie in the content-addressed store under `blake3`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct DataFile {
    /// The path as the agent sees it, relative, with `/` between its parts.
    pub path: String,
    /// Size in bytes.
    pub bytes: u64,
    /// The hash of the content.
    pub blake3: Fingerprint,
}

/// What may be done with the data.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Licence {
    /// SPDX identifier where there is one, else the name the source gives; `unknown` when it gives none.
    pub name: String,
    /// Whether derived rows that quote the data may be passed on.
    pub redistributable: bool,
}

/// What a source says of itself in prose.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pages {
    /// What this is about.
    pub description: String,
    /// How answers are scored.
    pub evaluation: String,
    /// What the files and columns mean.
    pub data: String,
}

/// What a source offers for prediction, as its owner declared it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The table that holds it, by path.
    pub file: String,
    /// The column to predict.
    pub column: String,
    /// What kind of prediction this is.
    pub kind: TargetKind,
    /// The column that orders the rows; needed for `forecast`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_column: Option<String>,
}

/// The kind of a prediction target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TargetKind {
    /// A label per row.
    Classification,
    /// A number per row.
    Regression,
    /// A number per time step, later than all that is known.
    Forecast,
}

/// A question that a benchmark suite asks about a source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SuiteQuestion {
    /// The suite's own name for it.
    pub original_id: String,
    /// The question.
    pub question: String,
    /// Background, where the suite gives any.
    pub context: String,
    /// How the work is to be done.
    pub constraints: String,
    /// How the answer is to be written.
    pub format: String,
    /// The expected answer: pairs of name and value, as the suite gives them.
    pub answer: Vec<(String, String)>,
    /// Topics.
    pub keywords: Vec<String>,
    /// `easy`, `medium` or `hard`, where the suite says.
    pub level: Option<String>,
}

/// One dataset with what is known about it: the unit of splitting, licensing and filtering.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Source {
    /// The id, over origin and slug.
    pub id: SourceId,
    /// Where it comes from.
    pub origin: Origin,
    /// Its name at the origin.
    pub slug: String,
    /// Its title.
    pub title: String,
    /// Its pages.
    pub pages: Pages,
    /// The metric that the origin names, if any.
    pub metric: Option<String>,
    /// Kaggle's host segment (Featured, Playground, …), if any.
    pub host_segment: Option<String>,
    /// When a competition closes, ISO 8601.
    pub deadline: Option<String>,
    /// Whether a competition still takes submissions.
    pub accepts_submissions: Option<bool>,
    /// Teams on the leaderboard.
    pub team_count: Option<u64>,
    /// What may be done with the data.
    pub licence: Licence,
    /// Whom to name and where it was taken from, in a sentence.
    pub attribution: String,
    /// Topics as the origin names them.
    pub tags: Vec<String>,
    /// The data files, sorted by path.
    pub files: Vec<DataFile>,
    /// What can be predicted.
    pub target: Option<Target>,
    /// Questions that come with the source.
    pub questions: Vec<SuiteQuestion>,
    /// The date of the data: as declared by the source, else its newest file's; ISO 8601.
    pub fetched_at: String,
}

/// What a task asks for: DSGym's analysis and competition, DARE-bench's six.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// Questions about the data, with short answers.
    Analysis,
    /// A Kaggle competition.
    Competition,
    /// Classification by a prescribed workflow.
    ClassIf,
    /// Classification as well as one can.
    ClassMm,
    /// Regression by a prescribed workflow.
    RegIf,
    /// Regression as well as one can.
    RegMm,
    /// Forecasting with the features of the future known.
    TsXf,
    /// Forecasting from the past alone.
    TsCf,
}

impl TaskKind {
    /// The kind as it stands in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Analysis => "analysis",
            Self::Competition => "competition",
            Self::ClassIf => "class_if",
            Self::ClassMm => "class_mm",
            Self::RegIf => "reg_if",
            Self::RegMm => "reg_mm",
            Self::TsXf => "ts_xf",
            Self::TsCf => "ts_cf",
        }
    }
}

/// Which side of the fence a source, and so all that comes of it, stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Split {
    /// To train on.
    Train,
    /// Held out.
    Eval,
}

impl Split {
    /// The split as it stands in records and paths.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Eval => "eval",
        }
    }
}

/// The limits of one trajectory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Assistant turns.
    pub turns: u32,
    /// Wall time of one cell.
    pub cell_seconds: u64,
    /// Wall time of the trajectory's cells together.
    pub total_seconds: u64,
    /// Memory of the sandbox.
    pub memory_bytes: u64,
    /// Output of one cell that is shown; the middle of a longer one is cut out.
    pub output_bytes: u64,
}

/// A name and a value in an answer of the form `@name[value]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyedValue {
    /// The name.
    pub name: String,
    /// The value, as text.
    pub value: String,
}

/// How predictions are scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Unweighted mean of the labels' F1 scores (DARE-bench, class-MM).
    MacroF1,
    /// Coefficient of determination, clipped to 0..1 (DARE-bench, reg-MM, XF, CF).
    ClippedR2,
}

impl Metric {
    /// The metric as it stands in records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::MacroF1 => "macro_f1",
            Self::ClippedR2 => "clipped_r2",
        }
    }
}

/// How an answer becomes a reward: plain data, executed by `synth-score`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Verifier {
    /// Every named value must be there and equal: numbers within a tolerance, all else as trimmed text without case.
    Keyed {
        /// What is expected.
        expected: Vec<KeyedValue>,
        /// Absolute tolerance for numbers.
        abs_tolerance: f64,
        /// Relative tolerance for numbers.
        rel_tolerance: f64,
    },
    /// A CSV file of predictions against hidden truth.
    Predictions {
        /// The file that the agent must write, relative to its workspace.
        file: String,
        /// The hidden truth: a CSV with the id column and the target.
        truth: DataFile,
        /// The column that aligns rows.
        id_column: String,
        /// The column to compare.
        target_column: String,
        /// The metric; its score is the reward.
        metric: Metric,
        /// A reward from here on counts as a success.
        success: f64,
    },
}

/// A measured column of a table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnSummary {
    /// The name as in the file, spaces and all.
    pub name: String,
    /// `integer`, `number`, `boolean`, `date`, `text` or `empty`.
    pub kind: String,
    /// Empty cells.
    pub missing: u64,
    /// Different values; counting stops at 1000.
    pub distinct: u64,
    /// The smallest value, for numbers and dates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<String>,
    /// The largest value, for numbers and dates.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<String>,
    /// The arithmetic mean, for numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mean: Option<f64>,
    /// Up to five of the first different values.
    pub examples: Vec<String>,
}

/// A measured table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TableSummary {
    /// Its path.
    pub path: String,
    /// The text encoding: `utf-8`, `utf-8-sig`, `cp1252`, …, as Python names it.
    pub encoding: String,
    /// The field separator.
    pub separator: String,
    /// Rows without the header.
    pub rows: u64,
    /// The columns in order.
    pub columns: Vec<ColumnSummary>,
}

/// A source made runnable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// The id, over source, kind and what is asked.
    pub id: TaskId,
    /// The source it comes from.
    pub source_id: SourceId,
    /// The source's name, for people.
    pub slug: String,
    /// Where the source comes from.
    pub origin: Origin,
    /// What is asked for.
    pub kind: TaskKind,
    /// What the agent may read, under `data/` in its workspace.
    pub files: Vec<DataFile>,
    /// What the tables hold, measured.
    pub tables: Vec<TableSummary>,
    /// Background that is shown with every question.
    pub context: String,
    /// The question; empty where queries are still to be posed.
    pub prompt: String,
    /// How the work is to be done.
    pub constraints: String,
    /// How the answer is to be written.
    pub answer_format: String,
    /// How an answer becomes a reward; `None` where queries are still to be posed.
    pub verifier: Option<Verifier>,
    /// The limits of a trajectory.
    pub limits: Limits,
    /// Field of knowledge, from the source's tags.
    pub domain: String,
    /// Topics.
    pub keywords: Vec<String>,
    /// `easy`, `medium` or `hard`, where known.
    pub level: Option<String>,
    /// What may be done with the data.
    pub licence: Licence,
    /// The split, by source.
    pub split: Split,
    /// The date of the data, from the source.
    pub created_at: String,
    /// The seed of all that is random about this task.
    pub seed: u64,
}

/// Who wrote something, and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Generator {
    /// The model.
    pub model: String,
    /// The fingerprint of the prompt templates.
    pub prompt: Fingerprint,
    /// The sampling settings that were sent.
    pub sampling: Sampling,
}

/// Sampling settings as sent to a model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sampling {
    /// Temperature; the endpoint's default when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Nucleus mass.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// Tokens of one reply at most.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_tokens: Option<u32>,
    /// The sampling seed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
}

/// One request about a task, which its author has solved.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Query {
    /// The id, over task, question, constraints and answer format.
    pub id: QueryId,
    /// The task it is about.
    pub task_id: TaskId,
    /// The source, for joins without the task.
    pub source_id: SourceId,
    /// The question.
    pub question: String,
    /// How the work is to be done.
    pub constraints: String,
    /// How the answer is to be written.
    pub answer_format: String,
    /// The author's answer, backed by an executed cell.
    pub reference_answer: Vec<KeyedValue>,
    /// The code of the cell whose output holds the answer.
    pub reference_code: String,
    /// Topics.
    pub keywords: Vec<String>,
    /// `easy`, `medium` or `hard`.
    pub level: Option<String>,
    /// The exploration in which it was posed.
    pub explored_in: TrajectoryId,
    /// Who posed it.
    pub generator: Generator,
}

/// Who speaks in a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// The rules.
    System,
    /// The one who asks.
    User,
    /// The agent.
    Assistant,
    /// The sandbox.
    Observation,
}

/// How a cell ended, judged from outside the sandbox.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum CellOutcome {
    /// It ran to its end.
    Ok,
    /// It raised: the name, the message and the cleaned traceback.
    Error {
        /// The exception's type.
        name: String,
        /// Its message.
        message: String,
        /// The traceback, without frames and paths of ours.
        traceback: String,
    },
    /// It ran too long.
    Timeout {
        /// Whether variables are still there.
        state_kept: bool,
    },
    /// It used too much memory.
    OutOfMemory {
        /// Whether variables are still there.
        state_kept: bool,
    },
    /// The process ended.
    Died {
        /// How: `exit code 3`, `signal 11`.
        how: String,
    },
}

/// What came of a cell.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// How it ended.
    #[serde(flatten)]
    pub outcome: CellOutcome,
    /// What it printed.
    pub stdout: String,
    /// What it wrote to standard error, warnings among it.
    pub stderr: String,
    /// The last expression's value, as `IPython` shows it.
    pub value: Option<String>,
    /// Whether anything was cut.
    pub truncated: bool,
    /// Wall time, in milliseconds; 0 where the run does not tell times.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub duration_ms: u64,
    /// The largest resident size so far, in bytes, where it is known and told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_peak_bytes: Option<u64>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// A call of a tool, as a model asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolCall {
    /// The model's id for it.
    pub id: String,
    /// The tool.
    pub name: String,
    /// The arguments, as the text that the model wrote.
    pub arguments: String,
}

/// One message of a trajectory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Turn {
    /// Who speaks.
    pub role: Role,
    /// What is said: for an assistant what the model wrote, cut after its first action; for an observation what the model was told.
    pub content: String,
    /// The code that the agent asked to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The tool call that it came in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tool_call: Option<ToolCall>,
    /// What came of the code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observation: Option<Observation>,
}

/// Which way an agent acts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ScaffoldKind {
    /// `<reasoning>`, `<code>`, `<answer>` (DSGym).
    #[default]
    Tags,
    /// OpenAI function calling with one `python` tool.
    Tools,
}

/// Why a trajectory ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stop {
    /// The agent answered.
    Answered,
    /// Two turns without an action.
    NoAction,
    /// All turns were used.
    MaxTurns,
    /// The conversation grew too long.
    TokenLimit,
    /// The cells together ran too long.
    TimeLimit,
}

/// What a conversation cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens sent.
    pub prompt_tokens: u64,
    /// Tokens received.
    pub completion_tokens: u64,
    /// Tokens sent that the endpoint had cached.
    pub cached_tokens: u64,
    /// US dollars, by the prices in the configuration.
    pub usd: f64,
}

impl std::ops::AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.prompt_tokens += other.prompt_tokens;
        self.completion_tokens += other.completion_tokens;
        self.cached_tokens += other.cached_tokens;
        self.usd += other.usd;
    }
}

/// What a verifier said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The reward, 0 to 1.
    pub reward: f64,
    /// Whether this counts as solved.
    pub success: bool,
    /// Why, in a few words.
    pub reason: String,
}

/// One attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trajectory {
    /// The id, over what was attempted, the sample index, the model and the scaffold.
    pub id: TrajectoryId,
    /// The task.
    pub task_id: TaskId,
    /// The source, for joins without the task.
    pub source_id: SourceId,
    /// The query, where the attempt is at one.
    pub query_id: Option<QueryId>,
    /// Which of the K attempts.
    pub sample_index: u32,
    /// Which way the agent acts.
    pub scaffold: ScaffoldKind,
    /// The model.
    pub model: String,
    /// The sampling settings.
    pub sampling: Sampling,
    /// The conversation, the system turn first.
    pub turns: Vec<Turn>,
    /// The final answer, as written.
    pub answer: Option<String>,
    /// Files that it left, where the verifier asks for any.
    pub artifacts: Vec<DataFile>,
    /// Why it ended.
    pub stop: Stop,
    /// What the verifier said.
    pub score: Score,
    /// What it cost.
    pub usage: Usage,
}

/// A criterion of DSGym's joint query-trajectory validation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Criterion {
    /// The query is clear and can be answered from the data.
    Clarity,
    /// There is something to learn from it.
    EducationalValue,
    /// The data was looked at before conclusions were drawn.
    Exploration,
    /// Errors were noticed and repaired.
    Robustness,
    /// The work does what the query asks.
    Alignment,
    /// The answer is supported by the outputs and consistent with the reference.
    Plausibility,
}

impl Criterion {
    /// All six, in the order in which they are asked for.
    pub const ALL: [Self; 6] = [
        Self::Clarity,
        Self::EducationalValue,
        Self::Exploration,
        Self::Robustness,
        Self::Alignment,
        Self::Plausibility,
    ];

    /// The criterion as it stands in prompts and records.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Clarity => "clarity",
            Self::EducationalValue => "educational_value",
            Self::Exploration => "exploration",
            Self::Robustness => "robustness",
            Self::Alignment => "alignment",
            Self::Plausibility => "plausibility",
        }
    }
}

/// A criterion's grade.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Grade {
    /// Mean over the judge's samples, 1 to 5.
    pub score: f64,
    /// The first sample's rationale.
    pub rationale: String,
}

/// What a judge says of a trajectory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Good to train on.
    Keep,
    /// Not.
    Reject,
}

/// A judged trajectory.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// What was judged.
    pub trajectory_id: TrajectoryId,
    /// The six grades.
    pub criteria: BTreeMap<Criterion, Grade>,
    /// The majority of the samples' verdicts; a tie is a rejection.
    pub verdict: Verdict,
    /// Who judged.
    pub model: String,
    /// How many judgements were asked for and given.
    pub samples: u32,
    /// Agreement between samples, 0 to 1: one minus the mean pairwise difference of grades over its largest possible value.
    pub agreement: f64,
    /// Facts of the execution, counted by code.
    pub facts: ExecutionFacts,
}

/// What code can tell of a trajectory without a model.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExecutionFacts {
    /// Cells run.
    pub cells: u32,
    /// Cells that failed.
    pub failed_cells: u32,
    /// Whether the last cell that ran succeeded.
    pub last_cell_ok: bool,
    /// Whether every value of the answer stands in some cell's output.
    pub answer_in_outputs: bool,
}

/// Whether a trajectory goes into the dataset.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Selection {
    /// What was selected.
    pub trajectory_id: TrajectoryId,
    /// Whether it goes in.
    pub kept: bool,
    /// Why not, or `selected`.
    pub reason: String,
    /// The closest other query or task, where one was close.
    pub nearest: Option<String>,
    /// How close, 0 to 1.
    pub similarity: Option<f64>,
}
