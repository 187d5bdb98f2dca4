//! `synth status`: the runs that are there and the account of each stage.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use serde_json::json;
use synth_core::config::Config;
use synth_pipeline::{Ledger, LedgerError, Manifest, Run};
use synth_stages::emit::DatasetSummary;

use crate::cli::StatusArguments;
use crate::exit_code::{ExitCode, Failure};
use crate::{context, output, table};

/// Shows one run where `--run` names one, else all.
pub fn status(arguments: &StatusArguments) -> Result<ExitCode, Failure> {
    let config = context::configuration(&arguments.config)?;
    let runs = runs(&config, arguments.config.run.as_deref())?;
    let sizes = match Ledger::open_read_only(context::ledger_folder(&config)) {
        Ok(ledger) => Some(ledger.sizes()?),
        Err(LedgerError::Missing(_)) => None,
        Err(error) => return Err(error.into()),
    };
    let mut out = String::new();
    if arguments.json {
        let runs: Vec<_> = runs
            .iter()
            .map(|run| json!({"run": run.name, "stages": manifests(run), "rows": rows(run)}))
            .collect();
        let ledger = sizes
            .map(|(outcomes, remembered)| json!({"outcomes": outcomes, "remembered": remembered}));
        let all = json!({"output": config.run.output, "runs": runs, "ledger": ledger});
        output::data(&format!("{all}\n"))?;
        return Ok(ExitCode::Success);
    }
    if runs.is_empty() {
        writeln!(
            out,
            "no runs in `{}` yet; `synth run` makes one",
            config.run.output.display()
        )?;
    }
    for run in &runs {
        writeln!(out, "run `{}` in {}\n", run.name, run.folder.display())?;
        writeln!(out, "{}", stage_table(run))?;
        if let Some(rows) = rows(run) {
            for (config, splits) in rows {
                let splits: Vec<String> = splits
                    .iter()
                    .map(|(split, rows)| format!("{split} {}", table::thousands(*rows)))
                    .collect();
                writeln!(out, "dataset `{config}`: {}", splits.join(", "))?;
            }
            writeln!(out)?;
        }
    }
    if let Some((outcomes, remembered)) = sizes {
        writeln!(
            out,
            "ledger: {} outcomes, {} remembered replies and observations",
            table::thousands(outcomes),
            table::thousands(remembered)
        )?;
    }
    output::data(&out)?;
    Ok(ExitCode::Success)
}

fn runs(config: &Config, name: Option<&str>) -> Result<Vec<Run>, Failure> {
    if let Some(name) = name {
        let run = context::run(config);
        if !run.folder.is_dir() {
            return Err(Failure::new(
                ExitCode::Usage,
                format!(
                    "there is no run `{name}` in `{}`; `synth status` lists those there are",
                    config.run.output.display()
                ),
            ));
        }
        return Ok(vec![run]);
    }
    let Ok(entries) = fs::read_dir(&config.run.output) else {
        return Ok(Vec::new());
    };
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .filter(|entry| is_run(&entry.path()))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    Ok(names
        .into_iter()
        .map(|name| {
            let mut config = config.clone();
            config.run.name = name;
            context::run(&config)
        })
        .collect())
}

fn is_run(folder: &Path) -> bool {
    folder.join("run.toml").is_file()
}

fn manifests(run: &Run) -> Vec<Manifest> {
    run.stages
        .iter()
        .filter_map(|stage| run.manifest(stage))
        .collect()
}

fn rows(
    run: &Run,
) -> Option<std::collections::BTreeMap<String, std::collections::BTreeMap<String, u64>>> {
    DatasetSummary::read(&run.folder.join("dataset")).map(|summary| summary.rows)
}

fn stage_table(run: &Run) -> String {
    let rows: Vec<Vec<String>> = run
        .stages
        .iter()
        .map(|stage| match run.manifest(stage) {
            None => vec![(*stage).to_owned(), "not yet".to_owned()],
            Some(Manifest {
                counts,
                spend,
                seconds,
                ..
            }) => vec![
                (*stage).to_owned(),
                table::thousands(counts.read),
                table::thousands(counts.kept),
                table::thousands(counts.dropped.values().sum()),
                table::thousands(counts.failed.values().sum()),
                table::thousands(counts.records),
                table::thousands(spend.calls),
                format!("{:.4}", spend.usd),
                format!("{seconds:.1}"),
                [
                    table::reasons(&counts.dropped),
                    table::reasons(&counts.failed),
                    table::reasons(&counts.rejected),
                ]
                .iter()
                .filter(|reasons| !reasons.is_empty())
                .cloned()
                .collect::<Vec<_>>()
                .join("; "),
            ],
        })
        .collect();
    table::render(
        &[
            "stage", "read", "kept", "dropped", "failed", "made", "calls", "usd", "seconds",
            "reasons",
        ],
        &rows,
    )
}
