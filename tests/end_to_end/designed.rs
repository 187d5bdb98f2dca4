//! Tasks that a model designs over tables: all six kinds come of tables that hold, and tables that do not end as a reason.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde_json::{Value, json};
use synth_stages::tables::read_tables;

use crate::support::{Endpoint, Fault, Place, part_rows};

/// Sources of a run: the folder's name, its table, and what the designer says of it as a table and as a series.
struct Sources {
    tables: Vec<(&'static str, Vec<u8>)>,
    designs: Vec<(&'static str, Value, Value)>,
}

fn no() -> Value {
    json!({"feasible": false, "why": "nothing to predict"})
}

fn table_design(task: &str, targets: &[&str], features: &[&str]) -> Value {
    let columns: Vec<Value> = features
        .iter()
        .map(|name| json!({"name": name, "type": if *name == "ward" { "categorical" } else { "numerical" }, "description": format!("the {name} as measured"), "low": null, "high": null, "categories": null}))
        .collect();
    json!({
        "feasible": true, "why": "it holds", "task": task, "target_candidates": targets, "targets": targets,
        "features": features, "entity_columns": [], "columns": columns,
    })
}

fn series_design(target: &str, time_format: &str, entities: &[&str], features: &[&str]) -> Value {
    json!({
        "feasible": true, "why": "it holds", "targets": [target], "time_column": "day", "time_format": time_format,
        "entity_columns": entities, "frequency": "1D", "resample_rule": null, "aggregation": null,
        "features": features, "columns": [],
    })
}

/// A number from 0 to below 1 that looks random and never changes.
fn noise(i: u64) -> f64 {
    let hash = blake3::hash(&i.to_le_bytes());
    f64::from(u32::from_le_bytes(hash.as_bytes()[..4].try_into().unwrap())) / 4_294_967_296.0
}

/// Rows of patients: a label (`outcome`) or a number that follows from two measurements and a ward.
fn patients(rows: u64, what: &str) -> String {
    let mut text = format!("age,dose,pulse,ward,{what}\n");
    for i in 0..rows {
        let (age, dose, pulse) = (
            20.0 + 60.0 * noise(3 * i),
            5.0 * noise(3 * i + 1),
            60.0 + 50.0 * noise(3 * i + 2),
        );
        let ward = ["north", "south", "east"][(i % 3) as usize];
        let gap = if i % 17 == 0 {
            String::new()
        } else {
            format!("{pulse:.1}")
        };
        let risk =
            age / 10.0 - dose + f64::from(u8::from(ward == "east")) * 2.0 + noise(i + 1_000_000);
        let outcome = if risk > 4.5 { "ill" } else { "well" };
        let stay = 3.0 + 2.0 * risk + noise(i + 2_000_000);
        let told = if what == "outcome" {
            outcome.to_owned()
        } else {
            format!("{stay:.2}")
        };
        writeln!(text, "{age:.0},{dose:.2},{gap},{ward},{told}").unwrap();
    }
    text
}

/// Sales of two shops by day, with a week's rhythm and rain.
fn sales(days: u64) -> String {
    let mut text = "day,shop,rain,sales\n".to_owned();
    for day in 0..days {
        for (place, shop) in ["mitte", "west"].into_iter().enumerate() {
            let rain = 10.0 * noise(day * 2 + place as u64);
            let sales = 100.0 + 40.0 * place as f64 + 15.0 * (day % 7) as f64 - 3.0 * rain
                + 4.0 * noise(day + 5000);
            writeln!(text, "{},{shop},{rain:.1},{sales:.1}", date(day)).unwrap();
        }
    }
    text
}

fn date(day: u64) -> String {
    let (months, day) = (day / 28, day % 28 + 1);
    format!("{}-{:02}-{day:02}", 2020 + months / 12, months % 12 + 1)
}

fn sources() -> Sources {
    let constant: String = (0..200).fold("day,sales\n".to_owned(), |text, day| {
        text + &format!("{},5\n", date(day))
    });
    let muddled: String = (0..200).fold("day,sales\n".to_owned(), |text, day| {
        text + &format!(
            "{},{day}.5\n",
            if day % 10 == 3 {
                format!("day {day}")
            } else {
                date(day)
            }
        )
    });
    let blind: String = (0..400).fold("a,b,label\n".to_owned(), |text, i| {
        text + &format!(
            "{:.3},{:.3},{}\n",
            noise(i),
            noise(i + 9000),
            if noise(i + 70_000) < 0.5 { "x" } else { "y" }
        )
    });
    let one_class: String = (0..200).fold("a,b,label\n".to_owned(), |text, i| {
        text + &format!("{i},{},same\n", i * 7 % 31)
    });
    let zip = [b"PK\x03\x04\x14\0\0\0\x08\0".as_slice(), &[0x9c; 400]].concat();
    Sources {
        tables: vec![
            ("labels", patients(600, "outcome").into_bytes()),
            ("numbers", patients(600, "stay").into_bytes()),
            ("sales", sales(140).into_bytes()),
            ("constant", constant.into_bytes()),
            ("muddled", muddled.into_bytes()),
            ("blind", blind.into_bytes()),
            ("one_class", one_class.into_bytes()),
            ("half_a_zip", zip),
        ],
        designs: vec![
            (
                "labels",
                table_design(
                    "classification",
                    &["outcome"],
                    &["age", "dose", "pulse", "ward"],
                ),
                no(),
            ),
            (
                "numbers",
                table_design("regression", &["stay"], &["age", "dose", "pulse", "ward"]),
                no(),
            ),
            (
                "sales",
                no(),
                series_design("sales", "%Y-%m-%d", &["shop"], &["rain"]),
            ),
            (
                "constant",
                no(),
                series_design("sales", "%Y-%m-%d", &[], &[]),
            ),
            (
                "muddled",
                no(),
                series_design("sales", "%Y-%m-%d", &[], &[]),
            ),
            (
                "blind",
                table_design("classification", &["label"], &["a", "b"]),
                no(),
            ),
            (
                "one_class",
                table_design("classification", &["label"], &["a", "b"]),
                no(),
            ),
        ],
    }
}

/// A run over these sources with these further settings; the endpoint says the designs.
fn place(sources: &Sources, endpoint: &Endpoint, settings: &str) -> Place {
    let place = Place::of(
        Some(endpoint),
        &format!(
            "[sources.tables]\nkind = \"folder\"\npath = \"../tables\"\n\n[prepare.designed]\norigins = [\"folder\"]\n{settings}\n"
        ),
    );
    for (name, bytes) in &sources.tables {
        place.write_bytes(&format!("tables/{name}/{name}.csv"), bytes);
    }
    let designs: Vec<(String, &'static str, &'static str)> = sources
        .designs
        .iter()
        .map(|(name, table, series)| (format!("## `data/{name}.csv`"), said(table), said(series)))
        .collect();
    endpoint.behave(move |_, body| {
        let asked = body["messages"][0]["content"].as_str().unwrap_or_default();
        let is_table = asked.starts_with("You design a prediction task over a table: decide");
        if !is_table && !asked.starts_with("You design a forecasting task over a table: decide") {
            return Fault::None;
        }
        let design = designs
            .iter()
            .find(|(heading, ..)| asked.contains(heading.as_str()));
        design.map_or(
            Fault::Says("I do not know this table."),
            |(_, table, series)| Fault::Says(if is_table { table } else { series }),
        )
    });
    place
}

/// Replies live as long as the process.
fn said(value: &Value) -> &'static str {
    Box::leak(value.to_string().into_boxed_str())
}

/// The tasks of a run that answer something, and why others were left out: (source and piece, reason).
fn prepared(place: &Place) -> (Vec<Value>, BTreeSet<(String, String)>) {
    let mut tasks = records(place, "03-prepare");
    tasks.retain(|task| task["kind"] != "analysis");
    (tasks, left_out(place, "03-prepare"))
}

/// What a stage left out, and why.
fn left_out(place: &Place, stage: &str) -> BTreeSet<(String, String)> {
    let path = place.run_folder().join(stage).join("dropped.parquet");
    let rows = part_rows(&path).into_iter();
    rows.map(|row| (row.id, row.reason)).collect()
}

/// What a stage made.
fn records(place: &Place, stage: &str) -> Vec<Value> {
    let mut records = Vec::new();
    for entry in std::fs::read_dir(place.run_folder().join(stage)).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap();
        if name.starts_with("part-") {
            records.extend(part_rows(&path).into_iter().filter_map(|row| row.record));
        }
    }
    records
}

fn stored(place: &Place, file: &Value) -> Vec<u8> {
    let hash = file["blake3"].as_str().unwrap();
    std::fs::read(place.output().join("store").join(&hash[..2]).join(hash)).unwrap()
}

#[test]
fn six_kinds_come_of_tables_that_hold_and_all_others_end_as_a_reason() {
    let (sources, endpoint) = (sources(), Endpoint::start());
    let place = place(&sources, &endpoint, "min_separated = 0.3");
    place.run().args(&["--until", "prepare"]).succeed();
    let (tasks, left_out) = prepared(&place);
    println!("left out: {left_out:#?}");
    let kinds: BTreeSet<(&str, &str)> = tasks
        .iter()
        .map(|task| {
            (
                task["kind"].as_str().unwrap(),
                task["slug"].as_str().unwrap(),
            )
        })
        .collect();
    let expected = [
        // A workflow can be followed where there is nothing to learn.
        ("class_if", "tables/blind"),
        ("class_if", "tables/labels"),
        ("class_mm", "tables/labels"),
        ("reg_if", "tables/numbers"),
        ("reg_mm", "tables/numbers"),
        ("ts_cf", "tables/sales"),
        ("ts_xf", "tables/sales"),
    ];
    assert_eq!(kinds, BTreeSet::from(expected), "{left_out:#?}");
    assert_eq!(tasks.len(), expected.len());
    for (piece, reason) in [
        ("tables/constant: series design", "constant_series"),
        ("tables/muddled: series design", "unreadable_time"),
        ("tables/one_class: table design", "one_class"),
        ("tables/blind: class_mm", "no_signal"),
        ("tables/labels: series design", "no_time_column"),
        ("tables/sales: table design", "not_feasible"),
    ] {
        assert!(
            left_out.contains(&(piece.to_owned(), reason.to_owned())),
            "no {piece} {reason} in {left_out:#?}"
        );
    }
    // Bytes that are no table do not come as far.
    let earlier = self::left_out(&place, "02-filter");
    assert_eq!(earlier.len(), 1, "{earlier:#?}");

    for task in &tasks {
        let rule = &task["verifier"];
        let truth = stored(&place, &rule["truth"]);
        let truth_table = read_tables("truth.csv", &truth).unwrap().remove(0);
        let targets: Vec<&str> = rule["targets"]
            .as_array()
            .unwrap()
            .iter()
            .filter_map(Value::as_str)
            .collect();
        let kind = task["kind"].as_str().unwrap();
        assert!(truth_table.rows.len() >= 20, "{kind}");
        for file in task["files"].as_array().unwrap() {
            let (path, bytes) = (file["path"].as_str().unwrap(), stored(&place, file));
            assert_ne!(bytes, truth, "{kind}: the truth is among the files");
            if path.starts_with("test.") {
                let columns: Vec<String> = read_tables(path, &bytes)
                    .unwrap()
                    .into_iter()
                    .flat_map(|table| table.header)
                    .collect();
                assert!(
                    targets
                        .iter()
                        .all(|target| !columns.iter().any(|column| column == target)),
                    "{kind}: {columns:?}"
                );
                if kind == "ts_cf" {
                    assert_eq!(columns, ["day", "shop"]);
                }
            }
        }
        assert!(
            task["prompt"]
                .as_str()
                .unwrap()
                .contains(&format!("`{}`", targets[0])),
            "{kind}"
        );
        assert!(task["design"]["targets"] == rule["targets"], "{kind}");
        if kind.ends_with("_if") {
            assert!(
                task["checks"]["separated"].as_f64().unwrap() >= 0.3,
                "{}",
                task["checks"]
            );
            assert_eq!(task["hidden"][0]["path"], "solution.py");
            let noisy = read_tables("train.csv", &stored(&place, &task["hidden"][1]))
                .unwrap()
                .remove(0)
                .rows
                .len();
            let shown: u64 = task["tables"]
                .as_array()
                .unwrap()
                .iter()
                .filter(|table| table["path"].as_str().unwrap().starts_with("train."))
                .map(|table| table["rows"].as_u64().unwrap())
                .max()
                .unwrap();
            assert_eq!(shown, noisy as u64 + (noisy as f64 * 0.2).round() as u64);
        } else {
            let baseline = |name: &str| {
                task["checks"]["baselines"]
                    .as_array()
                    .unwrap()
                    .iter()
                    .find(|baseline| baseline["name"] == name)
                    .map(|baseline| baseline["reward"].as_f64().unwrap())
            };
            assert!(
                baseline("forest").unwrap() > baseline("constant").unwrap(),
                "{}",
                task["checks"]
            );
            // Sales repeat week by week: without the rain, nothing gets far above last week's.
            let is_solvable = task["checks"]["solvable"] == true;
            assert!(is_solvable || kind == "ts_cf", "{kind}: {}", task["checks"]);
            assert_eq!(
                baseline("seasonal_naive").is_some(),
                kind.starts_with("ts_")
            );
        }
        println!(
            "{kind}: {} floor {} separated {} by {}",
            task["slug"],
            task["checks"]["floor"],
            task["checks"]["separated"],
            task["files"][0]["path"]
        );
    }

    // What was paid for is not paid for again, whatever is done anew.
    let requests = endpoint.requests();
    place
        .run()
        .args(&["--until", "prepare"])
        .set("prepare.designed.min_signal", "0.021")
        .succeed();
    assert_eq!(endpoint.requests(), requests);
    assert_eq!(prepared(&place).0, tasks);
}

#[test]
fn a_design_that_does_not_hold_is_asked_for_again_with_the_reason() {
    let endpoint = Endpoint::start();
    let sources = Sources {
        tables: vec![("labels", patients(300, "outcome").into_bytes())],
        designs: Vec::new(),
    };
    let place = place(
        &sources,
        &endpoint,
        "kinds = [\"class_mm\"]\nformats = [\"csv\"]",
    );
    let wrong = said(&table_design("classification", &["fate"], &["age", "dose"]));
    let right = said(&table_design(
        "classification",
        &["outcome"],
        &["age", "dose"],
    ));
    let told = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let heard = std::sync::Arc::clone(&told);
    endpoint.behave(move |number, body| {
        let last = body["messages"]
            .as_array()
            .and_then(|messages| messages.last());
        heard.lock().unwrap().push(
            last.and_then(|last| last["content"].as_str())
                .unwrap_or_default()
                .to_owned(),
        );
        Fault::Says(match number {
            0 => "Certainly! Here is a design.",
            1 => wrong,
            _ => right,
        })
    });
    place.run().args(&["--until", "prepare"]).succeed();
    let (tasks, left_out) = prepared(&place);
    assert_eq!((tasks.len(), left_out.len()), (1, 0), "{left_out:?}");
    let told = told.lock().unwrap();
    assert_eq!(told.len(), 3);
    assert!(told[1].contains("no such JSON object"), "{}", told[1]);
    assert!(told[2].contains("there is no column `fate`"), "{}", told[2]);
}

#[test]
fn the_builtin_teacher_designs_all_six_kinds_and_solves_them() {
    let place = Place::of(
        None,
        "[sources.tables]\nkind = \"folder\"\npath = \"../tables\"\n\n[prepare.designed]\norigins = [\"folder\"]\nmin_separated = 0.3\n\n[models.teacher]\nprovider = \"builtin\"\nmodel = \"builtin/teacher\"\nerror_rate = 0.0\nwrong_rate = 0.0\n",
    );
    for (name, table) in [
        ("labels", patients(600, "outcome")),
        ("numbers", patients(600, "stay")),
        ("sales", sales(140)),
    ] {
        place.write(&format!("tables/{name}/{name}.csv"), &table);
    }
    place
        .run()
        .args(&["--until", "trajectories"])
        .set("queries.per_task", "1")
        .succeed();
    let (tasks, left_out) = prepared(&place);
    let kinds: BTreeSet<&str> = tasks
        .iter()
        .map(|task| task["kind"].as_str().unwrap())
        .collect();
    let all = ["class_if", "class_mm", "reg_if", "reg_mm", "ts_cf", "ts_xf"];
    assert_eq!(kinds, BTreeSet::from(all), "{left_out:#?}");

    let mut rewards: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let trajectories = records(&place, "05-trajectories");
    for trajectory in &trajectories {
        let of = |task: &&Value| task["id"] == trajectory["task_id"];
        if let Some(task) = tasks.iter().find(of) {
            let kind = task["kind"].as_str().unwrap();
            let reward = trajectory["score"]["reward"].as_f64().unwrap();
            rewards.entry(kind).or_default().push(reward);
        }
    }
    println!("{rewards:?}");
    assert_eq!(rewards.len(), 6);
    for (kind, rewards) in rewards {
        assert!(rewards.iter().any(|reward| *reward > 0.0), "{kind}");
    }
}
