//! What the layers around an endpoint promise: memory, one call for many, budget, limits, recordings.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use synth_core::config::{Provider, Structured};
use synth_core::{FailureKind, RecordError, ToolCall};
use synth_llm::{Budget, ChatRequest, Message, Meter, ModelError, ReplySchema, ToolSpec};

use crate::support::{Act, Bench, MapMemo, Seen, Server, asks, body, complains, says, status};

fn late(act: Act) -> Act {
    Act::Late(Duration::from_millis(50), Box::new(act))
}

/// Answers with the number of the request.
async fn counting() -> Server {
    Server::start(|number, _| says(&number.to_string())).await
}

/// Embeds a text as its length and its first byte.
async fn embedding() -> Server {
    Server::start(|_, seen: &Seen| {
        let texts = seen.body["input"].as_array().unwrap();
        let vector = |text: &Value| {
            json!([
                text.as_str().unwrap().len(),
                text.as_str().unwrap().as_bytes()[0]
            ])
        };
        let one = |(index, text)| json!({ "index": index, "embedding": vector(text) });
        // Out of order, as the protocol allows.
        let data: Vec<Value> = texts.iter().enumerate().map(one).rev().collect();
        body(json!({ "data": data, "usage": { "prompt_tokens": 3, "total_tokens": 3 } }))
    })
    .await
}

#[tokio::test]
async fn identical_requests_in_flight_are_sent_once() {
    let server = Server::acts(vec![late(says("42"))]).await;
    let bench = Bench::new(&server.base_url);
    let model = bench.open();
    let request = asks("how many?");
    let replies = join_all((0..20).map(|_| model.complete(&request))).await;
    assert!(
        replies
            .iter()
            .all(|reply| reply.as_ref().unwrap().content == "42")
    );
    assert_eq!(
        replies
            .iter()
            .filter(|reply| !reply.as_ref().unwrap().cached)
            .count(),
        1
    );
    assert_eq!(server.requests(), 1);
    let counts = bench.meter.snapshot().total;
    assert_eq!(
        (counts.calls, counts.cached_replies, counts.prompt_tokens),
        (1, 19, 10)
    );
}

#[tokio::test]
async fn identical_requests_in_flight_share_a_failure_and_a_later_one_tries_anew() {
    let server = Server::acts(vec![late(complains(400, "bad", "no")), says("42")]).await;
    let model = Bench::new(&server.base_url).open();
    let request = asks("how many?");
    let replies = join_all((0..5).map(|_| model.complete(&request))).await;
    assert!(
        replies
            .iter()
            .all(|reply| matches!(reply, Err(ModelError::Refused { .. })))
    );
    assert_eq!(server.requests(), 1);
    assert_eq!(model.complete(&request).await.unwrap().content, "42");
}

#[tokio::test]
async fn a_call_that_is_given_up_is_made_by_one_who_waits_for_it() {
    let server = Server::acts(vec![Act::Silence, says("42")]).await;
    let model = Bench::new(&server.base_url).open();
    let request = asks("how many?");
    let given_up = tokio::time::timeout(Duration::from_millis(150), model.complete(&request));
    let (given_up, reply) = tokio::join!(given_up, model.complete(&request));
    assert!(given_up.is_err());
    assert_eq!(reply.unwrap().content, "42");
    assert_eq!(server.requests(), 2);
}

#[tokio::test]
async fn what_was_paid_for_is_remembered_by_a_model_that_is_opened_again() {
    let server = counting().await;
    let mut bench = Bench::new(&server.base_url);
    let first = bench.open().complete(&asks("how many?")).await.unwrap();
    // The endpoint may move: it is not part of what was asked.
    bench.config.base_url = "http://127.0.0.1:9/v1".to_owned();
    let second = bench.open().complete(&asks("how many?")).await.unwrap();
    assert!(second.cached && !first.cached);
    assert_eq!(
        (first.content, first.usage, first.finish),
        (second.content, second.usage, second.finish)
    );
    assert_eq!(server.requests(), 1);
}

#[tokio::test]
async fn whatever_is_asked_differently_is_asked_again() {
    let server = counting().await;
    let bench = Bench::new(&server.base_url);
    let model = bench.open();
    let plain = asks("how many?");
    let mut requests = vec![plain.clone(); 6];
    requests[1].sample = 1;
    requests[2].sampling.temperature = Some(0.5);
    requests[3].tools.push(ToolSpec {
        name: "python".to_owned(),
        description: String::new(),
        parameters: json!({}),
    });
    requests[4].schema = Some(ReplySchema {
        name: "answer".to_owned(),
        schema: json!({ "type": "object" }),
    });
    requests[5].messages.push(Message::assistant("seven"));
    for request in requests.iter().chain(&requests) {
        model.complete(request).await.unwrap();
    }
    assert_eq!(server.requests(), requests.len());
    let mut other = Bench::new(&server.base_url);
    other.memo = Arc::clone(&bench.memo);
    other.config.model = "other-model".to_owned();
    other.open().complete(&plain).await.unwrap();
    assert_eq!(server.requests(), requests.len() + 1);
}

#[tokio::test]
async fn each_sample_has_a_seed_of_its_own() {
    let server = counting().await;
    let mut bench = Bench::new(&server.base_url);
    let model = bench.open();
    let mut request = asks("how many?");
    model.complete(&request).await.unwrap();
    request.sampling.seed = Some(u64::MAX);
    model.complete(&request).await.unwrap();
    request.sampling.seed = Some(7);
    request.sample = 2;
    model.complete(&request).await.unwrap();
    bench.config.seeds = false;
    request.sample = 4;
    bench.open().complete(&request).await.unwrap();
    // The builtin teacher always draws from a seed.
    bench.config.provider = Provider::Builtin;
    let (memo, budget) = (bench.memo.clone(), Arc::new(Budget::unlimited()));
    let teacher = synth_llm::open(
        "teacher",
        &bench.config,
        Some(&server.base_url),
        memo,
        budget,
        Arc::new(Meter::new()),
    )
    .unwrap();
    teacher
        .complete(&ChatRequest {
            sample: 3,
            ..asks("how many?")
        })
        .await
        .unwrap();
    let seeds: Vec<Value> = server
        .seen()
        .iter()
        .map(|seen| seen.body["seed"].clone())
        .collect();
    assert_eq!(
        seeds,
        [
            Value::Null,
            json!(i64::MAX),
            json!(9),
            Value::Null,
            json!(3)
        ]
    );
}

#[tokio::test]
async fn a_reply_that_cannot_be_kept_is_not_returned() {
    let server = counting().await;
    let mut bench = Bench::new(&server.base_url);
    bench.memo = Arc::new(MapMemo::broken());
    let error = bench.open().complete(&asks("how many?")).await.unwrap_err();
    assert!(matches!(error, ModelError::Memo(_)));
    assert!(error.stops_the_run());
}

#[tokio::test]
async fn a_spent_budget_stops_new_calls_and_not_the_memory() {
    let server = counting().await;
    for (usd, tokens, key) in [(0.03, 0, "usd"), (0.0, 30, "tokens")] {
        let mut bench = Bench::new(&server.base_url);
        bench.budget.usd = usd;
        bench.budget.tokens = tokens;
        let model = bench.open();
        let before = server.requests();
        for sample in 0..2 {
            model
                .complete(&ChatRequest {
                    sample,
                    ..asks("how many?")
                })
                .await
                .unwrap();
        }
        let error = model
            .complete(&ChatRequest {
                sample: 2,
                ..asks("how many?")
            })
            .await
            .unwrap_err();
        assert!(
            matches!(&error, ModelError::BudgetReached { key: reached, .. } if *reached == key),
            "{error}"
        );
        assert!(error.stops_the_run());
        let record_error = RecordError::from(error);
        assert_eq!(
            (record_error.kind, record_error.is_spurious),
            (FailureKind::Limit, true)
        );
        assert!(model.complete(&asks("how many?")).await.unwrap().cached);
        assert_eq!(server.requests() - before, 2);
    }
}

#[tokio::test]
async fn models_share_a_budget() {
    let server = counting().await;
    let mut bench = Bench::new(&server.base_url);
    bench.budget.tokens = 15;
    let budget = Arc::new(Budget::new(&bench.budget));
    let open = |model: &str| {
        let config = synth_core::config::ModelConfig {
            model: model.to_owned(),
            ..bench.config.clone()
        };
        synth_llm::open(
            model,
            &config,
            None,
            bench.memo.clone(),
            Arc::clone(&budget),
            Arc::clone(&bench.meter),
        )
        .unwrap()
    };
    open("a").complete(&asks("how many?")).await.unwrap();
    assert!(matches!(
        open("b").complete(&asks("how many?")).await,
        Err(ModelError::BudgetReached { .. })
    ));
    let snapshot = bench.meter.snapshot();
    assert_eq!(
        (
            snapshot.models["a"].calls,
            snapshot.models["b"].calls,
            snapshot.total.calls
        ),
        (1, 0, 1)
    );
}

#[tokio::test]
async fn never_more_calls_are_in_flight_than_configured() {
    let server = Server::acts(vec![Act::Late(
        Duration::from_millis(10),
        Box::new(says("42")),
    )])
    .await;
    let mut bench = Bench::new(&server.base_url);
    bench.config.concurrency = 3;
    let model = bench.open();
    let requests: Vec<ChatRequest> = (0..30)
        .map(|sample| ChatRequest {
            sample,
            ..asks("how many?")
        })
        .collect();
    for reply in join_all(requests.iter().map(|request| model.complete(request))).await {
        reply.unwrap();
    }
    assert_eq!((server.requests(), server.most_at_once()), (30, 3));
}

#[tokio::test]
async fn a_limited_endpoint_is_served_to_the_end() {
    // Two of three requests meet a limit.
    let server = Server::start(|number, _| {
        if number % 3 == 2 {
            says("42")
        } else {
            status(429)
        }
    })
    .await;
    let mut bench = Bench::new(&server.base_url);
    bench.patience.retries = 50;
    let model = bench.open();
    let requests: Vec<ChatRequest> = (0..40)
        .map(|sample| ChatRequest {
            sample,
            ..asks("how many?")
        })
        .collect();
    for reply in join_all(requests.iter().map(|request| model.complete(request))).await {
        reply.unwrap();
    }
    assert_eq!(server.requests(), 120);
    assert_eq!(bench.meter.snapshot().total.retries, 80);
}

#[tokio::test]
async fn a_recording_answers_without_a_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/exchanges.jsonl");
    let server = counting().await;
    let mut bench = Bench::new(&server.base_url);
    let requests: Vec<ChatRequest> = (0..4)
        .map(|sample| ChatRequest {
            sample,
            ..asks("how many?")
        })
        .collect();
    // What the memory answers belongs into a recording too, and nothing twice.
    bench.open().complete(&requests[0]).await.unwrap();
    bench.config.record = path.clone();
    let mut recorded = Vec::new();
    for _ in 0..2 {
        let model = bench.open();
        recorded.clear();
        for request in &requests {
            recorded.push(model.complete(request).await.unwrap());
        }
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 4);
    drop(server);

    let mut replayed = Bench::new("");
    replayed.config.provider = Provider::Replay;
    replayed.config.exchanges = path.clone();
    let model = replayed.open();
    for (request, recorded) in requests.iter().zip(&recorded) {
        assert_eq!(&model.complete(request).await.unwrap(), recorded);
    }
    let error = model.complete(&asks("never asked")).await.unwrap_err();
    assert!(matches!(error, ModelError::Replay { .. }));
    assert!(error.to_string().contains("record"), "{error}");
    let said = synth_llm::check(&replayed.config).await.unwrap();
    assert!(said.contains("4 exchanges"), "{said}");
}

#[tokio::test]
async fn a_torn_recording_goes_on_after_its_last_whole_line() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("exchanges.jsonl");
    let server = counting().await;
    let mut bench = Bench::new(&server.base_url);
    bench.config.record = path.clone();
    bench.open().complete(&asks("one")).await.unwrap();
    let whole = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, format!("{whole}{}", &whole[..whole.len() / 2])).unwrap();

    let mut replayed = Bench::new("");
    replayed.config.provider = Provider::Replay;
    replayed.config.exchanges = path.clone();
    replayed.open().complete(&asks("one")).await.unwrap();

    bench.open().complete(&asks("two")).await.unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
    replayed.open().complete(&asks("two")).await.unwrap();

    std::fs::write(&path, format!("nonsense\n{whole}")).unwrap();
    let error = replayed.try_open().err().unwrap();
    assert!(error.to_string().contains("line 1"), "{error}");
}

#[tokio::test]
async fn a_recording_that_cannot_be_written_stops_the_run() {
    let mut bench = Bench::new("http://127.0.0.1:9/v1");
    bench.config.record = "/dev/null/exchanges.jsonl".into();
    assert!(bench.try_open().err().unwrap().stops_the_run());
}

#[tokio::test]
async fn texts_are_embedded_once_in_batches_and_in_order() {
    let folder = tempfile::tempdir().unwrap();
    let server = embedding().await;
    let mut bench = Bench::new(&server.base_url);
    bench.config.record = folder.path().join("exchanges.jsonl");
    let model = bench.open();
    let texts: Vec<String> = (0..150)
        .map(|number| {
            format!(
                "{}{}",
                (b'a' + number % 26) as char,
                "x".repeat(usize::from(number % 50))
            )
        })
        .collect();
    let vectors = model.embed(&texts).await.unwrap();
    for (text, vector) in texts.iter().zip(&vectors) {
        assert_eq!(vector, &[text.len() as f32, f32::from(text.as_bytes()[0])]);
    }
    assert_eq!(server.requests(), 3);
    assert_eq!(
        bench.open().embed(&texts[20..40]).await.unwrap(),
        vectors[20..40]
    );
    assert_eq!(
        bench
            .open()
            .embed(&["new".to_owned(), texts[3].clone()])
            .await
            .unwrap()[1],
        vectors[3]
    );
    assert_eq!(server.requests(), 4);
    assert_eq!(server.seen()[3].body["input"], json!(["new"]));
    assert!(model.embed(&[]).await.unwrap().is_empty());

    let mut replayed = Bench::new("");
    replayed.config.provider = Provider::Replay;
    replayed.config.exchanges = bench.config.record.clone();
    assert_eq!(replayed.open().embed(&texts).await.unwrap(), vectors);
}

#[tokio::test]
async fn the_same_text_twice_is_sent_once() {
    let server = embedding().await;
    let model = Bench::new(&server.base_url).open();
    let texts = ["same".to_owned(), "same".to_owned()];
    let (one, other) = tokio::join!(model.embed(&texts), model.embed(&texts));
    assert_eq!(one.unwrap(), other.unwrap());
    assert_eq!(server.requests(), 1);
    assert_eq!(server.seen()[0].body["input"], json!(["same"]));
}

#[tokio::test]
async fn a_conversation_arrives_as_it_was_meant() {
    let server = counting().await;
    let mut bench = Bench::new(&server.base_url);
    bench.config.structured = Structured::JsonSchema;
    let call = ToolCall {
        id: "c1".to_owned(),
        name: "python".to_owned(),
        arguments: "1 +".to_owned(),
    };
    let mut request = ChatRequest {
        messages: vec![
            Message::System("be brief".to_owned()),
            Message::User("how many?".to_owned()),
            Message::Assistant {
                content: String::new(),
                tool_calls: vec![call],
            },
            Message::Tool {
                call_id: "c1".to_owned(),
                content: "error".to_owned(),
            },
        ],
        tools: vec![ToolSpec {
            name: "python".to_owned(),
            description: "runs".to_owned(),
            parameters: json!({ "type": "object" }),
        }],
        schema: Some(ReplySchema {
            name: "answer".to_owned(),
            schema: json!({ "type": "object", "properties": { "n": {} }, "required": ["n"], "additionalProperties": false }),
        }),
        ..ChatRequest::default()
    };
    request.sampling.temperature = Some(0.5);
    request.sampling.max_tokens = Some(64);
    bench.open().complete(&request).await.unwrap();
    bench.config.structured = Structured::JsonObject;
    bench.open().complete(&request).await.unwrap();
    bench.config.structured = Structured::Prompt;
    bench.open().complete(&request).await.unwrap();
    let seen = server.seen();
    assert_eq!(seen[0].path, "/v1/chat/completions");
    let body = &seen[0].body;
    assert_eq!(
        body["messages"][0],
        json!({ "role": "system", "content": "be brief" })
    );
    assert_eq!(body["messages"][2]["content"], Value::Null);
    // Arguments that are no JSON would make several servers refuse the whole conversation.
    assert_eq!(
        body["messages"][2]["tool_calls"][0]["function"]["arguments"],
        r#"{"arguments":"1 +"}"#
    );
    assert_eq!(
        body["messages"][3],
        json!({ "role": "tool", "tool_call_id": "c1", "content": "error" })
    );
    assert_eq!(body["tools"][0]["function"]["name"], "python");
    assert_eq!(
        (&body["temperature"], &body["max_tokens"], &body["stream"]),
        (&json!(0.5), &json!(64), &json!(false))
    );
    assert_eq!(body["response_format"]["json_schema"]["strict"], true);
    assert_eq!(
        seen[1].body["response_format"],
        json!({ "type": "json_object" })
    );
    assert_eq!(seen[2].body.get("response_format"), None);
}

#[tokio::test]
async fn a_configuration_that_cannot_work_says_so_before_anything_is_sent() {
    let somewhere = || Bench::new("http://127.0.0.1:9/v1");
    let (mut builtin, mut replay, mut nameless, mut misheaded) =
        (somewhere(), somewhere(), somewhere(), somewhere());
    builtin.config.provider = Provider::Builtin;
    replay.config.provider = Provider::Replay;
    nameless.config.model.clear();
    misheaded
        .config
        .headers
        .insert("no spaces".to_owned(), "x".to_owned());
    let cases = [
        (Bench::new(""), "base_url"),
        (Bench::new("localhost:8000/v1"), "base_url"),
        (Bench::new("file:///etc"), "base_url"),
        (builtin, "teacher"),
        (replay, "exchanges"),
        (nameless, "`model`"),
        (misheaded, "headers"),
    ];
    for (bench, hint) in cases {
        let error = bench.try_open().err().unwrap();
        assert!(
            error.stops_the_run() && error.to_string().contains(hint),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_check_tells_whether_the_endpoint_is_there() {
    let listed = body(json!({ "data": [{ "id": "test-model" }] }));
    let server = Server::acts(vec![
        listed,
        body(json!({ "data": [{ "id": "x" }] })),
        status(404),
        status(401),
    ])
    .await;
    let config = Bench::new(&server.base_url).config;
    assert!(
        synth_llm::check(&config)
            .await
            .unwrap()
            .contains("serves `test-model`")
    );
    assert!(
        synth_llm::check(&config)
            .await
            .unwrap()
            .contains("does not list `test-model`")
    );
    assert!(
        synth_llm::check(&config)
            .await
            .unwrap()
            .contains("lists no models")
    );
    assert!(matches!(
        synth_llm::check(&config).await,
        Err(ModelError::Unauthorized { .. })
    ));
    assert_eq!(server.seen()[0].path, "/v1/models");
    let config = Bench::new("http://127.0.0.1:9/v1").config;
    assert!(matches!(
        synth_llm::check(&config).await,
        Err(ModelError::Connection { .. })
    ));
}
