//! Roles that answer at once: designs of tasks, the judgement of competitions, the comparison of answers.

use serde_json::{Value, json};
use synth_teacher::{TeacherConfig, complete};

const PERFECT: TeacherConfig = TeacherConfig {
    error_rate: 0.0,
    wrong_rate: 0.0,
};

/// A prompt of the product, rendered.
fn rendered(name: &str, values: &Value) -> String {
    let path = format!("{}/../../prompts/{name}.md", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the prompt is there");
    let body = text
        .splitn(3, "---\n")
        .nth(2)
        .expect("a prompt has front matter");
    minijinja::Environment::new()
        .render_str(body, minijinja::value::Serde(values))
        .expect("the prompt renders")
}

fn reply(config: &TeacherConfig, messages: &[(&str, String)], seed: u64) -> Value {
    let messages: Vec<Value> = messages
        .iter()
        .map(|(role, content)| json!({"role": role, "content": content}))
        .collect();
    let reply = complete(
        config,
        &json!({"model": "m", "seed": seed, "messages": messages}),
    );
    let content = reply["choices"][0]["message"]["content"]
        .as_str()
        .expect("text");
    serde_json::from_str(content).unwrap_or_else(|error| panic!("{error}: {content}"))
}

const HOUSES: &str = "You design a prediction task over a table: decide whether it suits classification or regression, and fix its columns. Judge.\n\n# Dataset\n\n- Title: House prices of a town\n- Tags: none\n\n# Table\n\n## `data/houses.csv`: 800 rows, 7 columns\n\n| column | type | missing | different values | range or examples |\n|---|---|---|---|---|\n| `house_id` | integer | 0 | 800 | 1 to 800 |\n| `area` | number | 12 | 700 | 20.5 to 310 |\n| `price` | number | 0 | 790 | 10000 to 900000 |\n| `price_eur` | number | 0 | 790 | 9000 to 800000 |\n| `kind` | text | 0 | 3 | flat, row, farm |\n| `note` | text | 300 | 500 | nice, old, x, y, z |\n| `rooms` | integer | 0 | 9 | 1 to 9 |\n\n# Columns as their owner describes them\n\n- area: Floor area in square metres\n\n# First rows\n\n```csv\nhouse_id,area,price,price_eur,kind,note,rooms\n1,20.5,10000,9000,flat,nice,2\n2,70,20000,18000,row,\"a, b\",3\n```\n\n# Your design\n\nAnswer with one JSON object.\n\n{\"feasible\": true}";

#[test]
fn a_table_gets_a_design_that_its_summary_supports() {
    let design = reply(&PERFECT, &[("user", HOUSES.to_owned())], 1);
    assert_eq!(design["feasible"], true);
    assert_eq!(design["task"], "regression");
    assert_eq!(design["targets"], json!(["price"]));
    assert_eq!(design["features"], json!(["area", "kind", "rooms"]));
    let area = &design["columns"][1];
    assert_eq!(area["description"], "Floor area in square metres");
    assert_eq!((&area["low"], &area["high"]), (&json!(20.5), &json!(310.0)));
    assert_eq!(
        design["columns"][2]["categories"],
        json!(["flat", "row", "farm"])
    );
    let again = [
        ("user", HOUSES.to_owned()),
        ("assistant", design.to_string()),
        (
            "user",
            "That design does not hold: the feature `rooms` says what `price` is.\n\nAnswer again"
                .to_owned(),
        ),
    ];
    let mended = reply(&PERFECT, &again, 1);
    assert_eq!(mended["features"], json!(["area", "kind"]));
    let nothing = HOUSES.replace("800 rows", "8 rows");
    assert_eq!(reply(&PERFECT, &[("user", nothing)], 1)["feasible"], false);
}

const SHOPS: &str = "You design a forecasting task over a table: decide whether its rows are a time series, and fix its columns. Judge.\n\n# Dataset\n\n- Title: Sales of shops\n- Tags: none\n\n# Table\n\n## `data/shops.csv`: 1098 rows, 5 columns\n\n| column | type | missing | different values | range or examples |\n|---|---|---|---|---|\n| `day` | date | 0 | 366 | 01/01/2020 to 31/12/2020 |\n| `shop` | text | 0 | 3 | a, b, c |\n| `price` | number | 0 | 300 | 1.5 to 9 |\n| `sales` | integer | 0 | 900 | 0 to 5000 |\n| `month` | integer | 0 | 12 | 1 to 12 |\n\n# First rows\n\n```csv\nday,shop,price,sales,month\n01/01/2020,a,2,100,1\n01/01/2020,b,2,90,1\n01/01/2020,c,2,80,1\n02/01/2020,a,2,70,1\n02/01/2020,b,2,75,1\n```\n\n# Your design\n\n{}";

#[test]
fn a_series_gets_its_time_entities_and_step() {
    let design = reply(&PERFECT, &[("user", SHOPS.to_owned())], 1);
    assert_eq!(design["feasible"], true, "{design}");
    assert_eq!(design["targets"], json!(["sales"]));
    assert_eq!(design["time_column"], "day");
    assert_eq!(design["time_format"], "%d/%m/%Y");
    assert_eq!(design["entity_columns"], json!(["shop"]));
    assert_eq!(design["frequency"], "1D");
    assert_eq!(design["resample_rule"], Value::Null);
    let again = |problem: &str| {
        let messages = [
            ("user", SHOPS.to_owned()),
            ("assistant", design.to_string()),
            (
                "user",
                format!("That design does not hold: {problem}.\n\nAnswer again"),
            ),
        ];
        reply(&PERFECT, &messages, 1)
    };
    let other = again("`31/12/2020` in column `day` is no time as `%d/%m/%Y` writes it");
    assert_eq!(other["time_format"], "%m/%d/%Y");
    let other = again("`frequency` is `1D`, but the usual step is `1W`");
    assert_eq!(other["frequency"], "1W");
    let other = again(
        "`01/01/2020` stands twice in one series; name the entity columns, or a `resample_rule` with its `aggregation`",
    );
    assert_eq!(
        (&other["resample_rule"], &other["aggregation"]),
        (&json!("1D"), &json!("sum"))
    );
    let timeless = SHOPS
        .replace("| `day` | date |", "| `day` | text |")
        .replace("0/01/2020", "x")
        .replace("01/2020", "x")
        .replace("12/2020", "x");
    assert_eq!(reply(&PERFECT, &[("user", timeless)], 1)["feasible"], false);
}

#[test]
fn wrong_designs_come_at_their_rate_and_are_mended() {
    let careless = TeacherConfig {
        error_rate: 0.0,
        wrong_rate: 0.3,
    };
    for prompt in [HOUSES, SHOPS] {
        let right = reply(&PERFECT, &[("user", prompt.to_owned())], 0);
        let wrong: Vec<u64> = (0..400)
            .filter(|seed| reply(&careless, &[("user", prompt.to_owned())], *seed) != right)
            .collect();
        assert!((80..160).contains(&wrong.len()), "{}", wrong.len());
        let again = [
            ("user", prompt.to_owned()),
            ("assistant", "{}".to_owned()),
            (
                "user",
                "That design does not hold: there is no column `x`; `targets` names it.".to_owned(),
            ),
        ];
        assert_eq!(reply(&careless, &again, wrong[0]), right);
    }
}

fn competition(description: &str, evaluation: &str, data: &str) -> String {
    format!(
        "You decide whether a Kaggle competition can become a task for data-science agents.\nAn agent will get its data.\n\n# Competition\n\n- Title: A contest\n- Slug: a\n- Segment: playground\n- Tags: none\n- Metric: not named\n- Teams: 12\n- Files: train.csv (1.2 MB), test.csv (1 MB)\n\n# Description\n\n{description}\n\n# Evaluation\n\n{evaluation}\n\n# Data\n\n{data}\n\n# Your judgement\n\nAnswer"
    )
}

#[test]
fn competitions_are_judged_by_what_their_pages_say() {
    let long = "Predict the price of each house from its size, age and place; the rows are sales of ten years, and each has some forty columns. ".repeat(3);
    let verdicts = |message: String| {
        let judgement = reply(&PERFECT, &[("user", message)], 0);
        for key in [
            "valid_challenge",
            "meaningful_engineering",
            "well_specified",
        ] {
            assert!(
                judgement[key]["rationale"]
                    .as_str()
                    .is_some_and(|text| text.len() > 10)
            );
        }
        [
            "valid_challenge",
            "meaningful_engineering",
            "well_specified",
        ]
        .map(|key| judgement[key]["verdict"] == "yes")
    };
    assert_eq!(
        verdicts(competition(
            &long,
            "Root mean squared error (RMSE).",
            "train.csv has the answers"
        )),
        [true, true, true]
    );
    assert_eq!(
        verdicts(competition("none", "none", "none")),
        [false, true, false]
    );
    assert_eq!(
        verdicts(competition(
            &format!("{long} Find the shortest path."),
            "RMSE",
            "none"
        )),
        [false, true, true]
    );
}

#[test]
fn answers_are_compared_by_meaning() {
    let verdict = |answer: &str| {
        let message = rendered(
            "trajectories/equivalent",
            &json!({"question": "How many?", "reference": "1,234 houses", "answer": answer}),
        );
        reply(&PERFECT, &[("user", message)], 0)
    };
    assert_eq!(verdict("There are 1234 houses.")["equivalent"], "yes");
    let other = verdict("There are 1235 houses.\n\n# Your judgement\n\n`plausibility`");
    assert_eq!(other["equivalent"], "no");
    assert!(
        other["reason"]
            .as_str()
            .is_some_and(|reason| reason.len() > 10)
    );
}
