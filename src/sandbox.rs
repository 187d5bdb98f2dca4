//! `synth sandbox`: the images of Docker sandboxes, and what dead runs left on the hosts.

use std::fmt::Write;

use synth_core::config::{DockerHost, SandboxConfig};
use synth_sandbox::SandboxError;
use synth_sandbox::docker::{self, Image};

use crate::cli::{BuildArguments, ConfigArguments, SandboxVerb};
use crate::exit_code::{ExitCode, Failure};
use crate::{context, output};

/// Does what the verb says.
pub async fn sandbox(verb: SandboxVerb) -> Result<ExitCode, Failure> {
    match verb {
        SandboxVerb::Build(arguments) => build(arguments).await,
        SandboxVerb::Images(arguments) => images(&arguments).await,
        SandboxVerb::Sweep(arguments) => sweep(&arguments).await,
    }
}

async fn build(arguments: BuildArguments) -> Result<ExitCode, Failure> {
    let mut config = context::configuration(&arguments.config)?.sandbox;
    if let Some(url) = arguments.host {
        config.docker.hosts = vec![DockerHost::Url(url)];
    }
    let image = Image::named(&config, &arguments.image).map_err(failure)?;
    if let Some(folder) = &arguments.context {
        image.write_context(folder).map_err(failure)?;
        let (name, folder) = (&image.name, folder.display());
        output::data(&format!("docker build -t {name} {folder}\n"))?;
        return Ok(ExitCode::Success);
    }
    let say = |text: &str| {
        use std::io::Write as _;
        // Nowhere is left to complain to when stderr is gone.
        let _ = writeln!(std::io::stderr(), "{text}");
    };
    if let Some(file) = &arguments.output {
        let tarball = image.tarball(&config, &say).await.map_err(failure)?;
        std::fs::copy(tarball, file)?;
        return Ok(ExitCode::Success);
    }
    let mut out = String::new();
    for built in docker::build(&config, &image, &say)
        .await
        .map_err(failure)?
    {
        let what = if built.fresh { "made" } else { "there already" };
        writeln!(out, "{}  {}  {what}", built.host, built.image)?;
    }
    output::data(&out)?;
    Ok(ExitCode::Success)
}

async fn images(arguments: &ConfigArguments) -> Result<ExitCode, Failure> {
    let config = context::configuration(arguments)?.sandbox;
    let mut out = String::new();
    for name in names(&config) {
        let image = Image::named(&config, name).map_err(failure)?;
        for (host, state) in docker::states(&config, &image).await {
            writeln!(out, "{host}  {}  {state}", image.name)?;
        }
    }
    output::data(&out)?;
    Ok(ExitCode::Success)
}

/// The default image and those that are configured.
fn names(config: &SandboxConfig) -> impl Iterator<Item = &str> {
    std::iter::once("").chain(config.images.keys().map(String::as_str))
}

async fn sweep(arguments: &ConfigArguments) -> Result<ExitCode, Failure> {
    let config = context::configuration(arguments)?.sandbox;
    let mut out = String::new();
    for (host, swept) in docker::sweep_hosts(&config).await.map_err(failure)? {
        let docker::Swept {
            containers,
            volumes,
        } = swept;
        writeln!(
            out,
            "{host}  removed {containers} containers and {volumes} volumes"
        )?;
    }
    output::data(&out)?;
    Ok(ExitCode::Success)
}

#[expect(clippy::needless_pass_by_value, reason = "handed over by `map_err`")]
fn failure(error: SandboxError) -> Failure {
    Failure::new(ExitCode::Unavailable, error.to_string())
}
