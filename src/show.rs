//! `synth show`: any record with its lineage; a trajectory as a conversation that can be read.

use std::fmt::Write as _;
use std::io::IsTerminal;

use serde_json::Value;
use synth_core::{Judgement, Memo, Query, Role, Selection, Source, Task, Trajectory};
use synth_pipeline::ledger::Status;
use synth_pipeline::{Ledger, judgement_id, run::raw_records};
use synth_stages::queries::exploration_key;

use crate::cli::ShowArguments;
use crate::exit_code::{ExitCode, Failure};
use crate::{context, output, table};

/// Ids that are listed when the beginning of one fits several.
const MAX_LISTED: usize = 20;

/// Shows what was asked for.
pub async fn show(arguments: &ShowArguments) -> Result<ExitCode, Failure> {
    let config = context::configuration(&arguments.config)?;
    let ledger = Ledger::open_read_only(context::ledger_folder(&config))?;
    let text = match &arguments.id {
        None if arguments.failed => outcomes(&ledger, &config.run.name, Status::Failed)?,
        None => outcomes(&ledger, &config.run.name, Status::Dropped)?,
        Some(id) => {
            let (id, json) = find(&ledger, id).await?;
            if arguments.json {
                format!("{json}\n")
            } else {
                render(&ledger, &id, &json).await?
            }
        }
    };
    let text = if std::io::stdout().is_terminal() {
        coloured(&text)
    } else {
        text
    };
    output::data(&text)?;
    Ok(ExitCode::Success)
}

/// The record with this id, or the only one whose id begins so, as JSON.
async fn find(ledger: &Ledger, id: &str) -> Result<(String, String), Failure> {
    if let Some(json) = record(ledger, id).await? {
        return Ok((id.to_owned(), json));
    }
    let ids = ledger.ids(id, MAX_LISTED + 1)?;
    match ids.as_slice() {
        [only] => {
            let json = record(ledger, only).await?.unwrap_or_default();
            Ok((only.clone(), json))
        }
        [] => Err(Failure::new(
            ExitCode::Usage,
            format!(
                "no record has the id `{id}`; ids begin with src_, tsk_, qry_, trj_, jdg_ or sel_"
            ),
        )),
        several => {
            let listed = several
                .iter()
                .take(MAX_LISTED)
                .cloned()
                .collect::<Vec<_>>()
                .join("\n  ");
            let more = if several.len() > MAX_LISTED {
                "\n  …"
            } else {
                ""
            };
            Err(Failure::new(
                ExitCode::Usage,
                format!("`{id}` is the beginning of several ids:\n  {listed}{more}"),
            ))
        }
    }
}

async fn record(ledger: &Ledger, id: &str) -> Result<Option<String>, Failure> {
    if let Some(key) = ledger.makers(id)?.into_iter().next().map(|(_, key)| key)
        && let Some(outcome) = ledger.outcome(&key)?
        && let Some((_, json)) = raw_records(&outcome.value)
            .into_iter()
            .find(|(_, json)| names(json, id))
    {
        return Ok(Some(json));
    }
    let remembered = ledger
        .get(exploration_key(id))
        .await
        .map_err(|error| Failure::new(ExitCode::Files, error.to_string()))?;
    Ok(remembered.and_then(|bytes| String::from_utf8(bytes).ok()))
}

/// Whether a record's JSON carries this id; judgements and selections carry their trajectory's.
fn names(json: &str, id: &str) -> bool {
    let Ok(value) = serde_json::from_str::<Value>(json) else {
        return false;
    };
    let own = value
        .get("id")
        .or_else(|| value.get("trajectory_id"))
        .and_then(Value::as_str)
        .unwrap_or_default();
    own == id
        || own
            .split_once('_')
            .is_some_and(|(_, rest)| id.split_once('_').is_some_and(|(_, other)| rest == other))
}

async fn parsed<T: serde::de::DeserializeOwned>(
    ledger: &Ledger,
    id: &str,
) -> Result<Option<T>, Failure> {
    Ok(record(ledger, id)
        .await?
        .and_then(|json| serde_json::from_str(&json).ok()))
}

async fn render(ledger: &Ledger, id: &str, json: &str) -> Result<String, Failure> {
    if id.starts_with("trj_")
        && let Ok(trajectory) = serde_json::from_str::<Trajectory>(json)
    {
        return trajectory_text(ledger, &trajectory).await;
    }
    let value: Value = serde_json::from_str(json).map_err(|error| {
        Failure::new(ExitCode::Failure, format!("`{id}` does not read: {error}"))
    })?;
    let mut text = format!("# {id}\n\n");
    lineage(&mut text, ledger, &value).await?;
    outline(&mut text, &value, 0);
    Ok(text)
}

/// Where a record comes from, each step with its id.
async fn lineage(text: &mut String, ledger: &Ledger, value: &Value) -> Result<(), Failure> {
    for (key, what) in [
        ("source_id", "source"),
        ("task_id", "task"),
        ("query_id", "query"),
        ("trajectory_id", "trajectory"),
        ("explored_in", "explored in"),
    ] {
        if let Some(id) = value.get(key).and_then(Value::as_str) {
            let name = match key {
                "source_id" => parsed::<Source>(ledger, id)
                    .await?
                    .map(|source| source.slug),
                "task_id" => parsed::<Task>(ledger, id)
                    .await?
                    .map(|task| format!("{} ({})", task.slug, task.kind.as_str())),
                "query_id" => parsed::<Query>(ledger, id)
                    .await?
                    .map(|query| query.question),
                _ => None,
            };
            let _ = writeln!(text, "{what:<12} {id}  {}", name.unwrap_or_default());
        }
    }
    if !text.ends_with("\n\n") {
        text.push('\n');
    }
    Ok(())
}

/// A record's fields, one a line, nested ones indented.
fn outline(text: &mut String, value: &Value, depth: usize) {
    let indent = "  ".repeat(depth);
    let mut line = |name: &str, value: &Value| match value {
        Value::Null => {}
        Value::Object(fields) if fields.is_empty() => {}
        Value::Array(items) if items.is_empty() => {}
        Value::Object(_) | Value::Array(_) => {
            let _ = writeln!(text, "{indent}{name}:");
            outline(text, value, depth + 1);
        }
        Value::String(string) if string.contains('\n') => {
            let _ = writeln!(text, "{indent}{name}:");
            for line in string.lines() {
                let _ = writeln!(text, "{indent}  | {line}");
            }
        }
        Value::String(string) => {
            let _ = writeln!(text, "{indent}{name}: {string}");
        }
        other => {
            let _ = writeln!(text, "{indent}{name}: {other}");
        }
    };
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| line(name, value)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .for_each(|(place, value)| line(&format!("- {}", place + 1), value)),
        other => line("value", other),
    }
}

async fn trajectory_text(ledger: &Ledger, trajectory: &Trajectory) -> Result<String, Failure> {
    let mut text = format!("# {}\n\n", trajectory.id);
    let value = serde_json::to_value(trajectory).unwrap_or_default();
    lineage(&mut text, ledger, &value).await?;
    let _ = writeln!(
        text,
        "attempt {} by {}; stopped: {}; reward {} ({}); {} tokens sent, {} received\n",
        trajectory.sample_index + 1,
        trajectory.model,
        value["stop"].as_str().unwrap_or_default(),
        trajectory.score.reward,
        trajectory.score.reason,
        table::thousands(trajectory.usage.prompt_tokens),
        table::thousands(trajectory.usage.completion_tokens),
    );
    for turn in &trajectory.turns {
        let heading = match turn.role {
            Role::System => "system",
            Role::User => "user",
            Role::Assistant => "agent",
            Role::Observation => "output",
        };
        let _ = writeln!(
            text,
            "── {heading} {}\n{}\n",
            "─".repeat(70 - heading.len()),
            turn.content.trim()
        );
        if let (Some(code), Some(call)) = (&turn.code, &turn.tool_call) {
            let _ = writeln!(text, "call of `{}`:\n{code}\n", call.name);
        }
    }
    if let Some(judgement) = parsed::<Judgement>(ledger, &judgement_id(&trajectory.id)).await? {
        let _ = writeln!(
            text,
            "── judgement {}\nverdict {:?} by {}, {} sample(s), agreement {:.2}",
            "─".repeat(61),
            judgement.verdict,
            judgement.model,
            judgement.samples,
            judgement.agreement
        );
        for (criterion, grade) in &judgement.criteria {
            let _ = writeln!(
                text,
                "  {:<18} {:.1}  {}",
                criterion.as_str(),
                grade.score,
                grade.rationale
            );
        }
        text.push('\n');
    }
    let selection = judgement_id(&trajectory.id).replacen("jdg_", "sel_", 1);
    if let Some(selection) = parsed::<Selection>(ledger, &selection).await? {
        let _ = writeln!(text, "selected for the dataset: {}", selection.reason);
    }
    Ok(text)
}

/// What failed or was dropped in a run, stage by stage.
fn outcomes(ledger: &Ledger, run: &str, wanted: Status) -> Result<String, Failure> {
    let mut text = String::new();
    let mut rows = Vec::new();
    for stage in synth_stages::STAGES {
        let Some(listing) = ledger.listing(run, stage.name())? else {
            continue;
        };
        for key in listing.keys {
            let Some(outcome) = ledger
                .outcome(&key)?
                .filter(|outcome| outcome.status == wanted)
            else {
                continue;
            };
            let message = outcome.message.unwrap_or_default().replace('\n', " ");
            rows.push(vec![
                stage.name().to_owned(),
                outcome.item,
                outcome.reason.unwrap_or_default(),
                message,
            ]);
        }
    }
    if rows.is_empty() {
        let _ = writeln!(
            text,
            "nothing {} in the finished stages of run `{run}`",
            wanted.as_str()
        );
    } else {
        text.push_str(&table::render(
            &["stage", "item", "reason", "message"],
            &rows,
        ));
    }
    Ok(text)
}

/// Headings and rules stand out on a terminal.
fn coloured(text: &str) -> String {
    let paint = |line: &str| {
        if line.starts_with("# ") || line.starts_with("── ") {
            format!("\u{1b}[1;36m{line}\u{1b}[0m\n")
        } else {
            format!("{line}\n")
        }
    };
    text.lines().map(paint).collect()
}
