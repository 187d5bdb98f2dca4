//! Metrics of lists in order: mean average precision and discounted cumulative gain of the first k.

use std::collections::HashSet;

use super::{Matrices, same};

/// The average precision of the first `k` of the predicted items; items stand between blanks, best first, and one that is repeated counts once.
/// 0 where nothing is relevant.
pub fn average_precision(truth: &str, prediction: &str, k: u32) -> f64 {
    let relevant: HashSet<&str> = truth.split_whitespace().collect();
    let (mut hits, mut sum) = (0.0, 0.0);
    for rank in places(&relevant, prediction, k) {
        hits += 1.0;
        sum += hits / rank;
    }
    sum / (relevant.len().clamp(1, k as usize)) as f64
}

/// The discounted gain of the first `k` of the predicted items over the best possible, each relevant item a gain of 1.
pub fn ndcg_of_items(truth: &str, prediction: &str, k: u32) -> f64 {
    let relevant: HashSet<&str> = truth.split_whitespace().collect();
    let gain: f64 = places(&relevant, prediction, k).map(discount).sum();
    let most = relevant.len().min(k as usize);
    let best: f64 = (1..=most).map(|rank| discount(rank as f64)).sum();
    if best > 0.0 { gain / best } else { 0.0 }
}

/// The places, from 1, at which relevant items stand for the first time.
fn places<'a>(
    relevant: &'a HashSet<&str>,
    prediction: &'a str,
    k: u32,
) -> impl Iterator<Item = f64> + 'a {
    let mut seen = HashSet::new();
    prediction
        .split_whitespace()
        .take(k as usize)
        .enumerate()
        .filter(move |(_, item)| relevant.contains(item) && seen.insert(*item))
        .map(|(before, _)| before as f64 + 1.0)
}

fn discount(rank: f64) -> f64 {
    1.0 / (rank + 1.0).log2()
}

/// The mean over rows of the discounted gain of the `k` columns with the highest scores over the best possible; columns of equal scores share
/// their places. 0 for a row in which nothing has gain.
pub fn ndcg_of_scores((gains, scores): &Matrices, k: u32) -> Result<f64, String> {
    let rows = gains.first().map_or(0, Vec::len);
    let discounts: Vec<f64> = (0..gains.len())
        .map(|place| {
            if place < k as usize {
                discount(place as f64 + 1.0)
            } else {
                0.0
            }
        })
        .collect();
    let mut total = 0.0;
    for row in 0..rows {
        let mut columns: Vec<(f64, f64)> = gains
            .iter()
            .zip(scores)
            .map(|(gains, scores)| (scores[row] + 0.0, gains[row]))
            .collect();
        if columns.iter().any(|(_, gain)| *gain < 0.0) {
            return Err(format!("hidden truth: row {} has a negative gain", row + 1));
        }
        columns.sort_unstable_by(|a, b| b.0.total_cmp(&a.0));
        let (mut got, mut place) = (0.0, 0);
        for tied in columns.chunk_by(|a, b| same(a.0, b.0)) {
            let gain = tied.iter().map(|(_, gain)| gain).sum::<f64>() / tied.len() as f64;
            got += gain * discounts[place..place + tied.len()].iter().sum::<f64>();
            place += tied.len();
        }
        columns.sort_unstable_by(|a, b| b.1.total_cmp(&a.1));
        let best: f64 = columns
            .iter()
            .zip(&discounts)
            .map(|((_, gain), discount)| gain * discount)
            .sum();
        if best > 0.0 {
            total += got / best;
        }
    }
    Ok(total / rows as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(value: f64, expected: f64) {
        assert!(
            (value - expected).abs() < 1e-12,
            "{value} is not {expected}"
        );
    }

    #[test]
    fn precision_counts_each_relevant_item_once() {
        near(average_precision("a", "a b c", 3), 1.0);
        near(average_precision("a", "b a c", 3), 0.5);
        near(average_precision("a", "a a a", 3), 1.0);
        near(average_precision("a", "b c d a", 3), 0.0);
        near(
            average_precision("a b", "a x b", 3),
            f64::midpoint(1.0, 2.0 / 3.0),
        );
        near(average_precision("a b c d", "a b", 2), 1.0);
        near(average_precision("", "a", 3), 0.0);
        near(average_precision("a", "", 3), 0.0);
    }

    #[test]
    fn gain_is_discounted_by_the_logarithm_of_the_place() {
        near(ndcg_of_items("a", "b a", 5), 1.0 / 3.0_f64.log2());
        near(ndcg_of_items("a b", "b a", 5), 1.0);
        near(ndcg_of_items("", "b a", 5), 0.0);
        let gains = vec![vec![1.0], vec![0.0], vec![2.0]];
        near(
            ndcg_of_scores(&(gains.clone(), vec![vec![2.0], vec![1.0], vec![3.0]]), 3).unwrap(),
            1.0,
        );
        let tied = ndcg_of_scores(&(gains.clone(), vec![vec![1.0]; 3]), 3).unwrap();
        let discounts = 1.0 + 1.0 / 3.0_f64.log2() + 0.5;
        near(tied, discounts / (2.0 + 1.0 / 3.0_f64.log2()));
        near(
            ndcg_of_scores(&(vec![vec![0.0]; 2], vec![vec![1.0]; 2]), 3).unwrap(),
            0.0,
        );
        assert!(ndcg_of_scores(&(vec![vec![-1.0]; 2], vec![vec![1.0]; 2]), 3).is_err());
    }
}
