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
            // One fault in passing is nobody's business; a row of them is somebody's.
            if tries >= 3 {
                tracing::warn!(model = %self.name, tries, ?pause, error = %fault.error, "trying again");
            } else {
                tracing::debug!(model = %self.name, tries, ?pause, error = %fault.error, "trying again");
            }
            self.counters.retry();
            tokio::time::sleep(pause).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    use synth_core::Usage;
    use tokio::time::Instant;

    use super::*;

    /// Fails so many times, asking to wait for so long, and then answers.
    struct Scripted {
        faults: u32,
        retry_after: Option<Duration>,
        tries: Arc<AtomicU32>,
    }

    #[async_trait]
    impl Provider for Scripted {
        async fn attempt(&self, _: Call<'_>) -> Result<Answer, Fault> {
            if self.tries.fetch_add(1, SeqCst) >= self.faults {
                return Ok(Answer::Embed {
                    vectors: vec![vec![1.0]],
                    usage: Usage::default(),
                });
            }
            let error = ModelError::Unavailable {
                model: "m".to_owned(),
                status: 429,
                message: String::new(),
            };
            Err(Fault {
                is_overload: true,
                retry_after: self.retry_after,
                ..Fault::transient(error)
            })
        }
    }

    /// What comes of such an endpoint with the default bounds, after how many tries and how long.
    async fn outcome(
        faults: u32,
        retry_after: Option<Duration>,
    ) -> (Result<Answer, ModelError>, u32, Duration) {
        let config = synth_core::config::load(&[]).expect("the defaults are a configuration");
        let config = &config.models["teacher"];
        let tries = Arc::new(AtomicU32::new(0));
        let provider = Scripted {
            faults,
            retry_after,
            tries: Arc::clone(&tries),
        };
        let limiter = Arc::new(Limiter::new(config));
        let retrying = Retrying::new(
            "m",
            Patience::of(config),
            limiter,
            Arc::default(),
            Box::new(provider),
        );
        let start = Instant::now();
        let result = retrying.answer(Call::Embed(&["text".to_owned()])).await;
        (result, tries.load(SeqCst), start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_fault_that_passes_in_time_is_not_seen() {
        let (result, tries, _) = outcome(6, None).await;
        assert!(result.is_ok());
        assert_eq!(tries, 7);
    }

    #[tokio::test(start_paused = true)]
    async fn a_fault_that_does_not_pass_is_given_up_within_minutes() {
        let (result, tries, waited) = outcome(u32::MAX, None).await;
        assert!(matches!(
            result,
            Err(ModelError::Exhausted { tries: 7, .. })
        ));
        assert_eq!(tries, 7);
        assert!(waited <= Duration::from_secs(1 + 2 + 4 + 8 + 16 + 32));
    }

    #[tokio::test(start_paused = true)]
    async fn every_pause_is_as_long_as_the_endpoint_asks() {
        let (result, _, waited) = outcome(3, Some(Duration::from_secs(100))).await;
        assert!(result.is_ok());
        assert!(
            waited >= Duration::from_secs(300) && waited < Duration::from_secs(301),
            "{waited:?}"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_asks_for_a_day_is_given_up_sooner() {
        let (result, _, waited) = outcome(u32::MAX, Some(Duration::from_secs(86_400))).await;
        assert!(result.is_err());
        assert!(waited < Duration::from_secs(6 * 300 + 1), "{waited:?}");
    }
}
