//! A query: one request about a task, which its author has solved.

use serde::{Deserialize, Serialize};

use super::KeyedValue;
use crate::{Fingerprint, QueryId, SourceId, TaskId, TrajectoryId};

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
