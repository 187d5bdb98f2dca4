//! `trajectories`: K independent attempts at each query or task, each in a fresh sandbox, verified at once by code.

use async_trait::async_trait;
use serde::Serialize;
use synth_core::config::Config;
use synth_core::{
    DataFile, Fingerprint, Query, Rewarding, Score, Trajectory, TrajectoryId, Verifier,
};
use synth_pipeline::{Estimate, Item, Outcome, Stage, StageError, Summary, WorkError};
use synth_sandbox::Artifact;

use crate::agent::{Episode, Scaffold};
use crate::equivalent::equivalent;
use crate::services::{Services, reply_basis};
use crate::target::Target;
use crate::{Cx, prompts, sampling};

/// The stage.
pub struct Trajectories;

/// Predictions larger than this are not taken.
const MAX_SUBMISSION_BYTES: u64 = 64 << 20;

#[derive(Serialize)]
struct Attempt {
    target: Target,
    sample_index: u32,
    /// On what the judge's verdict depends, where one is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    judge: Option<Fingerprint>,
}

impl Item for Attempt {
    fn id(&self) -> String {
        format!("{}#{}", self.target.id(), self.sample_index)
    }

    fn content(&self) -> Fingerprint {
        let content = Fingerprint::of(&(self.target.content(), self.sample_index));
        match self.judge {
            Some(judge) => Fingerprint::of(&(content, judge)),
            None => content,
        }
    }
}

#[async_trait]
impl Stage<Services> for Trajectories {
    fn name(&self) -> &'static str {
        "trajectories"
    }

    fn about(&self) -> &'static str {
        "attempt each query and task K times in fresh sandboxes, verify the answers"
    }

    fn reads(&self) -> &'static [&'static str] {
        &["prepare", "queries"]
    }

    fn makes(&self) -> &'static str {
        "trajectories"
    }

    fn version(&self) -> u32 {
        1
    }

    // `trajectories.attempts` is not among them: more attempts leave the earlier ones as they are.
    fn config_keys(&self) -> &'static [&'static str] {
        &[
            "trajectories.scaffold",
            "trajectories.max_tokens",
            "trajectories.sampling",
            "run.timings",
        ]
    }

    fn depends_on(&self, config: &Config) -> Fingerprint {
        reply_basis(config, "solver")
    }

    fn prompts(&self) -> Vec<&'static str> {
        [
            prompts::AGENT_TAGS,
            prompts::AGENT_TOOLS,
            prompts::AGENT_REMINDER,
            prompts::TABLES,
            prompts::SOLVE,
            prompts::EQUIVALENT,
        ]
        .map(|prompt| prompt.text())
        .to_vec()
    }

    fn estimate(&self, _: &Config) -> Estimate {
        Estimate {
            records: 1.0,
            calls: 4.0,
            tokens: 4.0 * 3000.0,
        }
    }

    fn feeds(&self, config: &Config) -> Vec<(&'static str, f64)> {
        let attempts = f64::from(config.trajectories.attempts);
        vec![("prepare", attempts / 2.0), ("queries", attempts)]
    }

    async fn run(&self, cx: &Cx<'_>) -> Result<Summary, StageError> {
        let (targets, total) = crate::target::all(cx)?;
        let attempts = cx.config.trajectories.attempts;
        let config = &cx.config.judge;
        let judge = Fingerprint::of(&(reply_basis(cx.config, "judge"), &config.sampling));
        let items = targets.flat_map(move |target| {
            (0..attempts).map(move |sample_index| match &target {
                Ok(target) => Ok(Attempt {
                    target: target.clone(),
                    sample_index,
                    judge: (!target.verifier().is_deterministic()).then_some(judge),
                }),
                Err(error) => Err(StageError::Files(error.to_string())),
            })
        });
        cx.each(total * attempts as usize, items, |attempt| {
            roll_out(cx, attempt)
        })
        .await
    }
}

/// One attempt: the agent works until it answers, then the verifier scores what it left.
async fn roll_out(cx: &Cx<'_>, attempt: Attempt) -> Result<Outcome<Trajectory>, WorkError> {
    let Attempt {
        target,
        sample_index,
        ..
    } = attempt;
    let Target { task, query } = &target;
    let model = cx.services.model("solver").await?;
    let scaffold = Scaffold(cx.config.trajectories.scaffold);
    let id = TrajectoryId::of(&(target.id(), sample_index, model.name(), scaffold.0));
    let sampling = sampling::seeded(cx, "solver", &cx.config.trajectories.sampling, &target.id());
    let verifier = target.verifier();
    let artifacts: Vec<String> = verifier.file().into_iter().map(str::to_owned).collect();
    let episode = Episode {
        id: &id,
        model: &*model,
        scaffold,
        request: target.request(),
        sampling: sampling.clone(),
        sample: sample_index,
        image: cx.services.image(&task.domain),
        files: &task.files,
        limits: &task.limits,
        max_tokens: cx.config.trajectories.max_tokens,
        artifacts: &artifacts,
        max_artifact_bytes: MAX_SUBMISSION_BYTES,
        seed: task.seed.wrapping_add(u64::from(sample_index)),
        timings: cx.config.run.timings,
    };
    let played = episode.play(cx.services, cx.blobs).await?;
    let score = verify(
        cx,
        &id,
        &verifier,
        played.answer.as_deref(),
        &played.artifacts,
    )
    .await?;
    let artifacts = store(cx, played.artifacts)?;
    Ok(Outcome::kept(Trajectory {
        id,
        task_id: task.id.clone(),
        source_id: task.source_id.clone(),
        query_id: query.as_ref().map(|query: &Query| query.id.clone()),
        sample_index,
        scaffold: scaffold.0,
        model: model.name().to_owned(),
        sampling: sampling::drawn(&sampling, sample_index),
        turns: played.turns,
        answer: played.answer,
        artifacts,
        stop: played.stop,
        score,
        usage: played.usage,
    }))
}

/// Scores an attempt far from the sandbox in which it was made: an answer here or by the judge, a file in a process of its own.
async fn verify(
    cx: &Cx<'_>,
    id: &TrajectoryId,
    verifier: &Verifier,
    answer: Option<&str>,
    artifacts: &[Artifact],
) -> Result<Score, WorkError> {
    Ok(match verifier {
        Verifier::Keyed { .. } | Verifier::Answer { .. } => {
            synth_score::score_text(verifier, answer).unwrap_or_default()
        }
        Verifier::Equivalent {
            question,
            reference,
        } => equivalent(cx, id, question, reference, answer).await?,
        Verifier::Predictions(rule) => {
            let prediction = artifacts
                .iter()
                .find(|artifact| artifact.path == rule.file)
                .map(|artifact| artifact.bytes.as_slice());
            let read = |file: &DataFile| cx.blobs.read(file.blake3).map_err(StageError::from);
            let truth = read(&rule.truth)?;
            let leaderboard = match &rule.reward {
                Rewarding::Standing { leaderboard } => Some(read(leaderboard)?),
                Rewarding::Value | Rewarding::Skill { .. } => None,
            };
            cx.services
                .scorer
                .score_predictions(rule, prediction, &truth, leaderboard.as_deref())
                .await
                .map_err(|error| {
                    StageError::Sandbox(format!("start a process that scores: {error}"))
                })?
        }
    })
}

fn store(cx: &Cx<'_>, artifacts: Vec<Artifact>) -> Result<Vec<DataFile>, WorkError> {
    artifacts
        .into_iter()
        .map(|Artifact { path, bytes }| {
            let blake3 = cx.blobs.put(&bytes).map_err(StageError::from)?;
            Ok(DataFile {
                path,
                bytes: bytes.len() as u64,
                blake3,
            })
        })
        .collect()
}
