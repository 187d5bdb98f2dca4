//! SandboxFusion's `run_code` over real sandboxes.

use std::time::{Duration, Instant};

use crate::support::{Place, exchanges};
use futures::future::join_all;
use serde_json::{Value, json};
use synth_serve::Api;

#[tokio::test(flavor = "multi_thread")]
async fn it_answers_as_sandbox_fusion_does() {
    let place = Place::start(Api::SandboxFusion).await;
    exchanges::replay(&place, include_str!("exchanges/sandbox_fusion.json")).await;
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_is_no_cell() {
    let place = Place::start(Api::SandboxFusion).await;
    for (code, printed) in [
        (
            "print(__name__, 'get_ipython' in dir(__builtins__))",
            "__main__ False\n",
        ),
        (
            "import sys; print(sys.argv, sys.path[0])",
            "['script.py'] /workspace\n",
        ),
        (
            "import atexit\natexit.register(print, 'bye')\nprint('hi')",
            "hi\nbye\n",
        ),
        (
            "import threading\nthreading.Timer(0.1, print, ['late']).start()",
            "late\n",
        ),
        ("import sys; print(repr(sys.stdin.read()))", "''\n"),
        (
            "class A: pass\nimport pickle; print(pickle.loads(pickle.dumps(A())).__class__)",
            "<class '__main__.A'>\n",
        ),
        (
            "from __future__ import annotations\ndef f(x: Never): pass\nprint(f.__annotations__)",
            "{'x': 'Never'}\n",
        ),
    ] {
        let body = json!({"code": code, "language": "python"});
        let answer: Value = place.post("/run_code", &body).await.json().await.unwrap();
        assert_eq!(answer["run_result"]["stdout"], printed, "{code}: {answer}");
        assert_eq!(answer["status"], "Success", "{code}: {answer}");
    }
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_know_nothing_of_each_other_and_more_than_slots_wait() {
    let place = Place::start(Api::SandboxFusion).await;
    let calls = (0..8).map(|number| {
        let code = format!(
            "import os, builtins\nprint(os.path.exists('left'), hasattr(builtins, 'left'), {number})\nopen('left', 'w')\nbuiltins.left = 1"
        );
        let place = &place;
        async move {
            let body = json!({"code": code, "language": "python"});
            place.post("/run_code", &body).await.json::<Value>().await.unwrap()
        }
    });
    for (number, answer) in join_all(calls).await.into_iter().enumerate() {
        assert_eq!(
            answer["run_result"]["stdout"],
            format!("False False {number}\n")
        );
    }
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_given_up_frees_its_slot_and_one_too_many_may_try_again() {
    let place = Place::with(Api::SandboxFusion, |options| {
        options.slots = 1;
        options.wait = Duration::from_millis(300);
    })
    .await;
    let slow =
        json!({"code": "import time; time.sleep(50)", "language": "python", "run_timeout": 50});
    let gone = place
        .request(reqwest::Method::POST, "/run_code")
        .json(&slow)
        .timeout(Duration::from_secs(1))
        .send();
    let refused = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        place
            .post("/run_code", &json!({"code": "1", "language": "python"}))
            .await
    };
    let (gone, refused) = tokio::join!(gone, refused);
    assert!(gone.is_err());
    // The status after which its clients try again.
    assert_eq!(refused.status(), 504);
    let begun = Instant::now();
    place
        .wait_until("the slot is free", async |place| {
            place.metric("synth_serve_sandboxes_open").await < 0.5
        })
        .await;
    assert!(begun.elapsed() < Duration::from_secs(10));
    place.stop().await;
}
