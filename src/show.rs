//! `synth show`: any record with its lineage; a trajectory as a conversation that can be read.

use std::fmt::Write as _;
use std::io::IsTerminal;

use serde_json::Value;
use synth_core::config::Config;
use synth_core::{
    Display, Judgement, Memo, Query, Role, Selection, Task, Trajectory, TrajectoryId,
};
use synth_pipeline::ledger::Status;
use synth_pipeline::{Blobs, Ledger, judgement_id, run::raw_records, run::rejected_of};
use synth_stages::queries::exploration_key;

use crate::cli::ShowArguments;
use crate::exit_code::{ExitCode, Failure};
use crate::{context, output, table, terminal};

/// Ids that are listed when the beginning of one fits several.
const MAX_LISTED: usize = 20;

/// Shows what was asked for.
pub async fn show(arguments: &ShowArguments) -> Result<ExitCode, Failure> {
    let config = context::configuration(&arguments.config)?;
    let ledger = Ledger::open_read_only(context::ledger_folder(&config))?;
    let text = match &arguments.id {
        None if arguments.failed => outcomes(&ledger, known_run(&config)?, Status::Failed)?,
        None => outcomes(&ledger, known_run(&config)?, Status::Dropped)?,
        Some(id) => {
            let (id, json) = find(&ledger, id).await?;
            if arguments.json {
                format!("{json}\n")
            } else {
                let store = context::store_folder(&config);
                let blobs = store.exists().then(|| Blobs::open(&store)).transpose()?;
                render(&ledger, blobs.as_ref(), &id, &json).await?
            }
        }
    };
    let text = if std::io::stdout().is_terminal() {
        coloured(&terminal::harmless(&text))
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

/// The record with this id: of those that several stages pass on, the first stage's; but a source as `filter` saw it, with its
/// rulings.
async fn record(ledger: &Ledger, id: &str) -> Result<Option<String>, Failure> {
    let ruled = if id.starts_with("src_") {
        ledger.latest("filter", id)?
    } else {
        None
    };
    let made = match ledger.makers(id)?.first() {
        Some((_, key)) => ledger.outcome(key)?,
        None => None,
    };
    let records = [ruled, made]
        .into_iter()
        .flatten()
        .flat_map(|outcome| raw_records(&outcome.value));
    for (_, json) in records {
        if names(&json, id) {
            return Ok(Some(json));
        }
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

async fn render(
    ledger: &Ledger,
    blobs: Option<&Blobs>,
    id: &str,
    json: &str,
) -> Result<String, Failure> {
    if id.starts_with("trj_")
        && let Ok(trajectory) = serde_json::from_str::<Trajectory>(json)
    {
        return trajectory_text(ledger, blobs, &trajectory).await;
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
                "source_id" => source_slug(ledger, id).await?,
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

/// What people call a source, as crawled or as filtered.
async fn source_slug(ledger: &Ledger, id: &str) -> Result<Option<String>, Failure> {
    let value = parsed::<Value>(ledger, id).await?.unwrap_or_default();
    let slug = value.pointer("/source/slug").or_else(|| value.get("slug"));
    Ok(slug.and_then(Value::as_str).map(str::to_owned))
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

async fn trajectory_text(
    ledger: &Ledger,
    blobs: Option<&Blobs>,
    trajectory: &Trajectory,
) -> Result<String, Failure> {
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
        let displays = turn.observation.iter().flat_map(|seen| &seen.displays);
        for display in displays {
            displayed(&mut text, blobs, display);
        }
    }
    if let Some(left_out) = left_out(ledger, "judge", &trajectory.id)? {
        text.push_str(&left_out);
        return Ok(text);
    }
    if let Some(judgement) = parsed::<Judgement>(ledger, &judgement_id(&trajectory.id)).await? {
        judgement_text(&mut text, &judgement);
    }
    if let Some(left_out) = left_out(ledger, "select", &trajectory.id)? {
        text.push_str(&left_out);
        return Ok(text);
    }
    let selection = judgement_id(&trajectory.id).replacen("jdg_", "sel_", 1);
    if let Some(selection) = parsed::<Selection>(ledger, &selection).await? {
        let _ = writeln!(text, "selected for the dataset: {}", selection.reason);
    }
    Ok(text)
}

/// Where an image or the like lies that the output names.
fn displayed(text: &mut String, blobs: Option<&Blobs>, display: &Display) {
    let path = blobs
        .map(|blobs| blobs.path(display.blake3))
        .filter(|path| path.exists());
    let place = path.map_or_else(
        || format!("{} (no longer stored)", display.blake3),
        |path| path.display().to_string(),
    );
    let _ = writeln!(text, "displayed {}: {place}\n", display.media_type);
}

/// Why a stage did not pass a trajectory on, if its latest word is that.
fn left_out(ledger: &Ledger, stage: &str, id: &TrajectoryId) -> Result<Option<String>, Failure> {
    let outcome = ledger
        .latest(stage, id.as_str())?
        .filter(|outcome| outcome.status != Status::Kept);
    Ok(outcome.map(|outcome| {
        let (reason, message) = (
            outcome.reason.unwrap_or_default(),
            outcome.message.unwrap_or_default(),
        );
        let message = if message == reason {
            String::new()
        } else {
            format!(": {message}")
        };
        let status = outcome.status.as_str();
        format!("not in the dataset: {status} by `{stage}` as {reason}{message}\n")
    }))
}

fn judgement_text(text: &mut String, judgement: &Judgement) {
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

/// The name of the run that was asked for, if there is one of that name.
fn known_run(config: &Config) -> Result<&str, Failure> {
    if context::run(config).folder.is_dir() {
        return Ok(&config.run.name);
    }
    let message = format!(
        "there is no run `{}`; `synth status` lists those there are",
        config.run.name
    );
    Err(Failure::new(ExitCode::Usage, message))
}

/// What failed or was dropped in a run, stage by stage, pieces of kept items among the dropped.
fn outcomes(ledger: &Ledger, run: &str, wanted: Status) -> Result<String, Failure> {
    let mut text = String::new();
    let (mut rows, mut unfinished) = (Vec::new(), Vec::new());
    for stage in synth_stages::STAGES {
        let stopped = ledger.partial(run, stage.name())?;
        if stopped.is_some() {
            unfinished.push(format!("`{}`", stage.name()));
        }
        let keys = match stopped {
            Some(keys) => keys,
            None => ledger
                .listing(run, stage.name())?
                .map_or(Vec::new(), |listing| listing.keys),
        };
        for key in keys {
            let Some(outcome) = ledger.outcome(&key)? else {
                continue;
            };
            if wanted == Status::Dropped {
                let pieces = rejected_of(&outcome.value).into_iter();
                rows.extend(pieces.map(|piece| {
                    vec![
                        stage.name().to_owned(),
                        piece.id,
                        piece.reason,
                        piece.message,
                    ]
                }));
            }
            if outcome.status != wanted {
                continue;
            }
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
            "nothing {} in the stages of run `{run}` so far",
            wanted.as_str()
        );
    } else {
        text.push_str(&table::render(
            &["stage", "item", "reason", "message"],
            &rows,
        ));
    }
    if !unfinished.is_empty() {
        let _ = writeln!(
            text,
            "\nnot finished: {}; what was settled when the stage stopped is told of",
            unfinished.join(", ")
        );
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

#[cfg(test)]
mod tests {
    use synth_core::Fingerprint;
    use synth_pipeline::ledger::{Basis, Listing, OutcomeKey, StoredOutcome};

    use super::*;

    /// Stores how an item ended, with a record if there is one.
    async fn ended(
        ledger: &Ledger,
        (stage, item): (&'static str, &str),
        status: Status,
        record: Option<(&str, Value)>,
    ) -> Result<OutcomeKey, Failure> {
        let basis = Basis {
            version: 1,
            config: Fingerprint::of(&()),
            prompts: Fingerprint::of(&()),
            content: Fingerprint::of(&()),
        };
        let key = OutcomeKey::new(stage, item, &basis);
        let (ids, records): (Vec<&str>, Vec<Value>) = record.into_iter().unzip();
        let is_kept = status == Status::Kept;
        let outcome = StoredOutcome {
            item: item.to_owned(),
            status,
            reason: (!is_kept).then(|| "too_dull".to_owned()),
            message: (!is_kept).then(|| "it says\nnothing".to_owned()),
            spurious: false,
            made: ids
                .iter()
                .filter(|_| is_kept)
                .map(|id| (*id).to_owned())
                .collect(),
            value: serde_json::json!({"ids": ids, "records": records, "rejected": []})
                .to_string()
                .into_bytes(),
        };
        ledger.put_outcome(key, stage, basis, outcome).await?;
        Ok(key)
    }

    fn ledger() -> Result<(tempfile::TempDir, Ledger), Failure> {
        let folder = tempfile::tempdir()?;
        let ledger = Ledger::open(folder.path())?;
        Ok((folder, ledger))
    }

    #[tokio::test]
    async fn a_stage_that_stopped_shows_what_failed_so_far_and_says_that_it_is_not_finished()
    -> Result<(), Failure> {
        let (_folder, ledger) = ledger()?;
        let failed = ended(&ledger, ("judge", "trj_1"), Status::Failed, None).await?;
        ledger
            .put_listing("small", "judge", &Listing::default())
            .await?;
        ledger.list_partial("small", "judge", vec![failed]).await?;

        let text = outcomes(&ledger, "small", Status::Failed)?;
        assert!(
            text.contains("judge  trj_1  too_dull  it says nothing"),
            "{text}"
        );
        assert!(text.contains("not finished: `judge`"), "{text}");
        let text = outcomes(&ledger, "small", Status::Dropped)?;
        assert!(
            text.contains("nothing dropped") && text.contains("not finished: `judge`"),
            "{text}"
        );

        let listing = Listing {
            records: 0,
            keys: vec![failed],
        };
        ledger.put_listing("small", "judge", &listing).await?;
        let text = outcomes(&ledger, "small", Status::Failed)?;
        assert!(
            text.contains("trj_1") && !text.contains("not finished"),
            "{text}"
        );
        Ok(())
    }

    #[tokio::test]
    async fn a_source_is_shown_with_the_rulings_of_filter_even_if_it_was_dropped()
    -> Result<(), Failure> {
        let (_folder, ledger) = ledger()?;
        let source = serde_json::json!({"id": "src_1", "slug": "iris"});
        let filtered = serde_json::json!({"id": "src_1", "source": source, "rulings": [{"rule": "too_small", "passed": false}]});
        ended(
            &ledger,
            ("crawl", "src_1"),
            Status::Kept,
            Some(("src_1", source.clone())),
        )
        .await?;
        assert_eq!(record(&ledger, "src_1").await?, Some(source.to_string()));
        assert_eq!(
            source_slug(&ledger, "src_1").await?.as_deref(),
            Some("iris")
        );

        ended(
            &ledger,
            ("filter", "src_1"),
            Status::Dropped,
            Some(("src_1", filtered)),
        )
        .await?;
        let (id, json) = find(&ledger, "src").await?;
        let text = render(&ledger, None, &id, &json).await?;
        assert!(text.contains("rule: too_small"), "{text}");
        assert_eq!(
            source_slug(&ledger, "src_1").await?.as_deref(),
            Some("iris")
        );
        Ok(())
    }

    #[tokio::test]
    async fn what_left_a_trajectory_out_is_said_with_its_reason() -> Result<(), Failure> {
        let (_folder, ledger) = ledger()?;
        let id = TrajectoryId::of(&["a trajectory"]);
        assert_eq!(left_out(&ledger, "select", &id)?, None);
        ended(&ledger, ("select", id.as_str()), Status::Kept, None).await?;
        assert_eq!(left_out(&ledger, "select", &id)?, None);
        ended(&ledger, ("judge", id.as_str()), Status::Dropped, None).await?;
        assert_eq!(
            left_out(&ledger, "judge", &id)?.as_deref(),
            Some("not in the dataset: dropped by `judge` as too_dull: it says\nnothing\n")
        );
        Ok(())
    }
}
