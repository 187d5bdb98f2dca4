//! Answers and refusals of the API, in the words that the service has used.

use axum::body::Body;
use axum::http::{HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use futures::stream;
use serde_json::{Value, json};

use crate::fault::Fault;

/// A refusal.
#[derive(Clone, Debug)]
pub(super) struct ApiError {
    status: u16,
    message: String,
    /// The gateway's status word: refusals of the gateway have another form on RPC than those of the application.
    gateway: Option<&'static str>,
    retry_after: Option<u64>,
}

impl ApiError {
    fn new(status: u16, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            gateway: None,
            retry_after: None,
        }
    }

    pub(super) fn unauthenticated() -> Self {
        Self {
            gateway: Some("UNAUTHENTICATED"),
            ..Self::new(401, "Unauthenticated")
        }
    }

    pub(super) fn rules() -> Self {
        Self::new(
            403,
            "You must accept this competition's rules before you'll be able to download files.",
        )
    }

    pub(super) fn participate() -> Self {
        Self::new(403, "Permission 'competitions.participate' was denied")
    }

    pub(super) fn unknown_competition() -> Self {
        Self::new(403, "Permission 'competitions.get' was denied")
    }

    pub(super) fn unknown_dataset() -> Self {
        Self::new(403, "Permission 'datasets.get' was denied")
    }

    pub(super) fn no_team() -> Self {
        Self::new(400, "You do not have a Team in this Competition.")
    }

    pub(super) fn bad(message: &str) -> Self {
        Self::new(400, message)
    }

    pub(super) fn not_found() -> Self {
        Self::new(404, "Not found")
    }

    /// The refusal that a fault of the API stands for.
    pub(super) fn of(fault: &Fault) -> Option<Self> {
        Some(match fault {
            Fault::Unauthorized => Self::unauthenticated(),
            Fault::RulesNotAccepted => Self::rules(),
            Fault::NotJoined => Self::participate(),
            Fault::NoTeam => Self::no_team(),
            Fault::UnknownSlug => Self::unknown_competition(),
            Fault::Throttled { retry_after } => Self {
                gateway: Some("RESOURCE_EXHAUSTED"),
                retry_after: *retry_after,
                ..Self::new(429, "Too many requests")
            },
            Fault::Server(status) => Self::new(*status, "Internal error"),
            _ => return None,
        })
    }

    pub(super) fn respond(&self, is_rest: bool) -> Response<Body> {
        let body = match self.gateway {
            Some(status) if !is_rest => {
                json!({"error": {"code": self.status, "message": self.message, "status": status}})
            }
            _ => json!({"code": self.status, "message": self.message}),
        };
        let mut response = json_response(&body);
        *response.status_mut() =
            StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        if let Some(seconds) = self.retry_after {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// JSON, with apostrophes as the service's serialiser writes them.
pub(super) fn json_response(value: &Value) -> Response<Body> {
    let text = value.to_string().replace('\'', "\\u0027");
    let mut response = Response::new(Body::from(text));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/json; charset=utf-8"),
    );
    response
}

/// A body of these bytes as faults bend it: whole, cut, or slow.
pub(super) fn body(bytes: Bytes, faults: &[Fault]) -> Body {
    let cut = faults.iter().find_map(|fault| match fault {
        Fault::Cut { at } => Some(usize::try_from(*at).unwrap_or(usize::MAX)),
        _ => None,
    });
    let slow = faults.iter().find_map(|fault| match fault {
        Fault::Slow { piece, pause } => Some((*piece, *pause)),
        _ => None,
    });
    if cut.is_none() && slow.is_none() {
        return Body::from(bytes);
    }
    let broken = cut.is_some_and(|at| at < bytes.len());
    let sent = bytes.slice(..cut.unwrap_or(bytes.len()).min(bytes.len()));
    let (piece, pause) = slow.unwrap_or((64 * 1024, std::time::Duration::ZERO));
    // One step more than there are pieces: the last says that the connection broke.
    let pieces = stream::unfold((sent, false), move |(mut left, over)| async move {
        if over {
            return None;
        }
        if left.is_empty() {
            // What was sent has to leave before the connection is torn down.
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
            return broken.then(|| {
                (
                    Err(std::io::Error::other("cut, as was asked for")),
                    (left, true),
                )
            });
        }
        tokio::time::sleep(pause).await;
        let next = left.split_to(piece.clamp(1, left.len()));
        Some((Ok(next), (left, false)))
    });
    Body::from_stream(pieces)
}
