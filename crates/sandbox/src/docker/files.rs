//! Files of a container's workspace, and what its supervisor sees: requests over the line for files, one at a time.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::sync::Mutex;

use crate::files::plain;
use crate::frame::{FrameError, FrameReader, encode, encode_bytes};
use crate::witness::{Seen, Witness};
use crate::{SandboxError, WorkspaceFile};

/// A listing of 100,000 files with long names.
const MAX_ANSWER: usize = 64 << 20;
const PART: usize = 32 << 10;

/// Our side of the line.
#[derive(Clone)]
pub struct FileLine(Arc<Mutex<Line>>);

struct Line {
    socket: UnixStream,
    frames: FrameReader,
    /// Whether a request was dropped half-way: what comes next on the line is not an answer to the next one.
    torn: bool,
}

#[derive(Serialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
enum Request<'a> {
    Read { path: &'a [&'a str], max: u64 },
    Write { path: &'a [&'a str] },
    List { max: usize },
    Look,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Answer {
    error: Option<String>,
    files: Vec<(String, u64)>,
    oom_kills: Option<u64>,
    refused_forks: Option<u64>,
    disk_full: Option<bool>,
    memory_peak: Option<u64>,
}

impl FileLine {
    /// Over a socket that the relay serves.
    pub fn new(socket: UnixStream) -> Self {
        Self(Arc::new(Mutex::new(Line {
            socket,
            frames: FrameReader::default(),
            torn: false,
        })))
    }

    /// Reads a regular file of at most `max` bytes.
    pub async fn read(&self, path: &str, max: u64) -> Result<Vec<u8>, SandboxError> {
        let names = plain(path)?;
        let mut line = self.0.lock().await;
        let request = Request::Read { path: &names, max };
        line.ask(&request, None).await?.check(path)?;
        line.torn = true;
        let mut bytes = Vec::new();
        loop {
            let part = line.next(PART).await?;
            if part.is_empty() {
                break;
            }
            bytes.extend_from_slice(&part);
            if bytes.len() as u64 > max.saturating_add(PART as u64) {
                return Err(gone());
            }
        }
        line.torn = false;
        if bytes.len() as u64 > max {
            return Err(SandboxError::File {
                path: path.to_owned(),
                why: format!("it has more than {max} bytes"),
            });
        }
        Ok(bytes)
    }

    /// Writes a regular file, and makes the folders above it.
    pub async fn write(&self, path: &str, bytes: &[u8]) -> Result<(), SandboxError> {
        let names = plain(path)?;
        let request = Request::Write { path: &names };
        let mut line = self.0.lock().await;
        line.ask(&request, Some(bytes)).await?.check(path).map(drop)
    }

    /// The regular files of the workspace.
    pub async fn list(&self, max: usize) -> Result<Vec<WorkspaceFile>, SandboxError> {
        let answer = self
            .0
            .lock()
            .await
            .ask(&Request::List { max }, None)
            .await?;
        let files = answer.check(".")?.files.into_iter().take(max);
        Ok(files
            .map(|(path, bytes)| WorkspaceFile { path, bytes })
            .collect())
    }
}

#[async_trait]
impl Witness for FileLine {
    async fn look(&self) -> Seen {
        let answer = self.0.lock().await.ask(&Request::Look, None).await;
        let answer = answer.unwrap_or_default();
        Seen {
            oom_kills: answer.oom_kills,
            refused_forks: answer.refused_forks,
            disk_full: answer.disk_full,
            memory_peak: answer.memory_peak,
        }
    }
}

impl Line {
    async fn ask(
        &mut self,
        request: &Request<'_>,
        content: Option<&[u8]>,
    ) -> Result<Answer, SandboxError> {
        if std::mem::replace(&mut self.torn, true) {
            return Err(gone());
        }
        let mut sent = self.socket.write_all(&encode(request)).await;
        if let Some(content) = content {
            for part in content.chunks(PART).chain([[].as_slice()]) {
                sent = sent.and(self.socket.write_all(&encode_bytes(part)).await);
            }
        }
        sent.map_err(|_| gone())?;
        let body = self.next(MAX_ANSWER).await?;
        let answer = serde_json::from_slice(&body).map_err(|_| gone())?;
        self.torn = false;
        Ok(answer)
    }

    async fn next(&mut self, max: usize) -> Result<Vec<u8>, SandboxError> {
        let next = self.frames.next(&mut self.socket, max).await;
        next.map_err(|_: FrameError| gone())
    }
}

impl Answer {
    fn check(self, path: &str) -> Result<Self, SandboxError> {
        match self.error {
            Some(why) => Err(SandboxError::File {
                path: path.to_owned(),
                why,
            }),
            None => Ok(self),
        }
    }
}

fn gone() -> SandboxError {
    SandboxError::Open("its container is gone".into())
}
