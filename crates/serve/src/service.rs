//! What all requests of a server share, and the gate that each passes: who asks, how much is in flight, what came of it.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::body::HttpBody;
use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use synth_sandbox::SandboxLimits;
use synth_score::Scorer;
use tokio::sync::Semaphore;

use crate::Api;
use crate::access::{Client, Tokens};
use crate::error::{Code, Refusal};
use crate::metrics::Metrics;
use crate::quota::{ClientLimits, Quotas};
use crate::rooms::Rooms;
use crate::store::{DataFolder, Uploads};
use crate::submissions::Submissions;

/// What anybody may ask for without a token: whether the server lives, and how it is used.
const OPEN_ROUTES: [&str; 5] = ["/", "/healthz", "/health", "/v1/ping", "/openapi.json"];

/// The output of a cell that is answered when nothing else is asked for.
pub const OUTPUT_BYTES: u64 = 64 << 10;

/// The state of a server.
pub struct Service {
    pub api: Api,
    pub rooms: Arc<Rooms>,
    pub metrics: Arc<Metrics>,
    pub quotas: Arc<Quotas>,
    pub tokens: Tokens,
    pub uploads: Uploads,
    pub data: Option<DataFolder>,
    pub submissions: Option<Arc<Submissions>>,
    pub limits: ClientLimits,
    /// The most that a sandbox may be asked for, and what it gets when nothing is asked; of output it then gets less.
    pub most: SandboxLimits,
    /// Time to wait for a slot.
    pub wait: Duration,
    pub slots: usize,
    pub images: Vec<String>,
    pub body_memory: Arc<Semaphore>,
    pub scoring: Arc<Semaphore>,
    pub scorer: Scorer,
}

/// The client's address, as the connection has it.
#[derive(Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// Lets a request in, or says why not; counts it either way.
pub async fn gate(
    State(service): State<Arc<Service>>,
    mut request: Request,
    next: Next,
) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned());
    let peer = request
        .extensions()
        .get::<Peer>()
        .map_or(IpAddr::from([0, 0, 0, 0]), |peer| peer.0.ip());
    let is_open = route
        .as_deref()
        .is_some_and(|route| OPEN_ROUTES.contains(&route));
    let admitted = if is_open {
        Ok(None)
    } else {
        let client = service.tokens.client(request.headers(), peer);
        client.and_then(|client| Ok(Some((service.quotas.request(&client)?, client))))
    };
    let response = match admitted {
        Ok(admitted) => {
            let _claim = admitted.map(|(claim, client)| {
                request.extensions_mut().insert(client);
                claim
            });
            next.run(request).await
        }
        Err(refusal) => service.api.refuse(refusal),
    };
    let status = response.status().as_u16();
    service
        .metrics
        .request(route.as_deref().unwrap_or("other"), status);
    if let Some(Code(code)) = response.extensions().get::<Code>() {
        service.metrics.rejected(code);
    }
    if let Some(bytes) = response.body().size_hint().exact() {
        service.metrics.sent_bytes.inc_by(bytes);
    }
    response
}

impl FromRequestParts<Arc<Service>> for Client {
    type Rejection = Refusal;

    async fn from_request_parts(
        parts: &mut Parts,
        _: &Arc<Service>,
    ) -> Result<Self, Self::Rejection> {
        let client = parts.extensions.get::<Self>().cloned();
        client.ok_or_else(Refusal::unauthorised)
    }
}

/// `/metrics`, the same for every API.
pub async fn metrics(State(service): State<Arc<Service>>) -> impl IntoResponse {
    (
        [(axum::http::header::CONTENT_TYPE, crate::metrics::MEDIA_TYPE)],
        service.metrics.render(),
    )
}

/// A path that is none of the API's.
pub async fn unknown_route(State(service): State<Arc<Service>>) -> Response {
    service.api.refuse(Refusal::new(
        StatusCode::NOT_FOUND,
        "unknown_route",
        "there is no such route; `GET /` shows examples",
    ))
}

/// A method that a path does not have.
pub async fn wrong_method(State(service): State<Arc<Service>>) -> Response {
    service.api.refuse(Refusal::new(
        StatusCode::METHOD_NOT_ALLOWED,
        "wrong_method",
        "this route has other methods; `GET /` shows examples",
    ))
}
