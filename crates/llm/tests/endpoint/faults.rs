//! Every fault of an endpoint ends, soon, as an answer after a retry, an item's failure or a clear stop.

use std::time::{Duration, Instant};

use crate::support::{Act, Bench, Server, asks, body, complains, reply, says, status};
use serde_json::{Value, json};
use synth_core::{FailureKind, RecordError};
use synth_llm::{ChatReply, Finish, ModelError};

/// One question to a server that acts so; with the number of requests it saw. Nothing may take longer than a few seconds.
async fn ask(acts: Vec<Act>) -> (Result<ChatReply, ModelError>, usize) {
    let server = Server::acts(acts).await;
    let model = Bench::new(&server.base_url).open();
    let result =
        tokio::time::timeout(Duration::from_secs(8), model.complete(&asks("how many?"))).await;
    (
        result.expect("a fault ends within bounds"),
        server.requests(),
    )
}

async fn recovers(acts: Vec<Act>) {
    let requests = acts.len();
    let (reply, seen) = ask(acts).await;
    assert_eq!((reply.unwrap().content.as_str(), seen), ("42", requests));
}

async fn is_exhausted(act: Act, reason: &str) -> ModelError {
    let (reply, seen) = ask(vec![act]).await;
    let error = reply.unwrap_err();
    assert!(
        matches!(error, ModelError::Exhausted { tries: 3, .. }),
        "{error:?}"
    );
    assert_eq!((error.reason(), seen), (reason, 3), "{error}");
    assert!(!error.stops_the_run());
    let record_error = RecordError::from(error.clone());
    assert!(record_error.is_spurious);
    assert_eq!(record_error.kind, FailureKind::Model);
    error
}

async fn is_final(act: Act, stops: bool, reason: &str) -> ModelError {
    let (reply, seen) = ask(vec![act]).await;
    let error = reply.unwrap_err();
    assert_eq!(
        (error.stops_the_run(), error.reason(), seen),
        (stops, reason, 1),
        "{error}"
    );
    error
}

async fn is_read(value: Value) -> ChatReply {
    let (reply, seen) = ask(vec![body(value)]).await;
    assert_eq!(seen, 1);
    reply.unwrap()
}

#[tokio::test]
async fn a_plain_reply_is_read_and_priced() {
    let (reply, seen) = ask(vec![says("42")]).await;
    let reply = reply.unwrap();
    assert_eq!(
        (reply.content.as_str(), reply.finish, reply.cached, seen),
        ("42", Finish::Stop, false, 1)
    );
    assert_eq!(
        (reply.usage.prompt_tokens, reply.usage.completion_tokens),
        (10, 5)
    );
    assert!((reply.usage.usd - 0.02).abs() < 1e-12);
}

#[tokio::test]
async fn a_429_is_tried_again() {
    recovers(vec![
        complains(429, "rate_limit_exceeded", "slow down"),
        says("42"),
    ])
    .await;
}

#[tokio::test]
async fn a_429_is_tried_again_no_sooner_than_it_asks() {
    let started = Instant::now();
    let limited = Act::Answer(429, vec![("Retry-After", "0.25".to_owned())], String::new());
    recovers(vec![limited, says("42")]).await;
    assert!(started.elapsed() >= Duration::from_millis(250));
}

#[tokio::test]
async fn a_retry_after_of_a_day_is_not_waited_for() {
    let started = Instant::now();
    let limited = Act::Answer(
        429,
        vec![("Retry-After", "86400".to_owned())],
        String::new(),
    );
    recovers(vec![limited, says("42")]).await;
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_429_that_is_not_in_openai_s_words_is_tried_again() {
    recovers(vec![
        Act::Answer(429, Vec::new(), "<html>Too many</html>".to_owned()),
        says("42"),
    ])
    .await;
    recovers(vec![
        Act::Answer(429, Vec::new(), r#"{"detail":"slow"}"#.to_owned()),
        says("42"),
    ])
    .await;
    recovers(vec![
        Act::Answer(429, Vec::new(), r#"{"error":"slow"}"#.to_owned()),
        says("42"),
    ])
    .await;
}

#[tokio::test]
async fn a_429_for_want_of_quota_stops_the_run() {
    let error = is_final(
        complains(429, "insufficient_quota", "pay first"),
        true,
        "model_quota_exceeded",
    )
    .await;
    assert!(error.to_string().contains("pay first"));
    is_final(status(402), true, "model_quota_exceeded").await;
}

#[tokio::test]
async fn server_errors_are_tried_again() {
    for code in [408, 409, 500, 502, 503, 529] {
        recovers(vec![status(code), says("42")]).await;
    }
    recovers(vec![status(500), status(503), says("42")]).await;
}

#[tokio::test]
async fn an_endpoint_that_stays_out_of_order_fails_the_item() {
    is_exhausted(status(503), "model_unavailable").await;
}

#[tokio::test]
async fn a_cut_body_is_fetched_again() {
    recovers(vec![
        Act::Cut(r#"{"choices":[{"mess"#.to_owned()),
        says("42"),
    ])
    .await;
    is_exhausted(Act::Cut("{".to_owned()), "model_connection").await;
}

#[tokio::test]
async fn a_connection_that_is_closed_is_opened_again() {
    recovers(vec![Act::Close, says("42")]).await;
    is_exhausted(Act::Close, "model_connection").await;
}

#[tokio::test]
async fn bytes_that_come_too_slowly_are_given_up() {
    recovers(vec![Act::Drip(Duration::from_millis(900)), says("42")]).await;
}

#[tokio::test]
async fn bytes_that_drip_for_ever_are_given_up() {
    recovers(vec![Act::Drip(Duration::from_millis(50)), says("42")]).await;
}

#[tokio::test]
async fn an_endpoint_that_never_answers_is_given_up() {
    let started = Instant::now();
    let error = is_exhausted(Act::Silence, "model_connection").await;
    assert!(error.to_string().contains("timed out"), "{error}");
    assert!(started.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn what_is_no_json_is_fetched_again() {
    recovers(vec![body("{not json"), says("42")]).await;
    is_exhausted(body("{not json"), "model_malformed").await;
    is_exhausted(body(""), "model_malformed").await;
    is_exhausted(body("[".repeat(100_000)), "model_malformed").await;
}

#[tokio::test]
async fn an_html_page_is_called_one() {
    let error = is_exhausted(
        body("<!DOCTYPE html><html><body>Sign in</body></html>"),
        "model_malformed",
    )
    .await;
    assert!(error.to_string().contains("an HTML page"), "{error}");
}

#[tokio::test]
async fn a_reply_without_choices_is_asked_for_again() {
    let empty = body(json!({ "choices": [], "usage": null }));
    recovers(vec![empty.clone(), says("42")]).await;
    is_exhausted(empty, "model_malformed").await;
    for odd in [
        json!({}),
        json!([]),
        json!(null),
        json!({ "choices": null }),
        json!({ "choices": [{}] }),
    ] {
        is_exhausted(body(odd), "model_malformed").await;
    }
}

#[tokio::test]
async fn an_error_that_comes_as_a_success_is_still_one() {
    recovers(vec![
        body(json!({ "error": { "code": 502, "message": "upstream is down" } })),
        says("42"),
    ])
    .await;
    let refused = json!({ "error": { "code": 400, "message": "no" } });
    is_final(body(refused), false, "model_refused").await;
}

#[tokio::test]
async fn null_content_is_empty_content() {
    let mut value = reply("");
    value["choices"][0]["message"]["content"] = Value::Null;
    assert_eq!(is_read(value).await.content, "");
}

#[tokio::test]
async fn content_in_parts_is_put_together() {
    let mut value = reply("");
    value["choices"][0]["message"]["content"] =
        json!([{ "type": "text", "text": "4" }, { "type": "text", "text": "2" }]);
    assert_eq!(is_read(value).await.content, "42");
}

#[tokio::test]
async fn a_cut_reply_is_a_result() {
    let mut value = reply("half a sent");
    value["choices"][0]["finish_reason"] = "length".into();
    let reply = is_read(value).await;
    assert_eq!(
        (reply.content.as_str(), reply.finish),
        ("half a sent", Finish::Length)
    );
}

#[tokio::test]
async fn unknown_fields_and_reasons_are_taken_as_they_come() {
    let mut value = reply("42");
    value["x_new"] = json!({ "deep": [1, 2, 3] });
    value["choices"][0]["message"]["reasoning_content"] = "hm".into();
    value["choices"][0]["finish_reason"] = "tired".into();
    value["usage"]["prompt_tokens_details"] = json!({ "cached_tokens": 7, "audio_tokens": null });
    let reply = is_read(value).await;
    assert_eq!(
        (
            reply.content.as_str(),
            reply.finish,
            reply.usage.cached_tokens
        ),
        ("42", Finish::Other, 7)
    );
}

#[tokio::test]
async fn missing_usage_is_estimated() {
    for usage in [
        Value::Null,
        json!({}),
        json!({ "prompt_tokens": null, "completion_tokens": -3 }),
        json!("many"),
        json!({ "completion_tokens": 1e300 }),
    ] {
        let mut value = reply("12345678");
        value["usage"] = usage;
        let usage = is_read(value).await.usage;
        assert_eq!(usage.completion_tokens, 2);
        assert!(usage.prompt_tokens >= 3);
    }
    let mut value = reply("12345678");
    value.as_object_mut().unwrap().remove("usage");
    assert_eq!(is_read(value).await.usage.completion_tokens, 2);
}

#[tokio::test]
async fn a_huge_body_is_not_read_to_its_end() {
    is_final(Act::Huge(8 << 20), false, "model_malformed").await;
}

#[tokio::test]
async fn a_huge_complaint_is_cut_short() {
    let error = is_final(
        Act::Answer(400, Vec::new(), "x".repeat(4 << 20)),
        false,
        "model_refused",
    )
    .await;
    assert!(error.to_string().len() < 1000);
}

#[tokio::test]
async fn a_refused_key_stops_the_run() {
    is_final(status(401), true, "model_unauthorized").await;
    is_final(status(403), true, "model_unauthorized").await;
}

#[tokio::test]
async fn an_input_that_moderation_holds_back_fails_the_item() {
    let flagged = json!({ "error": { "code": 403, "message": "flagged", "metadata": { "reasons": ["violence"] } } });
    is_final(
        Act::Answer(403, Vec::new(), flagged.to_string()),
        false,
        "model_refused",
    )
    .await;
}

#[tokio::test]
async fn an_unknown_model_stops_the_run() {
    let error = is_final(
        complains(404, "model_not_found", "no such model"),
        true,
        "model_not_found",
    )
    .await;
    assert!(error.to_string().contains("no such model"));
}

#[tokio::test]
async fn a_redirect_stops_the_run() {
    let moved = Act::Answer(
        308,
        vec![("location", "http://127.0.0.1:9/v1".to_owned())],
        String::new(),
    );
    is_final(moved, true, "model_configuration").await;
}

#[tokio::test]
async fn a_refused_request_fails_the_item_for_good() {
    let error = is_final(
        complains(400, "invalid_request", "no"),
        false,
        "model_refused",
    )
    .await;
    assert!(!RecordError::from(error).is_spurious);
    is_final(status(413), false, "model_refused").await;
    is_final(status(422), false, "model_refused").await;
}

#[tokio::test]
async fn a_conversation_that_is_too_long_is_a_limit() {
    let error = is_final(
        complains(400, "context_length_exceeded", "8192 tokens"),
        false,
        "context_length",
    )
    .await;
    assert!(error.is_context_length());
    let record_error = RecordError::from(error);
    assert_eq!(
        (record_error.kind, record_error.is_spurious),
        (FailureKind::Limit, false)
    );
}

#[tokio::test]
async fn arguments_that_are_no_json_are_kept_as_they_are() {
    let mut value = reply("");
    value["choices"][0]["message"] = json!({ "content": null, "tool_calls": [
        { "id": "a", "type": "function", "function": { "name": "python", "arguments": "{\"code\": \"1+" } },
        { "type": "function", "function": { "name": "python", "arguments": { "code": "2" } } },
        { "function": null },
    ] });
    let reply = is_read(value).await;
    assert_eq!(reply.finish, Finish::ToolCalls);
    assert_eq!(
        (
            reply.tool_calls[0].id.as_str(),
            reply.tool_calls[0].arguments.as_str()
        ),
        ("a", "{\"code\": \"1+")
    );
    assert_eq!(
        (
            reply.tool_calls[1].id.as_str(),
            reply.tool_calls[1].arguments.as_str()
        ),
        ("call_1", "{\"code\":\"2\"}")
    );
    assert_eq!(reply.tool_calls[2].name, "");
}

#[tokio::test]
async fn a_refused_connection_fails_the_item() {
    let closed = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let model = Bench::new(&format!("http://{closed}/v1")).open();
    let error = model.complete(&asks("anyone?")).await.unwrap_err();
    assert_eq!(
        (error.reason(), error.stops_the_run()),
        ("model_connection", false),
        "{error}"
    );
}

#[tokio::test]
async fn an_endpoint_that_does_not_speak_tls_fails_the_item() {
    let server = Server::acts(vec![says("42")]).await;
    let model = Bench::new(&server.base_url.replace("http:", "https:")).open();
    let error = model.complete(&asks("anyone?")).await.unwrap_err();
    assert_eq!(error.reason(), "model_connection", "{error}");
}

#[tokio::test]
async fn the_newer_name_of_the_token_limit_is_learnt() {
    let server = Server::start(|_, seen| {
        if seen.body.get("max_tokens").is_some() {
            complains(
                400,
                "unsupported_parameter",
                "use 'max_completion_tokens' instead",
            )
        } else {
            says("42")
        }
    })
    .await;
    let model = Bench::new(&server.base_url).open();
    let mut request = asks("how many?");
    request.sampling.max_tokens = Some(100);
    model.complete(&request).await.unwrap();
    request.sample = 1;
    model.complete(&request).await.unwrap();
    assert_eq!(server.requests(), 3);
    assert_eq!(server.seen()[2].body["max_completion_tokens"], 100);
}

#[tokio::test]
async fn vectors_that_do_not_fit_the_texts_are_asked_for_again() {
    let good = json!({ "data": [{ "index": 0, "embedding": [1.0, 0.5] }], "usage": { "prompt_tokens": 1 } });
    for odd in [
        json!({ "data": [] }),
        json!({ "data": [{ "embedding": [] }] }),
        json!({ "data": [{ "embedding": ["a"] }] }),
        json!({ "data": [{ "index": 9, "embedding": [1.0] }] }),
        json!({}),
    ] {
        let server = Server::acts(vec![body(&odd), body(&good)]).await;
        let model = Bench::new(&server.base_url).open();
        assert_eq!(
            model.embed(&["a".to_owned()]).await.unwrap(),
            [[1.0, 0.5]],
            "{odd}"
        );
        assert_eq!(server.requests(), 2);
    }
}
