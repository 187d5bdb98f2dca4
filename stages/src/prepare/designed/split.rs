//! Which rows are to be predicted: at random, evenly over labels, or by time; never rows of an entity on both sides of a random split.

use std::collections::{BTreeMap, BTreeSet};

use super::dice::Dice;
use super::frame::{Column, Frame};
use super::times::Seconds;

/// Rows of an entity that a forecast needs to learn from.
const MIN_HISTORY: usize = 4;

/// The two sides, as row numbers in the order of the table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Sides {
    pub train: Vec<usize>,
    pub test: Vec<usize>,
    /// How they were told apart, as [`synth_core::Checks::grading`] names it.
    pub grading: &'static str,
}

/// Splits by entities where there are any, else evenly over the labels, else at random.
pub(super) fn random(
    frame: &Frame,
    entities: &[String],
    labels: Option<&str>,
    share: f64,
    dice: &mut Dice,
) -> Sides {
    let mut strata: BTreeMap<String, BTreeMap<String, Vec<usize>>> = BTreeMap::new();
    let keys = keys(frame, entities);
    let labels = labels
        .filter(|_| entities.is_empty())
        .and_then(|name| frame.column(name));
    for (row, key) in keys.iter().enumerate() {
        let stratum = labels.map_or("", |column: &Column| column.cells[row].as_str());
        let unit = if entities.is_empty() {
            row.to_string()
        } else {
            key.clone()
        };
        strata
            .entry(stratum.to_owned())
            .or_default()
            .entry(unit)
            .or_default()
            .push(row);
    }
    let mut test = BTreeSet::new();
    for units in strata.into_values() {
        let rows: usize = units.values().map(Vec::len).sum();
        let wanted = (rows as f64 * share).round() as usize;
        let mut units: Vec<Vec<usize>> = units.into_values().collect();
        dice.shuffle(&mut units);
        let mut taken = 0;
        // The last unit is never taken: something is left to learn from.
        for unit in units.iter().take(units.len().saturating_sub(1)) {
            if taken >= wanted {
                break;
            }
            taken += unit.len();
            test.extend(unit);
        }
    }
    let grading = match (entities.is_empty(), labels) {
        (false, _) => "group",
        (true, Some(_)) => "stratified",
        (true, None) => "random",
    };
    Sides {
        train: (0..frame.rows())
            .filter(|row| !test.contains(row))
            .collect(),
        test: test.into_iter().collect(),
        grading,
    }
}

/// Splits by time: all series end at the same moment, so that none tells of another's future. Entities without a past are not asked for.
pub(super) fn by_time(frame: &Frame, entities: &[String], times: &[Seconds], share: f64) -> Sides {
    let moments: Vec<Seconds> = times
        .iter()
        .copied()
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect();
    let ahead =
        ((moments.len() as f64 * share).round() as usize).clamp(1, moments.len().max(2) - 1);
    let cut = moments
        .get(moments.len().saturating_sub(ahead))
        .copied()
        .unwrap_or(Seconds::MAX);
    let keys = keys(frame, entities);
    let train: Vec<usize> = (0..frame.rows()).filter(|row| times[*row] < cut).collect();
    let mut history: BTreeMap<&str, usize> = BTreeMap::new();
    for row in &train {
        *history.entry(&keys[*row]).or_default() += 1;
    }
    let test = (0..frame.rows())
        .filter(|row| {
            times[*row] >= cut
                && history
                    .get(keys[*row].as_str())
                    .is_some_and(|rows| *rows >= MIN_HISTORY)
        })
        .collect();
    Sides {
        train,
        test,
        grading: "time",
    }
}

/// The entity of each row.
pub(super) fn keys(frame: &Frame, entities: &[String]) -> Vec<String> {
    let columns: Vec<&Column> = entities
        .iter()
        .filter_map(|name| frame.column(name))
        .collect();
    (0..frame.rows())
        .map(|row| {
            let cells: Vec<&str> = columns
                .iter()
                .map(|column| column.cells[row].as_str())
                .collect();
            cells.join("\u{1f}")
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::frame::tests::frame;
    use super::*;

    fn table(rows: &[(usize, usize)]) -> Frame {
        let rows: Vec<String> = rows
            .iter()
            .enumerate()
            .map(|(i, (entity, label))| format!("{i},e{entity},l{label}"))
            .collect();
        frame(&format!("i,entity,label\n{}\n", rows.join("\n")))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_row_is_on_one_side_and_no_entity_on_both(
            rows in prop::collection::vec((0_usize..12, 0_usize..3), 2..120),
            seed in 0_u64..1000,
            share in 0.05_f64..0.5,
        ) {
            let frame = table(&rows);
            let entities = ["entity".to_owned()];
            for entities in [&entities[..], &[]] {
                let sides = random(&frame, entities, Some("label"), share, &mut Dice::new(seed, "split"));
                let mut all = [sides.train.clone(), sides.test.clone()].concat();
                all.sort_unstable();
                prop_assert_eq!(all, (0..rows.len()).collect::<Vec<_>>());
                prop_assert!(!sides.train.is_empty());
                if !entities.is_empty() {
                    let of = |rows: &[usize]| rows.iter().map(|row| frame.columns[1].cells[*row].clone()).collect::<BTreeSet<_>>();
                    prop_assert!(of(&sides.train).is_disjoint(&of(&sides.test)));
                }
            }
        }

        #[test]
        fn nothing_to_learn_from_is_later_than_what_is_to_be_predicted(
            rows in prop::collection::vec((0_usize..4, 0_i64..200), 8..120),
            share in 0.05_f64..0.5,
        ) {
            let frame = table(&rows.iter().map(|(entity, _)| (*entity, 0)).collect::<Vec<_>>());
            let times: Vec<i64> = rows.iter().map(|(_, time)| *time).collect();
            let entities = ["entity".to_owned()];
            let sides = by_time(&frame, &entities, &times, share);
            let last = sides.train.iter().map(|row| times[*row]).max();
            let first = sides.test.iter().map(|row| times[*row]).min();
            if let (Some(last), Some(first)) = (last, first) {
                prop_assert!(last < first);
            }
            let keys = keys(&frame, &entities);
            for row in &sides.test {
                let past = sides.train.iter().filter(|past| keys[**past] == keys[*row]).count();
                prop_assert!(past >= MIN_HISTORY);
            }
        }
    }

    #[test]
    fn labels_are_split_evenly() {
        let rows: Vec<(usize, usize)> = (0..200).map(|i| (0, usize::from(i % 10 == 0))).collect();
        let frame = table(&rows);
        let sides = random(&frame, &[], Some("label"), 0.2, &mut Dice::new(1, "split"));
        let rare = sides.test.iter().filter(|row| *row % 10 == 0).count();
        assert_eq!(
            (sides.test.len(), rare, sides.grading),
            (40, 4, "stratified")
        );
        let again = random(&frame, &[], Some("label"), 0.2, &mut Dice::new(1, "split"));
        assert_eq!(again, sides);
        let other = random(&frame, &[], Some("label"), 0.2, &mut Dice::new(2, "split"));
        assert_ne!(other.test, sides.test);
    }
}
