//! How much two texts share.

use std::collections::HashSet;

/// Words in both texts over words in either, without regard to case. Two empty texts are the same.
pub fn jaccard(truth: &str, prediction: &str) -> f64 {
    let (truth, prediction) = (truth.to_lowercase(), prediction.to_lowercase());
    let truth: HashSet<&str> = truth.split_whitespace().collect();
    let prediction: HashSet<&str> = prediction.split_whitespace().collect();
    let both = truth.intersection(&prediction).count();
    let either = truth.len() + prediction.len() - both;
    if either == 0 {
        1.0
    } else {
        both as f64 / either as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_counted_once_and_without_case() {
        for (truth, prediction, expected) in [
            ("so very sad", "SAD so", 2.0 / 3.0),
            ("a a a", "a", 1.0),
            ("a", "b", 0.0),
            ("a", "", 0.0),
            ("", " ", 1.0),
        ] {
            assert!((jaccard(truth, prediction) - expected).abs() < 1e-12);
        }
    }
}
