//! The four metrics of DARE-bench, with the types that pandas gives each side alone. A target that cannot be measured counts 0.

use synth_core::Metric;

use super::labels::Labels;
use super::regression::r2;
use super::{Measured, Target, same};
use crate::table::Column;

/// The mean over the targets. Where no target can be measured there is no value, and the first reason.
pub fn measure(metric: Metric, targets: &[Target]) -> Result<Measured, String> {
    let mut sum = 0.0;
    let mut without = Vec::new();
    let mut first = None;
    for target in targets {
        match one(metric, target) {
            Ok(value) => sum += value,
            // Here the original raises, and no target has a score.
            Err(reason) if metric == Metric::EqualNumbers && target.prediction.is_ok() => {
                return Err(reason);
            }
            Err(reason) => {
                without.push(format!("{} counts 0: {reason}", crate::quoted(target.name)));
                first.get_or_insert(reason);
            }
        }
    }
    match first {
        Some(reason) if without.len() == targets.len() => Err(reason),
        _ => Ok(Measured {
            value: sum / targets.len() as f64,
            without,
        }),
    }
}

fn one(metric: Metric, target: &Target) -> Result<f64, String> {
    let truth = Column::of(target.truth);
    let prediction = Column::of(target.predicted()?).gather(target.rows);
    match metric {
        Metric::EqualLabels => Ok(f64::from(u8::from(equal_labels(&truth, &prediction)))),
        Metric::EqualNumbers => equal_numbers(&truth, &prediction),
        Metric::MacroF1 => macro_f1(&truth, &prediction),
        _ => clipped_r2(&truth, &prediction),
    }
}

/// Whether Python's `==` holds between the columns as lists: numbers by value, text by every letter; missing cells are the same only where both
/// columns are made of objects, that is text, or truth values of which some are missing.
fn equal_labels(truth: &Column, prediction: &Column) -> bool {
    match (truth, prediction) {
        (Column::Text(truth), Column::Text(prediction)) => truth == prediction,
        (Column::Bool(truth), Column::Bool(prediction))
            if truth.contains(&None) && prediction.contains(&None) =>
        {
            truth == prediction
        }
        (Column::Whole(truth), Column::Whole(prediction)) => truth == prediction,
        (Column::Unsigned(truth), Column::Unsigned(prediction)) => truth == prediction,
        _ => match (truth.numbers(), prediction.numbers()) {
            // NaN is not equal to itself, as it should be here.
            (Some(truth), Some(prediction)) => truth == prediction,
            _ => truth.is_empty() && prediction.is_empty(),
        },
    }
}

/// 1 where `numpy.allclose(truth, prediction)` holds: within 1e-8 plus 1e-5 of the prediction; infinities of one sign are equal.
fn equal_numbers(truth: &Column, prediction: &Column) -> Result<f64, String> {
    if truth.is_empty() && prediction.is_empty() {
        return Ok(1.0);
    }
    let (truth, prediction) = numbers(truth, prediction)?;
    let close = |(truth, prediction): (&f64, &f64)| {
        if truth.is_finite() && prediction.is_finite() {
            (truth - prediction).abs() <= 1e-8 + 1e-5 * prediction.abs()
        } else {
            same(*truth, *prediction)
        }
    };
    let all = truth.iter().zip(&prediction).all(close);
    Ok(f64::from(u8::from(all)))
}

/// As scikit-learn's `f1_score(…, average="macro")`: labels are texts or whole numbers, and not both; a missing text is the label `nan`.
fn macro_f1(truth: &Column, prediction: &Column) -> Result<f64, String> {
    if truth.is_empty() {
        return Err("no rows".to_owned());
    }
    if let (Column::Text(truth), Column::Text(prediction)) = (truth, prediction) {
        return Ok(Labels::of_text(
            truth.iter().map(|cell| cell.unwrap_or("nan")),
            prediction.iter().map(|cell| cell.unwrap_or("nan")),
        )
        .macro_f1());
    }
    let (truth, prediction) = numbers(truth, prediction)?;
    let labels = truth.iter().chain(&prediction);
    if let Some(odd) = labels
        .into_iter()
        .find(|label| !label.is_finite() || label.fract() != 0.0)
    {
        return Err(if odd.is_nan() {
            "a label is missing among numbers".to_owned()
        } else {
            format!("{odd} is a number and no label")
        });
    }
    Ok(Labels::of_numbers(&truth, &prediction).macro_f1())
}

/// The coefficient of determination, clipped to 0..1.
fn clipped_r2(truth: &Column, prediction: &Column) -> Result<f64, String> {
    let (truth, prediction) = numbers(truth, prediction)?;
    if truth
        .iter()
        .chain(&prediction)
        .any(|number| !number.is_finite())
    {
        return Err("a number is missing or infinite".to_owned());
    }
    Ok(r2(&truth, &prediction)?.clamp(0.0, 1.0))
}

fn numbers(truth: &Column, prediction: &Column) -> Result<(Vec<f64>, Vec<f64>), String> {
    match (truth.numbers(), prediction.numbers()) {
        (Some(truth), Some(prediction)) => Ok((truth.into_owned(), prediction.into_owned())),
        (None, None) => Err("text where numbers are asked for".to_owned()),
        (Some(_), None) => Err("the predictions are text, the truth is numbers".to_owned()),
        (None, Some(_)) => Err("the predictions are numbers, the truth is text".to_owned()),
    }
}
