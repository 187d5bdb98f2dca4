//! A source: one dataset with what is known about it, the unit of splitting, licensing and filtering.

use serde::{Deserialize, Serialize};

use super::{Metric, TaskKind};
use crate::{Fingerprint, SourceId};

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

/// A prediction that a benchmark asks for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PublishedTask {
    /// The benchmark's own name for it.
    pub original_id: String,
    /// What is asked for.
    pub kind: TaskKind,
    /// The question.
    pub question: String,
    /// The source's files that the agent may read.
    pub files: Vec<String>,
    /// The hidden truth: a CSV with the keys and the targets.
    pub truth: DataFile,
    /// The columns that together name a row.
    pub keys: Vec<String>,
    /// The columns to compare.
    pub targets: Vec<String>,
    /// The metric.
    pub metric: Metric,
}

/// What Kaggle tells of a competition or dataset, beyond what all sources have. A field is `None` where it says nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KaggleFacts {
    /// The page where a person sees it, and clears what stands in the way.
    pub url: String,
    /// Who put it there.
    pub owner: Option<String>,
    /// When it last changed, as Kaggle writes it.
    pub updated_at: Option<String>,
    /// What lies there, whether it was downloaded or not: paths as listed.
    pub listed: Vec<ListedFile>,
    /// All files together, as Kaggle sums them up, before unpacking.
    pub total_bytes: Option<u64>,
    /// Whether submissions are notebooks only.
    pub kernels_only: Option<bool>,
    /// Submissions that it would take now.
    pub submissions_allowed: Option<u64>,
    /// Whether there is a public leaderboard.
    pub has_leaderboard: Option<bool>,
    /// Kaggle's usability rating, 0 to 1.
    pub usability: Option<f64>,
    /// Why its files could not be had, and what a person can do about it.
    pub refused: Option<String>,
}

/// A file as its origin lists it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedFile {
    /// The path.
    pub path: String,
    /// Its size, where the origin says.
    pub bytes: Option<u64>,
    /// Column names, where the origin previews them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
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
    /// The scores of its leaderboard, as JSON that [`LeaderboardScores`](super::LeaderboardScores) reads.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaderboard: Option<DataFile>,
    /// Whether more is better, where the origin says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metric_is_max: Option<bool>,
    /// What Kaggle tells of it beyond that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kaggle: Option<KaggleFacts>,
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
    /// Predictions that it sets as they are, with their truth.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub published: Vec<PublishedTask>,
    /// Whether it stands on the held-out side, whatever the share of those is.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub held_out: bool,
    /// The date of the data: as declared by the source, else its newest file's; ISO 8601.
    pub fetched_at: String,
}
