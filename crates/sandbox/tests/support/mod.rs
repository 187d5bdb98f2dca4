//! A Docker backend for tests, where an Engine answers.

use synth_core::config::{Preload, SandboxBackend, SandboxConfig};
use synth_sandbox::DockerSandboxes;
use synth_sandbox::docker::{self, Image};

/// Containers on this machine's Engine or that of `DOCKER_HOST`, none of them started ahead: hardly two tests want the same.
/// `SYNTH_TEST_DOCKER_RUNTIME` names another runtime than the Engine's own, such as `runsc`.
pub fn docker_config() -> SandboxConfig {
    let mut config = SandboxConfig {
        backend: SandboxBackend::Docker,
        ..SandboxConfig::default()
    };
    config.docker.image = "synth".into();
    config.docker.warm = 0;
    config.docker.runtime = std::env::var("SYNTH_TEST_DOCKER_RUNTIME").unwrap_or_default();
    // Most of a cold start is imports, which few facts are about.
    config.preload = Preload::Nothing;
    config
}

/// Starts the backend, with its image made if need be; the reason why not where no Engine answers. With `SYNTH_REQUIRE_DOCKER`
/// set, that is a failure.
pub async fn start_docker(config: &SandboxConfig, slots: usize) -> Result<DockerSandboxes, String> {
    let image = Image::named(config, "").expect("the default image needs no configuration");
    let started = async {
        docker::build(config, &image, &|_| {}).await?;
        DockerSandboxes::start(config, slots, &|_| {}).await
    };
    let error = match started.await {
        Ok(sandboxes) => return Ok(sandboxes),
        Err(error) => error.to_string(),
    };
    assert!(
        std::env::var_os("SYNTH_REQUIRE_DOCKER").is_none(),
        "SYNTH_REQUIRE_DOCKER is set, and the backend does not start: {error}"
    );
    Err(format!("no Docker Engine answers: {error}"))
}
