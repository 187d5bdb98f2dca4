//! A task: a source made runnable, with its limits and the verifier that scores it.

use serde::{Deserialize, Serialize};

use super::{Checks, DataFile, Licence, Origin, Verifier};
use crate::{SourceId, TaskId};

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
    /// Its name within the file, where a file holds several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
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
    /// What belongs to the task and no agent may read, besides the verifier's truth: a reference solution, clean rows.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hidden: Vec<DataFile>,
    /// The parameters that the task was made from, where it was made from any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub design: Option<serde_json::Value>,
    /// What was measured of the task when it was made.
    #[serde(default, skip_serializing_if = "Checks::is_empty")]
    pub checks: Checks,
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
