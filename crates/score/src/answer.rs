//! Answers of one declared form: a text, a number, a list, or a choice among options.

use synth_core::{Expected, Score, Verifier};

use crate::equal::{Tolerance, elements, folded, number_of, unquoted};
use crate::{parse_keyed, quoted, refused, score_keyed};

/// More elements than any list of an answer has; sorting them is quick, comparing each with each is not.
const MAX_ELEMENTS: usize = 10_000;

/// Scores an answer by a verifier that needs neither a model nor a file; `None` for the others.
pub fn score_text(verifier: &Verifier, answer: Option<&str>) -> Option<Score> {
    match verifier {
        Verifier::Keyed {
            expected,
            abs_tolerance,
            rel_tolerance,
        } => Some(score_keyed(
            answer,
            expected,
            *abs_tolerance,
            *rel_tolerance,
        )),
        Verifier::Answer {
            expected,
            abs_tolerance,
            rel_tolerance,
        } => Some(score_answer(
            answer,
            expected,
            *abs_tolerance,
            *rel_tolerance,
        )),
        Verifier::Equivalent { .. } | Verifier::Predictions(_) => None,
    }
}

/// Scores an answer: 1 when the whole of it is what is expected, else 0. The reason says what was read.
///
/// - Text: the same without regard to case, outer quotes and the amount of white space.
/// - Number: the whole answer is a number, the same within the tolerances; see [`values_equal`](crate::values_equal) for how numbers are written.
/// - List: as many elements, each the same, in order or in any; of unordered ones numbers pair up by size.
/// - Choice: the letter, alone or before its text, or the whole text of one option.
///
/// An answer that is one pair `@name[value]` stands for its value.
pub fn score_answer(
    answer: Option<&str>,
    expected: &Expected,
    abs_tolerance: f64,
    rel_tolerance: f64,
) -> Score {
    let Some(answer) = answer.map(str::trim).filter(|answer| !answer.is_empty()) else {
        return refused("no answer");
    };
    let pairs = parse_keyed(answer);
    let answer = match pairs.as_slice() {
        [pair] if answer.starts_with('@') && answer.ends_with(']') => &pair.value,
        _ => answer,
    };
    let tolerance = Tolerance::new(abs_tolerance, rel_tolerance);
    let verdict = match expected {
        Expected::Text { value } if value.trim().is_empty() => Err(nothing()),
        Expected::Text { value } => same(
            folded(unquoted(answer)) == folded(unquoted(value)),
            answer,
            value,
        ),
        Expected::Number { value } => match (number_of(answer), number_of(value)) {
            (_, None) => Err(format!("the expected {} is no number", quoted(value))),
            (None, _) => Err(format!("{} is no number", quoted(answer))),
            _ => same(tolerance.equal(answer, value), answer, value),
        },
        Expected::List { values, .. } if values.is_empty() => Err(nothing()),
        Expected::List { values, ordered } => list(answer, values, *ordered, tolerance),
        Expected::Choice { value, options } => choice(answer, value, options),
    };
    match verdict {
        Ok(()) => Score {
            reward: 1.0,
            success: true,
            reason: "the answer is right".to_owned(),
            ..Score::default()
        },
        Err(reason) => refused(reason),
    }
}

fn nothing() -> String {
    "nothing is expected, so nothing can be verified".to_owned()
}

fn same(same: bool, answer: &str, expected: &str) -> Result<(), String> {
    if same {
        return Ok(());
    }
    Err(format!(
        "got {}, expected {}",
        quoted(answer),
        quoted(expected)
    ))
}

fn list(
    answer: &str,
    values: &[String],
    ordered: bool,
    tolerance: Tolerance,
) -> Result<(), String> {
    let answer = unquoted(answer);
    let given = elements(answer).unwrap_or_else(|| vec![answer]);
    if given.len() != values.len() {
        return Err(format!(
            "{} elements instead of {}",
            given.len(),
            values.len()
        ));
    }
    if given.len() > MAX_ELEMENTS {
        return Err(format!("more than {MAX_ELEMENTS} elements"));
    }
    let values: Vec<&str> = values.iter().map(String::as_str).collect();
    let (given, values) = if ordered {
        (given, values)
    } else {
        (sorted(given), sorted(values))
    };
    let wrong = given
        .iter()
        .zip(&values)
        .find(|(given, value)| !tolerance.equal(given, value));
    wrong.map_or(Ok(()), |(given, value)| same(false, given, value))
}

/// Numbers by size, then texts by their letters: two lists that are the same in some order are the same in this one.
fn sorted(mut values: Vec<&str>) -> Vec<&str> {
    values.sort_by_cached_key(|value| {
        let number = number_of(value);
        // The order of doubles as integers: all bits of a negative one are turned.
        let order = number.map(|number| {
            let bits = (number + 0.0).to_bits();
            if bits >> 63 == 0 {
                bits | 1 << 63
            } else {
                !bits
            }
        });
        (order.is_none(), order, folded(unquoted(value)))
    });
    values
}

/// The letter of the option that an answer names, alone, before its text, or by its text.
fn choice(answer: &str, value: &str, options: &[(String, String)]) -> Result<(), String> {
    let answer = folded(unquoted(answer));
    let letter = |letter: &str| folded(letter.trim_matches(MARKS));
    let named: Vec<&str> = options
        .iter()
        .filter(|(name, text)| {
            let (name, text) = (letter(name), folded(unquoted(text)));
            letter(&answer) == name
                || (!text.is_empty() && answer == text)
                || lettered(&answer, &name).is_some_and(|rest| folded(unquoted(rest)) == text)
        })
        .map(|(name, _)| name.as_str())
        .collect();
    match named[..] {
        [] if letter(&answer) == letter(value) => Ok(()),
        [] => Err(format!("{} is none of the options", quoted(&answer))),
        [only] => same(letter(only) == letter(value), only, value),
        _ => Err(format!("{} names several options", quoted(&answer))),
    }
}

/// What may stand around an option's letter.
const MARKS: [char; 8] = ['(', ')', '[', ']', '.', ':', ' ', '*'];

/// The text behind `b)`, `(b)`, `b.` or `b:`.
fn lettered<'a>(answer: &'a str, letter: &str) -> Option<&'a str> {
    let rest = answer
        .trim_start_matches(['(', '[', '*'])
        .strip_prefix(letter)?;
    let text = rest.trim_start_matches(MARKS);
    (text.len() < rest.len()).then(|| text.trim())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn right(answer: &str, expected: &Expected) -> bool {
        score_answer(Some(answer), expected, 0.01, 0.0).success
    }

    fn list_of(values: &[&str], ordered: bool) -> Expected {
        Expected::List {
            values: values.iter().map(|value| (*value).to_owned()).collect(),
            ordered,
        }
    }

    fn options() -> Expected {
        let options = [
            ("A", "rises"),
            ("B", "falls"),
            ("C", "stays the same"),
            ("D", "B"),
        ];
        Expected::Choice {
            value: "C".to_owned(),
            options: options
                .map(|(letter, text)| (letter.to_owned(), text.to_owned()))
                .to_vec(),
        }
    }

    #[test]
    fn texts_are_the_same_without_case_quotes_and_extra_blanks() {
        let expected = Expected::Text {
            value: "Iris setosa".to_owned(),
        };
        assert!(right(" 'iris  SETOSA' ", &expected) && right("@name[Iris setosa]", &expected));
        assert!(!right("setosa", &expected) && !right("It is Iris setosa", &expected));
        let number = Expected::Text {
            value: "1.0".to_owned(),
        };
        assert!(!right("1", &number), "text is no number");
    }

    #[test]
    fn a_number_is_the_whole_answer() {
        let expected = Expected::Number {
            value: "34.65".to_owned(),
        };
        for answer in ["34.65", "34.66", "$34.65", "@mean[34.65]", " 34.650 "] {
            assert!(right(answer, &expected), "{answer}");
        }
        for answer in ["34.67", "about 34.65", "34.65, 1", "3.465e2", ""] {
            assert!(!right(answer, &expected), "{answer}");
        }
        assert!(!right(
            "x",
            &Expected::Number {
                value: "x".to_owned()
            }
        ));
    }

    #[test]
    fn lists_have_an_order_or_none() {
        let (ordered, any) = (
            list_of(&["b", "1", "a"], true),
            list_of(&["b", "1", "a"], false),
        );
        assert!(right("[B, 1.00, 'a']", &ordered) && !right("a, b, 1", &ordered));
        assert!(right("a, b, 1", &any) && right("1,b,a", &any));
        assert!(!right("a, b", &any) && !right("a, b, 1, 1", &any) && !right("a, a, 1", &any));
        let numbers = list_of(&["1.000", "1.008", "-2"], false);
        assert!(right("1.009, -2.0, 1.001", &numbers) && !right("1.009, 1.009, 1.009", &numbers));
        assert!(right("only", &list_of(&["only"], true)));
    }

    #[test]
    fn a_choice_is_named_by_letter_or_text() {
        for answer in [
            "C",
            "c",
            "(C)",
            "C.",
            "**C**",
            "stays the same",
            "C) stays the same",
            "C: Stays  the same",
            "@answer[C]",
        ] {
            assert!(right(answer, &options()), "{answer}");
        }
        for answer in ["A", "B", "C) falls", "falls", "A or C", "E", "both"] {
            assert!(!right(answer, &options()), "{answer}");
        }
    }

    #[test]
    fn no_answer_and_no_expectation_earn_nothing() {
        assert!(!score_answer(None, &options(), 0.0, 0.0).success);
        assert!(!right("", &list_of(&[], false)) && !right("[]", &list_of(&[], false)));
        assert!(!right(
            "",
            &Expected::Text {
                value: String::new()
            }
        ));
    }

    proptest! {
        #[test]
        fn any_text_gets_a_score(answer in "(?s).{0,60}|[-0-9,\\[\\]() a-d.@]{0,40}", values in prop::collection::vec(".{0,6}", 0..6), ordered: bool) {
            let list = Expected::List { values, ordered };
            for expected in [list, options(), Expected::Number { value: "1".to_owned() }, Expected::Text { value: "a".to_owned() }] {
                let score = score_answer(Some(&answer), &expected, 1e-3, 1e-3);
                prop_assert!(!score.reason.is_empty());
                prop_assert_eq!(score.success, score.reward > 0.5);
            }
        }

        #[test]
        fn a_list_is_itself_in_any_order(pair in prop::collection::vec("[a-z]{1,5}|-?[0-9]{1,3}(\\.[0-9])?", 1..12)
            .prop_flat_map(|values| (Just(values.clone()), Just(values).prop_shuffle()))) {
            let (values, shuffled) = pair;
            let expected = Expected::List { values, ordered: false };
            prop_assert!(right(&shuffled.join(", "), &expected));
        }
    }
}
