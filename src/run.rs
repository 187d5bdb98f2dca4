//! `synth run`: stages in order, the ledger open, Ctrl-C heard, an account at the end.

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;
use std::time::Instant;

use synth_core::Memo;
use synth_pipeline::{
    Blobs, Cancel, Event, Invocation, Ledger, Mode, Observer, Outcomes, Run, Services as _, Spend,
    Stage, StageError, Summary, run_stages,
};
use synth_stages::emit::DatasetSummary;
use synth_stages::services::{FreshMemo, Services};

use crate::cli::RunArguments;
use crate::exit_code::{ExitCode, Failure};
use crate::{context, interrupt, output, progress, table};

/// Runs the stages that were asked for.
pub async fn run(arguments: RunArguments) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    let mut config = context::configuration(&arguments.config)?;
    if let Some(bytes) = arguments.max_download_bytes {
        config.budget.download_bytes = bytes;
    }
    context::prompts(&config)?;
    let run = context::run(&config);
    let stages = context::stages(&arguments.stages)?;
    let observer: Arc<dyn Observer> = Arc::from(progress::observer(arguments.json));
    let cancel = Cancel::default();
    let again = arguments.again(&run.name);
    // Dropped last: the ledger and the sandboxes may take their time to close, too.
    let _signals = interrupt::listen(cancel.clone(), Arc::clone(&observer), move || {
        end_now(&again);
    })?;

    let ledger = Arc::new(Ledger::open(context::ledger_folder(&config))?);
    let blobs = Blobs::open(&context::store_folder(&config))?;
    // The ledger's lock keeps every other writer of this store out.
    blobs.sweep()?;
    if let Some(first) = stages.first() {
        check_inputs(&ledger, &run, *first)
            .map_err(|error| Failure::of_stage(first.name(), &error, &arguments, &run.name))?;
    }
    context::write_run_toml(&config, &run)?;

    let memo: Arc<dyn Memo> = Arc::clone(&ledger) as Arc<dyn Memo>;
    let memo = if arguments.fresh {
        Arc::new(FreshMemo::new(memo)) as Arc<dyn Memo>
    } else {
        memo
    };
    let teller = Arc::clone(&observer);
    let say = move |text: &str| {
        teller.on(&Event::Note {
            text: text.to_owned(),
        });
    };
    let services = Services::new(&config, memo, context::scratch_folder(&config), say)
        .with_scorer(context::scorer());

    let outcomes = {
        let invocation = Invocation {
            run: &run,
            config: &config,
            services: &services,
            ledger: &ledger,
            blobs: &blobs,
            cancel: &cancel,
            observer: &*observer,
            mode: if arguments.fresh {
                Mode::Fresh
            } else {
                Mode::Work
            },
            limit: arguments.stages.limit,
            explain: arguments.explain,
        };
        run_stages(&stages, &invocation).await
    };
    let spend = services.spend();
    if !cancel.is_hard() {
        services.close().await;
    }
    finish(&arguments, &run, &outcomes, spend, started)
}

/// The end of a process whose stages do not look up. What is not in the ledger by now is worked on again; sandboxes end by
/// themselves when their sockets close.
fn end_now(again: &str) {
    // Nowhere is left to complain to when stderr is gone.
    let _ = writeln!(
        std::io::stderr(),
        "error: interrupted; finished items are kept, `{again}` goes on"
    );
    std::process::exit(ExitCode::Interrupted as i32);
}

/// What the first stage reads must be there before anything is written.
fn check_inputs(ledger: &Ledger, run: &Run, first: &dyn Stage<Services>) -> Result<(), StageError> {
    for input in first.reads() {
        if ledger.listing(&run.name, input)?.is_none() {
            return Err(StageError::MissingInput {
                missing: (*input).to_owned(),
                run: run.name.clone(),
            });
        }
    }
    Ok(())
}

/// The account: for people a table on stdout, for machines one more line of JSON.
fn finish(
    arguments: &RunArguments,
    run: &Run,
    outcomes: &Outcomes,
    spend: Spend,
    started: Instant,
) -> Result<ExitCode, Failure> {
    let seconds = started.elapsed().as_secs_f64();
    let dataset = run.folder.join("dataset");
    let emitted = outcomes
        .summaries
        .iter()
        .any(|summary| summary.stage == "emit");
    let rows = DatasetSummary::read(&dataset).filter(|_| emitted);
    let mut out = String::new();
    if arguments.json {
        let line = serde_json::json!({
            "event": "run_finished",
            "run": run.name,
            "stages": outcomes.summaries,
            "stopped": outcomes.stopped.as_ref().map(|(stage, error)| serde_json::json!({"stage": stage, "error": error.to_string()})),
            "rows": rows.as_ref().map(|summary| &summary.rows),
            "spend": spend,
            "seconds": seconds,
            "dataset": rows.as_ref().map(|_| dataset.display().to_string()),
        });
        writeln!(out, "{line}")?;
    } else {
        write!(out, "\n{}", stage_table(outcomes))?;
        if let Some(summary) = &rows {
            let counts: Vec<String> = summary
                .rows
                .iter()
                .map(|(config, splits)| {
                    let splits: Vec<String> = splits
                        .iter()
                        .map(|(split, rows)| format!("{split} {}", table::thousands(*rows)))
                        .collect();
                    format!("{config}: {}", splits.join(", "))
                })
                .collect();
            writeln!(
                out,
                "\nrows          {}",
                if counts.is_empty() {
                    "none".to_owned()
                } else {
                    counts.join("; ")
                }
            )?;
        }
        writeln!(
            out,
            "models        {} calls, {} answered from the ledger; {} tokens sent, {} received; ${:.4}",
            table::thousands(spend.calls),
            table::thousands(spend.cached),
            table::thousands(spend.prompt_tokens),
            table::thousands(spend.completion_tokens),
            spend.usd,
        )?;
        writeln!(
            out,
            "sandboxes     {} opened",
            table::thousands(spend.sandboxes)
        )?;
        writeln!(out, "wall time     {seconds:.1} s")?;
        if rows.is_some() {
            writeln!(out, "dataset       {}", dataset.display())?;
        }
    }
    output::data(&out)?;
    if !arguments.json {
        tell_losses(
            outcomes,
            rows.as_ref(),
            &arguments.config.as_typed(&run.name),
        )?;
    }
    match &outcomes.stopped {
        None => Ok(ExitCode::Success),
        Some((stage, error)) => Err(Failure::of_stage(stage, error, arguments, &run.name)),
    }
}

/// Where to look when a run that went through lost items or made nothing.
fn tell_losses(
    outcomes: &Outcomes,
    rows: Option<&DatasetSummary>,
    options: &str,
) -> Result<(), Failure> {
    let failed: u64 = outcomes.summaries.iter().map(Summary::failed_total).sum();
    let mut told = std::io::stderr().lock();
    if failed > 0 {
        writeln!(
            told,
            "{failed} items failed; `synth show {options} --failed` says why"
        )?;
    }
    if rows.is_some_and(|summary| summary.rows.is_empty()) {
        writeln!(
            told,
            "nothing reached the dataset; `synth show {options} --dropped` says why"
        )?;
    }
    Ok(())
}

fn stage_table(outcomes: &Outcomes) -> String {
    let rows: Vec<Vec<String>> = outcomes
        .summaries
        .iter()
        .map(|summary| {
            vec![
                summary.stage.clone(),
                table::thousands(summary.read),
                table::thousands(summary.kept),
                table::thousands(summary.dropped_total()),
                table::thousands(summary.failed_total()),
                table::thousands(summary.records),
                table::thousands(summary.worked),
                format!("{:.1}", summary.seconds),
            ]
        })
        .collect();
    table::render(
        &[
            "stage",
            "read",
            "kept",
            "dropped",
            "failed",
            "made",
            "worked on",
            "seconds",
        ],
        &rows,
    )
}

#[cfg(test)]
mod tests {
    use synth_pipeline::ledger::Listing;
    use synth_stages::STAGES;

    use super::*;

    #[tokio::test]
    async fn a_first_stage_without_its_input_is_refused_before_anything_is_written()
    -> Result<(), Failure> {
        let folder = tempfile::tempdir()?;
        let mut config = synth_core::config::load(&[])?;
        folder.path().clone_into(&mut config.run.output);
        let run = context::run(&config);
        let ledger = Ledger::open(folder.path())?;
        let stage = |name: &str| {
            let found = STAGES.iter().find(|stage| stage.name() == name);
            *found.expect("it is a stage")
        };
        let missing = |name: &str| match check_inputs(&ledger, &run, stage(name)) {
            Err(StageError::MissingInput { missing, .. }) => Some(missing),
            other => {
                assert!(other.is_ok(), "{other:?}");
                None
            }
        };
        assert_eq!(missing("crawl"), None);
        assert_eq!(missing("judge").as_deref(), Some("prepare"));
        ledger
            .put_listing(&run.name, "prepare", &Listing::default())
            .await?;
        assert_eq!(missing("judge").as_deref(), Some("queries"));
        ledger
            .put_listing(&run.name, "crawl", &Listing::default())
            .await?;
        assert_eq!(missing("filter"), None);
        assert!(!run.folder.exists());
        Ok(())
    }
}
