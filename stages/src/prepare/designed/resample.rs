//! Gathers the rows of series into equal steps: one row for each step that has any.

use std::collections::BTreeMap;

use super::frame::{Column, Frame, Kind, number};
use super::split::keys;
use super::times::{self, Seconds};

/// Gathers rows: targets by `aggregation`, other numbers by their mean, texts by the last. The rows come by time, those of one time by
/// entity.
pub(super) fn resample(
    frame: &Frame,
    times: &[Seconds],
    time_column: &str,
    entities: &[String],
    targets: &[String],
    rule: &str,
    aggregation: &str,
) -> (Frame, Vec<Seconds>) {
    let mut bins: BTreeMap<(Seconds, String), Vec<usize>> = BTreeMap::new();
    for (row, key) in keys(frame, entities).into_iter().enumerate() {
        bins.entry((times::floor(rule, times[row]), key))
            .or_default()
            .push(row);
    }
    let columns = frame.columns.iter().map(|column| {
        if column.name == time_column {
            let format = times::format_of(rule);
            let cells = bins
                .keys()
                .map(|(at, _)| times::write(format, *at))
                .collect();
            return Column {
                name: column.name.clone(),
                kind: Kind::Text,
                cells,
            };
        }
        let how = if targets.contains(&column.name) {
            aggregation
        } else if entities.contains(&column.name) || column.kind == Kind::Text {
            "last"
        } else {
            "mean"
        };
        let cells: Vec<String> = bins
            .values()
            .map(|rows| gather(rows.iter().map(|row| column.cells[*row].as_str()), how))
            .collect();
        let kind = match how {
            "last" => column.kind,
            "count" => Kind::Integer,
            _ if cells
                .iter()
                .all(|cell| cell.is_empty() || cell.parse::<i64>().is_ok()) =>
            {
                Kind::Integer
            }
            _ => Kind::Number,
        };
        Column {
            name: column.name.clone(),
            kind,
            cells,
        }
    });
    let columns = columns.collect();
    (
        Frame { columns },
        bins.into_keys().map(|(at, _)| at).collect(),
    )
}

/// One value for several; a gap for none.
fn gather<'a>(cells: impl Iterator<Item = &'a str>, how: &str) -> String {
    let cells: Vec<&str> = cells.filter(|cell| !cell.is_empty()).collect();
    let numbers = || cells.iter().filter_map(|cell| number(cell));
    let Some(last) = cells.last() else {
        return String::new();
    };
    match how {
        "count" => cells.len().to_string(),
        "sum" => tidy(numbers().sum()),
        "min" => tidy(numbers().fold(f64::INFINITY, f64::min)),
        "max" => tidy(numbers().fold(f64::NEG_INFINITY, f64::max)),
        "mean" => tidy(numbers().sum::<f64>() / cells.len() as f64),
        _ => (*last).to_owned(),
    }
}

/// A number without the last digits, in which sums in another order would differ.
fn tidy(number: f64) -> String {
    if !number.is_finite() {
        return String::new();
    }
    let text = format!("{number:.9}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::frame::tests::frame;
    use super::*;

    #[test]
    fn steps_are_gathered_by_series() {
        let table = frame("t,e,x,k,y\n0,a,1,p,1\n10,a,2,q,2.5\n20,b,9,r,\n90,a,4,s,7\n");
        let times = [0, 10, 20, 90];
        let names = |name: &str| vec![name.to_owned()];
        let by = |aggregation: &str| {
            resample(
                &table,
                &times,
                "t",
                &names("e"),
                &names("y"),
                "1min",
                aggregation,
            )
        };
        let (frame, times) = by("sum");
        assert_eq!(times, [0, 0, 60]);
        let cells = |name: &str| frame.column(name).unwrap().cells.clone();
        assert_eq!(
            cells("t"),
            [
                "1970-01-01 00:00:00",
                "1970-01-01 00:00:00",
                "1970-01-01 00:01:00"
            ]
        );
        assert_eq!(cells("x"), ["1.5", "9", "4"]);
        assert_eq!(cells("k"), ["q", "r", "s"]);
        assert_eq!(cells("y"), ["3.5", "", "7"]);
        for (aggregation, first) in [
            ("mean", "1.75"),
            ("min", "1"),
            ("max", "2.5"),
            ("last", "2.5"),
            ("count", "2"),
        ] {
            assert_eq!(
                by(aggregation).0.column("y").unwrap().cells[0],
                first,
                "{aggregation}"
            );
        }
    }
}
