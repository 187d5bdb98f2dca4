//! Runs an agent's code and remembers what came of it, so that a trajectory that was cut short goes on where it was.
//!
//! What a cell printed is remembered under the episode, the cell's place and its code. On the way back to where a crash
//! was, remembered cells are not run; when the first new one comes, a sandbox is opened, the earlier ones are run again to
//! rebuild its variables, and what they print then is thrown away: the conversation rests on what was seen first.

use std::path::PathBuf;
use std::time::Duration;

use synth_core::{DataFile, Fingerprint, Limits, Observation, TrajectoryId};
use synth_pipeline::{Blobs, StageError, WorkError};
use synth_sandbox::{Artifact, MountedFile, Sandbox, SandboxError, SandboxLimits, SandboxSpec};

use crate::services::Services;

/// The cells of one episode and the sandbox behind them.
pub struct Cells<'a> {
    services: &'a Services,
    episode: TrajectoryId,
    spec: SandboxSpec,
    conditions: Fingerprint,
    earlier: Vec<String>,
    sandbox: Option<Box<dyn Sandbox>>,
}

impl<'a> Cells<'a> {
    /// No sandbox is opened yet.
    pub fn new(
        services: &'a Services,
        blobs: &Blobs,
        episode: &TrajectoryId,
        files: &[DataFile],
        limits: &Limits,
        seed: u64,
    ) -> Self {
        let mount = |file: &DataFile| MountedFile {
            path: file.path.clone(),
            host_path: blobs.path(file.blake3),
        };
        Self {
            services,
            episode: episode.clone(),
            spec: SandboxSpec {
                label: episode.to_string(),
                files: files.iter().map(mount).collect(),
                seed,
                limits: SandboxLimits {
                    cell: Duration::from_secs(limits.cell_seconds),
                    memory_bytes: limits.memory_bytes,
                    output_bytes: limits.output_bytes,
                    ..SandboxLimits::default()
                },
                ..SandboxSpec::default()
            },
            conditions: Fingerprint::of(&(
                files,
                limits,
                seed,
                synth_sandbox::environment::fingerprint(),
            )),
            earlier: Vec::new(),
            sandbox: None,
        }
    }

    /// What comes of `code` after all that was run before.
    pub async fn run(&mut self, code: &str) -> Result<Observation, WorkError> {
        let key = Fingerprint::of(&(
            "observation",
            &self.episode,
            self.conditions,
            &self.earlier,
            code,
        ));
        let memo = std::sync::Arc::clone(&self.services.memo);
        let remembered = memo.get(key).await.map_err(StageError::from)?;
        // What does not read (a version of another shape wrote it) counts as not remembered.
        let remembered = remembered.and_then(|bytes| serde_json::from_slice(&bytes).ok());
        let observation: Observation = if let Some(observation) = remembered {
            observation
        } else {
            let observation = self
                .open()
                .await?
                .execute(code)
                .await
                .map_err(work_error)?
                .observation;
            let bytes =
                serde_json::to_vec(&observation).expect("an observation serialises to JSON");
            memo.put(key, bytes).await.map_err(StageError::from)?;
            observation
        };
        self.earlier.push(code.to_owned());
        Ok(observation)
    }

    /// Files that the agent left, those of `paths` that are regular files of at most `max_bytes`.
    pub async fn collect(
        &mut self,
        paths: &[String],
        max_bytes: u64,
    ) -> Result<Vec<Artifact>, WorkError> {
        if self.earlier.is_empty() {
            return Ok(Vec::new());
        }
        self.open()
            .await?
            .collect(paths, max_bytes)
            .await
            .map_err(work_error)
    }

    /// Ends the sandbox, if there is one.
    pub async fn close(&mut self) {
        if let Some(sandbox) = self.sandbox.take() {
            sandbox.close().await;
        }
    }

    /// The sandbox, with everything run that was run before.
    async fn open(&mut self) -> Result<&mut Box<dyn Sandbox>, WorkError> {
        if self.sandbox.is_none() {
            let missing: Vec<&PathBuf> = self
                .spec
                .files
                .iter()
                .map(|file| &file.host_path)
                .filter(|path| !path.exists())
                .collect();
            if let Some(path) = missing.first() {
                return Err(StageError::Files(format!(
                    "`{}` is gone from the data store; run `synth run --stage crawl --fresh` to fetch it again",
                    path.display()
                ))
                .into());
            }
            let sandboxes = self.services.sandboxes().await?;
            let mut sandbox = sandboxes.open(&self.spec).await.map_err(work_error)?;
            for code in &self.earlier {
                sandbox.execute(code).await.map_err(work_error)?;
            }
            self.sandbox = Some(sandbox);
        }
        Ok(self.sandbox.as_mut().expect("it was opened just now"))
    }
}

fn work_error(error: SandboxError) -> WorkError {
    WorkError::Record(error.into())
}
