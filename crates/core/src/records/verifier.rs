//! Verifiers: how an answer becomes a reward, as plain data on the task, executed by `synth-score`.

use serde::{Deserialize, Serialize};

use super::{DataFile, Metric};

/// A name and a value in an answer of the form `@name[value]`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyedValue {
    /// The name.
    pub name: String,
    /// The value, as text.
    pub value: String,
}

/// How an answer becomes a reward.
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
    /// The whole answer is one value of a declared form.
    Answer {
        /// What is expected.
        expected: Expected,
        /// Absolute tolerance for numbers.
        abs_tolerance: f64,
        /// Relative tolerance for numbers.
        rel_tolerance: f64,
    },
    /// A model, in the role `judge`, says whether the answer means the same as the reference. The one verifier that is not
    /// deterministic.
    Equivalent {
        /// What was asked.
        question: String,
        /// What is expected.
        reference: String,
    },
    /// A table of predictions against hidden truth.
    Predictions(Predictions),
}

impl Verifier {
    /// Whether the same answer always earns the same reward.
    pub const fn is_deterministic(&self) -> bool {
        !matches!(self, Self::Equivalent { .. })
    }

    /// The file that the agent has to write, where one is asked for.
    pub fn file(&self) -> Option<&str> {
        match self {
            Self::Predictions(predictions) => Some(&predictions.file),
            Self::Keyed { .. } | Self::Answer { .. } | Self::Equivalent { .. } => None,
        }
    }

    /// The name of the measure in records: a metric's, or how answers are compared.
    pub fn measure(&self) -> String {
        match self {
            Self::Keyed { .. } | Self::Answer { .. } => "exact_match".to_owned(),
            Self::Equivalent { .. } => "llm_equivalence".to_owned(),
            Self::Predictions(predictions) => predictions.metric.to_string(),
        }
    }
}

/// One expected value, and how it is compared.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "form", rename_all = "snake_case")]
pub enum Expected {
    /// Trimmed text, without regard to case.
    Text {
        /// The text.
        value: String,
    },
    /// A number, within the tolerances.
    Number {
        /// The number, as written.
        value: String,
    },
    /// Values between commas, each a number or text.
    List {
        /// The values.
        values: Vec<String>,
        /// Whether their order counts.
        ordered: bool,
    },
    /// One of several options, by its letter or its whole text.
    Choice {
        /// The right one's letter.
        value: String,
        /// All options: letter and text.
        options: Vec<(String, String)>,
    },
}

/// A table of predictions against hidden truth of the same shape: the key columns and the target columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Predictions {
    /// The file that the agent must write, relative to its workspace.
    pub file: String,
    /// The hidden truth: a CSV with the keys and the targets.
    pub truth: DataFile,
    /// The columns that together name a row.
    pub keys: Vec<String>,
    /// The columns to compare; a class-probability metric has one for each class, in which the truth is 0 or 1.
    pub targets: Vec<String>,
    /// Whether the file must have just the keys and the targets as columns and as many rows as the truth, as Kaggle
    /// demands of a submission; else further columns and rows of unknown keys are ignored, as DARE-bench does.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub exact_shape: bool,
    /// The metric.
    pub metric: Metric,
    /// How its value becomes the reward.
    pub reward: Rewarding,
    /// A reward from here on counts as a success.
    pub success: f64,
    /// The mean absolute error of a naive forecast within the training rows; an error in this unit is the MASE (Hyndman and
    /// Koehler 2006), told beside the reward.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub naive_error: Option<f64>,
}

/// How the value of a metric becomes a reward from 0 to 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Rewarding {
    /// The value itself, clipped to 0..1: for metrics of which more is better and 1 is best.
    Value,
    /// The share of a leaderboard's teams that are not better.
    Standing {
        /// The leaderboard, as JSON that [`LeaderboardScores`] reads.
        leaderboard: DataFile,
    },
    /// How far from a floor, which a predictor that learns nothing reaches, to the metric's best value.
    Skill {
        /// The metric's value at reward 0.
        floor: f64,
    },
}

/// The scores of a competition's teams, in no particular order.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LeaderboardScores {
    /// The scores that were shown while the competition ran.
    pub public_scores: Vec<f64>,
    /// The scores that decided, where they are known.
    pub private_scores: Vec<f64>,
}

/// What a verifier said.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The reward, 0 to 1.
    pub reward: f64,
    /// Whether this counts as solved.
    pub success: bool,
    /// Why, in a few words.
    pub reason: String,
    /// The metric's own value, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub value: Option<f64>,
    /// Where that stands on the competition's leaderboard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub standing: Option<Standing>,
    /// The mean absolute scaled error of a forecast; below 1 it beats the naive one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mase: Option<f64>,
}

/// A place on a leaderboard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standing {
    /// The place that the score would have had, from 1.
    pub rank: u64,
    /// Teams on the board, without this one.
    pub teams: u64,
    /// The share of teams that are not better, 0 to 1.
    pub percentile: f64,
    /// Whether it is better than the median team's.
    pub above_median: bool,
    /// The medal, by Kaggle's table.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub medal: Option<Medal>,
}

/// A medal of Kaggle's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Medal {
    /// The third.
    Bronze,
    /// The second.
    Silver,
    /// The first.
    Gold,
}
