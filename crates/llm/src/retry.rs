//! Sends again what met a passing fault: as late as the endpoint asks, with random pauses, and not for ever.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::ModelError;
use crate::call::{Answer, Call, Layer};
use crate::limiter::Limiter;
use crate::meter::Counters;
use crate::patience::Patience;

/// Something that sends one request and tells faults apart. The real one is `openai`; tests have a scripted one.
#[async_trait]
pub(crate) trait Provider: Send + Sync {
    async fn attempt(&self, call: Call<'_>) -> Result<Answer, Fault>;
}

/// Why one request failed, and what follows from it.
#[derive(Debug, thiserror::Error)]
#[error("{error}")]
pub(crate) struct Fault {
    pub(crate) error: ModelError,
    /// Whether the same request may fare better in a while.
    pub(crate) is_transient: bool,
    /// Whether the endpoint has too much to do.
    pub(crate) is_overload: bool,
    /// How long it asks to wait.
    pub(crate) retry_after: Option<Duration>,
}

impl Fault {
    pub(crate) fn permanent(error: ModelError) -> Self {
        Self {
            error,
            is_transient: false,
            is_overload: false,
            retry_after: None,
        }
    }

    pub(crate) fn transient(error: ModelError) -> Self {
        Self {
            is_transient: true,
            ..Self::permanent(error)
        }
    }
}

/// The layer that tries again. It paces each try, and tells the limiter how it went.
pub(crate) struct Retrying {
    name: String,
    patience: Patience,
    limiter: Arc<Limiter>,
    counters: Arc<Counters>,
    provider: Box<dyn Provider>,
}

impl Retrying {
    pub(crate) fn new(
        name: &str,
        patience: Patience,
        limiter: Arc<Limiter>,
        counters: Arc<Counters>,
        provider: Box<dyn Provider>,
    ) -> Self {
        Self {
            name: name.to_owned(),
            patience,
            limiter,
            counters,
            provider,
        }
    }
}

#[async_trait]
impl Layer for Retrying {
    async fn answer(&self, call: Call<'_>) -> Result<Answer, ModelError> {
        let tokens = call.estimated_tokens();
        let mut tries = 0;
        loop {
            let ticket = self.limiter.pace(tokens).await;
            tries += 1;
            let fault = match self.provider.attempt(call).await {
                Ok(answer) => {
                    let usage = answer.usage();
                    self.limiter
                        .succeeded(ticket, usage.prompt_tokens + usage.completion_tokens);
                    return Ok(answer);
                }
                Err(fault) => fault,
            };
            if fault.is_overload {
                self.limiter.overloaded(
                    ticket,
                    fault
                        .retry_after
                        .map(|pause| pause.min(self.patience.max_retry_after)),
                );
            }
            if !fault.is_transient {
                return Err(fault.error);
            }
            if tries > self.patience.retries {
                return Err(ModelError::Exhausted {
                    model: self.name.clone(),
                    tries,
                    last: Box::new(fault.error),
                });
            }
            let pause = self.patience.pause(tries, fault.retry_after);
            tracing::debug!(model = %self.name, tries, ?pause, error = %fault.error, "trying again");
            self.counters.retry();
            tokio::time::sleep(pause).await;
        }
    }
}
