//! The arithmetic of the metrics, over columns that are already aligned.

use std::collections::HashMap;

/// Macro-averaged F1: the unweighted mean of each label's F1 over the union of the labels in both columns.
///
/// The same as scikit-learn's `f1_score(truth, prediction, average="macro", zero_division=0)`. 0 for empty columns.
pub fn macro_f1(truth: &[&str], prediction: &[&str]) -> f64 {
    #[derive(Default)]
    struct Counts {
        hits: u64,
        in_truth: u64,
        in_prediction: u64,
    }
    let mut positions: HashMap<&str, usize> = HashMap::new();
    // In order of appearance, so that the sum is rounded alike in every run.
    let mut labels: Vec<Counts> = Vec::new();
    let mut position = |label, labels: &mut Vec<Counts>| {
        *positions.entry(label).or_insert_with(|| {
            labels.push(Counts::default());
            labels.len() - 1
        })
    };
    for &label in truth {
        let label = position(label, &mut labels);
        labels[label].in_truth += 1;
    }
    for (&truth, &label) in truth.iter().zip(prediction) {
        let hit = u64::from(truth == label);
        let label = position(label, &mut labels);
        labels[label].in_prediction += 1;
        labels[label].hits += hit;
    }
    if labels.is_empty() {
        return 0.0;
    }
    let f1 =
        |label: &Counts| 2.0 * label.hits as f64 / (label.in_truth + label.in_prediction) as f64;
    labels.iter().map(f1).sum::<f64>() / labels.len() as f64
}

/// The coefficient of determination, clipped to 0..1 (DARE-bench's score for regression and forecasts).
///
/// As scikit-learn's `r2_score`, whose `force_finite` defines the case of constant truth: 1 when every prediction is
/// exact, else 0. All numbers must be finite. 0 for empty columns.
#[expect(
    clippy::float_cmp,
    reason = "constant truth and exact predictions are meant to the last bit"
)]
pub fn clipped_r2(truth: &[f64], prediction: &[f64]) -> f64 {
    let Some(&first) = truth.first() else {
        return 0.0;
    };
    if truth.iter().all(|&value| value == first) {
        let exact = truth
            .iter()
            .zip(prediction)
            .all(|(truth, prediction)| truth == prediction);
        return f64::from(u8::from(exact));
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
    let mean = truth.iter().map(|value| value / scale).sum::<f64>() / truth.len() as f64;
    let total: f64 = truth
        .iter()
        .map(|value| (value / scale - mean).powi(2))
        .sum();
    let residual: f64 = truth
        .iter()
        .zip(prediction)
        .map(|(truth, prediction)| (truth / scale - prediction / scale).powi(2))
        .sum();
    let r2 = 1.0 - residual / total;
    if r2.is_nan() { 0.0 } else { r2.clamp(0.0, 1.0) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn macro_f1_agrees_with_scikit_learn() {
        // f1_score([0, 1, 2, 0, 1, 2], [0, 2, 1, 0, 0, 1], average="macro") = 0.26666666666666666
        let score = macro_f1(
            &["0", "1", "2", "0", "1", "2"],
            &["0", "2", "1", "0", "0", "1"],
        );
        assert!((score - 0.266_666_666_666_666_66).abs() < 1e-15);
        // A label that only the prediction has counts: f1_score(["a", "a"], ["a", "b"], average="macro") = 1/3
        assert!((macro_f1(&["a", "a"], &["a", "b"]) - 1.0 / 3.0).abs() < 1e-15);
    }

    #[test]
    fn clipped_r2_agrees_with_scikit_learn() {
        // r2_score([3, -0.5, 2, 7], [2.5, 0.0, 2, 8]) = 0.9486081370449679
        let score = clipped_r2(&[3.0, -0.5, 2.0, 7.0], &[2.5, 0.0, 2.0, 8.0]);
        assert!((score - 0.948_608_137_044_967_9).abs() < 1e-15);
    }

    #[test]
    #[expect(clippy::float_cmp, reason = "these values are exact")]
    fn constant_truth_is_all_or_nothing() {
        assert_eq!(clipped_r2(&[0.1; 3], &[0.1; 3]), 1.0);
        assert_eq!(clipped_r2(&[0.1; 3], &[0.1, 0.1, 0.2]), 0.0);
        assert_eq!(clipped_r2(&[], &[]), 0.0);
        assert_eq!(clipped_r2(&[0.0, -0.0], &[0.0, 0.0]), 1.0);
    }

    #[test]
    fn extreme_magnitudes_neither_overflow_nor_vanish() {
        for scale in [1e300, 1e-300, f64::MAX] {
            let truth = [scale, -scale, 0.0];
            assert!(clipped_r2(&truth, &truth) > 0.999);
            assert!(clipped_r2(&truth, &[0.0; 3]) < 1e-9);
            assert!(clipped_r2(&truth, &[-scale, scale, scale]) < 1e-9);
        }
    }

    proptest! {
        #[test]
        #[expect(clippy::float_cmp, reason = "these values are exact")]
        fn exact_predictions_score_one_and_all_scores_lie_between(
            pairs in prop::collection::vec((-1e9..1e9_f64, -1e9..1e9_f64), 1..30),
            labels in prop::collection::vec(("[a-c]", "[a-d]"), 1..30),
        ) {
            let (truth, prediction): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
            prop_assert_eq!(clipped_r2(&truth, &truth), 1.0);
            prop_assert!((0.0..=1.0).contains(&clipped_r2(&truth, &prediction)));
            let truth: Vec<_> = labels.iter().map(|pair| pair.0.as_str()).collect();
            let prediction: Vec<_> = labels.iter().map(|pair| pair.1.as_str()).collect();
            prop_assert_eq!(macro_f1(&truth, &truth), 1.0);
            prop_assert!((0.0..=1.0).contains(&macro_f1(&truth, &prediction)));
            prop_assert!((macro_f1(&truth, &prediction) - macro_f1(&prediction, &truth)).abs() < 1e-12);
        }
    }
}
