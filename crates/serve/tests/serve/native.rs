//! The native API over real sandboxes: what a client may do, what it may not, and what becomes of what it leaves behind.

use std::time::{Duration, Instant};

use crate::support::Place;
use reqwest::Method;
use serde_json::{Value, json};
use synth_serve::{Api, Tokens};

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_keeps_its_state_and_is_gone_when_it_is_closed() {
    let place = Place::start(Api::Native).await;
    let sandbox = place.open().await;
    place.execute(&sandbox, "x = 41").await;
    let answer = place.execute(&sandbox, "print('p')\nx + 1").await;
    assert_eq!(
        (&answer["outcome"], &answer["stdout"], &answer["value"]),
        (&json!("ok"), &json!("p\n"), &json!("42"))
    );
    let raised = place.execute(&sandbox, "1 / 0").await;
    assert_eq!(raised["outcome"], "error");
    assert_eq!(raised["name"], "ZeroDivisionError");
    let shown: Value = place.get(&sandbox).await.json().await.unwrap();
    assert_eq!(
        (&shown["cells"], &shown["busy"]),
        (&json!(3), &json!(false))
    );
    let listed: Value = place.get("/v1/sandboxes").await.json().await.unwrap();
    assert_eq!(listed["sandboxes"][0]["id"], shown["id"]);
    assert_eq!(place.delete(&sandbox).await.status(), 204);
    assert_eq!(place.delete(&sandbox).await.status(), 404);
    assert_eq!(place.get(&sandbox).await.status(), 404);
    assert!((place.metric("synth_serve_sandboxes_open").await).abs() < 0.5);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cell_has_the_time_that_its_request_gives_it_and_a_display_comes_with_its_bytes() {
    let place = Place::start(Api::Native).await;
    let sandbox = place.open().await;
    let body = json!({"code": "import time; y = 5; time.sleep(30)", "timeout": 0.3});
    let begun = Instant::now();
    let answer: Value = place
        .post(&format!("{sandbox}/execute"), &body)
        .await
        .json()
        .await
        .unwrap();
    assert!(begun.elapsed() < Duration::from_secs(15));
    assert_eq!(
        (&answer["outcome"], &answer["state_kept"]),
        (&json!("timeout"), &json!(true))
    );
    assert_eq!(place.execute(&sandbox, "y").await["value"], "5");
    let code = "from IPython.display import Image, display\ndisplay(Image(b'\\x89PNG\\r\\n\\x1a\\n' + b'0' * 20, format='png'))";
    let answer = place.execute(&sandbox, code).await;
    let display = &answer["displays"][0];
    assert_eq!(display["media_type"], "image/png", "{answer}");
    let content = data_encoding::BASE64
        .decode(display["data"].as_str().unwrap().as_bytes())
        .unwrap();
    assert_eq!(content.len() as u64, display["bytes"].as_u64().unwrap());
    assert_eq!(
        display["blake3"],
        blake3::hash(&content).to_hex().to_string().as_str()
    );
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_thing_at_a_time_happens_in_a_sandbox_and_health_does_not_wait() {
    let place = Place::start(Api::Native).await;
    let sandbox = place.open().await;
    let path = format!("{sandbox}/execute");
    let slow = json!({"code": "import time\nwhile True: time.sleep(0.05)"});
    let running = place.post(&path, &slow);
    let meanwhile = async {
        place
            .wait_until("the cell runs", async |place| {
                let shown: Value = place.get(&sandbox).await.json().await.unwrap();
                shown["busy"] == true
            })
            .await;
        let begun = Instant::now();
        assert_eq!(place.get("/healthz").await.status(), 200);
        let second = place.post(&path, &json!({"code": "1"})).await;
        assert_eq!(second.status(), 409);
        assert!(second.headers().contains_key("retry-after"));
        let refusal: Value = second.json().await.unwrap();
        assert_eq!(refusal["error"]["code"], "busy");
        let files = place.get(&format!("{sandbox}/files")).await;
        assert_eq!(files.status(), 409);
        assert!(begun.elapsed() < Duration::from_secs(5));
        // The very first of its bytecode may not have begun yet.
        tokio::time::sleep(Duration::from_millis(300)).await;
        let interrupted = place
            .post(&format!("{sandbox}/interrupt"), &Value::Null)
            .await;
        assert_eq!(interrupted.status(), 204);
    };
    let (answer, ()) = tokio::join!(running, meanwhile);
    let answer: Value = answer.json().await.unwrap();
    assert_eq!(answer["name"], "KeyboardInterrupt", "{answer}");
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cell_whose_client_goes_away_is_interrupted_and_its_variables_stay() {
    let place = Place::start(Api::Native).await;
    let sandbox = place.open().await;
    place.execute(&sandbox, "kept = 'yes'").await;
    let body = json!({"code": "import time; time.sleep(50)"});
    let request = place.request(Method::POST, &format!("{sandbox}/execute"));
    let gone = request
        .json(&body)
        .timeout(Duration::from_millis(700))
        .send()
        .await;
    assert!(gone.is_err());
    let begun = Instant::now();
    place
        .wait_until("the cell ends", async |place| {
            let shown: Value = place.get(&sandbox).await.json().await.unwrap();
            shown["busy"] == false
        })
        .await;
    assert!(begun.elapsed() < Duration::from_secs(10));
    assert_eq!(place.execute(&sandbox, "kept").await["value"], "'yes'");

    // One that does not listen is killed, and the next cell is told.
    let deaf = "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\ntime.sleep(50)";
    let request = place.request(Method::POST, &format!("{sandbox}/execute"));
    let gone = request
        .json(&json!({"code": deaf}))
        .timeout(Duration::from_millis(700))
        .send()
        .await;
    assert!(gone.is_err());
    place
        .wait_until("the deaf cell ends", async |place| {
            let shown: Value = place.get(&sandbox).await.json().await.unwrap();
            shown["busy"] == false
        })
        .await;
    let answer = place.execute(&sandbox, "1 + 1").await;
    assert_eq!(answer["value"], "2");
    let said = answer["stderr"].as_str().unwrap();
    assert!(said.contains("started anew"), "{said}");
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sandbox_that_is_left_alone_is_closed_and_its_slot_is_free() {
    let place = Place::with(Api::Native, |options| {
        options.slots = 1;
        options.leases.idle = Duration::from_millis(800);
        options.wait = Duration::from_millis(100);
    })
    .await;
    let sandbox = place.open().await;
    let refused = place.post("/v1/sandboxes", &Value::Null).await;
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    let refused: Value = refused.json().await.unwrap();
    assert_eq!(refused["error"]["code"], "no_slot");
    // A cell that runs for longer than the lease keeps it.
    place
        .execute(&sandbox, "import time; time.sleep(1.5)")
        .await;
    assert_eq!(place.get(&sandbox).await.status(), 200);
    place
        .wait_until("the lease is over", async |place| {
            place.metric("synth_serve_sandboxes_open").await < 0.5
        })
        .await;
    assert_eq!(place.get(&sandbox).await.status(), 404);
    let again = place.open().await;
    assert_ne!(again, sandbox);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_reaches_nothing_of_another_and_nobody_gets_in_without_a_token() {
    let place = Place::with(Api::Native, |options| {
        options.tokens = Tokens::read("first-client-token\nsecond-client-token").unwrap();
        options.client.sandboxes = 1;
    })
    .await;
    let ask = |token: &str, method: Method, path: &str| {
        let request = place.request(method, path).bearer_auth(token);
        async move { request.send().await.unwrap() }
    };
    let first = ask("first-client-token", Method::POST, "/v1/sandboxes").await;
    assert_eq!(first.status(), 201);
    let first: Value = first.json().await.unwrap();
    let path = format!("/v1/sandboxes/{}", first["id"].as_str().unwrap());
    assert_eq!(
        ask("first-client-token", Method::GET, &path).await.status(),
        200
    );
    for method in [Method::GET, Method::DELETE] {
        let other = ask("second-client-token", method, &path).await;
        assert_eq!(other.status(), 404);
    }
    let more = ask("first-client-token", Method::POST, "/v1/sandboxes").await;
    assert_eq!(more.status(), 429);
    // What the other has does not count.
    let second = ask("second-client-token", Method::POST, "/v1/sandboxes").await;
    assert_eq!(second.status(), 201);

    let upload = place
        .request(Method::POST, "/v1/files")
        .bearer_auth("first-client-token")
        .body("a,b\n1,2\n")
        .send()
        .await
        .unwrap();
    let upload: Value = upload.json().await.unwrap();
    let hash = upload["blake3"].as_str().unwrap();
    let wanted = json!({"files": [{"path": "t.csv", "blake3": hash}]});
    let stolen = place
        .request(Method::POST, "/v1/sandboxes")
        .bearer_auth("second-client-token")
        .json(&wanted)
        .send()
        .await
        .unwrap();
    assert_eq!(stolen.status(), 404);

    for path in [
        "/v1/sandboxes",
        path.as_str(),
        "/metrics",
        "/v1/files",
        "/nowhere",
    ] {
        assert_eq!(place.get(path).await.status(), 401, "{path}");
        let wrong = ask("first-client-tokem", Method::GET, path).await;
        assert_eq!(wrong.status(), 401, "{path}");
        assert!(wrong.headers().contains_key("www-authenticate"));
    }
    for path in ["/", "/healthz", "/openapi.json"] {
        assert_eq!(place.get(path).await.status(), 200, "{path}");
    }
    let basic = place
        .request(Method::GET, &path)
        .basic_auth("anybody", Some("first-client-token"));
    assert_eq!(basic.send().await.unwrap().status(), 200);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_are_shown_kept_once_and_bounded() {
    let place = Place::with(Api::Native, |options| options.client.body_bytes = 10_000).await;
    let upload = async |bytes: Vec<u8>| {
        let request = place.request(Method::POST, "/v1/files").body(bytes);
        request.send().await.unwrap()
    };
    let stored = upload(b"a,b\n1,2\n".to_vec()).await;
    assert_eq!(stored.status(), 201);
    let stored: Value = stored.json().await.unwrap();
    let again: Value = upload(b"a,b\n1,2\n".to_vec()).await.json().await.unwrap();
    assert_eq!(stored, again);
    let listed: Value = place.get("/v1/files").await.json().await.unwrap();
    assert_eq!(listed["files"], json!([stored]));
    let too_much = upload(vec![b'x'; (1 << 20) + 1]).await;
    assert_eq!(too_much.status(), 413);
    let too_large = place
        .request(Method::POST, "/v1/score")
        .body(vec![b' '; 10_001])
        .send()
        .await
        .unwrap();
    assert_eq!(too_large.status(), 413);

    let wanted = json!({"files": [{"path": "in/t.csv", "blake3": stored["blake3"]}], "seed": 3});
    let opened: Value = place
        .post("/v1/sandboxes", &wanted)
        .await
        .json()
        .await
        .unwrap();
    let sandbox = format!("/v1/sandboxes/{}", opened["id"].as_str().unwrap());
    let forgotten = format!("/v1/files/{}", stored["blake3"].as_str().unwrap());
    assert_eq!(place.delete(&forgotten).await.status(), 204);
    assert_eq!(place.delete(&forgotten).await.status(), 404);
    let read = place
        .execute(&sandbox, "open('data/in/t.csv').read()")
        .await;
    assert_eq!(read["value"], "'a,b\\n1,2\\n'");
    let written = place.execute(&sandbox, "open('data/in/t.csv', 'w')").await;
    assert_eq!(written["outcome"], "error");
    // A sandbox that is started anew shows it again, though the upload was forgotten.
    place.execute(&sandbox, "import os; os._exit(3)").await;
    let read = place
        .execute(&sandbox, "open('data/in/t.csv').read()")
        .await;
    assert_eq!(read["value"], "'a,b\\n1,2\\n'");

    for wrong in [
        json!({"files": [{"path": "../x", "blake3": "0"}]}),
        json!({"files": [{"path": "x", "blake3": "0", "data": "y"}]}),
        json!({"files": [{"path": "x", "data": "y"}]}),
        json!({"image": "none"}),
        json!({"limits": {"cell_seconds": 0}}),
        json!({"limits": {"memory_mib": 1_000_000}}),
        json!({"limits": {"workspace_files": 1}}),
        json!({"limit": {}}),
        json!([1]),
    ] {
        let refused = place.post("/v1/sandboxes", &wrong).await.status();
        assert!([404, 422].contains(&refused.as_u16()), "{wrong}: {refused}");
    }
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_go_in_and_out_and_none_from_elsewhere() {
    let place = Place::start(Api::Native).await;
    let sandbox = place.open().await;
    let path = |name: &str| format!("{sandbox}/files/{name}");
    let put = async |name: &str, bytes: &'static [u8]| {
        let request = place.request(Method::PUT, &path(name)).body(bytes);
        request.send().await.unwrap().status()
    };
    assert_eq!(put("a/b.bin", b"\0\xff").await, 204);
    place
        .execute(&sandbox, "open('made', 'w').write('by a cell')")
        .await;
    let read = place.get(&path("a/b.bin")).await;
    assert_eq!(read.headers()["x-content-type-options"], "nosniff");
    assert_eq!(read.bytes().await.unwrap().as_ref(), b"\0\xff");
    let listed: Value = place
        .get(&format!("{sandbox}/files"))
        .await
        .json()
        .await
        .unwrap();
    let wanted = json!([{"path": "a/b.bin", "bytes": 2}, {"path": "made", "bytes": 9}]);
    assert_eq!(listed["files"], wanted);
    place
        .execute(&sandbox, "import os; os.symlink('/etc/passwd', 'link')")
        .await;
    let body = json!({"paths": ["made", "link", "missing", "a"]});
    let collected: Value = place
        .post(&format!("{sandbox}/collect"), &body)
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(collected["files"][0]["data"], "YnkgYSBjZWxs");
    assert_eq!(collected["missing"], json!(["link", "missing", "a"]));
    for (name, status) in [
        ("link", 404),
        ("missing", 404),
        ("%2e%2e%2fx", 422),
        ("%2fetc%2fpasswd", 422),
    ] {
        assert_eq!(place.get(&path(name)).await.status(), status, "{name}");
    }
    assert_eq!(put("%2e%2e%2fx", b"x").await, 422);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_and_files_are_scored_outside() {
    let place = Place::start(Api::Native).await;
    let verifier = json!({
        "type": "keyed", "expected": [{"name": "m", "value": "2.50"}], "abs_tolerance": 0.01, "rel_tolerance": 0.0,
    });
    let keyed = async |answer: &str| -> Value {
        let body = json!({"verifier": verifier, "answer": answer});
        place.post("/v1/score", &body).await.json().await.unwrap()
    };
    assert_eq!(keyed("@m[2.5]").await["reward"], 1.0);
    assert_eq!(keyed("@m[3]").await["success"], false);

    let truth = place
        .request(Method::POST, "/v1/files")
        .body("id,y\n1,a\n2,b\n");
    let truth: Value = truth.send().await.unwrap().json().await.unwrap();
    let verifier = json!({
        "type": "predictions", "file": "out.csv", "truth": {"path": "t.csv", "bytes": truth["bytes"], "blake3": truth["blake3"]},
        "keys": ["id"], "targets": ["y"], "metric": "macro_f1", "reward": {"by": "value"}, "success": 0.9,
    });
    let sandbox = place.open().await;
    place
        .execute(
            &sandbox,
            "open('out.csv', 'w').write('id,y\\n1,a\\n2,b\\n')",
        )
        .await;
    let score = async |extra: Value| {
        let mut body = json!({ "verifier": verifier });
        body.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        let answer = place.post("/v1/score", &body).await;
        (
            answer.status().as_u16(),
            answer.json::<Value>().await.unwrap(),
        )
    };
    let id = sandbox.rsplit('/').next().unwrap();
    let (_, solved) = score(json!({ "sandbox": id })).await;
    assert_eq!(
        (&solved["reward"], &solved["success"]),
        (&json!(1.0), &json!(true))
    );
    let (_, garbage) = score(json!({"files": {"out.csv": "AAAA"}})).await;
    assert_eq!(garbage["reward"], 0.0);
    let (_, nothing) = score(json!({})).await;
    assert_eq!(nothing["reward"], 0.0);
    assert_eq!(score(json!({"files": {"out.csv": "?"}})).await.0, 422);
    assert_eq!(score(json!({"sandbox": "sbx_0"})).await.0, 404);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_of_a_form_and_standings_are_scored_and_models_are_not_asked() {
    let place = Place::start(Api::Native).await;
    let score = async |body: Value| {
        let answer = place.post("/v1/score", &body).await;
        (
            answer.status().as_u16(),
            answer.json::<Value>().await.unwrap(),
        )
    };
    let list = json!({
        "type": "answer", "expected": {"form": "list", "values": ["a", "1.0"], "ordered": false},
        "abs_tolerance": 0.0, "rel_tolerance": 0.0,
    });
    let (_, right) = score(json!({"verifier": list, "answer": "1, A"})).await;
    assert_eq!(right["reward"], 1.0);
    let (_, wrong) = score(json!({"verifier": list, "answer": "1"})).await;
    assert_eq!(wrong["reason"], "1 elements instead of 2");

    let upload = async |body: &'static str| -> Value {
        let sent = place.request(Method::POST, "/v1/files").body(body);
        let stored: Value = sent.send().await.unwrap().json().await.unwrap();
        json!({"path": "x", "bytes": stored["bytes"], "blake3": stored["blake3"]})
    };
    let truth = upload("id,y\n1,1\n2,2\n").await;
    let board = upload("{\"private_scores\": [0.5, 1.5]}").await;
    let rule = |board: &Value| {
        json!({
            "type": "predictions", "file": "out.csv", "truth": truth, "keys": ["id"], "targets": ["y"], "metric": "mae",
            "reward": {"by": "standing", "leaderboard": board}, "success": 0.9,
        })
    };
    // One of two rows is wrong by 2.
    let files = json!({"out.csv": "aWQseQoxLDMKMiwyCg=="});
    let (_, placed) = score(json!({"verifier": rule(&board), "files": files})).await;
    assert_eq!(
        (&placed["reward"], &placed["value"]),
        (&json!(0.5), &json!(1.0))
    );
    assert_eq!(placed["standing"]["rank"], 2);
    let nowhere = json!({"path": "x", "bytes": 1, "blake3": "0".repeat(64)});
    let (status, unknown) = score(json!({"verifier": rule(&nowhere), "files": files})).await;
    assert!(status == 404 || status == 422, "{status}");
    assert!(
        unknown.to_string().contains("verifier.reward.leaderboard"),
        "{unknown}"
    );

    let model = json!({"type": "equivalent", "question": "q", "reference": "r"});
    let (status, refused) = score(json!({"verifier": model, "answer": "r"})).await;
    assert_eq!(status, 422);
    assert!(refused.to_string().contains("asks a model"), "{refused}");
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_lets_a_cell_end_and_takes_nothing_new() {
    let place = Place::start(Api::Native).await;
    let sandbox = place.open().await;
    let body = json!({"code": "import time; time.sleep(1.5); 'ended'"});
    let running = place
        .request(Method::POST, &format!("{sandbox}/execute"))
        .json(&body)
        .send();
    let stopping = async {
        place
            .wait_until("the cell runs", async |place| {
                place.metric("synth_serve_sandboxes_open").await > 0.5
            })
            .await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        place.begin_to_stop();
        tokio::time::sleep(Duration::from_millis(200)).await;
        let refused = reqwest::Client::new()
            .get(place.url("/healthz"))
            .send()
            .await;
        assert!(refused.is_err(), "it still takes connections");
    };
    let (answer, ()) = tokio::join!(running, stopping);
    let answer: Value = answer.unwrap().json().await.unwrap();
    assert_eq!(answer["value"], "'ended'");
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_ends_what_runs_for_too_long() {
    let place = Place::with(Api::Native, |options| {
        options.drain = Duration::from_millis(500);
    })
    .await;
    let sandbox = place.open().await;
    let body = json!({"code": "import time; time.sleep(50)"});
    let running = place
        .request(Method::POST, &format!("{sandbox}/execute"))
        .json(&body)
        .send();
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        place.begin_to_stop();
    };
    let begun = Instant::now();
    let (answer, ()) = tokio::join!(running, stopping);
    assert_eq!(answer.unwrap().status(), 410);
    place.stop().await;
    assert!(begun.elapsed() < Duration::from_secs(15));
}
