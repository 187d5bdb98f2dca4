//! Runs a program over a task's files in a sandbox of its own, and takes what it wrote.

use std::collections::BTreeMap;
use std::time::Duration;

use synth_core::{DataFile, Limits, Observation};
use synth_pipeline::{Blobs, StageError, WorkError};
use synth_sandbox::{MountedFile, SandboxError, SandboxLimits, SandboxSpec};

use crate::services::Services;

/// Files larger than this are not taken.
const MAX_OUTPUT_BYTES: u64 = 256 << 20;

/// A program.
pub(crate) struct Script<'a> {
    /// Whose it is, for logs.
    pub label: &'a str,
    /// What it finds under `data/`.
    pub files: &'a [DataFile],
    /// The code, one cell.
    pub code: &'a str,
    /// The seed of its sandbox.
    pub seed: u64,
    /// How far it may go.
    pub limits: &'a Limits,
}

/// What came of it.
pub(crate) struct Ran {
    /// How it ended and what it printed.
    pub observation: Observation,
    /// The files that were asked for and are there.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Script<'_> {
    /// Runs it and takes these files of its workspace. What the code does wrong is in the observation; an error means that there
    /// was no sandbox to run it in.
    pub(crate) async fn run(
        &self,
        services: &Services,
        blobs: &Blobs,
        outputs: &[&str],
    ) -> Result<Ran, WorkError> {
        let mount = |file: &DataFile| MountedFile {
            path: file.path.clone(),
            host_path: blobs.path(file.blake3),
        };
        let spec = SandboxSpec {
            label: self.label.to_owned(),
            image: String::new(),
            files: self.files.iter().map(mount).collect(),
            seed: self.seed,
            limits: SandboxLimits {
                cell: Duration::from_secs(self.limits.total_seconds),
                memory_bytes: self.limits.memory_bytes,
                output_bytes: self.limits.output_bytes,
                ..SandboxLimits::default()
            },
        };
        if let Some(gone) = spec.files.iter().find(|file| !file.host_path.exists()) {
            let message = format!(
                "`{}` is gone from the data store; run `synth run --stage crawl --fresh` to fetch it again",
                gone.host_path.display()
            );
            return Err(StageError::Files(message).into());
        }
        let mut sandbox = services
            .sandboxes()
            .await?
            .open(&spec)
            .await
            .map_err(record_error)?;
        let ran = async {
            let result = sandbox.execute(self.code).await?;
            let paths: Vec<String> = outputs.iter().map(|path| (*path).to_owned()).collect();
            let files = sandbox.collect(&paths, MAX_OUTPUT_BYTES).await?;
            Ok(Ran {
                observation: result.observation,
                files: files
                    .into_iter()
                    .map(|file| (file.path, file.bytes))
                    .collect(),
            })
        }
        .await;
        sandbox.close().await;
        ran.map_err(record_error)
    }
}

fn record_error(error: SandboxError) -> WorkError {
    WorkError::Record(error.into())
}
