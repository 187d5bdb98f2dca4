//! A real benchmark suite: every task of it is imported or refused with a reason, and its tables make a dataset.

use crate::support::{Place, repository, sft_rows, shared};

/// Tasks in the suite.
const TASKS: u64 = 143;

/// The suite, where it is there.
fn suite() -> Option<String> {
    shared("suites/daeval.tar.gz").map(|path| path.to_str().unwrap().to_owned())
}

fn place() -> Place {
    let place = Place::empty();
    let config = std::fs::read_to_string(repository().join("configs/daeval.toml")).unwrap();
    place.write(
        "work/synth.toml",
        &config.replace("name = \"daeval\"", "name = \"small\""),
    );
    place
}

#[test]
fn every_task_of_a_suite_is_imported_or_refused() {
    let Some(suite) = suite() else { return };
    let place = place();
    let ended = place
        .run()
        .set("sources.daeval.path", &suite)
        .args(&["--until", "prepare"])
        .succeed();
    let [crawl, filter, prepare] = ["crawl", "filter", "prepare"].map(|stage| ended.stage(stage));
    let rejected = |stage: &serde_json::Value| -> u64 {
        let reasons = stage["rejected"].as_object().unwrap();
        reasons.values().map(|count| count.as_u64().unwrap()).sum()
    };
    let number = |value: &serde_json::Value| value.as_u64().unwrap();
    // One task to explore for each source; all others came with the suite.
    let imported = number(&prepare["records"]) - number(&prepare["kept"]);
    let of_dropped: u64 = ["01-crawl", "02-filter"]
        .iter()
        .flat_map(|folder| {
            crate::support::part_rows(&place.run_folder().join(folder).join("dropped.parquet"))
        })
        .filter_map(|row| {
            let record = row.record?;
            let questions = record
                .pointer("/source/questions")
                .or(record.get("questions"))?;
            Some(questions.as_array()?.len() as u64)
        })
        .sum();
    println!(
        "{imported} tasks imported, {} refused {}, {of_dropped} of dropped sources {} {}; {} sources",
        rejected(&crawl) + rejected(&prepare),
        crawl["rejected"],
        crawl["dropped"],
        filter["dropped"],
        crawl["read"],
    );
    assert_eq!(
        imported + rejected(&crawl) + rejected(&prepare) + of_dropped,
        TASKS
    );
    assert!(imported > TASKS / 2);
    for stage in [&crawl, &filter, &prepare] {
        assert_eq!(stage["failed"], serde_json::json!({}), "{stage}");
    }
}

#[test]
fn a_suite_makes_a_dataset() {
    let Some(suite) = suite() else { return };
    let place = place();
    let ended = place
        .run()
        .set("sources.daeval.path", &suite)
        .set("queries.per_task", "2")
        .set("trajectories.attempts", "1")
        .args(&["--until", "prepare"])
        .succeed();
    assert!(ended.stage("prepare")["kept"].as_u64().unwrap() > 0);
    let ended = place
        .run()
        .set("sources.daeval.path", &suite)
        .set("queries.per_task", "2")
        .set("trajectories.attempts", "1")
        .args(&["--limit", "6"])
        .succeed();
    for stage in ["queries", "trajectories", "judge", "select", "emit"] {
        let account = ended.stage(stage);
        println!(
            "{stage}: read {}, kept {}, dropped {}",
            account["read"], account["kept"], account["dropped"]
        );
        assert_eq!(account["failed"], serde_json::json!({}), "{account}");
        assert!(account["read"].as_u64().unwrap() <= 6);
    }
    let rows = sft_rows(&place);
    println!("{} rows", rows.len());
    assert!(!rows.is_empty());
}
