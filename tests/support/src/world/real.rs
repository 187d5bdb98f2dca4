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

use super::table::{FEATURES, Table, class_of, dice, features, normal};
use super::{Competition, Content, Leaderboard, World};

/// Rows of a made-up table, and how many of them are for training.
const ROWS: usize = 480;
const TRAIN: usize = 360;

#[derive(Deserialize)]
struct Archive {
    competitions: Vec<Entry>,
    leaderboards: HashMap<String, Standings>,
}

#[derive(Deserialize)]
struct Entry {
    slug: String,
    difficulty: String,
    description: String,
    evaluation: String,
    data: String,
    metadata: Metadata,
}

#[derive(Deserialize)]
struct Metadata {
    keywords: Vec<String>,
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

/// The form of a competition's tables.
#[derive(Debug)]
struct Shape {
    slug: String,
    target: String,
    kind: Kind,
    /// The sample submission's file.
    sample: String,
    /// Class probabilities have a column for each class.
    wide: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Classes(Vec<String>),
    /// 0 or 1, answered by a probability or by a class.
    Binary {
        probability: bool,
    },
    Number,
    /// Counts of entities over days.
    Series,
}

impl Shape {
    fn of(entry: &Entry) -> Self {
        let target = target(&entry.data).unwrap_or_else(|| "target".into());
        let metric = entry
            .metadata
            .keywords
            .last()
            .map(String::as_str)
            .unwrap_or_default();
        let words = entry.metadata.keywords.join(" ");
        let classes =
            |names: &[&str]| Kind::Classes(names.iter().map(|name| (*name).to_owned()).collect());
        let wide = metric == "multiclass logloss";
        let kind = if words.contains("forecasting") && words.contains("time_series") {
            Kind::Series
        } else if wide {
            // `Status_C, Status_CL, and Status_D`
            let named = suffixes(&entry.evaluation, &target);
            if named.len() > 1 {
                Kind::Classes(named)
            } else {
                classes(&["a", "b", "c"])
            }
        } else if metric.contains("auc") || metric == "logloss" {
            Kind::Binary { probability: true }
        } else if metric == "quadratic_weighted_kappa" {
            classes(&["3", "4", "5", "6", "7", "8"])
        } else if words.contains("multiclass") || metric.starts_with("map") {
            classes(&["alder", "birch", "cedar", "dogwood", "elder"])
        } else if metric == "accuracy" || metric == "mcc" || words.contains("classification") {
            if entry.data.contains("binary target") || words.contains("demographics") {
                Kind::Binary { probability: false }
            } else {
                classes(&["alder", "birch", "cedar"])
            }
        } else {
            Kind::Number
        };
        Self {
            slug: entry.slug.clone(),
            target,
            kind,
            sample: sample_name(&entry.data).unwrap_or_else(|| "sample_submission.csv".into()),
            wide,
        }
    }

    fn train_rows(&self) -> usize {
        if self.kind == Kind::Series {
            SERIES_DAYS * 3 / 4 * ENTITIES.len()
        } else {
            TRAIN
        }
    }

    fn table(&self) -> Table {
        let mut dice = dice(&self.slug);
        if self.kind == Kind::Series {
            return self.series(&mut dice);
        }
        let mut table = Table::new(&["id"]);
        table.header.extend(FEATURES.map(str::to_owned));
        table.header.push(self.target.clone());
        for id in 0..ROWS {
            let made = features(&mut dice);
            let value = match &self.kind {
                Kind::Classes(classes) => classes[class_of(made.signal, classes.len())].clone(),
                Kind::Binary { .. } => u8::from(made.signal > 0.2).to_string(),
                Kind::Number | Kind::Series => format!("{:.3}", (3.0 + 0.4 * made.signal).exp()),
            };
            let mut row = vec![id.to_string()];
            row.extend(made.values);
            row.push(value);
            table.rows.push(row);
        }
        table
    }

    fn series(&self, dice: &mut fastrand::Rng) -> Table {
        let mut table = Table::new(&["id", "date", "store", &self.target]);
        for day in 0..SERIES_DAYS {
            let days = i32::try_from(day).unwrap_or(0);
            let date = jiff::civil::date(2016, 1, 1).saturating_add(jiff::Span::new().days(days));
            for (place, entity) in ENTITIES.iter().enumerate() {
                let week = if day % 7 >= 5 { 1.5 } else { 1.0 };
                let value = (30.0 + 20.0 * place as f64) * week + 3.0 * normal(dice);
                table.rows.push(vec![
                    table.rows.len().to_string(),
                    date.to_string(),
                    (*entity).to_owned(),
                    format!("{:.0}", value.max(1.0)),
                ]);
            }
        }
        table
    }

    fn test(&self) -> Table {
        self.table()
            .split(self.train_rows())
            .1
            .without(&[&self.target])
    }

    fn sample_submission(&self) -> Table {
        let columns: Vec<(String, String)> = match &self.kind {
            Kind::Classes(classes) if self.wide => {
                let share = format!("{:.4}", 1.0 / classes.len() as f64);
                classes
                    .iter()
                    .map(|class| (format!("{}_{class}", self.target), share.clone()))
                    .collect()
            }
            Kind::Classes(classes) => vec![(self.target.clone(), classes[0].clone())],
            Kind::Binary { probability: true } => vec![(self.target.clone(), "0.5".into())],
            Kind::Binary { .. } | Kind::Number | Kind::Series => {
                vec![(self.target.clone(), "0".into())]
            }
        };
        let mut sample = Table::new(&["id"]);
        sample
            .header
            .extend(columns.iter().map(|(name, _)| name.clone()));
        for row in &self.test().rows {
            let values = columns.iter().map(|(_, value)| value.clone());
            sample
                .rows
                .push(std::iter::once(row[0].clone()).chain(values).collect());
        }
        sample
    }
}

const SERIES_DAYS: usize = 120;
const ENTITIES: [&str; 4] = ["aspen", "beech", "chestnut", "damson"];

/// The target that a data page names: `train.csv - the training dataset; Strength is the continuous target`.
fn target(data: &str) -> Option<String> {
    let (_, after) = data.split_once("the training dataset;")?;
    let line = after.lines().next()?;
    // Blanks around names have been lost in some pages: `;prognosisis the target`, `;Statusis the categorical target`.
    let (name, rest) = line.split_once("is the")?;
    let name = name
        .trim()
        .trim_matches(|letter| "'`\"“”‘’".contains(letter));
    let early = rest
        .split_whitespace()
        .take(3)
        .any(|word| word.starts_with("target"));
    (early && !name.is_empty() && name.len() <= 40).then(|| name.to_owned())
}

/// Words that follow a name and an underscore, each once, in order.
fn suffixes(text: &str, name: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for part in text.split(&format!("{name}_")).skip(1) {
        let word: String = part
            .chars()
            .take_while(|letter| letter.is_alphanumeric())
            .collect();
        if !word.is_empty() && !found.contains(&word) {
            found.push(word);
        }
    }
    found
}

/// The sample submission's file as a data page names it.
fn sample_name(data: &str) -> Option<String> {
    let end = data.to_ascii_lowercase().find("submission.csv")? + "submission".len();
    let name = data[..end]
        .rsplit(|letter: char| !letter.is_ascii_alphabetic() && letter != '_')
        .next()?;
    // Words have run together in some pages: `setsample_submission`.
    let name = name.find("sample").map_or(name, |at| &name[at..]);
    Some(format!("{name}.csv"))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_read_from_the_data_page() {
        let cases = [
            (
                "train.csv - the training dataset; Premium Amount is the continuous target\ntest.csv",
                Some("Premium Amount"),
            ),
            (
                "train.csv- the training dataset;prognosisis the target",
                Some("prognosis"),
            ),
            (
                "train.csv - the training dataset; 'y' is the binary target",
                Some("y"),
            ),
            (
                "train.csv- the training dataset;outcomeis the (categorical) target",
                Some("outcome"),
            ),
            ("a page about something else", None),
        ];
        for (page, expected) in cases {
            assert_eq!(target(page).as_deref(), expected, "{page}");
        }
    }

    #[test]
    fn the_sample_submission_is_named_as_the_page_names_it() {
        let cases = [
            (
                "We include gender_submission.csv, an example",
                Some("gender_submission.csv"),
            ),
            (
                "the testsetsample_submission.csv- a sample",
                Some("sample_submission.csv"),
            ),
            ("see sampleSubmission.csv", Some("sampleSubmission.csv")),
            ("no such file", None),
        ];
        for (page, expected) in cases {
            assert_eq!(sample_name(page).as_deref(), expected, "{page}");
        }
    }

    #[test]
    fn classes_with_columns_of_their_own_are_read_from_the_page() {
        assert_eq!(
            suffixes(
                "e.g., Status_C, Status_CL, and Status_D. For Status_C",
                "Status"
            ),
            ["C", "CL", "D"]
        );
    }

    #[test]
    fn a_series_is_cut_by_time() {
        let shape = Shape {
            slug: "s".into(),
            target: "sales".into(),
            kind: Kind::Series,
            sample: "sample_submission.csv".into(),
            wide: false,
        };
        let (train, test) = shape.table().split(shape.train_rows());
        let last = train.rows.iter().map(|row| &row[1]).max();
        assert!(test.rows.iter().all(|row| Some(&row[1]) > last));
        assert_eq!(shape.sample_submission().rows.len(), test.rows.len());
    }
}
