//! `synth doctor`: what this machine has, what it lacks, what that costs and how to get it.

use std::fmt::Write;

use synth_core::config::{Config, Isolation, Provider};
use synth_sandbox::probe;

use crate::cli::ConfigArguments;
use crate::exit_code::{ExitCode, Failure};
use crate::{context, output};

/// Less free space than this is worth a word.
const LOW_DISK_BYTES: u64 = 2 << 30;

/// One thing that was looked at.
struct Finding {
    name: String,
    ok: bool,
    /// Whether a run is impossible without it.
    needed: bool,
    detail: String,
    remedy: String,
}

/// Looks at everything and says what is missing; fails when a run could not work.
pub async fn doctor(arguments: &ConfigArguments) -> Result<ExitCode, Failure> {
    let config = context::configuration(arguments)?;
    let mut findings: Vec<Finding> = probe::findings(&config.sandbox)
        .await
        .into_iter()
        .map(|finding| Finding {
            needed: finding.name == "python"
                || (finding.name == "namespaces" && config.sandbox.isolation > Isolation::Weak),
            name: finding.name.to_owned(),
            ok: finding.ok,
            detail: finding.detail,
            remedy: finding.remedy.unwrap_or_default(),
        })
        .collect();
    findings.push(disk(&config));
    for (name, model) in used_models(&config) {
        findings.push(match model.provider {
            Provider::Builtin => fine(
                &format!("model {name}"),
                "the builtin teacher needs nothing",
            ),
            Provider::Replay => {
                let path = model.exchanges.display();
                let ok = model.exchanges.is_file();
                Finding {
                    name: format!("model {name}"),
                    ok,
                    needed: true,
                    detail: if ok {
                        format!("replays `{path}`")
                    } else {
                        format!("there is no file `{path}`")
                    },
                    remedy: format!("set `models.{name}.exchanges` to a file written by `record`"),
                }
            }
            Provider::Openai => match synth_llm::check(model).await {
                Ok(detail) => fine(&format!("model {name}"), &detail),
                Err(error) => Finding {
                    name: format!("model {name}"),
                    ok: false,
                    needed: true,
                    detail: error.to_string(),
                    remedy: format!("check `models.{name}` and its key in the environment"),
                },
            },
        });
    }
    let mut out = String::new();
    let width = findings
        .iter()
        .map(|finding| finding.name.chars().count())
        .max()
        .unwrap_or(0);
    for finding in &findings {
        let mark = match (finding.ok, finding.needed) {
            (true, _) => "ok     ",
            (false, true) => "MISSING",
            (false, false) => "absent ",
        };
        writeln!(out, "{mark}  {:<width$}  {}", finding.name, finding.detail)?;
        if !finding.ok && !finding.remedy.is_empty() {
            writeln!(out, "         {:<width$}  → {}", "", finding.remedy)?;
        }
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

fn fine(name: &str, detail: &str) -> Finding {
    Finding {
        name: name.to_owned(),
        ok: true,
        needed: true,
        detail: detail.to_owned(),
        remedy: String::new(),
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
    let finding = |ok, detail, remedy: &str| Finding {
        name: "disk".to_owned(),
        ok,
        needed: true,
        detail,
        remedy: remedy.to_owned(),
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
