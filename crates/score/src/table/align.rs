//! Which row of one table belongs to which row of another: the keys must be the same, by value for numbers.

use std::collections::HashMap;
use std::mem::replace;
use std::num::NonZeroU32;

use foldhash::fast::RandomState;

use super::{Column, Table};
use crate::quoted;

/// The row of `prediction` for each row of `truth`.
///
/// Numbers are the same by value whatever their type, text by every letter, and missing keys are the same as missing keys. Rows of `prediction` whose
/// key `truth` does not have are ignored. Refused are a key that stands twice in either table, one that `prediction` lacks, and a column that is
/// text on one side and numbers on the other.
pub fn align(keys: &[String], truth: &Table, prediction: &Table) -> Result<Vec<usize>, String> {
    if keys.is_empty() {
        return Err("no column names the rows".to_owned());
    }
    let mut codes = Codes {
        truth: vec![0; truth.rows],
        prediction: vec![Some(0); prediction.rows],
    };
    for (position, name) in keys.iter().enumerate() {
        let left = truth
            .column(name)
            .ok_or_else(|| format!("hidden truth: {}", truth.lacks(name)))?;
        let right = prediction
            .column(name)
            .ok_or_else(|| prediction.lacks(name))?;
        let (left, right) = (Column::of(left), Column::of(right));
        if truth.rows > 0 && prediction.rows > 0 && left.is_text() != right.is_text() {
            let kind = |column: &Column| if column.is_text() { "text" } else { "numbers" };
            return Err(format!(
                "the key column {} holds {}, the truth's {}",
                quoted(name),
                kind(&right),
                kind(&left)
            ));
        }
        codes = codes.with(&left, &right, position == 0);
    }
    codes.rows(
        |row| name_of(keys, truth, row),
        |row| name_of(keys, prediction, row),
    )
}

/// The key of a row, as a reason names it.
fn name_of(keys: &[String], table: &Table, row: usize) -> String {
    let cell = |key: &String| table.column(key).map_or("", |cells| cells.get(row));
    quoted(&keys.iter().map(cell).collect::<Vec<_>>().join(", "))
}

/// A number for each different key of the truth; none for a key that it does not have.
struct Codes {
    truth: Vec<u32>,
    prediction: Vec<Option<u32>>,
}

impl Codes {
    /// The keys so far, told apart by one more column.
    fn with(self, truth: &Column, prediction: &Column, first: bool) -> Self {
        // Only the truth fills the index and the map, so that no prediction can make them slow.
        let mut values = Index::of(truth);
        let of_truth: Vec<u32> = each(truth).map(|value| values.enter(value)).collect();
        let of_prediction = each(prediction).map(|value| values.find(&value));
        if first {
            return Self {
                prediction: of_prediction.collect(),
                truth: of_truth,
            };
        }
        let mut pairs: HashMap<(u32, u32), u32, RandomState> =
            HashMap::with_capacity_and_hasher(self.truth.len(), RandomState::default());
        let truth = self
            .truth
            .into_iter()
            .zip(of_truth)
            .map(|pair| {
                let next = code(pairs.len());
                *pairs.entry(pair).or_insert(next)
            })
            .collect();
        let prediction = self
            .prediction
            .into_iter()
            .zip(of_prediction)
            .map(|pair| match pair {
                (Some(a), Some(b)) => pairs.get(&(a, b)).copied(),
                _ => None,
            })
            .collect();
        Self { truth, prediction }
    }

    fn rows(
        &self,
        truth: impl Fn(usize) -> String,
        prediction: impl Fn(usize) -> String,
    ) -> Result<Vec<usize>, String> {
        // Codes count up from 0, so that the first repetition is the first that is not new.
        for (row, code) in self.truth.iter().enumerate() {
            if *code as usize != row {
                let name = truth(row);
                return Err(format!("hidden truth: key {name} stands there twice"));
            }
        }
        let mut found = vec![MISSING; self.truth.len()];
        for (row, code) in self.prediction.iter().enumerate() {
            let place = code.and_then(|code| found.get_mut(code as usize));
            if place.is_some_and(|place| replace(place, row) != MISSING) {
                return Err(format!("key {} stands there twice", prediction(row)));
            }
        }
        let missing = found.iter().filter(|row| **row == MISSING).count();
        match found.iter().position(|row| *row == MISSING) {
            None => Ok(found),
            Some(first) => Err(format!(
                "{missing} of {} keys are missing, {} the first",
                found.len(),
                truth(first)
            )),
        }
    }
}

/// Stands for the row of a key that was not found.
const MISSING: usize = usize::MAX;

fn code(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// The code of each different value of one column of the truth, counted up from 0.
enum Index<'a> {
    /// Whole numbers that lie close together, as row ids do: by their distance from the least, without hashing.
    Close {
        least: i64,
        codes: Vec<Option<NonZeroU32>>,
        next: NonZeroU32,
    },
    Any(HashMap<Value<'a>, u32, RandomState>),
}

impl<'a> Index<'a> {
    /// An empty one for the values of this column.
    fn of(truth: &Column<'a>) -> Self {
        if let Column::Whole(cells) = truth
            && let Some((least, most)) = cells.iter().min().zip(cells.iter().max())
            && let Some(span) = most.checked_sub(*least)
            && let Ok(span) = usize::try_from(span)
            && span / 2 < cells.len()
        {
            return Self::Close {
                least: *least,
                codes: vec![None; span + 1],
                next: NonZeroU32::MIN,
            };
        }
        Self::Any(HashMap::with_capacity_and_hasher(
            truth.len(),
            RandomState::default(),
        ))
    }

    /// The code of a value of the truth; a new one for a new value.
    fn enter(&mut self, value: Value<'a>) -> u32 {
        match self {
            Self::Close { least, codes, next } => {
                let place = place(*least, &value).and_then(|place| codes.get_mut(place));
                let code = place
                    .map(|code| *code.get_or_insert_with(|| replace(next, next.saturating_add(1))));
                code.map_or(u32::MAX, |code| code.get() - 1)
            }
            Self::Any(codes) => {
                let next = code(codes.len());
                *codes.entry(value).or_insert(next)
            }
        }
    }

    fn find(&self, value: &Value<'a>) -> Option<u32> {
        match self {
            Self::Close { least, codes, .. } => {
                let code = *codes.get(place(*least, value)?)?;
                code.map(|code| code.get() - 1)
            }
            Self::Any(codes) => codes.get(value).copied(),
        }
    }
}

/// How far a whole number lies above the least one.
fn place(least: i64, value: &Value) -> Option<usize> {
    match value {
        Value::Whole(whole) => usize::try_from(whole.checked_sub(least)?).ok(),
        _ => None,
    }
}

/// A key as it is compared.
#[derive(PartialEq, Eq, Hash)]
enum Value<'a> {
    Missing,
    Whole(i64),
    Unsigned(u64),
    /// The bits of a number that is not whole.
    Real(u64),
    Text(&'a str),
}

impl Value<'_> {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_precision_loss,
        clippy::cast_sign_loss,
        clippy::float_cmp,
        reason = "the cast back tells whether it lost anything"
    )]
    fn real(number: f64) -> Self {
        let (whole, unsigned) = (number as i64, number as u64);
        if number.is_nan() {
            Self::Missing
        } else if whole as f64 == number && whole != i64::MAX {
            Self::Whole(whole)
        } else if unsigned as f64 == number && unsigned != u64::MAX {
            Self::Unsigned(unsigned)
        } else {
            Self::Real(number.to_bits())
        }
    }
}

fn each<'a>(column: &'a Column<'a>) -> Box<dyn Iterator<Item = Value<'a>> + 'a> {
    match column {
        Column::Whole(cells) => Box::new(cells.iter().map(|cell| Value::Whole(*cell))),
        Column::Unsigned(cells) => Box::new(
            cells
                .iter()
                .map(|cell| i64::try_from(*cell).map_or(Value::Unsigned(*cell), Value::Whole)),
        ),
        Column::Real(cells) => Box::new(cells.iter().map(|cell| Value::real(*cell))),
        Column::Bool(cells) => Box::new(
            cells
                .iter()
                .map(|cell| cell.map_or(Value::Missing, |cell| Value::Whole(i64::from(cell)))),
        ),
        Column::Text(cells) => Box::new(
            cells
                .iter()
                .map(|cell| cell.map_or(Value::Missing, Value::Text)),
        ),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn aligned(keys: &[&str], truth: &str, prediction: &str) -> Result<Vec<usize>, String> {
        let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
        let read = |text: &str| Table::read(text.as_bytes(), None).unwrap();
        align(&keys, &read(truth), &read(prediction))
    }

    #[test]
    fn keys_are_the_same_by_value() {
        for (truth, prediction) in [
            ("id\n1\n2\n", "id\n2.0\n1.0\n"),
            ("id\nTrue\nFalse\n", "id\n0\n1\n"),
            ("id,x\n1.5,\n,\n", "id,x\n,\n1.50,\n"),
            ("id\na\nb \n", "id\nb \na\nc\n"),
            (
                "id\n18446744073709551615\n1\n",
                "id\n1\n18446744073709551615\n",
            ),
            ("id\n007\n8\n", "id\n 8 \n7\n"),
            ("id\n-3\n-2\n", "id\n-2.0\n-3.0\n0.5\n"),
            (
                "id\n-9223372036854775808\n9223372036854775807\n",
                "id\n9223372036854775807\n-9223372036854775808\n5\n",
            ),
        ] {
            assert_eq!(
                aligned(&["id"], truth, prediction).unwrap(),
                [1, 0],
                "{truth}"
            );
        }
    }

    #[test]
    fn several_columns_name_a_row_together() {
        let truth = "day,city\n1,a\n1,b\n2,a\n";
        let shuffled = "city,day\na,2\nb,1\na,1\nc,1\nb,2\n";
        assert_eq!(
            aligned(&["day", "city"], truth, shuffled).unwrap(),
            [2, 1, 0]
        );
        let reason = aligned(&["day", "city"], truth, "city,day\na,2\nb,1\na,2\n").unwrap_err();
        assert_eq!(reason, "key `2, a` stands there twice");
    }

    proptest! {
        #[test]
        fn keys_close_together_and_far_apart_are_found_alike(
            (truth, shuffled) in prop::collection::hash_set(-20..20_i64, 1..30).prop_flat_map(|ids| {
                let ids: Vec<i64> = ids.into_iter().collect();
                (Just(ids.clone()), Just(ids).prop_shuffle())
            }),
            factor in prop::sample::select(vec![1, 1 << 40]),
        ) {
            let far = |ids: Vec<i64>| ids.into_iter().map(|id| id * factor).collect::<Vec<_>>();
            let (truth, shuffled) = (far(truth), far(shuffled));
            let file = |ids: &[i64]| ids.iter().fold("id\n".to_owned(), |file, id| format!("{file}{id}\n"));
            let rows = aligned(&["id"], &file(&truth), &file(&shuffled)).unwrap();
            let found: Vec<i64> = rows.iter().map(|row| shuffled[*row]).collect();
            prop_assert_eq!(found, truth);
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_a_reason() {
        for (truth, prediction, reason) in [
            (
                "id\n1\n1\n",
                "id\n1\n1\n",
                "hidden truth: key `1` stands there twice",
            ),
            ("id\n1\n2\n", "id\n1\n1\n", "key `1` stands there twice"),
            (
                "id\n1\n2\n3\n",
                "id\n1\n9\n9\n",
                "2 of 3 keys are missing, `2` the first",
            ),
            (
                "id\n1\n2\n",
                "id\na\nb\n",
                "the key column `id` holds text, the truth's numbers",
            ),
            ("id\n1\n2\n", "x\n1\n2\n", "column `id` is missing"),
            ("id\n1\n", "id\n", "1 of 1 keys are missing, `1` the first"),
        ] {
            assert_eq!(aligned(&["id"], truth, prediction).unwrap_err(), reason);
        }
        assert!(aligned(&[], "id\n1\n", "id\n1\n").is_err());
    }
}
