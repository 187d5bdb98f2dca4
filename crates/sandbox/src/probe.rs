//! What `synth doctor` asks about sandboxes: which layers this machine offers, and what is lost without them.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use synth_core::config::SandboxConfig;
use tokio::process::Command;
use tokio::time::timeout;

use crate::child::remedy;
use crate::environment;

const JAIL: &str = include_str!("../agent/jail.py");

/// One layer, and whether it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The layer.
    pub name: &'static str,
    /// Whether it works here.
    pub ok: bool,
    /// What was found, or what is lost.
    pub detail: String,
    /// What to do, where there is something to do.
    pub remedy: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusals {
    user: String,
    namespaces: String,
    network: String,
    seccomp: String,
    landlock: String,
}

/// Tries every layer. Changes nothing; takes well under a second once a Python has answered.
pub async fn findings(config: &SandboxConfig) -> Vec<Finding> {
    let mut findings = Vec::new();
    let python = match environment::find_python(config).await {
        Ok(python) => {
            let detail = format!("Python {} at `{}`", python.version, python.path.display());
            findings.push(Finding {
                name: "python",
                ok: true,
                detail,
                remedy: None,
            });
            Some(python)
        }
        Err(error) => {
            let remedy = Some("install Python 3.10 or newer, or set `sandbox.python`".into());
            findings.push(Finding {
                name: "python",
                ok: false,
                detail: error.to_string(),
                remedy,
            });
            None
        }
    };
    findings.push(match environment::ready(config) {
        Some(environment) => Finding {
            name: "python packages",
            ok: true,
            detail: format!("installed in `{}`", environment.folder.display()),
            remedy: None,
        },
        None => Finding {
            name: "python packages",
            ok: python.is_some(),
            detail: "not installed yet; the first run downloads them".into(),
            remedy: None,
        },
    });
    let Some(python) = python else {
        return findings;
    };
    match refusals(&python.path).await {
        Ok(refusals) => findings.extend(kernel_findings(&refusals)),
        Err(why) => findings.push(Finding {
            name: "namespaces",
            ok: false,
            detail: why,
            remedy: None,
        }),
    }
    findings.push(cgroups(Path::new("/sys/fs/cgroup")));
    findings
}

fn kernel_findings(refusals: &Refusals) -> Vec<Finding> {
    let finding = |name, refusal: &str, there: &str, lost: &str, remedy: Option<String>| {
        let ok = refusal.is_empty();
        let detail = if ok {
            there.into()
        } else {
            format!("{refusal}; {lost}")
        };
        Finding {
            name,
            ok,
            detail,
            remedy: if ok { None } else { remedy },
        }
    };
    let blame = if refusals.user.is_empty() {
        &refusals.namespaces
    } else {
        &refusals.user
    };
    vec![
        finding(
            "namespaces",
            blame,
            "user, mount, pid, ipc and uts namespaces: a sandbox sees its task's files and its own processes only",
            "without them code can read this user's files and reach its processes",
            Some(remedy("namespace")),
        ),
        finding(
            "network isolation",
            &refusals.network,
            "a sandbox has no network",
            "without it code can reach the network",
            Some(remedy("namespace")),
        ),
        finding(
            "seccomp",
            &refusals.seccomp,
            "system calls that no analysis makes are refused",
            "without it more of the kernel is within reach of the code",
            Some("use a kernel with CONFIG_SECCOMP_FILTER".into()),
        ),
        finding(
            "landlock",
            &refusals.landlock,
            "offered by the kernel; not used by this version",
            "nothing is lost: this version does not use it",
            None,
        ),
    ]
}

async fn refusals(python: &Path) -> Result<Refusals, String> {
    let program = format!("{JAIL}\nimport json\nprint(json.dumps(probe()))\n");
    let mut command = Command::new(python);
    command
        .args(["-I", "-c", &program])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = match timeout(Duration::from_secs(20), command.output()).await {
        Err(_) => return Err("the probe does not come to an end".into()),
        Ok(output) => output.map_err(|error| error.to_string())?,
    };
    serde_json::from_slice(&output.stdout).map_err(|_| {
        format!(
            "the probe failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )
    })
}

/// Which control groups there are. This version bounds memory with `RLIMIT_DATA` and a watchdog, and does not use them.
fn cgroups(root: &Path) -> Finding {
    let controllers =
        |path: &Path| fs::read_to_string(path.join("cgroup.controllers")).unwrap_or_default();
    let has_memory = |text: &str| text.split_whitespace().any(|name| name == "memory");
    let detail = if has_memory(&controllers(root)) {
        "version 2 with the memory controller"
    } else if root.join("memory").is_dir() {
        "version 1 with the memory controller"
    } else {
        "none that bounds memory"
    };
    let detail = format!(
        "{detail}; not used by this version, which bounds memory by resource limits and a watchdog"
    );
    Finding {
        name: "cgroups",
        ok: true,
        detail,
        remedy: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_layer_says_what_is_lost_and_what_to_do() {
        let refusals = Refusals {
            user: "user namespace: Operation not permitted".into(),
            ..Refusals::default()
        };
        let findings = kernel_findings(&refusals);
        assert!(!findings[0].ok && findings[0].detail.contains("can read this user's files"));
        assert!(
            findings[0]
                .remedy
                .as_ref()
                .is_some_and(|remedy| remedy.contains("sysctl"))
        );
        assert!(findings[1].ok && findings[1].remedy.is_none());
    }
}
