//! Wrong input is answered with what is wrong, where, and what to do; and what a person sees is what it was.

use crate::support::{Ended, Place};

/// Code, stdout and stderr of a command, as a snapshot shows them.
fn shown(ended: &Ended) -> String {
    format!(
        "exit code: {}\n----- stdout -----\n{}\n----- stderr -----\n{}",
        ended.code, ended.stdout, ended.stderr
    )
}

/// Compares with the snapshot of that name.
fn snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("../snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, text));
}

#[test]
fn help_is_what_it_was() {
    let place = Place::empty();
    for (name, arguments) in [
        ("help", &["--help"][..]),
        ("help_run", &["run", "--help"]),
        ("help_plan", &["plan", "--help"]),
        ("help_show", &["show", "--help"]),
        ("help_filter_report", &["filter-report", "--help"]),
        ("help_score", &["score", "--help"]),
        ("help_serve", &["serve", "--help"]),
    ] {
        snapshot(name, &place.synth(arguments).succeed().stdout);
    }
}

#[test]
fn a_plan_in_a_new_folder_tells_what_it_will_cost() {
    let place = Place::small();
    let ended = place.synth(&["plan"]).succeed();
    snapshot("plan", &shown(&ended));
    assert!(!place.output().exists(), "a plan writes nothing");
    let planned = place.synth(&["plan", "--json"]).succeed();
    let planned: serde_json::Value = serde_json::from_str(&planned.stdout).unwrap();
    assert_eq!(planned["stages"].as_array().unwrap().len(), 8);
}

#[test]
fn the_summary_and_the_status_are_what_they_were() {
    let place = Place::small();
    let first = place.synth(&["run"]).succeed();
    let second = place.synth(&["run"]).succeed();
    snapshot("summary", &numberless(&first.stdout));
    snapshot("summary_of_a_second_run", &numberless(&second.stdout));
    let status = place.synth(&["status"]).succeed();
    snapshot(
        "status",
        &numberless(
            &status
                .stdout
                .replace(place.folder().to_str().unwrap(), "[folder]"),
        ),
    );
    let after = place.synth(&["plan"]).succeed();
    snapshot("plan_after_the_run", &numberless(&shown(&after)));
}

/// Text without its numbers, which follow from what a model said and from the clock; the columns move with them.
fn numberless(text: &str) -> String {
    let line = |line: &str| {
        let words = line.split_whitespace().map(|word| {
            let bare = word.trim_matches(|c: char| ",;$".contains(c));
            let is_number = !bare.is_empty()
                && bare
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || b",.".contains(&byte));
            if is_number {
                word.replace(bare, "#")
            } else {
                word.to_owned()
            }
        });
        words.collect::<Vec<_>>().join(" ")
    };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_doctor_looks_at_python_models_and_disk() {
    let place = Place::small();
    let ended = place.synth(&["doctor"]).run();
    assert!([0, 7].contains(&ended.code), "{}", ended.stderr);
    let marks = ["ok", "MISSING", "absent"];
    let names: Vec<&str> = ended
        .stdout
        .lines()
        .filter(|line| marks.contains(&line.split(' ').next().unwrap_or_default()))
        .filter_map(|line| line[7..].split_whitespace().next())
        .collect();
    for name in ["python", "user", "isolation", "disk", "model"] {
        assert!(names.contains(&name), "{name}: {}", ended.stdout);
    }
    if ended.code == 0 {
        assert!(ended.stdout.ends_with("a run can work here\n"));
    }
    // A model that cannot be reached is missing, with a remedy.
    let dead = place
        .synth(&["doctor"])
        .set("models.teacher.provider", "openai")
        .set("models.teacher.base_url", "http://127.0.0.1:1/v1")
        .run();
    assert_eq!(dead.code, 7);
    assert!(
        dead.stdout.contains("MISSING  model teacher"),
        "{}",
        dead.stdout
    );
    assert!(
        dead.stdout.contains("→ check `models.teacher`"),
        "{}",
        dead.stdout
    );
}

/// Fails unless the command ends with this code and its message has all of these parts.
fn refused(place: &Place, arguments: &[&str], code: i32, parts: &[&str]) {
    let ended = place.synth(arguments).run();
    assert_eq!(
        ended.code, code,
        "{arguments:?}\n{}{}",
        ended.stdout, ended.stderr
    );
    for part in parts {
        assert!(
            ended.stderr.contains(part),
            "no `{part}` in: {}",
            ended.stderr
        );
    }
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}

#[test]
fn a_key_that_does_not_exist_is_shown_with_its_line_and_its_neighbour() {
    let place = Place::empty();
    place.write(
        "work/wrong.toml",
        "[run]\nname = \"x\"\n\n[judge]\nsampels = 3\n",
    );
    refused(
        &place,
        &["run", "--config", "wrong.toml"],
        3,
        &["wrong.toml:5", "sampels", "did you mean `samples`"],
    );
    place.write("work/type.toml", "[judge]\nsamples = \"three\"\n");
    refused(
        &place,
        &["plan", "--config", "type.toml"],
        3,
        &["type.toml:2", "samples", "three"],
    );
    place.write("work/torn.toml", "[judge\nsamples = 3\n");
    refused(
        &place,
        &["status", "--config", "torn.toml"],
        3,
        &["torn.toml:1"],
    );
    assert!(!place.output().exists(), "nothing was begun");
}

#[test]
fn what_is_not_there_is_named() {
    let place = Place::empty();
    refused(
        &place,
        &["run", "--config", "none.toml"],
        3,
        &["none.toml", "No such file"],
    );
    refused(
        &place,
        &["run", "--set", "nonsense"],
        3,
        &["--set nonsense", "key=value"],
    );
    refused(
        &place,
        &["run", "--set", "judge.sampels=3"],
        3,
        &["--set judge.sampels=3", "samples"],
    );
    refused(
        &place,
        &["run", "--set", "roles.judge=nobody"],
        3,
        &["nobody"],
    );
    refused(&place, &["run", "--stage", "juge"], 2, &["juge", "judge"]);
    refused(
        &place,
        &["run", "--stage", "judge", "--until", "emit"],
        2,
        &["--until"],
    );
    refused(&place, &["run", "--limit", "many"], 2, &["many"]);
    refused(&place, &["rum"], 2, &["rum", "run"]);
    place.write(
        "work/folder.toml",
        "[sources.mine]\nkind = \"folder\"\npath = \"no/such/folder\"\n",
    );
    refused(
        &place,
        &["run", "--config", "folder.toml"],
        8,
        &["no/such/folder", "sources.mine.path"],
    );
    refused(
        &place,
        &["run", "--set", r#"sources.bundled.only=["irsi"]"#],
        8,
        &["irsi"],
    );
}

#[test]
fn a_variable_in_the_environment_lies_over_the_file() {
    let place = Place::small();
    let wrong = place
        .synth(&["plan"])
        .env("SYNTH__JUDGE__SAMPELS", "3")
        .run();
    assert_eq!(wrong.code, 3);
    assert!(
        wrong.stderr.contains("SYNTH__JUDGE__SAMPELS"),
        "{}",
        wrong.stderr
    );
    let calls = |ended: Ended| {
        let plan: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        plan["stages"][5]["calls"].as_f64().unwrap()
    };
    let once = calls(place.synth(&["plan", "--json"]).succeed());
    let thrice = calls(
        place
            .synth(&["plan", "--json"])
            .env("SYNTH__JUDGE__SAMPLES", "3")
            .succeed(),
    );
    assert!((thrice - 3.0 * once).abs() < 2.0, "{once} {thrice}");
}

#[test]
fn runs_and_records_that_are_not_there_are_named() {
    let place = Place::small();
    let none = place.synth(&["status"]).succeed();
    assert!(
        none.stdout.contains("no runs in `output` yet"),
        "{}",
        none.stdout
    );
    refused(&place, &["status", "--run", "ghost"], 2, &["ghost"]);
    refused(
        &place,
        &["show", "trj_zzzz"],
        8,
        &["there is no ledger", "synth run"],
    );
    refused(&place, &["show"], 2, &["ID"]);
    refused(
        &place,
        &["run", "--stage", "judge"],
        2,
        &["prepare", "--until"],
    );

    place.run().args(&["--until", "prepare"]).succeed();
    refused(
        &place,
        &["show", "trj_zzzz"],
        2,
        &["no record has the id `trj_zzzz`"],
    );
    refused(
        &place,
        &["run", "--stage", "judge"],
        2,
        &["queries", "--run small --until"],
    );
}

#[test]
fn init_writes_what_run_reads_and_leaves_what_is_there() {
    let place = Place::empty();
    place.synth(&["init"]).succeed();
    let path = place.folder().join("synth.toml");
    let text = std::fs::read_to_string(&path).unwrap();
    // The bundled sources are commented out: in the file they would stand beside those that are added.
    let bundled = "[sources.bundled]\nkind = \"bundled\"\nonly = []\n";
    let commented = format!("# {}\n", bundled.trim_end().replace('\n', "\n# "));
    let defaults = synth_core::config::DEFAULT_TOML;
    assert_eq!(text, defaults.replace(bundled, &commented));
    place.synth(&["plan"]).succeed();
    refused(&place, &["init"], 8, &["is there already", "left alone"]);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
    place.synth(&["init", "other.toml"]).succeed();
    refused(
        &place,
        &["init", "no/folder/synth.toml"],
        8,
        &["no/folder/synth.toml"],
    );
}

#[test]
fn completions_name_the_verbs() {
    for shell in ["bash", "zsh", "fish"] {
        let ended = Place::empty().synth(&["completions", shell]).succeed();
        assert!(ended.stdout.contains("doctor"), "{shell}");
    }
}
