//! What `synth doctor` asks about sandboxes: which layers this machine offers, and what is lost without them.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use serde::Deserialize;
use synth_core::config::{SandboxBackend, SandboxConfig};
use tokio::process::Command;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::docker;
use crate::environment;
use crate::isolation::{self, Lacking, Layer};
use crate::local::cgroup::{Cgroups, Controller, Version};

const PROBE: &str = include_str!("../agent/probe.py");

/// One thing that was looked at, and whether it is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What.
    pub name: String,
    /// Whether it works here.
    pub ok: bool,
    /// Whether sandboxes are impossible without it, as they are configured.
    pub needed: bool,
    /// What was found, or what is lost.
    pub detail: String,
    /// What to do, where there is something to do.
    pub remedy: Option<String>,
}

impl Finding {
    /// Something that is there.
    pub fn there(name: impl Into<String>, detail: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ok: true,
            needed: false,
            detail: detail.into(),
            remedy: None,
        }
    }

    /// Something that is not.
    pub fn missing(
        name: impl Into<String>,
        needed: bool,
        detail: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            name: name.into(),
            ok: false,
            needed,
            detail: detail.into(),
            remedy: Some(remedy.into()),
        }
    }
}

/// What the kernel said to each attempt; nothing where it worked.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Refusals {
    user: String,
    mount: String,
    pid: String,
    network: String,
    ipc: String,
    uts: String,
    seccomp: String,
    landlock: String,
    landlock_version: u32,
}

/// Looks at all that sandboxes rest on here. Leaves nothing behind; takes well under a second once a Python has answered.
pub async fn findings(config: &SandboxConfig) -> Vec<Finding> {
    let mut findings = layers(config).await;
    findings.extend(docker::findings(config).await);
    findings
}

/// Tries every layer as the local backend uses them.
async fn layers(config: &SandboxConfig) -> Vec<Finding> {
    let local = config.backend == SandboxBackend::Local;
    let mut findings = Vec::new();
    let python = match environment::find_python(config).await {
        Ok(python) => {
            let detail = format!("Python {} at `{}`", python.version, python.path.display());
            findings.push(Finding::there("python", detail));
            python
        }
        Err(error) => {
            let remedy = "install Python 3.10 or newer, or set `sandbox.python`";
            findings.push(Finding::missing("python", local, error.to_string(), remedy));
            return findings;
        }
    };
    let packages = match environment::ready(config) {
        Some(environment) => format!("installed in `{}`", environment.folder.display()),
        None => "not installed yet; the first run downloads them".into(),
    };
    findings.push(Finding::there("python packages", packages));
    let refusals = match refusals(&python.path).await {
        Ok(refusals) => refusals,
        Err(why) => {
            let remedy =
                "run `synth doctor` again; set `sandbox.python` to another Python if it persists";
            findings.push(Finding::missing("isolation", local, why, remedy));
            return findings;
        }
    };
    let mut lacking = kernel_lacks(&refusals);
    // As a backend would, for a moment.
    let Ok(cgroups) = spawn_blocking(Cgroups::claim).await else {
        return findings;
    };
    lacking.extend(cgroups.lacking.iter().cloned());
    let found = |layer: Layer| match layer {
        Layer::Landlock => format!("version {}; ", refusals.landlock_version),
        Layer::Memory => version(&cgroups, Controller::Memory),
        Layer::Cpu => version(&cgroups, Controller::Cpu),
        Layer::Processes => version(&cgroups, Controller::Pids),
        _ => String::new(),
    };
    let demanded = |layer: Layer| local && layer.demanded_by() <= config.isolation;
    for layer in Layer::ALL {
        let name = layer.name();
        findings.push(
            match lacking.iter().find(|lacking| lacking.layer == layer) {
                Some(Lacking { why, remedy, .. }) => Finding::missing(
                    name,
                    demanded(layer),
                    format!("{why}; {}", layer.lost()),
                    remedy,
                ),
                None => Finding::there(name, format!("{}{}", found(layer), layer.gives())),
            },
        );
    }
    if local {
        findings.push(level(config, &lacking));
    }
    findings
}

fn version(cgroups: &Cgroups, controller: Controller) -> String {
    match cgroups.version(controller) {
        Some(Version::V1) => "version 1; ".into(),
        Some(Version::V2) => "version 2, delegated; ".into(),
        None => String::new(),
    }
}

/// Whether the demanded level is reached.
fn level(config: &SandboxConfig, lacking: &[Lacking]) -> Finding {
    let (demanded, reached) = (config.isolation, isolation::reached(lacking));
    let detail = format!(
        "this machine reaches `{}`; `sandbox.isolation` demands `{}`",
        reached.name(),
        demanded.name()
    );
    if demanded <= reached {
        return Finding::there("isolation", detail);
    }
    let remedy = format!(
        "mend what is missing above, or set `sandbox.isolation = \"{}\"`",
        reached.name()
    );
    Finding::missing("isolation", true, detail, remedy)
}

fn kernel_lacks(refusals: &Refusals) -> Vec<Lacking> {
    let mut lacking = Vec::new();
    let mut look = |layer: Layer, refusal: &str| {
        if !refusal.is_empty() {
            lacking.push(layer.refused(refusal));
        }
    };
    look(Layer::User, &refusals.user);
    look(Layer::Seccomp, &refusals.seccomp);
    look(Layer::Landlock, &refusals.landlock);
    for (layer, refusal) in [
        (Layer::Mount, &refusals.mount),
        (Layer::Pid, &refusals.pid),
        (Layer::Network, &refusals.network),
        (Layer::Ipc, &refusals.ipc),
        (Layer::Uts, &refusals.uts),
    ] {
        if refusals.user.is_empty() {
            look(layer, refusal);
        } else {
            look(layer, "it takes a user namespace to have one");
        }
    }
    lacking
}

async fn refusals(python: &Path) -> Result<Refusals, String> {
    let mut command = Command::new(python);
    command
        .args(["-I", "-c", PROBE])
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

#[cfg(test)]
mod tests {
    use super::*;
    use synth_core::config::Isolation;

    #[test]
    fn without_user_namespaces_no_namespace_is_to_be_had() {
        let refusals = Refusals {
            user: "unshare: Operation not permitted".into(),
            ..Refusals::default()
        };
        let lacking = kernel_lacks(&refusals);
        let layers: Vec<Layer> = lacking.iter().map(|lacking| lacking.layer).collect();
        let namespaces = [
            Layer::User,
            Layer::Mount,
            Layer::Pid,
            Layer::Network,
            Layer::Ipc,
            Layer::Uts,
        ];
        assert_eq!(layers, namespaces);
        assert!(
            lacking
                .iter()
                .all(|lacking| lacking.remedy.contains("sysctl"))
        );
    }

    #[test]
    fn a_level_that_is_not_reached_says_which_is() {
        let lacking = [Layer::Memory.refused("not delegated")];
        let strict = SandboxConfig {
            isolation: Isolation::Strict,
            ..SandboxConfig::default()
        };
        let finding = level(&strict, &lacking);
        assert!(!finding.ok && finding.needed);
        assert!(
            finding
                .remedy
                .is_some_and(|remedy| remedy.contains("\"standard\""))
        );
        assert!(level(&SandboxConfig::default(), &lacking).ok);
    }
}
