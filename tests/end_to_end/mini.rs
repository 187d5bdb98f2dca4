//! `tests/mini`: one tiny folder for each way to fail; each ends as it should, and none stops the run.

use std::collections::BTreeMap;

use crate::support::{Place, repository, sft_rows};

/// The reason for which each folder, or a part of it, is left out.
const REFUSED: [(&str, &str, &str); 13] = [
    ("crawl", "bad_source_toml", "bad_source_toml"),
    ("crawl", "unknown_key_in_source_toml", "bad_source_toml"),
    ("crawl", "no_data_files", "no_data_files"),
    ("filter", "empty_file", "unreadable_tables"),
    ("filter", "header_only", "too_few_rows"),
    // Bytes that are no text read as a table of some sort.
    ("filter", "binary", "too_few_rows"),
    ("filter", "one_column", "too_few_columns"),
    ("filter", "few_rows", "too_few_rows"),
    ("filter", "good_again", "duplicate_content"),
    ("prepare", "degenerate_target", "degenerate_target"),
    ("prepare", "text_target", "target_not_numeric"),
    ("prepare", "unreadable_time", "unreadable_time"),
    ("prepare", "missing_target", "target_column_missing"),
];

#[test]
fn every_mini_source_is_accounted_for() {
    let mini = repository().join("tests/mini");
    let folders = std::fs::read_dir(&mini).unwrap().count();
    let place = Place::of(
        None,
        &format!("[sources.mini]\nkind = \"folder\"\npath = {mini:?}\n"),
    );
    let ended = place.run().succeed();

    let mut found = BTreeMap::new();
    for (folder, stage) in [
        ("01-crawl", "crawl"),
        ("02-filter", "filter"),
        ("03-prepare", "prepare"),
    ] {
        for (slug, reason) in left_out(&place, folder) {
            found.insert((stage.to_owned(), slug), reason);
        }
    }
    let expected: BTreeMap<_, _> = REFUSED
        .iter()
        .map(|(stage, slug, reason)| {
            let slug = format!("mini/{slug}");
            (((*stage).to_owned(), slug), (*reason).to_owned())
        })
        .collect();
    assert_eq!(found, expected);

    let crawled = ended.stage("crawl");
    assert_eq!(crawled["read"], folders);
    for (number, stage) in synth_stages::STAGES.iter().enumerate() {
        let counts = &place.manifest(&format!("{:02}-{}", number + 1, stage.name()))["counts"];
        let sum = |key: &str| -> u64 {
            counts[key]
                .as_object()
                .unwrap()
                .values()
                .map(|count| count.as_u64().unwrap())
                .sum()
        };
        let kept = counts["kept"].as_u64().unwrap();
        assert_eq!(
            counts["read"],
            kept + sum("dropped") + sum("failed"),
            "{}",
            stage.name()
        );
        assert_eq!(sum("failed"), 0, "{}", stage.name());
    }

    // Names and values that are odd come through to the rows.
    let rows = sft_rows(&place);
    let told: String = rows
        .iter()
        .flatten()
        .map(|(_, content)| content.as_str())
        .collect();
    for part in [
        "menu & prices 2024.csv",
        "Nom du café",
        "gaps.csv",
        "always_empty",
        "plants.csv",
    ] {
        assert!(told.contains(part), "no `{part}`");
    }
}

/// Slug and reason of what a stage dropped or rejected.
fn left_out(place: &Place, folder: &str) -> Vec<(String, String)> {
    let path = place.run_folder().join(folder).join("dropped.parquet");
    crate::support::part_rows(&path)
        .into_iter()
        .map(|row| {
            let of_record = row.record.as_ref().and_then(|record| {
                let slug = record.pointer("/source/slug").or(record.get("slug"))?;
                Some(slug.as_str()?.to_owned())
            });
            // What was rejected is named after its source.
            let slug = of_record
                .unwrap_or_else(|| row.id.split(": ").next().unwrap_or_default().to_owned());
            (slug, row.reason)
        })
        .collect()
}
