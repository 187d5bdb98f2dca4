//! The explorer: looks at the data, poses questions over its real columns, solves each, and keeps those that came out well.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;

use crate::complete::{Action, Move};
use crate::conversation::{Conversation, Step, printed};
use crate::dice::Dice;
use crate::families;
use crate::fill::fill;
use crate::problem::{Problem, recognise};
use crate::profile::{self, Profile};
use crate::prompt::{self, Question, Table, pattern};
use crate::python;

/// Turns that a conversation has when the system prompt does not say.
const TURNS: usize = 15;

struct Candidate {
    problem: Problem,
    phrasing: usize,
    style: usize,
}

/// A question that came out well: the number of its run of code, and the values that the run printed.
type Kept<'a> = (usize, &'a Candidate, Vec<(String, String)>);

/// The next move of an exploration that is to end in `count` queries.
pub fn explore(conversation: &Conversation, count: usize, seed_question: &str) -> Move {
    static LIMIT: LazyLock<Regex> = LazyLock::new(|| pattern(r"You have (\d+) messages"));
    let tables = prompt::tables(&conversation.task);
    let Some(look) = conversation.steps.first() else {
        return first_look(conversation, &tables);
    };
    let profile = profile::read(&look.output).unwrap_or_else(|| profile::from_prompt(&tables));
    let candidates = candidates(conversation, &tables, &profile, seed_question);
    let kept: Vec<Kept> = candidates
        .iter()
        .zip(&conversation.steps[1..])
        .enumerate()
        .filter_map(|(index, (candidate, step))| {
            Some((index + 2, candidate, result(candidate, step)?))
        })
        .collect();
    let turns = LIMIT
        .captures(&conversation.system)
        .and_then(|found| found[1].parse().ok())
        .unwrap_or(TURNS);
    let tried = conversation.steps.len() - 1;
    let out_of_turns = conversation.steps.len() + 1 >= turns;
    match candidates.get(tried) {
        Some(candidate) if kept.len() < count && !out_of_turns => {
            attempt(conversation, candidate, &tables, kept.len(), count)
        }
        _ => report(&kept, count),
    }
}

fn first_look(conversation: &Conversation, tables: &[Table]) -> Move {
    let mut dice = Dice::new(&["explorer's words", &conversation.task, &conversation.seed]);
    let names: Vec<String> = tables
        .iter()
        .map(|table| format!("`{}`", table.path))
        .collect();
    let thought = match tables.len() {
        0 => "The task names no tables, so I look at what lies in the data folder.".to_owned(),
        1 => format!(
            "{} {} before I pose anything: {} rows and {} columns, and I want types, ranges, frequent values and gaps.",
            dice.phrase(&["I look at", "First a profile of", "I start with a look at"]),
            names[0],
            tables[0].rows,
            tables[0].columns.len()
        ),
        _ => format!(
            "{} {}; I also check which columns the files share, so that they can be joined.",
            dice.phrase(&[
                "I profile the files",
                "First a look at all files:",
                "I start with a profile of"
            ]),
            names.join(", ")
        ),
    };
    let code = if tables.is_empty() {
        "import os\n\nfor folder, _, files in os.walk(\"data\"):\n    for name in files:\n        print(os.path.join(folder, name))".to_owned()
    } else {
        profile::script(tables)
    };
    Move {
        thought,
        action: Action::Code(code),
    }
}

/// The questions worth trying, best spread of topics first; the same for every turn of a conversation.
fn candidates(
    conversation: &Conversation,
    tables: &[Table],
    profile: &Profile,
    seed_question: &str,
) -> Vec<Candidate> {
    let mut dice = Dice::new(&["explorer", &conversation.task, &conversation.seed]);
    let mut families: Vec<_> = families::all().iter().collect();
    dice.shuffle(&mut families);
    let mut ordered = Vec::with_capacity(families.len());
    // Round after round, each topic gives one family.
    while !families.is_empty() {
        let mut topics = BTreeSet::new();
        let (now, later): (Vec<_>, Vec<_>) = families
            .into_iter()
            .partition(|family| topics.insert(family.topic.as_str()));
        ordered.extend(now);
        families = later;
    }
    // Where files can be joined, one question in front does so.
    if !profile.keys.is_empty()
        && let Some(place) = ordered.iter().position(|family| family.topic == "joins")
    {
        let join = ordered.remove(place);
        ordered.insert(0, join);
    }
    let known = recognise(
        &Question {
            text: seed_question.to_owned(),
            constraints: main_file(tables),
            ..Question::default()
        },
        tables,
    );
    let mut candidates = Vec::new();
    let mut used: BTreeMap<String, usize> = BTreeMap::new();
    for _ in 0..2 {
        for family in &ordered {
            // Of a few ways to fill it, the one over the columns that were used least.
            let ways = (0..3).filter_map(|_| fill(family, profile, &mut dice));
            let wear = |problem: &Problem| {
                problem
                    .columns()
                    .iter()
                    .map(|column| used.get(*column).copied().unwrap_or(0))
                    .sum::<usize>()
            };
            let Some(problem) = ways.min_by_key(wear) else {
                continue;
            };
            let candidate = Candidate {
                problem,
                phrasing: dice.below(4),
                style: dice.below(family.style.len()),
            };
            let repeated = candidates
                .iter()
                .any(|other: &Candidate| other.problem == candidate.problem);
            if !repeated
                && known
                    .as_ref()
                    .is_none_or(|known| known.family.id != family.id)
                && !resembles(&candidate, seed_question)
            {
                for column in candidate.problem.columns() {
                    *used.entry(column.to_owned()).or_default() += 1;
                }
                candidates.push(candidate);
            }
        }
    }
    candidates
}

fn main_file(tables: &[Table]) -> String {
    tables
        .first()
        .map(|table| format!("Use `data/{}`.", table.path))
        .unwrap_or_default()
}

/// Whether a candidate asks what the given question asks: the same columns and the same statistics.
fn resembles(candidate: &Candidate, seed_question: &str) -> bool {
    if seed_question.trim().is_empty() {
        return false;
    }
    let lower = seed_question.to_lowercase();
    let columns = candidate.problem.columns();
    let same_columns = columns
        .iter()
        .all(|column| lower.contains(&column.trim().to_lowercase()));
    let question = candidate.problem.pose(candidate.phrasing);
    let subject: Vec<&str> = candidate
        .problem
        .family
        .keywords
        .iter()
        .flat_map(|keyword| keyword.split(' '))
        .collect();
    same_columns
        && (shared_words(&lower, &question.text) > 0.25
            || subject.iter().any(|word| lower.contains(word)))
}

fn shared_words(one: &str, other: &str) -> f64 {
    let words = |text: &str| -> BTreeSet<String> {
        text.to_lowercase()
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| word.len() > 2)
            .map(str::to_owned)
            .collect()
    };
    let (one, other) = (words(one), words(other));
    one.intersection(&other).count() as f64 / one.union(&other).count().max(1) as f64
}

fn attempt(
    conversation: &Conversation,
    candidate: &Candidate,
    tables: &[Table],
    kept: usize,
    count: usize,
) -> Move {
    let family = candidate.problem.family;
    let style = &family.style[candidate.style];
    let number = conversation.steps.len().to_string();
    let mut dice = Dice::new(&["attempt", &conversation.task, &conversation.seed, &number]);
    let columns: Vec<String> = candidate
        .problem
        .columns()
        .iter()
        .map(|column| format!("`{column}`"))
        .collect();
    let before = match conversation.steps.last() {
        Some(step) if conversation.steps.len() > 1 && step.error().is_some() => dice.phrase(&[
            "That run failed, so this query is dropped.",
            "An error: this data does not carry that question, I leave it.",
        ]),
        Some(step)
            if conversation.steps.len() > 1 && step.output.contains("one clear answer: False") =>
        {
            dice.phrase(&[
                "There is a tie, so that question has no single answer; I drop it.",
                "No clear answer there, on to another one.",
            ])
        }
        Some(_) if conversation.steps.len() > 1 => dice.phrase(&[
            "That came out well.",
            "A usable result.",
            "Good, that has one answer.",
            "The output answers it.",
        ]),
        _ => dice.phrase(&[
            "The profile shows what there is to ask.",
            "Types and gaps are clear now.",
            "The columns are clear now.",
        ]),
    };
    let now = dice.phrase(&["Next comes", "I try", "Now", "I turn to"]);
    let thought = format!(
        "{before} {kept} of {count} queries stand. {now} a question on {} over {}: {}.",
        family.topic,
        columns.join(", "),
        style.say
    );
    let whole = format!(
        "{}\n{}",
        candidate.problem.load(tables),
        candidate.problem.cells(style).join("\n\n")
    );
    let mut code = python::imports_first(&whole);
    code.push_str(&unrounded(&code));
    if let Some(check) = candidate.problem.check() {
        code.push_str(&format!("\nprint(\"one clear answer:\", bool({check}))"));
    }
    Move {
        thought,
        action: Action::Code(code),
    }
}

/// Lines that print each rounded value once more without rounding: one that lies between two roundings makes no reference.
fn unrounded(code: &str) -> String {
    static PRINTED: LazyLock<Regex> =
        LazyLock::new(|| pattern(r#"(?m)^print\(f"@(\w+)\[\{(.*):\.(\d)f\}\]"\)$"#));
    PRINTED
        .captures_iter(code)
        .map(|found| {
            let (name, expression, digits) = (&found[1], &found[2], &found[3]);
            format!("\nprint(f\"{name} before rounding to {digits}: {{{expression}:.15g}}\")")
        })
        .collect::<Vec<_>>()
        .concat()
}

/// Whether a run shows a value so close to the middle of two roundings that another way to it may round otherwise.
fn is_between_roundings(output: &str) -> bool {
    static SHOWN: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"(?m)^\w+ before rounding to (\d): (-?[0-9.]+(?:e[+-]?\d+)?)\s*$")
    });
    SHOWN.captures_iter(output).any(|found| {
        let digits: i32 = found[1].parse().unwrap_or(0);
        let scaled = found[2].parse::<f64>().unwrap_or(0.0).abs() * 10f64.powi(digits);
        (scaled.fract() - 0.5).abs() < 1e-4
    })
}

/// The values that a candidate's run printed, if they make a good reference.
fn result(candidate: &Candidate, step: &Step) -> Option<Vec<(String, String)>> {
    if step.error().is_some()
        || step.output.contains("one clear answer: False")
        || is_between_roundings(&step.output)
    {
        return None;
    }
    if candidate.problem.check().is_some() && !step.output.contains("one clear answer: True") {
        return None;
    }
    let names = candidate.problem.names();
    let values: Option<Vec<_>> = names
        .into_iter()
        .map(|name| printed(&[&step.output], &name).map(|value| (name, value)))
        .collect();
    let values = values?;
    let numbers: Vec<f64> = values
        .iter()
        .filter_map(|(_, value)| value.parse().ok())
        .collect();
    let usable = values.iter().all(|(_, value)| {
        let lower = value.trim().to_lowercase();
        !lower.is_empty()
            && !["nan", "inf", "-inf", "none", "nat", "<na>"].contains(&lower.as_str())
            && !value.contains(['[', ']'])
    });
    // Beyond this, sums in another order may differ in the digits that count.
    let exact = numbers
        .iter()
        .all(|number| number.fract() == 0.0 || number.abs() < 1e8);
    let telling = numbers.len() < values.len() || numbers.iter().any(|number| *number != 0.0);
    (usable && exact && telling).then_some(values)
}

fn report(kept: &[Kept], count: usize) -> Move {
    let mut blocks = Vec::new();
    for (cell, candidate, values) in kept.iter().take(count) {
        let family = candidate.problem.family;
        let question = candidate.problem.pose(candidate.phrasing);
        let reference: Vec<String> = values
            .iter()
            .map(|(name, value)| format!("@{name}[{value}]"))
            .collect();
        blocks.push(format!(
            "<query>\n<question>{}</question>\n<constraints>{}</constraints>\n<format>{}</format>\n<reference>{}</reference>\n<cell>{cell}</cell>\n<keywords>{}</keywords>\n<level>{}</level>\n</query>",
            question.text,
            question.constraints,
            question.format,
            reference.join(" "),
            family.keywords.join(", "),
            family.level
        ));
    }
    let topics: Vec<&str> = kept
        .iter()
        .take(count)
        .map(|(_, candidate, _)| candidate.problem.family.topic.as_str())
        .collect();
    let thought = if blocks.is_empty() {
        "None of the questions that I tried has a clear answer in this data, so I have no query to offer.".to_owned()
    } else {
        format!(
            "{} queries have a result printed by a run of their own; they cover {}.",
            blocks.len(),
            topics.join(", ")
        )
    };
    let answer = if blocks.is_empty() {
        "no query could be solved on this data".to_owned()
    } else {
        blocks.join("\n\n")
    };
    Move {
        thought,
        action: Action::Answer(answer),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_between_two_roundings_are_noticed() {
        let code = "x = 0.09125\nprint(f\"@mean[{x:.4f}]\")\nprint(f\"@rows[{12}]\")";
        assert_eq!(
            unrounded(code),
            "\nprint(f\"mean before rounding to 4: {x:.15g}\")"
        );
        assert!(is_between_roundings("mean before rounding to 4: 0.09125"));
        assert!(is_between_roundings(
            "mean before rounding to 4: 0.0912499999999"
        ));
        assert!(!is_between_roundings(
            "mean before rounding to 4: 0.09123\n@rows[12]"
        ));
    }
}
