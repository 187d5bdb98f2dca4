//! Reads every dialect of Kaggle's JSON: absent, null or default; numbers as strings; `xNullable` beside `x` and `hasX`.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde_json::{Map, Value};

use crate::KaggleError;

/// Reads one object, whatever dialect it is in.
pub(crate) fn object<T: DeserializeOwned>(
    call: &'static str,
    value: Value,
) -> Result<T, KaggleError> {
    typed(call, "", normalised(value))
}

/// Parses a body. An empty one is an object with all its fields at their defaults.
pub(crate) fn parse(call: &'static str, body: &[u8]) -> Result<Value, KaggleError> {
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Object(Map::new()));
    }
    serde_json::from_slice(body).map_err(|error| {
        let start: String = String::from_utf8_lossy(&body[..body.len().min(60)])
            .chars()
            .filter(|letter| !letter.is_control())
            .collect();
        KaggleError::Decode {
            call,
            path: ".".to_owned(),
            message: format!("{error}; it begins with `{start}`"),
        }
    })
}

/// One page of a list.
#[derive(Debug)]
pub(crate) struct ListPage<T> {
    pub(crate) items: Vec<T>,
    /// Where the next page begins, if the answer says so.
    pub(crate) next: Option<String>,
    /// Whether the answer is a bare array, whose pages are asked for by number.
    pub(crate) is_bare: bool,
}

/// Reads a list: a bare array, or an object that holds it under `key`.
pub(crate) fn list<T: DeserializeOwned>(
    call: &'static str,
    key: &str,
    value: Value,
) -> Result<ListPage<T>, KaggleError> {
    let wrong = |path: &str, value: &Value| KaggleError::Decode {
        call,
        path: path.to_owned(),
        message: format!("a list was expected, not {}", kind(value)),
    };
    let (items, next, is_bare) = match normalised(value) {
        Value::Array(items) => (items, None, true),
        Value::Object(mut object) => {
            let next = match object.remove("nextPageToken") {
                None => None,
                Some(Value::String(token)) => Some(token),
                Some(Value::Number(token)) => Some(token.to_string()),
                Some(other) => return Err(wrong("nextPageToken", &other)),
            };
            let items = match object.remove(key) {
                None => Vec::new(),
                Some(Value::Array(items)) => items,
                Some(other) => return Err(wrong(key, &other)),
            };
            // Some answers say what is wrong in a body that is otherwise empty.
            if items.is_empty()
                && let Some(Value::String(message)) = object.remove("errorMessage")
                && !message.trim().is_empty()
            {
                return Err(KaggleError::Refused {
                    call,
                    status: 200,
                    message: message.chars().take(300).collect(),
                });
            }
            (items, next.filter(|token| !token.is_empty()), false)
        }
        Value::Null => (Vec::new(), None, false),
        other => return Err(wrong(".", &other)),
    };
    let items = items
        .into_iter()
        .enumerate()
        .map(|(index, item)| typed(call, &format!("{key}[{index}]"), item))
        .collect::<Result<_, _>>()?;
    Ok(ListPage {
        items,
        next,
        is_bare,
    })
}

fn typed<T: DeserializeOwned>(
    call: &'static str,
    prefix: &str,
    value: Value,
) -> Result<T, KaggleError> {
    if !value.is_object() {
        return Err(KaggleError::Decode {
            call,
            path: if prefix.is_empty() { "." } else { prefix }.to_owned(),
            message: format!("an object was expected, not {}", kind(&value)),
        });
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let path = match (prefix.is_empty(), path == ".") {
            (true, _) => path,
            (false, true) => prefix.to_owned(),
            (false, false) => format!("{prefix}.{path}"),
        };
        KaggleError::Decode {
            call,
            path,
            message: error.into_inner().to_string(),
        }
    })
}

/// The value in one dialect: no nulls, no `xNullable`, no `hasX` that speaks of an `x` which is there.
fn normalised(value: Value) -> Value {
    match value {
        Value::Array(items) => items
            .into_iter()
            .filter(|item| !item.is_null())
            .map(normalised)
            .collect(),
        Value::Object(fields) => {
            let mut plain = Map::new();
            let (mut nullable, mut absent) = (Vec::new(), Vec::new());
            for (key, value) in fields {
                if value.is_null() {
                    continue;
                }
                let value = normalised(value);
                if let Some(base) = key.strip_suffix("Nullable")
                    && !base.is_empty()
                {
                    nullable.push((base.to_owned(), value));
                    continue;
                }
                if value == Value::Bool(false)
                    && let Some(base) = said_to_be(&key)
                {
                    absent.push(base);
                }
                plain.insert(key, value);
            }
            for base in absent {
                plain.remove(&base);
            }
            plain.extend(nullable);
            Value::Object(plain)
        }
        other => other,
    }
}

/// The field that `hasField` speaks of. `hasLeaderboard` with no `leaderboard` beside it is a field like any other.
fn said_to_be(key: &str) -> Option<String> {
    let rest = key.strip_prefix("has")?;
    let first = rest.chars().next().filter(char::is_ascii_uppercase)?;
    Some(format!("{}{}", first.to_ascii_lowercase(), &rest[1..]))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A count or an id: a number or a string; 0 where it is absent, empty or below 0.
pub(crate) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Ok(some_count(deserializer)?.unwrap_or(0))
}

/// A count that may be unknown: absent, empty or below 0.
pub(crate) fn some_count<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let not_whole =
        || D::Error::custom(format!("a whole number was expected, not {}", kind(&value)));
    match &value {
        Value::Null => Ok(None),
        Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(number), _, _) => Ok(Some(number)),
            (None, Some(_), _) => Ok(None),
            (None, None, Some(number)) if number < 0.0 => Ok(None),
            // 2^64 is the first that does not fit.
            (None, None, Some(number))
                if number.fract() == 0.0 && number < 18_446_744_073_709_551_616.0 =>
            {
                Ok(Some(number as u64))
            }
            _ => Err(not_whole()),
        },
        Value::String(text) => match text.trim() {
            "" => Ok(None),
            text => match text.parse::<i128>() {
                Ok(number) if number < 0 => Ok(None),
                Ok(number) => u64::try_from(number).map(Some).map_err(|_| not_whole()),
                Err(_) => Err(not_whole()),
            },
        },
        _ => Err(not_whole()),
    }
}

/// A number: a number or a string; none where it is absent or empty.
pub(crate) fn some_number<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<f64>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let wrong = || D::Error::custom(format!("a number was expected, not {}", kind(&value)));
    match &value {
        Value::Null => Ok(None),
        Value::Number(number) => Ok(number.as_f64()),
        Value::String(text) if text.trim().is_empty() => Ok(None),
        Value::String(text) => text.trim().parse().map(Some).map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

/// A truth value, also as text or number; false where it is absent.
pub(crate) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let value = Value::deserialize(deserializer)?;
    match &value {
        Value::Null => Ok(false),
        Value::Bool(flag) => Ok(*flag),
        Value::Number(number) => Ok(number.as_f64().is_some_and(|number| number != 0.0)),
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(true),
            "false" | "0" | "" => Ok(false),
            _ => Err(D::Error::custom("true or false was expected")),
        },
        _ => Err(D::Error::custom(format!(
            "true or false was expected, not {}",
            kind(&value)
        ))),
    }
}

/// A text, also written as a number; empty where it is absent.
pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(some_text(deserializer)?.unwrap_or_default())
}

/// A text that may be absent; an empty one is.
pub(crate) fn some_text<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    let text = match Value::deserialize(deserializer)? {
        Value::Null => return Ok(None),
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        other => {
            let message = format!("a text was expected, not {}", kind(&other));
            return Err(D::Error::custom(message));
        }
    };
    Ok((!text.is_empty()).then_some(text))
}

/// The last part of a `ref`, which is a full address now and was a bare name once.
pub(crate) fn slug<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = text(deserializer)?;
    Ok(last_segments(&text, 1))
}

/// `owner/name` of a dataset's `ref`.
pub(crate) fn dataset_ref<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = text(deserializer)?;
    Ok(last_segments(&text, 2))
}

/// The last so many parts of the path of an address.
pub(crate) fn last_segments(address: &str, parts: usize) -> String {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    let path = path.split_once("://").map_or(path, |(_, rest)| {
        rest.split_once('/').map_or("", |(_, path)| path)
    });
    let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    segments[segments.len().saturating_sub(parts)..].join("/")
}

/// A time with 0 to 9 fractional digits, with or without a zone; none where it is absent, empty or the year 1.
pub(crate) fn some_time<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Timestamp>, D::Error> {
    let Some(text) = some_text(deserializer)? else {
        return Ok(None);
    };
    time(&text).map_err(D::Error::custom)
}

/// Reads a time; see [`some_time`].
pub(crate) fn time(text: &str) -> Result<Option<Timestamp>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let time = match text.parse::<Timestamp>() {
        Ok(time) => time,
        Err(_) => text
            .parse::<DateTime>()
            .and_then(|time| time.to_zoned(TimeZone::UTC))
            .map_err(|_| "a date and time was expected".to_owned())?
            .timestamp(),
    };
    // The zero of the service's own date type stands for none.
    let is_none = time.to_zoned(TimeZone::UTC).year() <= 1;
    Ok((!is_none).then_some(time))
}
