//! The calls about competitions.

use reqwest::Method;
use reqwest::StatusCode;
use reqwest::header::{
    ETAG, HeaderMap, HeaderValue, IF_MODIFIED_SINCE, IF_NONE_MATCH, LAST_MODIFIED,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use synth_core::Fingerprint;

use crate::call::Call;
use crate::client::header_of;
use crate::{
    Competition, FilesSummary, Kaggle, KaggleError, LeaderboardRow, Page, Pager, RemoteFile,
    SubmissionLimits, decode,
};

/// Most files that a page may have.
const FILES_A_PAGE: u32 = 200;
const ROWS_A_PAGE: u32 = 200;

/// Which competitions to list. The values are the API's own names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CompetitionFilter {
    /// `COMPETITION_LIST_TAB_GENERAL`, `…_ENTERED`, `…_COMMUNITY`, `…_EVERYTHING` and others.
    pub group: Option<String>,
    /// `HOST_SEGMENT_FEATURED`, `…_RESEARCH`, `…_GETTING_STARTED`, `…_PLAYGROUND` and others; absent means all, `all` is refused.
    pub category: Option<String>,
    /// `COMPETITION_SORT_BY_RECENTLY_CREATED`, `…_LATEST_DEADLINE` and others.
    pub sort_by: Option<String>,
    /// Words.
    pub search: Option<String>,
    /// Items a page.
    pub page_size: Option<u32>,
}

/// By what an answer is known again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// What the server calls it.
    pub etag: Option<String>,
    /// When the server says that it changed.
    pub last_modified: Option<String>,
    /// The hash of what was read, without the counts that change by themselves.
    pub content: Option<Fingerprint>,
}

/// What came of asking for something that may be known already.
#[derive(Clone, Debug, PartialEq)]
pub enum Fetched<T> {
    /// It is as it was.
    Unchanged,
    /// It is new or has changed.
    Changed(T, Version),
}

impl Kaggle {
    /// The competitions of a kind. Closed ones have been missing from this list: confirm slugs from elsewhere one by one.
    pub fn list_competitions(&self, filter: &CompetitionFilter) -> Pager<'_, Competition> {
        let filter = filter.clone();
        let call = Call::competitions("ListCompetitions", Method::GET, "competitions/list")
            .maybe("group", filter.group)
            .maybe("category", filter.category.filter(|name| name != "all"))
            .maybe("sortBy", filter.sort_by)
            .maybe("search", filter.search)
            .maybe("pageSize", filter.page_size);
        Pager::new(self, call, "competitions")
    }

    /// A competition.
    pub async fn get_competition(&self, slug: &str) -> Result<Competition, KaggleError> {
        let call = competition_call(slug)?;
        let (_, value) = self.json(&call, &HeaderMap::new()).await?;
        competition(&call, value)
    }

    /// A competition, if it is not what `known` says it was: one call, whose answer is empty where the server knows of
    /// versions.
    pub async fn get_competition_if_changed(
        &self,
        slug: &str,
        known: &Version,
    ) -> Result<Fetched<Competition>, KaggleError> {
        let call = competition_call(slug)?;
        let read = |value| competition(&call, value);
        self.fetched(&call, known, read, Competition::lasting).await
    }

    /// The files of a competition. The list has been seen empty although the data can be downloaded.
    pub fn list_data_files(&self, slug: &str) -> Result<Pager<'_, RemoteFile>, KaggleError> {
        let path = "competitions/data/list/{competitionName}";
        let call = Call::competitions("ListDataFiles", Method::GET, path)
            .about(slug)?
            .field("pageSize", FILES_A_PAGE);
        Ok(Pager::new(self, call, "files"))
    }

    /// How many files of which type there are, and how large.
    pub async fn data_files_summary(&self, slug: &str) -> Result<FilesSummary, KaggleError> {
        let call = Call::competitions(
            "GetCompetitionDataFilesSummary",
            Method::GET,
            "competitions/data/summary/{competitionName}",
        )
        .about(slug)?;
        self.files_summary(&call).await
    }

    /// The public leaderboard, best first.
    pub fn leaderboard(&self, slug: &str) -> Result<Pager<'_, LeaderboardRow>, KaggleError> {
        let path = "competitions/{competitionName}/leaderboard/view";
        let call = Call::competitions("GetLeaderboard", Method::GET, path)
            .about(slug)?
            .field("pageSize", ROWS_A_PAGE);
        Ok(Pager::new(self, call, "submissions"))
    }

    /// The pages of a competition: description, evaluation, rules, data and others.
    pub async fn list_competition_pages(&self, slug: &str) -> Result<Vec<Page>, KaggleError> {
        let path = "competitions/{competitionName}/pages";
        let call = Call::competitions("ListCompetitionPages", Method::GET, path).about(slug)?;
        let (_, value) = self.json(&call, &HeaderMap::new()).await?;
        Ok(decode::list(call.name, "pages", value)?.items)
    }

    /// How many submissions whoever asks may make.
    pub async fn submission_limits(&self, slug: &str) -> Result<SubmissionLimits, KaggleError> {
        let path = "competitions/{competitionName}/submissions/limits";
        let call = Call::competitions("GetSubmissionLimits", Method::GET, path).about(slug)?;
        let (_, value) = self.json(&call, &HeaderMap::new()).await?;
        decode::object(call.name, value)
    }

    pub(crate) async fn files_summary(&self, call: &Call) -> Result<FilesSummary, KaggleError> {
        let (_, value) = self.json(call, &HeaderMap::new()).await?;
        let summary: Summary = decode::object(call.name, value)?;
        Ok(summary.file_summary_info)
    }

    /// Makes a conditional call; `lasting` is the part of a record that does not change by itself.
    pub(crate) async fn fetched<T: DeserializeOwned + Serialize>(
        &self,
        call: &Call,
        known: &Version,
        read: impl FnOnce(Value) -> Result<T, KaggleError>,
        lasting: impl FnOnce(&T) -> T,
    ) -> Result<Fetched<T>, KaggleError> {
        let mut headers = HeaderMap::new();
        let mut condition = |name, value: &Option<String>| {
            if let Some(value) = value
                && let Ok(value) = HeaderValue::from_str(value)
            {
                headers.insert(name, value);
            }
        };
        condition(IF_NONE_MATCH, &known.etag);
        condition(IF_MODIFIED_SINCE, &known.last_modified);
        let (answer, value) = self.json(call, &headers).await?;
        if answer.status == StatusCode::NOT_MODIFIED {
            if headers.is_empty() {
                return Err(KaggleError::Refused {
                    call: call.name,
                    status: 304,
                    message: "it is said to be unchanged, which was not asked".to_owned(),
                });
            }
            return Ok(Fetched::Unchanged);
        }
        let record = read(value)?;
        let content = serde_json::to_vec(&lasting(&record))
            .ok()
            .map(|bytes| Fingerprint::of_bytes(&bytes));
        if content.is_some() && content == known.content {
            return Ok(Fetched::Unchanged);
        }
        let version = Version {
            etag: header_of(&answer.headers, &ETAG),
            last_modified: header_of(&answer.headers, &LAST_MODIFIED),
            content,
        };
        Ok(Fetched::Changed(record, version))
    }
}

impl Competition {
    /// Without what changes although nothing does.
    fn lasting(&self) -> Self {
        Self {
            kernel_count: 0,
            ..self.clone()
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Summary {
    file_summary_info: FilesSummary,
}

fn competition_call(slug: &str) -> Result<Call, KaggleError> {
    let path = "competitions/get/{competitionName}";
    Call::competitions("GetCompetition", Method::GET, path).about(slug)
}

/// A competition that names itself; an answer with all at its default speaks of none.
fn competition(call: &Call, value: Value) -> Result<Competition, KaggleError> {
    let competition: Competition = decode::object(call.name, value)?;
    if competition.slug.is_empty() {
        return Err(KaggleError::Decode {
            call: call.name,
            path: "ref".to_owned(),
            message: "the competition has no name".to_owned(),
        });
    }
    Ok(competition)
}
