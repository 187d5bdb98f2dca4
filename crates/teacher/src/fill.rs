//! Finding columns and values in a profile that a family can work with.

use std::collections::BTreeMap;

use crate::dice::Dice;
use crate::families::{Family, Need};
use crate::problem::{Filling, Problem};
use crate::profile::{Facts, Measured, Profile};

/// Rows that a table needs before questions about it are worth asking.
const FEWEST_ROWS: u64 = 20;
/// Rows that a value needs before a question is asked about it.
const FEWEST_OF_VALUE: u64 = 5;

/// The family over randomly chosen columns of the profile; `None` where the data does not have what it needs.
pub fn fill(family: &'static Family, profile: &Profile, dice: &mut Dice) -> Option<Problem> {
    let mut mains: Vec<&Measured> = profile
        .tables
        .iter()
        .filter(|table| table.rows >= FEWEST_ROWS)
        .collect();
    dice.shuffle(&mut mains);
    mains
        .into_iter()
        .find_map(|main| over(family, profile, main, dice))
}

fn over(
    family: &'static Family,
    profile: &Profile,
    main: &Measured,
    dice: &mut Dice,
) -> Option<Problem> {
    let mut problem = Problem {
        family,
        table: main.path.clone(),
        coerced: Vec::new(),
        slots: BTreeMap::new(),
    };
    let mut join: Option<(&Measured, String)> = None;
    for slot in &family.slots {
        let filling = match &slot.need {
            Need::File => {
                let keys: Vec<_> = profile
                    .keys
                    .iter()
                    .filter(|key| key.0 == main.path && plain(&key.2))
                    .collect();
                let (_, right, column) = dice.pick(&keys).copied()?;
                join = Some((
                    profile.tables.iter().find(|table| &table.path == right)?,
                    column.clone(),
                ));
                plain(right).then(|| Filling::File(right.clone()))?
            }
            Need::Key(_) => Filling::Column(join.as_ref()?.1.clone()),
            Need::Value(of) | Need::Other(of) => {
                value(&problem, main, join.as_ref().map(|join| join.0), of, dice)?
            }
            Need::Threshold(of) => threshold(&problem, main, of, dice)?,
            Need::Choice(choices) => Filling::Plain(dice.pick(choices)?.clone()),
            Need::Number { file, .. } | Need::Category { file, .. } => {
                let table = if file.is_some() {
                    join.as_ref()?.0
                } else {
                    main
                };
                // A name that stands in both joined tables would be ambiguous.
                let clash = if file.is_some() {
                    Some(main)
                } else {
                    join.as_ref().map(|join| join.0)
                };
                column(&mut problem, &slot.need, table, clash, dice)?
            }
            Need::Date { .. } | Need::Missing | Need::Text => {
                column(&mut problem, &slot.need, main, None, dice)?
            }
        };
        problem.slots.insert(slot.name.clone(), filling);
    }
    Some(problem)
}

fn column(
    problem: &mut Problem,
    need: &Need,
    table: &Measured,
    clash: Option<&Measured>,
    dice: &mut Dice,
) -> Option<Filling> {
    let joined = clash.is_some();
    let used: Vec<String> = problem.columns().into_iter().map(str::to_owned).collect();
    let fitting: Vec<&Facts> = table
        .columns
        .iter()
        .filter(|facts| plain(&facts.name) && !used.contains(&facts.name))
        .filter(|facts| {
            clash.is_none_or(|other| other.columns.iter().all(|column| column.name != facts.name))
        })
        .filter(|facts| !(joined && facts.mixed) && fits(facts, need, table.rows))
        .collect();
    // Columns with many different numbers make better questions: the flat ones come last.
    let lively: Vec<&Facts> = fitting
        .iter()
        .copied()
        .filter(|facts| !facts.flat)
        .collect();
    let facts = *dice.pick(if lively.is_empty() { &fitting } else { &lively })?;
    if facts.mixed && matches!(need, Need::Number { .. }) {
        problem.coerced.push(facts.name.clone());
    }
    Some(Filling::Column(facts.name.clone()))
}

fn fits(facts: &Facts, need: &Need, rows: u64) -> bool {
    match need {
        Need::Number { positive, gaps, .. } => {
            facts.numbers.len() == 6
                && !is_index(&facts.name)
                && (!positive || facts.numbers[0] > 0.0)
                && (!gaps || facts.missing > 0)
                && rows.saturating_sub(facts.missing) >= FEWEST_ROWS
        }
        Need::Category { least, most, .. } => {
            let frequent = facts
                .values
                .iter()
                .filter(|(value, count)| sayable(value) && *count >= FEWEST_OF_VALUE)
                .count();
            (*least..=*most).contains(&facts.distinct)
                && frequent >= 2
                && facts.values.iter().all(|(value, _)| sayable(value))
        }
        Need::Date { months, years } => facts.dates.is_some_and(|[days, in_months, in_years]| {
            days >= 5 && in_months >= *months && in_years >= *years
        }),
        Need::Missing => facts.missing > 0 && facts.missing < rows,
        Need::Text => facts.text,
        _ => false,
    }
}

fn value(
    problem: &Problem,
    main: &Measured,
    other: Option<&Measured>,
    of: &str,
    dice: &mut Dice,
) -> Option<Filling> {
    let Filling::Column(name) = problem.slots.get(of)? else {
        return None;
    };
    let facts = main
        .columns
        .iter()
        .find(|facts| &facts.name == name)
        .or_else(|| other?.columns.iter().find(|facts| &facts.name == name))?;
    let taken: Vec<&Filling> = problem.slots.values().collect();
    let values: Vec<&Filling> = facts
        .values
        .iter()
        .filter(|(value, count)| {
            *count >= FEWEST_OF_VALUE && sayable(value) && !taken.contains(&value)
        })
        .map(|(value, _)| value)
        .collect();
    dice.pick(&values).map(|value| (*value).clone())
}

fn threshold(problem: &Problem, main: &Measured, of: &str, dice: &mut Dice) -> Option<Filling> {
    let Filling::Column(name) = problem.slots.get(of)? else {
        return None;
    };
    let facts = main.columns.iter().find(|facts| &facts.name == name)?;
    let [low, inner @ .., high] = &facts.numbers[..] else {
        return None;
    };
    let rounded = round(*dice.pick(inner)?);
    (*low < rounded && rounded < *high).then(|| Filling::Plain(format!("{rounded}")))
}

/// Rounds to three significant digits, as a person would name a threshold.
fn round(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

/// Whether a name can stand between backticks, and a question about it be read back.
fn plain(name: &str) -> bool {
    !name.trim().is_empty() && !name.contains(['`', '\n', '\r', '[', ']', '|']) && name.len() <= 80
}

/// Whether a value can stand in a question and in an answer.
fn sayable(value: &Filling) -> bool {
    match value {
        Filling::Text(text) => {
            !text.trim().is_empty()
                && text.trim() == text
                && !text.contains(['"', '\n', '\r', '[', ']', '`', '\\', '@'])
                && text.len() <= 40
        }
        Filling::Plain(text) => text.len() <= 12,
        _ => false,
    }
}

/// Whether a name says that the column only counts or identifies rows.
fn is_index(name: &str) -> bool {
    let lower = name.trim().to_lowercase();
    lower == "id"
        || lower == "index"
        || lower.starts_with("unnamed")
        || lower.ends_with("_id")
        || lower.ends_with(" id")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_have_three_digits() {
        assert!((round(12345.678) - 12300.0).abs() < 1e-9);
        assert!((round(0.012_345) - 0.0123).abs() < 1e-12);
    }

    #[test]
    fn names_that_cannot_be_quoted_are_left_alone() {
        assert!(plain(" m/z") && plain("#photo") && plain("größe"));
        assert!(!plain("a`b") && !plain("  ") && !plain("a\nb"));
    }
}
