//! A server that misbehaves as told, a memory in a map, and models that are not patient.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use synth_core::config::{BudgetConfig, ModelConfig, Provider};
use synth_core::{Fingerprint, Memo, MemoError};
use synth_llm::{Budget, ChatModel, ChatRequest, Message, Meter, ModelError, Patience};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

/// What the server does with one request.
#[derive(Clone, Debug)]
pub enum Act {
    /// Answers with a status, headers and a body.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// Answers after a while.
    Late(Duration, Box<Act>),
    /// Promises more bytes than it sends.
    Cut(String),
    /// Sends the head and then a byte now and then, for ever.
    Drip(Duration),
    /// Reads the request and says nothing.
    Silence,
    /// Closes the connection without a word.
    Close,
    /// A success whose body has so many bytes.
    Huge(usize),
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub struct Seen {
    pub path: String,
    pub headers: BTreeMap<String, String>,
    pub body: Value,
}

/// Serves acts in order, the last one for ever; stops when dropped.
pub struct Server {
    pub base_url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    most_at_once: Arc<AtomicUsize>,
    _tasks: JoinSet<()>,
}

type Behaviour = dyn Fn(usize, &Seen) -> Act + Send + Sync;

impl Server {
    pub async fn acts(acts: Vec<Act>) -> Self {
        Self::start(move |number, _| acts[number.min(acts.len() - 1)].clone()).await
    }

    pub async fn start(behaviour: impl Fn(usize, &Seen) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base_url = format!("http://{}/v1", listener.local_addr().unwrap());
        let seen: Arc<Mutex<Vec<Seen>>> = Arc::default();
        let most_at_once: Arc<AtomicUsize> = Arc::default();
        let behaviour: Arc<Behaviour> = Arc::new(behaviour);
        let mut tasks = JoinSet::new();
        let (all_seen, most) = (Arc::clone(&seen), Arc::clone(&most_at_once));
        tasks.spawn(async move {
            let at_once: Arc<AtomicUsize> = Arc::default();
            let mut connections = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (behaviour, all_seen) = (Arc::clone(&behaviour), Arc::clone(&all_seen));
                let (at_once, most) = (Arc::clone(&at_once), Arc::clone(&most));
                connections.spawn(async move {
                    let mut stream = stream;
                    let Some(seen) = read_request(&mut stream).await else {
                        return;
                    };
                    let number = {
                        let mut all_seen = all_seen.lock().unwrap();
                        all_seen.push(seen.clone());
                        all_seen.len() - 1
                    };
                    most.fetch_max(at_once.fetch_add(1, SeqCst) + 1, SeqCst);
                    let act = behaviour(number, &seen);
                    // The count falls before the answer goes out: the client's next request must not meet this one.
                    let act = if let Act::Late(pause, act) = act {
                        tokio::time::sleep(pause).await;
                        *act
                    } else {
                        act
                    };
                    at_once.fetch_sub(1, SeqCst);
                    let _ = perform(&mut stream, act).await;
                });
            }
        });
        Self {
            base_url,
            seen,
            most_at_once,
            _tasks: tasks,
        }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn requests(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    pub fn most_at_once(&self) -> usize {
        self.most_at_once.load(SeqCst)
    }
}

async fn read_request(stream: &mut TcpStream) -> Option<Seen> {
    let mut bytes = Vec::new();
    let head_end = loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_end]).into_owned();
    let mut lines = head.lines();
    let path = lines.next()?.split(' ').nth(1)?.to_owned();
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let length: usize = headers
        .get("content-length")
        .and_then(|length| length.parse().ok())
        .unwrap_or(0);
    while bytes.len() < head_end + length {
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    }
    let body = serde_json::from_slice(&bytes[head_end..head_end + length]).unwrap_or(Value::Null);
    Some(Seen {
        path,
        headers,
        body,
    })
}

async fn perform(stream: &mut TcpStream, act: Act) -> std::io::Result<()> {
    match act {
        Act::Answer(status, headers, body) => {
            let headers: Vec<String> = headers
                .iter()
                .map(|(name, value)| {
                    format!(
                        "{name}: {value}
"
                    )
                })
                .collect();
            let headers = headers.concat();
            let length = body.len();
            let head = format!(
                "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n{headers}\r\n"
            );
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(body.as_bytes()).await?;
        }
        Act::Cut(body) => {
            let length = body.len() + 100;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}");
            stream.write_all(head.as_bytes()).await?;
        }
        Act::Drip(pause) => {
            stream
                .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
                .await?;
            loop {
                tokio::time::sleep(pause).await;
                stream.write_all(b" ").await?;
            }
        }
        Act::Silence => std::future::pending().await,
        Act::Close => {}
        Act::Huge(bytes) => {
            stream
                .write_all(format!("HTTP/1.1 200 OK\r\ncontent-length: {bytes}\r\n\r\n").as_bytes())
                .await?;
            let chunk = vec![b' '; 1 << 16];
            let mut left = bytes;
            while left > 0 {
                let now = left.min(chunk.len());
                stream.write_all(&chunk[..now]).await?;
                left -= now;
            }
        }
        Act::Late(..) => unreachable!("a late act is unwrapped first"),
    }
    stream.shutdown().await
}

/// A good reply.
pub fn says(content: &str) -> Act {
    Act::Answer(200, Vec::new(), reply(content).to_string())
}

/// The body of a good reply: 10 tokens in, 5 out.
pub fn reply(content: &str) -> Value {
    json!({
        "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "test-model",
        "choices": [{ "index": 0, "message": { "role": "assistant", "content": content }, "finish_reason": "stop" }],
        "usage": { "prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15 },
    })
}

/// A bare status with an error in the usual form.
pub fn status(status: u16) -> Act {
    complains(status, "server_error", "something is wrong")
}

/// A status with an error's code and message in the usual form.
pub fn complains(status: u16, code: &str, message: &str) -> Act {
    let body =
        json!({ "error": { "message": message, "type": code, "param": null, "code": code } });
    Act::Answer(status, Vec::new(), body.to_string())
}

/// A success with any body.
#[expect(
    clippy::needless_pass_by_value,
    reason = "tests make the body where they pass it"
)]
pub fn body(body: impl ToString) -> Act {
    Act::Answer(200, Vec::new(), body.to_string())
}

/// A memory that lasts as long as the test.
#[derive(Default)]
pub struct MapMemo {
    values: Mutex<HashMap<Fingerprint, Vec<u8>>>,
    is_broken: bool,
}

impl MapMemo {
    /// One that cannot be written.
    pub fn broken() -> Self {
        Self {
            is_broken: true,
            ..Self::default()
        }
    }
}

#[async_trait]
impl Memo for MapMemo {
    async fn get(&self, key: Fingerprint) -> Result<Option<Vec<u8>>, MemoError> {
        Ok(self.values.lock().unwrap().get(&key).cloned())
    }

    async fn put(&self, key: Fingerprint, value: Vec<u8>) -> Result<(), MemoError> {
        if self.is_broken {
            return Err(MemoError("the disk is full".to_owned()));
        }
        self.values.lock().unwrap().insert(key, value);
        Ok(())
    }
}

/// A model under test, with all that it shares.
pub struct Bench {
    pub config: ModelConfig,
    pub budget: BudgetConfig,
    pub patience: Patience,
    pub memo: Arc<MapMemo>,
    pub meter: Arc<Meter>,
}

impl Bench {
    pub fn new(base_url: &str) -> Self {
        let defaults = synth_core::config::load(&[]).unwrap();
        let config = ModelConfig {
            provider: Provider::Openai,
            model: "test-model".to_owned(),
            base_url: base_url.to_owned(),
            timeout_seconds: 1,
            retries: 2,
            usd_per_million_prompt: 1_000.0,
            usd_per_million_completion: 2_000.0,
            ..defaults.models["teacher"].clone()
        };
        let patience = Patience {
            connect: Duration::from_secs(2),
            silence: Duration::from_millis(500),
            request: Duration::from_millis(1200),
            retries: config.retries,
            first_pause: Duration::from_millis(2),
            max_pause: Duration::from_millis(10),
            max_retry_after: Duration::from_millis(300),
            max_reply_bytes: 1 << 20,
        };
        let budget = BudgetConfig {
            usd: 0.0,
            tokens: 0,
            download_bytes: 0,
        };
        Self {
            config,
            budget,
            patience,
            memo: Arc::default(),
            meter: Arc::default(),
        }
    }

    pub fn open(&self) -> Arc<dyn ChatModel> {
        self.try_open().unwrap()
    }

    pub fn try_open(&self) -> Result<Arc<dyn ChatModel>, ModelError> {
        let budget = Arc::new(Budget::new(&self.budget));
        let memo: Arc<dyn Memo> = self.memo.clone();
        synth_llm::open_with(
            "tested",
            &self.config,
            None,
            memo,
            budget,
            &self.meter,
            self.patience.clone(),
        )
    }
}

/// A short conversation.
pub fn asks(question: &str) -> ChatRequest {
    ChatRequest {
        messages: vec![Message::User(question.to_owned())],
        ..ChatRequest::default()
    }
}
