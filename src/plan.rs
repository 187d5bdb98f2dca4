//! `synth plan`: what a run would work on and about what it would cost, before anything is spent.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::{Arc, Mutex};

use serde_json::json;
use synth_core::Memo;
use synth_core::config::Config;
use synth_kaggle::KaggleOptions;
use synth_pipeline::{
    Blobs, Cancel, Event, Invocation, Ledger, LedgerError, Mode, Observer, StageError, run_stages,
};
use synth_stages::crawl::asks_kaggle;
use synth_stages::services::{NO_CREDENTIALS, Services, name_of};

use crate::cli::PlanArguments;
use crate::exit_code::{ExitCode, Failure, remedy};
use crate::{context, output, table};

/// A stage's share of the plan.
struct Row {
    stage: &'static str,
    settled: u64,
    new: f64,
    calls: f64,
    tokens: f64,
    usd: f64,
    why: BTreeMap<String, u64>,
}

/// Plans the stages that were asked for.
pub async fn plan(arguments: PlanArguments) -> Result<ExitCode, Failure> {
    let config = context::configuration(&arguments.config)?;
    context::prompts(&config)?;
    let run = context::run(&config);
    let stages = context::stages(&arguments.stages)?;
    // Planning needs a place to look things up; where there is no ledger yet, an empty one for the moment.
    let moment = std::env::temp_dir().join(format!("synth-plan-{}", std::process::id()));
    let (ledger, blobs) = match Ledger::open_read_only(context::ledger_folder(&config)) {
        Ok(ledger) => (ledger, Blobs::open(&context::store_folder(&config))?),
        Err(LedgerError::Missing(_)) => {
            (Ledger::open(&moment)?, Blobs::open(&moment.join("store"))?)
        }
        Err(error) => return Err(error.into()),
    };
    let ledger = Arc::new(ledger);
    let services = Services::new(
        &config,
        Arc::clone(&ledger) as Arc<dyn Memo>,
        moment.join("tmp"),
        |_| {},
    );
    let listener = Listener {
        say: arguments.explain && !arguments.json,
        why: Mutex::default(),
    };
    let outcomes = run_stages(
        &stages,
        &Invocation {
            run: &run,
            config: &config,
            services: &services,
            ledger: &ledger,
            blobs: &blobs,
            cancel: &Cancel::default(),
            observer: &listener,
            mode: Mode::Plan,
            limit: arguments.stages.limit,
            explain: true,
        },
    )
    .await;
    drop(ledger);
    synth_pipeline::run::remove_folder(&moment)?;
    if let Some((stage, error)) = &outcomes.stopped {
        let code = match error {
            StageError::MissingInput { .. } | StageError::OutdatedInput { .. } => ExitCode::Usage,
            _ => ExitCode::Files,
        };
        let remedy = remedy(error, &arguments.config.as_typed(&run.name));
        return Err(Failure::new(
            code,
            format!("cannot plan `{stage}`: {error}{remedy}"),
        ));
    }

    let mut why = listener
        .why
        .into_inner()
        .expect("nobody panics while listening");
    let mut rows: Vec<Row> = Vec::new();
    for (stage, summary) in stages.iter().zip(&outcomes.summaries) {
        // What stages before this one will make comes on top of what is known already.
        let expected: f64 = stage
            .feeds(&config)
            .into_iter()
            .filter_map(|(from, share)| {
                let place = stages.iter().position(|stage| stage.name() == from)?;
                Some(rows.get(place)?.new * stages[place].estimate(&config).records * share)
            })
            .sum();
        let estimate = stage.estimate(&config);
        let new = summary.pending as f64 + expected;
        let tokens = new * estimate.tokens;
        rows.push(Row {
            stage: stage.name(),
            settled: summary.read - summary.pending,
            new,
            calls: new * estimate.calls,
            tokens,
            usd: usd(&config, stage.name(), tokens),
            why: why.remove(stage.name()).unwrap_or_default(),
        });
    }
    print(&rows, arguments.json)?;
    if asks_kaggle(&config) {
        tell_of_kaggle(&config)?;
    }
    Ok(ExitCode::Success)
}

/// A plan asks nobody: what it says of Kaggle is what the last run saw, and whether the next one could ask.
fn tell_of_kaggle(config: &Config) -> Result<(), Failure> {
    let mut told = std::io::stderr().lock();
    let nobody = match KaggleOptions::find(&config.kaggle) {
        Ok(options) => options
            .credentials
            .is_anonymous()
            .then(|| NO_CREDENTIALS.to_owned()),
        Err(error) => Some(error.to_string()),
    };
    if let Some(problem) = nobody {
        writeln!(told, "{problem}")?;
    }
    writeln!(
        told,
        "a plan does not ask Kaggle: what is new there since the last run is not in it"
    )?;
    Ok(())
}

/// Three tokens sent for each one received, at the prices of the model behind the stage.
fn usd(config: &Config, stage: &str, tokens: f64) -> f64 {
    let role = match stage {
        "queries" => "explorer",
        "trajectories" => "solver",
        "judge" => "judge",
        _ => return 0.0,
    };
    config
        .models
        .get(name_of(config, role))
        .map_or(0.0, |model| {
            tokens * (0.75 * model.usd_per_million_prompt + 0.25 * model.usd_per_million_completion)
                / 1e6
        })
}

fn print(rows: &[Row], as_json: bool) -> Result<(), Failure> {
    let mut out = String::new();
    if as_json {
        let rows: Vec<_> = rows
            .iter()
            .map(|row| json!({"stage": row.stage, "settled": row.settled, "new": row.new.round(), "why": row.why, "calls": row.calls.round(), "tokens": row.tokens.round(), "usd": row.usd}))
            .collect();
        return output::data(&format!("{}\n", json!({"stages": rows})));
    }
    let count = |number: f64| {
        if number == 0.0 {
            "0".to_owned()
        } else {
            format!("~{}", table::thousands(number.round() as u64))
        }
    };
    let cells = rows
        .iter()
        .map(|row| {
            let new = if row.new.fract() == 0.0 && row.why.values().sum::<u64>() as f64 >= row.new {
                table::thousands(row.new as u64)
            } else {
                count(row.new)
            };
            vec![
                row.stage.to_owned(),
                table::thousands(row.settled),
                new,
                count(row.calls),
                count(row.tokens),
                format!("{:.2}", row.usd),
                table::reasons(&row.why),
            ]
        })
        .collect::<Vec<_>>();
    write!(
        out,
        "{}",
        table::render(
            &["stage", "settled", "to do", "calls", "tokens", "usd", "why"],
            &cells
        )
    )?;
    let total = |of: fn(&Row) -> f64| rows.iter().map(of).sum::<f64>();
    writeln!(
        out,
        "\n{} model calls, {} tokens, ${:.2}",
        count(total(|row| row.calls)),
        count(total(|row| row.tokens)),
        total(|row| row.usd)
    )?;
    output::data(&out)
}

/// Counts why items would be worked on, and says so if asked to.
struct Listener {
    say: bool,
    why: Mutex<BTreeMap<&'static str, BTreeMap<String, u64>>>,
}

impl Observer for Listener {
    fn on(&self, event: &Event) {
        if let Event::Explained { stage, id, why } = event {
            if self.say {
                // Without a stderr there is nobody to tell.
                let _ = writeln!(std::io::stderr(), "{stage:<13} {id}: {why}");
            }
            let mut counts = self.why.lock().expect("nobody panics while listening");
            *counts
                .entry(stage)
                .or_default()
                .entry(why.clone())
                .or_default() += 1;
        }
    }
}
