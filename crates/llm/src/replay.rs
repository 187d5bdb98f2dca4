//! Answers from a file of recorded exchanges, without an endpoint and without cost.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use synth_core::config::ModelConfig;
use synth_core::{Fingerprint, Usage};

use crate::budget::Prices;
use crate::call::{Answer, Call, Keys, Layer};
use crate::meter::Counters;
use crate::recording::Exchange;
use crate::{ChatReply, ModelError};

/// The layer at the bottom of a replayed model. Its file is its memory, so there is none above it.
pub(crate) struct Replay {
    name: String,
    path: PathBuf,
    keys: Keys,
    counters: Arc<Counters>,
    prices: Prices,
    chats: HashMap<Fingerprint, ChatReply>,
    embeddings: HashMap<Fingerprint, Vec<f32>>,
}

impl Replay {
    /// Reads the file, all of it.
    pub(crate) fn open(
        name: &str,
        config: &ModelConfig,
        keys: Keys,
        counters: Arc<Counters>,
    ) -> Result<Self, ModelError> {
        let path = config.exchanges.clone();
        let refuse = |message: String| ModelError::Configuration {
            model: name.to_owned(),
            message,
        };
        if path.as_os_str().is_empty() {
            return Err(refuse(
                "it replays no file; set `exchanges` to one that was written by `record`"
                    .to_owned(),
            ));
        }
        let text = std::fs::read_to_string(&path).map_err(|error| {
            refuse(format!(
                "its exchanges `{}` cannot be read: {error}; correct `exchanges`",
                path.display()
            ))
        })?;
        let (mut chats, mut embeddings) = (HashMap::new(), HashMap::new());
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        for (number, line) in text
            .lines()
            .enumerate()
            .filter(|(_, line)| !line.trim().is_empty())
        {
            match serde_json::from_str(line) {
                Ok(Exchange::Chat { key, reply, .. }) => {
                    chats.insert(key, *reply);
                }
                Ok(Exchange::Embed { key, embedding, .. }) => {
                    embeddings.insert(key, embedding);
                }
                // The last line may have been torn by a crash.
                Err(_) if text[whole..].starts_with(line) => {}
                Err(error) => {
                    let line = number + 1;
                    return Err(refuse(format!(
                        "line {line} of its exchanges `{}` is no exchange: {error}; record it again",
                        path.display()
                    )));
                }
            }
        }
        Ok(Self {
            name: name.to_owned(),
            path,
            keys,
            counters,
            prices: Prices::of(config),
            chats,
            embeddings,
        })
    }

    /// How many exchanges there are.
    pub(crate) fn len(&self) -> usize {
        self.chats.len() + self.embeddings.len()
    }

    fn missing(&self, key: Fingerprint) -> ModelError {
        ModelError::Replay {
            model: self.name.clone(),
            path: self.path.clone(),
            key,
        }
    }
}

#[async_trait]
impl Layer for Replay {
    async fn answer(&self, call: Call<'_>) -> Result<Answer, ModelError> {
        match call {
            Call::Chat(request) => {
                let key = self.keys.chat(request);
                let mut reply = self
                    .chats
                    .get(&key)
                    .ok_or_else(|| self.missing(key))?
                    .clone();
                self.prices.put_on(&mut reply.usage);
                self.counters.cached_reply();
                Ok(Answer::Chat(ChatReply {
                    cached: true,
                    ..reply
                }))
            }
            Call::Embed(texts) => {
                let mut vectors = Vec::with_capacity(texts.len());
                for text in texts {
                    let key = self.keys.text(text);
                    vectors.push(
                        self.embeddings
                            .get(&key)
                            .ok_or_else(|| self.missing(key))?
                            .clone(),
                    );
                    self.counters.cached_reply();
                }
                Ok(Answer::Embed {
                    vectors,
                    usage: Usage::default(),
                })
            }
        }
    }
}
