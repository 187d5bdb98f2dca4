//! Whether more of a metric is better, by the metric's own definition: what Kaggle's API does not say.

/// Words by which a metric is known of which more is better.
const MORE: [&str; 27] = [
    "accuracy",
    "auc",
    "auroc",
    "roc",
    "f1",
    "f2",
    "fbeta",
    "fscore",
    "precision",
    "recall",
    "map",
    "ap",
    "ndcg",
    "mrr",
    "jaccard",
    "dice",
    "iou",
    "kappa",
    "qwk",
    "correlation",
    "spearman",
    "r2",
    "gini",
    "mcc",
    "sharpe",
    "bleu",
    "likelihood",
];
/// Words by which a metric is known of which less is better.
const LESS: [&str; 23] = [
    "error",
    "loss",
    "logloss",
    "rmse",
    "rmsle",
    "mse",
    "msle",
    "mae",
    "mape",
    "smape",
    "wrmsse",
    "rmspe",
    "mcrmse",
    "mcrmsle",
    "nwrmsle",
    "brier",
    "crps",
    "deviation",
    "distance",
    "divergence",
    "entropy",
    "levenshtein",
    "pinball",
];
/// Words after which a word of loss means its opposite.
const OPPOSITE: [&str; 2] = ["negative", "neg"];

/// Whether more is better, as a metric's name says.
pub(super) fn of_name(name: &str) -> Option<bool> {
    let words = words(name);
    let is_less = words.iter().any(|word| LESS.contains(&word.as_str()));
    let is_more = words.iter().any(|word| MORE.contains(&word.as_str()))
        || words.windows(2).any(|pair| {
            matches!(
                [pair[0].as_str(), pair[1].as_str()],
                ["f", "score" | "beta" | "measure"] | ["r", "squared"] | ["true", "positives"]
            )
        });
    match (is_more, is_less) {
        // A mean error by another name: `Weighted Root Mean Squared Correlation Error`.
        (_, true) => Some(words.iter().any(|word| OPPOSITE.contains(&word.as_str()))),
        (true, false) => Some(true),
        (false, false) => None,
    }
}

/// The same of a page on scoring: by its first sentence that names a metric of one direction.
pub(super) fn of_page(page: &str) -> Option<bool> {
    page.split(['\n', '.', ';']).find_map(|sentence| {
        let words = words(sentence);
        let more = words.iter().any(|word| {
            MORE.contains(&word.as_str()) && word != "roc" && word != "map" && word != "ap"
        });
        let less = words.iter().any(|word| LESS.contains(&word.as_str()));
        let more =
            more || words.windows(2).any(|pair| {
                pair[0] == "roc" || pair[1] == "roc" || pair[0] == "map" && is_depth(&pair[1])
            }) || words
                .windows(3)
                .any(|three| three == ["area", "under", "the"]);
        match (more, less) {
            (true, false) => Some(true),
            (false, true) => Some(false),
            _ => None,
        }
    })
}

/// The k of `MAP@k`.
fn is_depth(word: &str) -> bool {
    word == "k" || word.bytes().all(|byte| byte.is_ascii_digit())
}

fn words(text: &str) -> Vec<String> {
    text.replace('²', "2")
        .replace("^2", "2")
        .replace("-score", " score")
        .split(|letter: char| !letter.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_their_direction() {
        for (name, expected) in [
            ("Root Mean Squared Error", Some(false)),
            ("RMSLE", Some(false)),
            ("Log Loss", Some(false)),
            (
                "Mean Columnwise Area Under Receiver Operating Characteristic Curve (ROC AUC)",
                Some(true),
            ),
            ("Quadratic Weighted Kappa", Some(true)),
            ("MAP@{K}", Some(true)),
            ("F-Score (Micro)", Some(true)),
            ("R2 Score", Some(true)),
            ("R^2", Some(true)),
            ("Categorization Accuracy", Some(true)),
            ("Custom metric", None),
            ("", None),
        ] {
            assert_eq!(of_name(name), expected, "{name}");
        }
    }

    #[test]
    fn a_page_tells_it_in_the_sentence_that_names_the_metric() {
        let page = "Submissions are scored on the root mean squared error. \
                    Accuracy is not used.";
        assert_eq!(of_page(page), Some(false));
        let page = "## Goal\nIt is your job to predict.\n## Metric\nThe area under the ROC curve.";
        assert_eq!(of_page(page), Some(true));
        assert_eq!(of_page("Look at the map of the city."), None);
        assert_eq!(of_page(""), None);
    }
}
