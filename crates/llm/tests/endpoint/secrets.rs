//! A key is sent to the endpoint and shown nowhere else, even when the endpoint repeats it.

use serde_json::json;
use synth_llm::ModelError;

use crate::support::{Act, Bench, Server, asks, body, reply};

/// A variable that is always set in a test of ours; its value plays the key.
const VARIABLE: &str = "CARGO_MANIFEST_DIR";

fn key() -> String {
    std::env::var(VARIABLE).unwrap()
}

fn with_key(base_url: &str) -> Bench {
    let mut bench = Bench::new(base_url);
    bench.config.api_key_env.push_str(VARIABLE);
    bench
        .config
        .headers
        .insert("X-Token".to_owned(), format!("env:{VARIABLE}"));
    bench
        .config
        .headers
        .insert("X-Team".to_owned(), "data".to_owned());
    bench
}

#[tokio::test]
async fn the_key_and_the_headers_are_sent() {
    let server = Server::acts(vec![body(reply("42"))]).await;
    with_key(&server.base_url)
        .open()
        .complete(&asks("how many?"))
        .await
        .unwrap();
    synth_llm::check(&with_key(&server.base_url).config)
        .await
        .unwrap();
    for seen in server.seen() {
        assert_eq!(seen.headers["authorization"], format!("Bearer {}", key()));
        assert_eq!(
            (&seen.headers["x-token"], seen.headers["x-team"].as_str()),
            (&key(), "data")
        );
        assert!(!seen.headers.contains_key("openai-organization"));
    }
}

#[tokio::test]
async fn no_key_is_sent_where_none_is_named() {
    let server = Server::acts(vec![body(reply("42"))]).await;
    Bench::new(&server.base_url)
        .open()
        .complete(&asks("how many?"))
        .await
        .unwrap();
    assert!(!server.seen()[0].headers.contains_key("authorization"));
}

#[tokio::test]
async fn no_error_shows_a_key_that_the_endpoint_repeats() {
    let repeats =
        json!({ "error": { "message": format!("bad key {}", key()), "code": "x" } }).to_string();
    for status in [400, 401, 403, 404, 402, 429, 500] {
        let server = Server::acts(vec![Act::Answer(status, Vec::new(), repeats.clone())]).await;
        let error = with_key(&server.base_url)
            .open()
            .complete(&asks("how many?"))
            .await
            .unwrap_err();
        assert!(error.to_string().contains("[secret]"), "{error}");
        assert!(!format!("{error} {error:?}").contains(&key()), "{status}");
    }
    for text in [repeats, format!("no json {}", key())] {
        let server = Server::acts(vec![body(text)]).await;
        let error = with_key(&server.base_url)
            .open()
            .complete(&asks("how many?"))
            .await
            .unwrap_err();
        assert!(!format!("{error} {error:?}").contains(&key()));
    }
}

#[tokio::test]
async fn no_reply_or_recording_shows_a_key_that_the_endpoint_repeats() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::acts(vec![body(reply(&format!("your key is {}", key())))]).await;
    let mut bench = with_key(&server.base_url);
    bench.config.record = folder.path().join("exchanges.jsonl");
    let reply = bench
        .open()
        .complete(&asks("what is my key?"))
        .await
        .unwrap();
    assert_eq!(reply.content, "your key is [secret]");
    assert!(
        !std::fs::read_to_string(&bench.config.record)
            .unwrap()
            .contains(&key())
    );
}

#[tokio::test]
async fn a_failed_connection_does_not_show_the_address_s_password() {
    let error = Bench::new("http://user:hunter2@127.0.0.1:9/v1")
        .open()
        .complete(&asks("anyone?"))
        .await
        .unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[test]
fn a_missing_key_names_the_variable_to_set() {
    let mut bench = Bench::new("http://127.0.0.1:9/v1");
    bench.config.api_key_env = "SYNTH_TEST_NO_SUCH_KEY".to_owned();
    let error = bench.try_open().err().unwrap();
    assert!(matches!(error, ModelError::Configuration { .. }));
    assert!(
        error.to_string().contains("SYNTH_TEST_NO_SUCH_KEY"),
        "{error}"
    );
    bench.config.api_key_env.clear();
    bench.config.headers.insert(
        "X-Token".to_owned(),
        "env:SYNTH_TEST_NO_SUCH_TOKEN".to_owned(),
    );
    let error = bench.try_open().err().unwrap();
    assert!(
        error.to_string().contains("SYNTH_TEST_NO_SUCH_TOKEN"),
        "{error}"
    );
}
