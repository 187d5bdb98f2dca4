//! Ctrl-C once finishes what runs, twice stops at once; a second process keeps out.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{
    Endpoint, Fault, Place, asked_again_after_use, assert_nothing_left, assert_same_files,
    parquet_files, stored_replies,
};

#[test]
fn ctrl_c_finishes_what_runs_and_says_how_to_go_on() {
    let endpoint = Endpoint::start();
    let calm = Place::at(&endpoint);
    calm.run().succeed();

    // Once while data is explored, once while queries are attempted.
    for stage in ["queries", "trajectories"] {
        let place = Place::at(&endpoint);
        let first = endpoint.requests();
        let begun = format!("{{\"event\":\"stage_started\",\"stage\":\"{stage}\"");
        let mut run = place.run().start();
        run.wait_until("a model call of the stage", |run| {
            run.stdout().contains(&begun) && endpoint.requests() > first + 6
        });
        run.signal(Signal::INT);
        let ended = run.wait();
        assert_eq!(ended.code, 130, "{}", ended.stderr);
        assert!(
            ended.stdout.contains("finishing what runs"),
            "{}",
            ended.stdout
        );
        for said in [
            "interrupted in stage",
            "finished items are kept",
            "`synth run --run small` goes on",
        ] {
            assert!(ended.stderr.contains(said), "{}", ended.stderr);
        }
        assert_nothing_left(&place.folder());
        // Nothing that was in flight is lost: every reply that was sent is stored.
        let sent: Vec<u64> = endpoint.log()[first..]
            .iter()
            .filter(|seen| seen.answered)
            .map(|seen| seen.mark)
            .collect();
        let stored = stored_replies(&place.output());
        assert!(sent.iter().all(|mark| stored.contains(mark)));
        // What it said is true.
        let before = endpoint.requests();
        place.synth(&["run", "--run", "small"]).succeed();
        assert!(
            endpoint.log()[before..]
                .iter()
                .all(|seen| !stored.contains(&seen.mark))
        );
        assert_eq!(asked_again_after_use(&endpoint.log()[first..]), 0);
        assert_same_files(&parquet_files(&place), &parquet_files(&calm));
    }
}

#[test]
fn ctrl_c_twice_stops_at_once() {
    let endpoint = Endpoint::start();
    let place = Place::at(&endpoint);
    // Slow from the sixth request on: by then sandboxes are open.
    endpoint.behave(|number, _| {
        if number < 6 {
            Fault::None
        } else {
            Fault::Slow(Duration::from_secs(60))
        }
    });
    let mut run = place.run().start();
    run.wait_until("a slow request", |_| endpoint.requests() > 6);
    run.signal(Signal::INT);
    run.wait_until("the first step", |run| {
        run.stdout().contains("finishing what runs")
    });
    std::thread::sleep(Duration::from_millis(200));
    assert!(!run.is_over(), "it did not wait for what runs");
    let second = Instant::now();
    run.signal(Signal::INT);
    let ended = run.wait();
    let seconds = second.elapsed().as_secs_f64();
    println!("stopped {seconds:.2} s after the second Ctrl-C");
    assert!(seconds < 2.0, "{seconds}");
    assert_eq!(ended.code, 130, "{}", ended.stderr);
    assert!(
        ended.stdout.contains("stopping at once"),
        "{}",
        ended.stdout
    );
    assert_nothing_left(&place.folder());

    endpoint.behave(|_, _| Fault::None);
    let before = endpoint.requests();
    let stored = stored_replies(&place.output());
    assert!(!stored.is_empty());
    place.run().succeed();
    assert!(
        endpoint.log()[before..]
            .iter()
            .all(|seen| !stored.contains(&seen.mark))
    );
}

#[test]
fn a_second_process_on_one_ledger_is_refused() {
    let endpoint = Endpoint::start();
    let place = Place::at(&endpoint);
    endpoint.behave(|_, _| Fault::Slow(Duration::from_secs(3)));
    let mut first = place.run().start();
    first.wait_until("a request", |_| endpoint.requests() > 0);
    let second = place.synth(&["run", "--run", "other"]).run();
    assert_eq!(second.code, 6, "{}", second.stderr);
    let holder = first.id().to_string();
    assert!(
        second.stderr.contains(&holder),
        "it does not name {holder}: {}",
        second.stderr
    );
    assert!(second.stderr.contains("run.output"), "{}", second.stderr);
    // Looking is allowed.
    let status = place.synth(&["status"]).succeed();
    assert!(status.stdout.contains("run `small`"), "{}", status.stdout);
    endpoint.behave(|_, _| Fault::None);
    assert_eq!(first.wait().code, 0);
}
