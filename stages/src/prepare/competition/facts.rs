//! What a competition is, told by rule: how hard, of which field, and which of its stages counts.

use std::collections::{BTreeMap, BTreeSet};

use synth_core::{DataFile, Source};

/// Host segments, as Kaggle writes them, that set easy tasks.
const EASY_SEGMENTS: [&str; 2] = ["playground", "gettingstarted"];
/// Where no segment is told: the playground's series, and the two that everybody begins with.
const EASY_SLUGS: [&str; 4] = [
    "playground-series",
    "tabular-playground-series",
    "titanic",
    "house-prices-advanced-regression-techniques",
];

/// Fields of knowledge, in the order in which they are asked, each with words that tell of it.
const DOMAINS: [(&str, &[&str]); 11] = [
    (
        "audio_speech",
        &[
            "audio",
            "speech",
            "sound",
            "voice",
            "music",
            "birdsong",
            "spectrogram",
        ],
    ),
    (
        "computer_vision",
        &[
            "image",
            "images",
            "vision",
            "video",
            "videos",
            "photo",
            "photos",
            "picture",
            "pictures",
            "segmentation",
            "pixel",
            "pixels",
        ],
    ),
    (
        "nlp",
        &[
            "nlp",
            "text",
            "texts",
            "language",
            "sentiment",
            "essay",
            "essays",
            "tweets",
            "translation",
            "questions",
        ],
    ),
    (
        "bioinformatics",
        &[
            "genomics",
            "genetics",
            "rna",
            "dna",
            "protein",
            "proteins",
            "enzyme",
            "molecule",
            "molecular",
            "biology",
            "cell",
            "cells",
        ],
    ),
    (
        "sports",
        &[
            "sports",
            "basketball",
            "football",
            "ncaa",
            "nfl",
            "soccer",
            "tournament",
            "baseball",
        ],
    ),
    (
        "time_series",
        &["forecasting", "forecast", "forecasts", "series", "sales"],
    ),
    (
        "geology",
        &[
            "geology",
            "geospatial",
            "earth",
            "seismic",
            "earthquake",
            "soil",
            "species",
        ],
    ),
    (
        "healthcare",
        &[
            "health",
            "healthcare",
            "medicine",
            "medical",
            "patient",
            "patients",
            "disease",
            "cancer",
            "clinical",
        ],
    ),
    (
        "finance",
        &[
            "finance",
            "banking",
            "stock",
            "stocks",
            "market",
            "loan",
            "credit",
            "insurance",
            "trading",
        ],
    ),
    (
        "business",
        &[
            "business",
            "retail",
            "customer",
            "customers",
            "marketing",
            "advertising",
            "merchant",
        ],
    ),
    (
        "sensor_signal",
        &[
            "sensor",
            "sensors",
            "signal",
            "signals",
            "accelerometer",
            "eeg",
        ],
    ),
];
/// What tabular prediction of no special field is called.
const NO_DOMAIN: &str = "machine_learning";

/// `easy` for what Kaggle sets to learn by, else `hard`.
pub(super) fn level(source: &Source) -> &'static str {
    let is_easy = match &source.host_segment {
        Some(segment) => {
            let bare: String = segment
                .chars()
                .filter(|character| character.is_alphabetic())
                .collect::<String>()
                .to_lowercase();
            let bare = bare.strip_prefix("hostsegment").unwrap_or(&bare);
            EASY_SEGMENTS.contains(&bare)
        }
        None => EASY_SLUGS.iter().any(|slug| {
            source.slug == *slug || source.slug.starts_with(slug) && slug.ends_with("-series")
        }),
    };
    if is_easy { "easy" } else { "hard" }
}

/// The field of knowledge: by the tags, else by the title, else by what the description says most often.
pub(super) fn domain(source: &Source, description: &str) -> &'static str {
    let tags: Vec<String> = source.tags.iter().flat_map(|tag| words(tag)).collect();
    let title = words(&source.title);
    for words in [&tags, &title] {
        if let Some(domain) = most_told(words, 1) {
            return domain;
        }
    }
    let beginning: String = description.chars().take(4000).collect();
    most_told(&words(&beginning), 4).unwrap_or(NO_DOMAIN)
}

fn most_told(words: &[String], least: usize) -> Option<&'static str> {
    let count = |tells: &[&str]| {
        words
            .iter()
            .filter(|word| tells.contains(&word.as_str()))
            .count()
    };
    let (mut best, mut most) = (None, 0);
    for (domain, tells) in DOMAINS {
        let told = count(tells);
        // The playground's series are no time series.
        let told = if domain == "time_series" && words.iter().any(|word| word == "playground") {
            0
        } else {
            told
        };
        if told > most {
            (best, most) = (Some(domain), told);
        }
    }
    best.filter(|_| most >= least)
}

fn words(text: &str) -> Vec<String> {
    text.split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

/// The words of a path in lower case, digits by themselves: `data/SampleSubmissionStage2.csv` is data, sample, submission,
/// stage, 2, csv.
pub(super) fn path_words(path: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for character in path.chars() {
        let changes = before.is_lowercase() && character.is_uppercase()
            || before.is_ascii_digit() != character.is_ascii_digit();
        if changes || !character.is_alphanumeric() {
            words.push(String::new());
        }
        if character.is_alphanumeric() {
            let last = words.last_mut().expect("there is always a last word");
            last.extend(character.to_lowercase());
        }
        before = character;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The stage that a path belongs to, and the path without it, however often it says so.
fn stage(path: &str, numbered: bool) -> Option<(u32, Vec<String>)> {
    let mut words = path_words(path);
    let mut latest = None;
    while let Some(at) = words
        .iter()
        .position(|word| matches!(word.as_str(), "stage" | "stg"))
    {
        let stage: u32 = words.get(at + 1)?.parse().ok()?;
        latest = latest.max(Some(stage));
        words.drain(at..at + 2);
    }
    if latest.is_none() && numbered {
        // The last word is the ending.
        let at = words.len().checked_sub(2)?;
        latest = words[at].parse().ok();
        words.remove(at);
    }
    latest.map(|stage| (stage, words))
}

/// The files without those of an earlier stage that a later stage has too, and the names of those left out.
///
/// Stages are told by `stage2` in a path; where sample submissions differ by a number at the end alone, by such numbers.
pub(super) fn latest_stage(files: &[DataFile]) -> (Vec<DataFile>, Vec<String>) {
    let samples: BTreeSet<u32> = files
        .iter()
        .filter(|file| is_sample(&file.path))
        .filter_map(|file| stage(&file.path, true))
        .map(|(stage, _)| stage)
        .collect();
    let numbered = samples.len() > 1;
    let mut latest: BTreeMap<Vec<String>, u32> = BTreeMap::new();
    for file in files {
        if let Some((stage, bare)) = stage(&file.path, numbered) {
            let known = latest.entry(bare).or_insert(stage);
            *known = stage.max(*known);
        }
    }
    let (mut kept, mut left) = (Vec::new(), Vec::new());
    for file in files {
        match stage(&file.path, numbered) {
            Some((stage, bare)) if latest.get(&bare) != Some(&stage) => {
                left.push(file.path.clone());
            }
            _ => kept.push(file.clone()),
        }
    }
    (kept, left)
}

/// Whether a path is named like a sample submission.
pub(super) fn is_sample(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_lowercase();
    (name.contains("sample") || name.contains("example")) && name.contains("sub")
}

#[cfg(test)]
mod tests {
    use synth_core::Fingerprint;

    use super::*;
    use crate::prepare::competition::tests::source;

    fn kept(paths: &[&str]) -> Vec<String> {
        let file = |path: &&str| DataFile {
            path: (*path).to_owned(),
            bytes: 1,
            blake3: Fingerprint::of(path),
        };
        let files: Vec<DataFile> = paths.iter().map(file).collect();
        latest_stage(&files)
            .0
            .into_iter()
            .map(|file| file.path)
            .collect()
    }

    #[test]
    fn the_later_stage_counts() {
        assert_eq!(
            kept(&[
                "stage1_train.csv",
                "stage1_test.csv",
                "stage2_test.csv",
                "stage_1_sample_submission.csv",
                "stage2_sample_submission.csv"
            ]),
            [
                "stage1_train.csv",
                "stage2_test.csv",
                "stage2_sample_submission.csv"
            ]
        );
        assert_eq!(
            kept(&[
                "stage1/Stage1_train.csv",
                "stage2/Stage2_train.csv",
                "stage1/notes.txt"
            ]),
            ["stage2/Stage2_train.csv", "stage1/notes.txt"]
        );
        assert_eq!(
            kept(&[
                "SampleSubmissionStage1.csv",
                "SampleSubmissionStage2.csv",
                "Teams.csv"
            ]),
            ["SampleSubmissionStage2.csv", "Teams.csv"]
        );
        assert_eq!(
            kept(&[
                "train_1.csv",
                "train_2.csv",
                "key_1.csv",
                "key_2.csv",
                "sample_submission_1.csv",
                "sample_submission_2.csv"
            ]),
            ["train_2.csv", "key_2.csv", "sample_submission_2.csv"]
        );
    }

    #[test]
    fn numbers_are_no_stages_without_submissions_of_several() {
        let all = [
            "train_1.csv",
            "train_2.csv",
            "sample_submission.csv",
            "data/2019/part1.csv",
        ];
        assert_eq!(kept(&all), all);
    }

    #[test]
    fn the_playground_and_getting_started_are_easy() {
        for (segment, slug, expected) in [
            (Some("Playground"), "x", "easy"),
            (Some("Getting Started"), "x", "easy"),
            (Some("HOST_SEGMENT_GETTING_STARTED"), "x", "easy"),
            (Some("Featured"), "titanic", "hard"),
            (Some("Research"), "x", "hard"),
            (None, "playground-series-s4e1", "easy"),
            (None, "titanic", "easy"),
            (None, "titanic-ii", "hard"),
            (None, "some-featured-one", "hard"),
        ] {
            let mut source = source();
            source.host_segment = segment.map(str::to_owned);
            slug.clone_into(&mut source.slug);
            assert_eq!(level(&source), expected, "{segment:?} {slug}");
        }
    }

    #[test]
    fn the_domain_is_told_by_tags_then_title_then_description() {
        let mut source = source();
        source.tags.clear();
        source.title = "A Contest".to_owned();
        assert_eq!(domain(&source, "rows and columns"), "machine_learning");
        assert_eq!(
            domain(&source, "an image, two images, a pixel, more images"),
            "computer_vision"
        );
        source.title = "Forecasting store sales".to_owned();
        assert_eq!(domain(&source, "image images pixel images"), "time_series");
        source.tags = vec!["Audio Data".to_owned()];
        assert_eq!(domain(&source, ""), "audio_speech");
    }
}
