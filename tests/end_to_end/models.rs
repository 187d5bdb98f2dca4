//! Recordings stand in for an endpoint; tools do what tags do.

use crate::support::{Endpoint, Place, assert_same_files, dataset, parquet_files, sft_rows};

#[test]
fn a_recording_replaces_the_endpoint() {
    let endpoint = Endpoint::start();
    let recorded = Place::at(&endpoint);
    recorded
        .run()
        .set("models.teacher.record", "exchanges.jsonl")
        .succeed();
    let exchanges = recorded.folder().join("exchanges.jsonl");
    let requests = endpoint.requests();
    let lines = std::fs::read_to_string(&exchanges).unwrap();
    assert_eq!(lines.lines().count(), requests);
    assert!(!lines.contains(crate::support::KEY));
    drop(endpoint);

    let replayed = Place::small();
    let ended = replayed
        .run()
        .set("models.teacher.provider", "replay")
        .set("models.teacher.exchanges", exchanges.to_str().unwrap())
        .succeed();
    let failed = replayed.synth(&["show", "--failed"]).succeed().stdout;
    assert!(failed.contains("nothing failed"), "{failed}");
    assert_eq!(ended.spent("calls"), 0);
    assert_eq!(ended.spent("cached"), requests as u64);
    assert_same_files(&dataset(&replayed), &dataset(&recorded));
    assert_same_files(&parquet_files(&replayed), &parquet_files(&recorded));

    // What was not recorded is said to be missing.
    let other = Place::small();
    let ended = other
        .run()
        .set("models.teacher.provider", "replay")
        .set("models.teacher.exchanges", exchanges.to_str().unwrap())
        .set("run.seed", "18")
        .run();
    assert_ne!(ended.code, 101);
    let listed = other.synth(&["show", "--run", "small", "--failed"]).run();
    let told = format!("{}{}", ended.stderr, listed.stdout);
    assert!(told.contains("no recorded exchange"), "{told}");
}

#[test]
fn the_endpoint_and_the_builtin_teacher_say_the_same() {
    let endpoint = Endpoint::start();
    let outside = Place::at(&endpoint);
    outside.run().succeed();
    let inside = Place::small();
    let ended = inside.run().succeed();
    assert_eq!(ended.spent("calls"), endpoint.requests() as u64);
    assert!(sft_rows(&inside) == sft_rows(&outside), "the rows differ");
}

#[test]
fn the_tools_scaffold_works_from_end_to_end() {
    let place = Place::small();
    let ended = place.run().set("trajectories.scaffold", "tools").succeed();
    assert!(ended.stage("emit")["kept"].as_u64().unwrap() > 0);
    rows_are_conversations(&place);
}

#[test]
fn the_tags_scaffold_works_from_end_to_end() {
    let place = Place::small();
    place.run().succeed();
    rows_are_conversations(&place);
}

/// System or not, then user and assistant in turn, the assistant last; with code, its output and an answer.
fn rows_are_conversations(place: &Place) {
    let rows = sft_rows(place);
    assert!(!rows.is_empty());
    for row in rows {
        let mut roles: Vec<&str> = row.iter().map(|(role, _)| role.as_str()).collect();
        if roles[0] == "system" {
            roles.remove(0);
        }
        let expected = ["user", "assistant"].into_iter().cycle().take(roles.len());
        assert!(expected.eq(roles.iter().copied()), "{roles:?}");
        assert_eq!(roles.last(), Some(&"assistant"));
        let said = |wanted: &str, part: &str| {
            row.iter()
                .any(|(role, content)| role == wanted && content.contains(part))
        };
        assert!(
            said("assistant", "<code>") && said("assistant", "</code>"),
            "{row:#?}"
        );
        assert!(said("user", "<information>"), "{row:#?}");
        let (_, last) = row.last().unwrap();
        assert!(last.contains("<answer>"), "{last}");
    }
}
