//! The metrics by which tables of predictions are scored: their names, and which way is better. `synth-score` has the arithmetic.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How predictions are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Metric {
    /// Unweighted mean of the labels' F1 scores (DARE-bench, class-MM).
    MacroF1,
    /// Coefficient of determination, clipped to 0..1 (DARE-bench, reg-MM, XF, CF).
    ClippedR2,
    /// 1 where all labels are the same, else 0 (DARE-bench, class-IF).
    EqualLabels,
    /// 1 where all numbers are as good as the same, else 0 (DARE-bench, reg-IF).
    EqualNumbers,
    /// Share of rows with the right label.
    Accuracy,
    /// Area under the ROC curve, the mean over columns.
    Auc,
    /// Logarithmic loss of a probability, the mean over columns.
    LogLoss,
    /// Logarithmic loss of one probability for each class.
    MulticlassLogLoss,
    /// F1 score of the positive class.
    F1,
    /// F1 score over all labels together.
    MicroF1,
    /// Mean of the labels' F1 scores, weighted by how often they are true.
    WeightedF1,
    /// Matthews correlation coefficient.
    Mcc,
    /// Root mean squared error, the mean over columns.
    Rmse,
    /// Root mean squared logarithmic error, the mean over columns.
    Rmsle,
    /// Mean squared error.
    Mse,
    /// Mean absolute error.
    Mae,
    /// Median absolute error.
    MedianAe,
    /// Mean absolute percentage error, as a fraction.
    Mape,
    /// Symmetric mean absolute percentage error, in percent from 0 to 200.
    Smape,
    /// Coefficient of determination.
    R2,
    /// Spearman's rank correlation.
    Spearman,
    /// Pearson's correlation.
    Pearson,
    /// Cohen's kappa with quadratic weights.
    QuadraticWeightedKappa,
    /// Mean average precision of the first k predictions.
    MapAtK(u32),
    /// Normalised discounted cumulative gain of the first k predictions.
    NdcgAtK(u32),
    /// Mean Jaccard index of two sets of words.
    Jaccard,
    /// Normalised Gini coefficient.
    Gini,
    /// Brier score: mean squared error of a probability.
    Brier,
}

/// All metrics without a parameter, with their names in records.
const NAMES: [(Metric, &str); 26] = [
    (Metric::MacroF1, "macro_f1"),
    (Metric::ClippedR2, "clipped_r2"),
    (Metric::EqualLabels, "equal_labels"),
    (Metric::EqualNumbers, "equal_numbers"),
    (Metric::Accuracy, "accuracy"),
    (Metric::Auc, "auc"),
    (Metric::LogLoss, "log_loss"),
    (Metric::MulticlassLogLoss, "multiclass_log_loss"),
    (Metric::F1, "f1"),
    (Metric::MicroF1, "micro_f1"),
    (Metric::WeightedF1, "weighted_f1"),
    (Metric::Mcc, "mcc"),
    (Metric::Rmse, "rmse"),
    (Metric::Rmsle, "rmsle"),
    (Metric::Mse, "mse"),
    (Metric::Mae, "mae"),
    (Metric::MedianAe, "median_ae"),
    (Metric::Mape, "mape"),
    (Metric::Smape, "smape"),
    (Metric::R2, "r2"),
    (Metric::Spearman, "spearman"),
    (Metric::Pearson, "pearson"),
    (Metric::QuadraticWeightedKappa, "quadratic_weighted_kappa"),
    (Metric::Jaccard, "jaccard"),
    (Metric::Gini, "gini"),
    (Metric::Brier, "brier"),
];

impl Metric {
    /// All metrics; those with a parameter once, with 5.
    pub fn all() -> impl Iterator<Item = Self> {
        let plain = NAMES.iter().map(|(metric, _)| *metric);
        plain.chain([Self::MapAtK(5), Self::NdcgAtK(5)])
    }

    /// Whether more is better.
    pub const fn is_max(self) -> bool {
        !matches!(
            self,
            Self::LogLoss
                | Self::MulticlassLogLoss
                | Self::Rmse
                | Self::Rmsle
                | Self::Mse
                | Self::Mae
                | Self::MedianAe
                | Self::Mape
                | Self::Smape
                | Self::Brier
        )
    }

    /// The value of perfect predictions.
    pub const fn best(self) -> f64 {
        if self.is_max() { 1.0 } else { 0.0 }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MapAtK(k) => write!(formatter, "map@{k}"),
            Self::NdcgAtK(k) => write!(formatter, "ndcg@{k}"),
            _ => formatter.write_str(
                NAMES
                    .iter()
                    .find(|(metric, _)| metric == self)
                    .map_or("", |(_, name)| name),
            ),
        }
    }
}

/// A text that names no metric.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownMetric(String);

impl fmt::Display for UnknownMetric {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = NAMES.iter().map(|(_, name)| *name).collect();
        write!(
            formatter,
            "`{}` is no metric; known are {}, map@K and ndcg@K",
            self.0,
            names.join(", ")
        )
    }
}

impl std::error::Error for UnknownMetric {}

impl FromStr for Metric {
    type Err = UnknownMetric;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parameter = |prefix| {
            text.strip_prefix(prefix)
                .and_then(|k| k.parse().ok())
                .filter(|k| *k > 0)
        };
        NAMES
            .iter()
            .find(|(_, name)| *name == text)
            .map(|(metric, _)| *metric)
            .or_else(|| parameter("map@").map(Self::MapAtK))
            .or_else(|| parameter("ndcg@").map(Self::NdcgAtK))
            .ok_or_else(|| UnknownMetric(text.to_owned()))
    }
}

impl Serialize for Metric {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Metric {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_found_again_by_its_name() {
        for metric in Metric::all() {
            assert!(!metric.to_string().is_empty());
            assert_eq!(metric.to_string().parse(), Ok(metric));
        }
        for wrong in ["", "map@", "map@0", "map@-1", "Accuracy"] {
            assert!(wrong.parse::<Metric>().is_err(), "{wrong}");
        }
    }
}
