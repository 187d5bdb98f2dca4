//! A small task for tests: people with gaps in what is known of them, and rows that break one range each.

use std::fmt::Write;

use serde_json::json;

use super::super::recipe::{
    Feature, Format, Imputer, Model, Problem, Range, Recipe, Scaler, Within,
};

/// A recipe for [`tables`].
pub(super) fn recipe() -> Recipe {
    let feature = |column: &str, is_numeric, description: &str| Feature {
        column: column.to_owned(),
        is_numeric,
        description: description.to_owned(),
    };
    let range = |column: &str, description: &str, within| Range {
        column: column.to_owned(),
        description: description.to_owned(),
        within,
    };
    let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
    Recipe {
        problem: Problem::Classification,
        targets: texts(&["mood"]),
        features: vec![
            feature("sleep", true, "hours of sleep per night"),
            feature("city", false, "where the person lives"),
            feature("screen time", true, "hours before a screen"),
        ],
        ranges: vec![
            range(
                "sleep",
                "hours of sleep per night",
                Within::Between(4.0, 10.5),
            ),
            range("age", "years of age", Within::Between(18.0, 80.0)),
            range(
                "city",
                "where the person lives",
                Within::OneOf(texts(&["Bern", "New \"York\"", "Oslo"])),
            ),
        ],
        imputer: Imputer::Median,
        scaler: Scaler::Standard,
        model: Model::MlpClassifier,
        params: vec![
            ("hidden_layer_sizes".to_owned(), json!([16])),
            ("max_iter".to_owned(), json!(80)),
        ],
        random_state: 7,
        format: Format::Csv,
        train_file: "train_v1.csv".to_owned(),
        train_tables: Vec::new(),
        test_file: "val_v1.csv".to_owned(),
        test_table: String::new(),
        metadata_file: "metadata.txt".to_owned(),
        id_column: "row_id".to_owned(),
        submission: "submission.csv".to_owned(),
    }
}

/// Rows to learn from, every sixth of them unsound, and rows to predict, as CSV. Hours before a screen are skewed, so that their
/// mean is not their median.
pub(super) fn tables() -> (Vec<u8>, Vec<u8>) {
    let mut train = "row_id,sleep,screen time,age,city,mood,energy\n".to_owned();
    let mut test = "row_id,sleep,screen time,age,city\n".to_owned();
    let mut state = 12_345_u64;
    let mut draw = |below: u64| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for row in 0..260_u64 {
        let (mut sleep, screen, mut age) = (40 + draw(65), draw(100).pow(2) / 100, 18 + draw(62));
        let mut city = ["Bern", "New \"York\"", "Oslo"][draw(3) as usize];
        let mood = match (sleep + draw(20)) as i64 - (screen + draw(20)) as i64 / 2 {
            ..=25 => "sad",
            26..=50 => "calm",
            _ => "glad",
        };
        let energy = sleep * 3 + draw(40) - screen.min(90) / 3;
        match row % 18 {
            1 => sleep = 200 + draw(90),
            7 => age = 110 + draw(9),
            13 => city = "x9Q",
            _ => {}
        }
        let of_ten = |tenths: u64| format!("{}.{}", tenths / 10, tenths % 10);
        let gap = |text: String, at: u64| if row % 11 == at { String::new() } else { text };
        let known = format!(
            "{row},{},{},{age},{}",
            gap(of_ten(sleep), 3),
            gap(of_ten(screen), 5),
            gap(format!("\"{}\"", city.replace('"', "\"\"")), 8),
        );
        // Writing to memory does not fail.
        let _ = if row < 200 {
            writeln!(train, "{known},{mood},{energy}")
        } else {
            writeln!(test, "{known}")
        };
    }
    (train.into_bytes(), test.into_bytes())
}
