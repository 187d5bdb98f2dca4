//! The judgement whether an answer means the same as a reference: by their numbers and words, without regard to form.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::json;

use crate::prompt::{pattern, section};

const HEADINGS: [&str; 4] = [
    "# Question",
    "# Reference answer",
    "# Answer",
    "# Your verdict",
];

/// The judgement as strict JSON.
pub fn judge(message: &str) -> String {
    let part = |heading: &str| section(message, heading, &HEADINGS).unwrap_or_default();
    let (reference, answer) = (part("# Reference answer"), part("# Answer"));
    let (is_equivalent, reason) = compare(&reference, &answer);
    json!({"equivalent": if is_equivalent { "yes" } else { "no" }, "reason": reason}).to_string()
}

fn compare(reference: &str, answer: &str) -> (bool, String) {
    if answer.trim().is_empty() {
        return (false, "There is no answer.".to_owned());
    }
    let (expected, given) = (words(reference), words(answer));
    if expected == given {
        return (true, "Both say the same in the same words.".to_owned());
    }
    let (numbers, found) = (figures(reference), figures(answer));
    if !numbers.is_empty() {
        let missing = numbers
            .iter()
            .find(|number| !found.iter().any(|other| close(**number, *other)));
        if let Some(missing) = missing {
            return (
                false,
                format!("The answer does not have the value {missing}."),
            );
        }
        // A list of guesses that has the right one among them is no answer.
        if found.len() > 2 * numbers.len() + 2 {
            return (
                false,
                "The answer has many more values than the reference.".to_owned(),
            );
        }
    }
    let denies = |words: &[String]| {
        words.iter().any(|word| {
            matches!(
                word.as_str(),
                "no" | "not" | "none" | "never" | "cannot" | "false"
            )
        })
    };
    if denies(&expected) != denies(&given) {
        return (false, "One of them denies what the other says.".to_owned());
    }
    let telling: Vec<&String> = expected
        .iter()
        .filter(|word| !STOP.contains(&word.as_str()) && word.parse::<f64>().is_err())
        .collect();
    let kept = telling.iter().filter(|word| given.contains(word)).count();
    if kept * 10 >= telling.len() * 8 {
        (
            true,
            "The answer has the values and the telling words of the reference.".to_owned(),
        )
    } else {
        (
            false,
            format!(
                "The answer has {kept} of the {} telling words of the reference.",
                telling.len()
            ),
        )
    }
}

const STOP: [&str; 22] = [
    "a", "an", "the", "is", "are", "was", "were", "of", "in", "on", "at", "to", "and", "or",
    "that", "it", "this", "its", "by", "for", "with", "as",
];

fn words(text: &str) -> Vec<String> {
    text.to_lowercase()
        .split(|c: char| !(c.is_alphanumeric() || matches!(c, '.' | '-' | '%')))
        .map(|word| word.trim_matches(['.', '-', '%']).to_owned())
        .filter(|word| !word.is_empty())
        .collect()
}

fn figures(text: &str) -> Vec<f64> {
    static FIGURE: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"-?\d+(?:,\d{3})*(?:\.\d+)?(?:[eE][+-]?\d+)?\s*%?"));
    FIGURE
        .find_iter(text)
        .filter_map(|found| {
            let figure = found.as_str().replace(',', "");
            let number = figure.trim_end_matches('%').trim().parse::<f64>().ok()?;
            Some(if figure.ends_with('%') {
                number / 100.0
            } else {
                number
            })
        })
        .collect()
}

/// Whether two numbers are the same but for rounding; whole ones are not rounded.
fn close(one: f64, other: f64) -> bool {
    if one.fract() == 0.0 && other.fract() == 0.0 {
        return (one - other).abs() < 0.5;
    }
    (one - other).abs() <= 1e-3 * one.abs().max(1e-9)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_does_not_count_and_values_do() {
        for (reference, answer, same) in [
            ("12.5%", "It is 0.125.", true),
            ("1,234 houses", "1234 houses", true),
            ("The mean is 3.14159", "mean = 3.1416", true),
            ("Paris", "It is Paris", true),
            ("Paris", "It is London", false),
            ("7", "8", false),
            ("7", "1, 2, 3, 4, 5, 6, 7, 8, 9", false),
            ("There is a relation", "There is no relation", false),
            ("yes", "", false),
        ] {
            assert_eq!(compare(reference, answer).0, same, "{reference} / {answer}");
        }
    }
}
