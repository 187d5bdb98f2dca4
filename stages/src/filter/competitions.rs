//! What a Kaggle competition must be like, by what Kaggle says of it: rules that need no data.

use synth_core::config::CompetitionRules;
use synth_core::{KaggleFacts, Source};

use super::rule::{self, Rule};
use super::{Ruling, direction, list, listed_bytes};

/// By this name a list of left-out competitions means those of a whole benchmark.
const MLE_BENCH_LITE: &str = "mle-bench-lite";

/// In the order in which they are asked; the first that fails names the drop.
const RULES: [Rule<CompetitionRules>; 8] = [
    (
        "closed_too_early",
        |rules| !rules.closed_after.is_empty(),
        |rules, source, _| {
            let after = &rules.closed_after;
            match &source.deadline {
                // Both are ISO 8601, so their order is that of their texts.
                Some(deadline) => (
                    deadline.get(..10).unwrap_or(deadline) > after.as_str(),
                    format!("deadline {deadline}; after {after}"),
                ),
                None => (false, format!("no deadline is given; after {after}")),
            }
        },
    ),
    (
        "takes_no_submissions",
        |rules| rules.accepts_submissions,
        |_, source, facts| {
            let allowed = match facts.submissions_allowed {
                Some(0) => "; none is allowed at the moment".to_owned(),
                Some(number) => format!("; {number} are allowed now"),
                None => String::new(),
            };
            match source.accepts_submissions {
                Some(true) => (true, format!("submissions are not disabled{allowed}")),
                Some(false) => (false, "submissions are disabled".to_owned()),
                None => (false, "not known whether it takes submissions".to_owned()),
            }
        },
    ),
    (
        "no_csv_submissions",
        |rules| rules.csv_submissions,
        |_, source, facts| csv_submissions(source, facts),
    ),
    (
        "too_large",
        |rules| rules.max_bytes > 0,
        |rules, _, facts| match listed_bytes(facts) {
            Some(bytes) => (
                bytes <= rules.max_bytes,
                format!("{bytes} bytes; at most {}", rules.max_bytes),
            ),
            None => (
                true,
                format!(
                    "no size is given; a download ends at {} bytes",
                    rules.max_bytes
                ),
            ),
        },
    ),
    (
        "no_leaderboard",
        |rules| rules.leaderboard,
        |_, source, facts| {
            let teams = source.team_count.unwrap_or(0);
            match facts.has_leaderboard {
                Some(true) => (true, format!("has a leaderboard, {teams} teams")),
                Some(false) => (false, "its leaderboard is empty".to_owned()),
                None => (false, "not known whether it has a leaderboard".to_owned()),
            }
        },
    ),
    (
        "metric_direction_unknown",
        |rules| rules.metric_direction,
        |_, source, _| metric_direction(source),
    ),
    (
        "overlaps_benchmark",
        |rules| !rules.overlap.is_empty(),
        |rules, source, _| {
            let slug = source.slug.as_str();
            let by_name = rules.overlap.iter().any(|name| name == slug);
            let by_benchmark = rules.overlap.iter().any(|name| name == MLE_BENCH_LITE)
                && synth_kaggle::MLE_BENCH_LITE.contains(&slug);
            let evidence = match (by_name, by_benchmark) {
                (_, true) => format!("`{slug}` is in {MLE_BENCH_LITE}"),
                (true, false) => format!("`{slug}` is left out by name"),
                (false, false) => format!("`{slug}` is not among {}", list(&rules.overlap)),
            };
            (!by_name && !by_benchmark, evidence)
        },
    ),
    (
        "not_machine_learning",
        |rules| !rules.words.is_empty() || !rules.phrases.is_empty(),
        |rules, source, _| machine_learning(rules, source),
    ),
];

/// What the rules that are switched on say.
pub(super) fn rulings(rules: &CompetitionRules, source: &Source) -> Vec<Ruling> {
    rule::rulings(&RULES, rules, source)
}

/// A notebook competition takes none; else a sample submission among the files or the page on scoring tells of one.
fn csv_submissions(source: &Source, facts: &KaggleFacts) -> (bool, String) {
    if facts.kernels_only == Some(true) {
        return (false, "only notebooks can be submitted".to_owned());
    }
    let sample = facts
        .listed
        .iter()
        .map(|file| file.path.as_str())
        .find(|path| is_sample_submission(path));
    if let Some(path) = sample {
        return (true, format!("`{path}` is listed"));
    }
    let page = source.pages.evaluation.to_lowercase();
    for told in [
        ".csv",
        "csv file",
        "csv format",
        "submission file",
        "submission format",
    ] {
        if page.contains(told) {
            return (true, format!("the page on scoring speaks of `{told}`"));
        }
    }
    (
        false,
        "no sample submission is listed, and the page on scoring tells of no CSV file".to_owned(),
    )
}

fn is_sample_submission(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path).to_lowercase();
    let is_csv = name.split('.').skip(1).any(|ending| ending == "csv");
    is_csv && (name.contains("submission") || name.contains("samplesubmit"))
}

fn metric_direction(source: &Source) -> (bool, String) {
    let better = |is_max: bool| if is_max { "more" } else { "less" };
    let metric = source.metric.as_deref().unwrap_or_default();
    if let Some(is_max) = source.metric_is_max {
        let name = if metric.is_empty() {
            "its metric"
        } else {
            metric
        };
        return (
            true,
            format!("{name}: {} is better, says Kaggle", better(is_max)),
        );
    }
    if let Some(is_max) = direction::of_name(metric) {
        return (
            true,
            format!("{metric}: {} is better, by its definition", better(is_max)),
        );
    }
    if let Some(is_max) = direction::of_page(&source.pages.evaluation) {
        return (
            true,
            format!(
                "the page on scoring names a metric of which {} is better",
                better(is_max)
            ),
        );
    }
    let named = if metric.is_empty() {
        "no metric is named".to_owned()
    } else {
        format!("`{metric}` is not known")
    };
    (
        false,
        format!("{named}, and the page on scoring does not tell whether more is better"),
    )
}

fn machine_learning(rules: &CompetitionRules, source: &Source) -> (bool, String) {
    for word in &rules.words {
        let wanted = words(word);
        for (place, text) in [("title", &source.title), ("name", &source.slug)] {
            if words(text).contains(&wanted) {
                return (false, format!("its {place} `{text}` holds `{word}`"));
            }
        }
        // A tag is a name: `compiler optimization` is no `optimization`.
        if let Some(tag) = source.tags.iter().find(|tag| words(tag) == wanted) {
            return (false, format!("it is tagged `{tag}`"));
        }
    }
    let pages = [
        ("description", &source.pages.description),
        ("page on scoring", &source.pages.evaluation),
        ("page on data", &source.pages.data),
    ];
    for (place, text) in pages {
        let text = words(text);
        for phrase in &rules.phrases {
            if text.contains(&words(phrase)) {
                return (false, format!("its {place} holds `{phrase}`"));
            }
        }
    }
    (
        true,
        format!(
            "none of {} words in title, name and tags, none of {} phrases in its pages",
            rules.words.len(),
            rules.phrases.len()
        ),
    )
}

/// The words of a text in lower case, one space around each, so that a word is found whole.
fn words(text: &str) -> String {
    let mut words = String::from(" ");
    for word in text.split(|letter: char| !letter.is_alphanumeric()) {
        if !word.is_empty() {
            words.extend(word.chars().flat_map(char::to_lowercase));
            words.push(' ');
        }
    }
    words
}

#[cfg(test)]
mod tests {
    use synth_core::config::{Layer, load};
    use synth_core::{ListedFile, Origin};

    use super::*;
    use crate::crawl::bare;

    fn rules() -> CompetitionRules {
        load(&[] as &[Layer]).unwrap().filter.competitions
    }

    type Change = fn(&mut Source);

    fn good() -> Source {
        let mut source = bare(Origin::Competition, "predict-the-weather");
        source.title = "Predict the weather".to_owned();
        source.deadline = Some("2019-02-26T23:59:00Z".to_owned());
        source.accepts_submissions = Some(true);
        source.metric = Some("Root Mean Squared Error".to_owned());
        source.kaggle = Some(KaggleFacts {
            listed: ["train.csv", "sample_submission.csv.zip"]
                .map(|path| ListedFile {
                    path: path.to_owned(),
                    bytes: Some(10),
                    columns: Vec::new(),
                })
                .to_vec(),
            total_bytes: Some(20),
            kernels_only: Some(false),
            has_leaderboard: Some(true),
            ..KaggleFacts::default()
        });
        source
    }

    fn broken(source: &Source) -> Vec<String> {
        rulings(&rules(), source)
            .into_iter()
            .filter(|ruling| !ruling.passed)
            .map(|ruling| ruling.rule)
            .collect()
    }

    #[test]
    fn a_good_competition_passes_and_every_rule_speaks() {
        assert_eq!(broken(&good()), Vec::<String>::new());
        let said = rulings(&rules(), &good());
        assert_eq!(said.len(), RULES.len());
        assert!(said.iter().all(|ruling| !ruling.evidence.is_empty()));
    }

    #[test]
    fn each_rule_is_broken_by_what_it_speaks_of() {
        let changes: [(&str, Change); 11] = [
            ("closed_too_early", |source| {
                source.deadline = Some("2016-12-31T23:59:00Z".to_owned());
            }),
            ("closed_too_early", |source| {
                source.deadline = None;
            }),
            ("takes_no_submissions", |source| {
                source.accepts_submissions = Some(false);
            }),
            ("no_csv_submissions", |source| {
                source.kaggle.as_mut().unwrap().kernels_only = Some(true);
            }),
            ("no_csv_submissions", |source| {
                source.kaggle.as_mut().unwrap().listed.clear();
            }),
            ("too_large", |source| {
                source.kaggle.as_mut().unwrap().total_bytes = Some(u64::MAX);
            }),
            ("no_leaderboard", |source| {
                source.kaggle.as_mut().unwrap().has_leaderboard = None;
            }),
            ("metric_direction_unknown", |source| {
                source.metric = Some("Custom".to_owned());
            }),
            ("overlaps_benchmark", |source| {
                source.slug = "leaf-classification".to_owned();
            }),
            ("not_machine_learning", |source| {
                source.tags.push("Optimization".to_owned());
            }),
            ("not_machine_learning", |source| {
                source.pages.description = "The Shortest\nprogram wins.".to_owned();
            }),
        ];
        for (rule, change) in changes {
            let mut source = good();
            change(&mut source);
            assert_eq!(broken(&source), [rule]);
        }
    }

    #[test]
    fn a_word_is_found_whole_or_not_at_all() {
        let mut source = good();
        source.slug = "santander-value-prediction".to_owned();
        assert_eq!(broken(&source), Vec::<String>::new());
        source.tags = vec!["compiler-optimization".to_owned()];
        assert_eq!(broken(&source), Vec::<String>::new());
        source.slug = "santa-2020".to_owned();
        assert_eq!(broken(&source), ["not_machine_learning"]);
    }

    #[test]
    fn a_rule_that_is_switched_off_is_not_asked() {
        let mut rules = rules();
        rules.closed_after.clear();
        rules.leaderboard = false;
        let names: Vec<String> = rulings(&rules, &good())
            .into_iter()
            .map(|ruling| ruling.rule)
            .collect();
        assert!(
            !names.contains(&"closed_too_early".to_owned())
                && !names.contains(&"no_leaderboard".to_owned())
        );
        assert_eq!(names.len(), RULES.len() - 2);
    }

    #[test]
    fn without_a_size_a_competition_is_let_through_for_the_download_to_measure() {
        let mut source = good();
        let facts = source.kaggle.as_mut().unwrap();
        facts.total_bytes = None;
        facts.listed[0].bytes = None;
        assert_eq!(broken(&source), Vec::<String>::new());
    }
}
