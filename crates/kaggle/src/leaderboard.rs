//! The leaderboard as a download: a zip file of a CSV file, with ranks and members that the API does not list.

use std::io::Read;
use std::path::Path;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::meta::{Table, time};
use crate::unpack::{Content, UnpackLimits, unpack};
use crate::{Artifact, DownloadLimits, Kaggle, KaggleError, unwatched};

const CALL: &str = "DownloadLeaderboard";

/// A team's place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// The place, from 1; teams with equal scores may share one.
    pub rank: Option<u64>,
    /// The team.
    pub team_id: Option<u64>,
    /// Its name.
    pub team_name: String,
    /// When it last submitted.
    pub last_submission: Option<Timestamp>,
    /// The score as written.
    pub score: String,
    /// How often it submitted.
    pub submission_count: Option<u64>,
}

impl Kaggle {
    /// Downloads a leaderboard to `scratch`, reads at most so many of its rows, and removes it.
    pub async fn download_leaderboard(
        &self,
        slug: &str,
        scratch: &Path,
        limits: &DownloadLimits,
        max_rows: usize,
    ) -> Result<Vec<Standing>, KaggleError> {
        let artifact = Artifact::Leaderboard {
            slug: slug.to_owned(),
        };
        self.download(&artifact, scratch, limits, &unwatched)
            .await?;
        let path = scratch.to_owned();
        tokio::task::spawn_blocking(move || {
            let standings = read_leaderboard(&path, max_rows);
            std::fs::remove_file(&path).map_err(|error| KaggleError::io(&path, error))?;
            standings
        })
        .await
        .map_err(|error| KaggleError::io(scratch, std::io::Error::other(error)))?
    }
}

/// Reads a leaderboard that was downloaded, zipped or not: at most so many rows, best first.
pub fn read_leaderboard(path: &Path, max_rows: usize) -> Result<Vec<Standing>, KaggleError> {
    let failed = |error| KaggleError::io(path, error);
    let mut file = std::fs::File::open(path).map_err(failed)?;
    if Content::of(&mut file).map_err(failed)? == Content::Other {
        return rows(&mut file, max_rows);
    }
    let mut found = None;
    unpack(path, &UnpackLimits::default(), &mut |name, content| {
        let is_table = name.to_ascii_lowercase().ends_with(".csv");
        if is_table && found.is_none() {
            found = Some(rows(content, max_rows));
        }
        Ok(())
    })?;
    found.unwrap_or_else(|| Err(unreadable("the archive holds no CSV file".to_owned())))
}

fn rows(content: &mut dyn Read, max_rows: usize) -> Result<Vec<Standing>, KaggleError> {
    let table = Table::read(content).map_err(|error| unreadable(error.to_string()))?;
    for name in ["TeamId", "Score"] {
        if !table.has(name) {
            return Err(unreadable(format!("it has no column `{name}`")));
        }
    }
    let mut standings = Vec::new();
    for row in table.take(max_rows) {
        let row = row.map_err(|error| unreadable(error.to_string()))?;
        standings.push(Standing {
            rank: row.count("Rank"),
            team_id: row.count("TeamId"),
            team_name: row.text("TeamName").to_owned(),
            last_submission: time(row.text("LastSubmissionDate")),
            score: row.text("Score").to_owned(),
            submission_count: row.count("SubmissionCount"),
        });
    }
    Ok(standings)
}

fn unreadable(message: String) -> KaggleError {
    KaggleError::Decode {
        call: CALL,
        path: ".".to_owned(),
        message,
    }
}
