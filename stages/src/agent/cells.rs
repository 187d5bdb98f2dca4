//! Runs an agent's code and remembers what came of it, so that a trajectory that was cut short goes on where it was.
//!
//! What a cell printed is remembered under the episode, the cell's place and its code. On the way back to where a crash
//! was, remembered cells are not run; when the first new one comes, a sandbox is opened, the earlier ones are run again to
//! rebuild its variables, and what they print then is thrown away: the conversation rests on what was seen first. The same is done
//! when the machine under a sandbox dies.

use std::path::PathBuf;
use std::time::Duration;

use synth_core::{DataFile, Fingerprint, Observation, TrajectoryId};
use synth_pipeline::{Blobs, StageError, WorkError};
use synth_sandbox::{
    Artifact, CellResult, MountedFile, Sandbox, SandboxError, SandboxLimits, SandboxSpec,
};

use super::Episode;
use crate::services::Services;

/// How often an episode is taken to another host.
const MOVES: usize = 2;

/// The cells of one episode and the sandbox behind them.
pub struct Cells<'a> {
    services: &'a Services,
    blobs: &'a Blobs,
    episode: TrajectoryId,
    spec: SandboxSpec,
    conditions: Fingerprint,
    earlier: Vec<String>,
    sandbox: Option<Box<dyn Sandbox>>,
}

impl<'a> Cells<'a> {
    /// No sandbox is opened yet.
    pub fn new(services: &'a Services, blobs: &'a Blobs, episode: &Episode<'_>) -> Self {
        let Episode {
            id,
            image,
            files,
            limits,
            seed,
            ..
        } = *episode;
        let mount = |file: &DataFile| MountedFile {
            path: file.path.clone(),
            host_path: blobs.path(file.blake3),
        };
        Self {
            services,
            blobs,
            episode: id.clone(),
            spec: SandboxSpec {
                label: id.to_string(),
                image: image.to_owned(),
                files: files.iter().map(mount).collect(),
                seed,
                limits: SandboxLimits {
                    cell: Duration::from_secs(limits.cell_seconds),
                    memory_bytes: limits.memory_bytes,
                    output_bytes: limits.output_bytes,
                    ..SandboxLimits::default()
                },
            },
            conditions: Fingerprint::of(&(
                image,
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
            let result = self.execute(code).await?;
            keep(self.blobs.clone(), result.displays).await?;
            let observation = result.observation;
            let bytes =
                serde_json::to_vec(&observation).expect("an observation serialises to JSON");
            memo.put(key, bytes).await.map_err(StageError::from)?;
            observation
        };
        self.earlier.push(code.to_owned());
        Ok(observation)
    }

    /// Runs a cell. One whose host is gone is run elsewhere, after those before it, whose variables it may need.
    async fn execute(&mut self, code: &str) -> Result<CellResult, WorkError> {
        for _ in 0..MOVES {
            match self.attempt(code).await {
                Err(WorkError::Record(error)) if error.reason == SandboxError::UNAVAILABLE => {
                    self.sandbox = None;
                }
                outcome => return outcome,
            }
        }
        self.attempt(code).await
    }

    async fn attempt(&mut self, code: &str) -> Result<CellResult, WorkError> {
        let sandbox = self.open().await?;
        sandbox.execute(code).await.map_err(work_error)
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

/// Stores what a cell showed, before any record names it.
async fn keep(blobs: Blobs, displays: Vec<Vec<u8>>) -> Result<(), WorkError> {
    if displays.is_empty() {
        return Ok(());
    }
    let store = move || {
        displays
            .iter()
            .try_for_each(|content| blobs.put(content).map(drop))
    };
    let stored = tokio::task::spawn_blocking(store)
        .await
        .unwrap_or_else(|error| Err(std::io::Error::other(error)));
    stored
        .map_err(|error| StageError::Files(format!("store what a cell displayed: {error}")).into())
}

fn work_error(error: SandboxError) -> WorkError {
    WorkError::Record(error.into())
}
