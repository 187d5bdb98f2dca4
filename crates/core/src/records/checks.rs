//! What was measured of a task when it was made: how far the simplest answers get, and which wrong ones its verifier tells apart.

use serde::{Deserialize, Serialize};

/// Measurements of a task. All empty where none were made.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Checks {
    /// What simple predictors earn: `constant`, `chance`, `last_value`, `seasonal_naive`, `linear`,
    /// `forest`.
    pub baselines: Vec<Baseline>,
    /// The best reward of a predictor that learns nothing.
    pub floor: Option<f64>,
    /// Whether a model that learns gets above the floor.
    pub solvable: Option<bool>,
    /// What became of solutions that disobey one instruction each.
    pub mutants: Vec<Mutant>,
    /// The share of those mutants, 0 to 1, that the verifier refuses.
    pub separated: Option<f64>,
    /// How rows came to be test rows: `random`, `stratified`, `time`, `group` or `origin` for the origin's own.
    pub grading: Option<String>,
    /// What is odd and did not stop the task, in a few words each.
    pub remarks: Vec<String>,
}

impl Checks {
    /// Whether nothing was measured.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What a simple predictor earns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Its name.
    pub name: String,
    /// The reward that the task's verifier gives it.
    pub reward: f64,
    /// The metric's own value, where that is not the reward.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
}

/// A reference solution with one instruction disobeyed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mutant {
    /// What it does otherwise: `skip_scaler`, `drop_feature`, ….
    pub name: String,
    /// Whether the verifier refuses what it predicts.
    pub separated: bool,
}
