//! What a client is told when a request cannot be served: a status, a code to branch on, a sentence with what to do.

use std::time::Duration;

use axum::Json;
use axum::http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::json;
use synth_sandbox::SandboxError;

/// A refusal. The native API sends it as `{"error": {"code", "message"}}`; the others have shapes of their own.
#[derive(Clone, Debug)]
pub struct Refusal {
    pub status: StatusCode,
    pub code: &'static str,
    pub message: String,
    pub retry_after: Option<Duration>,
}

impl Refusal {
    pub fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            retry_after: None,
        }
    }

    /// The request is not one that can be served as it stands.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid", message)
    }

    pub fn unauthorised() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorised",
            "send the token as `Authorization: Bearer TOKEN`, or as the password of basic authentication",
        )
    }

    pub fn unknown_sandbox() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "unknown_sandbox",
            "there is no such sandbox; it was closed, or left alone for too long: open another",
        )
    }

    /// Not now; later perhaps.
    pub fn later(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            retry_after: Some(Duration::from_secs(1)),
            ..Self::new(status, code, message)
        }
    }

    pub fn stopping() -> Self {
        Self::later(
            StatusCode::SERVICE_UNAVAILABLE,
            "stopping",
            "the server is stopping; try again when it is back",
        )
    }
}

impl From<SandboxError> for Refusal {
    fn from(error: SandboxError) -> Self {
        let message = format!("failed to {error}");
        match error {
            SandboxError::File { .. } => Self::new(StatusCode::NOT_FOUND, "file", message),
            SandboxError::Path(_) | SandboxError::Data { .. } => Self::invalid(message),
            _ => {
                tracing::warn!(%error, "the backend failed");
                Self::later(StatusCode::SERVICE_UNAVAILABLE, "backend", message)
            }
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = json!({"error": {"code": self.code, "message": self.message}});
        self.with_body(body)
    }
}

impl Refusal {
    /// The same refusal in another shape.
    pub fn with_body(self, body: serde_json::Value) -> Response {
        let mut response = (self.status, Json(body)).into_response();
        if let Some(after) = self.retry_after {
            let seconds = HeaderValue::from(after.as_secs().max(1));
            response.headers_mut().insert(RETRY_AFTER, seconds);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let schemes = HeaderValue::from_static("Bearer, Basic realm=\"synth\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, schemes);
        }
        response.extensions_mut().insert(Code(self.code));
        response
    }
}

/// The refusal's code, for the metrics.
#[derive(Clone, Copy)]
pub struct Code(pub &'static str);
