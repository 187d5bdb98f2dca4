//! Recorded exchanges: what is asked in turn, and what has to be answered.

use reqwest::Method;
use serde::Deserialize;
use serde_json::Value;

use super::Place;

#[derive(Deserialize)]
struct Exchange {
    ask: String,
    #[serde(default)]
    body: Value,
    status: u16,
    answer: Value,
}

/// Asks all of it in order and compares.
pub async fn replay(place: &Place, recorded: &str) {
    let exchanges: Vec<Exchange> = serde_json::from_str(recorded).unwrap();
    for Exchange {
        ask,
        body,
        status,
        answer,
    } in exchanges
    {
        let (method, path) = ask.split_once(' ').unwrap();
        let got = match method {
            "GET" => place.get(path).await,
            "POST" => place.post(path, &body).await,
            other => place
                .request(Method::from_bytes(other.as_bytes()).unwrap(), path)
                .send()
                .await
                .unwrap(),
        };
        let (got_status, got) = (got.status().as_u16(), got.text().await.unwrap());
        let got: Value = serde_json::from_str(&got).unwrap_or(Value::String(got));
        assert!(
            got_status == status && matches(&answer, &got),
            "{ask} {body}\nrecorded: {status} {answer}\nanswered: {got_status} {got}"
        );
    }
}

/// Whether an answer is as recorded; `<text>`, `<number>` and `<list>` stand for any.
fn matches(recorded: &Value, got: &Value) -> bool {
    match (recorded, got) {
        (Value::String(wanted), got) if wanted == "<text>" => {
            got.as_str().is_some_and(|got| !got.is_empty())
        }
        (Value::String(wanted), got) if wanted == "<number>" => got.is_number(),
        (Value::String(wanted), got) if wanted == "<list>" => got.is_array(),
        (Value::Object(wanted), Value::Object(got)) => {
            wanted.len() == got.len()
                && wanted
                    .iter()
                    .all(|(key, value)| got.get(key).is_some_and(|got| matches(value, got)))
        }
        (Value::Array(wanted), Value::Array(got)) => {
            wanted.len() == got.len()
                && wanted
                    .iter()
                    .zip(got)
                    .all(|(wanted, got)| matches(wanted, got))
        }
        (wanted, got) => wanted == got,
    }
}
