//! Answers of named values: `@mean_fare[34.65] @port[Southampton]`.

use synth_core::{KeyedValue, Score};

use crate::{quoted, refused, values_equal};

/// The `@name[value]` pairs of a text, in the order in which they stand there, with whatever text around them.
///
/// A name is letters, digits, `_`, `-` and `.`; white space may stand after `@`, before `[` and around the value. A value
/// ends at the bracket that closes it, so lists nest; it may run over several lines. Where brackets do not pair, as in
/// the half-open intervals `[[0, 1)]` and `[(0, 1]]`, it ends at the last bracket before the next `@` or line.
/// A name that is given twice is returned twice.
pub fn parse_keyed(text: &str) -> Vec<KeyedValue> {
    let brackets = Brackets::of(text);
    let mut pairs = Vec::new();
    let mut position = 0;
    while let Some(at) = text[position..].find('@') {
        position += at + 1;
        let Some((name, open)) = name_at(text, position) else {
            continue;
        };
        if let Some(close) = brackets.end_of_value(text, open) {
            let value = text[open + 1..close].trim().to_owned();
            pairs.push(KeyedValue {
                name: name.to_owned(),
                value,
            });
            position = close + 1;
        }
    }
    pairs
}

/// Scores an answer: 1 when every expected name is there with an equal value, else 0.
///
/// Names are compared exactly, then without regard to case. Of a name given twice the last counts, as agents correct
/// themselves; names that nobody expects are ignored. A text without any pair is taken for the value itself when one
/// value is expected. Tolerances are those of [`values_equal`]. The reason names the first value that is wrong.
pub fn score_keyed(
    answer: Option<&str>,
    expected: &[KeyedValue],
    abs_tolerance: f64,
    rel_tolerance: f64,
) -> Score {
    if expected.is_empty() {
        return refused("nothing is expected, so nothing can be verified");
    }
    let Some(answer) = answer.map(str::trim).filter(|answer| !answer.is_empty()) else {
        return refused("no answer");
    };
    let mut given = parse_keyed(answer);
    if let ([only], true) = (expected, given.is_empty()) {
        given.push(KeyedValue {
            name: only.name.clone(),
            value: answer.to_owned(),
        });
    }
    for KeyedValue { name, value } in expected {
        let found = given.iter().rfind(|pair| pair.name == *name).or_else(|| {
            let name = name.to_lowercase();
            given.iter().rfind(|pair| pair.name.to_lowercase() == name)
        });
        match found {
            None => return refused(format!("{} is missing", quoted(name))),
            Some(pair) if !values_equal(&pair.value, value, abs_tolerance, rel_tolerance) => {
                let (name, got, value) = (quoted(name), quoted(&pair.value), quoted(value));
                return refused(format!("{name}: got {got}, expected {value}"));
            }
            Some(_) => {}
        }
    }
    Score {
        reward: 1.0,
        success: true,
        reason: match expected.len() {
            1 => "the value is right".to_owned(),
            count => format!("all {count} values are right"),
        },
        ..Score::default()
    }
}

/// The name that begins at `start`, and where its bracket opens.
fn name_at(text: &str, start: usize) -> Option<(&str, usize)> {
    let rest = text[start..].trim_start_matches([' ', '\t']);
    let length = rest
        .find(|letter: char| !(letter.is_alphanumeric() || matches!(letter, '_' | '-' | '.')))
        .filter(|&length| length > 0)?;
    let after = rest[length..].trim_start_matches([' ', '\t']);
    after
        .starts_with('[')
        .then(|| (&rest[..length], text.len() - after.len()))
}

/// Which square brackets belong together, found in one pass.
struct Brackets {
    /// Opening and closing position of each pair, sorted by the opening one.
    pairs: Vec<(usize, usize)>,
    /// Closing brackets that nothing opened, sorted.
    strays: Vec<usize>,
}

impl Brackets {
    fn of(text: &str) -> Self {
        let (mut pairs, mut strays, mut opened) = (Vec::new(), Vec::new(), Vec::new());
        for (index, byte) in text.bytes().enumerate() {
            match byte {
                b'[' => opened.push(index),
                b']' => match opened.pop() {
                    Some(open) => pairs.push((open, index)),
                    None => strays.push(index),
                },
                _ => {}
            }
        }
        pairs.sort_unstable();
        Self { pairs, strays }
    }

    fn end_of_value(&self, text: &str, open: usize) -> Option<usize> {
        if let Ok(found) = self.pairs.binary_search_by_key(&open, |pair| pair.0) {
            let close = self.pairs[found].1;
            let stray_follows = self.strays.binary_search(&(close + 1)).is_ok();
            return Some(if stray_follows { close + 1 } else { close });
        }
        let inside = &text[open + 1..];
        let end = inside.find(['@', '\n']).unwrap_or(inside.len());
        inside[..end].rfind(']').map(|close| open + 1 + close)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<KeyedValue> {
        let pair = |&(name, value): &(&str, &str)| KeyedValue {
            name: name.to_owned(),
            value: value.to_owned(),
        };
        pairs.iter().map(pair).collect()
    }

    fn reward(answer: &str, expected: &[(&str, &str)]) -> f64 {
        score_keyed(Some(answer), &pairs(expected), 1e-6, 0.0).reward
    }

    #[test]
    fn pairs_are_found_in_text() {
        for (text, expected) in [
            ("@a[1]", &[("a", "1")][..]),
            (
                "So: @a[ 1 ], @b_2 [x, y].\n@c-d[z]",
                &[("a", "1"), ("b_2", "x, y"), ("c-d", "z")],
            ),
            ("@ a[1]@b[2]", &[("a", "1"), ("b", "2")]),
            ("@a[[1, 2], [3]]", &[("a", "[1, 2], [3]")]),
            ("@a[1\n2]", &[("a", "1\n2")]),
            ("@a[1] @a[2]", &[("a", "1"), ("a", "2")]),
            ("@a[[0, 1)] @b[2]", &[("a", "[0, 1)"), ("b", "2")]),
            ("@a[(0, 1]] @b[2]", &[("a", "(0, 1]"), ("b", "2")]),
            ("[@a[1]]", &[("a", "1")]),
            ("see [1 for @a[2]", &[("a", "2")]),
            ("@a[1 @b[2]", &[("b", "2")]),
            ("@é_größe[ü]", &[("é_größe", "ü")]),
            ("@a[]", &[("a", "")]),
            ("me@home.org, @[1], @a(1), @a", &[]),
            ("", &[]),
        ] {
            assert_eq!(parse_keyed(text), pairs(expected), "{text}");
        }
    }

    #[test]
    fn every_expected_name_must_be_there_and_equal() {
        let expected = [("mean_fare", "34.65"), ("port", "Southampton")];
        assert!(reward("@mean_fare[34.65] @port[southampton]", &expected) > 0.5);
        assert!(reward("@Port['Southampton']\n@MEAN_FARE[34.650]", &expected) > 0.5);
        let score = score_keyed(Some("@port[Southampton]"), &pairs(&expected), 0.0, 0.0);
        assert_eq!(
            (score.success, score.reason.as_str()),
            (false, "`mean_fare` is missing")
        );
        let wrong = "@mean_fare[34.60] @port[Cherbourg]";
        let score = score_keyed(Some(wrong), &pairs(&expected), 0.0, 0.0);
        assert_eq!(score.reason, "`mean_fare`: got `34.60`, expected `34.65`");
    }

    #[test]
    fn the_last_of_a_repeated_name_counts_and_unexpected_names_do_not() {
        assert!(reward("@a[1] no, @a[2] @b[9]", &[("a", "2")]) > 0.5);
        assert!(reward("@a[2] no, @a[1]", &[("a", "2")]) < 0.5);
    }

    #[test]
    fn a_bare_value_answers_for_one_name_only() {
        assert!(reward(" 34.65 ", &[("mean_fare", "34.65")]) > 0.5);
        assert!(reward("a@b.org", &[("mail", "a@b.org")]) > 0.5);
        assert!(reward("the mean is 34.65", &[("mean_fare", "34.65")]) < 0.5);
        assert!(reward("1", &[("a", "1"), ("b", "1")]) < 0.5);
        assert!(reward("@b[1]", &[("a", "1")]) < 0.5);
    }

    #[test]
    fn no_answer_and_no_expectation_earn_nothing() {
        assert!(reward("I do not know", &[("a", "1")]) < 0.5);
        assert!(reward("", &[("a", "")]) < 0.5);
        assert!(reward("@a[1]", &[]) < 0.5);
        assert!(!score_keyed(None, &pairs(&[("a", "1")]), 0.0, 0.0).success);
    }

    #[test]
    fn a_flood_of_open_brackets_is_read_in_linear_time() {
        assert!(parse_keyed(&"@a[".repeat(300_000)).is_empty());
        assert_eq!(parse_keyed(&"@a[1]".repeat(100_000)).len(), 100_000);
    }

    proptest! {
        #[test]
        fn any_text_gets_a_score(answer in "(?s).{0,60}|[@a\\[\\] \n,1]{0,60}", value in ".{0,12}") {
            let score = score_keyed(Some(&answer), &pairs(&[("a", &value)]), 1e-3, 1e-3);
            prop_assert!(!score.reason.is_empty());
            prop_assert_eq!(score.success, score.reward > 0.5);
        }

        #[test]
        fn what_is_written_is_read_and_right(values in prop::collection::vec("[a-z0-9., ]{0,12}", 1..6)) {
            let expected: Vec<_> = values.iter().enumerate()
                .map(|(index, value)| KeyedValue { name: format!("n{index}"), value: value.trim().to_owned() })
                .collect();
            let answer = expected.iter().fold(String::new(), |text, pair| format!("{text}@{}[{}]\n", pair.name, pair.value));
            prop_assert_eq!(&parse_keyed(&answer), &expected);
            prop_assert!(score_keyed(Some(&answer), &expected, 0.0, 0.0).success);
        }
    }
}
