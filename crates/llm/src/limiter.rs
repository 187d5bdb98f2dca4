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
    tokens_per_minute: u64,
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
        let bucket = |per_minute: u64, burst_seconds: f64| {
            (per_minute > 0).then(|| Bucket::new(per_minute, burst_seconds))
        };
        Self {
            max_concurrency: concurrency,
            tokens_per_minute: config.tokens_per_minute,
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
        Place {
            limiter: self,
            permit: self.places.acquire().await.ok(),
        }
    }

    /// Waits until a request of about so many tokens may be sent.
    pub(crate) async fn pace(&self, tokens: u64) -> Ticket {
        let (ready, ticket) = {
            let mut state = self.state();
            // However much a call may want, it does not keep the others waiting for more than a minute.
            let tokens = tokens.min(self.tokens_per_minute);
            let now = Instant::now();
            let mut ready = now;
            if let Some(requests) = &mut state.requests {
                ready = ready.max(requests.take(1, now));
            }
            if let Some(bucket) = &mut state.tokens {
                ready = ready.max(bucket.take(tokens, now));
            }
            (
                ready,
                Ticket {
                    epoch: state.epoch,
                    tokens,
                },
            )
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
        let Some(permit) = self.permit.take() else {
            return;
        };
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
        Self {
            per_second,
            capacity,
            level: capacity,
            filled_at: None,
        }
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
        now + Duration::from_secs_f64(wait)
    }

    /// Corrects what was taken on an estimate.
    fn settle(&mut self, estimated: u64, actual: u64) {
        self.level = (self.level + estimated as f64 - actual as f64).min(self.capacity);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::join_all;

    fn config(concurrency: usize, requests_per_minute: u64, tokens_per_minute: u64) -> ModelConfig {
        let config = synth_core::config::load(&[]).expect("the defaults are a configuration");
        ModelConfig {
            concurrency,
            requests_per_minute,
            tokens_per_minute,
            ..config.models["teacher"].clone()
        }
    }

    /// When each of so many requests, all asked for at once, may be sent.
    async fn sent(limiter: &Limiter, requests: usize, tokens: u64) -> Vec<Duration> {
        let start = Instant::now();
        let wait = |_| async {
            limiter.pace(tokens).await;
            start.elapsed()
        };
        let mut times = join_all((0..requests).map(wait)).await;
        times.sort();
        times
    }

    #[tokio::test(start_paused = true)]
    async fn no_minute_sees_more_requests_than_allowed() {
        for per_minute in [1, 7, 60, 600] {
            let times = sent(
                &Limiter::new(&config(8, per_minute, 0)),
                3 * per_minute as usize,
                0,
            )
            .await;
            let burst = (per_minute / 60).max(1);
            for start in &times {
                let minute = *start..*start + Duration::from_secs(60);
                let in_minute = times.iter().filter(|time| minute.contains(time)).count() as u64;
                assert!(
                    in_minute < per_minute + burst,
                    "{in_minute} of {per_minute}"
                );
            }
            let expected =
                Duration::from_secs(180).mul_f64(1.0 - burst as f64 / (3 * per_minute) as f64);
            let last = times.last().copied().unwrap_or_default();
            assert!(
                last <= expected + Duration::from_millis(10),
                "{last:?} for {expected:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn tokens_are_paced_and_what_was_not_used_is_given_back() {
        let limiter = Limiter::new(&config(8, 0, 6_000));
        // A thousand may go at once, then a hundred a second.
        let times = sent(&limiter, 3, 1_000).await;
        assert_eq!(times[0], Duration::ZERO);
        assert!(
            times[2] >= Duration::from_secs(19) && times[2] <= Duration::from_secs(21),
            "{times:?}"
        );
        let start = Instant::now();
        let ticket = limiter.pace(1 << 40).await;
        assert!(start.elapsed() < Duration::from_secs(61));
        limiter.succeeded(ticket, 10);
        let start = Instant::now();
        limiter.pace(500).await;
        assert!(start.elapsed() < Duration::from_secs(6));
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_paced_without_a_limit() {
        let times = sent(&Limiter::new(&config(8, 0, 0)), 1_000, 1 << 40).await;
        assert_eq!(times.last(), Some(&Duration::ZERO));
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_that_asks_for_a_pause_gets_it_from_everyone() {
        let limiter = Limiter::new(&config(8, 0, 0));
        let ticket = limiter.pace(0).await;
        limiter.overloaded(ticket, Some(Duration::from_secs(30)));
        let times = sent(&limiter, 5, 0).await;
        assert!(
            times.iter().all(|time| *time >= Duration::from_secs(30)),
            "{times:?}"
        );
    }

    #[tokio::test]
    async fn overload_halves_once_for_all_that_was_sent_before_it() {
        let limiter = Limiter::new(&config(16, 0, 0));
        let tickets = join_all((0..10).map(|_| limiter.pace(0))).await;
        for ticket in tickets {
            limiter.overloaded(ticket, None);
        }
        assert_eq!(limiter.concurrency(), 8);
        for _ in 0..10 {
            limiter.overloaded(limiter.pace(0).await, None);
        }
        assert_eq!(limiter.concurrency(), 1);
    }

    #[tokio::test]
    async fn success_brings_places_back_slowly_and_never_above_the_limit() {
        let limiter = Limiter::new(&config(16, 0, 0));
        limiter.overloaded(limiter.pace(0).await, None);
        for _ in 0..8 {
            assert_eq!(limiter.concurrency(), 8);
            limiter.succeeded(limiter.pace(0).await, 0);
        }
        assert_eq!(limiter.concurrency(), 9);
        for _ in 0..1_000 {
            limiter.succeeded(limiter.pace(0).await, 0);
        }
        assert_eq!(
            (limiter.concurrency(), limiter.places.available_permits()),
            (16, 16)
        );
    }

    #[tokio::test]
    async fn places_that_are_taken_when_they_go_are_not_given_out_again() {
        let limiter = Limiter::new(&config(8, 0, 0));
        let mut places = join_all((0..8).map(|_| limiter.enter())).await;
        limiter.overloaded(limiter.pace(0).await, None);
        places.truncate(4);
        assert_eq!(limiter.places.available_permits(), 0);
        places.truncate(3);
        assert_eq!(limiter.places.available_permits(), 1);
        drop(places);
        assert_eq!(limiter.places.available_permits(), 4);
    }
}
