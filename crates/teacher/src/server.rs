//! The HTTP surface: an OpenAI-compatible endpoint on loopback that ends with its `Server`.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use crate::{MODEL, TeacherConfig, complete};

/// Conversations carry their whole transcript in every request.
const MAX_BODY_BYTES: usize = 64 << 20;

/// A running teacher. Dropping it stops it.
#[derive(Debug)]
pub struct Server {
    /// Where it listens, ready for an `OpenAI` client: `http://127.0.0.1:PORT/v1`.
    pub base_url: String,
    stop: Option<oneshot::Sender<()>>,
    tasks: JoinSet<()>,
}

impl Server {
    /// Lets requests in flight finish, then stops.
    pub async fn shutdown(mut self) {
        if let Some(stop) = self.stop.take() {
            // The receiver is gone only when the server has ended already.
            stop.send(()).ok();
        }
        while self.tasks.join_next().await.is_some() {}
    }
}

/// Serves the teacher, on a free port of loopback unless an address is given.
pub async fn serve(config: TeacherConfig, listen: Option<SocketAddr>) -> std::io::Result<Server> {
    let listener =
        TcpListener::bind(listen.unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 0).into())).await?;
    let base_url = format!("http://{}/v1", listener.local_addr()?);
    let router = Router::new()
        .route("/v1/chat/completions", post(chat))
        .route("/v1/models", get(models))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(Arc::new(config));
    let (stop, stopped) = oneshot::channel();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let ended = async {
            // A dropped sender means the same as a message: the server is no longer wanted.
            stopped.await.ok();
        };
        // Accepting goes on for as long as the process has sockets; what ends it otherwise, the clients see.
        axum::serve(listener, router)
            .with_graceful_shutdown(ended)
            .await
            .ok();
    });
    Ok(Server {
        base_url,
        stop: Some(stop),
        tasks,
    })
}

async fn chat(State(config): State<Arc<TeacherConfig>>, body: String) -> Response {
    let Ok(request) = serde_json::from_str::<Value>(&body) else {
        return refuse("the body is not JSON");
    };
    if !request["messages"].is_array() {
        return refuse("`messages` is missing or no list");
    }
    if request["stream"] == true {
        return refuse("streaming is not offered; leave `stream` out");
    }
    let answered = tokio::task::spawn_blocking(move || complete(&config, &request)).await;
    match answered {
        Ok(response) => Json(response).into_response(),
        Err(error) => {
            let body = json!({"error": {"message": error.to_string(), "type": "server_error", "param": null, "code": null}});
            (StatusCode::INTERNAL_SERVER_ERROR, Json(body)).into_response()
        }
    }
}

async fn models() -> Json<Value> {
    Json(
        json!({"object": "list", "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "synth"}]}),
    )
}

fn refuse(message: &str) -> Response {
    let body = json!({"error": {"message": message, "type": "invalid_request_error", "param": null, "code": null}});
    (StatusCode::BAD_REQUEST, Json(body)).into_response()
}
