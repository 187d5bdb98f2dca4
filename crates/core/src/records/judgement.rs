//! What is said of a trajectory: grades and verdict, and whether it goes into the dataset.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::TrajectoryId;

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
