//! Which of the rows with known answers are held back to grade by: the latest, whole groups, so many of each class, or any.
//!
//! As the competition's own test rows differ from its training rows, so do ours: what the data says decides.

use std::collections::{BTreeMap, HashMap, HashSet};

use synth_core::Fingerprint;

use super::shape::{cells, distinct};
use super::{Refusal, refuse};
use crate::tables::{Table, is_missing};

/// Names of columns whose numbers are times.
const TIMES: [&str; 12] = [
    "date",
    "time",
    "datetime",
    "timestamp",
    "year",
    "month",
    "week",
    "day",
    "dt",
    "period",
    "quarter",
    "season",
];
/// Groups that a column must make, at least, so that some can be held back.
const FEWEST_GROUPS: usize = 5;
/// Classes, at most, of which each is held back in proportion.
const MOST_STRATA: usize = 1_000;

/// The rows held back.
#[derive(Debug, PartialEq)]
pub(super) struct Held {
    /// `time`, `group`, `stratified` or `random`.
    pub grading: &'static str,
    /// The column by which, for a person.
    pub by: Option<String>,
    /// Rows of the training table, in the order in which they are asked for.
    pub rows: Vec<usize>,
}

/// What to split, and how much of it.
pub(super) struct Rows<'a> {
    pub train: &'a Table,
    pub test: Option<&'a Table>,
    /// Rows with a known answer.
    pub eligible: &'a [usize],
    /// The class of each row of the table, where rows have one.
    pub classes: Option<&'a [String]>,
    /// Columns that may not group rows: keys of single rows, and targets.
    pub apart: &'a [usize],
    pub test_share: f64,
    pub fewest: u64,
    pub most: u64,
    pub seed: u64,
}

/// Chooses rows to hold back.
pub(super) fn hold_back(rows: &Rows<'_>) -> Result<Held, Refusal> {
    let share = (rows.eligible.len() as f64 * rows.test_share).round() as u64;
    let wanted = share.min(rows.most) as usize;
    if (wanted as u64) < rows.fewest || wanted >= rows.eligible.len() {
        return Err(refuse(
            "too_few_test_rows",
            format!(
                "{wanted} of {} rows with a known answer would be held back; needs at least {}",
                rows.eligible.len(),
                rows.fewest
            ),
        ));
    }
    let held = by_time(rows, wanted).or_else(|| by_group(rows, wanted));
    let held = held.filter(|held| {
        held.rows.len() as u64 >= rows.fewest && held.rows.len() < rows.eligible.len()
    });
    Ok(held.unwrap_or_else(|| at_random(rows, wanted)))
}

/// The order that a seed gives to rows: it tells nothing of theirs.
fn lot<T: serde::Serialize>(seed: u64, of: &T) -> Fingerprint {
    Fingerprint::of(&(seed, of))
}

/// The latest rows, where all of the test rows are later than all of the training rows.
fn by_time(rows: &Rows<'_>, wanted: usize) -> Option<Held> {
    let test = rows.test?;
    let mut best: Option<(bool, usize, usize, Vec<f64>)> = None;
    for (column, name) in rows.train.header.iter().enumerate() {
        let Some(in_test) = test.header.iter().position(|other| other == name) else {
            continue;
        };
        let is_time_named = super::facts::path_words(name)
            .iter()
            .any(|word| TIMES.contains(&word.as_str()));
        let (Some(known), Some(asked)) = (
            moments(rows.train, column, is_time_named),
            moments(test, in_test, is_time_named),
        ) else {
            continue;
        };
        let last = known.0.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let first = asked.0.iter().copied().fold(f64::INFINITY, f64::min);
        if first <= last {
            continue;
        }
        let different = distinct(rows.train, column, usize::MAX);
        let is_better = best
            .as_ref()
            .is_none_or(|(dates, most, ..)| (known.1, different) > (*dates, *most));
        if different > 1 && is_better {
            best = Some((known.1, different, column, known.0));
        }
    }
    let (.., column, times) = best?;
    let mut counts: BTreeMap<u64, usize> = BTreeMap::new();
    for row in rows.eligible {
        *counts.entry(ordered(times[*row])).or_default() += 1;
    }
    let (mut held, mut cut) = (0, None);
    for (time, count) in counts.iter().rev() {
        let is_enough = held >= wanted;
        let is_too_much = held + count > rows.most as usize || held + count >= rows.eligible.len();
        if is_enough || is_too_much {
            break;
        }
        held += count;
        cut = Some(*time);
    }
    let cut = cut?;
    let held = rows
        .eligible
        .iter()
        .copied()
        .filter(|row| ordered(times[*row]) >= cut)
        .collect();
    Some(Held {
        grading: "time",
        by: Some(rows.train.header[column].clone()),
        rows: held,
    })
}

/// A finite number as an integer of the same order.
fn ordered(number: f64) -> u64 {
    let bits = (number + 0.0).to_bits();
    if bits >> 63 == 0 {
        bits | 1 << 63
    } else {
        !bits
    }
}

/// The times of a column, and whether they are written as dates; `None` where a cell is no time.
fn moments(table: &Table, column: usize, is_time_named: bool) -> Option<(Vec<f64>, bool)> {
    let dates: Option<Vec<f64>> = cells(table, column).map(date).collect();
    if let Some(dates) = dates.filter(|dates| !dates.is_empty()) {
        return Some((dates, true));
    }
    let numbers: Option<Vec<f64>> = cells(table, column)
        .map(|cell| cell.parse().ok().filter(|number: &f64| number.is_finite()))
        .collect();
    numbers
        .filter(|numbers| is_time_named && !numbers.is_empty())
        .map(|numbers| (numbers, false))
}

/// A date as a number of the same order: `2021-05-14`, `2021/5/14`, `14.05.2021`, perhaps a time of day behind it.
fn date(text: &str) -> Option<f64> {
    let (day, time) = text.split_once(['T', ' ']).unwrap_or((text, ""));
    let parts: Vec<&str> = day.split(['-', '/', '.']).collect();
    let number = |text: &str| text.parse::<u32>().ok().filter(|_| text.len() <= 4);
    let (year, month, day) = match parts.as_slice() {
        [year, month] if year.len() == 4 && day.contains('-') => (number(year)?, number(month)?, 1),
        [year, month, day] if year.len() == 4 => (number(year)?, number(month)?, number(day)?),
        // Only with dots: with slashes the month may come first.
        [first, second, year] if year.len() == 4 && day.contains('.') => {
            (number(year)?, number(second)?, number(first)?)
        }
        _ => return None,
    };
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let mut seconds = 0.0;
    let clock = time.trim_end_matches('Z');
    for (part, unit) in clock.split(':').zip([3600.0, 60.0, 1.0]) {
        let digits: String = part
            .chars()
            .take_while(|c| c.is_ascii_digit() || *c == '.')
            .collect();
        seconds += digits.parse().unwrap_or(0.0) * unit;
    }
    let days = f64::from(year) * 372.0 + f64::from(month) * 31.0 + f64::from(day);
    Some(days * 86_400.0 + seconds)
}

/// Whole groups, where a column names groups of rows and none is in both tables.
fn by_group(rows: &Rows<'_>, wanted: usize) -> Option<Held> {
    let test = rows.test?;
    let mut best: Option<(usize, usize)> = None;
    for (column, name) in rows.train.header.iter().enumerate() {
        let Some(in_test) = test.header.iter().position(|other| other == name) else {
            continue;
        };
        if rows.apart.contains(&column) {
            continue;
        }
        let mut known: HashSet<&str> = HashSet::new();
        // Measures repeat by chance; names of groups have no fraction.
        let is_name = cells(rows.train, column).all(|cell| {
            known.insert(cell);
            !(is_missing(cell) || cell.contains('.') && cell.parse::<f64>().is_ok())
        });
        let is_coarse = known.len() * 2 <= rows.train.rows.len();
        if !is_name || !is_coarse || known.len() < FEWEST_GROUPS {
            continue;
        }
        let groups_asked = distinct(test, in_test, usize::MAX);
        let is_apart = groups_asked > 0 && cells(test, in_test).all(|cell| !known.contains(cell));
        if is_apart && best.is_none_or(|(fewest, _)| known.len() < fewest) {
            best = Some((known.len(), column));
        }
    }
    let (_, column) = best?;
    let mut groups: HashMap<&str, Vec<usize>> = HashMap::new();
    for row in rows.eligible {
        groups
            .entry(rows.train.rows[*row][column].trim())
            .or_default()
            .push(*row);
    }
    let mut names: Vec<&str> = groups.keys().copied().collect();
    names.sort_by_cached_key(|name| lot(rows.seed, name));
    let mut held: Vec<usize> = Vec::new();
    // The last group stays, whatever its size.
    for name in names.iter().skip(1) {
        if held.len() >= wanted {
            break;
        }
        if held.len() + groups[name].len() <= (rows.most as usize).max(wanted) {
            held.extend(&groups[name]);
        }
    }
    Some(Held {
        grading: "group",
        by: Some(rows.train.header[column].clone()),
        rows: held,
    })
}

/// Any rows; so many of each class where rows have classes.
fn at_random(rows: &Rows<'_>, wanted: usize) -> Held {
    let mut strata: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for row in rows.eligible {
        let class = rows.classes.map_or("", |classes| classes[*row].as_str());
        strata.entry(class).or_default().push(*row);
    }
    let is_stratified = rows.classes.is_some() && strata.len() <= MOST_STRATA;
    let mut held = Vec::with_capacity(wanted);
    if is_stratified {
        let share = wanted as f64 / rows.eligible.len() as f64;
        // What rounding of one class takes or leaves, the next makes good.
        let mut owed = 0.0;
        for members in strata.values_mut() {
            members.sort_by_cached_key(|row| lot(rows.seed, row));
            owed += members.len() as f64 * share;
            // One row of each class stays to learn from.
            let take = (owed.round().max(0.0) as usize).min(members.len() - 1);
            owed -= take as f64;
            held.extend(&members[..take]);
        }
    }
    if held.is_empty() {
        held = rows.eligible.to_vec();
        held.sort_by_cached_key(|row| lot(rows.seed, row));
        held.truncate(wanted);
    }
    // The order of the training table may tell of the answers.
    held.sort_by_cached_key(|row| lot(rows.seed.wrapping_add(1), row));
    Held {
        grading: if is_stratified {
            "stratified"
        } else {
            "random"
        },
        by: None,
        rows: held,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tables::read_table;

    fn table(header: &str, rows: impl Iterator<Item = String>) -> Table {
        let lines: Vec<String> = std::iter::once(header.to_owned()).chain(rows).collect();
        read_table(lines.join("\n").as_bytes()).unwrap()
    }

    fn held(train: &Table, test: Option<&Table>, classes: Option<&[String]>) -> Held {
        let eligible: Vec<usize> = (0..train.rows.len()).collect();
        hold_back(&Rows {
            train,
            test,
            eligible: &eligible,
            classes,
            apart: &[0],
            test_share: 0.2,
            fewest: 5,
            most: 1000,
            seed: 3,
        })
        .ok()
        .unwrap()
    }

    #[test]
    fn classes_are_held_back_in_proportion() {
        let train = table("id,y", (0..200).map(|i| format!("{i},{}", i % 4 / 3)));
        let classes: Vec<String> = train.rows.iter().map(|row| row[1].clone()).collect();
        let held = held(&train, None, Some(&classes));
        assert_eq!((held.grading, held.rows.len()), ("stratified", 40));
        let ones = held.rows.iter().filter(|row| classes[**row] == "1").count();
        assert_eq!(ones, 10);
    }

    #[test]
    fn a_class_of_one_row_stays_to_learn_from() {
        let train = table(
            "id,y",
            (0..100).map(|i| format!("{i},{}", usize::from(i == 7))),
        );
        let classes: Vec<String> = train.rows.iter().map(|row| row[1].clone()).collect();
        assert!(!held(&train, None, Some(&classes)).rows.contains(&7));
    }

    #[test]
    fn a_test_later_than_train_holds_back_the_latest() {
        for (train, test) in [
            ("2021-{}-01", "2022-01-01"),
            ("2021/{}/1 10:00", "2022/1/1 09:00"),
            ("01.{}.2021", "01.01.2022"),
            ("{}", "13"),
        ] {
            let time = |i: usize| train.replace("{}", &format!("{:02}", 1 + i % 12));
            let train = table("id,month,y", (0..120).map(|i| format!("{i},{},1", time(i))));
            let test = table("id,month", (0..10).map(|i| format!("{i},{test}")));
            let held = held(&train, Some(&test), None);
            assert_eq!(
                (held.grading, held.by.as_deref()),
                ("time", Some("month")),
                "{}",
                time(0)
            );
            assert_eq!(held.rows.len(), 30);
            assert!(held.rows.iter().all(|row| row % 12 >= 9));
        }
    }

    #[test]
    fn groups_that_do_not_overlap_are_held_back_whole() {
        let train = table(
            "id,who,x,y",
            (0..200).map(|i| format!("{i},p{},{}.5,1", i / 10, i % 7)),
        );
        let test = table(
            "id,who,x",
            (0..50).map(|i| format!("{i},q{},{}.5", i / 10, i % 7)),
        );
        let held = held(&train, Some(&test), None);
        assert_eq!(
            (held.grading, held.by.as_deref(), held.rows.len()),
            ("group", Some("who"), 40)
        );
        let groups: HashSet<&str> = held
            .rows
            .iter()
            .map(|row| train.rows[*row][1].as_str())
            .collect();
        assert_eq!(groups.len(), 4);
    }

    #[test]
    fn groups_and_times_that_overlap_decide_nothing() {
        let train = table(
            "id,who,day,y",
            (0..200).map(|i| format!("{i},p{},2021-01-{:02},1", i / 10, 1 + i % 28)),
        );
        let test = table(
            "id,who,day",
            (0..50).map(|i| format!("{i},p{},2021-01-{:02}", i / 10, 1 + i % 28)),
        );
        assert_eq!(held(&train, Some(&test), None).grading, "random");
    }

    #[test]
    fn too_few_rows_are_refused() {
        let train = table("id,y", (0..9).map(|i| format!("{i},1")));
        let refused = hold_back(&Rows {
            train: &train,
            test: None,
            eligible: &[0, 1, 2],
            classes: None,
            apart: &[],
            test_share: 0.2,
            fewest: 5,
            most: 10,
            seed: 1,
        });
        assert!(matches!(
            refused,
            Err(Refusal::Unfit {
                reason: "too_few_test_rows",
                ..
            })
        ));
    }

    proptest! {
        #[test]
        fn rows_are_held_back_once_and_some_stay(
            labels in prop::collection::vec("[ab]{0,2}|[0-9]{1,3}|20[0-9]{2}-0[1-9]-1[0-9]", 30..80),
            asked in prop::collection::vec("[abc]{0,2}|[0-9]{1,4}|2[01][0-9]{2}-0[1-9]-1[0-9]", 1..20),
            seed: u64,
        ) {
            let train = table("id,date,y", labels.iter().enumerate().map(|(i, label)| format!("{i},{label},{label}")));
            let test = table("id,date", asked.iter().enumerate().map(|(i, label)| format!("{i},{label}")));
            let eligible: Vec<usize> = (0..train.rows.len()).collect();
            let held = hold_back(&Rows {
                train: &train, test: Some(&test), eligible: &eligible, classes: Some(&labels), apart: &[0, 2],
                test_share: 0.2, fewest: 1, most: 50, seed,
            }).ok().unwrap();
            let once: HashSet<usize> = held.rows.iter().copied().collect();
            prop_assert_eq!(once.len(), held.rows.len());
            prop_assert!(!once.is_empty() && once.len() < eligible.len() && held.rows.len() <= 50);
        }
    }
}
