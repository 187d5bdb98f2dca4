//! Recognises a metric: by the name that Kaggle gives it, or in the words of a competition's Evaluation page.
//!
//! A wrong metric is worse than none, so that what is weighted, balanced, averaged over samples, one of several, or known and
//! not ours is not recognised. Both functions are pure and total.

use synth_core::Metric;

/// What a phrase means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Meaning {
    /// A metric that we have.
    Ours(Metric),
    /// Mean average precision of as many predictions as the number behind it says.
    MapAt,
    /// Discounted cumulative gain of as many predictions as the number behind it says.
    NdcgAt,
    /// A metric, and none that we have.
    Foreign,
}

use Meaning::{Foreign, MapAt, NdcgAt, Ours};

/// Phrases in words as [`words`] makes them. At each place the longest wins.
const PHRASES: &[(&str, Meaning)] = &[
    ("accuracy", Ours(Metric::Accuracy)),
    ("categorization accuracy", Ours(Metric::Accuracy)),
    ("classification accuracy", Ours(Metric::Accuracy)),
    ("multi class accuracy", Ours(Metric::Accuracy)),
    ("balanced accuracy", Foreign),
    ("accuracy @", Foreign),
    ("auc", Ours(Metric::Auc)),
    ("roc", Ours(Metric::Auc)),
    ("roc auc", Ours(Metric::Auc)),
    ("auc roc", Ours(Metric::Auc)),
    ("roc curve", Ours(Metric::Auc)),
    ("area under the roc curve", Ours(Metric::Auc)),
    ("area under roc curve", Ours(Metric::Auc)),
    ("area under the roc", Ours(Metric::Auc)),
    (
        "area under receiver operating characteristic curve",
        Ours(Metric::Auc),
    ),
    (
        "area under the receiver operating characteristic",
        Ours(Metric::Auc),
    ),
    ("receiver operating characteristic", Ours(Metric::Auc)),
    ("mcauc", Ours(Metric::Auc)),
    ("precision recall curve", Foreign),
    ("pr auc", Foreign),
    ("auprc", Foreign),
    ("auc pr", Foreign),
    ("log loss", Ours(Metric::LogLoss)),
    ("binary log loss", Ours(Metric::LogLoss)),
    ("binary cross entropy", Ours(Metric::LogLoss)),
    ("mclog loss", Ours(Metric::LogLoss)),
    ("multi class log loss", Ours(Metric::MulticlassLogLoss)),
    ("multi class loss", Ours(Metric::MulticlassLogLoss)),
    ("multi class cross entropy", Ours(Metric::MulticlassLogLoss)),
    ("categorical cross entropy", Ours(Metric::MulticlassLogLoss)),
    ("f1", Ours(Metric::F1)),
    ("f1 score", Ours(Metric::F1)),
    ("f 1 score", Ours(Metric::F1)),
    ("macro f1", Ours(Metric::MacroF1)),
    ("macro f1 score", Ours(Metric::MacroF1)),
    ("macro averaged f1", Ours(Metric::MacroF1)),
    ("macro averaged f1 score", Ours(Metric::MacroF1)),
    ("micro f1", Ours(Metric::MicroF1)),
    ("micro f1 score", Ours(Metric::MicroF1)),
    ("micro averaged f1", Ours(Metric::MicroF1)),
    ("micro averaged f1 score", Ours(Metric::MicroF1)),
    ("weighted f1", Ours(Metric::WeightedF1)),
    ("weighted f1 score", Ours(Metric::WeightedF1)),
    ("weighted averaged f1", Ours(Metric::WeightedF1)),
    ("weighted averaged f1 score", Ours(Metric::WeightedF1)),
    // Kaggle's mean F score is a mean over rows that hold sets of labels.
    ("mean f1", Foreign),
    ("mean f score", Foreign),
    ("average f1", Foreign),
    ("f score", Foreign),
    ("f2", Foreign),
    ("f0", Foreign),
    ("f beta", Foreign),
    ("fbeta", Foreign),
    ("matthews correlation coefficient", Ours(Metric::Mcc)),
    ("matthews correlation", Ours(Metric::Mcc)),
    ("mcc", Ours(Metric::Mcc)),
    ("rmse", Ours(Metric::Rmse)),
    ("root mean squared error", Ours(Metric::Rmse)),
    ("root mean squared deviation", Ours(Metric::Rmse)),
    ("mcrmse", Ours(Metric::Rmse)),
    ("rmsle", Ours(Metric::Rmsle)),
    ("rmlse", Ours(Metric::Rmsle)),
    ("root mean squared log error", Ours(Metric::Rmsle)),
    ("mcrmsle", Ours(Metric::Rmsle)),
    ("rmspe", Foreign),
    ("root mean squared percentage error", Foreign),
    ("rmsse", Foreign),
    ("wrmsse", Foreign),
    ("rmsre", Foreign),
    ("mse", Ours(Metric::Mse)),
    ("mean squared error", Ours(Metric::Mse)),
    ("msle", Foreign),
    ("mean squared log error", Foreign),
    ("mae", Ours(Metric::Mae)),
    ("mean absolute error", Ours(Metric::Mae)),
    ("mean absolute deviation", Ours(Metric::Mae)),
    ("mcmae", Foreign),
    ("medae", Ours(Metric::MedianAe)),
    ("med ae", Ours(Metric::MedianAe)),
    ("median absolute error", Ours(Metric::MedianAe)),
    ("mape", Ours(Metric::Mape)),
    ("mean absolute percentage error", Ours(Metric::Mape)),
    ("smape", Ours(Metric::Smape)),
    (
        "symmetric mean absolute percentage error",
        Ours(Metric::Smape),
    ),
    ("wmae", Foreign),
    ("wmape", Foreign),
    ("mase", Foreign),
    ("mean absolute scaled error", Foreign),
    ("r2", Ours(Metric::R2)),
    ("r2 score", Ours(Metric::R2)),
    ("r 2", Ours(Metric::R2)),
    ("r squared", Ours(Metric::R2)),
    ("rsquared", Ours(Metric::R2)),
    ("coefficient of determination", Ours(Metric::R2)),
    ("spearman", Ours(Metric::Spearman)),
    ("spearman r", Ours(Metric::Spearman)),
    ("spearman correlation", Ours(Metric::Spearman)),
    ("spearman correlation coefficient", Ours(Metric::Spearman)),
    ("spearman rank correlation", Ours(Metric::Spearman)),
    (
        "spearman rank correlation coefficient",
        Ours(Metric::Spearman),
    ),
    ("spearman rho", Ours(Metric::Spearman)),
    ("pearson", Ours(Metric::Pearson)),
    ("pearson correlation", Ours(Metric::Pearson)),
    ("pearson correlation coefficient", Ours(Metric::Pearson)),
    (
        "quadratic weighted kappa",
        Ours(Metric::QuadraticWeightedKappa),
    ),
    ("qwk", Ours(Metric::QuadraticWeightedKappa)),
    (
        "quadratic weighted kappa score",
        Ours(Metric::QuadraticWeightedKappa),
    ),
    (
        "quadratically weighted kappa",
        Ours(Metric::QuadraticWeightedKappa),
    ),
    ("cohen kappa", Foreign),
    ("kappa", Foreign),
    ("map @", MapAt),
    ("mpa @", MapAt),
    ("mean average precision @", MapAt),
    ("mean average precision at", MapAt),
    ("map", Foreign),
    ("mean average precision", Foreign),
    ("global average precision", Foreign),
    ("average precision", Foreign),
    ("ndcg @", NdcgAt),
    ("ndcg at", NdcgAt),
    ("normalized discounted cumulative gain @", NdcgAt),
    ("normalized discounted cumulative gain at", NdcgAt),
    ("ndcg", Foreign),
    ("normalized discounted cumulative gain", Foreign),
    ("word level jaccard", Ours(Metric::Jaccard)),
    ("jaccard", Foreign),
    ("normalized gini", Ours(Metric::Gini)),
    ("normalized gini coefficient", Ours(Metric::Gini)),
    ("normalized gini index", Ours(Metric::Gini)),
    ("gini", Foreign),
    ("brier", Ours(Metric::Brier)),
    ("brier score", Ours(Metric::Brier)),
    ("kendall", Foreign),
    ("dice", Foreign),
    ("iou", Foreign),
    ("intersection over union", Foreign),
    ("crps", Foreign),
    ("continuous ranked probability score", Foreign),
    ("pinball", Foreign),
    ("quantile loss", Foreign),
    ("levenshtein", Foreign),
    ("edit distance", Foreign),
    ("word error rate", Foreign),
    ("bleu", Foreign),
    ("rouge", Foreign),
    ("perplexity", Foreign),
    ("concordance index", Foreign),
    ("c index", Foreign),
    ("hamming", Foreign),
    ("hinge", Foreign),
    ("sharpe", Foreign),
    ("kullback", Foreign),
    ("kl divergence", Foreign),
    ("laplace log likelihood", Foreign),
    ("log likelihood", Foreign),
    ("silhouette", Foreign),
    ("rand index", Foreign),
    ("recall @", Foreign),
    ("precision @", Foreign),
];

/// Words that make another metric of the one behind them.
const CHANGING: &[&str] = &[
    "weighted",
    "balanced",
    "modified",
    "custom",
    "adapted",
    "scaled",
    "normalized",
    "partial",
    "top",
    "group",
    "grouped",
    "samples",
    "sample",
    "harmonic",
    "negative",
    "relative",
    "adjusted",
    "capped",
    "clipped",
    "trimmed",
    "truncated",
    "stable",
    "pixel",
    "instance",
    "percentile",
    "zero",
    "probabilistic",
    "macro",
    "micro",
    "padded",
    "soft",
    "standardized",
    "variant",
];

/// Words of which no further one may stand in the sentence that names the metric: the whole is then another.
const MIXING: &[&str] = &["weighted", "weights", "weighting", "penalty", "penalized"];

/// Where a page says this, no single metric over all rows scores the submission, or none that compares predictions.
const ELSEWHERE: &[&str] = &[
    "submit a dataset",
    "is not scored",
    "are not scored",
    "two evaluation metrics",
    "two metrics",
    "three metrics",
    "multiple metrics",
    "combination of",
    "stability metric",
];

/// What makes a sentence one that says how submissions are scored.
const TELLING: &[&str] = &[
    "evaluat", "scor", "metric", "measured", "judged", "ranked", "graded", "known", "assessed",
];

/// A mean average precision over longer lists than this is one over classes, with partly judged lists, not one over rows.
const MOST_PREDICTIONS: u32 = 1000;
/// A page longer than this says its metric before.
const MOST_BYTES: usize = 100_000;
/// Headings and lone names are this short.
const SHORT_WORDS: usize = 10;
const QUOTED_CHARACTERS: usize = 160;

/// Words of a name that change nothing.
const IDLE: &[&str] = &[
    "score",
    "metric",
    "the",
    "error",
    "curve",
    "index",
    "coefficient",
    "mean",
    "columnwise",
    "column",
    "wise",
    "and",
    "of",
];

/// The metric that Kaggle calls so: a name or an abbreviation of Meta Kaggle's, or a name of ours. `None` where it is not one
/// of ours, or not wholly.
pub fn metric_by_name(name: &str) -> Option<Metric> {
    let name = name.trim();
    if let Ok(metric) = name.parse() {
        return Some(metric);
    }
    let words = words(head(name));
    let columnwise = words.iter().any(|word| word.starts_with("column"));
    let matches = matches(&words);
    let mut covered = vec![false; words.len()];
    for found in &matches {
        covered[found.start..found.end].fill(true);
    }
    let is_whole = words
        .iter()
        .zip(&covered)
        .all(|(word, covered)| *covered || IDLE.contains(&word.as_str()));
    let metric = single(&matches)?;
    (is_whole && (!columnwise || is_mean_over_columns(metric))).then_some(metric)
}

/// The metric that an Evaluation page, in Markdown, declares; else what it says instead, as a quote.
pub fn metric_in_text(page: &str) -> Result<Metric, String> {
    let page = without_addresses(&without_formulas(head(page)));
    let all = words(&page);
    if let Some(phrase) = ELSEWHERE.iter().find(|phrase| has_phrase(&all, phrase)) {
        return Err(format!("it says `{phrase}`"));
    }
    for sentence in sentences(&page) {
        let words = words(sentence);
        let matches = matches(&words);
        let tells = words.len() <= SHORT_WORDS
            || words
                .iter()
                .any(|word| TELLING.iter().any(|stem| word.starts_with(stem)));
        if matches.is_empty() || !tells {
            continue;
        }
        return named(&words, &matches).ok_or_else(|| quote(sentence));
    }
    Err(quote(&page))
}

/// What a sentence names, where it names one metric of ours and nothing that makes another of it.
fn named(words: &[String], matches: &[Found]) -> Option<Metric> {
    let inside = |at: usize| {
        matches
            .iter()
            .any(|found| (found.start..found.end).contains(&at))
    };
    let is_mixed = words
        .iter()
        .enumerate()
        .any(|(at, word)| MIXING.contains(&word.as_str()) && !inside(at));
    let is_changed = matches.iter().any(|found| {
        words[found.start.saturating_sub(2)..found.start]
            .iter()
            .any(|word| CHANGING.contains(&word.as_str()))
    });
    if is_mixed || is_changed {
        return None;
    }
    let metric = single(matches)?;
    let columnwise = words.iter().any(|word| word.starts_with("column"));
    if columnwise && !is_mean_over_columns(metric) {
        return None;
    }
    let has = |wanted: &str| words.iter().any(|word| word == wanted);
    Some(match metric {
        // An error of logarithms: but for the one that is added, a logarithmic error.
        Metric::Rmse if has("logarithm") || has("logarithms") || has("log1p") => Metric::Rmsle,
        Metric::Rmse | Metric::Mae | Metric::Mse if has("log") => return None,
        metric => metric,
    })
}

/// The one metric that all phrases mean. Accuracy is a common word too, and gives way to any other.
fn single(matches: &[Found]) -> Option<Metric> {
    let mut one = None;
    for found in matches {
        let metric = match (found.meaning, found.number) {
            (Ours(metric), _) => metric,
            (MapAt, Some(k)) => Metric::MapAtK(k),
            (NdcgAt, Some(k)) => Metric::NdcgAtK(k),
            (MapAt | NdcgAt | Foreign, _) => return None,
        };
        match one {
            None | Some(Metric::Accuracy) => one = Some(metric),
            Some(_) if metric == Metric::Accuracy => {}
            Some(before) if before == metric => {}
            Some(_) => return None,
        }
    }
    one
}

/// Whether our metric of several columns is the mean of the columns'.
fn is_mean_over_columns(metric: Metric) -> bool {
    matches!(
        metric,
        Metric::Auc | Metric::LogLoss | Metric::Rmse | Metric::Rmsle
    )
}

/// A phrase found among words.
struct Found {
    start: usize,
    end: usize,
    meaning: Meaning,
    number: Option<u32>,
}

fn matches(words: &[String]) -> Vec<Found> {
    let mut found = Vec::new();
    let mut at = 0;
    while at < words.len() {
        let longest = PHRASES
            .iter()
            .filter(|(phrase, _)| starts_with(&words[at..], phrase))
            .filter(|(phrase, meaning)| {
                // The word `at` asks for a number behind it: there are thresholds and intervals too.
                !(phrase.ends_with(" at") && matches!(meaning, MapAt | NdcgAt))
                    || number(words.get(at + length(phrase))).is_some()
            })
            .max_by_key(|(phrase, _)| length(phrase));
        let Some((phrase, meaning)) = longest else {
            at += 1;
            continue;
        };
        let mut end = at + length(phrase);
        let mut k = None;
        if matches!(meaning, MapAt | NdcgAt) {
            k = number(words.get(end)).filter(|k| (1..=MOST_PREDICTIONS).contains(k));
            end += usize::from(k.is_some());
        }
        found.push(Found {
            start: at,
            end,
            meaning: *meaning,
            number: k,
        });
        at = end;
    }
    found
}

fn number(word: Option<&String>) -> Option<u32> {
    word?.parse().ok()
}

fn length(phrase: &str) -> usize {
    phrase.split(' ').count()
}

fn starts_with(words: &[String], phrase: &str) -> bool {
    let mut words = words.iter();
    phrase
        .split(' ')
        .all(|wanted| words.next().is_some_and(|word| word == wanted))
}

fn has_phrase(words: &[String], phrase: &str) -> bool {
    (0..words.len()).any(|at| starts_with(&words[at..], phrase))
}

/// Words in lower case and one spelling. `@` is a word; `LogLoss` is two, and so is the `RMSE)Submissions` of torn pages.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        // 100,000 is one number; the s of Spearman's is none.
        let glued = character == ','
            && before.is_ascii_digit()
            && characters.peek().is_some_and(char::is_ascii_digit);
        let splits = before.is_lowercase() && character.is_uppercase();
        if splits || !(character.is_alphanumeric() || glued) {
            words.push(String::new());
        }
        match character {
            '@' => words.extend(["@".to_owned(), String::new()]),
            '²' => {
                // `R²` has been pushed as `r` and ends here.
                if before == 'R' || before == 'r' {
                    words.retain(|word| !word.is_empty());
                    words.pop();
                    words.push("r2".to_owned());
                }
                words.push(String::new());
            }
            _ if character.is_alphanumeric() => words
                .last_mut()
                .expect("there is always a last word")
                .extend(character.to_lowercase()),
            _ => {}
        }
        before = character;
    }
    let spelled = |word: String| match word.as_str() {
        "" | "s" => Vec::new(),
        "square" | "squares" => vec!["squared".to_owned()],
        "logarithmic" => vec!["log".to_owned()],
        "normalised" => vec!["normalized".to_owned()],
        "multiclass" => vec!["multi".to_owned(), "class".to_owned()],
        "logloss" => vec!["log".to_owned(), "loss".to_owned()],
        "crossentropy" => vec!["cross".to_owned(), "entropy".to_owned()],
        "average" | "avg" => vec!["average".to_owned()],
        "quadric" => vec!["quadratic".to_owned()],
        "precent" => vec!["percentage".to_owned()],
        _ => vec![word],
    };
    let words: Vec<String> = words.into_iter().flat_map(spelled).collect();
    one_spelling(words)
}

/// `macro average f1` and `macro averaged f1` are the same; `f 1` is `f1`; `log loss` has many dresses.
fn one_spelling(words: Vec<String>) -> Vec<String> {
    let mut spelled: Vec<String> = Vec::with_capacity(words.len());
    for word in words {
        match (spelled.last().map(String::as_str), word.as_str()) {
            (Some("macro" | "micro" | "weighted"), "average") => {
                spelled.push("averaged".to_owned());
            }
            (Some("f"), "1") => {
                spelled.pop();
                spelled.push("f1".to_owned());
            }
            _ => spelled.push(word),
        }
    }
    spelled
}

/// Sentences and lines.
fn sentences(text: &str) -> impl Iterator<Item = &str> {
    text.split('\n').flat_map(|line| line.split(". "))
}

/// Without what stands between dollars or in LaTeX brackets: its letters are no words.
fn without_formulas(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    let pairs = [("$$", "$$"), ("$", "$"), ("\\[", "\\]"), ("\\(", "\\)")];
    loop {
        let next = pairs
            .iter()
            .filter_map(|(open, close)| Some((rest.find(open)?, *open, *close)))
            // The earliest; of `$$` and `$` at one place the longer.
            .min_by_key(|(at, open, _)| (*at, 2 - open.len()));
        let Some((at, open, close)) = next else {
            break;
        };
        let inside = &rest[at + open.len()..];
        kept.push_str(&rest[..at]);
        match inside.find(close) {
            // A formula that spans paragraphs is none: some dollar was money.
            Some(end) if !(open == "$" && inside[..end].contains("\n\n")) => {
                kept.push(' ');
                // `\(F_1\)` and `\(R^2\)` are names of metrics.
                let formula = inside[..end].replace(['_', '^', '{', '}'], "");
                if matches!(formula.trim(), "F1" | "R2") {
                    kept.push_str(formula.trim());
                }
                kept.push(' ');
                rest = &inside[end + close.len()..];
            }
            _ => rest = inside,
        }
    }
    kept.push_str(rest);
    kept
}

/// Without addresses: what a link points to is often the article on a family of metrics.
fn without_addresses(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = ["http://", "https://"]
        .iter()
        .filter_map(|scheme| rest.find(scheme))
        .min()
    {
        kept.push_str(&rest[..at]);
        let end = rest[at..]
            .find(|character: char| {
                character.is_whitespace() || matches!(character, ')' | '>' | '"')
            })
            .unwrap_or(rest.len() - at);
        rest = &rest[at + end..];
    }
    kept.push_str(rest);
    kept
}

fn head(text: &str) -> &str {
    let mut end = text.len().min(MOST_BYTES);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

fn quote(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(QUOTED_CHARACTERS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_kaggles_are_recognised() {
        for (name, metric) in [
            ("Root Mean Squared Error", "rmse"),
            ("RMSE", "rmse"),
            ("Root Mean Squared Logarithmic Error", "rmsle"),
            ("Mean Columnwise Root Mean Squared Error", "rmse"),
            ("MCRMSE", "rmse"),
            ("Mean Absolute Error", "mae"),
            ("Area Under Receiver Operating Characteristic Curve", "auc"),
            ("AUC", "auc"),
            ("ROC AUC Score", "auc"),
            (
                "Mean Columnwise Area Under Receiver Operating Characteristic Curve",
                "auc",
            ),
            ("MCAUC", "auc"),
            ("Log Loss", "log_loss"),
            ("LogLoss", "log_loss"),
            ("Multiclass Loss", "multiclass_log_loss"),
            ("MulticlassLoss", "multiclass_log_loss"),
            ("Categorization Accuracy", "accuracy"),
            ("CategorizationAccuracy", "accuracy"),
            ("Quadratic Weighted Kappa", "quadratic_weighted_kappa"),
            ("QuadraticWeightedKappa", "quadratic_weighted_kappa"),
            ("Matthews Correlation Coefficient", "mcc"),
            ("R-Squared", "r2"),
            ("R2 Score", "r2"),
            ("Symmetric Mean Absolute Percentage Error", "smape"),
            ("SMAPE", "smape"),
            ("Normalized Gini Index", "gini"),
            ("Spearman's R", "spearman"),
            ("Pearson Correlation Coefficient", "pearson"),
            ("MAP@5", "map@5"),
            ("Mean Average Precision @ 3", "map@3"),
            ("NDCG@5", "ndcg@5"),
            ("Macro F1 Score", "macro_f1"),
            ("Macro F-1 Score", "macro_f1"),
            ("Brier Score", "brier"),
            ("multiclass_log_loss", "multiclass_log_loss"),
        ] {
            let found = metric_by_name(name).map(|metric| metric.to_string());
            assert_eq!(found.as_deref(), Some(metric), "{name}");
        }
    }

    #[test]
    fn names_of_what_we_do_not_have_are_not() {
        for name in [
            "",
            "Weighted Mean Columnwise Log Loss",
            "Weighted AUC",
            "MAP@{K}",
            "Mean F-Score",
            "Mean FScore Beta",
            "Dice",
            "Levenshtein Mean",
            "Continuous Ranked Probability Score",
            "Mean Columnwise Spearman's R",
            "Mean Columnwise Mean Absolute Error",
            "RMSE of Something Else",
            "Balanced Accuracy",
            "Home Credit Gini Stability",
            "Root Mean Squared Percentage Error",
        ] {
            assert_eq!(metric_by_name(name), None, "{name}");
        }
    }

    #[test]
    fn sentences_are_understood() {
        for (text, metric) in [
            (
                "Submissions are evaluated on area under the ROC curve between the probability and the target.",
                "auc",
            ),
            (
                "## Evaluation\n\nScored with the root-mean-square error ($\\sum_i^F1$).",
                "rmse",
            ),
            (
                "We score by RMSE between the logarithm of the price and the logarithm of the guess.",
                "rmsle",
            ),
            ("Evaluated usingAccuracy Scorebetween both.", "accuracy"),
            (
                "EvaluationRoot Mean Squared Error (RMSE)Submissions are scored on it.",
                "rmse",
            ),
            ("The accuracy of forecasts is measured by MAPE.", "mape"),
            ("Submissions are evaluated using theR2 score.", "r2"),
            ("Your metric is R² here.", "r2"),
            (
                "Scored by the [F1 score](https://x.example/wiki/F-score).",
                "f1",
            ),
            ("The score is \\(R^2\\).", "r2"),
            ("Evaluated by MAP@3: $$MAP@5 = 1$$", "map@3"),
            ("Evaluated by mean average precision at 12.", "map@12"),
            (
                "Submissions are evaluated on micro-averaged F1-Score.",
                "micro_f1",
            ),
            ("Scored by weighted F1 score.", "weighted_f1"),
            ("Scored with the word-level Jaccard score.", "jaccard"),
            ("Evaluated with NDCG@10.", "ndcg@10"),
            (
                "Evaluated on multi-class logarithmic loss.",
                "multiclass_log_loss",
            ),
        ] {
            let found = metric_in_text(text).map(|metric| metric.to_string());
            assert_eq!(found.as_deref(), Ok(metric), "{text}");
        }
    }

    #[test]
    fn doubt_is_no_metric_but_a_quote() {
        for text in [
            "Submissions are evaluated on a weighted multi-class logarithmic loss.",
            "Submissions are evaluated on log loss, where each class has weights.",
            "We use the samples-averaged F1-score.",
            "Evaluated on the mean average precision at different thresholds.",
            "Evaluated using NDCG.",
            "Scored by RMSE and MAE.",
            "Scored by MAP@K where K = 100,000.",
            "Scored by MAP@100,000.",
            "Balanced accuracy is the metric.",
            "Scored as mean absolute error; padding is not scored.",
            "Submit a dataset. The score is the RMSE of a model.",
            "Mean columnwise Spearman correlation is the metric.",
            "Scored by the group mean of log MAE: log of the MAE.",
            "Write well.",
        ] {
            assert!(metric_in_text(text).is_err(), "{text}");
        }
        let quoted = metric_in_text("First. Submissions are scored on the Dice coefficient. Then.");
        assert_eq!(
            quoted,
            Err("Submissions are scored on the Dice coefficient".to_owned())
        );
    }

    proptest! {
        #[test]
        fn any_text_gives_an_answer(text in "(\\PC|\\$|\\\\\\(|@|\n|auc|MAP@){0,60}") {
            let _ = metric_by_name(&text);
            prop_assert!(metric_in_text(&text).map_or_else(|quote| quote.chars().count() <= QUOTED_CHARACTERS + 40, |_| true));
        }
    }
}
