//! A file of exchanges, one JSON object a line: written by the layer here, answered from by `replay`.
//!
//! The layer is the outermost, so that a recording is whole even where the memory answered. An exchange is written once.

use std::collections::HashSet;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use synth_core::Fingerprint;

use crate::call::{Answer, Call, Keys, Layer};
use crate::{ChatReply, ChatRequest, ModelError};

/// What was asked and answered. The request is there for people; the key is what finds it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Exchange {
    Chat {
        key: Fingerprint,
        model: String,
        request: Box<ChatRequest>,
        reply: Box<ChatReply>,
    },
    Embed {
        key: Fingerprint,
        model: String,
        text: String,
        embedding: Vec<f32>,
    },
}

impl Exchange {
    pub(crate) fn key(&self) -> Fingerprint {
        match self {
            Self::Chat { key, .. } | Self::Embed { key, .. } => *key,
        }
    }
}

/// The layer that writes down what passes.
pub(crate) struct Recording {
    name: String,
    model: String,
    keys: Keys,
    path: PathBuf,
    file: Mutex<Recorded>,
    inner: Box<dyn Layer>,
}

struct Recorded {
    file: File,
    keys: HashSet<Fingerprint>,
}

impl Recording {
    /// Opens or creates the file, and goes on after its last whole line.
    pub(crate) fn open(
        name: &str,
        model: &str,
        keys: Keys,
        path: &Path,
        inner: Box<dyn Layer>,
    ) -> Result<Self, ModelError> {
        let recorded = Recorded::open(path).map_err(|error| ModelError::Recording {
            model: name.to_owned(),
            path: path.to_owned(),
            message: error.to_string(),
        })?;
        let file = Mutex::new(recorded);
        Ok(Self {
            name: name.to_owned(),
            model: model.to_owned(),
            keys,
            path: path.to_owned(),
            file,
            inner,
        })
    }

    fn write(&self, exchange: &Exchange) -> Result<(), ModelError> {
        let mut line = serde_json::to_vec(exchange)
            .expect("an exchange serialises to JSON: its keys are strings");
        line.push(b'\n');
        let mut recorded = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if !recorded.keys.insert(exchange.key()) {
            return Ok(());
        }
        // A few kilobytes into the page cache: not worth another thread.
        recorded
            .file
            .write_all(&line)
            .map_err(|error| ModelError::Recording {
                model: self.name.clone(),
                path: self.path.clone(),
                message: error.to_string(),
            })
    }
}

#[async_trait]
impl Layer for Recording {
    async fn answer(&self, call: Call<'_>) -> Result<Answer, ModelError> {
        let answer = self.inner.answer(call).await?;
        match (call, &answer) {
            (Call::Chat(request), Answer::Chat(reply)) => self.write(&Exchange::Chat {
                key: self.keys.chat(request),
                model: self.model.clone(),
                request: Box::new(request.clone()),
                reply: Box::new(reply.clone()),
            })?,
            (Call::Embed(texts), Answer::Embed { vectors, .. }) => {
                for (text, vector) in texts.iter().zip(vectors) {
                    self.write(&Exchange::Embed {
                        key: self.keys.text(text),
                        model: self.model.clone(),
                        text: text.clone(),
                        embedding: vector.clone(),
                    })?;
                }
            }
            _ => unreachable!("a call is answered in kind"),
        }
        Ok(answer)
    }
}

impl Recorded {
    fn open(path: &Path) -> std::io::Result<Self> {
        if let Some(folder) = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty())
        {
            std::fs::create_dir_all(folder)?;
        }
        let mut file = OpenOptions::new()
            .create(true)
            .read(true)
            .append(true)
            .open(path)?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        // A crash may have torn the last line.
        let whole = bytes
            .iter()
            .rposition(|byte| *byte == b'\n')
            .map_or(0, |end| end + 1);
        if whole < bytes.len() {
            file.set_len(whole as u64)?;
        }
        let lines = bytes[..whole].split(|byte| *byte == b'\n');
        let keys = lines
            .filter_map(|line| serde_json::from_slice::<Exchange>(line).ok())
            .map(|exchange| exchange.key())
            .collect();
        Ok(Self { file, keys })
    }
}
