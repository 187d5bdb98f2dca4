//! Hand-made datasets that are time series: by the hour and by the day, of several entities and of one.

use jiff::ToSpan as _;
use jiff::civil::{DateTime, date};

use super::Dataset;
use super::datasets::titled;
use super::table::{Table, dice, normal};

/// The datasets.
pub(super) fn all() -> Vec<Dataset> {
    vec![bicycles(), bakeries(), wells()]
}

/// Hours of hires at stations: a series for each of several entities.
fn bicycles() -> Dataset {
    let mut dataset = titled(
        5005,
        "bicycle-hires",
        "Hires of bicycles by the hour",
        "Three stations over eight weeks",
        &["technique > time series analysis"],
    );
    (dataset.licence, dataset.licence_id) = (
        "Attribution 4.0 International (CC BY 4.0)".into(),
        "CC-BY-4.0".into(),
    );
    let mut dice = dice("bicycle-hires");
    let mut table = Table::new(&["time", "station", "temperature", "holiday", "hires"]);
    let first: DateTime = date(2022, 3, 7).at(0, 0, 0, 0);
    for hour in 0..24 * 56_i32 {
        let time = first.saturating_add(hour.hours());
        let day = f64::from(hour % 24);
        let temperature = 11.0
            + 6.0 * ((day - 9.0) / 24.0 * std::f64::consts::TAU).sin()
            + 0.1 * f64::from(hour / 24)
            + normal(&mut dice);
        let holiday = hour / 24 % 7 >= 5;
        for (station, base) in [("market", 30.0), ("park", 18.0), ("station", 44.0)] {
            let wave = 1.0 + 0.8 * ((day - 8.0) / 24.0 * std::f64::consts::TAU).sin();
            let hires = (base * wave * if holiday { 0.7 } else { 1.0 }
                + 1.2 * (temperature - 11.0)
                + 2.0 * normal(&mut dice))
            .max(0.0);
            table.rows.push(vec![
                time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
                station.to_owned(),
                format!("{temperature:.1}"),
                u8::from(holiday).to_string(),
                format!("{hires:.0}"),
            ]);
        }
    }
    described(
        dataset,
        "hires.csv",
        &table,
        &[
            ("time", "the hour"),
            ("station", "where bicycles are hired"),
            ("temperature", "degrees Celsius"),
            ("holiday", "1 on weekends"),
            ("hires", "bicycles hired in this hour"),
        ],
    )
}

/// Days of sales in shops: a series for each of several entities.
fn bakeries() -> Dataset {
    let dataset = titled(
        5006,
        "bakery-days",
        "Sales of bakeries by the day",
        "Four bakeries over fourteen months",
        &["technique > time series analysis"],
    );
    let mut dice = dice("bakery-days");
    let mut table = Table::new(&["date", "bakery", "offers", "loaves"]);
    for day in 0..420_i32 {
        let today = date(2021, 1, 1).saturating_add(day.days());
        let year = (f64::from(day) / 365.0 * std::f64::consts::TAU).sin();
        for (bakery, base) in [
            ("abbey", 120.0),
            ("bridge", 80.0),
            ("corner", 150.0),
            ("dock", 60.0),
        ] {
            let offers = dice.u32(..4);
            let week = [1.0, 0.9, 0.95, 1.0, 1.1, 1.5, 1.3][usize::try_from(day % 7).unwrap_or(0)];
            let loaves = base * week * (1.0 + 0.15 * year)
                + 6.0 * f64::from(offers)
                + 5.0 * normal(&mut dice);
            table.rows.push(vec![
                today.to_string(),
                bakery.to_owned(),
                offers.to_string(),
                format!("{:.0}", loaves.max(0.0)),
            ]);
        }
    }
    described(
        dataset,
        "sales.csv",
        &table,
        &[
            ("date", "the day"),
            ("bakery", "which bakery"),
            ("offers", "special offers on this day"),
            ("loaves", "loaves sold"),
        ],
    )
}

/// One series without entities, in days written the other way round.
fn wells() -> Dataset {
    let mut dataset = titled(
        5007,
        "well-levels",
        "Level of a well",
        "The level of a well, day by day over two years",
        &["technique > time series analysis"],
    );
    dataset.updated = "2020-02-02T02:02:02Z".into();
    let mut dice = dice("well-levels");
    let mut table = Table::new(&["Day", "Rain", "Level"]);
    let mut level = 40.0;
    for day in 0..730_i32 {
        let today = date(2018, 1, 1).saturating_add(day.days());
        let rain = (3.0
            + 2.0 * (f64::from(day) / 365.0 * std::f64::consts::TAU).cos()
            + normal(&mut dice))
        .max(0.0);
        level = 0.97 * level + 0.4 * rain + 0.2 * normal(&mut dice);
        table.rows.push(vec![
            today.strftime("%d/%m/%Y").to_string(),
            format!("{rain:.1}"),
            format!("{level:.2}"),
        ]);
    }
    described(
        dataset,
        "well.csv",
        &table,
        &[
            ("Day", "the day, day first"),
            ("Rain", "rain in millimetres"),
            ("Level", "level in metres"),
        ],
    )
}

pub(super) fn described(
    mut dataset: Dataset,
    file: &str,
    table: &Table,
    meanings: &[(&str, &str)],
) -> Dataset {
    for (column, meaning) in meanings {
        dataset
            .columns
            .push((file.into(), (*column).into(), (*meaning).into()));
    }
    dataset.file(file, table.csv())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_station_has_every_hour_once() {
        let bytes = bicycles().files[0].content.bytes();
        let mut reader = csv::Reader::from_reader(bytes.as_ref());
        let seen: std::collections::BTreeSet<(String, String)> = reader
            .records()
            .map(|row| {
                let row = row.unwrap();
                (row[0].to_owned(), row[1].to_owned())
            })
            .collect();
        assert_eq!(seen.len(), 3 * 24 * 56);
    }
}
