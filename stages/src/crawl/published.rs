//! A published DARE-bench: `question_list.json` beside `databases/<owner>_<dataset>_<kind>/{source,verify}`.
//!
//! Each database becomes a source with its two tasks: version 1 is instruction following or forecasting with known features,
//! version 2 modelling or forecasting from the past. What lies under `verify`, and rows without the noise, no agent may read.

use std::fs;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use synth_core::{DataFile, Licence, Origin, PublishedTask, TaskKind};
use synth_pipeline::{Rejected, StageError};

use super::folder::hash;
use super::{Found, Place, bare};

/// Metadata and truth of one task are read into memory; larger ones are none of this benchmark's.
const MAX_VERIFY_BYTES: u64 = 256 << 20;

/// An entry of `question_list.json`.
#[derive(Deserialize)]
struct Entry {
    file_path: String,
    task: String,
    #[serde(default)]
    question_v1: String,
    #[serde(default)]
    question_v2: String,
    #[serde(default)]
    needed_files_v1: Vec<String>,
    #[serde(default)]
    needed_files_v2: Vec<String>,
    #[serde(default, rename = "lastUpdated")]
    last_updated: String,
}

/// One version of an entry: its kind, what is asked, what the agent reads, and the names that its truth may have.
struct Version<'a> {
    name: &'static str,
    kind: TaskKind,
    question: &'a str,
    needed: &'a [String],
    truths: &'static [&'static str],
}

/// A source for each database.
pub(super) fn find(
    name: &str,
    path: &Path,
    licence: &str,
    redistributable: bool,
    held_out: bool,
) -> Result<Vec<Found>, StageError> {
    let root = [path.to_path_buf(), path.join("data/eval"), path.join("eval")]
        .into_iter()
        .find(|root| root.join("question_list.json").is_file())
        .ok_or_else(|| {
            StageError::Files(format!(
                "there is no `question_list.json` in `{}` nor in its `data/eval`; check `sources.{name}.path`",
                path.display()
            ))
        })?;
    let list = root.join("question_list.json");
    let entries: Vec<Value> = fs::read(&list)
        .map_err(|error| error.to_string())
        .and_then(|bytes| serde_json::from_slice(&bytes).map_err(|error| error.to_string()))
        .map_err(|problem| {
            StageError::Files(format!(
                "cannot read `{}`: {problem}; expected a list of {{file_path, task, question_v1, question_v2, …}}",
                list.display()
            ))
        })?;
    let licence = Licence {
        name: licence.to_owned(),
        redistributable,
    };
    entries
        .into_iter()
        .enumerate()
        .map(|(place, entry)| {
            let mut found = match serde_json::from_value::<Entry>(entry) {
                Ok(entry) => found(name, &root, &entry)?,
                Err(error) => unusable(
                    &format!("{name}/#{place}"),
                    "malformed_task",
                    format!("entry {place} of `{}`: {error}", list.display()),
                ),
            };
            found.source.licence = licence.clone();
            found.source.held_out = held_out;
            Ok(found)
        })
        .collect()
}

fn unusable(slug: &str, reason: &str, message: String) -> Found {
    Found {
        source: bare(Origin::Suite, slug),
        places: Vec::new(),
        hidden: Vec::new(),
        rejected: Vec::new(),
        unusable: Some((reason.to_owned(), message)),
    }
}

fn found(name: &str, root: &Path, entry: &Entry) -> Result<Found, StageError> {
    let slug = format!("{name}/{}", entry.file_path);
    // A name, never a way to somewhere else.
    let is_name = !entry.file_path.is_empty()
        && !entry.file_path.starts_with('.')
        && !entry.file_path.contains(['/', '\\', '\0']);
    let folder = root.join("databases").join(&entry.file_path);
    if !is_name || !folder.is_dir() {
        let message = format!("`databases/{}` is no folder", entry.file_path);
        return Ok(unusable(&slug, "missing_database", message));
    }
    let Some(versions) = versions(entry) else {
        let message = format!(
            "`{}` is a task of kind `{}`; known are classification, regression and time_series_analysis",
            entry.file_path, entry.task
        );
        return Ok(unusable(&slug, "unknown_kind", message));
    };
    let mut source = bare(Origin::Suite, &slug);
    source.title = entry.file_path.replace(['_', '-'], " ");
    source.attribution = format!("DARE-bench, `{}`", entry.file_path);
    source.fetched_at = entry.last_updated.chars().take(10).collect();
    let (mut places, mut hidden, mut rejected) = (Vec::new(), Vec::new(), Vec::new());
    for version in versions {
        match task(&folder, entry, &version)? {
            Ok(read) => {
                for (file, place) in read.shown {
                    if !source.files.contains(&file) {
                        source.files.push(file);
                        places.push(place);
                    }
                }
                hidden.extend(read.hidden);
                source.published.push(read.task);
            }
            Err((reason, message)) => rejected.push(Rejected {
                id: format!("{slug}:{}", version.name),
                reason: reason.to_owned(),
                message,
            }),
        }
    }
    if source.published.is_empty() {
        let messages: Vec<_> = rejected.iter().map(|one| one.message.as_str()).collect();
        return Ok(unusable(&slug, "no_whole_task", messages.join("; ")));
    }
    Ok(Found {
        source,
        places,
        hidden,
        rejected,
        unusable: None,
    })
}

fn versions(entry: &Entry) -> Option<[Version<'_>; 2]> {
    let (first, second) = match entry.task.as_str() {
        "classification" => (TaskKind::ClassIf, TaskKind::ClassMm),
        "regression" => (TaskKind::RegIf, TaskKind::RegMm),
        "time_series_analysis" => (TaskKind::TsXf, TaskKind::TsCf),
        _ => return None,
    };
    let is_series = first == TaskKind::TsXf;
    Some([
        Version {
            name: "v1",
            kind: first,
            question: &entry.question_v1,
            needed: &entry.needed_files_v1,
            truths: if is_series {
                &["ground_truth_v1.csv"]
            } else {
                &["simulated_pred_local.csv"]
            },
        },
        Version {
            name: "v2",
            kind: second,
            question: &entry.question_v2,
            needed: &entry.needed_files_v2,
            truths: if is_series {
                &["ground_truth_v2.csv"]
            } else {
                &["ground_truth.csv"]
            },
        },
    ])
}

/// A task with the files that come with it.
struct Read {
    task: PublishedTask,
    shown: Vec<(DataFile, Place)>,
    hidden: Vec<(DataFile, Place)>,
}

type Refusal = (&'static str, String);

fn task(
    folder: &Path,
    entry: &Entry,
    version: &Version<'_>,
) -> Result<Result<Read, Refusal>, StageError> {
    let original_id = format!("{}:{}", entry.file_path, version.name);
    if version.question.trim().is_empty() {
        return Ok(Err((
            "no_question",
            format!("`{original_id}` has no question"),
        )));
    }
    let mut shown = Vec::new();
    for name in version.needed {
        let path = folder.join("source").join(name);
        if name.contains(['/', '\\']) || !path.is_file() {
            let message = format!("`{original_id}` needs `source/{name}`, which is not there");
            return Ok(Err(("missing_data_file", message)));
        }
        shown.push(located(name, &path)?);
    }
    let verify = |name: &str| folder.join("verify").join(name);
    let Some(truth) = version.truths.iter().find(|name| verify(name).is_file()) else {
        let message = format!(
            "`{original_id}` has no `verify/{}` to compare with",
            version.truths.join("` or `verify/")
        );
        return Ok(Err(("no_truth", message)));
    };
    let (metadata, truth_bytes) = match (bytes(&verify("all_metadata.json")), bytes(&verify(truth)))
    {
        (Ok(metadata), Ok(truth)) => (metadata, truth),
        (Err(problem), _) | (_, Err(problem)) => {
            return Ok(Err((
                "unreadable_truth",
                format!("`{original_id}`: {problem}"),
            )));
        }
    };
    let rule = match synth_score::dare::rule(&metadata, version.name, &truth_bytes) {
        Ok(rule) => rule,
        Err(problem) => {
            return Ok(Err((
                "unreadable_truth",
                format!("`{original_id}`: {problem}"),
            )));
        }
    };
    let truth = located("truth.csv", &verify(truth))?;
    let task = PublishedTask {
        original_id,
        kind: version.kind,
        question: version.question.trim().to_owned(),
        files: version.needed.to_vec(),
        truth: truth.0.clone(),
        keys: rule.keys,
        targets: rule.targets,
        metric: rule.metric,
    };
    Ok(Ok(Read {
        task,
        shown,
        hidden: vec![truth],
    }))
}

fn located(shown: &str, path: &Path) -> Result<(DataFile, Place), StageError> {
    let place = Place::Path(path.to_path_buf());
    let file = hash(shown, &place)
        .map_err(|error| StageError::Files(format!("cannot read `{}`: {error}", path.display())))?;
    Ok((file, place))
}

fn bytes(path: &Path) -> Result<Vec<u8>, String> {
    let problem = |error: std::io::Error| format!("cannot read `{}`: {error}", path.display());
    let size = fs::metadata(path).map_err(problem)?.len();
    if size > MAX_VERIFY_BYTES {
        return Err(format!(
            "`{}` has {size} bytes; at most {MAX_VERIFY_BYTES} are read",
            path.display()
        ));
    }
    fs::read(path).map_err(problem)
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use synth_core::Metric;

    use super::*;

    /// A benchmark of one classification with both versions, and whatever else.
    fn benchmark(more: &[Value]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("databases/ann_plants_class");
        for (path, text) in [
            ("source/train_v1.csv", "row_id,x,kind\n0,1,a\n1,2,b\n"),
            ("source/train_v1_no_err.csv", "row_id,x,kind\n0,1,a\n"),
            ("source/val_v1.csv", "row_id,x\n2,1\n3,2\n"),
            ("source/metadata.txt", "x: a length\n"),
            ("verify/ground_truth.csv", "row_id,kind\n2,a\n3,b\n"),
            ("verify/simulated_pred_local.csv", "row_id,kind\n2,a\n3,a\n"),
            (
                "verify/all_metadata.json",
                r#"{"question": {"target": ["kind"], "problem_type": "classification"}}"#,
            ),
        ] {
            let path = folder.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let files = json!(["train_v1.csv", "val_v1.csv", "metadata.txt"]);
        let mut entries = vec![json!({
            "file_path": "ann_plants_class", "task": "classification", "question_v1": "Do as told.", "question_v2": "Predict.",
            "needed_files_v1": files, "needed_files_v2": files, "lastUpdated": "2025-07-03T18:00:24.097Z",
        })];
        entries.extend_from_slice(more);
        let list = serde_json::to_vec(&entries).unwrap();
        fs::write(root.path().join("question_list.json"), list).unwrap();
        root
    }

    #[test]
    fn a_database_becomes_a_source_with_both_of_its_tasks() {
        let root = benchmark(&[]);
        let found = find("dare", root.path(), "MIT", true, true).unwrap();
        let [
            Found {
                source,
                hidden,
                rejected,
                unusable: None,
                ..
            },
        ] = found.as_slice()
        else {
            panic!("one usable source is expected");
        };
        assert!(rejected.is_empty() && source.held_out);
        assert_eq!(source.fetched_at, "2025-07-03");
        let names: Vec<_> = source.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(names, ["train_v1.csv", "val_v1.csv", "metadata.txt"]);
        let kinds: Vec<_> = source
            .published
            .iter()
            .map(|task| {
                (
                    task.kind,
                    task.metric,
                    task.keys.join(","),
                    task.targets.join(","),
                )
            })
            .collect();
        let columns = || ("row_id".to_owned(), "kind".to_owned());
        assert_eq!(
            kinds,
            [
                (
                    TaskKind::ClassIf,
                    Metric::EqualLabels,
                    columns().0,
                    columns().1
                ),
                (TaskKind::ClassMm, Metric::MacroF1, columns().0, columns().1),
            ]
        );
        // Neither the truth nor the rows without noise are among what agents read.
        assert_eq!(hidden.len(), 2);
        assert!(hidden.iter().all(|(file, _)| !source.files.contains(file)));
    }

    #[test]
    fn what_is_not_whole_is_left_out_with_a_reason() {
        let entry = |path: &str, task: &str| json!({"file_path": path, "task": task, "question_v1": "x", "question_v2": "y"});
        let root = benchmark(&[
            entry("../../etc", "regression"),
            entry("not_there", "regression"),
            entry("ann_plants_class", "clustering"),
            json!({"question_v1": "x"}),
        ]);
        fs::remove_file(
            root.path()
                .join("databases/ann_plants_class/verify/simulated_pred_local.csv"),
        )
        .unwrap();
        let found = find("dare", root.path(), "MIT", true, false).unwrap();
        assert_eq!(found[0].source.published.len(), 1);
        assert_eq!(found[0].rejected[0].reason, "no_truth");
        let reasons: Vec<_> = found[1..]
            .iter()
            .map(|found| found.unusable.as_ref().unwrap().0.as_str())
            .collect();
        assert_eq!(
            reasons,
            [
                "missing_database",
                "missing_database",
                "unknown_kind",
                "malformed_task"
            ]
        );
    }

    #[test]
    fn a_folder_that_is_no_benchmark_is_said_to_be_none() {
        let root = tempfile::tempdir().unwrap();
        let error = find("dare", root.path(), "MIT", true, true).err().unwrap();
        assert!(error.to_string().contains("question_list.json"), "{error}");
        fs::write(root.path().join("question_list.json"), "{").unwrap();
        let error = find("dare", root.path(), "MIT", true, true).err().unwrap();
        assert!(error.to_string().contains("expected a list"), "{error}");
    }
}
