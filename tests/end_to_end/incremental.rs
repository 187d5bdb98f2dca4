//! What an earlier run did is not done again; what changed is, and nothing else.

use crate::support::{Ended, Endpoint, Place, assert_same_files, dataset, parquet_files, sft_rows};

const STAGES: [&str; 8] = [
    "crawl",
    "filter",
    "prepare",
    "queries",
    "trajectories",
    "judge",
    "select",
    "emit",
];

/// Items worked on, stage by stage.
fn worked(ended: &Ended) -> [u64; 8] {
    STAGES.map(|stage| ended.worked(stage))
}

#[test]
fn a_second_run_does_nothing() {
    let endpoint = Endpoint::start();
    let place = Place::at(&endpoint);
    place.run().succeed();
    let (files, requests) = (dataset(&place), endpoint.requests());
    let parts = parquet_files(&place);

    let second = place.run().succeed();
    println!("the second run took {:.2} s", second.seconds);
    assert_eq!(worked(&second), [0; 8]);
    assert_eq!((second.spent("calls"), second.spent("cached")), (0, 0));
    assert_eq!(second.spent("sandboxes"), 0);
    assert_eq!(endpoint.requests(), requests);
    assert_same_files(&dataset(&place), &files);
    assert_same_files(&parquet_files(&place), &parts);
    // Under 2 s on a machine with nothing else to do.
    assert!(second.seconds < 20.0, "{}", second.seconds);

    // Files that were taken away come back from the ledger.
    std::fs::remove_dir_all(place.run_folder()).unwrap();
    let third = place.run().succeed();
    assert_eq!((third.spent("calls"), third.spent("sandboxes")), (0, 0));
    assert_same_files(&dataset(&place), &files);
    assert_same_files(&parquet_files(&place), &parts);
}

#[test]
fn a_changed_judge_judges_only() {
    let endpoint = Endpoint::start();
    let place = Place::at(&endpoint);
    let first = place.run().succeed();
    let requests = endpoint.requests();

    let second = place
        .run()
        .set("judge.sampling.max_tokens", "2000")
        .args(&["--explain"])
        .succeed();
    let judged = first.worked("judge");
    assert!(judged > 0);
    assert_eq!(worked(&second)[..5], [0; 5]);
    assert_eq!(second.worked("judge"), judged);
    assert_eq!(second.spent("sandboxes"), 0);
    let asked = &endpoint.log()[requests..];
    assert!(!asked.is_empty() && asked.iter().all(|seen| seen.is_judge));
    let why: Vec<_> = second
        .events()
        .into_iter()
        .filter(|event| event["event"] == "explained" && event["stage"] == "judge")
        .collect();
    assert_eq!(why.len() as u64, judged);
    assert!(
        why.iter()
            .all(|event| event["why"] == "changed: the configuration")
    );
}

#[test]
fn a_changed_judge_prompt_judges_only() {
    let endpoint = Endpoint::start();
    let place = Place::at(&endpoint);
    let first = place.run().succeed();
    let requests = endpoint.requests();

    let grade = synth_stages::prompts::GRADE.text();
    let stricter = grade.replace("# Your judgement", "Be strict.\n\n# Your judgement");
    assert_ne!(grade, stricter);
    place.write("work/prompts/judge/grade.md", &stricter);
    let planned = place
        .synth(&["plan", "--set", "run.prompts=prompts"])
        .succeed();
    assert!(
        planned.stdout.contains("changed: a prompt"),
        "{}",
        planned.stdout
    );

    let again = || {
        place
            .run()
            .set("run.prompts", "prompts")
            .args(&["--explain"])
    };
    let second = again().succeed();
    let judged = first.worked("judge");
    assert!(judged > 0);
    assert_eq!(worked(&second)[..5], [0; 5]);
    assert_eq!(second.worked("judge"), judged);
    assert_eq!(second.spent("sandboxes"), 0);
    let asked = &endpoint.log()[requests..];
    assert!(!asked.is_empty() && asked.iter().all(|seen| seen.is_judge));
    let events = second.events();
    let why = events
        .iter()
        .filter(|event| event["event"] == "explained" && event["stage"] == "judge");
    assert!(why.clone().count() as u64 == judged);
    assert!(why.clone().all(|event| event["why"] == "changed: a prompt"));

    // Then it is known, and so is the old one.
    assert_eq!(worked(&again().succeed())[..6], [0; 6]);
    assert_eq!(worked(&place.run().succeed())[..6], [0; 6]);
    assert_eq!(endpoint.requests(), requests + asked.len());
}

#[test]
fn a_prompt_of_ones_own_that_cannot_work_is_refused() {
    let place = Place::small();
    let refused = |parts: &[&str]| {
        let ended = place.run().set("run.prompts", "prompts").run();
        assert_eq!(ended.code, 3, "{}", ended.stderr);
        for part in parts {
            assert!(ended.stderr.contains(part), "{}", ended.stderr);
        }
    };
    refused(&["prompts", "run.prompts"]);
    place.write("work/prompts/judge/grade.md", "Judge {{ questoin }}.");
    refused(&["judge/grade.md", "`questoin`", "question"]);
    place.write("work/prompts/judge/grade.md", "{% if question %}");
    refused(&["judge/grade.md", "no template"]);
    place.write("work/prompts/judge/grade.md", "Judge {{ question }}.");
    place.write("work/prompts/judge/grad.md", "Judge.");
    refused(&["judge/grad.md", "judge/grade.md"]);
}

#[test]
fn more_attempts_leave_the_earlier_ones_as_they_are() {
    let endpoint = Endpoint::start();
    let place = Place::at(&endpoint);
    let first = place.run().succeed();
    let second = place.run().set("trajectories.attempts", "3").succeed();
    let before = first.worked("trajectories");
    assert_eq!(second.worked("trajectories"), before / 2);
    assert_eq!(second.stage("trajectories")["read"], before / 2 * 3);
    assert_eq!(second.worked("queries"), 0);
}

#[test]
fn adding_a_source_works_on_that_source_only() {
    let endpoint = Endpoint::start();
    let place = Place::at(&endpoint);
    let first = place.run().succeed();
    let requests = endpoint.requests();

    let second = place
        .run()
        .set("sources.bundled.only", r#"["diabetes", "shop", "macro"]"#)
        .succeed();
    assert_eq!(worked(&second)[..4], [1; 4]);
    let more = |stage: &str| {
        let read = |ended: &Ended| ended.stage(stage)["read"].as_u64().unwrap();
        read(&second) - read(&first)
    };
    assert_eq!(second.worked("trajectories"), more("trajectories"));
    assert_eq!(second.worked("judge"), more("judge"));
    assert_eq!(
        second.spent("calls"),
        (endpoint.requests() - requests) as u64
    );
    // The same in one go has the same rows of the sources that were there before and of the new one.
    let at_once = Place::at(&endpoint);
    at_once
        .run()
        .set("sources.bundled.only", r#"["diabetes", "shop", "macro"]"#)
        .succeed();
    let sorted = |place: &Place| {
        let mut rows = sft_rows(place);
        rows.sort();
        rows
    };
    assert!(
        sorted(&place) == sorted(&at_once),
        "the rows are not those of a run over all sources"
    );
}

#[test]
fn a_source_that_was_held_out_stays_held_out() {
    let place = Place::small();
    let splits = |only: &str, share: &str| {
        place
            .run()
            .args(&["--until", "prepare"])
            .set("sources.bundled.only", only)
            .set("prepare.eval_share", share)
            .succeed();
        let tasks = place.synth(&["show", "tsk_", "--json"]).run();
        // Several begin so: their ids are listed, and each tells its split.
        let mut splits: Vec<(String, String)> = tasks
            .stderr
            .split_whitespace()
            .filter(|word| word.starts_with("tsk_") && word.len() > 10)
            .map(|id| {
                let task = place.synth(&["show", id, "--json"]).succeed();
                let task: serde_json::Value = serde_json::from_str(&task.stdout).unwrap();
                let text = |key: &str| task[key].as_str().unwrap().to_owned();
                (text("slug"), text("split"))
            })
            .collect();
        splits.sort();
        splits.dedup();
        splits
    };
    let first = splits(r#"["iris", "shop", "wine", "macro"]"#, "0.5");
    assert_eq!(
        first.iter().filter(|(_, split)| split == "eval").count(),
        2,
        "{first:?}"
    );
    // A source has one split, whatever its tasks.
    assert_eq!(first.len(), 4, "{first:?}");
    for (share, more) in [
        ("0.0", r#", "co2""#),
        ("1.0", ""),
        ("0.5", r#", "sunspots", "elnino""#),
    ] {
        let now = splits(
            &format!(r#"["iris", "shop", "wine", "macro"{more}]"#),
            share,
        );
        assert!(
            first.iter().all(|known| now.contains(known)),
            "{first:?} {now:?}"
        );
    }
}
