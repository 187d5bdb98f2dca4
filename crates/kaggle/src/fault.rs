//! What an answer that is no success means.

use std::time::{Duration, SystemTime};

use reqwest::StatusCode;
use reqwest::header::{HeaderMap, RETRY_AFTER};
use serde_json::Value;

use crate::call::Call;
use crate::{Credentials, KaggleError};

/// Texts of errors are shown to this length.
const MAX_MESSAGE_CHARS: usize = 300;

/// Why one request failed.
#[derive(Debug)]
pub(crate) enum Fault {
    /// Asking again would change nothing.
    Final(KaggleError),
    /// This wire form does not serve the call.
    NotServed(KaggleError),
    /// The server has too much to do.
    Throttled {
        message: String,
        retry_after: Option<Duration>,
    },
    /// It may pass.
    Transient {
        message: String,
        retry_after: Option<Duration>,
    },
}

impl Fault {
    pub(crate) fn transient(message: impl Into<String>) -> Self {
        Self::Transient {
            message: message.into(),
            retry_after: None,
        }
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Throttled { retry_after, .. } | Self::Transient { retry_after, .. } => {
                *retry_after
            }
            Self::Final(_) | Self::NotServed(_) => None,
        }
    }

    /// The error that is left when it has not passed after so many tries.
    pub(crate) fn given_up(self, call: &'static str, tries: u32, waited: Duration) -> KaggleError {
        let seconds = waited.as_secs();
        match self {
            Self::Final(error) | Self::NotServed(error) => error,
            Self::Throttled { message, .. } => KaggleError::Throttled {
                call,
                tries,
                seconds,
                message,
            },
            Self::Transient { message, .. } => KaggleError::Transient {
                call,
                tries,
                seconds,
                message,
            },
        }
    }
}

/// What the API means by such a status with such a body.
pub(crate) fn of_answer(
    call: &Call,
    status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    web: &str,
    credentials: &Credentials,
) -> Fault {
    let (code, name, message) = error_of(status, body);
    let message = credentials.scrub(&message);
    let plain = message.to_ascii_lowercase();
    let retry_after = retry_after(headers);
    let gone = || KaggleError::Gone {
        what: call.what.clone(),
    };
    let refused = |message: String| KaggleError::Refused {
        call: call.name,
        status: code,
        message,
    };
    if code == 429 || name == "RESOURCE_EXHAUSTED" {
        return Fault::Throttled {
            message,
            retry_after,
        };
    }
    if code == 401 || name == "UNAUTHENTICATED" {
        return Fault::Final(KaggleError::Unauthenticated {
            message: credentials.advice(),
        });
    }
    if let (Some(slug), 400..=403) = (&call.competition, code) {
        let slug = slug.clone();
        if plain.contains("rules") && plain.contains("accept") {
            let page = format!("{web}/competitions/{slug}/rules");
            return Fault::Final(KaggleError::RulesNotAccepted { slug, page });
        }
        if plain.contains("competitions.participate") || plain.contains("do not have a team") {
            let page = format!("{web}/competitions/{slug}");
            return Fault::Final(KaggleError::NotJoined { slug, page });
        }
    }
    match code {
        // An unknown name is answered as if it were a private one.
        403 if plain.contains("competitions.get") || plain.contains("datasets.get") => {
            Fault::Final(gone())
        }
        404 => Fault::NotServed(gone()),
        405 | 501 => Fault::NotServed(refused(message)),
        410 => Fault::Final(gone()),
        408 | 425 | 500..=599 => Fault::Transient {
            message: format!("status {code}: {message}"),
            retry_after,
        },
        _ => Fault::Final(refused(message)),
    }
}

/// The code, the status' name and the message of an error's body, which comes in three shapes or none.
fn error_of(status: StatusCode, body: &[u8]) -> (u16, String, String) {
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let error = value
        .get("error")
        .filter(|error| error.is_object())
        .unwrap_or(&value);
    let text = |key: &str| error.get(key).and_then(Value::as_str).map(str::to_owned);
    let message = text("message")
        .or_else(|| text("error"))
        .unwrap_or_else(|| {
            let body = String::from_utf8_lossy(&body[..body.len().min(2_000)]).into_owned();
            if body.trim().is_empty() {
                status.canonical_reason().unwrap_or("no message").to_owned()
            } else {
                body
            }
        });
    let message = message
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(MAX_MESSAGE_CHARS)
        .collect();
    (status.as_u16(), text("status").unwrap_or_default(), message)
}

/// How long the server asks to wait: seconds, or a date.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let value = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let time = httpdate::parse_http_date(value).ok()?;
    Some(
        time.duration_since(SystemTime::now())
            .unwrap_or(Duration::ZERO),
    )
}

#[cfg(test)]
mod tests {
    use reqwest::Method;
    use reqwest::header::HeaderValue;

    use super::*;

    fn fault(status: u16, body: &str) -> Fault {
        let call = Call::competitions("DownloadDataFiles", Method::GET, "x")
            .about("titanic")
            .unwrap();
        let status = StatusCode::from_u16(status).unwrap();
        of_answer(
            &call,
            status,
            &HeaderMap::new(),
            body.as_bytes(),
            "https://k",
            &Credentials::Anonymous,
        )
    }

    #[test]
    fn what_kaggle_says_no_with_is_told_apart() {
        let rules = r#"{"code":403,"message":"You must accept this competition\u0027s rules before you\u0027ll be able to download files."}"#;
        let error = fault(403, rules).given_up("c", 1, Duration::ZERO);
        assert_eq!(error.reason(), "rules_not_accepted");
        assert_eq!(error.page(), Some("https://k/competitions/titanic/rules"));
        let reason = |status, body| {
            fault(status, body)
                .given_up("c", 1, Duration::ZERO)
                .reason()
        };
        let message = |text: &str| format!(r#"{{"code":403,"message":"{text}"}}"#);
        let participate = message("Permission 'competitions.participate' was denied");
        assert_eq!(reason(403, &participate), "not_joined");
        let team = message("You do not have a Team in this Competition.");
        assert_eq!(reason(400, &team), "not_joined");
        let get = message("Permission 'competitions.get' was denied");
        assert_eq!(reason(403, &get), "gone");
        let other = message("not today");
        assert_eq!(reason(403, &other), "refused");
        let rpc =
            r#"{"error":{"code":401,"message":"Unauthenticated","status":"UNAUTHENTICATED"}}"#;
        assert_eq!(reason(401, rpc), "unauthenticated");
        assert_eq!(
            reason(401, r#"{"code":401,"message":"Unauthenticated"}"#),
            "unauthenticated"
        );
        let busy =
            r#"{"error":{"code":429,"message":"Too many requests","status":"RESOURCE_EXHAUSTED"}}"#;
        assert_eq!(reason(429, busy), "throttled");
        assert_eq!(reason(429, ""), "throttled");
        assert_eq!(reason(502, "<html>Bad gateway</html>"), "transient");
        assert!(matches!(
            fault(404, ""),
            Fault::NotServed(KaggleError::Gone { .. })
        ));
    }

    #[test]
    fn a_pause_is_read_as_seconds_or_as_a_date() {
        let read = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, HeaderValue::from_str(value).unwrap());
            retry_after(&headers)
        };
        assert_eq!(read("7"), Some(Duration::from_secs(7)));
        let later = SystemTime::now() + Duration::from_secs(100);
        let pause = read(&httpdate::fmt_http_date(later)).unwrap();
        assert!((95..=100).contains(&pause.as_secs()));
        assert_eq!(read("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        for wrong in ["-1", "soon", "1e400", "NaN"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
