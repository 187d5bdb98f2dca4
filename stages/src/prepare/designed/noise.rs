//! Noise among the training rows of a prescribed workflow: added rows, each of which breaks exactly one of the stated ranges, so that
//! every one of them matters.

use super::dice::Dice;
use super::frame::{Column, Frame, Kind, is_ambiguous, number};
use super::recipe::Within;

/// Numbers beyond this are not told exactly by every reader, so that columns of them get no range.
const MAX_NUMBER: f64 = 1e15;
/// Tries to find a text that is none of the sound ones.
const TRIES: usize = 100;

/// Training rows with noise.
pub(super) struct Noisy {
    /// The sound rows in their order, noise between them.
    pub frame: Frame,
    /// Which rows are noise.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests look at it"))]
    pub is_noise: Vec<bool>,
}

/// Whether noise can be told from sound values in this column, by every reader of every format.
pub(super) fn can_break(column: &Column, within: &Within) -> bool {
    match within {
        Within::Between(low, high) => {
            column.kind != Kind::Text && low.abs() < MAX_NUMBER && high.abs() < MAX_NUMBER
        }
        Within::OneOf(values) => {
            column.kind == Kind::Text && values.iter().all(|value| !is_ambiguous(value))
        }
    }
}

/// Adds `share` of the rows as noise, and at least one row for each range. Besides the one value that is not sound, a noise row is
/// drawn column by column from the sound rows, targets too: a model that learns from it is led astray.
pub(super) fn add(sound: &Frame, ranges: &[(&str, &Within)], share: f64, dice: &mut Dice) -> Noisy {
    let count = ((sound.rows() as f64 * share).round() as usize).max(ranges.len());
    let count = if ranges.is_empty() || sound.rows() == 0 {
        0
    } else {
        count
    };
    let mut is_noise: Vec<bool> = (0..sound.rows() + count).map(|at| at < count).collect();
    dice.shuffle(&mut is_noise);
    // Every range is broken about equally often, in no order.
    let mut broken: Vec<usize> = (0..count).map(|at| at % ranges.len().max(1)).collect();
    dice.shuffle(&mut broken);

    let mut frame = Frame {
        columns: sound
            .columns
            .iter()
            .map(|column| Column {
                cells: Vec::with_capacity(is_noise.len()),
                ..column.clone()
            })
            .collect(),
    };
    let (mut row, mut noise) = (0, 0);
    for is_noise in &is_noise {
        let (name, within) = if *is_noise {
            noise += 1;
            ranges[broken[noise - 1]]
        } else {
            row += 1;
            for (to, from) in frame.columns.iter_mut().zip(&sound.columns) {
                to.cells.push(from.cells[row - 1].clone());
            }
            continue;
        };
        for (to, from) in frame.columns.iter_mut().zip(&sound.columns) {
            let cell = if to.name == name {
                break_range(from, within, dice)
            } else {
                from.cells[dice.below(from.cells.len())].clone()
            };
            to.cells.push(cell);
        }
    }
    Noisy { frame, is_noise }
}

/// A value of the column's type that is not sound.
fn break_range(column: &Column, within: &Within, dice: &mut Dice) -> String {
    match within {
        Within::Between(low, high) => {
            let span = if high > low {
                high - low
            } else {
                high.abs().max(1.0)
            };
            let beyond = span * (0.2 + 2.0 * dice.unit());
            let decimals = if column.kind == Kind::Integer {
                0
            } else {
                decimals(column)
            };
            let unit = 10_f64.powi(-(decimals as i32));
            let value = if dice.below(2) == 0 {
                ((high + beyond) / unit).ceil() * unit + unit
            } else {
                ((low - beyond) / unit).floor() * unit - unit
            };
            format!("{value:.decimals$}")
        }
        Within::OneOf(values) => (0..TRIES)
            .map(|_| word(dice))
            .find(|word| !values.contains(word) && !is_ambiguous(word))
            .unwrap_or_else(|| "zqxj".to_owned()),
    }
}

/// Letters and digits, three to nine, a letter first.
fn word(dice: &mut Dice) -> String {
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyz";
    const ALL: &[u8] = b"abcdefghijklmnopqrstuvwxyz0123456789";
    let length = 3 + dice.below(7);
    (0..length)
        .map(|place| char::from(dice.pick(if place == 0 { LETTERS } else { ALL })))
        .collect()
}

/// Digits behind the point that the column's numbers are written with, one to six.
fn decimals(column: &Column) -> usize {
    let digits = |cell: &String| {
        let (_, behind) = cell.split_once('.')?;
        number(cell)?;
        Some(behind.bytes().take_while(u8::is_ascii_digit).count())
    };
    column
        .cells
        .iter()
        .filter_map(digits)
        .max()
        .unwrap_or(1)
        .clamp(1, 6)
}

/// Whether a cell is sound; a gap is.
#[cfg(test)]
pub(super) fn is_sound(cell: &str, within: &Within) -> bool {
    cell.is_empty()
        || match within {
            Within::Between(low, high) => number(cell).is_some_and(|n| n >= *low && n <= *high),
            Within::OneOf(values) => values.iter().any(|value| value == cell),
        }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::frame::tests::frame;
    use super::*;

    fn ranges_of(frame: &Frame) -> Vec<(String, Within)> {
        frame
            .columns
            .iter()
            .filter(|column| column.name != "y")
            .map(|column| {
                let within = column.bounds().map_or_else(
                    || Within::OneOf(column.counts().into_keys().map(str::to_owned).collect()),
                    |(low, high)| Within::Between(low, high),
                );
                (column.name.clone(), within)
            })
            .collect()
    }

    fn filtered(frame: &Frame, ranges: &[(String, Within)], but: Option<usize>) -> Frame {
        let rows: Vec<usize> = (0..frame.rows())
            .filter(|row| {
                ranges.iter().enumerate().all(|(place, (name, within))| {
                    Some(place) == but || is_sound(&frame.column(name).unwrap().cells[*row], within)
                })
            })
            .collect();
        frame.take(&rows)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn filtering_by_all_ranges_gives_the_sound_rows_and_leaving_one_out_does_not(
            rows in prop::collection::vec((-1000_i64..1000, -50.0_f64..50.0, 0_usize..4, prop::bool::ANY), 2..80),
            seed in 0_u64..1000,
            share in 0.0_f64..0.5,
        ) {
            let text: Vec<String> = rows
                .iter()
                .map(|(i, x, kind, gap)| format!("{},{x:.3},{},{}", if *gap { String::new() } else { i.to_string() }, ["red", "blue", "None", "x y"][*kind], i % 2))
                .collect();
            let sound = frame(&format!("i,x,kind,y\n1,1.5,red,1\n{}\n", text.join("\n")));
            let ranges = ranges_of(&sound);
            let named: Vec<(&str, &Within)> = ranges.iter().map(|(name, within)| (name.as_str(), within)).collect();
            let noisy = add(&sound, &named, share, &mut Dice::new(seed, "noise"));
            let count = noisy.is_noise.iter().filter(|noise| **noise).count();
            prop_assert_eq!(count, ((sound.rows() as f64 * share).round() as usize).max(ranges.len()));
            prop_assert_eq!(noisy.frame.rows(), sound.rows() + count);
            prop_assert_eq!(&filtered(&noisy.frame, &ranges, None), &sound);
            for place in 0..ranges.len() {
                prop_assert!(filtered(&noisy.frame, &ranges, Some(place)).rows() > sound.rows());
            }
            // Each noise row breaks a single range.
            for row in (0..noisy.frame.rows()).filter(|row| noisy.is_noise[*row]) {
                let broken = ranges.iter().filter(|(name, within)| !is_sound(&noisy.frame.column(name).unwrap().cells[row], within)).count();
                prop_assert_eq!(broken, 1);
            }
        }
    }

    #[test]
    fn noise_is_of_the_column_s_type_and_lies_between_sound_rows() {
        let rows: Vec<String> = (0..100)
            .map(|i| format!("{i},{}.25,{}", i * 2, ["a", "b"][i % 2]))
            .collect();
        let sound = frame(&format!("i,x,k\n{}\n", rows.join("\n")));
        let ranges = ranges_of(&sound);
        let named: Vec<(&str, &Within)> = ranges
            .iter()
            .map(|(name, within)| (name.as_str(), within))
            .collect();
        let noisy = add(&sound, &named, 0.2, &mut Dice::new(5, "noise"));
        assert!(
            noisy
                .frame
                .column("i")
                .unwrap()
                .cells
                .iter()
                .all(|cell| cell.parse::<i64>().is_ok())
        );
        assert!(
            noisy
                .frame
                .column("x")
                .unwrap()
                .cells
                .iter()
                .all(|cell| number(cell).is_some())
        );
        assert!(
            noisy
                .frame
                .column("k")
                .unwrap()
                .cells
                .iter()
                .all(|cell| !is_ambiguous(cell))
        );
        let first = noisy.is_noise.iter().position(|noise| *noise).unwrap();
        let last = noisy.is_noise.iter().rposition(|noise| *noise).unwrap();
        assert!(first < 40 && last > 80, "{first} {last}");
        let again = add(&sound, &named, 0.2, &mut Dice::new(5, "noise"));
        assert_eq!(again.frame, noisy.frame);
    }

    #[test]
    fn columns_that_readers_could_take_for_something_else_get_no_range() {
        let frame = frame("a,b,c\nx,1,10000000000000000\n1,2,3\n");
        let within = Within::OneOf(vec!["1".to_owned(), "x".to_owned()]);
        assert!(!can_break(frame.column("a").unwrap(), &within));
        assert!(can_break(
            frame.column("b").unwrap(),
            &Within::Between(1.0, 2.0)
        ));
        assert!(!can_break(
            frame.column("c").unwrap(),
            &Within::Between(3.0, 1e16)
        ));
    }
}
