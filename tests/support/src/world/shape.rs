//! The tables of a real competition as its pages tell them: the target, its kind after the metric, the sample submission.

use super::real::Entry;
use super::table::{FEATURES, Table, class_of, dice, features, normal};

/// Rows of a made-up table, and how many of them are for training.
const ROWS: usize = 480;
const TRAIN: usize = 360;

/// The form of a competition's tables.
#[derive(Debug)]
pub(super) struct Shape {
    slug: String,
    target: String,
    kind: Kind,
    /// The sample submission's file.
    pub sample: String,
    /// Class probabilities have a column for each class.
    wide: bool,
}

#[derive(Clone, Debug, PartialEq)]
enum Kind {
    Classes(Vec<String>),
    /// 0 or 1, answered by a probability or by a class.
    Binary {
        probability: bool,
    },
    Number,
    /// Counts of entities over days.
    Series,
}

impl Shape {
    pub(super) fn of(entry: &Entry) -> Self {
        let target = target(&entry.data).unwrap_or_else(|| "target".into());
        let metric = entry
            .metadata
            .keywords
            .last()
            .map(String::as_str)
            .unwrap_or_default();
        let words = entry.metadata.keywords.join(" ");
        let classes =
            |names: &[&str]| Kind::Classes(names.iter().map(|name| (*name).to_owned()).collect());
        let wide = metric == "multiclass logloss";
        let kind = if words.contains("forecasting") && words.contains("time_series") {
            Kind::Series
        } else if wide {
            // `Status_C, Status_CL, and Status_D`
            let named = suffixes(&entry.evaluation, &target);
            if named.len() > 1 {
                Kind::Classes(named)
            } else {
                classes(&["a", "b", "c"])
            }
        } else if metric.contains("auc") || metric == "logloss" {
            Kind::Binary { probability: true }
        } else if metric == "quadratic_weighted_kappa" {
            classes(&["3", "4", "5", "6", "7", "8"])
        } else if words.contains("multiclass") || metric.starts_with("map") {
            classes(&["alder", "birch", "cedar", "dogwood", "elder"])
        } else if metric == "accuracy" || metric == "mcc" || words.contains("classification") {
            if entry.data.contains("binary target") || words.contains("demographics") {
                Kind::Binary { probability: false }
            } else {
                classes(&["alder", "birch", "cedar"])
            }
        } else {
            Kind::Number
        };
        Self {
            slug: entry.slug.clone(),
            target,
            kind,
            sample: sample_name(&entry.data).unwrap_or_else(|| "sample_submission.csv".into()),
            wide,
        }
    }

    pub(super) fn train_rows(&self) -> usize {
        if self.kind == Kind::Series {
            SERIES_DAYS * 3 / 4 * ENTITIES.len()
        } else {
            TRAIN
        }
    }

    pub(super) fn table(&self) -> Table {
        let mut dice = dice(&self.slug);
        if self.kind == Kind::Series {
            return self.series(&mut dice);
        }
        let mut table = Table::new(&["id"]);
        table.header.extend(FEATURES.map(str::to_owned));
        table.header.push(self.target.clone());
        for id in 0..ROWS {
            let made = features(&mut dice);
            let value = match &self.kind {
                Kind::Classes(classes) => classes[class_of(made.signal, classes.len())].clone(),
                Kind::Binary { .. } => u8::from(made.signal > 0.2).to_string(),
                Kind::Number | Kind::Series => format!("{:.3}", (3.0 + 0.4 * made.signal).exp()),
            };
            let mut row = vec![id.to_string()];
            row.extend(made.values);
            row.push(value);
            table.rows.push(row);
        }
        table
    }

    fn series(&self, dice: &mut fastrand::Rng) -> Table {
        let mut table = Table::new(&["id", "date", "store", &self.target]);
        for day in 0..SERIES_DAYS {
            let days = i32::try_from(day).unwrap_or(0);
            let date = jiff::civil::date(2016, 1, 1).saturating_add(jiff::Span::new().days(days));
            for (place, entity) in ENTITIES.iter().enumerate() {
                let week = if day % 7 >= 5 { 1.5 } else { 1.0 };
                let value = (30.0 + 20.0 * place as f64) * week + 3.0 * normal(dice);
                table.rows.push(vec![
                    table.rows.len().to_string(),
                    date.to_string(),
                    (*entity).to_owned(),
                    format!("{:.0}", value.max(1.0)),
                ]);
            }
        }
        table
    }

    pub(super) fn test(&self) -> Table {
        self.table()
            .split(self.train_rows())
            .1
            .without(&[&self.target])
    }

    pub(super) fn sample_submission(&self) -> Table {
        let columns: Vec<(String, String)> = match &self.kind {
            Kind::Classes(classes) if self.wide => {
                let share = format!("{:.4}", 1.0 / classes.len() as f64);
                classes
                    .iter()
                    .map(|class| (format!("{}_{class}", self.target), share.clone()))
                    .collect()
            }
            Kind::Classes(classes) => vec![(self.target.clone(), classes[0].clone())],
            Kind::Binary { probability: true } => vec![(self.target.clone(), "0.5".into())],
            Kind::Binary { .. } | Kind::Number | Kind::Series => {
                vec![(self.target.clone(), "0".into())]
            }
        };
        let mut sample = Table::new(&["id"]);
        sample
            .header
            .extend(columns.iter().map(|(name, _)| name.clone()));
        for row in &self.test().rows {
            let values = columns.iter().map(|(_, value)| value.clone());
            sample
                .rows
                .push(std::iter::once(row[0].clone()).chain(values).collect());
        }
        sample
    }
}

const SERIES_DAYS: usize = 120;
const ENTITIES: [&str; 4] = ["aspen", "beech", "chestnut", "damson"];

/// The target that a data page names: `train.csv - the training dataset; Strength is the continuous target`.
fn target(data: &str) -> Option<String> {
    let (_, after) = data.split_once("the training dataset;")?;
    let line = after.lines().next()?;
    // Blanks around names have been lost in some pages: `;prognosisis the target`, `;Statusis the categorical target`.
    let (name, rest) = line.split_once("is the")?;
    let name = name
        .trim()
        .trim_matches(|letter| "'`\"“”‘’".contains(letter));
    let early = rest
        .split_whitespace()
        .take(3)
        .any(|word| word.starts_with("target"));
    (early && !name.is_empty() && name.len() <= 40).then(|| name.to_owned())
}

/// Words that follow a name and an underscore, each once, in order.
fn suffixes(text: &str, name: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for part in text.split(&format!("{name}_")).skip(1) {
        let word: String = part
            .chars()
            .take_while(|letter| letter.is_alphanumeric())
            .collect();
        if !word.is_empty() && !found.contains(&word) {
            found.push(word);
        }
    }
    found
}

/// The sample submission's file as a data page names it.
fn sample_name(data: &str) -> Option<String> {
    let end = data.to_ascii_lowercase().find("submission.csv")? + "submission".len();
    let name = data[..end]
        .rsplit(|letter: char| !letter.is_ascii_alphabetic() && letter != '_')
        .next()?;
    // Words have run together in some pages: `setsample_submission`.
    let name = name.find("sample").map_or(name, |at| &name[at..]);
    Some(format!("{name}.csv"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_read_from_the_data_page() {
        let cases = [
            (
                "train.csv - the training dataset; Premium Amount is the continuous target\ntest.csv",
                Some("Premium Amount"),
            ),
            (
                "train.csv- the training dataset;prognosisis the target",
                Some("prognosis"),
            ),
            (
                "train.csv - the training dataset; 'y' is the binary target",
                Some("y"),
            ),
            (
                "train.csv- the training dataset;outcomeis the (categorical) target",
                Some("outcome"),
            ),
            ("a page about something else", None),
        ];
        for (page, expected) in cases {
            assert_eq!(target(page).as_deref(), expected, "{page}");
        }
    }

    #[test]
    fn the_sample_submission_is_named_as_the_page_names_it() {
        let cases = [
            (
                "We include gender_submission.csv, an example",
                Some("gender_submission.csv"),
            ),
            (
                "the testsetsample_submission.csv- a sample",
                Some("sample_submission.csv"),
            ),
            ("see sampleSubmission.csv", Some("sampleSubmission.csv")),
            ("no such file", None),
        ];
        for (page, expected) in cases {
            assert_eq!(sample_name(page).as_deref(), expected, "{page}");
        }
    }

    #[test]
    fn classes_with_columns_of_their_own_are_read_from_the_page() {
        assert_eq!(
            suffixes(
                "e.g., Status_C, Status_CL, and Status_D. For Status_C",
                "Status"
            ),
            ["C", "CL", "D"]
        );
    }

    #[test]
    fn a_series_is_cut_by_time() {
        let shape = Shape {
            slug: "s".into(),
            target: "sales".into(),
            kind: Kind::Series,
            sample: "sample_submission.csv".into(),
            wide: false,
        };
        let (train, test) = shape.table().split(shape.train_rows());
        let last = train.rows.iter().map(|row| &row[1]).max();
        assert!(test.rows.iter().all(|row| Some(&row[1]) > last));
        assert_eq!(shape.sample_submission().rows.len(), test.rows.len());
    }
}
