//! What a Kaggle dataset must be like, by what Kaggle says of it: rules that need no data.

use synth_core::config::DatasetRules;
use synth_core::{KaggleFacts, Source};

use super::rule::{self, Rule};
use super::{Ruling, list, listed_bytes};
use crate::tables;

/// In the order in which they are asked; the first that fails names the drop.
const RULES: [Rule<DatasetRules>; 9] = [
    (
        "licence_not_open",
        |rules| !rules.licences.is_empty(),
        |rules, source, _| {
            let name = &source.licence.name;
            let is_open = rules
                .licences
                .iter()
                .any(|licence| licence.eq_ignore_ascii_case(name));
            (
                is_open,
                format!("`{name}`; open: {}", list(&rules.licences)),
            )
        },
    ),
    (
        "not_tabular",
        |rules| !rules.file_types.is_empty(),
        |rules, _, facts| {
            let mut endings: Vec<String> =
                facts.listed.iter().map(|file| ending(&file.path)).collect();
            endings.sort();
            endings.dedup();
            (
                endings
                    .iter()
                    .any(|ending| rules.file_types.contains(ending)),
                format!(
                    "has {}; needs one of {}",
                    list(&endings),
                    list(&rules.file_types)
                ),
            )
        },
    ),
    (
        "too_small",
        |rules| rules.min_bytes > 0,
        |rules, _, facts| {
            size(
                facts,
                |bytes| bytes >= rules.min_bytes,
                &format!("at least {}", rules.min_bytes),
            )
        },
    ),
    (
        "too_large",
        |rules| rules.max_bytes > 0,
        |rules, _, facts| {
            size(
                facts,
                |bytes| bytes <= rules.max_bytes,
                &format!("at most {}", rules.max_bytes),
            )
        },
    ),
    (
        "too_many_files",
        |rules| rules.max_files > 0,
        |rules, _, facts| {
            let files = facts.listed.len() as u64;
            (
                files <= rules.max_files,
                format!("{files} files; at most {}", rules.max_files),
            )
        },
    ),
    (
        "low_usability",
        |rules| rules.min_usability > 0.0,
        |rules, _, facts| {
            let at_least = rules.min_usability;
            match facts.usability {
                Some(rating) => (
                    rating >= at_least,
                    format!("{rating:.2}; at least {at_least:.2}"),
                ),
                None => (false, format!("no rating is given; at least {at_least:.2}")),
            }
        },
    ),
    (
        "undescribed",
        |rules| rules.min_description > 0,
        |rules, source, _| {
            let characters = source.pages.description.trim().chars().count() as u64;
            (
                characters >= rules.min_description,
                format!(
                    "a description of {characters} characters; at least {}",
                    rules.min_description
                ),
            )
        },
    ),
    (
        "tags_not_wanted",
        |rules| !rules.tags.is_empty(),
        |rules, source, _| match shared(&rules.tags, &source.tags) {
            Some(tag) => (true, format!("tagged `{tag}`")),
            None => (
                false,
                format!(
                    "tagged {}; needs one of {}",
                    list(&source.tags),
                    list(&rules.tags)
                ),
            ),
        },
    ),
    (
        "tag_refused",
        |rules| !rules.refused_tags.is_empty(),
        |rules, source, _| match shared(&rules.refused_tags, &source.tags) {
            Some(tag) => (false, format!("tagged `{tag}`")),
            None => (
                true,
                format!(
                    "tagged {}; none of {}",
                    list(&source.tags),
                    list(&rules.refused_tags)
                ),
            ),
        },
    ),
];

/// What the rules that are switched on say.
pub(super) fn rulings(rules: &DatasetRules, source: &Source) -> Vec<Ruling> {
    rule::rulings(&RULES, rules, source)
}

fn size(facts: &KaggleFacts, passes: impl Fn(u64) -> bool, bound: &str) -> (bool, String) {
    match listed_bytes(facts) {
        Some(bytes) => (passes(bytes), format!("{bytes} bytes; {bound}")),
        None => (true, format!("no size is given; {bound}")),
    }
}

fn shared<'a>(ours: &[String], theirs: &'a [String]) -> Option<&'a String> {
    theirs
        .iter()
        .find(|tag| ours.iter().any(|ours| ours.eq_ignore_ascii_case(tag)))
}

/// A table may be listed as it is stored: `train.csv.zip`.
fn ending(path: &str) -> String {
    let lower = path.to_lowercase();
    let bare = [".zip", ".gz"]
        .iter()
        .find_map(|packed| lower.strip_suffix(packed))
        .filter(|bare| bare.contains('.'))
        .unwrap_or(&lower);
    tables::ending(bare)
}

#[cfg(test)]
mod tests {
    use synth_core::config::{Layer, load};
    use synth_core::{Licence, ListedFile, Origin};

    use super::*;
    use crate::crawl::bare;

    type Change = fn(&mut Source);

    fn good() -> Source {
        let mut source = bare(Origin::Dataset, "someone/rain");
        source.licence = Licence {
            name: "cc0-1.0".to_owned(),
            redistributable: true,
        };
        source.pages.description = "Rain, day by day. ".repeat(10);
        source.kaggle = Some(KaggleFacts {
            listed: vec![ListedFile {
                path: "rain.csv.zip".to_owned(),
                bytes: Some(10_000),
                columns: vec!["day".to_owned()],
            }],
            usability: Some(0.94),
            ..KaggleFacts::default()
        });
        source
    }

    #[test]
    fn each_rule_is_broken_by_what_it_speaks_of() {
        let mut rules = load(&[] as &[Layer]).unwrap().filter.datasets;
        rules.tags = vec!["Weather".to_owned()];
        let broken = |source: &Source| -> Vec<String> {
            let said = rulings(&rules, source);
            assert_eq!(said.len(), RULES.len());
            said.into_iter()
                .filter(|ruling| !ruling.passed)
                .map(|ruling| ruling.rule)
                .collect()
        };
        let mut good = good();
        good.tags = vec!["weather".to_owned()];
        assert_eq!(broken(&good), Vec::<String>::new());
        let changes: [(&str, Change); 9] = [
            ("licence_not_open", |source| {
                source.licence.name = "unknown".to_owned();
            }),
            ("not_tabular", |source| {
                source.kaggle.as_mut().unwrap().listed[0].path = "rain.jpg".to_owned();
            }),
            ("too_small", |source| {
                source.kaggle.as_mut().unwrap().total_bytes = Some(1);
            }),
            ("too_large", |source| {
                source.kaggle.as_mut().unwrap().total_bytes = Some(1 << 50);
            }),
            ("low_usability", |source| {
                source.kaggle.as_mut().unwrap().usability = None;
            }),
            ("undescribed", |source| {
                source.pages.description.clear();
            }),
            ("tags_not_wanted", |source| {
                source.tags.clear();
            }),
            ("tag_refused", |source| {
                source.tags.push("Image".to_owned());
            }),
            ("too_many_files", |source| {
                let facts = source.kaggle.as_mut().unwrap();
                facts.listed = vec![facts.listed[0].clone(); 1000];
            }),
        ];
        for (rule, change) in changes {
            let mut source = good.clone();
            change(&mut source);
            assert_eq!(broken(&source), [rule]);
        }
    }
}
