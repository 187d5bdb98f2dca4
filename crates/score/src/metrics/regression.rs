//! Errors of numbers, and the share of their variance that is explained. All numbers are finite.

/// The value of a metric over two columns of equal length.
type Value = Result<f64, String>;

fn mean(values: impl Iterator<Item = f64>, rows: usize) -> f64 {
    values.sum::<f64>() / rows as f64
}

fn errors<'a>(truth: &'a [f64], prediction: &'a [f64]) -> impl Iterator<Item = f64> + 'a {
    truth
        .iter()
        .zip(prediction)
        .map(|(truth, prediction)| truth - prediction)
}

/// Mean squared error.
pub fn mean_squared_error(truth: &[f64], prediction: &[f64]) -> f64 {
    mean(
        errors(truth, prediction).map(|error| error * error),
        truth.len(),
    )
}

/// Its root.
pub fn root_mean_squared_error(truth: &[f64], prediction: &[f64]) -> f64 {
    mean_squared_error(truth, prediction).sqrt()
}

/// Root of the mean squared difference of `ln(1 + x)`.
pub fn root_mean_squared_logarithmic_error(truth: &[f64], prediction: &[f64]) -> Value {
    let logarithms = |column: &[f64]| -> Result<Vec<f64>, String> {
        let logarithm = |value: &f64| {
            if *value > -1.0 {
                Ok(value.ln_1p())
            } else {
                Err(format!("{value} has no logarithm: numbers above -1 have"))
            }
        };
        column.iter().map(logarithm).collect()
    };
    let truth = logarithms(truth).map_err(|reason| format!("hidden truth: {reason}"))?;
    Ok(root_mean_squared_error(&truth, &logarithms(prediction)?))
}

/// Mean absolute error.
pub fn mean_absolute_error(truth: &[f64], prediction: &[f64]) -> f64 {
    mean(errors(truth, prediction).map(f64::abs), truth.len())
}

/// Median absolute error; the mean of the two in the middle of an even count.
pub fn median_absolute_error(truth: &[f64], prediction: &[f64]) -> f64 {
    let mut errors: Vec<f64> = errors(truth, prediction).map(f64::abs).collect();
    errors.sort_unstable_by(f64::total_cmp);
    let middle = errors.len() / 2;
    match errors.len() % 2 {
        0 => f64::midpoint(errors[middle - 1], errors[middle]),
        _ => errors[middle],
    }
}

/// Mean of the error over the truth's magnitude, as a fraction; a truth of 0 counts as 2.2e-16.
pub fn mean_absolute_percentage_error(truth: &[f64], prediction: &[f64]) -> f64 {
    let share = truth
        .iter()
        .zip(prediction)
        .map(|(truth, prediction)| (truth - prediction).abs() / truth.abs().max(f64::EPSILON));
    mean(share, truth.len())
}

/// Mean of twice the error over both magnitudes, in percent; 0 where both are 0.
pub fn symmetric_mean_absolute_percentage_error(truth: &[f64], prediction: &[f64]) -> f64 {
    let share = truth.iter().zip(prediction).map(|(truth, prediction)| {
        let both = truth.abs() + prediction.abs();
        if both > 0.0 {
            200.0 * (truth - prediction).abs() / both
        } else {
            0.0
        }
    });
    mean(share, truth.len())
}

/// The coefficient of determination. Constant truth: 1 when every prediction is exact, else 0. One row says nothing of variance.
#[expect(
    clippy::float_cmp,
    reason = "constant truth and exact predictions are meant to the last bit"
)]
pub fn r2(truth: &[f64], prediction: &[f64]) -> Value {
    let [first, _, ..] = truth else {
        return Err(format!(
            "R² needs two rows or more, the truth has {}",
            truth.len()
        ));
    };
    if truth.iter().all(|value| value == first) {
        return Ok(f64::from(u8::from(truth == prediction)));
    }
    // Squares of extreme magnitudes would overflow or vanish.
    let largest = truth
        .iter()
        .fold(0.0_f64, |largest, value| largest.max(value.abs()));
    let scale = if (1e-100..1e100).contains(&largest) {
        1.0
    } else {
        largest
    };
    let middle = truth.iter().map(|value| value / scale).sum::<f64>() / truth.len() as f64;
    let total: f64 = truth
        .iter()
        .map(|value| (value / scale - middle).powi(2))
        .sum();
    let residual: f64 = truth
        .iter()
        .zip(prediction)
        .map(|(truth, prediction)| (truth / scale - prediction / scale).powi(2))
        .sum();
    Ok(1.0 - residual / total)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn near(value: f64, expected: f64) {
        assert!(
            (value - expected).abs() < 1e-12,
            "{value} is not {expected}"
        );
    }

    #[test]
    fn errors_agree_with_their_definitions() {
        let (truth, prediction) = ([1.0, 2.0, 4.0], [1.0, 4.0, 3.0]);
        near(mean_squared_error(&truth, &prediction), 5.0 / 3.0);
        near(
            root_mean_squared_error(&truth, &prediction),
            (5.0_f64 / 3.0).sqrt(),
        );
        near(mean_absolute_error(&truth, &prediction), 1.0);
        near(median_absolute_error(&truth, &prediction), 1.0);
        near(median_absolute_error(&[0.0, 0.0], &[1.0, 2.0]), 1.5);
        near(
            mean_absolute_percentage_error(&truth, &prediction),
            (1.0 + 0.25) / 3.0,
        );
        near(
            symmetric_mean_absolute_percentage_error(&[0.0, 1.0], &[0.0, 3.0]),
            50.0,
        );
        near(
            root_mean_squared_logarithmic_error(&[0.0], &[1.0_f64.exp() - 1.0]).unwrap(),
            1.0,
        );
        assert!(root_mean_squared_logarithmic_error(&[0.0], &[-1.0]).is_err());
        assert!(root_mean_squared_logarithmic_error(&[-2.0], &[1.0]).is_err());
    }

    #[test]
    fn r2_agrees_with_scikit_learn() {
        // r2_score([3, -0.5, 2, 7], [2.5, 0.0, 2, 8]) = 0.9486081370449679
        near(
            r2(&[3.0, -0.5, 2.0, 7.0], &[2.5, 0.0, 2.0, 8.0]).unwrap(),
            0.948_608_137_044_967_9,
        );
    }

    #[test]
    fn constant_truth_is_all_or_nothing_and_one_row_is_nothing() {
        near(r2(&[0.1; 3], &[0.1; 3]).unwrap(), 1.0);
        near(r2(&[0.1; 3], &[0.1, 0.1, 0.2]).unwrap(), 0.0);
        near(r2(&[0.0, -0.0], &[0.0, 0.0]).unwrap(), 1.0);
        assert!(r2(&[], &[]).is_err() && r2(&[1.0], &[1.0]).is_err());
    }

    #[test]
    fn extreme_magnitudes_neither_overflow_nor_vanish() {
        for scale in [1e300, 1e-300, f64::MAX] {
            let truth = [scale, -scale, 0.0];
            near(r2(&truth, &truth).unwrap(), 1.0);
            near(r2(&truth, &[0.0; 3]).unwrap(), 0.0);
            assert!(r2(&truth, &[-scale, scale, scale]).unwrap() < 0.0);
        }
    }

    proptest! {
        #[test]
        #[expect(clippy::float_cmp, reason = "these values are exact")]
        fn exact_predictions_are_best(truth in prop::collection::vec(-0.9..1e9_f64, 2..30)) {
            prop_assert_eq!(r2(&truth, &truth), Ok(1.0));
            for error in [mean_squared_error, mean_absolute_error, median_absolute_error,
                mean_absolute_percentage_error, symmetric_mean_absolute_percentage_error] {
                prop_assert_eq!(error(&truth, &truth), 0.0);
            }
        }
    }
}
