//! A benchmark suite in DSGym's unified task format: `{context, question, answer, data, metadata}` in JSON, tables beside it.
//!
//! Each distinct set of tables becomes a source with the questions that are asked about it, so that the split by source
//! never parts two questions about one table.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::Path;
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::Value;
use synth_core::{Licence, Origin, SuiteQuestion};
use synth_pipeline::{Rejected, StageError};

use super::folder::hash;
use super::{Found, Place, bare};
use crate::tables::ending;

/// An archive that unpacks to more than this is refused: suites are small, so it is something else.
const MAX_UNPACKED: u64 = 2 << 30;

/// A task as the suite has it.
#[derive(Deserialize)]
struct Entry {
    #[serde(default)]
    context: String,
    #[serde(default)]
    question: String,
    #[serde(default)]
    answer: Value,
    #[serde(default)]
    data: Vec<String>,
    #[serde(default)]
    metadata: Value,
    #[serde(default)]
    answer_guideline: String,
}

/// The suite's files, by path, each with the time of its last change.
type Files = BTreeMap<String, (Place, SystemTime)>;

/// A source for each set of tables.
pub(super) fn find(
    name: &str,
    path: &Path,
    licence: &str,
    redistributable: bool,
) -> Result<Vec<Found>, StageError> {
    let files = files(name, path)?;
    let mut found = Vec::new();
    let mut groups: BTreeMap<Vec<String>, Group> = BTreeMap::new();
    let mut tasks = 0;
    for listing in files
        .keys()
        .filter(|path| matches!(ending(path).as_str(), "json" | "jsonl"))
    {
        let entries = match entries(listing, &bytes(&files[listing].0)?) {
            Ok(entries) => entries,
            Err(problem) => {
                let mut source = bare(Origin::Suite, &format!("{name}/{listing}"));
                source.title.clone_from(listing);
                let message = format!(
                    "`{listing}` of the suite `{name}` does not read: {problem}; its tasks are left out"
                );
                let unusable = Some(("unreadable_task_file".to_owned(), message));
                found.push(Found {
                    source,
                    places: Vec::new(),
                    hidden: Vec::new(),
                    rejected: Vec::new(),
                    unusable,
                });
                continue;
            }
        };
        let folder = listing.rsplit_once('/').map_or("", |(folder, _)| folder);
        for (place, entry) in entries.into_iter().enumerate() {
            tasks += 1;
            match entry {
                Ok(entry) => {
                    let tables = entry.data.iter().map(|path| join(folder, path)).collect();
                    groups.entry(tables).or_default().add(name, place, &entry);
                }
                Err(message) => {
                    let id = format!("{name}/#{place}");
                    groups
                        .entry(Vec::new())
                        .or_default()
                        .rejected
                        .push(Rejected {
                            id,
                            reason: "malformed_task".to_owned(),
                            message,
                        });
                }
            }
        }
    }
    if tasks == 0 && found.is_empty() {
        return Err(StageError::Files(format!(
            "the suite `{name}` at `{}` holds no tasks; expected a JSON file with a list of {{question, answer, data, metadata}}",
            path.display()
        )));
    }
    let licence = Licence {
        name: licence.to_owned(),
        redistributable,
    };
    for (data, group) in groups {
        found.push(group.into_found(name, &data, &files, &licence)?);
    }
    Ok(found)
}

/// The questions about one set of tables.
#[derive(Default)]
struct Group {
    questions: Vec<SuiteQuestion>,
    rejected: Vec<Rejected>,
}

impl Group {
    fn add(&mut self, suite: &str, place: usize, entry: &Entry) {
        let text = |key: &str| {
            entry
                .metadata
                .get(key)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .trim()
                .to_owned()
        };
        let original_id = match entry
            .metadata
            .get("original_id")
            .or_else(|| entry.metadata.get("task_id"))
        {
            Some(Value::String(id)) => id.clone(),
            Some(Value::Number(id)) => id.to_string(),
            _ => format!("#{place}"),
        };
        let mut reject = |reason: &str, message: String| {
            self.rejected.push(Rejected {
                id: format!("{suite}/{original_id}"),
                reason: reason.to_owned(),
                message,
            });
        };
        if entry.question.trim().is_empty() {
            return reject("no_question", "the task has no question".to_owned());
        }
        let answer = match answer_pairs(&entry.answer) {
            Ok(answer) if answer.is_empty() => {
                return reject(
                    "no_answer",
                    "the suite gives no answer, so nothing could be verified".to_owned(),
                );
            }
            Ok(answer) => answer,
            Err(problem) => return reject("unreadable_answer", problem),
        };
        let format = text("format");
        let keywords = entry
            .metadata
            .get("keywords")
            .and_then(Value::as_array)
            .map(Vec::as_slice)
            .unwrap_or_default();
        self.questions.push(SuiteQuestion {
            original_id,
            question: entry.question.trim().to_owned(),
            // "No context is necessary" is the suite's way to say that there is none.
            context: if entry.context.starts_with("No context") {
                String::new()
            } else {
                entry.context.trim().to_owned()
            },
            constraints: text("constraints"),
            format: if format.is_empty() {
                entry.answer_guideline.trim().to_owned()
            } else {
                format
            },
            answer,
            keywords: keywords
                .iter()
                .filter_map(Value::as_str)
                .map(str::to_owned)
                .collect(),
            level: Some(text("level")).filter(|level| !level.is_empty()),
        });
    }

    fn into_found(
        self,
        suite: &str,
        data: &[String],
        files: &Files,
        licence: &Licence,
    ) -> Result<Found, StageError> {
        let names: Vec<&str> = data
            .iter()
            .map(|path| path.rsplit('/').next().unwrap_or(path))
            .collect();
        // The path tells tables of one name apart; `data/` before it tells nothing.
        let paths: Vec<&str> = data
            .iter()
            .map(|path| {
                path.split_once("data/")
                    .map_or(path.as_str(), |(_, rest)| rest)
            })
            .collect();
        let mut source = bare(Origin::Suite, &format!("{suite}/{}", paths.join("+")));
        source.title = names.join(", ");
        source.licence = licence.clone();
        let newest = data
            .iter()
            .filter_map(|path| files.get(path))
            .map(|(_, changed)| *changed)
            .max();
        source.fetched_at = super::date(newest.unwrap_or(SystemTime::UNIX_EPOCH));
        source.questions = self.questions;
        let missing: Vec<&str> = data
            .iter()
            .filter(|path| !files.contains_key(*path))
            .map(String::as_str)
            .collect();
        if !missing.is_empty() || data.is_empty() {
            let message = if data.is_empty() {
                "tasks name no data files".to_owned()
            } else {
                format!("data files are not in the suite: {}", missing.join(", "))
            };
            let refused = self.rejected.iter().map(
                |Rejected {
                     id,
                     reason,
                     message,
                 }| format!("; {id}: {reason}: {message}"),
            );
            let message = format!(
                "{message}; {} questions go with them{}",
                source.questions.len(),
                refused.collect::<String>()
            );
            return Ok(Found {
                source,
                places: Vec::new(),
                hidden: Vec::new(),
                rejected: Vec::new(),
                unusable: Some(("missing_data_file".to_owned(), message)),
            });
        }
        let mut places = Vec::new();
        for (path, name) in data.iter().zip(&names) {
            // Two tables of one name from different folders keep their folders.
            let is_only = names.iter().filter(|other| *other == name).count() == 1;
            let shown = if is_only { name } else { path.as_str() };
            let place = files[path].0.clone();
            source
                .files
                .push(hash(shown, &place).map_err(|error| {
                    StageError::Files(format!("cannot read `{path}`: {error}"))
                })?);
            places.push(place);
        }
        Ok(Found {
            source,
            places,
            hidden: Vec::new(),
            rejected: self.rejected,
            unusable: None,
        })
    }
}

/// Paths in a suite begin with `/`, meaning the folder of the JSON file.
fn join(folder: &str, path: &str) -> String {
    let path = path.trim_start_matches('/');
    if folder.is_empty() {
        path.to_owned()
    } else {
        format!("{folder}/{path}")
    }
}

/// The tasks in a JSON file: a list, or one on each line; none where it holds something else. A line that is no JSON is a
/// malformed task, a file that is none is refused whole.
fn entries(path: &str, bytes: &[u8]) -> Result<Vec<Result<Entry, String>>, String> {
    let values: Vec<Result<Value, serde_json::Error>> = if ending(path) == "jsonl" {
        let lines = bytes.split(|byte| *byte == b'\n');
        lines
            .filter(|line| !line.trim_ascii().is_empty())
            .map(serde_json::from_slice)
            .collect()
    } else {
        match serde_json::from_slice(bytes).map_err(|error| error.to_string())? {
            Value::Array(values) => values.into_iter().map(Ok).collect(),
            _ => Vec::new(),
        }
    };
    let is_task = |value: &Value| value.get("question").is_some() && value.get("data").is_some();
    if !values.iter().flatten().any(is_task) {
        return Ok(Vec::new());
    }
    let entry = |(place, value): (usize, Result<Value, serde_json::Error>)| {
        let read = value.and_then(serde_json::from_value);
        read.map_err(|error| format!("task {place} of `{path}` does not read: {error}"))
    };
    Ok(values.into_iter().enumerate().map(entry).collect())
}

/// Pairs of name and value: a JSON list of pairs, or the same written as Python text, `[['mean', '34.65']]`.
fn answer_pairs(answer: &Value) -> Result<Vec<(String, String)>, String> {
    match answer {
        Value::Null => Ok(Vec::new()),
        Value::String(text) if text.trim().is_empty() => Ok(Vec::new()),
        Value::String(text) => python_pairs(text)
            .ok_or_else(|| format!("the answer is not a list of [name, value] pairs: {text}")),
        Value::Array(pairs) => pairs
            .iter()
            .map(|pair| match pair.as_array().map(Vec::as_slice) {
                Some([name, value]) => Ok((plain(name), plain(value))),
                _ => Err(format!(
                    "the answer is not a list of [name, value] pairs: {answer}"
                )),
            })
            .collect(),
        other => Err(format!(
            "the answer is not a list of [name, value] pairs: {other}"
        )),
    }
}

fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// Reads `[['name', 'value'], …]` as Python prints it: strings in either quotes, with backslash escapes.
fn python_pairs(text: &str) -> Option<Vec<(String, String)>> {
    let mut strings = Vec::new();
    let mut characters = text.trim().strip_prefix('[')?.strip_suffix(']')?.chars();
    let mut depth = 0_u32;
    while let Some(character) = characters.next() {
        match character {
            '[' | '(' => depth += 1,
            ']' | ')' => depth = depth.checked_sub(1)?,
            ',' | ' ' | '\n' => {}
            quote @ ('\'' | '"') if depth == 1 => {
                let mut string = String::new();
                loop {
                    match characters.next()? {
                        '\\' => string.push(characters.next()?),
                        end if end == quote => break,
                        other => string.push(other),
                    }
                }
                strings.push(string);
            }
            _ => return None,
        }
    }
    if depth != 0 || strings.len() % 2 != 0 {
        return None;
    }
    Some(
        strings
            .chunks_exact(2)
            .map(|pair| (pair[0].clone(), pair[1].clone()))
            .collect(),
    )
}

/// All files of the suite.
fn files(name: &str, path: &Path) -> Result<Files, StageError> {
    let unreadable = |error: &dyn std::fmt::Display| {
        StageError::Files(format!(
            "cannot read the suite `{name}` at `{}`: {error}; check `sources.{name}.path`",
            path.display()
        ))
    };
    let mut files = Files::new();
    if path.is_dir() {
        for entry in walkdir::WalkDir::new(path).sort_by_file_name() {
            let entry = entry.map_err(|error| unreadable(&error))?;
            if entry.file_type().is_file() {
                let metadata = entry.metadata().map_err(|error| unreadable(&error))?;
                let changed = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                let relative = entry
                    .path()
                    .strip_prefix(path)
                    .unwrap_or(entry.path())
                    .to_string_lossy()
                    .replace('\\', "/");
                files.insert(relative, (Place::Path(entry.into_path()), changed));
            }
        }
    } else {
        let file = fs::File::open(path).map_err(|error| unreadable(&error))?;
        let limited = flate2::read::GzDecoder::new(file).take(MAX_UNPACKED);
        let mut archive = tar::Archive::new(limited);
        for entry in archive.entries().map_err(|error| unreadable(&error))? {
            let mut entry = entry.map_err(|error| unreadable(&error))?;
            if !entry.header().entry_type().is_file() {
                continue;
            }
            let modified =
                std::time::Duration::from_secs(entry.header().mtime().unwrap_or_default());
            let changed = SystemTime::UNIX_EPOCH + modified;
            let relative = entry
                .path()
                .map_err(|error| unreadable(&error))?
                .to_string_lossy()
                .replace('\\', "/");
            let mut bytes = Vec::new();
            entry
                .read_to_end(&mut bytes)
                .map_err(|error| unreadable(&error))?;
            files.insert(
                relative.trim_start_matches("./").to_owned(),
                (Place::Bytes(bytes.into()), changed),
            );
        }
    }
    Ok(files)
}

fn bytes(place: &Place) -> Result<Vec<u8>, StageError> {
    match place {
        Place::Bytes(bytes) => Ok(bytes.to_vec()),
        Place::Path(path) => fs::read(path).map_err(|error| {
            StageError::Files(format!("cannot read `{}`: {error}", path.display()))
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_come_as_python_text_or_as_json() {
        let pairs = vec![
            ("mean".to_owned(), "34.65".to_owned()),
            ("who's".to_owned(), "a, [b]".to_owned()),
        ];
        assert_eq!(
            python_pairs("[['mean', '34.65'], [\"who's\", 'a, [b]']]"),
            Some(pairs)
        );
        assert_eq!(
            answer_pairs(&serde_json::json!([["n", 3]])),
            Ok(vec![("n".to_owned(), "3".to_owned())])
        );
    }

    #[test]
    fn answers_of_other_shapes_are_refused() {
        for text in ["[['a']]", "42", "[['a', 'b'", "[['a', f(x)]]", "[3]"] {
            assert_eq!(python_pairs(text), None, "{text}");
        }
        assert!(answer_pairs(&serde_json::json!({"a": 1})).is_err());
    }

    #[test]
    fn an_empty_answer_is_no_answer() {
        assert_eq!(answer_pairs(&Value::Null), Ok(Vec::new()));
        assert_eq!(answer_pairs(&serde_json::json!("")), Ok(Vec::new()));
    }
}
