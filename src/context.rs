//! What most verbs begin with: the configuration resolved, the run's folder known.

use std::fs;
use std::path::{Path, PathBuf};

use synth_core::config::{Config, Layer, load};
use synth_pipeline::{Run, Stage, run::write_atomically};
use synth_score::Scorer;
use synth_stages::services::DOWNLOADS;
use synth_stages::{STAGES, Services, parts::Parts};

use crate::cli::{ConfigArguments, SCORE_VERB, StageArguments};
use crate::exit_code::{ExitCode, Failure};

/// The file that is taken when none is named.
const LOCAL_FILE: &str = "synth.toml";
/// What all runs share, under `run.output`, besides the ledger.
const STORE: &str = "store";
const SCRATCH: &str = "tmp";

/// Lays defaults, file, environment and arguments over each other.
pub fn configuration(arguments: &ConfigArguments) -> Result<Config, Failure> {
    let mut layers = Vec::new();
    let file = arguments
        .config
        .clone()
        .or_else(|| Some(PathBuf::from(LOCAL_FILE)).filter(|path| path.is_file()));
    if let Some(path) = file {
        let text = fs::read_to_string(&path).map_err(|error| {
            Failure::new(
                ExitCode::Configuration,
                format!(
                    "cannot read the configuration `{}`: {error}",
                    path.display()
                ),
            )
        })?;
        layers.push(Layer::File {
            name: path.display().to_string(),
            text,
        });
    }
    let mut variables: Vec<(String, String)> = std::env::vars()
        .filter(|(name, _)| name.starts_with("SYNTH__"))
        .collect();
    variables.sort();
    layers.extend(
        variables
            .iter()
            .filter_map(|(name, value)| Layer::from_variable(name, value)),
    );
    for argument in &arguments.set {
        layers.push(Layer::from_argument(argument)?);
    }
    if let Some(run) = &arguments.run {
        layers.push(Layer::Key {
            origin: format!("--run {run}"),
            path: "run.name".to_owned(),
            value: toml::Value::String(run.clone()).to_string(),
        });
    }
    let config = load(&layers)?;
    check_name(&config.run.name)?;
    Ok(config)
}

/// Runs are folders beside what all runs share, which must not be taken for one.
fn check_name(run: &str) -> Result<(), Failure> {
    let is_taken = [STORE, SCRATCH, DOWNLOADS].contains(&run)
        || run == "ledger.lock"
        || run.starts_with("ledger.sqlite");
    if is_taken {
        return Err(Failure::new(
            ExitCode::Configuration,
            format!(
                "`run.name`: a run cannot be called `{run}`, since `run.output` has something of that name for all runs; choose another name"
            ),
        ));
    }
    Ok(())
}

/// Where the data files lie.
pub fn store_folder(config: &Config) -> PathBuf {
    config.run.output.join(STORE)
}

/// Where sandboxes and the like put what nobody needs afterwards.
pub fn scratch_folder(config: &Config) -> PathBuf {
    config.run.output.join(SCRATCH)
}

/// Scores files that agents wrote in a process of this very program, even when its file was replaced while it runs.
pub fn scorer() -> Scorer {
    Scorer::Process {
        executable: "/proc/self/exe".into(),
        arguments: vec![SCORE_VERB.to_owned()],
    }
}

/// Lays the prompts of one's own over the embedded ones, before anything looks at them.
pub fn prompts(config: &Config) -> Result<(), Failure> {
    let folder = &config.run.prompts;
    if folder.as_os_str().is_empty() {
        return Ok(());
    }
    synth_stages::prompts::lay_over(folder).map_err(|problem| {
        Failure::new(
            ExitCode::Configuration,
            format!("{problem}; check `run.prompts`"),
        )
    })
}

/// The run that the configuration names.
pub fn run(config: &Config) -> Run {
    Run {
        name: config.run.name.clone(),
        folder: config.run.output.join(&config.run.name),
        stages: STAGES.iter().map(|stage| stage.name()).collect(),
        format: Box::new(Parts),
    }
}

/// The stages that were asked for, in order.
pub fn stages(arguments: &StageArguments) -> Result<Vec<&'static dyn Stage<Services>>, Failure> {
    let place = |name: &Option<String>| {
        name.as_ref()
            .and_then(|name| STAGES.iter().position(|stage| stage.name() == name))
    };
    let only = place(&arguments.stage);
    let first = only.or(place(&arguments.from)).unwrap_or(0);
    let last = only.or(place(&arguments.until)).unwrap_or(STAGES.len() - 1);
    if first > last {
        let (first, last) = (STAGES[first].name(), STAGES[last].name());
        return Err(Failure::new(
            ExitCode::Usage,
            format!(
                "no stage is asked for: `--from {first}` comes after `--until {last}`; exchange the two"
            ),
        ));
    }
    Ok(STAGES[first..=last].to_vec())
}

/// Where the ledger lies.
pub fn ledger_folder(config: &Config) -> &Path {
    &config.run.output
}

/// Writes the resolved configuration into the run's folder, without anything that could be a secret.
pub fn write_run_toml(config: &Config, run: &Run) -> Result<(), Failure> {
    let text = toml::to_string(&config.without_secrets()).map_err(|error| {
        Failure::new(
            ExitCode::Failure,
            format!("cannot write the configuration: {error}"),
        )
    })?;
    let text = format!(
        "# What run `{}` was last started with: defaults, file, environment and arguments together.\n\n{text}",
        run.name
    );
    write_atomically(&run.folder.join("run.toml"), text.as_bytes()).map_err(|error| {
        Failure::new(
            ExitCode::Files,
            format!(
                "cannot write `{}`: {error}",
                run.folder.join("run.toml").display()
            ),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_cannot_have_the_name_of_what_all_runs_share() {
        for taken in [
            "store",
            "tmp",
            "downloads",
            "ledger.lock",
            "ledger.sqlite",
            "ledger.sqlite-wal",
        ] {
            let arguments = ConfigArguments {
                run: Some(taken.to_owned()),
                ..ConfigArguments::default()
            };
            let failure = configuration(&arguments).expect_err("the name is taken");
            assert_eq!(failure.code, ExitCode::Configuration, "{failure}");
            assert!(failure.to_string().contains(taken), "{failure}");
        }
        assert!(check_name("stores").is_ok() && check_name("ledger").is_ok());
    }

    fn from_until(from: &str, until: &str) -> StageArguments {
        StageArguments {
            from: Some(from.to_owned()),
            until: Some(until.to_owned()),
            ..StageArguments::default()
        }
    }

    #[test]
    fn a_range_of_no_stages_is_refused() {
        let Err(failure) = stages(&from_until("judge", "queries")) else {
            panic!("nothing lies between them");
        };
        assert_eq!(failure.code, ExitCode::Usage);
        assert!(
            failure
                .to_string()
                .contains("`--from judge` comes after `--until queries`"),
            "{failure}"
        );
    }

    #[test]
    fn a_range_has_both_its_ends() -> Result<(), Failure> {
        let names = |arguments| -> Result<Vec<&str>, Failure> {
            Ok(stages(&arguments)?
                .iter()
                .map(|stage| stage.name())
                .collect())
        };
        assert_eq!(
            names(from_until("queries", "judge"))?,
            ["queries", "trajectories", "judge"]
        );
        assert_eq!(names(from_until("judge", "judge"))?, ["judge"]);
        assert_eq!(names(StageArguments::default())?.len(), STAGES.len());
        Ok(())
    }
}
