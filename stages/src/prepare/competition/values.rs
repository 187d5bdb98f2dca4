//! What a predicted cell holds under each metric, the truth in that form, and the answers of those who learn nothing.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use synth_core::Metric;

use super::shape::{Shape, Targets};
use super::{Refusal, refuse};
use crate::tables::is_missing;

/// Rows that differ from one hot by more than this are none.
const ONE_HOT_TOLERANCE: f64 = 1e-9;
/// Constants that are tried, at most.
const MOST_CONSTANTS: usize = 6;

/// What a predicted cell holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A number.
    Number,
    /// One of the labels.
    Label,
    /// A probability.
    Probability,
    /// Labels between spaces, best first, so many at most.
    Ranked(u32),
    /// Words.
    Text,
}

impl Form {
    fn of(metric: Metric) -> Self {
        match metric {
            Metric::Accuracy
            | Metric::MacroF1
            | Metric::MicroF1
            | Metric::WeightedF1
            | Metric::F1
            | Metric::Mcc
            | Metric::QuadraticWeightedKappa
            | Metric::EqualLabels => Self::Label,
            Metric::Auc | Metric::LogLoss | Metric::MulticlassLogLoss | Metric::Brier => {
                Self::Probability
            }
            Metric::MapAtK(k) | Metric::NdcgAtK(k) => Self::Ranked(k),
            Metric::Jaccard => Self::Text,
            _ => Self::Number,
        }
    }
}

/// The truth of every row, in the form of a submission.
pub(super) struct Values {
    /// The metric that fits the shape.
    pub metric: Metric,
    pub form: Form,
    /// Target columns of the submission.
    pub names: Vec<String>,
    /// For each row of the training table its target cells; `None` where one is not known.
    pub truth: Vec<Option<Vec<String>>>,
    /// For each row its class, where classes are what is asked for.
    pub classes: Option<Vec<String>>,
}

/// Reads the truth out of the training table.
pub(super) fn values(shape: &Shape, metric: Metric) -> Result<Values, Refusal> {
    match &shape.targets {
        Targets::Classes { column, of } => of_classes(shape, metric, *column, of),
        Targets::Columns(columns) => of_columns(shape, metric, columns),
    }
}

fn of_classes(
    shape: &Shape,
    metric: Metric,
    column: usize,
    of: &[(String, String)],
) -> Result<Values, Refusal> {
    let metric = match metric {
        Metric::LogLoss | Metric::MulticlassLogLoss => Metric::MulticlassLogLoss,
        Metric::Auc => Metric::Auc,
        other => {
            return Err(refuse(
                "shape_does_not_fit_metric",
                format!("a probability for each class is asked for, and `{other}` takes none"),
            ));
        }
    };
    let labels: Vec<String> = shape
        .train
        .table
        .rows
        .iter()
        .map(|row| row[column].trim().to_owned())
        .collect();
    let truth = labels
        .iter()
        .map(|label| {
            (!is_missing(label)).then(|| {
                of.iter()
                    .map(|(_, class)| if class == label { "1" } else { "0" }.to_owned())
                    .collect()
            })
        })
        .collect();
    Ok(Values {
        metric,
        form: Form::Probability,
        names: of.iter().map(|(name, _)| name.clone()).collect(),
        truth,
        classes: Some(labels),
    })
}

fn of_columns(
    shape: &Shape,
    metric: Metric,
    columns: &[(String, usize)],
) -> Result<Values, Refusal> {
    let form = Form::of(metric);
    let rows = &shape.train.table.rows;
    // What pandas reads as missing cannot be answered, though it may be meant as the label `None`.
    let cell = |row: &[String], column: usize| -> Option<String> {
        let text = row[column].trim();
        (!is_missing(text)).then(|| text.to_owned())
    };
    let mut truth: Vec<Option<Vec<String>>> = rows
        .iter()
        .map(|row| {
            columns
                .iter()
                .map(|(_, column)| cell(row, *column))
                .collect()
        })
        .collect();
    let mut metric = metric;
    match form {
        Form::Number => each_number(&truth, columns, metric)?,
        Form::Probability => {
            each_binary(&mut truth, columns, shape)?;
            if metric == Metric::LogLoss && columns.len() > 1 && is_one_hot(&truth) {
                metric = Metric::MulticlassLogLoss;
            } else if metric == Metric::MulticlassLogLoss
                && (columns.len() == 1 || !is_one_hot(&truth))
            {
                metric = Metric::LogLoss;
            }
        }
        Form::Ranked(_) => each_word(&truth, columns)?,
        Form::Label | Form::Text => {}
    }
    let is_mean = matches!(
        metric,
        Metric::Auc | Metric::LogLoss | Metric::MulticlassLogLoss | Metric::Rmse | Metric::Rmsle
    );
    if columns.len() > 1 && !is_mean {
        return Err(refuse(
            "shape_does_not_fit_metric",
            format!(
                "{} columns are asked for, and `{metric}` takes one",
                columns.len()
            ),
        ));
    }
    let has_classes = matches!(form, Form::Label | Form::Probability | Form::Ranked(_));
    let classes = has_classes.then(|| {
        truth
            .iter()
            .map(|cells| {
                cells
                    .as_ref()
                    .map(|cells| cells.join("\u{1f}"))
                    .unwrap_or_default()
            })
            .collect()
    });
    Ok(Values {
        metric,
        form,
        names: columns.iter().map(|(name, _)| name.clone()).collect(),
        truth,
        classes,
    })
}

/// A word among the answers that pandas reads as missing, where answers are words.
pub(super) fn word_for_missing(shape: &Shape, values: &Values) -> Option<String> {
    let Targets::Columns(columns) = &shape.targets else {
        return None;
    };
    if matches!(values.form, Form::Number | Form::Probability) {
        return None;
    }
    let rows = &shape.train.table.rows;
    let cells = rows
        .iter()
        .flat_map(|row| columns.iter().map(|(_, column)| row[*column].trim()));
    cells
        .filter(|cell| !cell.is_empty() && is_missing(cell))
        .map(str::to_owned)
        .next()
}

fn each_number(
    truth: &[Option<Vec<String>>],
    columns: &[(String, usize)],
    metric: Metric,
) -> Result<(), Refusal> {
    for cells in truth.iter().flatten() {
        for (cell, (name, _)) in cells.iter().zip(columns) {
            match cell.parse::<f64>() {
                Ok(number) if !number.is_finite() => {}
                Ok(number) if metric == Metric::Rmsle && number < 0.0 => {
                    return Err(refuse(
                        "target_negative",
                        format!("`{name}` holds {cell}, of which `{metric}` has no logarithm"),
                    ));
                }
                Ok(_) => continue,
                Err(_) => {}
            }
            return Err(refuse(
                "target_not_numeric",
                format!(
                    "`{name}` holds `{}`, which is no finite number",
                    shown(cell)
                ),
            ));
        }
    }
    Ok(())
}

/// Makes 0 and 1 of cells; two labels count where one of them names the column of the submission.
fn each_binary(
    truth: &mut [Option<Vec<String>>],
    columns: &[(String, usize)],
    shape: &Shape,
) -> Result<(), Refusal> {
    for (at, (name, column)) in columns.iter().enumerate() {
        let mut labels: BTreeSet<String> = BTreeSet::new();
        for cells in truth.iter().flatten() {
            labels.insert(cells[at].clone());
            if labels.len() > 8 {
                break;
            }
        }
        let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
        let header = &shape.train.table.header[*column];
        let positive = |label: &str| -> Option<bool> {
            match label.parse::<f64>() {
                Ok(number) => {
                    (number == 0.0 || (number - 1.0).abs() < f64::EPSILON).then_some(number > 0.5)
                }
                Err(_) => match label.to_lowercase().as_str() {
                    "true" | "yes" | "t" | "y" => Some(true),
                    "false" | "no" | "f" | "n" => Some(false),
                    lower if labels.len() == 2 => {
                        let named = |label: &str| {
                            let label = label.to_lowercase();
                            label == name.to_lowercase() || label == header.to_lowercase()
                        };
                        let one_is_named = labels.iter().filter(|label| named(label)).count() == 1;
                        one_is_named.then(|| named(lower))
                    }
                    _ => None,
                },
            }
        };
        let known: HashMap<String, Option<bool>> = labels
            .iter()
            .map(|label| ((*label).to_owned(), positive(label)))
            .collect();
        for cells in truth.iter_mut().flatten() {
            let Some(is_positive) = known.get(&cells[at]).copied().flatten() else {
                return Err(refuse(
                    "target_not_binary",
                    format!(
                        "`{name}` holds `{}`; a probability needs 0 and 1",
                        shown(&cells[at])
                    ),
                ));
            };
            if is_positive { "1" } else { "0" }.clone_into(&mut cells[at]);
        }
    }
    Ok(())
}

fn is_one_hot(truth: &[Option<Vec<String>>]) -> bool {
    truth.iter().flatten().all(|cells| {
        let sum: f64 = cells
            .iter()
            .filter_map(|cell| cell.parse::<f64>().ok())
            .sum();
        (sum - 1.0).abs() < ONE_HOT_TOLERANCE
    })
}

fn each_word(truth: &[Option<Vec<String>>], columns: &[(String, usize)]) -> Result<(), Refusal> {
    let labels = truth.iter().flatten().filter_map(|cells| cells.first());
    let mut spaced = labels.filter(|label| label.contains(char::is_whitespace));
    match spaced.next() {
        // Several labels of a row stand between spaces too, and cannot be told from one of two words.
        Some(label) => Err(refuse(
            "label_with_spaces",
            format!(
                "`{}` holds `{}`, and ranked labels stand between spaces",
                columns.first().map_or("", |(name, _)| name),
                shown(label)
            ),
        )),
        None => Ok(()),
    }
}

fn shown(cell: &str) -> String {
    cell.chars().take(40).collect()
}

/// Rows of equal cells, to be tried as answers by somebody who has seen the training rows and learnt nothing.
pub(super) fn constants(values: &Values, train: &[usize]) -> Vec<Vec<String>> {
    let known: Vec<&Vec<String>> = train
        .iter()
        .filter_map(|row| values.truth[*row].as_ref())
        .collect();
    let column = |at: usize| known.iter().map(move |cells| cells[at].as_str());
    let width = values.names.len();
    match values.form {
        Form::Number | Form::Probability => {
            let statistics: Vec<[f64; MOST_CONSTANTS]> = (0..width)
                .map(|at| statistics(column(at).filter_map(|cell| cell.parse().ok()).collect()))
                .collect();
            let tried = if values.form == Form::Probability {
                1
            } else {
                MOST_CONSTANTS
            };
            (0..tried)
                .map(|which| {
                    statistics
                        .iter()
                        .map(|statistics| statistics[which].to_string())
                        .collect()
                })
                .collect()
        }
        Form::Label | Form::Text => (0..1)
            .flat_map(|at| most_frequent(column(at)))
            .take(MOST_CONSTANTS)
            .map(|label| vec![label])
            .collect(),
        Form::Ranked(k) => {
            let labels = most_frequent(column(0));
            vec![vec![labels[..labels.len().min(k as usize)].join(" ")]]
        }
    }
}

/// Mean, median, mean of logarithms, a quarter's and a tenth's quantile, zero.
fn statistics(mut numbers: Vec<f64>) -> [f64; MOST_CONSTANTS] {
    if numbers.is_empty() {
        return [0.0; MOST_CONSTANTS];
    }
    numbers.sort_by(f64::total_cmp);
    let count = numbers.len();
    let mean = numbers.iter().map(|number| number / count as f64).sum();
    let median = f64::midpoint(numbers[(count - 1) / 2], numbers[count / 2]);
    let logarithms: f64 = numbers
        .iter()
        .map(|number| number.max(0.0).ln_1p() / count as f64)
        .sum();
    [
        mean,
        median,
        logarithms.exp_m1(),
        numbers[count / 4],
        numbers[count / 10],
        0.0,
    ]
}

fn most_frequent<'a>(labels: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for label in labels {
        *counts.entry(label).or_default() += 1;
    }
    let mut ranked: Vec<(&str, usize)> = counts.into_iter().collect();
    ranked.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    ranked
        .into_iter()
        .map(|(label, _)| label.to_owned())
        .collect()
}
