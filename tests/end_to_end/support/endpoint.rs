//! An OpenAI-compatible endpoint in this process with the teacher as its brain. It writes down every request, marks every
//! reply so that it can be recognised in a ledger, and misbehaves when told to.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Value, json};
use synth_teacher::TeacherConfig;

use super::KEY;

/// What becomes of a request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// The teacher answers.
    None,
    /// The teacher answers after a while.
    Slow(Duration),
    /// A status and a message.
    Status(u16, &'static str),
    /// A reply with this content.
    Says(&'static str),
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The mark of its body, which its reply carries as well.
    pub mark: u64,
    /// The mark of the request that came one turn earlier in the conversation: whoever asks this one has got that one's reply.
    pub before: Option<u64>,
    /// The bearer token.
    pub key: String,
    /// Whether a judge was asked.
    pub is_judge: bool,
    /// Whether the teacher answered it.
    pub answered: bool,
}

type Behaviour = Box<dyn FnMut(usize, &Value) -> Fault + Send>;

struct Shared {
    log: Mutex<Vec<Seen>>,
    behaviour: Mutex<Behaviour>,
}

/// A running endpoint; dropping it stops it.
pub struct Endpoint {
    pub base_url: String,
    shared: Arc<Shared>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Endpoint {
    /// An endpoint that answers all it is asked.
    pub fn start() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let shared = Arc::new(Shared {
            log: Mutex::default(),
            behaviour: Mutex::new(Box::new(|_, _| Fault::None)),
        });
        let router = Router::new()
            .route("/v1/chat/completions", post(chat))
            .route("/v1/models", get(models))
            .layer(DefaultBodyLimit::disable())
            .with_state(Arc::clone(&shared));
        let listener = runtime
            .block_on(tokio::net::TcpListener::bind("127.0.0.1:0"))
            .unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self {
            base_url,
            shared,
            runtime: Some(runtime),
        }
    }

    /// From now on, what becomes of a request is asked of `behaviour`, which is told its number, from 0, and its body.
    pub fn behave(&self, mut behaviour: impl FnMut(usize, &Value) -> Fault + Send + 'static) {
        let mut number = 0;
        *self.shared.behaviour.lock().unwrap() = Box::new(move |_, body| {
            let fault = behaviour(number, body);
            number += 1;
            fault
        });
    }

    /// All requests so far.
    pub fn log(&self) -> Vec<Seen> {
        self.shared.log.lock().unwrap().clone()
    }

    /// How many requests there were so far.
    pub fn requests(&self) -> usize {
        self.shared.log.lock().unwrap().len()
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Whether a request's body asks for a judgement.
pub fn is_judge(body: &Value) -> bool {
    body["messages"].as_array().is_some_and(|messages| {
        messages.len() == 1
            && messages[0]["content"]
                .to_string()
                .contains("# Your judgement")
    })
}

/// 39 bits of a body's hash: what the client believes as a count of cached tokens.
fn mark(body: &Value) -> u64 {
    let hash = blake3::hash(body.to_string().as_bytes());
    let (eight, _) = hash.as_bytes().split_first_chunk::<8>().unwrap();
    (u64::from_le_bytes(*eight) >> 25) | 1
}

fn before(body: &Value) -> Option<u64> {
    let mut body = body.clone();
    let messages = body["messages"].as_array_mut()?;
    let keep = messages
        .iter()
        .rposition(|message| message["role"] == "assistant")?;
    messages.truncate(keep);
    Some(mark(&body))
}

async fn chat(State(shared): State<Arc<Shared>>, headers: HeaderMap, text: String) -> Response {
    let Ok(body) = serde_json::from_str::<Value>(&text) else {
        return (StatusCode::BAD_REQUEST, "no JSON").into_response();
    };
    let place = {
        let mut log = shared.log.lock().unwrap();
        log.push(Seen {
            mark: mark(&body),
            before: before(&body),
            key: bearer(&headers),
            is_judge: is_judge(&body),
            answered: false,
        });
        log.len() - 1
    };
    let fault = shared.behaviour.lock().unwrap()(place, &body);
    let mark = mark(&body);
    let mut said = None;
    match fault {
        Fault::None => {}
        Fault::Slow(pause) => tokio::time::sleep(pause).await,
        Fault::Status(status, message) => {
            let status = StatusCode::from_u16(status).unwrap();
            return (status, json!({"error": {"message": message}}).to_string()).into_response();
        }
        Fault::Says(content) => said = Some(content),
    }
    let mut reply = tokio::task::spawn_blocking(move || {
        synth_teacher::complete(&TeacherConfig::default(), &body)
    })
    .await
    .unwrap();
    if let Some(content) = said {
        reply["choices"][0]["message"] = json!({"role": "assistant", "content": content});
        reply["choices"][0]["finish_reason"] = json!("stop");
    }
    reply["usage"]["prompt_tokens_details"] = json!({ "cached_tokens": mark });
    shared.log.lock().unwrap()[place].answered = true;
    (
        [(header::CONTENT_TYPE, "application/json")],
        reply.to_string(),
    )
        .into_response()
}

async fn models(headers: HeaderMap) -> Response {
    if bearer(&headers) != KEY {
        return StatusCode::UNAUTHORIZED.into_response();
    }
    let body = json!({"object": "list", "data": [{"id": "builtin/teacher", "object": "model"}]});
    (
        [(header::CONTENT_TYPE, "application/json")],
        body.to_string(),
    )
        .into_response()
}

fn bearer(headers: &HeaderMap) -> String {
    headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .unwrap_or_default()
        .to_owned()
}

/// How often each request was sent again although its reply had been used.
pub fn asked_again_after_use(log: &[Seen]) -> usize {
    let mut used_at: HashMap<u64, usize> = HashMap::new();
    for (place, seen) in log.iter().enumerate() {
        if let Some(before) = seen.before {
            used_at.entry(before).or_insert(place);
        }
    }
    log.iter()
        .enumerate()
        .filter(|(place, seen)| used_at.get(&seen.mark).is_some_and(|used| used < place))
        .count()
}
