//! How times are written, and how far apart they are, from a few cells and the range of a column.

use std::sync::LazyLock;

use regex::Regex;

use crate::prompt::{Column, pattern};

/// Shapes of times with the directives that read them; of two ways to read a shape, both.
const SHAPES: [(&str, &[&str]); 20] = [
    (r"\d{4}-\d{1,2}-\d{1,2}", &["%Y-%m-%d"]),
    (
        r"\d{4}-\d{1,2}-\d{1,2} \d{1,2}:\d{2}:\d{2}",
        &["%Y-%m-%d %H:%M:%S"],
    ),
    (r"\d{4}-\d{1,2}-\d{1,2} \d{1,2}:\d{2}", &["%Y-%m-%d %H:%M"]),
    (
        r"\d{4}-\d{1,2}-\d{1,2}T\d{1,2}:\d{2}:\d{2}",
        &["%Y-%m-%dT%H:%M:%S"],
    ),
    (
        r"\d{4}-\d{1,2}-\d{1,2}T\d{1,2}:\d{2}:\d{2}Z",
        &["%Y-%m-%dT%H:%M:%SZ"],
    ),
    (
        r"\d{4}-\d{1,2}-\d{1,2} \d{1,2}:\d{2}:\d{2}[+-]\d{2}:?\d{2}",
        &["%Y-%m-%d %H:%M:%S%z"],
    ),
    (
        r"\d{4}-\d{1,2}-\d{1,2} \d{1,2}:\d{2}:\d{2}\.\d+",
        &["%Y-%m-%d %H:%M:%S%.f"],
    ),
    (r"\d{4}-\d{1,2}", &["%Y-%m"]),
    (r"\d{4}/\d{1,2}/\d{1,2}", &["%Y/%m/%d"]),
    (r"\d{4}\.\d{1,2}\.\d{1,2}", &["%Y.%m.%d"]),
    (r"\d{1,2}/\d{1,2}/\d{4}", &["%m/%d/%Y", "%d/%m/%Y"]),
    (r"\d{1,2}-\d{1,2}-\d{4}", &["%d-%m-%Y", "%m-%d-%Y"]),
    (r"\d{1,2}\.\d{1,2}\.\d{4}", &["%d.%m.%Y"]),
    (r"\d{1,2}-[A-Za-z]{3}-\d{4}", &["%d-%b-%Y"]),
    (r"[A-Za-z]{3} \d{1,2}, \d{4}", &["%b %d, %Y"]),
    (
        r"\d{1,2}/\d{1,2}/\d{4} \d{1,2}:\d{2}",
        &["%m/%d/%Y %H:%M", "%d/%m/%Y %H:%M"],
    ),
    (
        r"\d{1,2}/\d{1,2}/\d{4} \d{1,2}:\d{2}:\d{2}",
        &["%m/%d/%Y %H:%M:%S", "%d/%m/%Y %H:%M:%S"],
    ),
    (r"\d{1,2}/\d{1,2}/\d{2}", &["%m/%d/%y", "%d/%m/%y"]),
    (r"(?:19|20)\d{2}[01]\d[0-3]\d", &["%Y%m%d"]),
    (r"(?:19|20)\d{2}", &["%Y"]),
];

/// The ways to read a column's times, the likeliest first; none when it holds no times.
pub fn formats(column: &Column, cells: &[&str]) -> Vec<String> {
    static WHOLE: LazyLock<Vec<(Regex, &'static [&'static str])>> = LazyLock::new(|| {
        SHAPES
            .iter()
            .map(|(shape, ways)| (pattern(&format!("^{shape}$")), *ways))
            .collect()
    });
    let cells: Vec<&str> = cells
        .iter()
        .copied()
        .chain(column.shown.split(" to "))
        .map(str::trim)
        .filter(|cell| !cell.is_empty())
        .collect();
    let Some(ways) = cells.first().and_then(|first| {
        WHOLE
            .iter()
            .find(|(shape, _)| shape.is_match(first))
            .filter(|(shape, _)| {
                cells.iter().filter(|cell| shape.is_match(cell)).count() * 10 >= cells.len() * 8
            })
            .map(|(_, ways)| *ways)
    }) else {
        return Vec::new();
    };
    // Whole numbers are years and days only where the name says so.
    if column.kind == "integer" && super::words::time_relevance(&column.name) == 0 {
        return Vec::new();
    }
    let mut ways: Vec<String> = ways.iter().map(|way| (*way).to_owned()).collect();
    if ways.len() > 1 {
        let numbers = |cell: &str| -> Vec<u32> {
            cell.split(|c: char| !c.is_ascii_digit())
                .filter_map(|part| part.parse().ok())
                .collect()
        };
        let day_first = |way: &String| way.starts_with("%d");
        let (first, second): (Vec<u32>, Vec<u32>) = cells
            .iter()
            .filter_map(|cell| Some((*numbers(cell).first()?, *numbers(cell).get(1)?)))
            .unzip();
        let changes = |values: &[u32]| values.windows(2).filter(|pair| pair[0] != pair[1]).count();
        // Beyond 12 it is a day; else the part that changes from row to row is.
        let prefers_day = if first.iter().any(|n| *n > 12) {
            true
        } else if second.iter().any(|n| *n > 12) {
            false
        } else {
            changes(&first) > changes(&second)
                || (changes(&first) == changes(&second) && day_first(&ways[0]))
        };
        ways.sort_by_key(|way| day_first(way) != prefers_day);
    }
    ways
}

/// The usual step between times, in pandas' words.
pub fn step(cells: &[&str], format: &str, column: &Column, per_time: u64) -> Option<&'static str> {
    let seconds: Vec<i64> = cells
        .iter()
        .filter_map(|cell| seconds(cell.trim(), format))
        .collect();
    let mut steps: Vec<i64> = seconds
        .windows(2)
        .map(|pair| (pair[1] - pair[0]).abs())
        .filter(|step| *step > 0)
        .collect();
    steps.sort_unstable();
    let shown = steps.get(steps.len() / 2).copied();
    let spread = column.shown.split_once(" to ").and_then(|(low, high)| {
        let span = seconds_between(low.trim(), high.trim(), format)?;
        let count = i64::try_from(column.distinct.max(2) - 1).ok()?;
        (column.distinct < 1000).then_some(span / count)
    });
    // Rows of several series next to each other tell nothing of the step.
    let step = if per_time > 1 {
        spread.or(shown)
    } else {
        shown.or(spread)
    }?;
    NAMES
        .iter()
        .find(|(low, high, _)| (*low..=*high).contains(&step))
        .map(|(_, _, name)| *name)
}

/// Steps with the seconds that they may take.
const NAMES: [(i64, i64, &str); 10] = [
    (50, 70, "1min"),
    (290, 310, "5min"),
    (880, 920, "15min"),
    (1_750, 1_850, "30min"),
    (3_400, 3_800, "1h"),
    (80_000, 140_000, "1D"),
    (590_000, 620_000, "1W"),
    (2_400_000, 2_700_000, "1MS"),
    (7_600_000, 8_100_000, "1QS"),
    (31_000_000, 32_000_000, "1YS"),
];

fn seconds_between(low: &str, high: &str, format: &str) -> Option<i64> {
    Some((seconds(high, format)? - seconds(low, format)?).abs())
}

/// Seconds since an epoch; good enough for differences.
fn seconds(cell: &str, format: &str) -> Option<i64> {
    let compact = format == "%Y%m%d";
    let numbers: Vec<i64> = if compact {
        vec![
            cell.get(..4)?.parse().ok()?,
            cell.get(4..6)?.parse().ok()?,
            cell.get(6..8)?.parse().ok()?,
        ]
    } else {
        cell.split(|c: char| !c.is_ascii_digit())
            .filter_map(|part| part.parse().ok())
            .collect()
    };
    let named_month = format.contains("%b").then(|| {
        let lower = cell.to_lowercase();
        MONTHS.iter().position(|month| lower.contains(month))
    });
    let order: Vec<char> = format
        .split('%')
        .skip(1)
        .filter_map(|part| part.chars().next())
        .filter(|c| *c != 'b')
        .collect();
    let part = |wanted: char| {
        let place = order.iter().position(|c| *c == wanted)?;
        numbers.get(place).copied()
    };
    let year = part('Y').or_else(|| part('y').map(|year| 2000 + year))?;
    let month = match named_month {
        Some(place) => i64::try_from(place?).ok()? + 1,
        None => part('m').unwrap_or(1),
    };
    let day = part('d').unwrap_or(1);
    if !(1..=9999).contains(&year) || !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    // Days from the civil calendar, with March as the first month of the year.
    let (y, m) = if month <= 2 {
        (year - 1, month + 9)
    } else {
        (year, month - 3)
    };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1;
    let clock =
        part('H').unwrap_or(0) * 3600 + part('M').unwrap_or(0) * 60 + part('S').unwrap_or(0);
    Some(days * 86_400 + clock)
}

const MONTHS: [&str; 12] = [
    "jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec",
];

#[cfg(test)]
mod tests {
    use super::*;

    fn column(kind: &str, shown: &str, distinct: u64) -> Column {
        Column {
            name: "date".to_owned(),
            kind: kind.to_owned(),
            shown: shown.to_owned(),
            distinct,
            ..Column::default()
        }
    }

    #[test]
    fn formats_are_told_by_shape_and_by_what_changes() {
        let first = |cells: &[&str]| formats(&column("date", "", 5), cells).first().cloned();
        assert_eq!(
            first(&["2020-01-01", "2020-01-02"]).as_deref(),
            Some("%Y-%m-%d")
        );
        assert_eq!(
            first(&["01/02/2020", "02/02/2020", "03/02/2020"]).as_deref(),
            Some("%d/%m/%Y")
        );
        assert_eq!(
            first(&["01/02/2020", "01/03/2020", "01/13/2020"]).as_deref(),
            Some("%m/%d/%Y")
        );
        assert_eq!(first(&["Jan 2, 2020"]).as_deref(), Some("%b %d, %Y"));
        assert_eq!(first(&["red", "blue"]), None);
        let mut year = column("integer", "1990 to 2020", 31);
        assert!(formats(&year, &["1990"]).contains(&"%Y".to_owned()));
        year.name = "price".to_owned();
        assert!(formats(&year, &["1990"]).is_empty());
    }

    #[test]
    fn steps_are_named() {
        let days = ["2020-02-28", "2020-02-29", "2020-03-01"];
        assert_eq!(
            step(&days, "%Y-%m-%d", &column("date", "", 3), 1),
            Some("1D")
        );
        let months = ["Jan 1, 2020", "Feb 1, 2020", "Mar 1, 2020", "Apr 1, 2020"];
        assert_eq!(
            step(&months, "%b %d, %Y", &column("date", "", 4), 1),
            Some("1MS")
        );
        let hours = column("date", "2020-01-01 00:00 to 2020-01-02 00:00", 25);
        assert_eq!(
            step(
                &["2020-01-01 00:00", "2020-01-01 00:00"],
                "%Y-%m-%d %H:%M",
                &hours,
                3
            ),
            Some("1h")
        );
    }
}
