//! What `synth doctor` asks about Docker.

use std::time::Duration;

use synth_core::config::{SandboxBackend, SandboxConfig};
use tokio::time::timeout;

use super::{Image, host, image};
use crate::probe::Finding;

/// How long an Engine may take to answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// A finding for each host: whether its Engine answers, and has the image and the runtime. Where containers are not asked for, a
/// host that does not answer is nothing to be told.
pub async fn findings(config: &SandboxConfig) -> Vec<Finding> {
    let needed = config.backend == SandboxBackend::Docker;
    let mut findings = Vec::new();
    for endpoint in host::endpoints(&config.docker.hosts) {
        let finding = |ok, detail: String, remedy: Option<&str>| Finding {
            name: "docker".to_owned(),
            ok,
            needed,
            detail: format!("`{}`: {detail}", endpoint.url),
            remedy: remedy.map(str::to_owned),
        };
        let asked = async {
            let docker = host::connect(&endpoint).await?;
            let info = docker.info().await?;
            let expected = Image::named(config, "").ok();
            let name = expected.as_ref().map_or("", |image| image.name.as_str());
            let found = image::fingerprint_on(&docker, name).await?;
            Ok::<_, bollard::errors::Error>((info, expected, found))
        };
        let answer = match timeout(ANSWER_TIMEOUT, asked).await {
            Ok(answer) => answer.map_err(|error| error.to_string()),
            Err(_) => Err(format!("no answer in {} seconds", ANSWER_TIMEOUT.as_secs())),
        };
        findings.push(match answer {
            Err(_) if !needed => continue,
            Err(why) => finding(
                false,
                why,
                Some("start a Docker Engine there, or set `sandbox.docker.hosts`"),
            ),
            Ok((info, expected, found)) => {
                let runtime = &config.docker.runtime;
                let has_runtime = runtime.is_empty()
                    || info.runtimes.is_some_and(|runtimes| runtimes.contains_key(runtime));
                let version = info.server_version.unwrap_or_default();
                let name = &config.docker.image;
                if !has_runtime {
                    finding(
                        false,
                        format!("Engine {version} has no runtime `{runtime}`"),
                        Some("add it to the Engine's `daemon.json`, or empty `sandbox.docker.runtime`"),
                    )
                } else if found.is_none() || found != expected.map(|image| image.fingerprint) {
                    finding(
                        false,
                        format!("Engine {version} has no image `{name}` of this version"),
                        Some("run `synth sandbox build`"),
                    )
                } else {
                    finding(true, format!("Engine {version} with the image `{name}`"), None)
                }
            }
        });
    }
    findings
}
