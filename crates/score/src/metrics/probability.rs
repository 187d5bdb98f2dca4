//! Metrics of probabilities and of scores that rank the positive rows first: AUC, logarithmic losses, Brier.

use super::{Matrices, same};

/// Area under the ROC curve: the chance that a positive row is ranked before a negative one, ties counting a half.
pub fn auc(positives: &[bool], scores: &[f64]) -> Result<f64, String> {
    let positive = positives.iter().filter(|positive| **positive).count();
    let negative = positives.len() - positive;
    if positive == 0 || negative == 0 {
        return Err("hidden truth: one class only, auc is not defined".to_owned());
    }
    let mut ranked: Vec<(f64, bool)> = scores
        .iter()
        .copied()
        .zip(positives.iter().copied())
        .collect();
    ranked.sort_unstable_by(|(a, _), (b, _)| a.total_cmp(b));
    // Twice the pairs won, so that halves stay whole numbers.
    let (mut won, mut below) = (0_u128, 0_u128);
    for tied in ranked.chunk_by(|(a, _), (b, _)| same(*a, *b)) {
        let ahead = tied.iter().filter(|(_, positive)| *positive).count() as u128;
        let behind = tied.len() as u128 - ahead;
        won += ahead * (2 * below + behind);
        below += behind;
    }
    Ok(won as f64 / (2.0 * positive as f64 * negative as f64))
}

/// Mean negative logarithm of the probability of what is true; probabilities are kept 2.2e-16 away from 0 and 1.
pub fn log_loss(positives: &[bool], probabilities: &[f64]) -> f64 {
    let loss = |(positive, probability): (&bool, &f64)| {
        let probability = clipped(*probability);
        -(if *positive {
            probability
        } else {
            1.0 - probability
        })
        .ln()
    };
    positives.iter().zip(probabilities).map(loss).sum::<f64>() / positives.len() as f64
}

/// Mean squared error of the probability.
pub fn brier(positives: &[bool], probabilities: &[f64]) -> f64 {
    let error = |(positive, probability): (&bool, &f64)| {
        (probability - f64::from(u8::from(*positive))).powi(2)
    };
    positives.iter().zip(probabilities).map(error).sum::<f64>() / positives.len() as f64
}

/// As [`log_loss`] with one column a class: the truth's rows say which class it is, the predictions' rows are scaled to sum to 1. A row of zeros
/// says nothing of any class.
pub fn multiclass_log_loss((truth, prediction): &Matrices) -> Result<f64, String> {
    if truth.len() < 2 {
        return Err("one target for each class is needed".to_owned());
    }
    let rows = truth.first().map_or(0, Vec::len);
    let mut total = 0.0;
    for row in 0..rows {
        let weight: f64 = truth.iter().map(|column| column[row]).sum();
        if (weight - 1.0).abs() > 1e-6 || truth.iter().any(|column| column[row] < 0.0) {
            return Err(format!("hidden truth: row {} is not of one class", row + 1));
        }
        if let Some(column) = prediction.iter().find(|column| column[row] < 0.0) {
            return Err(format!("{} is no probability", column[row]));
        }
        // The greatest first, so that no sum overflows.
        let most = prediction
            .iter()
            .map(|column| column[row])
            .fold(0.0, f64::max);
        let share = |column: &Vec<f64>| if most > 0.0 { column[row] / most } else { 1.0 };
        let sum: f64 = prediction.iter().map(share).sum();
        for (truth, prediction) in truth.iter().zip(prediction) {
            if truth[row] > 0.0 {
                total -= truth[row] * clipped(share(prediction) / sum).ln();
            }
        }
    }
    Ok(total / rows as f64)
}

fn clipped(probability: f64) -> f64 {
    probability.clamp(f64::EPSILON, 1.0 - f64::EPSILON)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(value: Result<f64, String>, expected: f64) {
        let value = value.unwrap();
        assert!(
            (value - expected).abs() < 1e-12,
            "{value} is not {expected}"
        );
    }

    #[test]
    fn ties_count_a_half_of_a_pair() {
        near(auc(&[true, false], &[0.9, 0.1]), 1.0);
        near(auc(&[true, false], &[0.1, 0.9]), 0.0);
        near(auc(&[true, false, true], &[0.5; 3]), 0.5);
        near(
            auc(&[false, false, true, true], &[0.1, 0.4, 0.35, 0.8]),
            0.75,
        );
        near(auc(&[true, false], &[0.0, -0.0]), 0.5);
        assert!(auc(&[true, true], &[0.1, 0.2]).is_err());
    }

    #[test]
    fn losses_of_certainty_are_finite() {
        near(Ok(log_loss(&[true, false], &[0.5, 0.5])), 2.0_f64.ln());
        near(Ok(log_loss(&[true], &[0.0])), -f64::EPSILON.ln());
        assert!((brier(&[true, false], &[0.0, 0.5]) - 0.625).abs() < 1e-15);
        let truth = vec![vec![1.0, 0.0], vec![0.0, 1.0]];
        near(
            multiclass_log_loss(&(truth.clone(), vec![vec![0.2, 0.0], vec![0.2, 0.0]])),
            2.0_f64.ln(),
        );
        near(
            multiclass_log_loss(&(truth.clone(), truth.clone())),
            f64::EPSILON,
        );
        assert!(
            multiclass_log_loss(&(truth.clone(), vec![vec![-0.1, 0.0], vec![0.2, 0.0]])).is_err()
        );
        assert!(
            multiclass_log_loss(&(vec![vec![0.5], vec![0.2]], vec![vec![0.5], vec![0.5]])).is_err()
        );
    }
}
