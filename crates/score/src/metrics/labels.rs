//! Metrics of labels: accuracy, the F1 scores, Matthews correlation, and kappa of ratings.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::Hash;

/// How often each label stands in the truth, in the predictions, and in both at once.
#[derive(Debug)]
pub struct Labels {
    counts: Vec<Count>,
    rows: u64,
    /// The label for which a binary F1 looks, or why there is none.
    positive: Result<usize, String>,
}

#[derive(Clone, Debug, Default)]
struct Count {
    hits: u64,
    in_truth: u64,
    in_prediction: u64,
}

impl Count {
    fn f1(&self) -> f64 {
        2.0 * self.hits as f64 / (self.in_truth + self.in_prediction) as f64
    }
}

impl Labels {
    /// Labels that are text.
    pub fn of_text<'a>(
        truth: impl Iterator<Item = &'a str>,
        prediction: impl Iterator<Item = &'a str>,
    ) -> Self {
        Self::count(truth, prediction, Ord::cmp, |_| false)
    }

    /// Labels that are numbers, the same by value.
    pub fn of_numbers(truth: &[f64], prediction: &[f64]) -> Self {
        // Adding zero makes one of both zeros.
        let bits = |number: &f64| (number + 0.0).to_bits();
        Self::count(
            truth.iter().map(bits),
            prediction.iter().map(bits),
            |a, b| f64::from_bits(*a).total_cmp(&f64::from_bits(*b)),
            |label| *label == 1.0_f64.to_bits(),
        )
    }

    fn count<T: Hash + Eq + Copy>(
        truth: impl Iterator<Item = T>,
        prediction: impl Iterator<Item = T>,
        order: impl Fn(&T, &T) -> Ordering,
        is_one: impl Fn(&T) -> bool,
    ) -> Self {
        let mut positions: HashMap<T, usize> = HashMap::new();
        // In order of appearance, so that sums are rounded alike in every run.
        let mut counts: Vec<Count> = Vec::new();
        let mut names: Vec<T> = Vec::new();
        let mut rows = 0;
        for (truth, prediction) in truth.zip(prediction) {
            let mut position = |label: T| {
                *positions.entry(label).or_insert_with(|| {
                    counts.push(Count::default());
                    names.push(label);
                    counts.len() - 1
                })
            };
            let (a, b) = (position(truth), position(prediction));
            counts[a].in_truth += 1;
            counts[b].in_prediction += 1;
            counts[a].hits += u64::from(a == b);
            rows += 1;
        }
        // Only the truth says which labels there are; one that is predicted and unknown is just wrong.
        let mut known: Vec<usize> = (0..counts.len())
            .filter(|label| counts[*label].in_truth > 0)
            .collect();
        known.sort_by(|a, b| order(&names[*a], &names[*b]));
        let positive = match known[..] {
            [_, greater] => Ok(greater),
            [only] if is_one(&names[only]) => Ok(only),
            _ => match names.iter().position(is_one) {
                Some(one) if known.len() == 1 => Ok(one),
                _ => Err(format!(
                    "hidden truth: {} labels, f1 wants two",
                    known.len()
                )),
            },
        };
        Self {
            counts,
            rows,
            positive,
        }
    }

    /// The share of rows whose label is right, which also is F1 over all labels together.
    pub fn accuracy(&self) -> f64 {
        self.counts.iter().map(|count| count.hits).sum::<u64>() as f64 / self.rows as f64
    }

    /// The unweighted mean of the F1 of every label that stands in either column. 0 for no rows.
    pub fn macro_f1(&self) -> f64 {
        let count = self.counts.len().max(1);
        self.counts.iter().map(Count::f1).sum::<f64>() / count as f64
    }

    /// The mean of the labels' F1, weighted by how often each is true.
    pub fn weighted_f1(&self) -> f64 {
        let weighted = |count: &Count| count.f1() * count.in_truth as f64;
        self.counts.iter().map(weighted).sum::<f64>() / self.rows as f64
    }

    /// F1 of the positive label: 1, or the greater of the truth's two. 0 where it is nowhere.
    pub fn f1(&self) -> Result<f64, String> {
        match &self.positive {
            Ok(label) => Ok(self.counts[*label].f1()),
            Err(reason) => Err(reason.clone()),
        }
    }

    /// Matthews correlation over any number of labels (Gorodkin 2004); 0 where one column is constant.
    pub fn mcc(&self) -> f64 {
        let rows = self.rows as f64;
        let sum = |part: fn(&Count) -> f64| self.counts.iter().map(part).sum::<f64>();
        let together = rows * sum(|count| count.hits as f64)
            - sum(|count| count.in_truth as f64 * count.in_prediction as f64);
        let truth = rows * rows - sum(|count| (count.in_truth as f64).powi(2));
        let prediction = rows * rows - sum(|count| (count.in_prediction as f64).powi(2));
        let scale = truth.sqrt() * prediction.sqrt();
        if scale > 0.0 { together / scale } else { 0.0 }
    }
}

/// Cohen's kappa with quadratic weights, over whole numbers: one minus the mean squared distance of the pairs, over that of all truths with all
/// predictions. 1 where both columns hold one and the same rating.
pub fn quadratic_weighted_kappa(truth: &[f64], prediction: &[f64]) -> Result<f64, String> {
    let mut ratings = truth.iter().chain(prediction);
    if let Some(odd) = ratings.find(|rating| rating.fract() != 0.0 || rating.abs() > 1e9) {
        return Err(format!("{odd} is no rating: whole numbers are"));
    }
    let rows = truth.len() as f64;
    let mean = |column: &[f64]| column.iter().sum::<f64>() / rows;
    let (middle, other) = (mean(truth), mean(prediction));
    let spread = |column: &[f64], mean: f64| {
        column
            .iter()
            .map(|rating| (rating - mean).powi(2))
            .sum::<f64>()
            / rows
    };
    let by_chance = spread(truth, middle) + spread(prediction, other) + (middle - other).powi(2);
    let pairs = truth.iter().zip(prediction);
    let apart = pairs.map(|(a, b)| (a - b).powi(2)).sum::<f64>() / rows;
    Ok(if apart > 0.0 {
        1.0 - apart / by_chance
    } else {
        1.0
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn labels(truth: &str, prediction: &str) -> Labels {
        Labels::of_text(truth.split(' '), prediction.split(' '))
    }

    #[test]
    fn macro_f1_agrees_with_scikit_learn() {
        // f1_score([0, 1, 2, 0, 1, 2], [0, 2, 1, 0, 0, 1], average="macro") = 0.26666666666666666
        let score = labels("0 1 2 0 1 2", "0 2 1 0 0 1").macro_f1();
        assert!((score - 0.266_666_666_666_666_66).abs() < 1e-15);
        // A label that only the prediction has counts: f1_score(["a", "a"], ["a", "b"], average="macro") = 1/3
        assert!((labels("a a", "a b").macro_f1() - 1.0 / 3.0).abs() < 1e-15);
    }

    #[test]
    fn the_positive_label_is_one_or_the_greater_of_two() {
        let f1 = |truth: &[f64], prediction: &[f64]| Labels::of_numbers(truth, prediction).f1();
        assert_eq!(f1(&[0.0, 1.0, 1.0], &[0.0, 1.0, 0.0]), Ok(2.0 / 3.0));
        assert_eq!(f1(&[5.0, 7.0], &[7.0, 7.0]), Ok(2.0 / 3.0));
        assert_eq!(f1(&[0.0, 0.0], &[1.0, 0.0]), Ok(0.0));
        assert_eq!(f1(&[1.0], &[1.0]), Ok(1.0));
        assert!(f1(&[0.0, 0.0], &[0.0, 0.0]).is_err());
        assert!(f1(&[0.0, 1.0, 2.0], &[0.0, 1.0, 2.0]).is_err());
        assert_eq!(labels("no yes yes", "no yes maybe").f1(), Ok(2.0 / 3.0));
    }

    #[test]
    fn kappa_is_by_the_distance_of_ratings() {
        let kappa = |truth: &[f64], prediction: &[f64]| quadratic_weighted_kappa(truth, prediction);
        assert_eq!(kappa(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0]), Ok(1.0));
        assert_eq!(kappa(&[1.0, 3.0], &[3.0, 1.0]), Ok(-1.0));
        assert_eq!(kappa(&[2.0, 2.0], &[2.0, 2.0]), Ok(1.0));
        assert_eq!(kappa(&[2.0, 2.0], &[3.0, 3.0]), Ok(0.0));
        assert!(kappa(&[1.5], &[1.0]).is_err());
    }

    proptest! {
        #[test]
        #[expect(clippy::float_cmp, reason = "these values are exact")]
        fn right_labels_score_one_and_scores_lie_between(labels in prop::collection::vec(("[a-c]", "[a-d]"), 1..30)) {
            let truth = || labels.iter().map(|pair| pair.0.as_str());
            let prediction = || labels.iter().map(|pair| pair.1.as_str());
            prop_assert_eq!(Labels::of_text(truth(), truth()).macro_f1(), 1.0);
            let there = Labels::of_text(truth(), prediction());
            let back = Labels::of_text(prediction(), truth());
            prop_assert!((0.0..=1.0).contains(&there.macro_f1()));
            prop_assert!((0.0..=1.0).contains(&there.weighted_f1()));
            prop_assert!((-1.000_001..=1.000_001).contains(&there.mcc()));
            prop_assert!((there.macro_f1() - back.macro_f1()).abs() < 1e-12);
            prop_assert!((there.mcc() - back.mcc()).abs() < 1e-12);
        }
    }
}
