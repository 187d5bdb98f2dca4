//! What the Docker backend does beyond the contract, on a real Engine.

use std::time::Instant;

use synth_core::CellOutcome;
use synth_core::config::{SandboxBackend, SandboxConfig};
use synth_sandbox::docker::{self, Image};
use synth_sandbox::{DockerSandboxes, SandboxSpec, Sandboxes};

fn config() -> SandboxConfig {
    let mut config = SandboxConfig {
        backend: SandboxBackend::Docker,
        ..SandboxConfig::default()
    };
    config.docker.image = "synth".into();
    config
}

/// A backend; nothing, with the reason said, where no Engine answers.
async fn start(config: &SandboxConfig, slots: usize) -> Option<DockerSandboxes> {
    let say = |text: &str| println!("{text}");
    let image = Image::named(config, "").unwrap();
    let started = async {
        docker::build(config, &image, &say).await?;
        DockerSandboxes::start(config, slots, &say).await
    };
    match started.await {
        Ok(sandboxes) => Some(sandboxes),
        Err(error) if std::env::var_os("SYNTH_REQUIRE_DOCKER").is_none() => {
            println!("skipped: no Docker Engine answers: {error}");
            None
        }
        Err(error) => panic!("SYNTH_REQUIRE_DOCKER is set, and {error}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_runs_cells() {
    let Some(sandboxes) = start(&config(), 2).await else {
        return;
    };
    let began = Instant::now();
    let mut sandbox = sandboxes.open(&SandboxSpec::default()).await.unwrap();
    println!("opened after {:?}", began.elapsed());
    for code in ["1 + 1", "x = 3", "print('hello'); x"] {
        let began = Instant::now();
        let result = sandbox.execute(code).await.unwrap();
        println!("{:?} {:?}", began.elapsed(), result.observation);
        assert_eq!(result.observation.outcome, CellOutcome::Ok);
    }
    sandbox.close().await;
    sandboxes.close().await;
}
