//! Cells: run, interrupted.

use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use data_encoding::BASE64;
use serde::{Deserialize, Serialize};
use synth_core::CellOutcome;
use synth_sandbox::CellResult;

use crate::access::Client;
use crate::error::Refusal;
use crate::payload::Payload;
use crate::rooms::Turn;
use crate::service::Service;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ExecuteRequest {
    code: String,
    /// Seconds; the sandbox's own limit where it is left out.
    #[serde(default)]
    timeout: Option<f64>,
}

/// A cell's record as the dataset has it, with the content of what was shown.
#[derive(Serialize)]
pub struct Executed {
    #[serde(flatten)]
    outcome: CellOutcome,
    stdout: String,
    stderr: String,
    value: Option<String>,
    displays: Vec<Shown>,
    truncated: bool,
    duration_ms: u64,
    memory_peak_bytes: Option<u64>,
}

#[derive(Serialize)]
struct Shown {
    media_type: String,
    blake3: String,
    bytes: u64,
    /// Base64.
    data: String,
}

pub async fn execute(
    State(service): State<Arc<Service>>,
    client: Client,
    Path(id): Path<String>,
    payload: Payload,
) -> Result<Json<Executed>, Refusal> {
    let room = service.rooms.find(&client, &id)?;
    let ExecuteRequest { code, timeout } = payload.json()?;
    let most = room.spec.limits.cell;
    let cell = match timeout {
        None => most,
        Some(seconds) if seconds > 0.0 && seconds <= most.as_secs_f64() => {
            Duration::from_secs_f64(seconds)
        }
        Some(_) => {
            let most = most.as_secs_f64();
            let message = format!("`timeout` has to be more than 0 and at most {most} seconds");
            return Err(Refusal::invalid(message));
        }
    };
    let result = service.rooms.execute(&room, code, cell, Turn::Now).await?;
    Ok(Json(executed(result)))
}

fn executed(result: CellResult) -> Executed {
    let CellResult {
        observation,
        displays,
    } = result;
    let displays = observation.displays.into_iter().zip(displays);
    Executed {
        outcome: observation.outcome,
        stdout: observation.stdout,
        stderr: observation.stderr,
        value: observation.value,
        displays: displays
            .map(|(display, bytes)| Shown {
                media_type: display.media_type,
                blake3: display.blake3.to_string(),
                bytes: display.bytes,
                data: BASE64.encode(&bytes),
            })
            .collect(),
        truncated: observation.truncated,
        duration_ms: observation.duration_ms,
        memory_peak_bytes: observation.memory_peak_bytes,
    }
}

pub async fn interrupt(
    State(service): State<Arc<Service>>,
    client: Client,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    service.rooms.find(&client, &id)?.interrupt();
    Ok(StatusCode::NO_CONTENT)
}
