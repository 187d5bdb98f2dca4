//! A Kaggle of a test's own: each request is recorded and answered by a closure, on a loopback port.
#![expect(
    clippy::disallowed_methods,
    reason = "a server's task ends with its test's runtime"
)]

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use synth_kaggle::{Credentials, Kaggle, KaggleOptions, Patience};

/// One request as it came in.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub query: String,
    pub headers: HeaderMap,
    pub body: serde_json::Value,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The RPC method or the REST path.
    pub fn call(&self) -> &str {
        self.path
            .rsplit_once("Service/")
            .map_or(self.path.as_str(), |(_, method)| method)
    }
}

/// A server that is running.
pub struct Server {
    pub address: SocketAddr,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Server {
    /// Answers the n-th request, counted from 0, with what the closure says.
    pub async fn start(answer: impl Fn(usize, &Seen) -> Response + Send + Sync + 'static) -> Self {
        let seen = Arc::new(Mutex::new(Vec::new()));
        let requests = Arc::clone(&seen);
        let answer = Arc::new(answer);
        let router = Router::new().fallback(move |request: Request| {
            let (requests, answer) = (Arc::clone(&requests), Arc::clone(&answer));
            async move {
                let (parts, body) = request.into_parts();
                let body = to_bytes(body, 1 << 20).await.unwrap_or_default();
                let request = Seen {
                    method: parts.method.to_string(),
                    path: parts.uri.path().to_owned(),
                    query: parts.uri.query().unwrap_or_default().to_owned(),
                    headers: parts.headers,
                    body: serde_json::from_slice(&body).unwrap_or_default(),
                };
                let index = {
                    let mut requests = requests.lock().unwrap();
                    requests.push(request.clone());
                    requests.len() - 1
                };
                answer(index, &request)
            }
        });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, seen }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }
}

pub const TOKEN: &str = "KGAT_0123456789abcdef";

/// Options for such a server: short pauses, no rate.
pub fn options(server: &Server) -> KaggleOptions {
    options_at(&server.url(""))
}

/// [`options`] for a server at this address.
pub fn options_at(host: &str) -> KaggleOptions {
    let config = synth_core::config::load(&[]).unwrap();
    let credentials = Credentials::token(TOKEN, "a test").unwrap();
    let patience = Patience {
        tries: 6,
        total: Duration::from_secs(20),
        first_pause: Duration::from_millis(5),
        max_pause: Duration::from_millis(40),
    };
    KaggleOptions {
        host: Some(host.to_owned()),
        requests_per_minute: 0,
        patience,
        download_patience: patience,
        silence: Duration::from_secs(5),
        min_free_bytes: 0,
        ..KaggleOptions::of(&config.kaggle, credentials)
    }
}

pub fn kaggle(server: &Server) -> Kaggle {
    Kaggle::open(options(server)).unwrap()
}

pub fn json(text: &str) -> Response {
    ([("content-type", "application/json")], text.to_owned()).into_response()
}

pub fn status(status: u16, text: &str) -> Response {
    (StatusCode::from_u16(status).unwrap(), text.to_owned()).into_response()
}

/// A body with these headers.
pub fn answer(status: u16, headers: &[(&str, &str)], body: impl Into<Body>) -> Response {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body.into()).unwrap()
}
