//! The `synth` command: one file per verb; what a person sees is made here and nowhere else.

mod cli;
mod context;
mod doctor;
mod exit_code;
mod filter_report;
mod init;
mod interrupt;
mod output;
mod plan;
mod progress;
mod run;
mod sandbox;
mod score;
mod serve;
mod show;
mod status;
mod table;
mod terminal;

use std::io::{IsTerminal, Write};
use std::process::ExitCode as ProcessExitCode;

use clap::{CommandFactory, Parser};
use tracing_subscriber::EnvFilter;

use cli::{Cli, Verb};
use exit_code::{ExitCode, Failure};

fn main() -> ProcessExitCode {
    let cli = Cli::parse();
    if matches!(cli.verb, Verb::ScoreFile) {
        return score_file();
    }
    // Only what a person must act on, unless SYNTH_LOG asks for more: libraries below are talkative.
    let filter = EnvFilter::try_from_env("SYNTH_LOG").unwrap_or_else(|_| EnvFilter::new("warn"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .without_time()
        .init();

    let result = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Failure::new(
                ExitCode::Failure,
                format!("cannot start the runtime: {error}"),
            )
        })
        .and_then(|runtime| {
            let result = runtime.block_on(dispatch(cli));
            // Work that was dropped by a second Ctrl-C is not waited for.
            runtime.shutdown_background();
            result
        });
    match result {
        Ok(code) => code.into(),
        Err(failure) => {
            // Nowhere is left to complain to when stderr is gone.
            let _ = writeln!(std::io::stderr(), "error: {failure}");
            failure.code.into()
        }
    }
}

/// The clean process that scores one file: nothing is started in it before its limits hold.
fn score_file() -> ProcessExitCode {
    match synth_score::answer(std::io::stdin().lock(), std::io::stdout().lock()) {
        Ok(()) => ProcessExitCode::SUCCESS,
        Err(_) => ProcessExitCode::FAILURE,
    }
}

async fn dispatch(cli: Cli) -> Result<ExitCode, Failure> {
    match cli.verb {
        Verb::Run(arguments) => run::run(arguments).await,
        Verb::Plan(arguments) => plan::plan(arguments).await,
        Verb::Status(arguments) => status::status(&arguments),
        Verb::Show(arguments) => show::show(&arguments).await,
        Verb::FilterReport(arguments) => filter_report::filter_report(&arguments),
        Verb::Serve(arguments) => serve::serve(arguments).await,
        Verb::Sandbox { verb } => sandbox::sandbox(verb).await,
        Verb::Doctor(arguments) => doctor::doctor(&arguments).await,
        Verb::Init(arguments) => init::init(&arguments),
        Verb::Score(arguments) => score::score(arguments).await,
        Verb::ScoreFile => unreachable!("it is answered before the runtime starts"),
        Verb::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "synth", &mut std::io::stdout());
            Ok(ExitCode::Success)
        }
    }
}
