//! Which questions say the same: exactly, or near enough. Lexical by default, by embeddings where a model is given.
//!
//! Questions are compared within a source: the same words about other data ask something else.

use std::collections::{BTreeMap, HashMap};

/// A question to compare.
pub(super) struct Question {
    pub id: String,
    pub source: String,
    /// Whether it was posed by an agent; a suite's own question is never dropped for one of those.
    pub is_query: bool,
    pub text: String,
}

/// Why a question is left out.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Duplicate {
    pub reason: &'static str,
    pub nearest: String,
    pub similarity: f64,
}

/// The questions that duplicate an earlier one, by id. Earlier means: the suite's own first, then in the order given.
pub(super) fn duplicates(
    questions: &[Question],
    vectors: Option<&[Vec<f32>]>,
    max_similarity: f64,
) -> HashMap<String, Duplicate> {
    let words: Vec<Vec<String>> = questions
        .iter()
        .map(|question| words(&question.text))
        .collect();
    let profiles: Vec<BTreeMap<String, f64>> = words.iter().map(|words| profile(words)).collect();
    let similarity = |a: usize, b: usize| match vectors {
        Some(vectors) => cosine(&vectors[a], &vectors[b]),
        None => dice(&profiles[a], &profiles[b]),
    };
    let mut order: Vec<usize> = (0..questions.len()).collect();
    order.sort_by_key(|place| questions[*place].is_query);
    let mut kept: HashMap<&str, Vec<usize>> = HashMap::new();
    let mut found = HashMap::new();
    for place in order {
        let question = &questions[place];
        let others = kept.entry(&question.source).or_default();
        let nearest = others
            .iter()
            .map(|other| {
                (
                    if words[*other] == words[place] {
                        1.0
                    } else {
                        similarity(place, *other)
                    },
                    *other,
                )
            })
            // Of equally near ones the earliest.
            .max_by(|a, b| a.0.total_cmp(&b.0).then(b.1.cmp(&a.1)));
        match nearest {
            Some((similarity, other)) if question.is_query && similarity >= max_similarity => {
                let reason = match (questions[other].is_query, words[other] == words[place]) {
                    (false, _) => "seed_rephrasing",
                    (true, true) => "duplicate_query",
                    (true, false) => "near_duplicate",
                };
                found.insert(
                    question.id.clone(),
                    Duplicate {
                        reason,
                        nearest: questions[other].id.clone(),
                        similarity,
                    },
                );
            }
            _ => others.push(place),
        }
    }
    found
}

fn words(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|character: char| !(character.is_alphanumeric() || character == '_'))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Words and pairs of neighbours, with how often each occurs.
fn profile(words: &[String]) -> BTreeMap<String, f64> {
    let mut profile = BTreeMap::new();
    for word in words {
        *profile.entry(word.clone()).or_default() += 1.0;
    }
    for pair in words.windows(2) {
        *profile.entry(pair.join(" ")).or_default() += 1.0;
    }
    profile
}

/// Dice's coefficient over two bags: twice what they share over what they hold.
fn dice(a: &BTreeMap<String, f64>, b: &BTreeMap<String, f64>) -> f64 {
    let shared: f64 = a
        .iter()
        .map(|(gram, count)| b.get(gram).map_or(0.0, |other| count.min(*other)))
        .sum();
    let total: f64 = a.values().sum::<f64>() + b.values().sum::<f64>();
    if total == 0.0 {
        0.0
    } else {
        2.0 * shared / total
    }
}

fn cosine(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| {
        a.iter()
            .zip(b)
            .map(|(x, y)| f64::from(*x) * f64::from(*y))
            .sum::<f64>()
    };
    let norms = (dot(a, a) * dot(b, b)).sqrt();
    if norms == 0.0 { 0.0 } else { dot(a, b) / norms }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn question(id: &str, source: &str, is_query: bool, text: &str) -> Question {
        Question {
            id: id.to_owned(),
            source: source.to_owned(),
            is_query,
            text: text.to_owned(),
        }
    }

    fn reasons(questions: &[Question]) -> Vec<(String, &'static str)> {
        let mut found: Vec<_> = duplicates(questions, None, 0.9)
            .into_iter()
            .map(|(id, duplicate)| (id, duplicate.reason))
            .collect();
        found.sort();
        found
    }

    #[test]
    fn the_later_of_two_equals_goes() {
        let found = reasons(&[
            question("a", "s", true, "What is the mean of `x`?"),
            question("b", "s", true, "what is the MEAN of x"),
        ]);
        assert_eq!(found, [("b".to_owned(), "duplicate_query")]);
    }

    #[test]
    fn a_rephrasing_of_the_suites_own_question_goes_whatever_the_order() {
        let text = "Compute the mean fare paid by all of the passengers in the first class";
        let found = reasons(&[
            question("q", "s", true, &format!("{text} cabin")),
            question("t", "s", false, text),
        ]);
        assert_eq!(found, [("q".to_owned(), "seed_rephrasing")]);
    }

    #[test]
    fn other_columns_make_another_question() {
        let found = reasons(&[
            question("a", "s", true, "What is the mean of `age`?"),
            question("b", "s", true, "What is the mean of `fare`?"),
        ]);
        assert!(found.is_empty());
    }

    #[test]
    fn the_same_words_about_other_data_are_another_question() {
        assert!(
            reasons(&[
                question("a", "s", true, "How many rows?"),
                question("b", "t", true, "How many rows?")
            ])
            .is_empty()
        );
    }

    #[test]
    fn vectors_decide_where_there_are_any() {
        let questions = [
            question("a", "s", true, "alpha"),
            question("b", "s", true, "omega"),
        ];
        let found = duplicates(&questions, Some(&[vec![1.0, 0.0], vec![0.99, 0.01]]), 0.9);
        assert_eq!(found["b"].nearest, "a");
    }

    proptest! {
        #[test]
        fn similarity_is_a_symmetric_share(a in "[a-d ]{0,20}", b in "[a-d ]{0,20}") {
            let (a, b) = (profile(&words(&a)), profile(&words(&b)));
            prop_assert!((0.0..=1.0 + 1e-12).contains(&dice(&a, &b)));
            prop_assert!((dice(&a, &b) - dice(&b, &a)).abs() < 1e-12);
        }
    }
}
