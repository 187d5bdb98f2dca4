//! What a row holds. JSON columns are text, so that rows of different shapes share a schema.

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;

use crate::check::{self, RowError, Rule};
use crate::{columns, schema};

/// A message: its role (`system`, `user`, `assistant`) and its content.
pub type Message = (String, String);

/// A grade: judge, criterion, score.
pub type JudgeScore = (String, String, f64);

/// Where a row comes from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Provenance {
    /// The query, or the task where there is no query.
    pub query_id: String,
    /// Which kind of origin: `competition`, `dataset`, `suite`, `folder`.
    pub source: String,
    /// The dataset's name at its origin.
    pub dataset_id: Option<String>,
    /// The competition's name.
    pub competition_id: Option<String>,
    /// The licence of the data: SPDX identifier or name.
    pub license: String,
    /// ISO 8601.
    pub created_at: String,
}

/// How a trajectory came to be and what was found about it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Generation {
    /// The model that wrote it.
    pub model: String,
    /// Its sampling settings: the text of a JSON object.
    pub sampling_params: String,
    /// The judges' grades.
    pub judge_scores: Vec<JudgeScore>,
    /// What the verifier gave, 0 to 1.
    pub reward: f64,
    /// The share of attempts at the same query that succeeded, 0 to 1.
    pub pass_rate: Option<f64>,
    /// How many attempts that share is of.
    pub num_samples: i64,
    /// The metric behind the reward.
    pub metric: Option<String>,
    /// Its value.
    pub metric_value: Option<f64>,
    /// Assistant turns.
    pub num_turns: i64,
    /// What tokens were counted with.
    pub tokenizer: Option<String>,
    /// Tokens of the whole conversation.
    pub num_tokens: Option<i64>,
    /// Tokens of the assistant's turns.
    pub num_trainable_tokens: Option<i64>,
    /// Whatever else is known: the text of a JSON object.
    pub metadata: String,
}

/// A conversation to learn from.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SftRow {
    /// Unique in the dataset; the caller sees to that.
    pub id: String,
    /// An optional system message, then user and assistant in turn, the assistant last.
    pub messages: Vec<Message>,
    /// Where it comes from.
    pub provenance: Provenance,
    /// How it came to be.
    pub generation: Generation,
    /// Wall time of the trajectory in seconds; written only by a writer with timings.
    pub wall_seconds: Option<f64>,
}

/// What a trainer passes to the `execute_python` tool when it opens an environment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ToolArguments {
    /// The task.
    pub task_id: String,
    /// The data.
    pub dataset_id: String,
    /// The split.
    pub split: String,
    /// Wall time of one cell in seconds.
    pub timeout_s: i64,
}

/// A prompt with a checkable answer, for reinforcement learning and evaluation.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct RlRow {
    /// Unique in the dataset; the caller sees to that.
    pub id: String,
    /// The name that a trainer picks its reward function by.
    pub data_source: String,
    /// An optional system message, then user and assistant in turn, the user last.
    pub prompt: Vec<Message>,
    /// What it trains, `data_science` say.
    pub ability: String,
    /// The truth as text. It is written three times: `reward_model` (verl), `reward_spec` (`SkyRL`), `answer` (TRL, verifiers).
    pub ground_truth: String,
    /// verl's `reward_model.style`, `rule` say.
    pub reward_style: String,
    /// `SkyRL`'s `reward_spec.method`, `rule` say.
    pub reward_method: String,
    /// `SkyRL`'s environment class.
    pub env_class: String,
    /// Whatever an environment needs: the text of a JSON object.
    pub info: String,
    /// The split, once more for verl.
    pub split: String,
    /// The row's number in its split.
    pub index: i64,
    /// Whether verl hands `tool_arguments` to its tools.
    pub need_tools_kwargs: bool,
    /// What the tool is opened with.
    pub tool_arguments: ToolArguments,
    /// verl's interaction, by name.
    pub interaction: String,
    /// The question alone, for that interaction.
    pub question: String,
    /// The reward function, `package.module:function`.
    pub reward_fn: String,
    /// The metric behind the reward.
    pub metric: String,
    /// Whether more of it is better.
    pub higher_is_better: bool,
    /// Assistant turns at most.
    pub max_turns: i64,
    /// Where it comes from.
    pub provenance: Provenance,
    /// The share of attempts by the reference model that succeeded, 0 to 1.
    pub pass_rate: Option<f64>,
    /// How many attempts that share is of.
    pub num_samples: i64,
    /// Whose attempts those were.
    pub reference_model: Option<String>,
    /// Tokens of the prompt.
    pub num_prompt_tokens: Option<i64>,
    /// Whatever else is known: the text of a JSON object.
    pub metadata: String,
}

/// A row that a [`DatasetWriter`](crate::DatasetWriter) takes.
pub trait Row: Sized {
    /// The row's id.
    fn id(&self) -> &str;

    /// The first rule that the row breaks, if any: what trainers would skip, misread or learn wrongly.
    fn broken_rule(&self) -> Option<Rule>;

    /// About how many bytes the row takes uncompressed.
    fn size(&self) -> usize;

    /// The columns; `timings` adds the wall time where the kind of row has one.
    fn schema(timings: bool) -> SchemaRef;

    /// The columns' content, in the order of `schema`.
    fn columns(rows: &[Self], timings: bool) -> Vec<arrow::array::ArrayRef>;

    /// Checks the row; see [`Rule`] for what can be wrong.
    fn check(&self) -> Result<(), RowError> {
        match self.broken_rule() {
            None => Ok(()),
            Some(rule) => Err(RowError {
                id: self.id().to_owned(),
                rule,
            }),
        }
    }
}

/// Rows as a batch of Arrow columns.
pub fn batch<R: Row>(rows: &[R], timings: bool) -> RecordBatch {
    let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(R::schema(timings), R::columns(rows, timings), &options)
        .expect("the columns are made to the schema")
}

impl Row for SftRow {
    fn id(&self) -> &str {
        &self.id
    }

    fn broken_rule(&self) -> Option<Rule> {
        check::sft(self)
    }

    fn size(&self) -> usize {
        FIXED_SIZE
            + text_size(&self.messages)
            + self.generation.sampling_params.len()
            + self.generation.metadata.len()
            + 40 * self.generation.judge_scores.len()
    }

    fn schema(timings: bool) -> SchemaRef {
        schema::sft(timings)
    }

    fn columns(rows: &[Self], timings: bool) -> Vec<arrow::array::ArrayRef> {
        columns::sft(rows, timings)
    }
}

impl Row for RlRow {
    fn id(&self) -> &str {
        &self.id
    }

    fn broken_rule(&self) -> Option<Rule> {
        check::rl(self)
    }

    fn size(&self) -> usize {
        FIXED_SIZE
            + text_size(&self.prompt)
            + 4 * self.ground_truth.len()
            + self.info.len()
            + self.question.len()
            + self.metadata.len()
    }

    fn schema(_timings: bool) -> SchemaRef {
        schema::rl()
    }

    fn columns(rows: &[Self], _timings: bool) -> Vec<arrow::array::ArrayRef> {
        columns::rl(rows)
    }
}

/// What the short columns of a row take together, about.
const FIXED_SIZE: usize = 400;

fn text_size(messages: &[Message]) -> usize {
    messages
        .iter()
        .map(|(role, content)| role.len() + content.len() + 8)
        .sum()
}
