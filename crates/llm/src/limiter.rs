//! Keeps a model's endpoint unhurried: calls in flight, which adapt to overload, and requests and tokens a minute.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use synth_core::config::ModelConfig;
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

use crate::ModelError;
use crate::call::{Answer, Call, Layer};

/// The layer that lets only so many calls through at once.
pub(crate) struct Limited {
    limiter: Arc<Limiter>,
    inner: Box<dyn Layer>,
}

impl Limited {
    pub(crate) fn new(limiter: Arc<Limiter>, inner: Box<dyn Layer>) -> Self {
        Self { limiter, inner }
    }
}

#[async_trait]
impl Layer for Limited {
    async fn answer(&self, call: Call<'_>) -> Result<Answer, ModelError> {
        let _place = self.limiter.enter().await;
        self.inner.answer(call).await
    }
}

/// The limits of one model. A call holds a [`Place`] for as long as it lives, pauses included; each of its requests asks
/// for a [`Ticket`].
pub(crate) struct Limiter {
    max_concurrency: usize,
    places: Semaphore,
    state: Mutex<State>,
}

struct State {
    /// Calls in flight that are let through now: halved by overload, one more after as many successes as there are places.
    concurrency: usize,
    /// Places that are gone, but still taken by calls in flight.
    owed: usize,
    /// Successes since the last change.
    successes: usize,
    /// Rises with each halving, so that requests which were sent before it do not halve again.
    epoch: u64,
    /// Nobody sends before this: an endpoint asked for it.
    paused_until: Option<Instant>,
    requests: Option<Bucket>,
    tokens: Option<Bucket>,
}

/// A place among the calls in flight.
pub(crate) struct Place<'a> {
    limiter: &'a Limiter,
    permit: Option<SemaphorePermit<'a>>,
}

/// The right to send one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ticket {
    epoch: u64,
    tokens: u64,
}

impl Limiter {
    pub(crate) fn new(config: &ModelConfig) -> Self {
        let concurrency = config.concurrency.clamp(1, Semaphore::MAX_PERMITS);
        // A second's worth of requests may go out at once; tokens come in lumps, so ten seconds' worth of those.
        let bucket = |per_minute: u64, burst_seconds: f64| (per_minute > 0).then(|| Bucket::new(per_minute, burst_seconds));
        Self {
            max_concurrency: concurrency,
            places: Semaphore::new(concurrency),
            state: Mutex::new(State {
                concurrency,
                owed: 0,
                successes: 0,
                epoch: 0,
                paused_until: None,
                requests: bucket(config.requests_per_minute, 1.0),
                tokens: bucket(config.tokens_per_minute, 10.0),
            }),
        }
    }

    /// Waits for a place; those who came first are let in first.
    pub(crate) async fn enter(&self) -> Place<'_> {
        // The semaphore is never closed; were it, the call would go ahead without a place.
        Place { limiter: self, permit: self.places.acquire().await.ok() }
    }

    /// Waits until a request of about so many tokens may be sent.
    pub(crate) async fn pace(&self, tokens: u64) -> Ticket {
        let (ready, ticket) = {
            let mut state = self.state();
            let now = Instant::now();
            let mut ready = now;
            if let Some(requests) = &mut state.requests {
                ready = ready.max(requests.take(1, now));
            }
            if let Some(bucket) = &mut state.tokens {
                ready = ready.max(bucket.take(tokens, now));
            }
            (ready, Ticket { epoch: state.epoch, tokens })
        };
        sleep_until(ready).await;
        // Another request may have been told to wait while this one slept, and again while it waits for that.
        loop {
            let paused_until = self.state().paused_until;
            match paused_until {
                Some(until) if until > Instant::now() => sleep_until(until).await,
                _ => return ticket,
            }
        }
    }

    /// A request was answered, with so many tokens in and out.
    pub(crate) fn succeeded(&self, ticket: Ticket, tokens: u64) {
        let mut state = self.state();
        if let Some(bucket) = &mut state.tokens {
            bucket.settle(ticket.tokens, tokens);
        }
        state.successes += 1;
        if state.successes >= state.concurrency && state.concurrency < self.max_concurrency {
            state.successes = 0;
            state.concurrency += 1;
            if state.owed > 0 {
                state.owed -= 1;
            } else {
                self.places.add_permits(1);
            }
        }
    }

    /// A request met overload; `pause` is how long the endpoint asks everyone to wait.
    pub(crate) fn overloaded(&self, ticket: Ticket, pause: Option<Duration>) {
        let mut state = self.state();
        if let Some(pause) = pause {
            let until = Instant::now() + pause;
            state.paused_until = Some(state.paused_until.map_or(until, |paused| paused.max(until)));
        }
        if ticket.epoch < state.epoch {
            return;
        }
        let concurrency = (state.concurrency / 2).max(1);
        let gone = state.concurrency - concurrency;
        state.owed += gone - self.places.forget_permits(gone);
        state.concurrency = concurrency;
        state.successes = 0;
        state.epoch += 1;
        tracing::debug!(concurrency, "endpoint is overloaded");
    }

    /// Calls in flight that are let through now.
    #[cfg(test)]
    pub(crate) fn concurrency(&self) -> usize {
        self.state().concurrency
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        let mut state = self.limiter.state();
        if state.owed > 0 {
            state.owed -= 1;
            permit.forget();
        }
    }
}

/// A token bucket that may be overdrawn: whoever overdraws it waits until it is level again.
struct Bucket {
    per_second: f64,
    capacity: f64,
    level: f64,
    filled_at: Option<Instant>,
}

impl Bucket {
    fn new(per_minute: u64, burst_seconds: f64) -> Self {
        let per_second = per_minute as f64 / 60.0;
        let capacity = (per_second * burst_seconds).max(1.0);
        Self { per_second, capacity, level: capacity, filled_at: None }
    }

    /// Takes `amount`, and says when it will have been there.
    fn take(&mut self, amount: u64, now: Instant) -> Instant {
        if let Some(filled_at) = self.filled_at {
            let filled = now.saturating_duration_since(filled_at).as_secs_f64() * self.per_second;
            self.level = (self.level + filled).min(self.capacity);
        }
        self.filled_at = Some(now);
        self.level -= amount as f64;
        let wait = (-self.level / self.per_second).max(0.0);
        // An hour is for ever here, and keeps a huge estimate from overflowing the clock.
        now + Duration::from_secs_f64(wait.min(3600.0))
    }

    /// Corrects what was taken on an estimate.
    fn settle(&mut self, estimated: u64, actual: u64) {
        self.level = (self.level + estimated as f64 - actual as f64).min(self.capacity);
    }
}
