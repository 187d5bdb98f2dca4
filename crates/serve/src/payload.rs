//! The body of a request, read whole within bounds of size, time and memory.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use crate::error::Refusal;
use crate::service::Service;

/// How long a body may take to come in.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a request waits for memory that other bodies take.
const MEMORY_WAIT: Duration = Duration::from_secs(10);
/// Memory for bodies is given out in pieces of this size.
pub const PIECE: usize = 64 << 10;

/// The bytes of a body, and the memory that they were given until the answer is there.
pub struct Payload {
    pub bytes: Bytes,
    _memory: tokio::sync::OwnedSemaphorePermit,
}

impl FromRequest<Arc<Service>> for Payload {
    type Rejection = Refusal;

    async fn from_request(request: Request, service: &Arc<Service>) -> Result<Self, Refusal> {
        let most = service.limits.body_bytes;
        let too_large = || {
            let message = format!("a request may have {most} bytes; send less");
            Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", message)
        };
        let length = request.headers().get(CONTENT_LENGTH);
        let length: Option<usize> = length.and_then(|length| length.to_str().ok()?.parse().ok());
        // A body that does not say its length is counted as the largest.
        let expected = length.unwrap_or(most);
        if expected > most {
            return Err(too_large());
        }
        let pieces = u32::try_from(expected.div_ceil(PIECE).max(1)).unwrap_or(u32::MAX);
        let memory = Arc::clone(&service.body_memory).acquire_many_owned(pieces);
        let Ok(Ok(memory)) = timeout(MEMORY_WAIT, memory).await else {
            return Err(Refusal::later(
                StatusCode::SERVICE_UNAVAILABLE,
                "overloaded",
                "too many large requests are in flight; try again",
            ));
        };
        let bytes = match timeout(PATIENCE, collect(request.into_body(), most)).await {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(error)) if error.is::<LengthLimitError>() => return Err(too_large()),
            Ok(Err(error)) => {
                let message = format!("the body ended in the middle: {error}");
                return Err(Refusal::new(StatusCode::BAD_REQUEST, "incomplete", message));
            }
            Err(_) => {
                let message = "the body took too long to come in; send it again";
                return Err(Refusal::new(
                    StatusCode::REQUEST_TIMEOUT,
                    "timeout",
                    message,
                ));
            }
        };
        service.metrics.received_bytes.inc_by(bytes.len() as u64);
        Ok(Self {
            bytes,
            _memory: memory,
        })
    }
}

async fn collect(
    body: Body,
    most: usize,
) -> Result<Bytes, Box<dyn std::error::Error + Send + Sync>> {
    Ok(Limited::new(body, most).collect().await?.to_bytes())
}

impl Payload {
    /// The body as JSON, whatever type the request says it has; an empty body stands for `{}`.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, Malformed> {
        let bytes: &[u8] = if self.bytes.trim_ascii().is_empty() {
            b"{}"
        } else {
            &self.bytes
        };
        let mut reader = serde_json::Deserializer::from_slice(bytes);
        let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| Malformed {
            path: error.path().to_string(),
            message: error.inner().to_string(),
        })?;
        reader.end().map_err(|error| Malformed {
            path: ".".to_owned(),
            message: error.to_string(),
        })?;
        Ok(value)
    }
}

/// Why a body is not what was asked for.
pub struct Malformed {
    pub path: String,
    pub message: String,
}

impl From<Malformed> for Refusal {
    fn from(Malformed { path, message }: Malformed) -> Self {
        let place = match path.as_str() {
            "." | "?" => String::new(),
            path => format!("`{path}`: "),
        };
        Self::invalid(format!("{place}{message}"))
    }
}
