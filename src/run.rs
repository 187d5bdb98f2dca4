//! `synth run`: stages in order, the ledger open, Ctrl-C heard, an account at the end.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Instant;

use synth_core::Memo;
use synth_core::config::Config;
use synth_pipeline::{
    Blobs, Cancel, Event, Invocation, Ledger, Mode, Observer, Outcomes, Run, Services as _, Spend,
    StageError, run_stages,
};
use synth_stages::emit::DatasetSummary;
use synth_stages::services::{FreshMemo, Services};

use crate::cli::RunArguments;
use crate::exit_code::{ExitCode, Failure};
use crate::{context, output, progress, table};

/// Runs the stages that were asked for.
pub async fn run(arguments: RunArguments) -> Result<ExitCode, Failure> {
    let started = Instant::now();
    let config = context::configuration(&arguments.config)?;
    context::prompts(&config)?;
    let run = context::run(&config);
    let ledger = Arc::new(Ledger::open(context::ledger_folder(&config))?);
    let blobs = Blobs::open(&config.run.output.join("store"))?;
    context::write_run_toml(&config, &run)?;

    let observer: Arc<dyn Observer> = Arc::from(progress::observer(arguments.json));
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
    let services = Services::new(&config, memo, config.run.output.join("tmp"), say);
    let cancel = Cancel::default();
    let stages = context::stages(&arguments.stages);

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
        tokio::select! {
            outcomes = run_stages(&stages, &invocation) => outcomes,
            never = listen(&cancel, &*observer) => match never {},
        }
    };
    let spend = services.spend();
    if !cancel.is_hard() {
        services.close().await;
    }
    finish(&config, &run, &outcomes, spend, started, arguments.json)
}

/// Turns Ctrl-C, and the signal that service managers send, into steps of cancellation.
async fn listen(cancel: &Cancel, observer: &dyn Observer) -> std::convert::Infallible {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut interrupt), Ok(mut terminate)) = (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) else {
        return std::future::pending().await;
    };
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        let text = if cancel.is_soft() {
            "stopping at once"
        } else {
            "finishing what runs and taking nothing new; Ctrl-C again stops at once"
        };
        observer.on(&Event::Note {
            text: text.to_owned(),
        });
        cancel.escalate();
    }
}

/// The account: for people a table on stdout, for machines one more line of JSON.
fn finish(
    config: &Config,
    run: &Run,
    outcomes: &Outcomes,
    spend: Spend,
    started: Instant,
    json: bool,
) -> Result<ExitCode, Failure> {
    let seconds = started.elapsed().as_secs_f64();
    let dataset = run.folder.join("dataset");
    let emitted = outcomes
        .summaries
        .iter()
        .any(|summary| summary.stage == "emit");
    let rows = DatasetSummary::read(&dataset).filter(|_| emitted);
    let mut out = String::new();
    if json {
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
    match &outcomes.stopped {
        None => Ok(ExitCode::Success),
        Some((stage, StageError::Interrupted)) => Err(Failure::new(
            ExitCode::Interrupted,
            format!(
                "interrupted in stage `{stage}`; finished items are kept, `{}` goes on",
                go_on(config)
            ),
        )),
        Some((stage, error)) => Err(Failure::of_stage(stage, error, &run.name)),
    }
}

fn go_on(config: &Config) -> String {
    format!("synth run --run {}", config.run.name)
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
