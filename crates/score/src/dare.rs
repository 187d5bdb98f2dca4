//! DARE-bench's rules: which columns of a task's truth name its rows, which are predicted, and by which metric they are measured.

use std::fmt;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use synth_core::{DataFile, Metric, Predictions, Rewarding, Score};

use crate::table::Table;
use crate::{quoted, refused, score_predictions};

/// How the predictions of one version of a task are scored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The columns that name a row.
    pub keys: Vec<String>,
    /// The columns to compare.
    pub targets: Vec<String>,
    /// The metric.
    pub metric: Metric,
}

#[derive(Deserialize)]
struct Metadata {
    question: Question,
}

#[derive(Deserialize)]
struct Question {
    target: Names,
    problem_type: String,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Names {
    One(String),
    Several(Vec<String>),
}

/// The rule of a task, from its `all_metadata.json`, the version (`v1`, `v2`) and the header of its truth.
///
/// A target that is a bare string counts as one. Rows are named by all columns but the targets in a canonical forecast (`time_series_analysis`, `v2`),
/// else by `row_id` where there is one, else again by all columns but the targets.
///
/// # Errors
///
/// A reason, where the published scorer raises or gives 0 whatever is predicted.
pub fn rule(metadata: &[u8], version: &str, truth: &[u8]) -> Result<Rule, String> {
    let Metadata { question } = serde_json::from_slice(metadata)
        .map_err(|error| format!("the metadata is unreadable: {error}"))?;
    let targets = match question.target {
        Names::One(name) => vec![name],
        Names::Several(names) => names,
    };
    let kind = question.problem_type.as_str();
    let metric = match (kind, version) {
        ("classification", "v1") => Metric::EqualLabels,
        ("classification", "v2") => Metric::MacroF1,
        ("regression", "v1") => Metric::EqualNumbers,
        ("regression", "v2") | ("time_series_analysis", _) => Metric::ClippedR2,
        _ => {
            return Err(format!(
                "{} {} is no kind of task",
                quoted(kind),
                quoted(version)
            ));
        }
    };
    let table =
        Table::read(truth, Some(&[])).map_err(|reason| format!("hidden truth: {reason}"))?;
    let canonical_forecast = kind == "time_series_analysis" && version == "v2";
    let row_id = table.header.iter().find(|name| *name == "row_id");
    let keys = match row_id {
        Some(name) if !canonical_forecast => vec![name.clone()],
        _ => {
            let others = table.header.iter().filter(|name| !targets.contains(name));
            others.cloned().collect()
        }
    };
    if keys.is_empty() {
        return Err("hidden truth: no column names the rows".to_owned());
    }
    Ok(Rule {
        keys,
        targets,
        metric,
    })
}

impl Rule {
    /// The rule as a verifier's: the metric's value is the reward.
    pub fn predictions(self, file: &str, truth: DataFile, success: f64) -> Predictions {
        Predictions {
            file: file.to_owned(),
            truth,
            keys: self.keys,
            targets: self.targets,
            metric: self.metric,
            reward: Rewarding::Value,
            success,
            naive_error: None,
            exact_shape: false,
        }
    }
}

/// One prediction for a task of DARE-bench; paths are relative to where the cases stand.
#[derive(Clone, Debug, Deserialize)]
pub struct Case {
    /// Its name.
    pub case_id: String,
    /// The version of the task: `v1` or `v2`.
    pub version: String,
    /// The task's `all_metadata.json`.
    pub metadata: PathBuf,
    /// The truth.
    pub gt: PathBuf,
    /// What was predicted; the file need not exist.
    pub prediction: PathBuf,
}

/// Scores a prediction for a task of DARE-bench; `prediction` is `None` where there is no file.
pub fn score(metadata: &[u8], version: &str, truth: &[u8], prediction: Option<&[u8]>) -> Score {
    let file = DataFile {
        path: String::new(),
        bytes: truth.len() as u64,
        blake3: synth_core::Fingerprint::of_bytes(b""),
    };
    match rule(metadata, version, truth) {
        Ok(rule) => score_predictions(&rule.predictions("", file, 1.0), prediction, truth, None),
        Err(reason) => refused(reason),
    }
}

/// Larger files are not read: no task's predictions come near.
const MAX_BYTES: u64 = 1 << 30;

impl Case {
    /// Scores the case with its files below `folder`.
    ///
    /// # Errors
    ///
    /// When a file cannot be read; a prediction that is not there is a score of 0.
    pub fn score(&self, folder: &Path) -> Result<Score, String> {
        let unreadable = |path: &Path, problem: &dyn fmt::Display| {
            format!("failed to read `{}`: {problem}", path.display())
        };
        let read = |path: &Path| -> Result<Option<Vec<u8>>, String> {
            let file = match File::open(folder.join(path)) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
                opened => opened.map_err(|error| unreadable(path, &error))?,
            };
            let mut bytes = Vec::new();
            file.take(MAX_BYTES + 1)
                .read_to_end(&mut bytes)
                .map_err(|error| unreadable(path, &error))?;
            if bytes.len() as u64 > MAX_BYTES {
                return Err(unreadable(path, &format!("more than {MAX_BYTES} bytes")));
            }
            Ok(Some(bytes))
        };
        let there = |path: &Path| read(path)?.ok_or_else(|| unreadable(path, &"it is not there"));
        let (metadata, truth) = (there(&self.metadata)?, there(&self.gt)?);
        let prediction = read(&self.prediction)?;
        Ok(score(
            &metadata,
            &self.version,
            &truth,
            prediction.as_deref(),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(metadata: &str, version: &str, header: &str) -> Result<Vec<String>, String> {
        rule(metadata.as_bytes(), version, header.as_bytes()).map(|rule| rule.keys)
    }

    #[test]
    fn rows_are_named_as_the_published_scorer_does() {
        let series = r#"{"question": {"target": ["y"], "problem_type": "time_series_analysis"}}"#;
        let classes = r#"{"question": {"target": "y", "problem_type": "classification"}}"#;
        for (metadata, version, header, expected) in [
            (series, "v2", "row_id,date,y\n", &["row_id", "date"][..]),
            (series, "v1", "row_id,date,y\n", &["row_id"]),
            (series, "v3", "city,date,y\n", &["city", "date"]),
            (classes, "v1", "y,row_id\n", &["row_id"]),
            (classes, "v2", "name,y\n", &["name"]),
        ] {
            assert_eq!(keys(metadata, version, header).unwrap(), expected);
        }
        assert!(keys(classes, "v2", "y\n").is_err());
        assert!(keys(classes, "v3", "row_id,y\n").is_err());
        assert!(keys("{}", "v1", "row_id,y\n").is_err());
    }
}
