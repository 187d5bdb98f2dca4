//! What Kaggle says of competitions and datasets. Every field may be absent in an answer; records read back what they write.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::decode::{
    count, dataset_ref, flag, slug, some_count, some_number, some_text, some_time, text,
};

/// A competition.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Competition {
    /// Its number, which Meta Kaggle uses too.
    #[serde(deserialize_with = "count")]
    pub id: u64,
    /// Its name in addresses.
    #[serde(rename = "ref", deserialize_with = "slug")]
    pub slug: String,
    /// Its title.
    #[serde(deserialize_with = "text")]
    pub title: String,
    /// Its address.
    #[serde(deserialize_with = "some_text")]
    pub url: Option<String>,
    /// What it is about, in a sentence.
    #[serde(deserialize_with = "text")]
    pub description: String,
    /// Who holds it.
    #[serde(deserialize_with = "some_text")]
    pub organization_name: Option<String>,
    /// Who holds it, as a name in addresses.
    #[serde(deserialize_with = "some_text")]
    pub organization_ref: Option<String>,
    /// The host segment: Featured, Playground, Getting Started, ….
    #[serde(deserialize_with = "some_text")]
    pub category: Option<String>,
    /// What can be won.
    #[serde(deserialize_with = "some_text")]
    pub reward: Option<String>,
    /// Topics.
    pub tags: Vec<Tag>,
    /// When it closes or closed.
    #[serde(deserialize_with = "some_time")]
    pub deadline: Option<Timestamp>,
    /// When it opened.
    #[serde(deserialize_with = "some_time")]
    pub enabled_date: Option<Timestamp>,
    /// When it was made.
    #[serde(deserialize_with = "some_time")]
    pub date_created: Option<Timestamp>,
    /// When teams may merge no more.
    #[serde(deserialize_with = "some_time")]
    pub merger_deadline: Option<Timestamp>,
    /// When nobody may join any more.
    #[serde(deserialize_with = "some_time")]
    pub new_entrant_deadline: Option<Timestamp>,
    /// Notebooks about it.
    #[serde(deserialize_with = "count")]
    pub kernel_count: u64,
    /// Teams.
    #[serde(deserialize_with = "count")]
    pub team_count: u64,
    /// Whether whoever asks has joined.
    #[serde(deserialize_with = "flag")]
    pub user_has_entered: bool,
    /// Submissions a day.
    #[serde(deserialize_with = "count")]
    pub max_daily_submissions: u64,
    /// Members of a team.
    #[serde(deserialize_with = "some_count")]
    pub max_team_size: Option<u64>,
    /// The metric's name.
    #[serde(deserialize_with = "some_text")]
    pub evaluation_metric: Option<String>,
    /// Whether it counts for ranks.
    #[serde(deserialize_with = "flag")]
    pub awards_points: bool,
    /// Whether only notebooks can be submitted.
    #[serde(deserialize_with = "flag")]
    pub is_kernels_submissions_only: bool,
    /// Whether it takes no submissions any more.
    #[serde(deserialize_with = "flag")]
    pub submissions_disabled: bool,
    /// Who set it up.
    #[serde(deserialize_with = "some_text")]
    pub host_name: Option<String>,
}

/// A topic.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Tag {
    /// Its name in addresses.
    #[serde(rename = "ref", deserialize_with = "text")]
    pub reference: String,
    /// Its name.
    #[serde(deserialize_with = "text")]
    pub name: String,
    /// Its place among the topics, as in `technique > classification`.
    #[serde(deserialize_with = "text")]
    pub full_path: String,
}

/// A file of a competition or a dataset; only those of datasets say what they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct RemoteFile {
    /// Its path.
    #[serde(deserialize_with = "text")]
    pub name: String,
    /// Its path or address, as older answers have it.
    #[serde(rename = "ref", deserialize_with = "text")]
    pub reference: String,
    /// What it holds.
    #[serde(deserialize_with = "text")]
    pub description: String,
    /// Its ending.
    #[serde(deserialize_with = "text")]
    pub file_type: String,
    /// Its size.
    #[serde(deserialize_with = "count")]
    pub total_bytes: u64,
    /// When it was made.
    #[serde(deserialize_with = "some_time")]
    pub creation_date: Option<Timestamp>,
    /// Its columns, where it is a table that Kaggle has looked into.
    pub columns: Vec<Column>,
}

impl RemoteFile {
    /// Its path: the name where there is one, else what `ref` says.
    pub fn path(&self) -> &str {
        if self.name.is_empty() {
            &self.reference
        } else {
            &self.name
        }
    }
}

/// How many files of which type a competition or dataset has, and how large they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct FilesSummary {
    /// All files.
    #[serde(deserialize_with = "count")]
    pub total_file_count: u64,
    /// By ending.
    pub file_types: Vec<FileType>,
}

impl FilesSummary {
    /// The size of all files; none where the summary says nothing of any.
    pub fn total_bytes(&self) -> Option<u64> {
        (!self.file_types.is_empty()).then(|| {
            self.file_types
                .iter()
                .fold(0_u64, |sum, kind| sum.saturating_add(kind.total_size))
        })
    }
}

/// The files of one type.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct FileType {
    /// Their ending.
    #[serde(deserialize_with = "text")]
    pub extension: String,
    /// How many.
    #[serde(deserialize_with = "count")]
    pub file_count: u64,
    /// Their bytes.
    #[serde(deserialize_with = "count")]
    pub total_size: u64,
}

/// A row of a public leaderboard, best first; the place is its index.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct LeaderboardRow {
    /// The team.
    #[serde(deserialize_with = "count")]
    pub team_id: u64,
    /// Its name.
    #[serde(deserialize_with = "some_text")]
    pub team_name: Option<String>,
    /// When it was last submitted.
    #[serde(deserialize_with = "some_time")]
    pub submission_date: Option<Timestamp>,
    /// The score as written.
    #[serde(deserialize_with = "some_text")]
    pub score: Option<String>,
}

/// A page of a competition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Page {
    /// Its name, in whatever case.
    #[serde(deserialize_with = "text")]
    pub name: String,
    /// Its text, HTML or Markdown.
    #[serde(deserialize_with = "text")]
    pub content: String,
    /// Its title.
    #[serde(deserialize_with = "some_text")]
    pub post_title: Option<String>,
    /// What its text is.
    #[serde(deserialize_with = "some_text")]
    pub mime_type: Option<String>,
}

/// What a page is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PageKind {
    /// What the competition is about.
    Description,
    /// How submissions are scored.
    Evaluation,
    /// The rules.
    Rules,
    /// What the files hold.
    Data,
    /// When it begins and ends.
    Timeline,
    /// What can be won.
    Prizes,
    /// Any other.
    Other,
}

impl Page {
    /// What it is for, by its name without regard to case, spaces, `-` and `_`.
    pub fn kind(&self) -> PageKind {
        let name: String = self
            .name
            .chars()
            .filter(|letter| letter.is_alphanumeric())
            .flat_map(char::to_lowercase)
            .collect();
        match name.as_str() {
            "description" | "overview" | "abstract" => PageKind::Description,
            "evaluation" => PageKind::Evaluation,
            "rules" => PageKind::Rules,
            "data" | "datadescription" => PageKind::Data,
            "timeline" => PageKind::Timeline,
            "prizes" => PageKind::Prizes,
            _ => PageKind::Other,
        }
    }
}

/// How many submissions may be made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct SubmissionLimits {
    /// Made today.
    #[serde(deserialize_with = "count")]
    pub num_today: u64,
    /// Made in all.
    #[serde(deserialize_with = "count")]
    pub num_total: u64,
    /// May be made now; more than 0 proves that the competition takes submissions.
    #[serde(deserialize_with = "count")]
    pub num_allowed_now: u64,
    /// Whether it is the total that limits.
    #[serde(deserialize_with = "flag")]
    pub limited_by_total: bool,
}

/// A submission of whoever asks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Submission {
    /// Its number.
    #[serde(rename = "ref", deserialize_with = "count")]
    pub id: u64,
    /// When it was made.
    #[serde(deserialize_with = "some_time")]
    pub date: Option<Timestamp>,
    /// What was said of it.
    #[serde(deserialize_with = "text")]
    pub description: String,
    /// The file's name.
    #[serde(deserialize_with = "text")]
    pub file_name: String,
    /// The score on the public part, as written.
    #[serde(deserialize_with = "some_text")]
    pub public_score: Option<String>,
    /// The score on the private part, as written.
    #[serde(deserialize_with = "some_text")]
    pub private_score: Option<String>,
    /// Why it was not scored.
    #[serde(deserialize_with = "some_text")]
    pub error_description: Option<String>,
    /// How far it is, as the API writes it.
    #[serde(deserialize_with = "text")]
    pub status: String,
}

/// How far a submission is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubmissionState {
    /// It waits to be scored.
    Pending,
    /// It is scored.
    Complete,
    /// It cannot be scored.
    Failed,
}

impl Submission {
    /// How far it is: by name or number; absent means that it waits.
    pub fn state(&self) -> SubmissionState {
        let name = self.status.rsplit(['.', '_']).next().unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "complete" | "1" => SubmissionState::Complete,
            "error" | "2" => SubmissionState::Failed,
            _ => SubmissionState::Pending,
        }
    }
}

/// A dataset.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Dataset {
    /// Its number, which Meta Kaggle uses too.
    #[serde(deserialize_with = "count")]
    pub id: u64,
    /// `owner/name`.
    #[serde(rename = "ref", deserialize_with = "dataset_ref")]
    pub slug: String,
    /// Its title.
    #[serde(deserialize_with = "text")]
    pub title: String,
    /// What it is, in a sentence.
    #[serde(deserialize_with = "text")]
    pub subtitle: String,
    /// What it is, in full.
    #[serde(deserialize_with = "text")]
    pub description: String,
    /// Who made it.
    #[serde(deserialize_with = "some_text")]
    pub creator_name: Option<String>,
    /// Whose it is.
    #[serde(deserialize_with = "some_text")]
    pub owner_name: Option<String>,
    /// Whose it is, as a name in addresses.
    #[serde(deserialize_with = "some_text")]
    pub owner_ref: Option<String>,
    /// Its size.
    #[serde(deserialize_with = "some_count")]
    pub total_bytes: Option<u64>,
    /// Its address.
    #[serde(deserialize_with = "some_text")]
    pub url: Option<String>,
    /// When it last changed.
    #[serde(deserialize_with = "some_time")]
    pub last_updated: Option<Timestamp>,
    /// The licence as displayed; [`crate::spdx`] gives its identifier.
    #[serde(deserialize_with = "some_text")]
    pub license_name: Option<String>,
    /// Its newest version.
    #[serde(deserialize_with = "some_count")]
    pub current_version_number: Option<u64>,
    /// How well it is documented, 0 to 1.
    #[serde(deserialize_with = "some_number")]
    pub usability_rating: Option<f64>,
    /// How often it was downloaded.
    #[serde(deserialize_with = "count")]
    pub download_count: u64,
    /// Votes for it.
    #[serde(deserialize_with = "count")]
    pub vote_count: u64,
    /// Notebooks about it.
    #[serde(deserialize_with = "count")]
    pub kernel_count: u64,
    /// Whether only its owner sees it.
    #[serde(deserialize_with = "flag")]
    pub is_private: bool,
    /// Topics.
    pub tags: Vec<Tag>,
    /// Its files, in the answers that list them.
    pub files: Vec<RemoteFile>,
}

impl Dataset {
    /// The owner's and the dataset's own name.
    pub fn owner_and_name(&self) -> Option<(&str, &str)> {
        self.slug.split_once('/')
    }
}

/// A column of a table.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Column {
    /// Its place.
    #[serde(deserialize_with = "some_count")]
    pub order: Option<u64>,
    /// Its name.
    #[serde(deserialize_with = "text")]
    pub name: String,
    /// What Kaggle takes it for.
    #[serde(rename = "type", deserialize_with = "some_text")]
    pub kind: Option<String>,
    /// What it means.
    #[serde(deserialize_with = "text")]
    pub description: String,
}

/// What the owner of a dataset says of it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct DatasetMetadata {
    /// Its number.
    #[serde(deserialize_with = "count")]
    pub dataset_id: u64,
    /// Its name in addresses.
    #[serde(deserialize_with = "text")]
    pub dataset_slug: String,
    /// Whose it is.
    #[serde(deserialize_with = "text")]
    pub owner_user: String,
    /// Its title.
    #[serde(deserialize_with = "text")]
    pub title: String,
    /// What it is, in a sentence.
    #[serde(deserialize_with = "text")]
    pub subtitle: String,
    /// What it is, in full.
    #[serde(deserialize_with = "text")]
    pub description: String,
    /// How well it is documented, 0 to 1.
    #[serde(deserialize_with = "some_number")]
    pub usability_rating: Option<f64>,
    /// Topics.
    pub keywords: Vec<String>,
    /// The licences by name, closer to an identifier than what is displayed.
    pub licenses: Vec<LicenceName>,
    /// Where its owner has it from.
    #[serde(deserialize_with = "some_text")]
    pub user_specified_sources: Option<String>,
    /// How often it is said to change.
    #[serde(deserialize_with = "some_text")]
    pub expected_update_frequency: Option<String>,
    /// Its files with their columns, where the owner described them.
    pub data: Vec<RemoteFile>,
}

impl DatasetMetadata {
    /// The first licence as an SPDX identifier, or the name it gives; none where it gives none.
    pub fn licence(&self) -> Option<String> {
        let name = self
            .licenses
            .iter()
            .map(|licence| licence.name.trim())
            .find(|name| !name.is_empty())?;
        Some(crate::spdx(name).map_or_else(|| name.to_owned(), str::to_owned))
    }
}

/// A licence by its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct LicenceName {
    /// The name.
    #[serde(deserialize_with = "text")]
    pub name: String,
}
