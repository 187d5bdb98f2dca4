//! `synth score`: what agents wrote, scored outside of any run; a JSON line for each file.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use synth_core::config::Config;
use synth_core::{DataFile, Rewarding, Score, Task, Verifier};
use synth_pipeline::run::raw_records;
use synth_pipeline::{Blobs, Ledger};
use synth_score::dare::Case;
use synth_score::score_text;

use crate::cli::ScoreArguments;
use crate::exit_code::{ExitCode, Failure};
use crate::{context, output};

/// A line longer than this is no case.
const MAX_LINE: usize = 1 << 20;

/// Scores what was asked for.
pub async fn score(arguments: ScoreArguments) -> Result<ExitCode, Failure> {
    if let Some(cases) = &arguments.dare {
        return dare(cases);
    }
    let (Some(id), Some(prediction)) = (&arguments.task, &arguments.prediction) else {
        let message = "give `--task` and `--prediction`, or `--dare`";
        return Err(Failure::new(ExitCode::Usage, message.to_owned()));
    };
    let config = context::configuration(&arguments.config)?;
    let task = find(&config, id)?;
    let blobs = Blobs::open(&context::store_folder(&config))?;
    for path in files(prediction)? {
        let score = of_file(&task, &blobs, &path).await?;
        let mut line = json!({"task_id": task.id, "prediction": path.to_string_lossy()});
        if let (Value::Object(line), Ok(Value::Object(score))) =
            (&mut line, serde_json::to_value(&score))
        {
            line.extend(score);
        }
        output::data(&format!("{line}\n"))?;
    }
    Ok(ExitCode::Success)
}

/// The task of this id, or the only one whose id begins so, among those that the run has prepared.
fn find(config: &Config, id: &str) -> Result<Task, Failure> {
    let run = &config.run.name;
    let ledger = Ledger::open_read_only(context::ledger_folder(config))?;
    let keys = match ledger.partial(run, "prepare")? {
        Some(keys) => keys,
        None => ledger
            .listing(run, "prepare")?
            .map(|listing| listing.keys)
            .unwrap_or_default(),
    };
    let mut found: Vec<Task> = Vec::new();
    for key in keys {
        let Some(outcome) = ledger.outcome(&key)? else {
            continue;
        };
        let tasks = raw_records(&outcome.value)
            .into_iter()
            .filter_map(|(_, json)| serde_json::from_str::<Task>(&json).ok());
        for task in tasks {
            if task.id.as_str() == id {
                return Ok(task);
            }
            if task.id.as_str().starts_with(id) {
                found.push(task);
            }
        }
    }
    match found.len() {
        1 => found
            .pop()
            .ok_or_else(|| Failure::new(ExitCode::Failure, "no task".to_owned())),
        0 => Err(Failure::new(
            ExitCode::Usage,
            format!("run `{run}` has prepared no task `{id}`; choose a run with `--run`"),
        )),
        several => Err(Failure::new(
            ExitCode::Usage,
            format!("`{id}` is the beginning of {several} tasks' ids in run `{run}`"),
        )),
    }
}

/// The file itself, or the files of a folder by name.
fn files(path: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |error| {
        let message = format!("failed to read `{}`: {error}", path.display());
        Failure::new(ExitCode::Files, message)
    };
    if !fs::metadata(path).map_err(unreadable)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        let message = format!("the folder `{}` has no files", path.display());
        return Err(Failure::new(ExitCode::Files, message));
    }
    Ok(files)
}

async fn of_file(task: &Task, blobs: &Blobs, path: &Path) -> Result<Score, Failure> {
    let bytes = fs::read(path).map_err(|error| {
        let message = format!("failed to read `{}`: {error}", path.display());
        Failure::new(ExitCode::Files, message)
    })?;
    let refused = |reason: &str| {
        let message = format!("task `{}` {reason}", task.id);
        Err(Failure::new(ExitCode::Usage, message))
    };
    match &task.verifier {
        None => refused("is to be explored: it has nothing to verify"),
        Some(Verifier::Equivalent { .. }) => {
            refused("is verified by a model, which `synth run` asks")
        }
        Some(Verifier::Predictions(rule)) => {
            let stored = |file: &DataFile| {
                blobs.read(file.blake3).map_err(|error| {
                    let message = format!("failed to read `{}` of the store: {error}", file.path);
                    Failure::new(ExitCode::Files, message)
                })
            };
            let truth = stored(&rule.truth)?;
            let leaderboard = match &rule.reward {
                Rewarding::Standing { leaderboard } => Some(stored(leaderboard)?),
                Rewarding::Value | Rewarding::Skill { .. } => None,
            };
            context::scorer()
                .score_predictions(rule, Some(&bytes), &truth, leaderboard.as_deref())
                .await
                .map_err(|error| {
                    let message = format!("failed to start a process that scores: {error}");
                    Failure::new(ExitCode::Failure, message)
                })
        }
        Some(verifier) => {
            let answer = String::from_utf8_lossy(&bytes);
            Ok(score_text(verifier, Some(&answer)).unwrap_or_default())
        }
    }
}

/// Scores DARE-bench cases in this process, line by line. A line without a score says why; then the command fails in the end.
fn dare(cases: &Path) -> Result<ExitCode, Failure> {
    let unreadable = |error| {
        let message = format!("failed to read `{}`: {error}", cases.display());
        Failure::new(ExitCode::Files, message)
    };
    let folder = cases.parent().unwrap_or(Path::new("."));
    let lines = BufReader::new(File::open(cases).map_err(unreadable)?).split(b'\n');
    let (mut total, mut broken) = (0_u64, 0_u64);
    for (index, line) in lines.enumerate() {
        let line = line.map_err(unreadable)?;
        if line.trim_ascii().is_empty() {
            continue;
        }
        total += 1;
        let said = match case(&line).and_then(|case| Ok((case.score(folder)?, case.case_id))) {
            Ok((score, case_id)) => {
                json!({"case_id": case_id, "score": score.reward, "reason": score.reason})
            }
            Err(error) => {
                broken += 1;
                let named = serde_json::from_slice::<Value>(&line).unwrap_or_default();
                json!({"case_id": named.get("case_id"), "line": index + 1, "error": error})
            }
        };
        output::data(&format!("{said}\n"))?;
    }
    if broken > 0 {
        let message = format!("{broken} of {total} lines have no score; each says why in `error`");
        return Err(Failure::new(ExitCode::Failure, message));
    }
    Ok(ExitCode::Success)
}

fn case(line: &[u8]) -> Result<Case, String> {
    if line.len() > MAX_LINE {
        return Err(format!("the line has more than {MAX_LINE} bytes"));
    }
    serde_json::from_slice(line).map_err(|error| format!("the line is no case: {error}"))
}
