//! `synth doctor`: what this machine has, what it lacks, what that costs and how to get it.

use std::fmt::Write;
use std::time::Duration;

use synth_core::config::{Config, Provider};
use synth_kaggle::{CompetitionFilter, Kaggle, KaggleError, KaggleOptions, Patience};
use synth_pipeline::{Ledger, LedgerError};
use synth_sandbox::probe::{self, Finding};
use synth_stages::crawl::asks_kaggle;

use crate::cli::ConfigArguments;
use crate::exit_code::{ExitCode, Failure};
use crate::{context, output};

/// Less free space than this is worth a word.
const LOW_DISK_BYTES: u64 = 2 << 30;

/// How credentials for Kaggle are had.
const CREDENTIALS: &str = "make a token at https://www.kaggle.com/settings and set `KAGGLE_API_TOKEN` to it, or set `KAGGLE_USERNAME` and `KAGGLE_KEY`";

/// Looks at everything and says what is missing; fails when a run could not work.
pub async fn doctor(arguments: &ConfigArguments) -> Result<ExitCode, Failure> {
    let config = context::configuration(arguments)?;
    let mut findings = probe::findings(&config.sandbox).await;
    findings.push(disk(&config));
    findings.extend(ledger(&config));
    if asks_kaggle(&config) {
        findings.push(kaggle(&config).await);
    }
    for (name, model) in used_models(&config) {
        findings.push(match model.provider {
            Provider::Builtin => {
                Finding::there(format!("model {name}"), "the builtin teacher needs nothing")
            }
            Provider::Replay => {
                let path = model.exchanges.display();
                let ok = model.exchanges.is_file();
                if ok {
                    Finding::there(format!("model {name}"), format!("replays `{path}`"))
                } else {
                    Finding::missing(
                        format!("model {name}"),
                        true,
                        format!("there is no file `{path}`"),
                        format!("set `models.{name}.exchanges` to a file written by `record`"),
                    )
                }
            }
            Provider::Openai => match synth_llm::check(model).await {
                Ok(detail) => Finding::there(format!("model {name}"), detail),
                Err(error) => Finding::missing(
                    format!("model {name}"),
                    true,
                    error.to_string(),
                    format!("check `models.{name}` and its key in the environment"),
                ),
            },
        });
    }
    let mut out = String::new();
    let width = findings
        .iter()
        .map(|finding| finding.name.chars().count())
        .max()
        .unwrap_or(0);
    let mut before = None;
    for finding in &findings {
        let mark = match (finding.ok, finding.needed) {
            (true, _) => "ok     ",
            (false, true) => "MISSING",
            (false, false) => "absent ",
        };
        writeln!(out, "{mark}  {:<width$}  {}", finding.name, finding.detail)?;
        // What several lack for one reason is mended once.
        if let Some(remedy) = &finding.remedy
            && before != Some(remedy)
        {
            writeln!(out, "         {:<width$}  → {remedy}", "")?;
        }
        before = finding.remedy.as_ref();
    }
    let missing = findings
        .iter()
        .filter(|finding| !finding.ok && finding.needed)
        .count();
    if missing > 0 {
        output::data(&out)?;
        return Err(Failure::new(
            ExitCode::Unavailable,
            format!("{missing} thing(s) that a run needs are missing; the remedies stand above"),
        ));
    }
    writeln!(out, "\na run can work here")?;
    output::data(&out)?;
    Ok(ExitCode::Success)
}

/// Whether Kaggle knows who asks: by one call for a list of one.
async fn kaggle(config: &Config) -> Finding {
    let missing = |detail: String, remedy: &str| Finding::missing("kaggle", true, detail, remedy);
    let options = match KaggleOptions::find(&config.kaggle) {
        Ok(options) if options.credentials.is_anonymous() => {
            return missing("no credentials".to_owned(), CREDENTIALS);
        }
        // One who waits for an answer wants no patience.
        Ok(options) => KaggleOptions {
            patience: Patience {
                tries: 2,
                total: Duration::from_secs(10),
                ..options.patience
            },
            ..options
        },
        Err(error) => return missing(error.to_string(), CREDENTIALS),
    };
    let one = CompetitionFilter {
        page_size: Some(1),
        ..CompetitionFilter::default()
    };
    let asked = match Kaggle::open(options) {
        Ok(kaggle) => kaggle.list_competitions(&one).next().await.map(|_| ()),
        Err(error) => Err(error),
    };
    match asked {
        Ok(()) => Finding::there("kaggle", "answers, and knows who asks"),
        Err(error @ KaggleError::Unauthenticated { .. }) => missing(error.to_string(), CREDENTIALS),
        Err(error) => missing(error.to_string(), "check `kaggle.host` and the network"),
    }
}

fn used_models(config: &Config) -> Vec<(&str, &synth_core::config::ModelConfig)> {
    let mut names: Vec<&str> = config
        .roles
        .by_name()
        .into_iter()
        .map(|(_, model)| model)
        .filter(|model| !model.is_empty())
        .collect();
    names.sort_unstable();
    names.dedup();
    names
        .into_iter()
        .filter_map(|name| config.models.get(name).map(|model| (name, model)))
        .collect()
}

fn disk(config: &Config) -> Finding {
    let output = &config.run.output;
    let finding = |ok, detail: String, remedy: &str| {
        if ok {
            Finding::there("disk", detail)
        } else {
            Finding::missing("disk", true, detail, remedy)
        }
    };
    // The nearest folder that exists is on the disk that will be written to.
    let mut place = if output.is_absolute() {
        output.clone()
    } else {
        std::env::current_dir().unwrap_or_default().join(output)
    };
    while !place.exists() && place.pop() {}
    let writable = tempfile::tempfile_in(&place).is_ok();
    match rustix::fs::statvfs(&place) {
        Ok(found) if writable => {
            let free = found.f_bavail.saturating_mul(found.f_frsize);
            let gib = free as f64 / f64::from(1 << 30);
            let remedy = "free some space, or set `run.output` to another disk";
            finding(
                free >= LOW_DISK_BYTES,
                format!("{gib:.1} GiB free for `{}`", output.display()),
                remedy,
            )
        }
        Ok(_) => finding(
            false,
            format!("`{}` cannot be written to", output.display()),
            "set `run.output` to a folder of yours",
        ),
        Err(error) => finding(
            false,
            format!("cannot look at `{}`: {error}", place.display()),
            "set `run.output` to a folder that can be reached",
        ),
    }
}

/// Whether the ledger of earlier runs can be read, if there is one.
fn ledger(config: &Config) -> Option<Finding> {
    let folder = context::ledger_folder(config);
    match Ledger::open_read_only(folder) {
        Err(LedgerError::Missing(_)) => None,
        Ok(ledger) => Some(match ledger.sizes() {
            Ok((outcomes, replies)) => Finding::there(
                "ledger",
                format!(
                    "{outcomes} outcomes and {replies} replies in `{}`",
                    folder.display()
                ),
            ),
            Err(error) => damaged(&error),
        }),
        Err(error) => Some(damaged(&error)),
    }
}

fn damaged(error: &LedgerError) -> Finding {
    Finding {
        remedy: None, // the message has it
        ..Finding::missing("ledger", true, error.to_string(), "")
    }
}
