//! Hand-made datasets: tables with a signal for every kind of designed task, and some that end as a reason.

use jiff::ToSpan as _;
use jiff::civil::{DateTime, date};

use super::archive;
use super::table::{FEATURES, Table, class_of, dice, features, normal};
use super::{Bundle, Dataset};

/// The hand-made datasets.
pub(super) fn all() -> Vec<Dataset> {
    let mut datasets = vec![
        fish(),
        wines(),
        rents(),
        yields(),
        bicycles(),
        bakeries(),
        wells(),
    ];
    datasets.extend(odd());
    datasets
}

/// A table of [`FEATURES`] under names of its own, with a target that follows their signal.
struct Shape<'a> {
    /// The columns that stand for [`FEATURES`], and what they mean.
    columns: [(&'a str, &'a str); 6],
    kinds: [&'a str; 4],
    shades: [&'a str; 3],
    target: (&'a str, &'a str),
    value: &'a dyn Fn(f64) -> String,
}

fn shaped(mut dataset: Dataset, file: &str, rows: usize, shape: &Shape<'_>) -> Dataset {
    let mut dice = dice(&dataset.slug);
    let mut header: Vec<&str> = shape.columns.iter().map(|(name, _)| *name).collect();
    header.push(shape.target.0);
    let mut table = Table::new(&header);
    let place =
        |names: &[&str], value: &str| names.iter().position(|name| *name == value).unwrap_or(0);
    for _ in 0..rows {
        let made = features(&mut dice);
        let mut row = made.values;
        row[3] = String::from(shape.kinds[place(&["oak", "elm", "ash", "yew"], &row[3])]);
        row[5] = String::from(shape.shades[place(&["light", "half", "dark"], &row[5])]);
        row.push((shape.value)(made.signal));
        table.rows.push(row);
    }
    debug_assert_eq!(shape.columns.len(), FEATURES.len());
    for (name, meaning) in shape.columns.iter().chain([&shape.target]) {
        dataset
            .columns
            .push((file.into(), (*name).into(), (*meaning).into()));
    }
    dataset.file(file, table.csv())
}

fn titled(id: u32, slug: &str, title: &str, subtitle: &str, tags: &[&str]) -> Dataset {
    let mut dataset = Dataset::new(id, "fixture", slug);
    dataset.title = title.into();
    dataset.subtitle = subtitle.into();
    dataset
        .tags
        .extend(tags.iter().map(|tag| (*tag).to_owned()));
    dataset.description = format!(
        "# {title}\n\n{subtitle}. All rows are made up by a program; nothing was measured."
    );
    dataset
}

fn fish() -> Dataset {
    let dataset = titled(
        5001,
        "river-fish",
        "River fish",
        "Measures of fish from four rivers, with their species",
        &["technique > classification"],
    );
    let species = |signal| ["perch", "bream", "roach"][class_of(signal, 3)].to_owned();
    shaped(
        dataset,
        "fish.csv",
        900,
        &Shape {
            columns: [
                ("length_cm", "length of the fish in centimetres"),
                ("depth_cm", "depth of the body in centimetres"),
                ("weight_hg", "weight in hectograms, sometimes not taken"),
                ("river", "river where it was caught"),
                ("rings", "rings counted on a scale"),
                ("water", "clarity of the water"),
            ],
            kinds: ["Ouse", "Severn", "Trent", "Wye"],
            shades: ["clear", "cloudy", "brown"],
            target: ("species", "species of the fish"),
            value: &species,
        },
    )
}

fn wines() -> Dataset {
    let mut dataset = titled(
        5002,
        "cellar-grades",
        "Grades from a cellar",
        "Chemistry of bottles, with the grade that a taster gave",
        &["technique > classification"],
    );
    (dataset.licence, dataset.licence_id) = (
        "Attribution 4.0 International (CC BY 4.0)".into(),
        "CC-BY-4.0".into(),
    );
    let grade = |signal: f64| if signal > 0.2 { "good" } else { "plain" }.to_owned();
    shaped(
        dataset,
        "bottles.csv",
        700,
        &Shape {
            columns: [
                ("acidity", "fixed acidity"),
                ("sugar", "residual sugar"),
                ("sulphates", "sulphates, sometimes not measured"),
                ("grape", "grape of the wine"),
                ("years", "years in the cellar"),
                ("cork", "state of the cork"),
            ],
            kinds: ["merlot", "pinot", "syrah", "gamay"],
            shades: ["firm", "soft", "split"],
            target: ("grade", "the taster's grade"),
            value: &grade,
        },
    )
}

fn rents() -> Dataset {
    let mut dataset = titled(
        5003,
        "town-rents",
        "Rents of a town",
        "Flats of a town with what they cost in a month",
        &["technique > regression"],
    );
    (dataset.licence, dataset.licence_id) = ("CC BY-SA 4.0".into(), "CC-BY-SA-4.0".into());
    let rent = |signal: f64| format!("{:.2}", 820.0 + 190.0 * signal);
    shaped(
        dataset,
        "flats.csv",
        800,
        &Shape {
            columns: [
                ("light_hours", "hours of light in the living room"),
                ("noise", "noise in front of the house"),
                ("area_m2", "area in square metres, sometimes not told"),
                ("quarter", "quarter of the town"),
                ("floor", "floor of the house"),
                ("heating", "kind of heating"),
            ],
            kinds: ["harbour", "mills", "garden", "castle"],
            shades: ["gas", "wood", "district"],
            target: ("rent", "rent in a month"),
            value: &rent,
        },
    )
}

fn yields() -> Dataset {
    let dataset = titled(
        5004,
        "field-yields",
        "Yields of fields",
        "What fields bore, by soil and care",
        &["technique > regression"],
    );
    let yields = |signal: f64| format!("{:.3}", 6.0 + 1.3 * signal);
    shaped(
        dataset,
        "fields.csv",
        600,
        &Shape {
            columns: [
                ("nitrogen", "nitrogen in the soil"),
                ("stones", "share of stones"),
                ("rain_mm", "rain in spring, sometimes not recorded"),
                ("crop", "crop on the field"),
                ("visits", "visits by the farmer"),
                ("slope", "slope of the field"),
            ],
            kinds: ["barley", "oats", "rye", "wheat"],
            shades: ["flat", "mild", "steep"],
            target: ("yield_t", "yield in tonnes a hectare"),
            value: &yields,
        },
    )
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
        "Database: Open Database, Contents: Database Contents".into(),
        "DbCL-1.0".into(),
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

fn described(
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

/// Datasets that end as a reason.
fn odd() -> Vec<Dataset> {
    let rents = rents();
    let plain = |id: u32, slug: &str| Dataset {
        files: rents.files.clone(),
        ..titled(id, slug, slug, "Flats again", &["technique > regression"])
    };

    let mut closed = plain(5101, "closed-rents");
    (closed.licence, closed.licence_id) = (
        "Data files © Original Authors".into(),
        "copyright-authors".into(),
    );

    let mut unknown = plain(5102, "unknown-rents");
    (unknown.licence, unknown.licence_id) = ("Unknown".into(), "unknown".into());

    let mut one_column = Table::new(&["reading"]);
    one_column.rows = (0..300)
        .map(|row| vec![(row * 7 % 31).to_string()])
        .collect();
    let one_column = titled(
        5103,
        "one-column",
        "One column",
        "Nothing but a reading",
        &[],
    )
    .file("readings.csv", one_column.csv());

    let same = |_| "yes".to_owned();
    let one_class = shaped(
        titled(
            5104,
            "one-class",
            "One class",
            "Answers that are all the same",
            &["technique > classification"],
        ),
        "answers.csv",
        300,
        &Shape {
            columns: [
                ("a", "first"),
                ("b", "second"),
                ("c", "third"),
                ("d", "fourth"),
                ("e", "fifth"),
                ("f", "sixth"),
            ],
            kinds: ["north", "south", "east", "west"],
            shades: ["one", "two", "three"],
            target: ("answer", "the answer"),
            value: &same,
        },
    );

    let mut dice = dice("odd-times");
    let mut times = Table::new(&["when", "gauge", "flow"]);
    for row in 0..300 {
        let when = ["last week", "tuesday-ish", "32.13.2020", "before noon"][row % 4];
        times.rows.push(vec![
            format!("{when} {row}"),
            ["a", "b"][row % 2].to_owned(),
            format!("{:.2}", 5.0 + normal(&mut dice)),
        ]);
    }
    let odd_times = described(
        titled(
            5105,
            "odd-times",
            "Times that are none",
            "A gauge whose clerk wrote what he liked",
            &["technique > time series analysis"],
        ),
        "gauge.csv",
        &times,
        &[
            ("when", "when it was read"),
            ("gauge", "which gauge"),
            ("flow", "flow of the water"),
        ],
    );

    let mut half = plain(5106, "half-archive");
    let content = half.files[0].content.bytes();
    let mut bytes = archive::zip(&[(&half.files[0].name, &content)]);
    bytes.truncate(bytes.len() / 2);
    half.bundle = Bundle::Raw {
        bytes: bytes.into(),
        ending: "zip",
    };

    let tiny = titled(5107, "tiny", "Tiny", "Four rows", &[])
        .file("tiny.csv", "a,b,c\n1,2,x\n2,3,y\n3,4,x\n4,5,y\n");

    let mut pictures = titled(
        5108,
        "pictures",
        "Pictures",
        "No table at all",
        &["data type > image"],
    );
    for number in 0..25 {
        pictures = pictures.file(
            &format!("images/{number:02}.png"),
            vec![0x89, b'P', b'N', b'G', number],
        );
    }

    let mut useless = plain(5109, "seldom-used");
    (useless.usability, useless.votes, useless.downloads) = (0.2, 0, 1);

    vec![
        closed, unknown, one_column, one_class, odd_times, half, tiny, pictures, useless,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_unique_and_tables_have_rows_of_one_length() {
        let datasets = all();
        let references: std::collections::BTreeSet<_> =
            datasets.iter().map(Dataset::reference).collect();
        assert_eq!(references.len(), datasets.len());
        for dataset in &datasets {
            for file in dataset
                .files
                .iter()
                .filter(|file| file.name.ends_with("csv"))
            {
                let bytes = file.content.bytes();
                let rows = csv::Reader::from_reader(bytes.as_ref())
                    .records()
                    .map(Result::unwrap)
                    .count();
                assert!(rows >= 4, "{}", dataset.slug);
            }
        }
    }

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
