//! When rows were measured: times as tables write them, the step from one to the next, and where a step begins.

use jiff::SignedDuration;
use jiff::civil::{Date, DateTime, Time, datetime};
use jiff::fmt::strtime::BrokenDownTime;

use super::design::FREQUENCIES;

/// Seconds since 1970, as if there were no time zones.
pub(super) type Seconds = i64;

const DAY: Seconds = 24 * 3600;
const EPOCH: DateTime = datetime(1970, 1, 1, 0, 0, 0, 0);
/// The formats that are tried on a column to see whether it could tell times at all.
const COMMON: [&str; 22] = [
    "%Y-%m-%d",
    "%Y-%m-%d %H:%M:%S",
    "%Y-%m-%d %H:%M",
    "%Y-%m-%dT%H:%M:%S",
    "%Y-%m-%dT%H:%M:%SZ",
    "%Y-%m-%d %H:%M:%S%z",
    "%Y-%m-%d %H:%M:%S%.f",
    "%Y-%m",
    "%Y/%m/%d",
    "%Y.%m.%d",
    "%d/%m/%Y",
    "%m/%d/%Y",
    "%d-%m-%Y",
    "%m-%d-%Y",
    "%d.%m.%Y",
    "%d-%b-%Y",
    "%b %d, %Y",
    "%d/%m/%Y %H:%M",
    "%m/%d/%Y %H:%M",
    "%m/%d/%y",
    "%Y%m%d",
    "%Y",
];

/// Reads a time written in `format`, the directives of `strptime`. What a format leaves out is the first of its kind.
pub(super) fn parse(format: &str, text: &str) -> Option<Seconds> {
    let read = |text: &str| {
        let broken = BrokenDownTime::parse(format, text).ok()?;
        if let Some(timestamp) = broken.timestamp() {
            return Some(timestamp.as_second());
        }
        let year = broken.year();
        let date = broken.to_date().ok().or_else(|| {
            let (month, day) = (broken.month().unwrap_or(1), broken.day().unwrap_or(1));
            Date::new(year?, month, day).ok()
        })?;
        let time = broken.to_time().unwrap_or(Time::midnight());
        Some(seconds(date.to_datetime(time)))
    };
    // A whole number in a column with gaps is written as 1959.0.
    read(text).or_else(|| read(text.strip_suffix(".0")?))
}

fn seconds(at: DateTime) -> Seconds {
    at.duration_since(EPOCH).as_secs()
}

fn civil(at: Seconds) -> DateTime {
    EPOCH
        .checked_add(SignedDuration::from_secs(at))
        .unwrap_or(EPOCH)
}

/// Whether the texts could be times: one of the common formats reads most of them, as days of 1800 to 2200. Whether it reads all
/// of them is for a design to say and for its check to find out.
pub(super) fn could_be_times(texts: &[&str]) -> bool {
    let range =
        seconds(datetime(1800, 1, 1, 0, 0, 0, 0))..seconds(datetime(2200, 1, 1, 0, 0, 0, 0));
    COMMON.iter().any(|format| {
        let read = texts
            .iter()
            .filter(|text| parse(format, text).is_some_and(|at| range.contains(&at)));
        read.count() * 2 > texts.len()
    })
}

/// The usual step between times: the frequency whose length the median difference has, or `irregular`.
pub(super) fn frequency(differences: &mut [Seconds]) -> &'static str {
    if differences.is_empty() {
        return "irregular";
    }
    differences.sort_unstable();
    let median = differences[differences.len() / 2];
    FREQUENCIES
        .into_iter()
        .find(|name| length(name).is_some_and(|length| length.contains(&median)))
        .unwrap_or("irregular")
}

/// How long a step is.
fn length(frequency: &str) -> Option<std::ops::RangeInclusive<Seconds>> {
    Some(match frequency {
        "1min" => 60..=60,
        "5min" => 300..=300,
        "15min" => 900..=900,
        "30min" => 1800..=1800,
        "1h" => 3600..=3600,
        "1D" => DAY..=DAY,
        "1W" => 7 * DAY..=7 * DAY,
        "1MS" => 28 * DAY..=31 * DAY,
        "1QS" => 89 * DAY..=92 * DAY,
        "1YS" => 365 * DAY..=366 * DAY,
        _ => return None,
    })
}

/// Whether steps of `rule` are at least as long as `step`.
pub(super) fn is_no_finer(rule: &str, step: Seconds) -> bool {
    length(rule).is_some_and(|length| *length.end() >= step)
}

/// Where the step that a time lies in begins; weeks begin on Mondays.
pub(super) fn floor(rule: &str, at: Seconds) -> Seconds {
    let date = civil(at).date();
    let month_start = |month: i8| {
        Date::new(date.year(), month, 1)
            .map_or(at, |date| seconds(date.to_datetime(Time::midnight())))
    };
    match rule {
        "1MS" => month_start(date.month()),
        "1QS" => month_start((date.month() - 1) / 3 * 3 + 1),
        "1YS" => month_start(1),
        // 1970 began on a Thursday.
        "1W" => (at + 3 * DAY).div_euclid(7 * DAY) * 7 * DAY - 3 * DAY,
        _ => length(rule).map_or(at, |length| at.div_euclid(*length.end()) * length.end()),
    }
}

/// How times of these steps are written.
pub(super) fn format_of(rule: &str) -> &'static str {
    match rule {
        "1min" | "5min" | "15min" | "30min" | "1h" => "%Y-%m-%d %H:%M:%S",
        _ => "%Y-%m-%d",
    }
}

/// A time, written.
pub(super) fn write(format: &str, at: Seconds) -> String {
    civil(at).strftime(format).to_string()
}

/// How many steps make a season; 1 where none is usual.
pub(super) fn season(frequency: &str) -> usize {
    match frequency {
        "1min" => 60,
        "5min" => 288,
        "15min" => 96,
        "30min" => 48,
        "1h" => 24,
        "1D" => 7,
        "1W" => 52,
        "1MS" => 12,
        "1QS" => 4,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_strptime_reads_them() {
        let day = Some(18_262 * DAY);
        for (format, text) in [
            ("%Y-%m-%d", "2020-01-01"),
            ("%d/%m/%Y", "01/01/2020"),
            ("%d/%m/%Y", "1/1/2020"),
            ("%Y%m%d", "20200101"),
            ("%Y", "2020"),
            ("%Y", "2020.0"),
            ("%Y-%m", "2020-01"),
            ("%d-%b-%Y", "01-Jan-2020"),
            ("%b %d, %Y", "Jan 01, 2020"),
            ("%Y-%m-%d %H:%M:%S", "2020-01-01 00:00:00"),
            ("%s", "1577836800"),
        ] {
            assert_eq!(parse(format, text), day, "{format} {text}");
        }
        assert_eq!(
            parse("%m/%d/%Y %I:%M %p", "01/01/2020 01:30 PM"),
            day.map(|day| day + 13 * 3600 + 1800)
        );
        for (format, text) in [
            ("%Y-%m-%d", "2020-13-01"),
            ("%Y-%m-%d", "soon"),
            ("%Y-%m-%d", ""),
            ("%Y-%m-%d", "2020-01-01 10:00"),
            ("%H:%M", "10:00"),
            ("%Q", "x"),
            ("%", "%"),
            ("", ""),
        ] {
            assert_eq!(parse(format, text), None, "{format} {text}");
        }
    }

    #[test]
    fn columns_that_could_tell_times_are_known() {
        let could = |texts: &[&str]| could_be_times(texts);
        assert!(
            could(&["2020-01-02", "2020-01-03"])
                && could(&["1999", "2000"])
                && could(&["13/01/2020"])
        );
        assert!(
            !could(&[]) && !could(&["2020-01-02", "x"]) && !could(&["1.5"]) && !could(&["17", "3"])
        );
    }

    #[test]
    fn the_usual_step_is_the_median_one() {
        assert_eq!(frequency(&mut [DAY, DAY, 3 * DAY, DAY]), "1D");
        assert_eq!(frequency(&mut [31 * DAY, 28 * DAY, 31 * DAY]), "1MS");
        assert_eq!(frequency(&mut [17, 90_000, 5]), "irregular");
        assert_eq!(frequency(&mut []), "irregular");
    }

    #[test]
    fn steps_begin_where_calendars_say() {
        let at = parse("%Y-%m-%d %H:%M:%S", "2021-05-13 17:45:10").unwrap();
        for (rule, start) in [
            ("1min", "2021-05-13 17:45:00"),
            ("30min", "2021-05-13 17:30:00"),
            ("1h", "2021-05-13 17:00:00"),
            ("1D", "2021-05-13 00:00:00"),
            ("1W", "2021-05-10 00:00:00"),
            ("1MS", "2021-05-01 00:00:00"),
            ("1QS", "2021-04-01 00:00:00"),
            ("1YS", "2021-01-01 00:00:00"),
        ] {
            assert_eq!(write("%Y-%m-%d %H:%M:%S", floor(rule, at)), start, "{rule}");
        }
        let before = parse("%Y-%m-%d", "1969-12-31").unwrap();
        assert_eq!(write("%Y-%m-%d", floor("1W", before)), "1969-12-29");
        assert!(is_no_finer("1D", 3600) && is_no_finer("1MS", 30 * DAY) && !is_no_finer("1h", DAY));
    }
}
