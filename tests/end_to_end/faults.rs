//! Endpoints that fail: a retry, a record's error or a clear stop, and in every case a way to go on.

use std::time::Duration;

use crate::support::{
    Endpoint, Fault, KEY, Place, assert_same_files, is_judge, parquet_files, sft_rows, stored_text,
};

#[test]
fn a_dead_endpoint_stops_clearly_and_the_rerun_goes_on() {
    let endpoint = Endpoint::start();
    let place = Place::at(&endpoint);
    let dead = |place: &Place| {
        // Nobody listens on port 1.
        place
            .run()
            .set("models.teacher.base_url", "http://127.0.0.1:1/v1")
            .set("models.teacher.retries", "1")
            .run()
    };
    let ended = dead(&place);
    println!("stopped after {:.1} s: {}", ended.seconds, ended.stderr);
    assert!(ended.seconds < 60.0);
    assert_eq!(ended.code, 7, "{}", ended.stderr);
    for said in ["connection", "check that it runs", "synth run --run small"] {
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
    }
    // The endpoint dies when some of the work is done.
    let started = Endpoint::start();
    place
        .run()
        .set("models.teacher.base_url", &started.base_url)
        .args(&["--until", "queries"])
        .succeed();
    drop(started);
    let ended = dead(&place);
    assert_eq!(ended.code, 7, "{}", ended.stderr);

    place.run().succeed();
    let calm = Place::at(&endpoint);
    calm.run().succeed();
    assert_same_files(&parquet_files(&place), &parquet_files(&calm));
}

#[test]
fn a_key_that_is_refused_stops_and_shows_nowhere() {
    let endpoint = Endpoint::start();
    let place = Place::at(&endpoint);
    endpoint.behave(|_, _| Fault::Status(401, "this key is not known here"));
    let ended = place.run().run();
    assert_eq!(ended.code, 7, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("does not accept the key"),
        "{}",
        ended.stderr
    );
    assert!(ended.stderr.contains("api_key_env"), "{}", ended.stderr);
    assert!(endpoint.requests() < 10);

    endpoint.behave(|_, _| Fault::None);
    place.run().succeed();
    // It was sent, and it is nowhere else.
    assert!(endpoint.log().iter().all(|seen| seen.key == KEY));
    assert!(!stored_text(&place.output()).contains(KEY));
    for folder in [place.run_folder(), place.output()] {
        let found = std::process::Command::new("grep")
            .args(["-rl", KEY])
            .arg(folder)
            .output()
            .unwrap();
        assert!(
            found.stdout.is_empty(),
            "{}",
            String::from_utf8_lossy(&found.stdout)
        );
    }
    assert!(
        sft_rows(&place)
            .iter()
            .flatten()
            .all(|(_, content)| !content.contains(KEY))
    );
    for arguments in [&["status"][..], &["doctor"], &["plan"]] {
        place.synth(arguments).succeed();
    }
}

#[test]
fn a_key_that_is_not_set_is_named() {
    let endpoint = Endpoint::start();
    let place = Place::at(&endpoint);
    let ended = place
        .run()
        .set("models.teacher.api_key_env", "NO_SUCH_VARIABLE_HERE")
        .run();
    assert_eq!(ended.code, 7, "{}", ended.stderr);
    assert!(
        ended.stderr.contains("NO_SUCH_VARIABLE_HERE"),
        "{}",
        ended.stderr
    );
    assert_eq!(endpoint.requests(), 0);
}

#[test]
fn rate_limits_and_broken_gateways_are_sat_out() {
    let endpoint = Endpoint::start();
    let calm = Place::at(&endpoint);
    calm.run().succeed();
    // Every fifth request meets one.
    endpoint.behave(|number, _| match number % 15 {
        4 => Fault::Status(429, "slow down"),
        9 => Fault::Status(500, "oops"),
        14 => Fault::Status(503, "come back later"),
        _ => Fault::None,
    });
    let place = Place::at(&endpoint);
    let ended = place.run().succeed();
    assert_eq!(ended.stage("trajectories")["failed"], serde_json::json!({}));
    assert_same_files(&parquet_files(&place), &parquet_files(&calm));
}

#[test]
fn a_judge_that_says_garbage_keeps_nothing() {
    let endpoint = Endpoint::start();
    let place = Place::at(&endpoint);
    endpoint.behave(|_, body| {
        if is_judge(body) {
            Fault::Says("I like it: 5 out of 5, keep!")
        } else {
            Fault::None
        }
    });
    // Few failures stop no stage.
    let ended = place.run().run();
    assert_eq!(ended.code, 0, "{}", ended.stderr);
    let judged = ended.stage("judge");
    assert_eq!(judged["kept"], 0);
    let failed = judged["failed"]["malformed_judgement"].as_u64().unwrap();
    assert!(failed > 0);
    assert_eq!(judged["failed"].as_object().unwrap().len(), 1);
    assert_eq!(ended.stage("select")["kept"], 0);
    assert!(
        ended.account()["rows"]["sft"].is_null(),
        "{}",
        ended.account()["rows"]
    );
    let listed = place
        .synth(&["show", "--run", "small", "--failed"])
        .succeed();
    assert!(
        listed.stdout.contains("malformed_judgement"),
        "{}",
        listed.stdout
    );

    // Many do, and what failed is not asked for again.
    let requests = endpoint.requests();
    let many = place.run().set("trajectories.attempts", "4").run();
    assert_eq!(many.code, 4, "{}", many.stderr);
    for said in ["run.max_failed", "--failed", "well-formed judgement"] {
        assert!(many.stderr.contains(said), "{}", many.stderr);
    }
    assert!(endpoint.requests() > requests);
    // With more patience it ends, and still keeps nothing.
    let patient = place
        .run()
        .set("trajectories.attempts", "4")
        .set("run.max_failed", "1.0")
        .run();
    assert_eq!(patient.code, 0, "{}", patient.stderr);
    assert_eq!(patient.stage("judge")["kept"], 0);
}

#[test]
fn a_solver_that_never_acts_makes_trajectories_without_action() {
    let endpoint = Endpoint::start();
    let place = Place::at(&endpoint);
    endpoint.behave(|_, body| {
        let asked = body["messages"][1]["content"].to_string();
        if body["messages"].as_array().unwrap().len() > 1 && !asked.contains("<query>") {
            Fault::Says("Let me think about that for a while.")
        } else {
            Fault::None
        }
    });
    let ended = place.run().succeed();
    let attempts = ended.stage("trajectories");
    assert!(attempts["kept"].as_u64().unwrap() > 0);
    assert_eq!(attempts["read"], attempts["kept"]);
    assert_eq!(
        ended.stage("judge")["dropped"]["no_answer"],
        attempts["kept"]
    );
    assert_eq!(ended.stage("select")["kept"], 0);
    let id = ended
        .events()
        .into_iter()
        .find(|event| event["event"] == "item_settled" && event["stage"] == "judge")
        .and_then(|event| Some(event["id"].as_str()?.to_owned()))
        .unwrap();
    let shown = place.synth(&["show", &id, "--json"]).succeed();
    let trajectory: serde_json::Value = serde_json::from_str(&shown.stdout).unwrap();
    assert_eq!(trajectory["stop"], "no_action");
    // One reminder, then the end.
    assert_eq!(trajectory["turns"].as_array().unwrap().len(), 5);
}

#[test]
fn a_budget_stops_and_a_larger_one_goes_on() {
    let endpoint = Endpoint::start();
    let calm = Place::at(&endpoint);
    calm.run().succeed();
    let place = Place::at(&endpoint);
    let first = endpoint.requests();
    let ended = place.run().set("budget.tokens", "30000").run();
    assert_eq!(ended.code, 5, "{}", ended.stderr);
    for said in ["budget", "raise `budget.tokens`", "finished"] {
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
    }
    let spent = ended.spent("prompt_tokens") + ended.spent("completion_tokens");
    assert!(spent > 0 && spent < 60_000, "{spent}");
    place.run().set("budget.tokens", "10000000").succeed();
    let mut marks: Vec<u64> = endpoint.log()[first..]
        .iter()
        .map(|seen| seen.mark)
        .collect();
    let all = marks.len();
    marks.sort_unstable();
    marks.dedup();
    assert_eq!(marks.len(), all, "a request was sent twice");
    assert_same_files(&parquet_files(&place), &parquet_files(&calm));
}

#[test]
fn a_slow_endpoint_is_waited_for_and_a_silent_one_is_not() {
    let endpoint = Endpoint::start();
    let place = Place::at(&endpoint);
    endpoint.behave(|number, _| {
        if number == 2 {
            Fault::Slow(Duration::from_secs(30))
        } else {
            Fault::None
        }
    });
    let ended = place
        .run()
        .set("models.teacher.timeout_seconds", "2")
        .args(&["--until", "queries"])
        .succeed();
    assert!(ended.seconds < 29.0, "{}", ended.seconds);
    assert_eq!(ended.stage("queries")["kept"], 2);
}
