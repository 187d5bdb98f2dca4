//! Scoring: a verifier, which is plain data, over an answer or files; far from the sandbox in which they were made.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use data_encoding::BASE64;
use futures::FutureExt;
use serde::Deserialize;
use synth_core::{DataFile, Rewarding, Score, Verifier};
use synth_sandbox::Sandbox;
use tokio::task::spawn_blocking;
use tokio::time::timeout;

use crate::access::Client;
use crate::error::Refusal;
use crate::payload::Payload;
use crate::rooms::Turn;
use crate::service::Service;

/// How long scoring may take before the client is told that it takes too long.
const PATIENCE: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ScoreRequest {
    verifier: Verifier,
    #[serde(default)]
    answer: Option<String>,
    /// Contents in base64, by path.
    #[serde(default)]
    files: BTreeMap<String, String>,
    /// A sandbox whose workspace holds the files.
    #[serde(default)]
    sandbox: Option<String>,
}

pub async fn score(
    State(service): State<Arc<Service>>,
    client: Client,
    payload: Payload,
) -> Result<Json<Score>, Refusal> {
    let request: ScoreRequest = payload.json()?;
    drop(payload);
    let failed =
        |message: String| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message);
    let _place = service.scoring.acquire().await;
    let score = match request.verifier {
        verifier @ (Verifier::Keyed { .. } | Verifier::Answer { .. }) => {
            let scoring = spawn_blocking(move || {
                synth_score::score_text(&verifier, request.answer.as_deref()).unwrap_or_default()
            });
            let score = timeout(PATIENCE, scoring).await.map_err(|_| {
                Refusal::new(
                    StatusCode::UNPROCESSABLE_ENTITY,
                    "too_slow",
                    "scoring takes too long; send a shorter answer",
                )
            })?;
            score.map_err(|error| failed(format!("scoring ended in the middle: {error}")))?
        }
        Verifier::Equivalent { .. } => {
            return Err(Refusal::invalid(
                "an `equivalent` verifier asks a model, and this server has none; `synth run` verifies by it",
            ));
        }
        Verifier::Predictions(rule) => {
            let prediction = match request.files.get(&rule.file) {
                Some(content) => Some(BASE64.decode(content.as_bytes()).map_err(|error| {
                    Refusal::invalid(format!("`files.{}` is not base64: {error}", rule.file))
                })?),
                None => {
                    from_sandbox(&service, &client, request.sandbox.as_deref(), &rule.file).await?
                }
            };
            let truth = uploaded(&service, &client, &rule.truth, "verifier.truth").await?;
            let leaderboard = match &rule.reward {
                Rewarding::Standing { leaderboard } => {
                    let name = "verifier.reward.leaderboard";
                    Some(uploaded(&service, &client, leaderboard, name).await?)
                }
                Rewarding::Value | Rewarding::Skill { .. } => None,
            };
            service
                .scorer
                .score_predictions(&rule, prediction.as_deref(), &truth, leaderboard.as_deref())
                .await
                .map_err(|error| {
                    failed(format!("failed to start a process that scores: {error}"))
                })?
        }
    };
    service.metrics.scores.inc();
    Ok(Json(score))
}

/// What a rule reads beside the predictions: an upload of the client's, by its hash.
async fn uploaded(
    service: &Service,
    client: &Client,
    file: &DataFile,
    name: &str,
) -> Result<Vec<u8>, Refusal> {
    let stored = service
        .uploads
        .get(client, &file.blake3.to_string())
        .map_err(|refusal| Refusal {
            message: format!("`{name}`: {}", refusal.message),
            ..refusal
        })?;
    let too_large = || {
        let most = service.limits.body_bytes;
        Refusal::invalid(format!("`{name}` has more than {most} bytes"))
    };
    let size = tokio::fs::metadata(stored.path()).await.map(|it| it.len());
    if size
        .as_ref()
        .is_ok_and(|&size| size > service.limits.body_bytes as u64)
    {
        return Err(too_large());
    }
    tokio::fs::read(stored.path()).await.map_err(|error| {
        let message = format!("failed to read `{name}`: {error}");
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", message)
    })
}

async fn from_sandbox(
    service: &Arc<Service>,
    client: &Client,
    id: Option<&str>,
    file: &str,
) -> Result<Option<Vec<u8>>, Refusal> {
    let Some(id) = id else { return Ok(None) };
    let room = service.rooms.find(client, id)?;
    let most = service.limits.body_bytes as u64;
    let paths = vec![file.to_owned()];
    let artifacts = service
        .rooms
        .within(&room, Turn::Now, move |sandbox: &mut dyn Sandbox| {
            async move { sandbox.collect(&paths, most).await }.boxed()
        })
        .await?;
    Ok(artifacts.into_iter().next().map(|artifact| artifact.bytes))
}
