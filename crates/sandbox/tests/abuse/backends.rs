//! The backends that the attempts are run on, and in what they may differ.

use std::path::{Path, PathBuf};

use futures::FutureExt;
use futures::future::BoxFuture;
use synth_core::config::SandboxConfig;
use synth_sandbox::{LocalSandboxes, SandboxError, Sandboxes};

/// A backend under attack.
pub struct Backend {
    /// In the names of its tests.
    pub name: &'static str,
    /// Starts it with so many slots and a folder of its own, or says why it cannot run here.
    pub start: fn(usize, &Path) -> BoxFuture<'_, Result<Box<dyn Sandboxes>, String>>,
}

pub static ALL: &[Backend] = &[Backend {
    name: "local",
    start: local,
}];

fn config() -> SandboxConfig {
    SandboxConfig {
        python: std::env::var_os("SYNTH_TEST_PYTHON")
            .map(PathBuf::from)
            .unwrap_or_default(),
        ..SandboxConfig::default()
    }
}

fn local(slots: usize, scratch: &Path) -> BoxFuture<'_, Result<Box<dyn Sandboxes>, String>> {
    async move {
        match LocalSandboxes::start(&config(), slots, scratch, &|_| {}).await {
            Ok(sandboxes) => Ok(Box::new(sandboxes) as Box<dyn Sandboxes>),
            Err(error @ SandboxError::Isolation { .. }) => Err(error.to_string()),
            Err(error) => panic!("{error}"),
        }
    }
    .boxed()
}
