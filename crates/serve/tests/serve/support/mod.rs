//! A server over the real local backend, on a free port of loopback, and what tests ask it.

pub mod exchanges;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::Value;
use synth_core::config::{Preload, SandboxConfig};
use synth_sandbox::{SandboxLimits, open_backend};
use synth_score::Scorer;
use synth_serve::{Api, ClientLimits, Leases, Options, Server, Tokens};
use tempfile::TempDir;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A server, stopped by [`Place::stop`].
pub struct Place {
    pub address: SocketAddr,
    pub client: Client,
    pub folder: TempDir,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

/// As `synth serve` without options, with slots for a test and little patience.
pub fn options(api: Api, folder: &TempDir) -> Options {
    Options {
        api,
        slots: 3,
        tokens: Tokens::default(),
        leases: Leases {
            idle: Duration::from_secs(120),
            lifetime: Duration::from_secs(600),
        },
        wait: Duration::from_secs(20),
        drain: Duration::from_secs(20),
        client: ClientLimits {
            sandboxes: 3,
            requests: 64,
            body_bytes: 8 << 20,
            upload_bytes: 1 << 20,
        },
        most: SandboxLimits {
            cell: Duration::from_secs(60),
            output_bytes: 1 << 20,
            ..SandboxLimits::default()
        },
        data: None,
        submissions: None,
        images: Vec::new(),
        scratch: folder.path().join("tmp"),
        scorer: Scorer::Here,
    }
}

impl Place {
    pub async fn start(api: Api) -> Self {
        Self::with(api, |_| {}).await
    }

    pub async fn with(api: Api, change: impl FnOnce(&mut Options)) -> Self {
        let folder = TempDir::new().unwrap();
        let mut options = options(api, &folder);
        change(&mut options);
        let config = SandboxConfig {
            cache: std::env::var_os("SYNTH__SANDBOX__CACHE")
                .map(Into::into)
                .unwrap_or_default(),
            preload: Preload::Pandas,
            ..synth_core::config::load(&[]).unwrap().sandbox
        };
        let say = |text: &str| println!("{text}");
        let sandboxes = open_backend(&config, options.slots, &options.scratch, &say)
            .await
            .unwrap();
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        let server = Server::bind(loopback, options, Arc::clone(&sandboxes))
            .await
            .unwrap();
        let stop = CancellationToken::new();
        let address = server.address;
        let mut tasks = JoinSet::new();
        tasks.spawn(server.run(stop.clone()));
        Self {
            address,
            client: Client::builder().no_proxy().build().unwrap(),
            folder,
            tasks,
            stop,
        }
    }

    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    pub async fn get(&self, path: &str) -> Response {
        self.request(Method::GET, path).send().await.unwrap()
    }

    pub async fn post(&self, path: &str, body: &Value) -> Response {
        let request = self.request(Method::POST, path);
        // Nothing is an empty body.
        let request = if body.is_null() {
            request
        } else {
            request.json(body)
        };
        request.send().await.unwrap()
    }

    pub async fn delete(&self, path: &str) -> Response {
        self.request(Method::DELETE, path).send().await.unwrap()
    }

    /// Opens a sandbox of the native API and gives its path.
    pub async fn open(&self) -> String {
        let opened = self.post("/v1/sandboxes", &Value::Null).await;
        assert_eq!(opened.status(), 201);
        let opened: Value = opened.json().await.unwrap();
        format!("/v1/sandboxes/{}", opened["id"].as_str().unwrap())
    }

    /// Runs a cell in a sandbox of the native API.
    pub async fn execute(&self, sandbox: &str, code: &str) -> Value {
        let body = serde_json::json!({ "code": code });
        let answer = self.post(&format!("{sandbox}/execute"), &body).await;
        let status = answer.status();
        let answer: Value = answer.json().await.unwrap();
        assert_eq!(status, 200, "{answer}");
        answer
    }

    /// The value of a line of the metrics.
    pub async fn metric(&self, name: &str) -> f64 {
        let text = self.get("/metrics").await.text().await.unwrap();
        let line = text
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    pub async fn wait_until(&self, what: &str, condition: impl AsyncFn(&Self) -> bool) {
        let begun = Instant::now();
        while !condition(self).await {
            assert!(begun.elapsed() < Duration::from_secs(30), "never: {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Tells the server to stop, without waiting.
    pub fn begin_to_stop(&self) {
        self.stop.cancel();
    }

    /// Stops the server; nothing of it is left on disk.
    pub async fn stop(mut self) {
        self.stop.cancel();
        self.tasks.join_next().await.unwrap().unwrap();
        let left: Vec<_> = std::fs::read_dir(self.folder.path().join("tmp"))
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert!(left.is_empty(), "{left:?}");
    }
}
