//! Predictions: the agent's CSV aligned with the hidden truth by its keys, measured, and the value made a reward.

use synth_core::{LeaderboardScores, Metric, Predictions, Rewarding, Score, Standing};

use crate::metrics::{Measured, Target, mean_absolute_error, measure};
use crate::standing::standing;
use crate::table::{Column, Table, align};
use crate::{quoted, refused};

/// Scores a CSV of predictions; `prediction` is `None` when the agent left no file, `leaderboard` is what
/// [`Rewarding::Standing`] stands on.
///
/// Both tables are read as `pandas.read_csv` does: UTF-8 with or without a byte order mark, any line ends, types guessed for each column;
/// names and texts count to the letter, blanks too; numbers are the same by value (`1`, `1.0`, `01`, `True`). Keys must be unique, and every key of the
/// truth must be there; rows of other keys, further columns and the order of rows are ignored, unless the rule demands the
/// exact shape. Whatever breaks a rule earns 0 and a reason.
///
/// Several targets earn their mean. For the metrics of DARE-bench a target that is missing or cannot be measured counts 0; for all others it
/// leaves no value.
pub fn score_predictions(
    rule: &Predictions,
    prediction: Option<&[u8]>,
    truth: &[u8],
    leaderboard: Option<&[u8]>,
) -> Score {
    let Some(prediction) = prediction else {
        return refused("no prediction file");
    };
    match compare(rule, prediction, truth) {
        Ok(compared) => reward(rule, compared, leaderboard),
        Err(reason) => refused(reason),
    }
}

/// What came of the comparison of both tables.
struct Compared {
    measured: Measured,
    rows: usize,
    mase: Option<f64>,
}

fn compare(rule: &Predictions, prediction: &[u8], truth: &[u8]) -> Result<Compared, String> {
    let names = rule.keys.iter().chain(&rule.targets);
    let wanted: Vec<&str> = names.map(String::as_str).collect();
    let truth =
        Table::read(truth, Some(&wanted)).map_err(|reason| format!("hidden truth: {reason}"))?;
    let prediction = Table::read(prediction, Some(&wanted))?;
    if rule.exact_shape {
        check_shape(&wanted, &prediction, truth.rows)?;
    }
    let rows = align(&rule.keys, &truth, &prediction)?;
    let key = |row: usize| {
        let cell = |key: &String| truth.column(key).map_or("", |cells| cells.get(row));
        format!(
            "key {}",
            quoted(&rule.keys.iter().map(cell).collect::<Vec<_>>().join(", "))
        )
    };
    let mut targets = Vec::with_capacity(rule.targets.len());
    for name in &rule.targets {
        targets.push(Target {
            name,
            truth: truth
                .column(name)
                .ok_or_else(|| format!("hidden truth: {}", truth.lacks(name)))?,
            prediction: prediction
                .column(name)
                .ok_or_else(|| prediction.lacks(name)),
            rows: &rows,
            key: &key,
        });
    }
    Ok(Compared {
        measured: measure(rule.metric, &targets)?,
        rows: rows.len(),
        mase: rule
            .naive_error
            .and_then(|naive| scaled_error(&targets, naive)),
    })
}

/// Whether a submission is valid as Kaggle and DSGym mean it: just the columns of the sample, and as many rows.
fn check_shape(wanted: &[&str], prediction: &Table, rows: usize) -> Result<(), String> {
    if let Some(name) = wanted.iter().find(|name| prediction.column(name).is_none()) {
        return Err(prediction.lacks(name));
    }
    for (position, name) in prediction.header.iter().enumerate() {
        if !wanted.contains(&name.as_str()) {
            return Err(format!(
                "column {} is not one of a submission",
                quoted(name)
            ));
        }
        if prediction.header[..position].contains(name) {
            return Err(format!("column {} stands there twice", quoted(name)));
        }
    }
    if prediction.rows != rows {
        return Err(format!("{} rows instead of {rows}", prediction.rows));
    }
    Ok(())
}

/// The mean absolute error over all targets in units of the naive one's.
fn scaled_error(targets: &[Target], naive: f64) -> Option<f64> {
    let errors = targets.iter().map(|target| {
        let truth = Column::of(target.truth);
        let prediction = Column::of(target.prediction.as_ref().ok()?).gather(target.rows);
        Some(mean_absolute_error(
            &truth.numbers()?,
            &prediction.numbers()?,
        ))
    });
    let sum: f64 = errors.sum::<Option<f64>>()?;
    let mase = sum / targets.len() as f64 / naive;
    (naive > 0.0 && mase.is_finite()).then_some(mase)
}

fn reward(rule: &Predictions, compared: Compared, leaderboard: Option<&[u8]>) -> Score {
    let Compared {
        measured: Measured { value, without },
        rows,
        mase,
    } = compared;
    let metric = rule.metric;
    let mut reason = format!("{metric} {value:.4} over {rows} rows");
    let mut place = None;
    let earned = match &rule.reward {
        Rewarding::Value if metric.is_max() => Ok(value),
        Rewarding::Value => Err(format!(
            "less {metric} is better, so it is no reward by itself"
        )),
        Rewarding::Skill { floor } => Ok(skill(metric, value, *floor)),
        Rewarding::Standing { .. } => on_board(metric, value, leaderboard).map(|standing| {
            let Standing { rank, teams, .. } = standing;
            reason = format!("{reason}, place {rank} among {teams} teams");
            place.insert(standing).percentile
        }),
    };
    for target in without {
        reason += "; ";
        reason += &target;
    }
    let value = Some(value).filter(|value| value.is_finite());
    match earned {
        Ok(earned) => {
            let reward = if earned.is_nan() {
                0.0
            } else {
                earned.clamp(0.0, 1.0)
            };
            Score {
                reward,
                success: reward >= rule.success,
                reason,
                value,
                standing: place,
                mase,
            }
        }
        Err(problem) => Score {
            value,
            mase,
            ..refused(format!("{reason}; {problem}"))
        },
    }
}

/// The way from the floor to the best value that is behind; all or nothing where they are the same.
fn skill(metric: Metric, value: f64, floor: f64) -> f64 {
    let way = metric.best() - floor;
    let gone = value - floor;
    if way.abs() < f64::MIN_POSITIVE {
        return f64::from(u8::from(gone.abs() < f64::MIN_POSITIVE));
    }
    // A floor beyond the best value would turn the direction around.
    if (way > 0.0) != metric.is_max() {
        return 0.0;
    }
    gone / way
}

fn on_board(metric: Metric, value: f64, leaderboard: Option<&[u8]>) -> Result<Standing, String> {
    let bytes = leaderboard.ok_or("there is no leaderboard")?;
    let board: LeaderboardScores = serde_json::from_slice(bytes)
        .map_err(|error| format!("the leaderboard is unreadable: {error}"))?;
    standing(value, metric.is_max(), &board)
        .ok_or_else(|| "the leaderboard has no scores".to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn rule(id_column: &str, target_column: &str, metric: Metric, success: f64) -> Predictions {
        Predictions {
            file: "submission.csv".into(),
            truth: synth_core::DataFile {
                path: "truth.csv".into(),
                bytes: 0,
                blake3: synth_core::Fingerprint::of_bytes(b""),
            },
            keys: vec![id_column.into()],
            targets: vec![target_column.into()],
            metric,
            reward: synth_core::Rewarding::Value,
            success,
            naive_error: None,
            exact_shape: false,
        }
    }

    const LABELS: &str = "id,species\n1,setosa\n2,virginica\n3,setosa\n";
    const NUMBERS: &str = "id,y\na,1\nb,2\nc,4\n";

    fn labels(prediction: &str) -> Score {
        score_predictions(
            &rule("id", "species", Metric::MacroF1, 0.9),
            Some(prediction.as_bytes()),
            LABELS.as_bytes(),
            None,
        )
    }

    fn values(prediction: &str) -> Score {
        score_predictions(
            &rule("id", "y", Metric::ClippedR2, 0.5),
            Some(prediction.as_bytes()),
            NUMBERS.as_bytes(),
            None,
        )
    }

    #[test]
    fn a_right_file_in_any_dress_scores_one() {
        for dressed in [
            LABELS,
            "\u{feff}id,species\r\n3,setosa\r\n1,setosa\r\n2,virginica\r\n",
            "row,species,id\n0,setosa, 1\n1,\"virginica\",2.0\n2,setosa,03\n9,rose,9",
            "\"id\",\"species\"\n\"1\",\"setosa\"\n\n\"2\",\"virginica\"\n\"3\",\"setosa\"\n",
        ] {
            let score = labels(dressed);
            assert!(
                score.success && score.reward > 0.999,
                "{dressed}: {}",
                score.reason
            );
        }
    }

    #[test]
    fn broken_files_earn_nothing_and_say_why() {
        for (prediction, reason) in [
            ("", "it is empty"),
            ("id;species\n1;setosa", "column `id` is missing"),
            (
                "id, Species\n1,setosa\n2,a\n3,b",
                "column `species` is missing, though there is ` Species`: names must be the same to the letter",
            ),
            (
                "id,species\n1,setosa\n1,setosa",
                "key `1` stands there twice",
            ),
            (
                "id,species\nx,setosa",
                "the key column `id` holds text, the truth's numbers",
            ),
            (
                "id,species\n1,setosa\n7,rose",
                "2 of 3 keys are missing, `2` the first",
            ),
            (
                "id,species\n1,a\n2,b,c",
                "line 3 has 3 cells, 2 is the most",
            ),
            (
                "id,species\n1,7\n2,8\n3,9",
                "the predictions are numbers, the truth is text",
            ),
        ] {
            let score = labels(prediction);
            assert_eq!((score.reason.as_str(), score.success), (reason, false));
            assert!(score.reward < 1e-9);
        }
        assert_eq!(
            score_predictions(&rule("id", "y", Metric::MacroF1, 0.0), None, b"", None),
            refused("no prediction file")
        );
        let score = score_predictions(
            &rule("id", "y", Metric::MacroF1, 0.0),
            Some(b"id,y\n"),
            b"id,y\n",
            None,
        );
        assert_eq!(score, refused("no rows"));
    }

    #[test]
    fn regression_takes_finite_numbers_only() {
        assert!(values("id,y\nc,4.0\nb,2e0\na, 1").success);
        for cell in ["", "nan", "inf", "-Infinity", "1e999", "two", "1,000"] {
            let score = values(&format!("id,y\na,1\nb,\"{cell}\"\nc,4\n"));
            assert!(score.reward < 1e-9 && score.value.is_none() && !score.success);
            let score = measured(
                Metric::Rmse,
                NUMBERS,
                &format!("id,y\na,1\nb,\"{cell}\"\nc,4\n"),
            );
            assert_eq!(
                score.unwrap_err(),
                format!("`{cell}` at key `b` of column `y` is not a finite number")
            );
        }
        let score = values("id,y\na,100\nb,-100\nc,0\n");
        assert!(score.reward < 1e-9 && score.reason.starts_with("clipped_r2 0.0000 over 3 rows"));
    }

    fn measured(metric: Metric, truth: &str, prediction: &str) -> Result<f64, String> {
        let rule = Predictions {
            reward: Rewarding::Skill { floor: 0.0 },
            ..rule("id", "y", metric, 1.0)
        };
        let score = score_predictions(&rule, Some(prediction.as_bytes()), truth.as_bytes(), None);
        score.value.ok_or(score.reason)
    }

    #[test]
    fn labels_are_the_same_by_value_or_to_the_letter() {
        let same = |metric: Metric, truth: &str, prediction: &str| {
            let table = |label: &str| format!("id,y\n1,{label}\n");
            measured(metric, &table(truth), &table(prediction)).is_ok_and(|value| value > 0.5)
        };
        for metric in [Metric::MacroF1, Metric::EqualLabels, Metric::Accuracy] {
            for (truth, prediction) in [
                ("1", "1.0"),
                ("1.00", "01"),
                ("True", "1"),
                ("true", "TRUE"),
                ("-0.0", "0"),
                (" 1", "1"),
                ("a", "a"),
            ] {
                assert!(
                    same(metric, truth, prediction),
                    "{metric} {truth} {prediction}"
                );
            }
            for (truth, prediction) in [
                ("a", "A"),
                ("yes", " yes"),
                ("10", "1"),
                ("1", "one"),
                ("True", "yes"),
            ] {
                assert!(
                    !same(metric, truth, prediction),
                    "{metric} {truth} {prediction}"
                );
            }
        }
        // Of a text column also the labels are text that would be numbers elsewhere: but not for the metrics of DARE-bench.
        let (truth, prediction) = ("id,y\n1,1\n2,2\n3,3+\n", "id,y\n1,1\n2,2\n3,3\n");
        assert!(measured(Metric::Accuracy, truth, prediction).unwrap() > 0.6);
        assert!(measured(Metric::MacroF1, truth, prediction).is_err());
    }

    #[test]
    fn several_targets_earn_their_mean() {
        let rule = |metric| Predictions {
            targets: vec!["y".into(), "z".into()],
            ..rule("id", "y", metric, 0.5)
        };
        let score = |metric, prediction: &str| {
            score_predictions(
                &rule(metric),
                Some(prediction.as_bytes()),
                b"id,y,z\n1,1,5\n2,2,7\n",
                None,
            )
        };
        let one = "id,y\n1,1\n2,2\n";
        for metric in [
            Metric::MacroF1,
            Metric::ClippedR2,
            Metric::EqualLabels,
            Metric::EqualNumbers,
        ] {
            let score = score(metric, one);
            assert!((score.reward - 0.5).abs() < 1e-12 && score.success);
            assert!(
                score
                    .reason
                    .ends_with("`z` counts 0: column `z` is missing"),
                "{}",
                score.reason
            );
        }
        assert_eq!(
            score(Metric::Accuracy, one),
            refused("column `z` is missing")
        );
        let both = score(Metric::Accuracy, "z,id,y\n5,1,9\n7,2,2\n");
        assert!((both.reward - 0.75).abs() < 1e-12);
    }

    #[test]
    fn a_value_becomes_a_reward_by_itself_by_skill_or_by_standing() {
        let score = |reward, metric, board: Option<&[u8]>| {
            let rule = Predictions {
                reward,
                naive_error: Some(2.0),
                ..rule("id", "y", metric, 0.5)
            };
            score_predictions(
                &rule,
                Some(b"id,y\na,1\nb,2\nc,7\n"),
                NUMBERS.as_bytes(),
                board,
            )
        };
        // The error is 3 in one of three rows.
        let skill = score(Rewarding::Skill { floor: 2.0 }, Metric::Mae, None);
        assert!((skill.reward - 0.5).abs() < 1e-12 && skill.success && skill.mase == Some(0.5));
        assert!(score(Rewarding::Skill { floor: 0.5 }, Metric::Mae, None).reward < 1e-12);
        assert!(score(Rewarding::Skill { floor: -1.0 }, Metric::Mae, None).reward < 1e-12);
        let value = score(Rewarding::Value, Metric::Mae, None);
        assert!(
            !value.success
                && value.value == Some(1.0)
                && value.reason.contains("less mae is better")
        );
        assert!((score(Rewarding::Value, Metric::Accuracy, None).reward - 2.0 / 3.0).abs() < 1e-12);
        let standing = || Rewarding::Standing {
            leaderboard: rule("", "", Metric::Mae, 0.0).truth,
        };
        let board = br#"{"private_scores": [0.5, 1.5, 2.5, 3.5]}"#;
        let placed = score(standing(), Metric::Mae, Some(board));
        assert!((placed.reward - 0.75).abs() < 1e-12 && placed.success);
        assert_eq!(
            placed.reason,
            "mae 1.0000 over 3 rows, place 2 among 4 teams"
        );
        assert!(
            placed
                .standing
                .is_some_and(|standing| standing.above_median)
        );
        for board in [None, Some(&b"{}"[..]), Some(b"no json")] {
            let score = score(standing(), Metric::Mae, board);
            assert!(
                !score.success && score.value == Some(1.0) && score.reason.contains("leaderboard")
            );
        }
    }

    #[test]
    fn an_exact_shape_has_the_columns_and_the_rows_of_the_sample() {
        let rule = Predictions {
            exact_shape: true,
            ..rule("id", "species", Metric::MacroF1, 0.9)
        };
        let score = |prediction: &str| {
            score_predictions(&rule, Some(prediction.as_bytes()), LABELS.as_bytes(), None)
        };
        assert!(score("species,id\nsetosa,3\nsetosa,1\nvirginica,2\n").success);
        for (prediction, reason) in [
            (
                "id,species,x\n1,setosa,0\n2,virginica,0\n3,setosa,0\n",
                "column `x` is not one of a submission",
            ),
            (
                "id,species,id\n1,setosa,1\n2,virginica,2\n3,setosa,3\n",
                "column `id` stands there twice",
            ),
            ("id\n1\n2\n3\n", "column `species` is missing"),
            (
                "id,species\n1,setosa\n2,virginica\n3,setosa\n4,setosa\n",
                "4 rows instead of 3",
            ),
            ("id,species\n1,setosa\n", "1 rows instead of 3"),
        ] {
            assert_eq!(score(prediction), refused(reason));
        }
    }

    #[test]
    fn a_flood_of_rows_is_read_to_its_end_and_no_further_than_allowed() {
        let endless = "id,species\n".to_owned() + &"1,setosa\n".repeat(300_000);
        assert_eq!(labels(&endless).reason, "key `1` stands there twice");
    }

    const METRICS: [Metric; 28] = [
        Metric::MacroF1,
        Metric::ClippedR2,
        Metric::EqualLabels,
        Metric::EqualNumbers,
        Metric::Accuracy,
        Metric::Auc,
        Metric::LogLoss,
        Metric::MulticlassLogLoss,
        Metric::F1,
        Metric::MicroF1,
        Metric::WeightedF1,
        Metric::Mcc,
        Metric::Rmse,
        Metric::Rmsle,
        Metric::Mse,
        Metric::Mae,
        Metric::MedianAe,
        Metric::Mape,
        Metric::Smape,
        Metric::R2,
        Metric::Spearman,
        Metric::Pearson,
        Metric::QuadraticWeightedKappa,
        Metric::MapAtK(3),
        Metric::NdcgAtK(3),
        Metric::Jaccard,
        Metric::Gini,
        Metric::Brier,
    ];

    proptest! {
        #[test]
        fn any_bytes_get_a_score(
            prediction in prop::collection::vec(any::<u8>(), 0..200),
            truth in prop::collection::vec(any::<u8>(), 0..60),
            text in "[id,y123\"\n. ]{0,60}",
        ) {
            for metric in METRICS {
                for (prediction, truth) in [
                    (&prediction[..], &truth[..]),
                    (&prediction[..], NUMBERS.as_bytes()),
                    (text.as_bytes(), NUMBERS.as_bytes()),
                    (text.as_bytes(), text.as_bytes()),
                ] {
                    let score = score_predictions(&rule("id", "y", metric, 0.5), Some(prediction), truth, None);
                    prop_assert!((0.0..=1.0).contains(&score.reward) && !score.reason.is_empty());
                }
            }
        }

        #[test]
        #[expect(clippy::float_cmp, reason = "the order of rows must not change a single bit")]
        fn the_order_of_predictions_does_not_matter(
            rows in prop::collection::vec((-1e6..1e6_f64, -1e6..1e6_f64), 1..40)
                .prop_flat_map(|rows| (Just(rows.clone()), Just((0..rows.len()).collect::<Vec<_>>()).prop_shuffle())),
        ) {
            let (rows, order) = rows;
            let table = |pick: &dyn Fn(usize) -> (usize, f64)| (0..rows.len())
                .map(pick)
                .fold("id,y\n".to_owned(), |table, (id, value)| format!("{table}{id},{value}\n"));
            let truth = table(&|index| (index, rows[index].0));
            let straight = table(&|index| (index, rows[index].1));
            let shuffled = table(&|index| (order[index], rows[order[index]].1));
            for metric in [Metric::MacroF1, Metric::ClippedR2] {
                let score = |prediction: &str| {
                    score_predictions(&rule("id", "y", metric, 0.5), Some(prediction.as_bytes()), truth.as_bytes(), None)
                };
                prop_assert_eq!(score(&straight).reward, score(&shuffled).reward);
            }
        }
    }
}
