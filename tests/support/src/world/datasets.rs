//! Hand-made datasets: tables with a signal for every kind of designed task, and some that end as a reason.

use super::table::{FEATURES, Table, class_of, dice, features};
use super::{Dataset, odd_datasets, series};

/// The hand-made datasets.
pub(super) fn all() -> Vec<Dataset> {
    let mut datasets = vec![fish(), wines(), rents(), yields()];
    datasets.extend(series::all());
    datasets.extend(odd_datasets::all());
    datasets
}

/// A table of [`FEATURES`] under names of its own, with a target that follows their signal.
pub(super) struct Shape<'a> {
    /// The columns that stand for [`FEATURES`], and what they mean.
    pub columns: [(&'a str, &'a str); 6],
    pub kinds: [&'a str; 4],
    pub shades: [&'a str; 3],
    pub target: (&'a str, &'a str),
    pub value: &'a dyn Fn(f64) -> String,
}

pub(super) fn shaped(mut dataset: Dataset, file: &str, rows: usize, shape: &Shape<'_>) -> Dataset {
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

pub(super) fn titled(id: u32, slug: &str, title: &str, subtitle: &str, tags: &[&str]) -> Dataset {
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

pub(super) fn rents() -> Dataset {
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
}
