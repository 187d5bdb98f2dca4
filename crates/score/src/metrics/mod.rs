//! The metrics: each takes the columns of the truth and of the predictions, row by row, and gives a value or the reason why there is none.
//!
//! - `dare`: the four of DARE-bench, on columns whose types are guessed on each side alone, as its scorer does.
//! - `labels`, `probability`, `regression`, `correlation`, `ranking`, `words`: those of Kaggle. There the truth says what a
//!   column holds, and a cell of the predictions that is none of that is refused by name.
//!
//! Several targets: the mean of their values, but for the two metrics of which one row is spread over columns.

mod correlation;
mod dare;
mod labels;
mod probability;
mod ranking;
mod regression;
mod words;

pub use regression::mean_absolute_error;

use synth_core::Metric;

use crate::quoted;
use crate::table::{Cells, Column, number};

/// One target: its cells in both tables, and which row of the predictions belongs to which row of the truth.
pub struct Target<'a> {
    /// The column's name.
    pub name: &'a str,
    /// The hidden cells.
    pub truth: &'a Cells,
    /// The predicted cells, or why there are none.
    pub prediction: Result<&'a Cells, String>,
    /// For each row of the truth its row in the predictions.
    pub rows: &'a [usize],
    /// The key of a row of the truth, for reasons.
    pub key: &'a dyn Fn(usize) -> String,
}

/// The value of a metric.
#[derive(Debug, PartialEq)]
pub struct Measured {
    /// The value.
    pub value: f64,
    /// Targets that count 0, and why.
    pub without: Vec<String>,
}

/// Measures; an error says why there is no value.
pub fn measure(metric: Metric, targets: &[Target]) -> Result<Measured, String> {
    if targets.is_empty() {
        return Err("there is no target".to_owned());
    }
    if matches!(
        metric,
        Metric::MacroF1 | Metric::ClippedR2 | Metric::EqualLabels | Metric::EqualNumbers
    ) {
        return dare::measure(metric, targets);
    }
    if targets.iter().any(|target| target.rows.is_empty()) {
        return Err("hidden truth: no rows".to_owned());
    }
    let value = match metric {
        Metric::MulticlassLogLoss => probability::multiclass_log_loss(&matrices(targets)?),
        Metric::NdcgAtK(k) if targets.len() > 1 => ranking::ndcg_of_scores(&matrices(targets)?, k),
        _ => {
            let values = targets.iter().map(|target| alone(metric, target));
            values
                .sum::<Result<f64, String>>()
                .map(|sum| sum / targets.len() as f64)
        }
    }?;
    if value.is_nan() {
        return Err(format!("{metric} is not defined here"));
    }
    Ok(Measured {
        value,
        without: Vec::new(),
    })
}

/// The value of one target alone.
fn alone(metric: Metric, target: &Target) -> Result<f64, String> {
    let on_numbers = |value: fn(&[f64], &[f64]) -> f64| {
        let (truth, prediction) = target.numbers()?;
        Ok(value(&truth, &prediction))
    };
    // Some numbers have no value.
    let try_numbers = |value: fn(&[f64], &[f64]) -> Result<f64, String>| {
        let (truth, prediction) = target.numbers()?;
        value(&truth, &prediction)
    };
    match metric {
        Metric::Accuracy | Metric::MicroF1 => Ok(target.labels()?.accuracy()),
        Metric::F1 => target.labels()?.f1(),
        Metric::WeightedF1 => Ok(target.labels()?.weighted_f1()),
        Metric::Mcc => Ok(target.labels()?.mcc()),
        Metric::QuadraticWeightedKappa => try_numbers(labels::quadratic_weighted_kappa),
        Metric::Auc => probability::auc(&target.positives()?, &target.predicted_numbers()?),
        Metric::LogLoss => Ok(probability::log_loss(
            &target.positives()?,
            &target.probabilities()?,
        )),
        Metric::Brier => Ok(probability::brier(
            &target.positives()?,
            &target.probabilities()?,
        )),
        Metric::Rmse => on_numbers(regression::root_mean_squared_error),
        Metric::Mse => on_numbers(regression::mean_squared_error),
        Metric::Rmsle => try_numbers(regression::root_mean_squared_logarithmic_error),
        Metric::Mae => on_numbers(regression::mean_absolute_error),
        Metric::MedianAe => on_numbers(regression::median_absolute_error),
        Metric::Mape => on_numbers(regression::mean_absolute_percentage_error),
        Metric::Smape => on_numbers(regression::symmetric_mean_absolute_percentage_error),
        Metric::R2 => try_numbers(regression::r2),
        Metric::Spearman => on_numbers(correlation::spearman),
        Metric::Pearson => on_numbers(correlation::pearson),
        Metric::Gini => on_numbers(correlation::normalised_gini),
        Metric::MapAtK(k) => {
            Ok(target.mean(|truth, cell| ranking::average_precision(truth, cell, k))?)
        }
        Metric::NdcgAtK(k) => {
            Ok(target.mean(|truth, cell| ranking::ndcg_of_items(truth, cell, k))?)
        }
        Metric::Jaccard => Ok(target.mean(words::jaccard)?),
        Metric::MacroF1
        | Metric::ClippedR2
        | Metric::EqualLabels
        | Metric::EqualNumbers
        | Metric::MulticlassLogLoss => Err(format!("{metric} is not of one column")),
    }
}

/// Truth and prediction of several columns, column by column.
type Matrices = (Vec<Vec<f64>>, Vec<Vec<f64>>);

fn matrices(targets: &[Target]) -> Result<Matrices, String> {
    let pairs: Vec<_> = targets
        .iter()
        .map(Target::numbers)
        .collect::<Result<_, _>>()?;
    Ok(pairs.into_iter().unzip())
}

impl<'a> Target<'a> {
    fn predicted(&self) -> Result<&'a Cells, String> {
        self.prediction.as_ref().copied().map_err(Clone::clone)
    }

    /// The predicted cell for each row of the truth.
    fn predicted_cells(&self) -> Result<impl Iterator<Item = &'a str>, String> {
        let cells = self.predicted()?;
        Ok(self.rows.iter().map(|row| cells.get(*row)))
    }

    /// The mean over rows of a value of two texts.
    fn mean(&self, value: impl Fn(&str, &str) -> f64) -> Result<f64, String> {
        let pairs = self.truth.iter().zip(self.predicted_cells()?);
        Ok(pairs.map(|(truth, cell)| value(truth, cell)).sum::<f64>() / self.rows.len() as f64)
    }

    fn bad(&self, row: usize, cell: &str, wanted: &str) -> String {
        let (cell, key) = (quoted(cell), (self.key)(row));
        format!(
            "{cell} at {key} of column {} is not {wanted}",
            quoted(self.name)
        )
    }

    fn predicted_numbers(&self) -> Result<Vec<f64>, String> {
        let cells = self.predicted_cells()?.enumerate();
        cells
            .map(|(row, cell)| finite(cell).ok_or_else(|| self.bad(row, cell, "a finite number")))
            .collect()
    }

    fn true_numbers(&self) -> Result<Vec<f64>, String> {
        let cells = self.truth.iter().enumerate();
        cells
            .map(|(row, cell)| {
                finite(cell).ok_or_else(|| {
                    format!("hidden truth: {}", self.bad(row, cell, "a finite number"))
                })
            })
            .collect()
    }

    fn numbers(&self) -> Result<(Vec<f64>, Vec<f64>), String> {
        Ok((self.true_numbers()?, self.predicted_numbers()?))
    }

    fn probabilities(&self) -> Result<Vec<f64>, String> {
        let cells = self.predicted_cells()?.enumerate();
        cells
            .map(|(row, cell)| {
                finite(cell)
                    .filter(|number| (0.0..=1.0).contains(number))
                    .ok_or_else(|| self.bad(row, cell, "a probability from 0 to 1"))
            })
            .collect()
    }

    /// Which rows of the truth are positive: those of 1, or of the greater of two labels.
    fn positives(&self) -> Result<Vec<bool>, String> {
        let column = Column::of(self.truth);
        let wrong = |what: &str| {
            let name = quoted(self.name);
            Err(format!(
                "hidden truth: column {name} holds {what}, not two labels"
            ))
        };
        if let Some(numbers) = column.numbers() {
            if numbers.iter().any(|number| !number.is_finite()) {
                return wrong("missing or infinite numbers");
            }
            let most = numbers.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let least = numbers.iter().copied().fold(f64::INFINITY, f64::min);
            let is = |number: f64, other: f64| (number - other).abs() < f64::EPSILON;
            if numbers
                .iter()
                .any(|&number| !is(number, most) && !is(number, least))
            {
                return wrong("more than two");
            }
            let positive = if is(least, most) { 1.0 } else { most };
            if is(least, most) && !is(least, 0.0) && !is(least, 1.0) {
                return wrong("one that is neither 0 nor 1");
            }
            return Ok(numbers.iter().map(|&number| is(number, positive)).collect());
        }
        let most = self.truth.iter().max().unwrap_or_default();
        let least = self.truth.iter().min().unwrap_or_default();
        if most == least || self.truth.iter().any(|cell| cell != most && cell != least) {
            return wrong("one text or more than two");
        }
        Ok(self.truth.iter().map(|cell| cell == most).collect())
    }

    /// Both columns as labels of the truth's kind: numbers by value, else text by every letter.
    fn labels(&self) -> Result<labels::Labels, String> {
        if Column::of(self.truth).is_text() {
            let predicted = self.predicted_cells()?;
            return Ok(labels::Labels::of_text(self.truth.iter(), predicted));
        }
        let (truth, prediction) = self.numbers()?;
        Ok(labels::Labels::of_numbers(&truth, &prediction))
    }
}

/// Whether two numbers are the same; zeros of either sign are.
#[expect(clippy::float_cmp, reason = "ties are to the last bit")]
fn same(a: f64, b: f64) -> bool {
    a == b
}

/// A finite number; truth values are 0 and 1.
fn finite(cell: &str) -> Option<f64> {
    match cell {
        "True" | "TRUE" | "true" => Some(1.0),
        "False" | "FALSE" | "false" => Some(0.0),
        cell => number(cell).filter(|number| number.is_finite()),
    }
}
