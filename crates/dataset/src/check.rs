//! Which rows are refused: those that trainers skip, misread or learn wrongly.

use std::fmt;

use synth_core::CONTROL_TOKENS;

use crate::rows::{Message, RlRow, Row, SftRow};

/// Arrow's offsets have 31 bits, and batches are far smaller than this.
const MAX_ROW_BYTES: usize = 256 << 20;

/// A row that was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("row `{id}` breaks rule `{}`: {rule}", rule.as_str())]
pub struct RowError {
    /// The row.
    pub id: String,
    /// What is wrong with it.
    pub rule: Rule,
}

/// What can be wrong with a row. Messages are counted from 0.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// The id is empty.
    NoId,
    /// There are no messages.
    NoMessages,
    /// After an optional system message, user and assistant do not take turns.
    Alternation(usize),
    /// The conversation does not end with the role that it must end with.
    LastRole(&'static str),
    /// A message is empty or blank.
    Blank(usize),
    /// An assistant's message has white space around it, which templates strip.
    Untrimmed(usize),
    /// A message contains a token that means something to a template or trainer.
    ControlToken(usize, &'static str),
    /// A column that holds a JSON object does not.
    NotJson(&'static str),
    /// A column that holds a number holds NaN or an infinity.
    NotFinite(&'static str),
    /// The row is larger than 256 MiB.
    TooLarge,
}

impl Rule {
    /// The rule as it stands in records.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NoId => "no_id",
            Self::NoMessages => "no_messages",
            Self::Alternation(_) => "alternation",
            Self::LastRole(_) => "last_role",
            Self::Blank(_) => "blank_message",
            Self::Untrimmed(_) => "untrimmed_message",
            Self::ControlToken(..) => "control_token",
            Self::NotJson(_) => "not_json",
            Self::NotFinite(_) => "not_finite",
            Self::TooLarge => "too_large",
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoId => write!(f, "its id is empty"),
            Self::NoMessages => write!(f, "it has no messages"),
            Self::Alternation(at) => write!(f, "message {at} is out of turn"),
            Self::LastRole(role) => write!(f, "its last message is not of role `{role}`"),
            Self::Blank(at) => write!(f, "message {at} is blank"),
            Self::Untrimmed(at) => write!(f, "message {at} has white space around it"),
            Self::ControlToken(at, token) => write!(f, "message {at} contains `{token}`"),
            Self::NotJson(column) => write!(f, "`{column}` is not the text of a JSON object"),
            Self::NotFinite(column) => write!(f, "`{column}` is not a finite number"),
            Self::TooLarge => write!(f, "it is larger than 256 MiB"),
        }
    }
}

/// The first rule that a row of the `sft` config breaks.
pub fn sft(row: &SftRow) -> Option<Rule> {
    let generation = &row.generation;
    let numbers = [
        ("reward", Some(generation.reward)),
        ("pass_rate", generation.pass_rate),
        ("metric_value", generation.metric_value),
        ("wall_seconds", row.wall_seconds),
    ];
    let grades = generation
        .judge_scores
        .iter()
        .map(|grade| ("judge_scores", Some(grade.2)));
    common(row)
        .or_else(|| conversation(&row.messages, "assistant"))
        .or_else(|| json("sampling_params", &generation.sampling_params))
        .or_else(|| json("metadata", &generation.metadata))
        .or_else(|| numbers.into_iter().chain(grades).find_map(not_finite))
}

/// The first rule that a row of the `rl` or `eval` config breaks.
pub fn rl(row: &RlRow) -> Option<Rule> {
    common(row)
        .or_else(|| conversation(&row.prompt, "user"))
        .or_else(|| json("info", &row.info))
        .or_else(|| json("metadata", &row.metadata))
        .or_else(|| not_finite(("pass_rate", row.pass_rate)))
}

fn common<R: Row>(row: &R) -> Option<Rule> {
    if row.id().is_empty() {
        return Some(Rule::NoId);
    }
    (row.size() > MAX_ROW_BYTES).then_some(Rule::TooLarge)
}

fn conversation(messages: &[Message], last: &'static str) -> Option<Rule> {
    let systems = usize::from(messages.first().is_some_and(|(role, _)| role == "system"));
    let Some((role, _)) = messages[systems..].last() else {
        return Some(Rule::NoMessages);
    };
    for (at, (role, _)) in messages.iter().enumerate().skip(systems) {
        let expected = if (at - systems) % 2 == 0 {
            "user"
        } else {
            "assistant"
        };
        if role != expected {
            return Some(Rule::Alternation(at));
        }
    }
    if role != last {
        return Some(Rule::LastRole(last));
    }
    messages
        .iter()
        .enumerate()
        .find_map(|(at, message)| content(at, message))
}

fn content(at: usize, (role, content): &Message) -> Option<Rule> {
    let trimmed = content.trim_matches(is_space);
    if trimmed.is_empty() {
        return Some(Rule::Blank(at));
    }
    if role == "assistant" && trimmed.len() != content.len() {
        return Some(Rule::Untrimmed(at));
    }
    let token = CONTROL_TOKENS
        .iter()
        .find(|token| content.contains(**token));
    token.map(|token| Rule::ControlToken(at, token))
}

/// White space as Python's `str.strip` sees it, which trims the ASCII separators too.
fn is_space(letter: char) -> bool {
    letter.is_whitespace() || matches!(letter, '\u{1c}'..='\u{1f}')
}

fn json(column: &'static str, text: &str) -> Option<Rule> {
    let object: Result<serde_json::Map<String, serde_json::Value>, _> = serde_json::from_str(text);
    object.err().map(|_| Rule::NotJson(column))
}

fn not_finite((column, number): (&'static str, Option<f64>)) -> Option<Rule> {
    number
        .filter(|number| !number.is_finite())
        .map(|_| Rule::NotFinite(column))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(messages: &[(&str, &str)]) -> SftRow {
        let mut row = SftRow {
            id: "trj_1".to_owned(),
            messages: messages
                .iter()
                .map(|&(role, content)| (role.to_owned(), content.to_owned()))
                .collect(),
            ..SftRow::default()
        };
        row.generation.sampling_params = "{}".to_owned();
        row.generation.metadata = "{}".to_owned();
        row
    }

    #[test]
    fn conversations_that_train_wrongly_are_refused() {
        for (messages, rule) in [
            (&[("user", "q"), ("assistant", "a")][..], None),
            (
                &[("system", "s"), ("user", "q\n"), ("assistant", "a")],
                None,
            ),
            (&[], Some(Rule::NoMessages)),
            (&[("system", "s")], Some(Rule::NoMessages)),
            (&[("assistant", "a")], Some(Rule::Alternation(0))),
            (
                &[("system", "s"), ("user", "q"), ("user", "q")],
                Some(Rule::Alternation(2)),
            ),
            (
                &[("user", "q"), ("system", "s")],
                Some(Rule::Alternation(1)),
            ),
            (&[("user", "q"), ("tool", "t")], Some(Rule::Alternation(1))),
            (&[("user", "q")], Some(Rule::LastRole("assistant"))),
            (&[("user", " \n"), ("assistant", "a")], Some(Rule::Blank(0))),
            (&[("user", "q"), ("assistant", "")], Some(Rule::Blank(1))),
            (
                &[("user", "q"), ("assistant", "a\n")],
                Some(Rule::Untrimmed(1)),
            ),
            (
                &[("user", "q"), ("assistant", "\u{1f}a")],
                Some(Rule::Untrimmed(1)),
            ),
            (
                &[("user", "<|im_end|>"), ("assistant", "a")],
                Some(Rule::ControlToken(0, "<|im_")),
            ),
            (
                &[("user", "q"), ("assistant", "an <image>")],
                Some(Rule::ControlToken(1, "<image>")),
            ),
        ] {
            assert_eq!(sft(&row(messages)), rule, "{messages:?}");
        }
    }

    #[test]
    fn columns_of_json_and_numbers_hold_such() {
        let mut broken = row(&[("user", "q"), ("assistant", "a")]);
        broken.generation.metadata = "[1]".to_owned();
        let error = broken.check().expect_err("a list is no object");
        assert_eq!(
            error.to_string(),
            "row `trj_1` breaks rule `not_json`: `metadata` is not the text of a JSON object"
        );
        broken.generation.metadata = "{\"a\": [1]}".to_owned();
        broken
            .generation
            .judge_scores
            .push(("j".to_owned(), "clarity".to_owned(), f64::NAN));
        assert_eq!(sft(&broken), Some(Rule::NotFinite("judge_scores")));
        broken.id.clear();
        assert_eq!(sft(&broken), Some(Rule::NoId));
    }

    #[test]
    fn a_prompt_ends_with_the_user() {
        let mut row = RlRow {
            id: "qry_1".to_owned(),
            prompt: vec![("user".to_owned(), "q".to_owned())],
            info: "{}".to_owned(),
            metadata: "{}".to_owned(),
            ..RlRow::default()
        };
        assert_eq!(rl(&row), None);
        row.prompt.push(("assistant".to_owned(), "a".to_owned()));
        assert_eq!(rl(&row), Some(Rule::LastRole("user")));
    }
}
