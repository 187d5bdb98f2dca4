//! Whether predictions order the rows as the truth does: Pearson, Spearman, Gini. A constant column is in no order: 0.

use super::same;

/// Pearson's correlation; 0 where a column is constant.
pub fn pearson(truth: &[f64], prediction: &[f64]) -> f64 {
    let (Some(truth), Some(prediction)) = (centred(truth), centred(prediction)) else {
        return 0.0;
    };
    let pairs = truth.iter().zip(&prediction);
    pairs.map(|(a, b)| a * b).sum::<f64>().clamp(-1.0, 1.0)
}

/// Spearman's: Pearson's of the ranks, those of equal values averaged.
pub fn spearman(truth: &[f64], prediction: &[f64]) -> f64 {
    pearson(&ranks(truth), &ranks(prediction))
}

/// The normalised Gini coefficient: the area between the Lorenz curve of the truth in the order of falling predictions and the diagonal, over the
/// same in its own order. Rows of equal predictions stay in the order of the truth's rows. 0 for constant or vanishing truth.
pub fn normalised_gini(truth: &[f64], prediction: &[f64]) -> f64 {
    let (got, best) = (gini(truth, prediction), gini(truth, truth));
    let value = got / best;
    // Constant truth leaves a rounding error of the best, or nothing.
    let constant = truth
        .windows(2)
        .all(|pair| pair[0].total_cmp(&pair[1]).is_eq());
    if value.is_finite() && !constant {
        value
    } else {
        0.0
    }
}

fn gini(truth: &[f64], by: &[f64]) -> f64 {
    let mut order: Vec<usize> = (0..truth.len()).collect();
    // Zeros of either sign are equal, as everywhere.
    order.sort_by(|a, b| (by[*b] + 0.0).total_cmp(&(by[*a] + 0.0)));
    let total: f64 = truth.iter().sum();
    let (mut sum, mut area) = (0.0, 0.0);
    for row in order {
        sum += truth[row];
        area += sum;
    }
    let rows = truth.len() as f64;
    (area / total - f64::midpoint(rows, 1.0)) / rows
}

/// The column with mean 0 and length 1; `None` for a constant one.
fn centred(column: &[f64]) -> Option<Vec<f64>> {
    let first = *column.first()?;
    if column.iter().all(|value| value.total_cmp(&first).is_eq()) {
        return None;
    }
    // Squares of extreme magnitudes would overflow or vanish.
    let largest = column
        .iter()
        .fold(0.0_f64, |largest, value| largest.max(value.abs()));
    let scale = if (1e-100..1e100).contains(&largest) {
        1.0
    } else {
        largest
    };
    let mean = column.iter().map(|value| value / scale).sum::<f64>() / column.len() as f64;
    let mut centred: Vec<f64> = column.iter().map(|value| value / scale - mean).collect();
    let length = centred
        .iter()
        .map(|value| value * value)
        .sum::<f64>()
        .sqrt();
    if length <= 0.0 {
        return None;
    }
    for value in &mut centred {
        *value /= length;
    }
    Some(centred)
}

fn ranks(column: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..column.len()).collect();
    order.sort_unstable_by(|a, b| (column[*a] + 0.0).total_cmp(&(column[*b] + 0.0)));
    let mut ranks = vec![0.0; column.len()];
    let mut before = 0;
    for tied in order.chunk_by(|a, b| same(column[*a], column[*b])) {
        let rank = before as f64 + f64::midpoint(tied.len() as f64, 1.0);
        for row in tied {
            ranks[*row] = rank;
        }
        before += tied.len();
    }
    ranks
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
    fn order_is_measured_with_ties_averaged() {
        assert_eq!(ranks(&[10.0, 20.0, 10.0, -5.0]), [2.5, 4.0, 2.5, 1.0]);
        assert_eq!(ranks(&[0.0, -0.0]), [1.5, 1.5]);
        near(spearman(&[1.0, 2.0, 3.0], &[10.0, 100.0, 1000.0]), 1.0);
        near(spearman(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]), -1.0);
        near(spearman(&[1.0, 2.0], &[5.0, 5.0]), 0.0);
        near(pearson(&[1.0, 2.0, 3.0], &[1.0, 3.0, 2.0]), 0.5);
        near(pearson(&[1e300, -1e300], &[1.0, 2.0]), -1.0);
    }

    #[test]
    fn gini_is_one_in_the_right_order_and_zero_without_any() {
        near(normalised_gini(&[0.0, 1.0, 2.0], &[1.0, 5.0, 9.0]), 1.0);
        near(normalised_gini(&[0.0, 1.0, 2.0], &[9.0, 5.0, 1.0]), -1.0);
        near(normalised_gini(&[0.1, 0.1, 0.1], &[9.0, 5.0, 1.0]), 0.0);
        near(normalised_gini(&[0.0, 0.0], &[9.0, 5.0]), 0.0);
        near(normalised_gini(&[1.0, -1.0], &[9.0, 5.0]), 0.0);
    }

    proptest! {
        #[test]
        fn correlations_lie_between(pairs in prop::collection::vec((-1e3..1e3_f64, -4..4_i32), 1..40)) {
            let (truth, prediction): (Vec<_>, Vec<_>) = pairs.into_iter().map(|(a, b)| (a, f64::from(b))).unzip();
            for value in [pearson(&truth, &prediction), spearman(&truth, &prediction)] {
                prop_assert!((-1.0..=1.0).contains(&value));
            }
        }
    }
}
