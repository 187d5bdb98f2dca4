//! Answers from the memory what was paid for before, and lets identical calls in flight share one.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use synth_core::{Fingerprint, Memo, Usage};
use tokio::sync::OnceCell;

use crate::budget::Prices;
use crate::call::{Answer, Call, Keys, Layer};
use crate::meter::Counters;
use crate::{ChatReply, ChatRequest, ModelError};

/// Texts of one embedding request, at most.
const MAX_TEXTS: usize = 64;

/// The layer that remembers.
pub(crate) struct Cached {
    keys: Keys,
    memo: Arc<dyn Memo>,
    counters: Arc<Counters>,
    prices: Prices,
    chats: Flights<ChatReply>,
    embeddings: Flights<Vec<Vec<f32>>>,
    inner: Box<dyn Layer>,
}

impl Cached {
    pub(crate) fn new(
        keys: Keys,
        memo: Arc<dyn Memo>,
        counters: Arc<Counters>,
        prices: Prices,
        inner: Box<dyn Layer>,
    ) -> Self {
        Self {
            keys,
            memo,
            counters,
            prices,
            chats: Flights::default(),
            embeddings: Flights::default(),
            inner,
        }
    }

    async fn chat(&self, request: &ChatRequest) -> Result<ChatReply, ModelError> {
        let key = self.keys.chat(request);
        let (result, is_shared) = self.chats.share(key, self.chat_once(key, request)).await;
        let mut reply = result?;
        reply.cached |= is_shared;
        if reply.cached {
            self.counters.cached_reply();
        }
        Ok(reply)
    }

    async fn chat_once(
        &self,
        key: Fingerprint,
        request: &ChatRequest,
    ) -> Result<ChatReply, ModelError> {
        // A value that does not read as a reply is one of another version: the call is made anew.
        if let Some(bytes) = self.memo.get(key).await?
            && let Ok(mut reply) = serde_json::from_slice::<ChatReply>(&bytes)
        {
            // The price is computed again: JSON may move the last bit of a float, and rows must not differ by it.
            self.prices.put_on(&mut reply.usage);
            return Ok(ChatReply {
                cached: true,
                ..reply
            });
        }
        let Answer::Chat(reply) = self.inner.answer(Call::Chat(request)).await? else {
            unreachable!("a chat is answered by a chat");
        };
        let bytes =
            serde_json::to_vec(&reply).expect("a reply serialises to JSON: its keys are strings");
        self.memo.put(key, bytes).await?;
        Ok(reply)
    }

    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, ModelError> {
        let mut missing = Vec::new();
        let mut asked = HashSet::new();
        let mut vectors: HashMap<String, Vec<f32>> = HashMap::new();
        for text in texts.iter().filter(|text| asked.insert(text.as_str())) {
            match self
                .memo
                .get(self.keys.text(text))
                .await?
                .and_then(|bytes| from_bytes(&bytes))
            {
                Some(vector) => {
                    self.counters.cached_reply();
                    vectors.insert(text.clone(), vector);
                }
                None => missing.push(text.clone()),
            }
        }
        for chunk in missing.chunks(MAX_TEXTS) {
            let key = self.keys.texts(chunk);
            let (result, is_shared) = self.embeddings.share(key, self.embed_once(chunk)).await;
            if is_shared && result.is_ok() {
                self.counters.cached_reply();
            }
            for (text, vector) in chunk.iter().zip(result?) {
                vectors.insert(text.clone(), vector);
            }
        }
        Ok(texts
            .iter()
            .map(|text| vectors.get(text.as_str()).cloned().unwrap_or_default())
            .collect())
    }

    async fn embed_once(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, ModelError> {
        let Answer::Embed { vectors, .. } = self.inner.answer(Call::Embed(texts)).await? else {
            unreachable!("an embedding is answered by an embedding");
        };
        for (text, vector) in texts.iter().zip(&vectors) {
            self.memo
                .put(self.keys.text(text), to_bytes(vector))
                .await?;
        }
        Ok(vectors)
    }
}

#[async_trait]
impl Layer for Cached {
    async fn answer(&self, call: Call<'_>) -> Result<Answer, ModelError> {
        match call {
            Call::Chat(request) => self.chat(request).await.map(Answer::Chat),
            Call::Embed(texts) => {
                let vectors = self.embed(texts).await?;
                // What it cost was counted below this layer, call by call.
                Ok(Answer::Embed {
                    vectors,
                    usage: Usage::default(),
                })
            }
        }
    }
}

/// Calls in flight by key: the first makes the call, the others wait for its result, good or bad. When the first is
/// dropped before its end, one of the others makes the call.
struct Flights<T> {
    flights: Mutex<HashMap<Fingerprint, Flight<T>>>,
}

type Flight<T> = Arc<OnceCell<Result<T, ModelError>>>;

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self {
            flights: Mutex::default(),
        }
    }
}

impl<T: Clone> Flights<T> {
    /// The result of `call`, or of the same call made by another; and whether it was another's.
    async fn share(
        &self,
        key: Fingerprint,
        call: impl Future<Output = Result<T, ModelError>>,
    ) -> (Result<T, ModelError>, bool) {
        let boarded = self.board(key);
        let mut is_shared = true;
        let made = boarded.flight.get_or_init(|| async {
            is_shared = false;
            call.await
        });
        let result = made.await.clone();
        (result, is_shared)
    }

    fn board(&self, key: Fingerprint) -> Boarded<'_, T> {
        let flight = Arc::clone(self.flights().entry(key).or_default());
        Boarded {
            flights: self,
            key,
            flight,
        }
    }

    fn flights(&self) -> MutexGuard<'_, HashMap<Fingerprint, Flight<T>>> {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A seat in a flight; the last to leave removes the flight.
struct Boarded<'a, T: Clone> {
    flights: &'a Flights<T>,
    key: Fingerprint,
    flight: Flight<T>,
}

impl<T: Clone> Drop for Boarded<'_, T> {
    fn drop(&mut self) {
        let mut flights = self.flights.flights();
        // A flight that has landed is closed to newcomers: they find the result in the memory, or try a failure anew.
        let is_over = self.flight.initialized() || Arc::strong_count(&self.flight) <= 2;
        if is_over
            && flights
                .get(&self.key)
                .is_some_and(|flight| Arc::ptr_eq(flight, &self.flight))
        {
            flights.remove(&self.key);
        }
    }
}

/// A vector as the memory keeps it: little-endian, four bytes a number.
fn to_bytes(vector: &[f32]) -> Vec<u8> {
    vector
        .iter()
        .flat_map(|number| number.to_le_bytes())
        .collect()
}

fn from_bytes(bytes: &[u8]) -> Option<Vec<f32>> {
    let (numbers, rest) = bytes.as_chunks::<4>();
    (!numbers.is_empty() && rest.is_empty()).then(|| {
        numbers
            .iter()
            .map(|number| f32::from_le_bytes(*number))
            .collect()
    })
}
