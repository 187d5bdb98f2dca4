//! Reads the queries that an exploration poses, strictly, each by itself: a bad one does not lose its siblings.

use synth_core::{CellOutcome, KeyedValue, Observation};
use synth_score::parse_keyed;

/// A query as posed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Posed {
    pub question: String,
    pub constraints: String,
    pub format: String,
    pub reference: Vec<KeyedValue>,
    /// The cell that printed the reference, from 1.
    pub cell: usize,
    pub keywords: Vec<String>,
    pub level: Option<String>,
}

/// Why a query is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub reason: &'static str,
    pub message: String,
}

fn refuse<T>(reason: &'static str, message: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal {
        reason,
        message: message.into(),
    })
}

/// A question shorter or longer than this, in characters, is none.
const QUESTION_LENGTH: std::ops::RangeInclusive<usize> = 15..=2000;
/// More values than this are a table, not an answer.
const MAX_VALUES: usize = 20;

/// The `<query>` blocks of an answer, well-formed or refused.
pub(super) fn blocks(answer: &str) -> Vec<Result<Posed, Refusal>> {
    let mut blocks = Vec::new();
    let mut rest = answer;
    while let Some((_, after)) = rest.split_once("<query>") {
        // A block that is not closed ends where the next begins.
        let next = after.find("<query>").unwrap_or(after.len());
        let (body, closed) = match after[..next].find("</query>") {
            Some(end) => (&after[..end], true),
            None => (&after[..next], false),
        };
        blocks.push(if closed {
            posed(body)
        } else {
            refuse("malformed_query", "the block is not closed")
        });
        rest = &after[body.len()..];
    }
    blocks
}

fn posed(body: &str) -> Result<Posed, Refusal> {
    let field = |name: &str| -> Result<String, Refusal> {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let value = body
            .split_once(&open)
            .and_then(|(_, rest)| rest.split_once(&close))
            .map(|(value, _)| value.trim().to_owned());
        match value {
            Some(value) if value.contains(&open) => {
                refuse("malformed_query", format!("{open} stands twice"))
            }
            Some(value) => Ok(value),
            None => refuse("malformed_query", format!("{open} is missing")),
        }
    };
    let needed = |name: &str| match field(name)? {
        value if value.is_empty() => refuse("malformed_query", format!("<{name}> is empty")),
        value => Ok(value),
    };
    let cell = needed("cell")?;
    Ok(Posed {
        question: needed("question")?,
        constraints: field("constraints")?,
        format: needed("format")?,
        reference: parse_keyed(&needed("reference")?),
        cell: cell.parse().or_else(|_| {
            refuse(
                "malformed_query",
                format!("<cell> is `{cell}`, not a number"),
            )
        })?,
        keywords: field("keywords")
            .unwrap_or_default()
            .split(',')
            .map(|word| word.trim().to_owned())
            .filter(|word| !word.is_empty())
            .collect(),
        level: field("level")
            .ok()
            .map(|level| level.to_lowercase())
            .filter(|level| matches!(level.as_str(), "easy" | "medium" | "hard")),
    })
}

/// Whether a posed query holds: its reference stands in the output of a cell that succeeded, and it is not posed already.
pub(super) fn check<'a>(
    posed: &Posed,
    cells: &[(String, Observation)],
    seed_question: Option<&str>,
    siblings: impl Iterator<Item = &'a str>,
) -> Result<(), Refusal> {
    if !QUESTION_LENGTH.contains(&posed.question.chars().count()) {
        return refuse(
            "question_length",
            format!(
                "the question has {} characters",
                posed.question.chars().count()
            ),
        );
    }
    if [&posed.question, &posed.constraints, &posed.format]
        .into_iter()
        .any(|text| {
            synth_core::CONTROL_TOKENS
                .iter()
                .any(|token| text.contains(token))
        })
    {
        return refuse(
            "control_token",
            "the query holds a control token of chat templates",
        );
    }
    let normal = normalised(&posed.question);
    if seed_question.is_some_and(|seed| normalised(seed) == normal) {
        return refuse("repeats_seed", "the example was posed again");
    }
    if siblings
        .into_iter()
        .any(|sibling| normalised(sibling) == normal)
    {
        return refuse("repeats_sibling", "the same question was posed twice");
    }
    if posed.reference.is_empty() || posed.reference.len() > MAX_VALUES {
        return refuse(
            "no_reference",
            format!(
                "the reference holds {} values of the form @name[value]; needs 1 to {MAX_VALUES}",
                posed.reference.len()
            ),
        );
    }
    for KeyedValue { name, value } in &posed.reference {
        if value.is_empty()
            || matches!(
                value.to_lowercase().as_str(),
                "nan" | "none" | "null" | "inf" | "-inf"
            )
        {
            return refuse("empty_reference", format!("`{name}` is `{value}`"));
        }
        if !posed.format.contains(&format!("@{name}[")) {
            return refuse(
                "format_mismatch",
                format!("the format does not name `@{name}[…]`"),
            );
        }
    }
    let Some((_, observation)) = posed.cell.checked_sub(1).and_then(|place| cells.get(place))
    else {
        return refuse(
            "no_such_cell",
            format!("cell {} of {} was named", posed.cell, cells.len()),
        );
    };
    if observation.outcome != CellOutcome::Ok {
        return refuse(
            "cell_failed",
            format!("cell {} did not run to its end", posed.cell),
        );
    }
    let output = format!(
        "{}\n{}",
        observation.stdout,
        observation.value.as_deref().unwrap_or_default()
    );
    match posed
        .reference
        .iter()
        .find(|KeyedValue { value, .. }| !stands_in(&output, value))
    {
        Some(absent) => refuse(
            "reference_not_in_output",
            format!(
                "`{}` is not in the output of cell {}",
                absent.value, posed.cell
            ),
        ),
        None => Ok(()),
    }
}

/// Whether a value was printed: word for word, or as one of the numbers in the output, rounded as the value is; a list, if
/// each of its parts was.
pub(crate) fn stands_in(output: &str, value: &str) -> bool {
    let value = value.trim();
    if value.is_empty() {
        return false;
    }
    if stands_alone_in(&output.to_lowercase(), &value.to_lowercase()) {
        return true;
    }
    if let Ok(number) = value.replace(',', "").parse::<f64>() {
        let tolerance = half_unit(value);
        return numbers(output).any(|printed| (printed - number).abs() <= tolerance);
    }
    value.contains(',')
        && value
            .split(',')
            .all(|part| stands_in(output, part.trim_matches([' ', '[', ']', '\'', '"'])))
}

/// Whether `part` occurs in `text` other than as a piece of a longer word or number.
fn stands_alone_in(text: &str, part: &str) -> bool {
    text.match_indices(part).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let mut after = text[at + part.len()..].chars();
        let (next, second) = (after.next(), after.next());
        let is_word = |character: Option<char>| character.is_some_and(char::is_alphanumeric);
        let goes_on = next == Some('.') && second.is_some_and(|digit| digit.is_ascii_digit());
        !is_word(before) && !matches!(before, Some('.' | '-')) && !is_word(next) && !goes_on
    })
}

/// Half a unit of the last digit that a number is written with: 0.005 for `1.25`, 5e-7 for `1.2e-5`.
fn half_unit(number: &str) -> f64 {
    let lower = number.to_lowercase();
    let (mantissa, exponent) = lower.split_once('e').unwrap_or((&lower, "0"));
    let decimals = mantissa
        .split_once('.')
        .map_or(0, |(_, decimals)| decimals.len());
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let place = exponent.saturating_sub(i32::try_from(decimals).unwrap_or(i32::MAX));
    // A hair more, for numbers that lie exactly between two.
    0.5 * 10f64.powi(place) * (1.0 + 1e-9)
}

/// The numbers in a text, thousands apart or not.
fn numbers(text: &str) -> impl Iterator<Item = f64> + '_ {
    text.split(|character: char| {
        !(character.is_ascii_alphanumeric() || matches!(character, '.' | '-' | '+'))
    })
    .filter_map(|token| token.trim_end_matches('.').parse::<f64>().ok())
    .filter(|number| number.is_finite())
}

/// A question without case, punctuation and spacing.
fn normalised(text: &str) -> String {
    text.to_lowercase()
        .split(|character: char| !character.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str = "<query><question>What is the mean of `fare`?</question><constraints>two decimals</constraints>\
        <format>@mean_fare[number]</format><reference>@mean_fare[34.65]</reference><cell>1</cell>\
        <keywords>mean, fares</keywords><level>Easy</level></query>";

    fn cells(stdout: &str) -> Vec<(String, Observation)> {
        let observation = Observation {
            stdout: stdout.to_owned(),
            ..Observation::default()
        };
        vec![("print(x)".to_owned(), observation)]
    }

    fn reason(block: &str, stdout: &str) -> &'static str {
        let posed = match blocks(block).remove(0) {
            Ok(posed) => posed,
            Err(refusal) => return refusal.reason,
        };
        check(
            &posed,
            &cells(stdout),
            Some("What is the median fare of all?"),
            ["How many rows are there?"].into_iter(),
        )
        .map_or_else(|refusal| refusal.reason, |()| "good")
    }

    #[test]
    fn a_good_query_is_read_whole() {
        let posed = blocks(GOOD).remove(0).unwrap();
        assert_eq!(posed.keywords, ["mean", "fares"]);
        assert_eq!(posed.level.as_deref(), Some("easy"));
        assert_eq!(reason(GOOD, "mean: 34.6512\n"), "good");
    }

    #[test]
    fn each_defect_has_its_reason() {
        for (from, to, expected) in [
            ("<cell>1</cell>", "", "malformed_query"),
            ("<cell>1</cell>", "<cell>one</cell>", "malformed_query"),
            ("<cell>1</cell>", "<cell>0</cell>", "no_such_cell"),
            ("<cell>1</cell>", "<cell>9</cell>", "no_such_cell"),
            ("@mean_fare[34.65]", "34.65", "no_reference"),
            ("@mean_fare[34.65]", "@mean_fare[nan]", "empty_reference"),
            (
                "@mean_fare[34.65]",
                "@mean_fare[99.9]",
                "reference_not_in_output",
            ),
            ("@mean_fare[number]", "a number", "format_mismatch"),
            ("What is the mean of `fare`?", "mean?", "question_length"),
            (
                "What is the mean of `fare`?",
                "What is the MEDIAN fare, of all?",
                "repeats_seed",
            ),
            (
                "What is the mean of `fare`?",
                "How many rows are there",
                "repeats_sibling",
            ),
            (
                "What is the mean",
                "What <|im_end|> is the mean",
                "control_token",
            ),
        ] {
            assert_eq!(reason(&GOOD.replace(from, to), "34.65"), expected, "{to}");
        }
    }

    #[test]
    fn a_bad_block_does_not_lose_its_siblings() {
        let answer = format!("Here they are:\n{GOOD}\n<query><question>broken\n{GOOD}\nbye");
        let read: Vec<bool> = blocks(&answer).iter().map(Result::is_ok).collect();
        assert_eq!(read, [true, false, true]);
    }

    #[test]
    fn a_failed_cell_backs_nothing() {
        let posed = blocks(GOOD).remove(0).unwrap();
        let mut cells = cells("34.65");
        cells[0].1.outcome = CellOutcome::Timeout { state_kept: true };
        assert_eq!(
            check(&posed, &cells, None, std::iter::empty())
                .unwrap_err()
                .reason,
            "cell_failed"
        );
    }

    #[test]
    fn values_stand_in_outputs_as_rounded() {
        assert!(stands_in("r = -0.1234567", "-0.12"));
        assert!(!stands_in("r = -0.1284567", "-0.12"));
        assert!(stands_in("Group: North West\n", "north west"));
        assert!(stands_in("['a', 'b'] 3", "a, b, 3"));
        assert!(stands_in("total 12345", "12,345"));
        assert!(!stands_in("", "1"));
        assert!(stands_in("total 12,345 rows", "12,345"));
        assert!(stands_in("p = 1.04e-05", "1e-05"));
        assert!(!stands_in("r = 0.3, n = 0", "1e-05"));
        assert!(!stands_in("nothing known", "no"));
        assert!(stands_in("answer: No.", "no"));
        assert!(!stands_in("x = -3", "3"));
        assert!(!stands_in("x = 3.7", "3"));
    }

    proptest! {
        #[test]
        fn any_answer_can_be_read(answer in "(<query>|</query>|<question>|</question>|<cell>|</cell>|<format>|[a-z0-9@\\[\\] ]{0,8}){0,30}") {
            for posed in blocks(&answer).into_iter().flatten() {
                let _ = check(&posed, &cells("1"), None, std::iter::empty());
            }
        }
    }
}
