//! A trajectory: one attempt, turn by turn, with what came of its code and what it cost.

use serde::{Deserialize, Serialize};

use super::{DataFile, Sampling, Score};
use crate::{Fingerprint, QueryId, SourceId, TaskId, TrajectoryId};

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
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum CellOutcome {
    /// It ran to its end.
    #[default]
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
    /// It ran into another limit; what it said of that is in `stderr`.
    Limit {
        /// Which.
        limit: CellLimit,
        /// Whether variables are still there.
        state_kept: bool,
    },
    /// The process ended.
    Died {
        /// How: `exit code 3`, `signal 11`.
        how: String,
    },
}

/// A limit of a sandbox other than time and memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CellLimit {
    /// The workspace, `/tmp` or `/dev/shm` is full.
    Disk,
    /// No further process or thread may be started.
    Processes,
    /// It printed so much that it was stopped.
    Output,
}

/// What a cell showed beside text, an image say.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Display {
    /// Its type, such as `image/png`.
    pub media_type: String,
    /// The hash of its content.
    pub blake3: Fingerprint,
    /// The size of its content.
    pub bytes: u64,
}

/// What came of a cell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// What it showed beside text.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub displays: Vec<Display>,
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
