//! The backends that the attempts are run on, and in what they may differ.

use std::path::{Path, PathBuf};

use futures::FutureExt;
use futures::future::BoxFuture;
use synth_core::config::SandboxConfig;
use synth_sandbox::{LocalSandboxes, SandboxError, Sandboxes};

use crate::support;

/// A backend under attack.
pub struct Backend {
    /// In the names of its tests.
    pub name: &'static str,
    /// Whether a new sandbox takes seconds.
    pub starts_are_dear: bool,
    /// Starts it with so many slots and a folder of its own.
    pub start: fn(usize, &Path) -> BoxFuture<'_, Result<Started, SandboxError>>,
}

/// Whether a backend can run here.
pub enum Started {
    /// It runs.
    Runs(Box<dyn Sandboxes>),
    /// This machine lacks what it needs.
    Lacks(String),
}

pub static ALL: &[Backend] = &[
    Backend {
        name: "local",
        starts_are_dear: false,
        start: local,
    },
    Backend {
        name: "docker",
        starts_are_dear: true,
        start: docker,
    },
];

fn config() -> SandboxConfig {
    SandboxConfig {
        python: std::env::var_os("SYNTH_TEST_PYTHON")
            .map(PathBuf::from)
            .unwrap_or_default(),
        ..SandboxConfig::default()
    }
}

fn local(slots: usize, scratch: &Path) -> BoxFuture<'_, Result<Started, SandboxError>> {
    async move {
        match LocalSandboxes::start(&config(), slots, scratch, &|_| {}).await {
            Ok(sandboxes) => Ok(Started::Runs(Box::new(sandboxes))),
            Err(error @ SandboxError::Isolation { .. }) => Ok(Started::Lacks(error.to_string())),
            Err(error) => Err(error),
        }
    }
    .boxed()
}

fn docker(slots: usize, _scratch: &Path) -> BoxFuture<'_, Result<Started, SandboxError>> {
    async move {
        Ok(
            match support::start_docker(&support::docker_config(), slots).await {
                Ok(sandboxes) => Started::Runs(Box::new(sandboxes)),
                Err(why) => Started::Lacks(why),
            },
        )
    }
    .boxed()
}
