//! Real competitions from a file of their pages and standings, with small tables made up in the shape that the pages describe.
//!
//! The file is a gzipped JSON object: `competitions`, a list of slugs with `description`, `evaluation`, `data` and `metadata`, and
//! `leaderboards`, by slug, of `public_scores` and `private_scores`. Of data files it has nothing: what is served as such is made
//! up from the slug, after the target that the data page names (`… the training dataset; Strength is the target`) and the metric.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::Path;
use std::sync::Arc;

use flate2::read::GzDecoder;
use serde::Deserialize;

use super::shape::Shape;
use super::{Competition, Content, Leaderboard, World};

#[derive(Deserialize)]
struct Archive {
    competitions: Vec<Entry>,
    leaderboards: HashMap<String, Standings>,
}

#[derive(Deserialize)]
pub(super) struct Entry {
    pub slug: String,
    difficulty: String,
    description: String,
    pub evaluation: String,
    pub data: String,
    pub metadata: Metadata,
}

#[derive(Deserialize)]
pub(super) struct Metadata {
    pub keywords: Vec<String>,
}

#[derive(Default, Deserialize)]
struct Standings {
    #[serde(default)]
    public_scores: Vec<Option<f64>>,
    #[serde(default)]
    private_scores: Vec<Option<f64>>,
}

impl World {
    /// The competitions of a gzipped JSON file of pages and leaderboards.
    pub fn real(path: &Path) -> io::Result<Self> {
        let mut archive: Archive =
            serde_json::from_reader(io::BufReader::new(GzDecoder::new(File::open(path)?)))?;
        let competitions = archive
            .competitions
            .iter()
            .zip(40_000..)
            .map(|(entry, id)| {
                let standings = archive.leaderboards.remove(&entry.slug).unwrap_or_default();
                competition(id, entry, standings)
            })
            .collect();
        Ok(Self {
            competitions,
            ..Self::default()
        })
    }
}

fn competition(id: u32, entry: &Entry, standings: Standings) -> Competition {
    let shape = Shape::of(entry);
    let mut competition = Competition::new(id, entry.slug.as_str())
        .page("Description", entry.description.as_str())
        .page("Evaluation", entry.evaluation.as_str())
        .page("data-description", entry.data.as_str());
    let scores = |scores: Vec<Option<f64>>| -> Arc<Vec<f64>> {
        Arc::new(
            scores
                .into_iter()
                .map(|score| score.unwrap_or(f64::NAN))
                .collect(),
        )
    };
    competition.leaderboard = Leaderboard {
        public: scores(standings.public_scores),
        private: scores(standings.private_scores),
    };
    // Competitions that stay open have one part only.
    if competition.leaderboard.private.is_empty() {
        competition.leaderboard.private = competition.leaderboard.public.clone();
    }
    competition.teams = u32::try_from(competition.leaderboard.private.len()).unwrap_or(u32::MAX);
    competition.metric = entry
        .metadata
        .keywords
        .last()
        .map(|keyword| metric_name(keyword));
    competition.category = match (
        entry.difficulty.as_str(),
        entry.slug.starts_with("playground"),
    ) {
        (_, true) => "Playground",
        ("easy", false) => "Getting Started",
        _ => "Featured",
    }
    .into();
    (competition.enabled, competition.deadline) = dates(&entry.slug);
    let known = ["tabular", "images", "text", "time_series"];
    competition.tags = entry
        .metadata
        .keywords
        .iter()
        .map(|keyword| {
            if known.contains(&keyword.as_str()) {
                format!("data type > {keyword}")
            } else {
                format!("technique > {keyword}")
            }
        })
        .collect();
    let shape = Arc::new(shape);
    let sample = shape.sample.clone();
    let made = |part: fn(&Shape) -> Vec<u8>| {
        let shape = shape.clone();
        Content::made(move || part(&shape))
    };
    competition
        .file(
            "train.csv",
            made(|shape| shape.table().split(shape.train_rows()).0.csv()),
        )
        .file("test.csv", made(|shape| shape.test().csv()))
        .file(&sample, made(|shape| shape.sample_submission().csv()))
}

/// Opened and closed: the year that the slug tells, else one like any.
fn dates(slug: &str) -> (String, String) {
    let season = slug
        .strip_prefix("playground-series-s")
        .and_then(|rest| rest.split_once('e'));
    let year = match season.and_then(|(season, _)| season.parse::<u32>().ok()) {
        Some(season) => 2020 + season,
        None => slug
            .rsplit('-')
            .next()
            .and_then(|word| word.parse().ok())
            .filter(|year| (2010..2030).contains(year))
            .unwrap_or(2019),
    };
    let month = season
        .and_then(|(_, episode)| episode.parse::<u32>().ok())
        .map_or(6, |episode| (episode - 1) % 12 + 1);
    if slug == "titanic" || slug.starts_with("house-prices") || slug.starts_with("store-sales") {
        return (
            "2016-08-30T00:00:00.51Z".into(),
            "2030-01-01T00:00:00Z".into(),
        );
    }
    (
        format!("{year}-{month:02}-01T00:00:00Z"),
        format!("{year}-{month:02}-28T23:59:00.0000000Z"),
    )
}

/// A metric as the API shows it, from the keyword of the file.
fn metric_name(keyword: &str) -> String {
    match keyword {
        "rmse" => "Root Mean Squared Error",
        "rmsle" => "Root Mean Squared Logarithmic Error",
        "mae" => "Mean Absolute Error",
        "mape" => "Mean Absolute Percentage Error",
        "medae" => "Median Absolute Error",
        "smape" => "SMAPE",
        "r2_score" => "R2 Score",
        "auc" | "roc-auc" | "auc-roc" => "Area Under Receiver Operating Characteristic Curve",
        "logloss" => "Log Loss",
        "multiclass logloss" => "Multiclass Loss",
        "accuracy" => "Categorization Accuracy",
        "f1-score" => "F-Score (Micro)",
        "mcc" => "Matthews Correlation Coefficient",
        "quadratic_weighted_kappa" => "Quadratic Weighted Kappa",
        "map" | "map@3" => "MAP@{K}",
        "spearman_correlation" => "Spearman Correlation Coefficient",
        "ndcg" => "NDCG@{K}",
        "dice" => "Dice",
        other => other,
    }
    .into()
}
