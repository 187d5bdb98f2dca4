//! Keeps Kaggle unhurried: calls in flight, calls a minute, and how long a passing fault is waited for.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::{Instant, sleep_until};

/// How long passing faults are waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Tries, at most.
    pub tries: u32,
    /// From the first try to the last, at most.
    pub total: Duration,
    /// The pause after the first try; it doubles from try to try.
    pub first_pause: Duration,
    /// The longest pause of our own choice.
    pub max_pause: Duration,
}

impl Patience {
    /// The pause after so many tries. What the server asks for may be too little, so it is waited for first and our own
    /// pause comes on top; a part of that is random, so that calls which failed together do not return together.
    pub(crate) fn pause(&self, tries: u32, retry_after: Option<Duration>) -> Duration {
        let doublings = tries.saturating_sub(1).min(20);
        let backoff = self
            .first_pause
            .saturating_mul(1 << doublings)
            .min(self.max_pause);
        let jittered = backoff.mul_f64(0.5 + 0.5 * fastrand::f64());
        retry_after.unwrap_or_default().saturating_add(jittered)
    }

    /// Whether one more try after such a pause is within bounds.
    pub(crate) fn allows(&self, tries: u32, since: Instant, pause: Duration) -> bool {
        tries < self.tries && since.elapsed().saturating_add(pause) <= self.total
    }
}

/// The limits of one kind of call.
pub(crate) struct Limiter {
    places: Semaphore,
    interval: Duration,
    /// So many calls may go out at once after a rest.
    burst: u32,
    state: Mutex<State>,
}

struct State {
    /// When the next call would go out, were there no burst.
    next: Option<Instant>,
    /// Nobody sends before this: the server asked for it.
    paused_until: Option<Instant>,
}

impl Limiter {
    pub(crate) fn new(places: usize, per_minute: u32) -> Self {
        let places = places.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            places: Semaphore::new(places),
            interval: Duration::from_secs(60)
                .checked_div(per_minute)
                .unwrap_or_default(),
            burst: u32::try_from(places).unwrap_or(u32::MAX),
            state: Mutex::new(State {
                next: None,
                paused_until: None,
            }),
        }
    }

    /// Waits for a place, which is held until it is dropped.
    pub(crate) async fn enter(&self) -> Option<SemaphorePermit<'_>> {
        // The semaphore is never closed; were it, the call would go ahead without a place.
        self.places.acquire().await.ok()
    }

    /// Waits until one request may be sent.
    pub(crate) async fn pace(&self) {
        let ready = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let slack = self.interval.saturating_mul(self.burst.saturating_sub(1));
            let next = state.next.unwrap_or(now).max(now);
            state.next = Some(next + self.interval);
            next.checked_sub(slack).unwrap_or(now).max(now)
        };
        sleep_until(ready).await;
        loop {
            let paused_until = self
                .state
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .paused_until;
            match paused_until {
                Some(until) if until > Instant::now() => sleep_until(until).await,
                _ => return,
            }
        }
    }

    /// Lets nobody send for so long.
    pub(crate) fn rest(&self, pause: Duration) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let until = Instant::now() + pause;
        state.paused_until = Some(state.paused_until.map_or(until, |other| other.max(until)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn patience() -> Patience {
        Patience {
            tries: 5,
            total: Duration::from_secs(100),
            first_pause: Duration::from_secs(1),
            max_pause: Duration::from_secs(8),
        }
    }

    #[test]
    fn pauses_double_to_a_bound_and_never_undercut_what_the_server_asks() {
        for _ in 0..100 {
            let asked = Some(Duration::from_secs(30));
            let first = patience().pause(1, None);
            assert!((0.5..=1.0).contains(&first.as_secs_f64()));
            assert!(patience().pause(90, None) <= Duration::from_secs(8));
            assert!(patience().pause(90, None) >= Duration::from_secs(4));
            // A server that asks for nothing at all does not shorten our own pause.
            assert!(patience().pause(4, Some(Duration::ZERO)) >= Duration::from_secs(4));
            assert!(patience().pause(1, asked) > Duration::from_secs(30));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn requests_keep_to_the_rate_and_wait_while_the_server_rests() {
        let limiter = Limiter::new(2, 60);
        let start = Instant::now();
        for _ in 0..12 {
            limiter.pace().await;
        }
        // Two at once, then one a second.
        assert_eq!(start.elapsed().as_secs(), 10);
        limiter.rest(Duration::from_secs(30));
        limiter.pace().await;
        assert!(start.elapsed() >= Duration::from_secs(40));
        let unlimited = Limiter::new(2, 0);
        let start = Instant::now();
        for _ in 0..1000 {
            unlimited.pace().await;
        }
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}
