//! The backend that a configuration names, started.

use std::path::Path;
use std::sync::Arc;

use synth_core::config::{SandboxBackend, SandboxConfig};

use crate::{DockerSandboxes, LocalSandboxes, SandboxError, Sandboxes};

/// Starts the backend, with `slots` sandboxes open at once; 0 means the processors and one. `scratch` is a folder for what nobody
/// needs afterwards, `progress` is told what takes long.
pub async fn open_backend(
    config: &SandboxConfig,
    slots: usize,
    scratch: &Path,
    progress: &(dyn Fn(&str) + Send + Sync),
) -> Result<Arc<dyn Sandboxes>, SandboxError> {
    let slots = slots_of(slots);
    Ok(match config.backend {
        SandboxBackend::Local => {
            Arc::new(LocalSandboxes::start(config, slots, scratch, progress).await?)
        }
        SandboxBackend::Docker => Arc::new(DockerSandboxes::start(config, slots, progress).await?),
    })
}

/// How many slots a setting of them means.
pub fn slots_of(setting: usize) -> usize {
    match setting {
        0 => std::thread::available_parallelism().map_or(2, std::num::NonZero::get) + 1,
        slots => slots,
    }
}
