//! What a stage's loop promises, over scripted stages and a real ledger.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod toy;

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::*;
use synth_core::{FailureKind, RecordError};
use synth_pipeline::ledger::Status;
use synth_pipeline::{Cancel, Ledger, Mode, Outcome, StageError};
use tokio::sync::Semaphore;
use toy::{Thing, Toy, World, by_name, thing, things};

fn ids(things: &[Thing]) -> Vec<String> {
    things.iter().map(|thing| thing.id.clone()).collect()
}

#[tokio::test]
async fn a_second_run_works_on_nothing() {
    let world = World::new();
    let crawl = Toy::source(things(20), by_name);
    let first = world.ended(&[&crawl]).await;
    assert_eq!(
        (first[0].read, first[0].kept, first[0].worked),
        (20, 20, 20)
    );
    crawl.worked();

    let second = world.ended(&[&crawl]).await;
    assert_eq!(crawl.worked(), Vec::<String>::new());
    assert_eq!(
        (second[0].read, second[0].kept, second[0].worked),
        (20, 20, 0)
    );
    assert_eq!(world.kept("crawl"), ids(&things(20)));
}

#[tokio::test]
async fn items_that_come_late_are_waited_for_while_those_there_are_worked_on() {
    let world = World::new();
    let mut crawl = Toy::source(things(5), by_name);
    // Were the third waited for before the first was worked on, it would never come.
    crawl.comes_after = Some(vec![0, 0, 1, 3, 4]);
    let first = world.ended(&[&crawl]).await;
    assert_eq!((first[0].read, first[0].worked), (5, 5));
    assert_eq!(world.kept("crawl"), ids(&things(5)), "in their order");
    let second = world.ended(&[&crawl]).await;
    assert_eq!((second[0].read, second[0].worked), (5, 0));
}

#[tokio::test]
async fn whoever_stops_does_not_wait_for_items_that_have_not_come() {
    let world = World::new();
    let mut crawl = Toy::source(things(3), by_name);
    crawl.comes_after = Some(vec![0, 0, usize::MAX]);
    *world.log.cancel_after.lock().unwrap() = Some((2, world.cancel.clone()));
    let ended = tokio::time::timeout(Duration::from_secs(20), world.run(&[&crawl])).await;
    let outcomes = ended.expect("it stops");
    assert!(matches!(
        outcomes.stopped,
        Some((_, StageError::Interrupted))
    ));
    assert_eq!(crawl.worked(), ["t0", "t1"]);
}

#[tokio::test]
async fn only_a_changed_item_is_worked_on_again_and_explain_says_so() {
    let world = World::new();
    let mut crawl = Toy::source(things(5), by_name);
    world.ended(&[&crawl]).await;
    assert_eq!(world.why("t3").as_deref(), Some("new"));
    crawl.worked();

    crawl.items[3].text.push_str(" and more");
    world.ended(&[&crawl]).await;
    assert_eq!(crawl.worked(), ["t3"]);
    assert_eq!(world.why("t3").as_deref(), Some("changed: the item"));
    assert!(world.part("crawl", "part")[3].contains("and more"));
}

#[tokio::test]
async fn a_changed_configuration_prompt_or_version_works_on_everything_again_and_changing_back_on_nothing()
 {
    let mut world = World::new();
    let mut crawl = Toy::source(things(3), by_name);
    crawl.config_keys = &["filter.min_rows"];
    crawl.prompts = vec!["be brief"];
    world.ended(&[&crawl]).await;
    crawl.worked();

    world.config.filter.max_rows += 1;
    world.ended(&[&crawl]).await;
    assert_eq!(
        crawl.worked().len(),
        0,
        "a key that the stage does not read"
    );

    world.config.filter.min_rows += 1;
    world.ended(&[&crawl]).await;
    assert_eq!(crawl.worked().len(), 3);
    assert_eq!(
        world.why("t0").as_deref(),
        Some("changed: the configuration")
    );

    crawl.prompts = vec!["be thorough"];
    world.ended(&[&crawl]).await;
    assert_eq!(crawl.worked().len(), 3);
    assert_eq!(world.why("t0").as_deref(), Some("changed: a prompt"));

    crawl.version = 2;
    world.ended(&[&crawl]).await;
    assert_eq!(crawl.worked().len(), 3);
    assert_eq!(
        world.why("t0").as_deref(),
        Some("changed: the stage's version")
    );

    world.config.filter.min_rows -= 1;
    crawl.prompts = vec!["be brief"];
    crawl.version = 1;
    world.ended(&[&crawl]).await;
    assert_eq!(crawl.worked().len(), 0);
}

#[tokio::test]
async fn only_spurious_failures_are_tried_again() {
    let world = World::new();
    let items = [thing("fail0", ""), thing("flaky0", ""), thing("t0", "")];
    let crawl = Toy::source(items.to_vec(), by_name);
    world.ended(&[&crawl]).await;
    crawl.worked();
    let again = world.ended(&[&crawl]).await;
    assert_eq!(crawl.worked(), ["flaky0"]);
    assert_eq!(
        world.why("flaky0").as_deref(),
        Some("failed before: overloaded")
    );
    assert_eq!(
        again[0].failed,
        BTreeMap::from([("overloaded".to_owned(), 1), ("unreadable".to_owned(), 1)])
    );
}

#[tokio::test]
async fn every_item_is_accounted_for_with_its_reason() {
    let world = World::new();
    let items = ["t0", "drop0", "fail0", "two0", "drop1"].map(|id| thing(id, ""));
    let summary = world
        .ended(&[&Toy::source(items.to_vec(), by_name)])
        .await
        .remove(0);
    assert_eq!((summary.read, summary.kept, summary.records), (5, 2, 3));
    assert_eq!(
        summary.dropped,
        BTreeMap::from([("too_small".to_owned(), 2)])
    );
    assert_eq!(
        summary.failed,
        BTreeMap::from([("unreadable".to_owned(), 1)])
    );
    assert_eq!(
        summary.rejected,
        BTreeMap::from([("malformed".to_owned(), 1)])
    );
    assert_eq!(world.kept("crawl"), ["t0", "two0a", "two0b"]);
    let dropped = [
        "drop0 of drop0: dropped too_small ",
        "third of two0: rejected malformed ",
        "drop1 of drop1: dropped too_small ",
    ];
    assert_eq!(world.part("crawl", "dropped"), dropped);
    assert_eq!(
        world.part("crawl", "failed"),
        ["fail0 of fail0: failed unreadable "]
    );
    let manifest = world.view().manifest("crawl").unwrap();
    assert!(manifest.complete);
    assert_eq!(
        (manifest.counts.read, manifest.counts.rejected),
        (5, summary.rejected)
    );
}

#[tokio::test]
async fn an_item_that_comes_twice_is_worked_on_once_and_accounted_for_twice() {
    let world = World::new();
    let crawl = Toy::source(
        vec![thing("t0", "x"), thing("t1", "x"), thing("t0", "x")],
        by_name,
    );
    for worked in [2, 0] {
        let summary = world.ended(&[&crawl]).await.remove(0);
        assert_eq!(
            (summary.read, summary.kept, summary.records, summary.worked),
            (3, 2, 2, worked)
        );
        assert_eq!(
            summary.dropped,
            BTreeMap::from([("repeated".to_owned(), 1)])
        );
        assert_eq!(world.kept("crawl"), ["t0", "t1"]);
        assert_eq!(
            world.part("crawl", "dropped"),
            ["t0 of t0: dropped repeated "]
        );
    }
}

#[tokio::test]
async fn too_many_failures_stop_the_stage_and_what_is_done_is_kept() {
    let mut world = World::new();
    let mut items = things(100);
    for n in 0..30 {
        items[3 * n].id = format!("fail{n}");
    }
    let crawl = Toy::source(items, by_name);
    let stopped = world.run(&[&crawl]).await.stopped.unwrap();
    let first = crawl.worked();
    assert_eq!(stopped.0, "crawl");
    let message = stopped.1.to_string();
    assert!(
        message.contains("of") && message.contains("the first: `fail0`: its table does not parse"),
        "{message}"
    );
    assert!(first.len() < 100);
    assert!(world.view().manifest("crawl").is_none());

    let again = world.run(&[&crawl]).await;
    assert!(matches!(
        again.stopped,
        Some((_, StageError::TooManyFailed { .. }))
    ));
    assert_eq!(
        crawl.worked().len(),
        0,
        "a stage that failed too much stops again before it works on anything"
    );

    world.config.run.max_failed = 1.0;
    world.ended(&[&crawl]).await;
    assert_eq!(crawl.worked().len(), 100 - first.len());
}

#[tokio::test]
async fn a_few_failures_never_stop_a_stage() {
    let world = World::new();
    let mut items: Vec<Thing> = (0..10).map(|n| thing(format!("fail{n}"), "")).collect();
    items.push(thing("drop0", ""));
    assert_eq!(
        world.ended(&[&Toy::source(items, by_name)]).await[0].failed_total(),
        10
    );
}

#[tokio::test]
async fn a_stage_in_which_every_item_failed_stops_however_few_they_are() {
    let mut world = World::new();
    let good = Toy::source(things(2), by_name);
    let filter = Toy::after("filter", &["crawl"]);
    world.ended(&[&good, &filter]).await;
    filter.worked();

    let bad = ["fail0", "fail1", "fail0"].map(|id| thing(id, ""));
    let crawl = Toy::source(bad.to_vec(), by_name);
    let (stage, error) = world.run(&[&crawl, &filter]).await.stopped.unwrap();
    assert!(
        matches!(
            &error,
            StageError::TooManyFailed { failed: 2, read: 3, first }
                if first == "`fail0`: its table does not parse"
        ),
        "{error}"
    );
    assert_eq!((stage, filter.worked().len()), ("crawl", 0));
    assert_eq!(world.kept("filter"), ["t0", "t1"], "what there was stays");

    world.mode = Mode::Plan;
    assert_eq!(world.ended(&[&crawl]).await[0].failed_total(), 2);
    world.mode = Mode::Work;
    world.config.run.max_failed = 1.0;
    assert_eq!(world.ended(&[&crawl]).await[0].failed_total(), 2);
}

/// What a stage that stopped left to look at: items and whether they failed.
fn partial(world: &World, stage: &str) -> Option<Vec<(String, bool)>> {
    let ledger = Ledger::open_read_only(world.folder.path()).unwrap();
    let keys = ledger.partial("nightly", stage).unwrap()?;
    let outcomes = keys
        .iter()
        .map(|key| ledger.outcome(key).unwrap().unwrap())
        .map(|outcome| (outcome.item, outcome.status == Status::Failed));
    Some(outcomes.collect())
}

#[tokio::test]
async fn what_a_stopped_stage_settled_can_be_looked_at_until_the_stage_ends_and_no_stage_reads_it()
{
    let mut world = World::new();
    world.config.jobs.items = 1;
    let broken = Arc::new(AtomicBool::new(true));
    let inner = broken.clone();
    let ids = ["t0", "fail0", "t1", "t2"].map(|id| thing(id, ""));
    let crawl = Toy::source(ids.to_vec(), move |thing| {
        let broken = inner.clone();
        async move {
            if thing.id == "t1" && broken.load(Ordering::SeqCst) {
                return Err(StageError::Budget("no money left".to_owned()).into());
            }
            by_name(thing).await
        }
    });
    let filter = Toy::after("filter", &["crawl"]);
    world.run(&[&crawl]).await.stopped.unwrap();
    let settled = [("t0".to_owned(), false), ("fail0".to_owned(), true)];
    assert_eq!(partial(&world, "crawl").unwrap(), settled);
    let (_, error) = world.run(&[&filter]).await.stopped.unwrap();
    assert!(matches!(error, StageError::MissingInput { .. }), "{error}");

    broken.store(false, Ordering::SeqCst);
    world.ended(&[&crawl, &filter]).await;
    assert_eq!(partial(&world, "crawl"), None);
}

#[tokio::test]
async fn a_hard_stop_leaves_what_was_settled_to_be_looked_at() {
    let world = World::new();
    let crawl = Toy::source(
        ["t0", "t1", "wait0"].map(|id| thing(id, "")).to_vec(),
        |thing| async move {
            if thing.id == "wait0" {
                std::future::pending::<()>().await;
            }
            by_name(thing).await
        },
    );
    let stop = async {
        until(|| world.log.settled.lock().unwrap().len() == 2).await;
        world.cancel.escalate();
        world.cancel.escalate();
    };
    let stages = [&crawl];
    tokio::join!(world.run(&stages), stop);
    let settled = [("t0".to_owned(), false), ("t1".to_owned(), false)];
    assert_eq!(partial(&world, "crawl").unwrap(), settled);
}

/// A stage whose items wait at a gate.
fn gated(count: usize) -> (Toy, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let inner = gate.clone();
    let toy = Toy::source(things(count), move |thing| {
        let gate = inner.clone();
        async move {
            gate.acquire().await.unwrap().forget();
            by_name(thing).await
        }
    });
    (toy, gate)
}

async fn until(condition: impl Fn() -> bool) {
    while !condition() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_soft_stop_finishes_those_in_flight_and_the_next_run_goes_on() {
    let mut world = World::new();
    let (crawl, gate) = gated(20);
    let stop = async {
        until(|| crawl.peak.load(Ordering::SeqCst) == 4).await;
        world.cancel.escalate();
        tokio::time::sleep(Duration::from_millis(20)).await;
        gate.add_permits(100);
    };
    let stages = [&crawl];
    let (outcomes, ()) = tokio::join!(world.run(&stages), stop);
    assert!(matches!(
        outcomes.stopped,
        Some(("crawl", StageError::Interrupted))
    ));
    assert_eq!(crawl.worked().len(), 4);
    assert_eq!(world.log.settled.lock().unwrap().len(), 4);

    world.cancel = Cancel::default();
    world.ended(&[&crawl]).await;
    assert_eq!(crawl.worked().len(), 16);
    assert_eq!(world.kept("crawl"), ids(&things(20)));
}

#[tokio::test]
async fn a_hard_stop_waits_for_nobody() {
    let mut world = World::new();
    let (crawl, gate) = gated(20);
    let stop = async {
        until(|| crawl.peak.load(Ordering::SeqCst) == 4).await;
        world.cancel.escalate();
        world.cancel.escalate();
    };
    let stages = [&crawl];
    let run = tokio::time::timeout(Duration::from_secs(10), world.run(&stages));
    let (outcomes, ()) = tokio::join!(run, stop);
    assert!(matches!(
        outcomes.unwrap().stopped,
        Some((_, StageError::Interrupted))
    ));
    assert_eq!(crawl.worked().len(), 4);

    world.cancel = Cancel::default();
    gate.add_permits(100);
    world.ended(&[&crawl]).await;
    assert_eq!(
        crawl.worked().len(),
        20,
        "those in flight left nothing behind"
    );
}

#[tokio::test]
async fn a_stopped_run_does_not_start_the_next_stage() {
    let world = World::new();
    world.cancel.escalate();
    let crawl = Toy::source(things(1), by_name);
    let outcomes = world
        .run(&[&crawl, &Toy::after("filter", &["crawl"])])
        .await;
    assert!(matches!(
        outcomes.stopped,
        Some(("crawl", StageError::Interrupted))
    ));
    assert!(outcomes.summaries.is_empty() && crawl.worked().is_empty());
}

#[tokio::test]
async fn those_in_flight_finish_when_another_stops_the_stage() {
    let world = World::new();
    let broken = Arc::new(AtomicBool::new(true));
    let inner = broken.clone();
    let crawl = Toy::source(things(12), move |thing| {
        let broken = inner.clone();
        async move {
            if thing.id == "t0" && broken.load(Ordering::SeqCst) {
                return Err(StageError::Budget("no money left".to_owned()).into());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
            by_name(thing).await
        }
    });
    let outcomes = world.run(&[&crawl]).await;
    assert!(matches!(outcomes.stopped, Some((_, StageError::Budget(_)))));
    assert_eq!(crawl.worked(), ["t0", "t1", "t2", "t3"]);

    broken.store(false, Ordering::SeqCst);
    world.ended(&[&crawl]).await;
    assert_eq!(
        crawl.worked(),
        ["t0", "t10", "t11", "t4", "t5", "t6", "t7", "t8", "t9"],
        "the other three were stored"
    );
}

#[tokio::test]
async fn a_panic_is_one_items_failure() {
    let world = World::new();
    let crawl = Toy::source(things(3), |thing| async move {
        assert_ne!(thing.id, "t1", "this panic is part of the test");
        by_name(thing).await
    });
    let summary = world.ended(&[&crawl]).await.remove(0);
    assert_eq!(
        (summary.kept, summary.failed),
        (2, BTreeMap::from([("panicked".to_owned(), 1)]))
    );
    crawl.worked();
    world.ended(&[&crawl]).await;
    assert_eq!(crawl.worked(), ["t1"]);
}

#[tokio::test]
async fn records_come_in_the_order_of_the_items_and_no_more_than_jobs_are_in_flight() {
    let mut world = World::new();
    world.config.jobs.items = 7;
    let crawl = Toy::source(things(60), |thing| async move {
        let n: u64 = thing.id[1..].parse().unwrap();
        tokio::time::sleep(Duration::from_millis(n * 37 % 11)).await;
        by_name(thing).await
    });
    world.ended(&[&crawl]).await;
    assert_eq!(world.kept("crawl"), ids(&things(60)));
    assert_ne!(
        *world.log.settled.lock().unwrap(),
        ids(&things(60)),
        "the work ended in another order"
    );
    assert_eq!(crawl.peak.load(Ordering::SeqCst), 7);
}

#[tokio::test]
async fn work_in_flight_goes_on_while_settled_items_are_walked_past() {
    let world = World::new();
    let mut items = things(5000);
    world.ended(&[&Toy::source(items.clone(), by_name)]).await;
    items[0].text.push('!');
    *world.log.walked_when_first_worked.lock().unwrap() = Some(0);
    world.ended(&[&Toy::source(items, by_name)]).await;
    let walked = world.log.walked_when_first_worked.lock().unwrap().unwrap();
    assert!(
        walked < 4000,
        "the changed item was finished only after {walked} settled ones"
    );
}

#[tokio::test]
async fn a_plan_counts_and_writes_nothing_and_the_next_stage_sees_what_is_settled() {
    let mut world = World::new();
    let mut crawl = Toy::source(things(4), by_name);
    let filter = Toy::after("filter", &["crawl"]);
    world.ended(&[&crawl]).await;
    crawl.worked();
    let before = Ledger::open_read_only(world.folder.path())
        .unwrap()
        .sizes()
        .unwrap();

    crawl.items.extend([thing("new0", ""), thing("new1", "")]);
    world.mode = Mode::Plan;
    let planned = world.ended(&[&crawl, &filter]).await;
    assert_eq!(
        (planned[0].read, planned[0].kept, planned[0].pending),
        (6, 4, 2)
    );
    assert_eq!((planned[1].read, planned[1].pending), (4, 4));
    assert!(crawl.worked().is_empty() && filter.worked().is_empty());
    assert_eq!(
        Ledger::open_read_only(world.folder.path())
            .unwrap()
            .sizes()
            .unwrap(),
        before
    );
    assert!(world.view().manifest("filter").is_none());
    assert_eq!(world.view().manifest("crawl").unwrap().counts.read, 4);
}

#[tokio::test]
async fn fresh_works_on_everything_again_and_shows_what_came_of_it() {
    let mut world = World::new();
    let times = Arc::new(Mutex::new(0));
    let inner = times.clone();
    let crawl = Toy::source(things(3), move |mut thing| {
        let n = *inner.lock().unwrap();
        thing.text = format!("try {n}");
        async move { Ok(Outcome::kept(thing)) }
    });
    world.ended(&[&crawl]).await;
    *times.lock().unwrap() += 1;
    world.mode = Mode::Fresh;
    crawl.worked();
    world.ended(&[&crawl]).await;
    assert_eq!(crawl.worked().len(), 3);
    assert_eq!(world.why("t0").as_deref(), Some("asked for by --fresh"));
    assert!(
        world
            .part("crawl", "part")
            .iter()
            .all(|line| line.contains("try 1")),
        "same keys, other records: the parts are new"
    );
}

#[tokio::test]
async fn a_limit_bounds_what_is_read() {
    let mut world = World::new();
    let crawl = Toy::source(things(9), by_name);
    world.limit = Some(3);
    assert_eq!(world.ended(&[&crawl]).await[0].read, 3);
    assert_eq!(crawl.worked(), ["t0", "t1", "t2"]);
    world.limit = None;
    assert_eq!(world.ended(&[&crawl]).await[0].read, 9);
    assert_eq!(crawl.worked().len(), 6);
}

#[tokio::test]
async fn a_stage_without_its_input_names_it() {
    let world = World::new();
    let (_, error) = world
        .run(&[&Toy::after("filter", &["crawl"])])
        .await
        .stopped
        .unwrap();
    assert_eq!(
        error.to_string(),
        "it reads `crawl`, which run `nightly` does not have yet"
    );
}

#[tokio::test]
async fn a_listing_older_than_what_it_was_made_of_is_not_read() {
    let world = World::new();
    let mut crawl = Toy::source(things(3), by_name);
    let (filter, prepare) = (
        Toy::after("filter", &["crawl"]),
        Toy::after("prepare", &["filter"]),
    );
    world.ended(&[&crawl, &filter, &prepare]).await;
    assert!(world.view().is_current("prepare"));

    crawl.items[0].text.push('!');
    world.ended(&[&crawl]).await;
    assert!(world.view().is_current("crawl"));
    assert!(!world.view().is_current("filter") && !world.view().is_current("prepare"));
    let (_, error) = world.run(&[&prepare]).await.stopped.unwrap();
    assert_eq!(
        error.to_string(),
        "it reads `filter`, which is older than `crawl` in run `nightly`"
    );

    prepare.worked();
    world.ended(&[&filter, &prepare]).await;
    assert_eq!(prepare.worked(), ["t0"]);
    assert!(world.view().is_current("prepare"));
}

#[tokio::test]
async fn a_folder_that_a_crash_took_away_is_written_again() {
    let world = World::new();
    let crawl = Toy::source(things(3), by_name);
    world.ended(&[&crawl]).await;
    let folder = world.view().stage_folder("crawl");
    let whole = fs::read(folder.join("part.jsonl")).unwrap();

    fs::rename(&folder, folder.with_extension("old")).unwrap();
    world.ended(&[&crawl]).await;
    assert_eq!(fs::read(folder.join("part.jsonl")).unwrap(), whole);
    assert!(!folder.with_extension("old").exists() && !folder.with_extension("new").exists());

    fs::write(folder.join("part.jsonl"), "cut").unwrap();
    world.ended(&[&crawl]).await;
    assert_eq!(fs::read(folder.join("part.jsonl")).unwrap(), whole);

    fs::remove_file(folder.join("manifest.json")).unwrap();
    world.ended(&[&crawl]).await;
    assert!(world.view().manifest("crawl").is_some());
}

#[tokio::test]
async fn an_unchanged_folder_is_left_alone() {
    let world = World::new();
    let crawl = Toy::source(things(3), by_name);
    world.ended(&[&crawl]).await;
    let modified = || {
        fs::metadata(world.view().stage_folder("crawl").join("manifest.json"))
            .unwrap()
            .modified()
            .unwrap()
    };
    let before = modified();
    world.ended(&[&crawl]).await;
    assert_eq!(modified(), before);
}

#[tokio::test]
async fn a_damaged_outcome_stops_those_who_read_it_once_and_is_then_worked_on_again() {
    let world = World::new();
    let crawl = Toy::source(things(3), by_name);
    let filter = Toy::after("filter", &["crawl"]);
    world.ended(&[&crawl]).await;
    crawl.worked();
    let connection = rusqlite::Connection::open(world.folder.path().join("ledger.sqlite")).unwrap();
    connection
        .execute(
            "UPDATE outcome SET value = zeroblob(length(value)) WHERE item = 't1'",
            [],
        )
        .unwrap();
    drop(connection);

    let (stage, error) = world.run(&[&crawl, &filter]).await.stopped.unwrap();
    assert_eq!(
        (
            stage,
            error.to_string().contains("run again to work it out anew")
        ),
        ("filter", true),
        "{error}"
    );
    assert_eq!(crawl.worked().len(), 0);
    world.ended(&[&crawl, &filter]).await;
    assert_eq!(crawl.worked(), ["t1"]);
    assert_eq!(world.kept("filter"), ["t0", "t1", "t2"]);
}

#[tokio::test]
async fn a_record_that_two_stages_pass_on_has_two_makers_and_the_first_stays_the_first() {
    let world = World::new();
    let mut crawl = Toy::source(things(2), by_name);
    let filter = Toy::after("filter", &["crawl"]);
    world.ended(&[&crawl, &filter]).await;
    crawl.version = 2;
    world.ended(&[&crawl]).await;

    let ledger = Ledger::open_read_only(world.folder.path()).unwrap();
    let makers = ledger.makers("t1").unwrap();
    assert_eq!(
        makers
            .iter()
            .map(|(stage, _)| stage.as_str())
            .collect::<Vec<_>>(),
        ["crawl", "filter"]
    );
    assert_eq!(
        makers[0].1,
        ledger.listing("nightly", "crawl").unwrap().unwrap().keys[1],
        "the latest outcome of that stage"
    );
    assert_eq!(ledger.ids("t", 10).unwrap(), ["t0", "t1"]);
}

/// How an item of the property below ends on each try.
#[derive(Clone, Copy, Debug)]
enum End {
    Kept(u8),
    Dropped,
    Failed,
    FailedThenKept,
    StageErrorThenKept,
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        4 => (0..3u8).prop_map(End::Kept),
        2 => Just(End::Dropped),
        1 => Just(End::Failed),
        1 => Just(End::FailedThenKept),
        1 => Just(End::StageErrorThenKept),
    ]
}

async fn play(end: End, thing: Thing, nth: usize) -> toy::Worked {
    for _ in 0..thing.text.len() % 5 {
        tokio::task::yield_now().await;
    }
    let kept = |count: u8| {
        let records = (0..count)
            .map(|n| toy::thing(format!("{}.{n}", thing.id), ""))
            .collect();
        Ok(Outcome::Kept {
            records,
            rejected: Vec::new(),
        })
    };
    match end {
        End::Kept(count) => kept(count),
        End::Dropped => Ok(Outcome::dropped("dull", "nothing to see")),
        End::Failed => Err(RecordError::permanent(FailureKind::Data, "bad", "bad").into()),
        End::FailedThenKept if nth == 0 => {
            Err(RecordError::spurious(FailureKind::Model, "busy", "busy").into())
        }
        End::StageErrorThenKept if nth == 0 => Err(StageError::Model("down".to_owned()).into()),
        End::FailedThenKept | End::StageErrorThenKept => kept(1),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_happens_on_the_way_no_id_is_lost_or_doubled(
        ends in prop::collection::vec((end(), 0..9usize), 0..60),
        cancellations in prop::collection::vec((1..20usize, any::<bool>()), 0..6),
        jobs in 1..9usize,
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let mut world = World::new();
            world.config.jobs.items = jobs;
            world.config.run.max_failed = 1.0;
            let items: Vec<Thing> = ends.iter().enumerate().map(|(n, (_, waits))| thing(format!("i{n}"), "x".repeat(*waits))).collect();
            let tries: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
            let script = ends.clone();
            let counted = tries.clone();
            let crawl = Toy::source(items.clone(), move |thing| {
                let nth = {
                    let mut tries = counted.lock().unwrap();
                    let nth = tries.entry(thing.id.clone()).or_default();
                    *nth += 1;
                    *nth - 1
                };
                let end = script[thing.id[1..].parse::<usize>().unwrap()].0;
                play(end, thing, nth)
            });
            for (after, hard) in cancellations {
                world.cancel = Cancel::default();
                *world.log.cancel_after.lock().unwrap() = Some((after, world.cancel.clone()));
                let cancel = world.cancel.clone();
                let second = async {
                    while hard && !cancel.is_soft() {
                        tokio::task::yield_now().await;
                    }
                    if hard {
                        cancel.escalate();
                    }
                };
                let stages = [&crawl];
                tokio::select! {
                    _ = world.run(&stages) => {}
                    () = async { second.await; std::future::pending::<()>().await } => {}
                }
            }
            *world.log.cancel_after.lock().unwrap() = None;
            world.cancel = Cancel::default();
            // Stage errors stop a run once each; what failed spuriously in the last needs one more.
            let mut runs = 0;
            while world.run(&[&crawl]).await.stopped.is_some() {
                runs += 1;
                prop_assert!(runs <= ends.len());
            }
            world.ended(&[&crawl]).await;
            crawl.worked();
            let summary = world.ended(&[&crawl]).await.remove(0);
            prop_assert_eq!(summary.worked, 0);
            prop_assert_eq!(summary.read as usize, ends.len());
            prop_assert_eq!(summary.read, summary.kept + summary.dropped_total() + summary.failed_total());
            let expected: Vec<String> = ends
                .iter()
                .enumerate()
                .flat_map(|(n, (end, _))| {
                    let count = match end {
                        End::Kept(count) => *count,
                        End::Dropped | End::Failed => 0,
                        End::FailedThenKept | End::StageErrorThenKept => 1,
                    };
                    (0..count).map(move |record| format!("i{n}.{record}"))
                })
                .collect();
            prop_assert_eq!(world.kept("crawl"), expected);
            Ok(())
        })?;
    }
}
