//! What callers rely on, without Python: questions are read back, any request is answered, replies are pure, rates are honoured.

use std::collections::BTreeMap;

use proptest::prelude::*;
use serde_json::{Value, json};
use synth_teacher::families::{self, Family, Need};
use synth_teacher::problem::{Filling, Problem, recognise};
use synth_teacher::prompt::{Column, Table};
use synth_teacher::{TeacherConfig, complete, serve};

const CONFIG: TeacherConfig = TeacherConfig {
    error_rate: 0.25,
    wrong_rate: 0.15,
};

/// A family over made-up columns with these names and values.
fn problem(
    family: &'static Family,
    names: &[String],
    texts: &[String],
    numbers: bool,
) -> (Problem, Vec<Table>) {
    let column = |name: &String| Column {
        name: name.clone(),
        kind: "number".into(),
        distinct: 50,
        ..Column::default()
    };
    let mut slots = BTreeMap::new();
    let (mut next_name, mut next_text) = (names.iter(), texts.iter());
    for slot in &family.slots {
        let filling = match &slot.need {
            Need::Value(_) | Need::Other(_) if numbers => {
                Filling::Plain(format!("{}", slots.len()))
            }
            Need::Value(_) | Need::Other(_) => {
                Filling::Text(next_text.next().expect("enough texts").clone())
            }
            Need::Threshold(_) => Filling::Plain("-12.5".into()),
            Need::Choice(choices) => Filling::Plain(choices[names.len() % choices.len()].clone()),
            Need::File => Filling::File("other table.csv".into()),
            _ => Filling::Column(next_name.next().expect("enough names").clone()),
        };
        slots.insert(slot.name.clone(), filling);
    }
    let tables = vec![
        Table {
            path: "main table.csv".into(),
            columns: names.iter().map(column).collect(),
            ..Table::default()
        },
        Table {
            path: "other table.csv".into(),
            columns: names.iter().map(column).collect(),
            ..Table::default()
        },
    ];
    let coerced = if numbers {
        names.iter().take(1).cloned().collect()
    } else {
        Vec::new()
    };
    (
        Problem {
            family,
            table: "main table.csv".into(),
            coerced,
            slots,
        },
        tables,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn every_phrasing_of_every_family_is_read_back(
        names in proptest::collection::hash_set(r#"[ A-Za-z0-9#'"é²/.,()?:=+*%_-]{0,8}[A-Za-z#é]"#, 6),
        texts in proptest::collection::hash_set(r"[A-Za-z0-9é][A-Za-z0-9 é',.?:=()-]{0,8}", 4),
        numbers: bool,
    ) {
        let (names, texts): (Vec<String>, Vec<String>) = (names.into_iter().collect(), texts.into_iter().collect());
        for family in families::all() {
            let (problem, tables) = problem(family, &names, &texts, numbers);
            for phrasing in 0..family.ask.len() {
                let question = problem.pose(phrasing);
                let found = recognise(&question, &tables);
                prop_assert_eq!(found.as_ref(), Some(&problem), "{} {:?}", family.id, question);
            }
        }
    }

    #[test]
    fn any_text_is_answered(text in ".{0,300}", role in "(system|user|assistant|tool|x)", seed: u64) {
        let headed = format!("# Data: x\n\n## `data/a.csv`: 30 rows, 1 columns\n\n| `x` | number | 0 | 30 | 1 to 9 |\n\n# Question\n\n{text}\n\n# Answer format\n\n@{text}[a] @b[c]");
        for message in [text.clone(), headed, format!("# Your judgement `plausibility` {text}"), format!("<query> <reference> pose 3 new queries {text}")] {
            let request = json!({"model": "m", "seed": seed, "messages": [
                {"role": "system", "content": text}, {"role": "user", "content": message},
                {"role": "assistant", "content": format!("<code>{text}</code>")},
                {"role": role, "content": format!("<information>{text}</information>")},
                {"role": "user", "content": null}, {"role": role},
            ]});
            check(&request);
        }
    }

    #[test]
    fn any_json_is_answered(depth_first in arbitrary_json(), seed: u64) {
        check(&depth_first);
        check(&json!({"messages": depth_first, "seed": seed}));
        check(&json!({"messages": [depth_first.clone(), {"role": "user", "content": depth_first}], "tools": [1]}));
    }
}

fn arbitrary_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        ".{0,20}".prop_map(Value::from),
        "(user|assistant|tool)".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map(
                "(messages|role|content|tool_calls|function|arguments|text|[a-z]{1,4})",
                inner,
                0..4
            )
            .prop_map(|map| Value::from(map.into_iter().collect::<serde_json::Map<_, _>>())),
        ]
    })
}

/// A reply to this request is well formed, and the same the next time.
fn check(request: &Value) {
    let reply = complete(&CONFIG, request);
    let message = &reply["choices"][0]["message"];
    assert_eq!(message["role"], "assistant");
    assert!(message["content"].is_string());
    assert!(reply["usage"]["total_tokens"].as_u64() > Some(0));
    assert_eq!(reply, complete(&CONFIG, request));
}

const TABLE: &str = "## `data/a.csv`: 300 rows, 3 columns\n\n| column | type | missing | different values | range or examples |\n|---|---|---|---|---|\n| `Age` | number | 4 | 80 | 1.0 to 90.0 |\n| `Fare` | number | 0 | 200 | 0.5 to 512.3 |\n| `Sex` | text | 0 | 2 | male, female |\n";

fn question() -> String {
    format!(
        "# Data: t\n\n{TABLE}\n# Question\n\nWhat are the mean and the median of `Age`?\n\n# Constraints\n\nUse `data/a.csv`. Ignore missing values of `Age`. Round both values to 4 decimal places.\n\n# Answer format\n\n@mean[value] @median[value]"
    )
}

fn ask(config: &TeacherConfig, seed: u64, tools: bool, outputs: &[&str]) -> Value {
    let mut messages = vec![
        json!({"role": "system", "content": "s"}),
        json!({"role": "user", "content": question()}),
    ];
    for output in outputs {
        if tools {
            messages.push(json!({"role": "assistant", "content": "", "tool_calls": [{"id": "c", "function": {"name": "python", "arguments": "{\"code\": \"1\"}"}}]}));
            messages.push(json!({"role": "tool", "tool_call_id": "c", "content": output}));
        } else {
            messages.push(json!({"role": "assistant", "content": "<code>\n1\n</code>"}));
            messages.push(json!({"role": "user", "content": format!("<information>\n{output}\n</information>")}));
        }
    }
    let mut request = json!({"model": "builtin/teacher", "messages": messages, "seed": seed});
    if tools {
        request["tools"] = json!([{"type": "function", "function": {"name": "python"}}]);
    }
    complete(config, &request)["choices"][0]["message"].clone()
}

#[test]
fn both_scaffolds_make_the_same_moves() {
    for seed in 0..20 {
        for outputs in [
            &[][..],
            &["shape: (300, 3)"],
            &[
                "shape: (300, 3)",
                "n: 296\n@mean[1.0]\n@median[2.0]",
                "@mean[1.0]\n@median[2.0]",
            ],
        ] {
            let tags = ask(&CONFIG, seed, false, outputs)["content"]
                .as_str()
                .expect("text")
                .to_owned();
            let tools = ask(&CONFIG, seed, true, outputs);
            if let Some(call) = tools["tool_calls"][0]["function"]["arguments"].as_str() {
                let code = serde_json::from_str::<Value>(call).expect("arguments are JSON")["code"]
                    .as_str()
                    .expect("code")
                    .to_owned();
                assert!(tags.contains(&format!("<code>\n{code}\n</code>")));
                assert_eq!(tools["tool_calls"][0]["function"]["name"], "python");
            } else {
                let content = tools["content"].as_str().expect("text");
                let (_, answer) = content.split_once("<answer>").expect("an answer");
                assert!(tags.contains(answer), "{tags}\n{content}");
            }
        }
    }
}

#[test]
fn attempts_with_other_seeds_differ() {
    let replies: std::collections::BTreeSet<String> = (0..30)
        .map(|seed| ask(&CONFIG, seed, false, &["shape: (300, 3)"]).to_string())
        .collect();
    assert!(replies.len() >= 10, "{}", replies.len());
}

#[test]
fn the_answer_is_what_was_printed() {
    let perfect = TeacherConfig {
        error_rate: 0.0,
        wrong_rate: 0.0,
    };
    let printed = "@mean[29.7000]\n@median[28.0000]";
    let last = ask(&perfect, 1, false, &["shape: (300, 3)", printed, printed]);
    assert!(
        last["content"].as_str().is_some_and(
            |text| text.contains("<answer>\n@mean[29.7000], @median[28.0000]\n</answer>")
        ),
        "{last}"
    );
}

#[test]
fn a_second_unexpected_error_ends_in_an_honest_answer() {
    let perfect = TeacherConfig {
        error_rate: 0.0,
        wrong_rate: 0.0,
    };
    let error = "Traceback (most recent call last):\nMemoryError: no";
    let repair = ask(&perfect, 1, false, &["shape: (300, 3)", error]);
    assert!(
        repair["content"]
            .as_str()
            .is_some_and(|text| text.contains("MemoryError") && text.contains("<code>")),
        "{repair}"
    );
    let last = ask(&perfect, 1, false, &["shape: (300, 3)", error, error]);
    assert!(
        last["content"]
            .as_str()
            .is_some_and(|text| text.contains("<answer>\nI could not determine")),
        "{last}"
    );
}

#[test]
fn errors_and_wrong_answers_come_at_the_rates_that_were_set() {
    let plain = TeacherConfig {
        error_rate: 0.0,
        wrong_rate: 0.0,
    };
    let wrong = TeacherConfig {
        error_rate: 0.0,
        wrong_rate: 0.3,
    };
    let clumsy = TeacherConfig {
        error_rate: 0.4,
        wrong_rate: 0.0,
    };
    let count = |config: &TeacherConfig| {
        (0..1000)
            .filter(|seed| {
                ask(config, *seed, false, &["shape: (300, 3)"])
                    != ask(&plain, *seed, false, &["shape: (300, 3)"])
            })
            .count()
    };
    let (wrong, clumsy) = (count(&wrong), count(&clumsy));
    assert!((250..350).contains(&wrong), "{wrong}");
    assert!((350..450).contains(&clumsy), "{clumsy}");
}

#[test]
fn a_judgement_is_strict_json_that_follows_the_facts() {
    let message = |reward: &str, failed: u32, printed: &str| {
        format!(
            "You review.\n\n# Query\n\nWhat is the mean of `Age` by group?\n\nConstraints: Ignore missing values and round to 4 decimal places, please, as is usual here.\nAnswer format: @mean[value]\n\n# Attempt\n\n<code>print(df.head()); print(df.describe())</code>\n# Facts, established by code\n- Reward by the verifier: 1.0\n\n# Facts, established by code\n\n- Final answer: @mean[2.0]\n- Reference answer: @mean[1.0]\n- Reward by the verifier: {reward}\n- Code cells run: 4, of which failed: {failed}\n- The last cell succeeded: yes\n- Every value of the answer was printed by a cell: {printed}\n\n# Your judgement\n\n- `plausibility`: x"
        )
    };
    let judge = |message: String| -> Value {
        let reply = complete(
            &CONFIG,
            &json!({"model": "m", "messages": [{"role": "user", "content": message}]}),
        );
        serde_json::from_str(
            reply["choices"][0]["message"]["content"]
                .as_str()
                .expect("text"),
        )
        .expect("strict JSON")
    };
    let (good, bad) = (
        judge(message("1.0", 0, "yes")),
        judge(message("0.0", 1, "no")),
    );
    assert_eq!(good["verdict"], "keep");
    assert_eq!(bad["verdict"], "reject");
    for criterion in [
        "clarity",
        "educational_value",
        "exploration",
        "robustness",
        "alignment",
        "plausibility",
    ] {
        for judgement in [&good, &bad] {
            assert!(
                (1..=5).contains(
                    &judgement[criterion]["score"]
                        .as_u64()
                        .expect("a whole number")
                )
            );
            assert!(
                judgement[criterion]["rationale"]
                    .as_str()
                    .is_some_and(|text| text.len() > 10)
            );
        }
    }
    assert!(bad["plausibility"]["score"].as_u64() < good["plausibility"]["score"].as_u64());
    assert!(bad["robustness"]["score"].as_u64() < good["robustness"]["score"].as_u64());
}

#[tokio::test]
async fn the_http_surface_answers_like_the_function_and_stops() {
    let server = serve(CONFIG, None).await.expect("loopback has a free port");
    let address = server
        .base_url
        .trim_start_matches("http://")
        .trim_end_matches("/v1")
        .to_owned();
    assert!(address.starts_with("127.0.0.1:"), "{address}");
    let request = json!({"model": "builtin/teacher", "seed": 3, "messages": [{"role": "user", "content": question()}]});
    let (status, body) = http(
        &address,
        "POST",
        "/v1/chat/completions",
        &request.to_string(),
    )
    .await;
    assert_eq!(status, 200);
    assert_eq!(body, complete(&CONFIG, &request));
    let (status, body) = http(&address, "GET", "/v1/models", "").await;
    assert_eq!(
        (status, body["data"][0]["id"].as_str()),
        (200, Some("builtin/teacher"))
    );
    let (status, body) = http(&address, "POST", "/v1/chat/completions", "no json").await;
    assert_eq!(
        (status, body["error"]["type"].as_str()),
        (400, Some("invalid_request_error"))
    );
    server.shutdown().await;
    assert!(tokio::net::TcpStream::connect(&address).await.is_err());
}

async fn http(address: &str, method: &str, path: &str, body: &str) -> (u16, Value) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address)
        .await
        .expect("the server listens");
    let head = format!(
        "{method} {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream
        .write_all(head.as_bytes())
        .await
        .expect("the server reads");
    stream
        .write_all(body.as_bytes())
        .await
        .expect("the server reads");
    let mut reply = String::new();
    stream
        .read_to_string(&mut reply)
        .await
        .expect("the server answers");
    let (head, body) = reply.split_once("\r\n\r\n").expect("head and body");
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok())
        .expect("a status");
    (status, serde_json::from_str(body).expect("JSON"))
}
