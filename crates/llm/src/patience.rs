//! How long is waited for what, and how large a reply may be: every number that bounds a call in time and space.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use synth_core::config::ModelConfig;

/// The bounds of one call. [`Patience::of`] has the real ones; tests take shorter ones.
#[derive(Clone, Debug)]
pub struct Patience {
    /// To open a connection.
    pub connect: Duration,
    /// Without a byte from the endpoint.
    pub silence: Duration,
    /// From the first byte sent to the last byte received, however steadily they drip.
    pub request: Duration,
    /// Tries after the first.
    pub retries: u32,
    /// The longest pause before the second try; it doubles with each further one.
    pub first_pause: Duration,
    /// The longest pause before any try, unless the endpoint asks for more.
    pub max_pause: Duration,
    /// The longest pause that an endpoint's `Retry-After` is granted.
    pub max_retry_after: Duration,
    /// Bytes of a reply, at most.
    pub max_reply_bytes: usize,
}

impl Patience {
    /// The bounds that a model's configuration asks for.
    pub fn of(config: &ModelConfig) -> Self {
        let silence = Duration::from_secs(config.timeout_seconds.max(1));
        Self {
            connect: silence.min(Duration::from_secs(10)),
            silence,
            request: silence * 5,
            retries: config.retries,
            first_pause: Duration::from_secs(1),
            max_pause: Duration::from_secs(60),
            max_retry_after: Duration::from_secs(300),
            max_reply_bytes: 64 << 20,
        }
    }

    /// The pause after the given number of tries (1, 2, …): random up to a bound that doubles, so that those who failed
    /// together do not come back together; never shorter than what the endpoint asked for, within reason.
    pub(crate) fn pause(&self, tries: u32, retry_after: Option<Duration>) -> Duration {
        let bound = self
            .first_pause
            .saturating_mul(1 << (tries - 1).min(20))
            .min(self.max_pause);
        let drawn = bound.mul_f64(fastrand::f64());
        drawn.max(retry_after.unwrap_or_default().min(self.max_retry_after))
    }
}

/// How long an endpoint asks to wait: `retry-after-ms`, or `Retry-After` in seconds or as an HTTP date.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let milliseconds = text("retry-after-ms")
        .and_then(seconds)
        .map(|duration| duration / 1000);
    milliseconds.or_else(|| text("retry-after").and_then(|value| parse_retry_after(value, now)))
}

fn parse_retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    seconds(value).or_else(|| {
        let date = httpdate::parse_http_date(value.trim()).ok()?;
        Some(date.duration_since(now).unwrap_or_default())
    })
}

fn seconds(value: &str) -> Option<Duration> {
    let value: f64 = value.trim().parse().ok()?;
    Duration::try_from_secs_f64(value).ok()
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn patience() -> Patience {
        Patience {
            connect: Duration::from_secs(1),
            silence: Duration::from_secs(1),
            request: Duration::from_secs(5),
            retries: 3,
            first_pause: Duration::from_secs(1),
            max_pause: Duration::from_secs(60),
            max_retry_after: Duration::from_secs(300),
            max_reply_bytes: 1 << 20,
        }
    }

    proptest! {
        #[test]
        fn any_text_after_retry_after_is_read_without_panic(value in ".*") {
            let _ = parse_retry_after(&value, SystemTime::now());
        }

        #[test]
        fn whole_seconds_are_read_as_they_are(seconds in 0_u64..1 << 40) {
            prop_assert_eq!(parse_retry_after(&seconds.to_string(), SystemTime::now()), Some(Duration::from_secs(seconds)));
        }

        #[test]
        fn a_date_is_the_time_until_then_and_a_past_one_is_nothing(now in 0_u64..4_000_000_000, ahead in -100_000_i64..100_000) {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now + 100_000);
            let date = if ahead < 0 { now - Duration::from_secs(ahead.unsigned_abs()) } else { now + Duration::from_secs(ahead.unsigned_abs()) };
            let expected = Duration::from_secs(ahead.max(0).unsigned_abs());
            prop_assert_eq!(parse_retry_after(&httpdate::fmt_http_date(date), now), Some(expected));
        }

        #[test]
        fn a_pause_is_bounded_and_no_shorter_than_was_asked_for(tries in 1_u32..1000, asked in 0_u64..10_000) {
            let asked = Duration::from_secs(asked);
            let pause = patience().pause(tries, Some(asked));
            prop_assert!(pause <= Duration::from_secs(300));
            prop_assert!(pause >= asked.min(Duration::from_secs(300)));
            prop_assert!(patience().pause(tries, None) <= Duration::from_secs(60));
        }
    }

    #[test]
    fn milliseconds_win_over_seconds_and_nonsense_is_nothing() {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", HeaderValue::from_static("7"));
        assert_eq!(
            retry_after(&headers, SystemTime::now()),
            Some(Duration::from_secs(7))
        );
        headers.insert("retry-after-ms", HeaderValue::from_static("250"));
        assert_eq!(
            retry_after(&headers, SystemTime::now()),
            Some(Duration::from_millis(250))
        );
        for nonsense in ["-1", "NaN", "inf", "soon", "", "1e300"] {
            assert_eq!(
                parse_retry_after(nonsense, SystemTime::now()),
                None,
                "{nonsense}"
            );
        }
    }
}
