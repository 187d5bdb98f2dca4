//! Fixes how a competition's task is scored, and measures what a constant answer earns by it.

use synth_core::{Baseline, DataFile, LeaderboardScores, Metric, Predictions, Rewarding};
use synth_score::score_predictions;

use super::values::{Values, constants};
use super::written::{Written, constant};
use super::{Refusal, Work, refuse, stored};
use crate::prepare::SUBMISSION;

/// Teams on a leaderboard that say something of a score.
const FEWEST_TEAMS: usize = 5;
/// A standing above the median counts as a success.
const ABOVE_MEDIAN: f64 = 0.5;
/// Without a leaderboard, this share of the way from a constant to perfection does.
const SKILLED: f64 = 0.3;
/// How far from the metric's best value the truth itself may be measured.
const TOLERANCE: f64 = 1e-6;

/// How answers are scored, and what was measured.
pub(super) struct Graded {
    pub predictions: Predictions,
    pub baselines: Vec<Baseline>,
    /// The reward of the best constant.
    pub floor: f64,
    /// Teams that answers are compared with.
    pub teams: Option<usize>,
}

/// Fixes the verifier. The truth has to be perfect by it, and no constant may be.
pub(super) fn grade(
    work: &Work,
    values: &Values,
    written: &Written,
    train: &[usize],
    remarks: &mut Vec<String>,
) -> Result<Graded, Refusal> {
    let metric = values.metric;
    let mut rule = Predictions {
        file: SUBMISSION.to_owned(),
        truth: stored(&work.blobs, "truth.csv", &written.truth)?,
        keys: written.keys.clone(),
        targets: values.names.clone(),
        metric,
        // Any floor will do to learn a value by.
        reward: Rewarding::Skill {
            floor: if metric.is_max() { -1.0 } else { 1e9 },
        },
        success: SKILLED,
        naive_error: None,
        exact_shape: true,
    };
    let measure = |rule: &Predictions, prediction: &[u8], board: Option<&[u8]>| {
        score_predictions(rule, Some(prediction), &written.truth, board)
    };
    let perfect = measure(&rule, &written.truth, None);
    if perfect
        .value
        .is_none_or(|value| (value - metric.best()).abs() > TOLERANCE)
    {
        return Err(refuse(
            "truth_not_perfect",
            format!(
                "the hidden answers themselves are not perfect by `{metric}`: {}",
                perfect.reason
            ),
        ));
    }
    let mut best: Option<(f64, Vec<u8>)> = None;
    let mut worst_reason = String::new();
    for cells in constants(values, train) {
        let prediction = constant(written, &values.names, &cells);
        let score = measure(&rule, &prediction, None);
        match score.value.filter(|value| value.is_finite()) {
            Some(value) => {
                let is_better = best
                    .as_ref()
                    .is_none_or(|(known, _)| is_better(metric, value, *known));
                if is_better {
                    best = Some((value, prediction));
                }
            }
            None => worst_reason = score.reason,
        }
    }
    let (value, prediction) = match best {
        Some(best) => best,
        // A correlation with a constant is none.
        None if metric.is_max() => (0.0, Vec::new()),
        None => {
            return Err(refuse(
                "no_baseline",
                format!("no constant can be measured: {worst_reason}"),
            ));
        }
    };
    if (value - metric.best()).abs() <= TOLERANCE {
        return Err(refuse(
            "constant_is_perfect",
            format!("a constant reaches `{metric}` {value}"),
        ));
    }
    let board = leaderboard(work, metric, remarks)?;
    let teams = board.as_ref().map(|(_, _, teams)| *teams);
    rule.reward = Rewarding::Skill { floor: value };
    let bytes = board.map(|(leaderboard, bytes, _)| {
        rule.reward = Rewarding::Standing { leaderboard };
        rule.success = ABOVE_MEDIAN;
        bytes
    });
    let floor = if prediction.is_empty() {
        0.0
    } else {
        measure(&rule, &prediction, bytes.as_deref()).reward
    };
    Ok(Graded {
        predictions: rule,
        baselines: vec![Baseline {
            name: "constant".to_owned(),
            reward: floor,
            value: Some(value),
        }],
        floor,
        teams,
    })
}

fn is_better(metric: Metric, a: f64, b: f64) -> bool {
    if metric.is_max() { a > b } else { a < b }
}

/// The competition's leaderboard, where its scores can be those of this metric.
fn leaderboard(
    work: &Work,
    metric: Metric,
    remarks: &mut Vec<String>,
) -> Result<Option<(DataFile, Vec<u8>, usize)>, Refusal> {
    let Some(file) = &work.source.leaderboard else {
        remarks.push("there is no leaderboard: rewards are measured from a constant".to_owned());
        return Ok(None);
    };
    let bytes = work.blobs.read(file.blake3)?;
    let scores: LeaderboardScores = match serde_json::from_slice(&bytes) {
        Ok(scores) => scores,
        Err(error) => {
            remarks.push(format!("the leaderboard does not read: {error}"));
            return Ok(None);
        }
    };
    match usable(&scores, metric) {
        Ok(teams) => Ok(Some((file.clone(), bytes, teams))),
        Err(why) => {
            remarks.push(format!("the leaderboard is not used: {why}"));
            Ok(None)
        }
    }
}

/// The number of its teams, or why its scores say nothing.
fn usable(scores: &LeaderboardScores, metric: Metric) -> Result<usize, String> {
    let scores = if scores.private_scores.is_empty() {
        &scores.public_scores
    } else {
        &scores.private_scores
    };
    let mut finite: Vec<f64> = scores
        .iter()
        .copied()
        .filter(|score| score.is_finite())
        .collect();
    if finite.len() < FEWEST_TEAMS {
        return Err(format!("it has {} scores", finite.len()));
    }
    finite.sort_by(f64::total_cmp);
    let (low, high) = (finite[0], finite[finite.len() - 1]);
    if (high - low).abs() < f64::EPSILON {
        return Err("all scores are the same".to_owned());
    }
    let median = finite[finite.len() / 2];
    let is_beyond = if metric.is_max() {
        median > 1.0 + TOLERANCE
    } else {
        median < 0.0
    };
    if is_beyond {
        return Err(format!(
            "its median {median} is better than `{metric}` can be"
        ));
    }
    Ok(scores.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaderboards_that_say_nothing_are_not_used() {
        let board = |scores: &[f64]| LeaderboardScores {
            public_scores: vec![0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
            private_scores: scores.to_vec(),
        };
        for (scores, metric, expected) in [
            (&[0.0; 6][..], Metric::Rmse, "all scores are the same"),
            (&[0.5], Metric::Rmse, "it has 1 scores"),
            (
                &[1.0, 2.0, 3.0, 4.0, 5.0],
                Metric::Auc,
                "its median 3 is better than `auc` can be",
            ),
            (
                &[-1.0, -2.0, -3.0, -4.0, -5.0],
                Metric::Rmse,
                "its median -3 is better than `rmse` can be",
            ),
        ] {
            assert_eq!(usable(&board(scores), metric), Err(expected.to_owned()));
        }
        assert_eq!(usable(&board(&[]), Metric::Auc), Ok(6));
        assert_eq!(
            usable(&board(&[1.0, 2.0, 3.0, 4.0, 5.0]), Metric::Rmse),
            Ok(5)
        );
    }
}
