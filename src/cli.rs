//! What can be typed.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::exit_code::ExitCode;

/// A data factory: turns datasets and competitions into execution-verified training data for data-science agents.
#[derive(Parser)]
#[command(name = "synth", version, after_long_help = after_help(), max_term_width = 110)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub verb: Verb,
}

/// The verb by which this program calls itself to score what an agent's code wrote.
pub const SCORE_VERB: &str = "score-file";

/// The verbs.
#[derive(Subcommand)]
pub enum Verb {
    /// Work from sources to datasets; goes on where an earlier run of the same name stopped
    Run(RunArguments),
    /// Say what `run` would work on and about what it would cost, without doing it
    Plan(PlanArguments),
    /// Show runs: what each stage read, kept, dropped and failed
    Status(StatusArguments),
    /// Show a record with its lineage: a source, task, query, trajectory or judgement, by its id
    Show(ShowArguments),
    /// Show rule by rule what `filter` passed and dropped in a run, and why
    FilterReport(FilterReportArguments),
    /// Offer sandboxes over HTTP to other programs, by an API of our own, DSGym's or SandboxFusion's
    Serve(ServeArguments),
    /// Make the image of Docker sandboxes, list such images, or remove what dead runs left on the hosts
    Sandbox {
        /// What to do with them
        #[command(subcommand)]
        verb: SandboxVerb,
    },
    /// Check what this machine has: Python, isolation, models, disk; with a remedy for what is missing
    Doctor(ConfigArguments),
    /// Write a commented configuration file
    Init(InitArguments),
    /// Score predictions for a task, or for tasks of DARE-bench, and write a JSON line for each
    Score(ScoreArguments),
    /// Score one file of predictions, as told on standard input; for `synth` itself
    #[command(hide = true, name = SCORE_VERB)]
    ScoreFile,
    /// Print a completion script for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Which configuration.
#[derive(Args, Clone, Default)]
pub struct ConfigArguments {
    /// Configuration file; `synth.toml` in this folder if it is there, else the embedded defaults
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Name of the run, a folder under `run.output`
    #[arg(long, value_name = "NAME")]
    pub run: Option<String>,

    /// Set one configuration key, as in `--set judge.samples=3`; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub set: Vec<String>,
}

impl ConfigArguments {
    /// The options as they were given, for a shell, with the run by its name.
    pub fn as_typed(&self, run: &str) -> String {
        let mut options = vec!["--run".to_owned(), quoted(run)];
        if let Some(file) = &self.config {
            options.extend(["--config".to_owned(), quoted(&file.to_string_lossy())]);
        }
        for set in &self.set {
            options.extend(["--set".to_owned(), quoted(set)]);
        }
        options.join(" ")
    }
}

/// Which stages.
#[derive(Args, Clone, Default)]
pub struct StageArguments {
    /// Only this stage
    #[arg(long, value_name = "STAGE", value_parser = stage_names(), conflicts_with_all = ["from", "until"])]
    pub stage: Option<String>,

    /// This stage and those after it
    #[arg(long, value_name = "STAGE", value_parser = stage_names())]
    pub from: Option<String>,

    /// The stages up to and including this one
    #[arg(long, value_name = "STAGE", value_parser = stage_names())]
    pub until: Option<String>,

    /// Read at most so many items in each stage, for a quick look: the run's dataset then holds no more
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub limit: Option<usize>,
}

/// `synth run`
#[derive(Args, Default)]
pub struct RunArguments {
    #[command(flatten)]
    pub config: ConfigArguments,
    #[command(flatten)]
    pub stages: StageArguments,

    /// Work on everything again in the chosen stages, and ask the models anew
    #[arg(long)]
    pub fresh: bool,

    /// Say of each item why it is worked on
    #[arg(long)]
    pub explain: bool,

    /// Download at most so many bytes; what is left is downloaded next time. `budget.download_bytes` where it is left out
    #[arg(long, value_name = "BYTES")]
    pub max_download_bytes: Option<u64>,

    /// Write events as JSON lines to stdout, for machines
    #[arg(long)]
    pub json: bool,
}

impl RunArguments {
    /// The command that goes on where this one stopped. Not `--fresh`, which would begin anew.
    pub fn again(&self, run: &str) -> String {
        let StageArguments {
            stage,
            from,
            until,
            limit,
        } = &self.stages;
        let mut command = vec!["synth run".to_owned(), self.config.as_typed(run)];
        let limit = limit.map(|limit| limit.to_string());
        let bytes = self.max_download_bytes.map(|bytes| bytes.to_string());
        for (option, value) in [
            ("stage", stage),
            ("from", from),
            ("until", until),
            ("limit", &limit),
            ("max-download-bytes", &bytes),
        ] {
            if let Some(value) = value {
                command.push(format!("--{option} {value}"));
            }
        }
        command.join(" ")
    }
}

/// `synth plan`
#[derive(Args)]
pub struct PlanArguments {
    #[command(flatten)]
    pub config: ConfigArguments,
    #[command(flatten)]
    pub stages: StageArguments,

    /// Say of each item why it would be worked on
    #[arg(long)]
    pub explain: bool,

    /// Write the plan as JSON
    #[arg(long)]
    pub json: bool,
}

/// `synth status`
#[derive(Args)]
pub struct StatusArguments {
    #[command(flatten)]
    pub config: ConfigArguments,

    /// Write the accounts as JSON
    #[arg(long)]
    pub json: bool,
}

/// `synth filter-report`
#[derive(Args)]
pub struct FilterReportArguments {
    #[command(flatten)]
    pub config: ConfigArguments,

    /// Write the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// `synth show`
#[derive(Args)]
pub struct ShowArguments {
    /// Id of a record, or the beginning of one; it is looked up among the records of all runs
    #[arg(value_name = "ID", required_unless_present_any = ["failed", "dropped"])]
    pub id: Option<String>,

    #[command(flatten)]
    pub config: ConfigArguments,

    /// List what failed in the run, with reasons
    #[arg(long, conflicts_with = "id")]
    pub failed: bool,

    /// List what was dropped in the run, with reasons
    #[arg(long, conflicts_with = "id")]
    pub dropped: bool,

    /// Write the record as JSON
    #[arg(long)]
    pub json: bool,
}

/// `synth score`
#[derive(Args)]
pub struct ScoreArguments {
    /// Id of a task of the run, or the beginning of one
    #[arg(
        long,
        value_name = "ID",
        requires = "prediction",
        required_unless_present = "dare"
    )]
    pub task: Option<String>,

    /// File that an agent wrote for the task, or a folder of them; for a task with an answer, the answer's text
    #[arg(long, value_name = "FILE|FOLDER", requires = "task")]
    pub prediction: Option<PathBuf>,

    /// Lines of {case_id, version, metadata, gt, prediction}: the paths of DARE-bench tasks and predictions, relative to this file
    #[arg(long, value_name = "CASES.jsonl", conflicts_with_all = ["task", "prediction"])]
    pub dare: Option<PathBuf>,

    #[command(flatten)]
    pub config: ConfigArguments,
}

/// `synth init`
#[derive(Args)]
pub struct InitArguments {
    /// Where to write it
    #[arg(value_name = "FILE", default_value = "synth.toml")]
    pub file: PathBuf,
}

/// `synth sandbox`
#[derive(Subcommand)]
pub enum SandboxVerb {
    /// Make the image on every configured host, from Debian's packages and PyPI; nothing is done where it is there already
    Build(BuildArguments),
    /// Say which image each host has
    Images(ConfigArguments),
    /// Remove containers of dead owners and data volumes that nobody holds
    Sweep(ConfigArguments),
}

/// `synth sandbox build`
#[derive(Args)]
pub struct BuildArguments {
    #[command(flatten)]
    pub config: ConfigArguments,

    /// An image of `[sandbox.images]`; the default one where it is left out
    #[arg(long, value_name = "NAME", default_value = "")]
    pub image: String,

    /// Build on this host rather than on those of the configuration
    #[arg(long, value_name = "URL")]
    pub host: Option<String>,

    /// Write the root filesystem to a tarball for `docker import`, and do no more
    #[arg(long, value_name = "FILE", conflicts_with_all = ["host", "context"])]
    pub output: Option<PathBuf>,

    /// Write a Dockerfile with what it needs to a folder for `docker build`, where a registry is in reach, and do no more
    #[arg(long, value_name = "DIR", conflicts_with = "host")]
    pub context: Option<PathBuf>,
}

/// `synth serve`
#[derive(Args)]
pub struct ServeArguments {
    #[command(flatten)]
    pub config: ConfigArguments,

    /// Address and port; loopback needs no token, any other address does: one in `SYNTH_SERVE_TOKEN`, or a file of them
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8700")]
    pub listen: SocketAddr,

    /// Which API is offered
    #[arg(long, value_enum, default_value_t = ServeApi::Native)]
    pub api: ServeApi,

    /// Sandboxes open at once; `jobs.sandboxes` of the configuration where it is left out
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub slots: Option<usize>,

    /// Folder whose files sandboxes may be shown read-only, under `data/`; with the other APIs they are shown all of them
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,

    /// With `--api dsgym`: folder in which agents find what their code wrote to `/submission`, as `container_NNN/submission.csv`
    #[arg(long, value_name = "DIR")]
    pub submissions: Option<PathBuf>,

    /// File with a token a line; each is a client of its own
    #[arg(long, value_name = "FILE")]
    pub token_file: Option<PathBuf>,

    /// Close a sandbox that had no request for so long
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = positive())]
    pub idle: u64,

    /// Close a sandbox that is open for so long
    #[arg(long, value_name = "SECONDS", default_value_t = 21_600, value_parser = positive())]
    pub lifetime: u64,

    /// Refuse a request for a sandbox when no slot came free in this time
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = positive())]
    pub wait: u64,

    /// When stopping, let requests in flight end for so long
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = positive())]
    pub drain: u64,

    /// Time that one cell or script may take at most
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = positive())]
    pub cell: u64,

    /// Memory that one sandbox may take at most
    #[arg(long, value_name = "MIB", default_value_t = 2048, value_parser = positive())]
    pub memory: u64,

    /// Sandboxes that one client may have open; all slots where it is left out
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub client_sandboxes: Option<usize>,

    /// Requests that one client may have in flight
    #[arg(long, value_name = "N", default_value = "256", value_parser = at_least_one)]
    pub client_requests: usize,

    /// Size of one request at most
    #[arg(long, value_name = "MIB", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=16_384))]
    pub body: u64,

    /// Uploaded files that one client may have
    #[arg(long, value_name = "MIB", default_value_t = 2048, value_parser = positive())]
    pub uploads: u64,
}

/// The APIs of `synth serve`.
#[derive(Clone, Copy, ValueEnum)]
pub enum ServeApi {
    /// Ours: sandboxes, files and scoring under `/v1`, described by `/openapi.json`
    Native,
    /// DSGym's executor manager
    Dsgym,
    /// SandboxFusion's `POST /run_code`
    SandboxFusion,
}

/// A word as a shell reads it back.
fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !word.is_empty() && word.chars().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// Seconds, up to a year; or as many MiB.
fn positive() -> clap::builder::RangedU64ValueParser {
    clap::value_parser!(u64).range(1..=31_536_000)
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("expected a whole number, 1 or more".to_owned()),
    }
}

fn stage_names() -> Vec<&'static str> {
    synth_stages::STAGES
        .iter()
        .map(|stage| stage.name())
        .collect()
}

/// The stages and the exit codes, for `--help`.
fn after_help() -> String {
    let lines = |rows: &mut dyn Iterator<Item = (String, &str)>| -> String {
        let rows: Vec<String> = rows
            .map(|(name, about)| format!("  {name:<13} {about}"))
            .collect();
        rows.join("\n")
    };
    let stages = lines(
        &mut synth_stages::STAGES
            .iter()
            .map(|stage| (stage.name().to_owned(), stage.about())),
    );
    let codes = lines(
        &mut ExitCode::TABLE
            .iter()
            .map(|(code, meaning)| ((*code as u8).to_string(), *meaning)),
    );
    format!(
        "Stages, in order:\n{stages}\n\nExit codes:\n{codes}\n\n\
         Configuration: embedded defaults, then the file, then SYNTH__SECTION__KEY in the environment, then --set."
    )
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_command_to_go_on_repeats_what_was_given_as_a_shell_reads_it() {
        let typed = [
            "synth",
            "run",
            "--run",
            "jan 9",
            "--set",
            "judge.samples=3",
            "--set",
            "run.output=\"it's\"",
            "--config",
            "my synth.toml",
            "--until",
            "judge",
            "--limit",
            "5",
            "--fresh",
            "--json",
        ];
        let Verb::Run(arguments) = Cli::parse_from(typed).verb else {
            panic!("it is `run`");
        };
        assert_eq!(
            arguments.again("jan 9"),
            r#"synth run --run 'jan 9' --config 'my synth.toml' --set judge.samples=3 --set 'run.output="it'\''s"' --until judge --limit 5"#
        );
        assert_eq!(
            RunArguments::default().again("small"),
            "synth run --run small"
        );
    }
}
