//! How far simple predictors get: those that learn nothing give a task its floor, a forest and a line say whether there is anything
//! to learn.

use std::collections::BTreeMap;

use serde_json::json;
use synth_core::{Baseline, CellOutcome, Checks, DataFile, Limits, Predictions};
use synth_pipeline::{StageError, WorkError};

use super::Refusal;
use super::dice::Dice;
use super::frame::{Column, Frame, Kind, number};
use super::package::csv;
use super::script::Script;
use super::split::keys;
use super::times::{self, Seconds};
use crate::Cx;

const FOREST: &str = include_str!("forest.py");
/// What learns, and the file that it writes.
const LEARNERS: [(&str, &str); 2] = [("linear", "linear.csv"), ("forest", "forest.csv")];
/// Rows that they learn from: with more they could run out of their time.
const MOST_ROWS: usize = 20_000;
/// The column that tells a forest the time.
const SECONDS: &str = "@seconds";

/// A task's rows as its makers see them.
pub(super) struct Sides<'a> {
    /// The key columns among others, and the targets.
    pub train: &'a Frame,
    /// The key columns and whatever else is known of the rows to predict.
    pub test: &'a Frame,
    pub features: Vec<String>,
    /// Whether labels are predicted.
    pub labels: bool,
    /// Of a forecast.
    pub time: Option<Time<'a>>,
}

/// When the rows were measured.
pub(super) struct Time<'a> {
    pub entities: &'a [String],
    pub train: &'a [Seconds],
    pub test: &'a [Seconds],
    pub frequency: &'a str,
}

/// Draws of random labels, whose mean reward is what chance earns.
const CHANCES: u64 = 9;

/// Measures a task: what each baseline earns by its own verifier. Refuses one in which nothing gets above what needs no learning.
pub(super) async fn measure(
    cx: &Cx<'_>,
    rule: &Predictions,
    truth: &[u8],
    sides: &Sides<'_>,
    label: &str,
    seed: u64,
    limits: &Limits,
) -> Result<Result<Checks, Refusal>, WorkError> {
    let mut baselines = vec![score(rule, truth, "constant", &constant(rule, sides))];
    if sides.labels {
        baselines.push(chance(rule, truth, sides, seed));
    }
    if let Some(time) = &sides.time {
        let last = past(rule, sides, time, 1);
        baselines.push(score(rule, truth, "last_value", &last));
        let season = times::season(time.frequency);
        if season > 1 {
            let naive = past(rule, sides, time, season);
            baselines.push(score(rule, truth, "seasonal_naive", &naive));
        }
    }
    let floor = best(&baselines);
    let mut remarks = Vec::new();
    let learnt = match learnt(cx, rule, sides, label, seed, limits).await? {
        Ok(files) => files,
        Err(problem) => {
            remarks.push(format!("the baselines that learn failed: {problem}"));
            BTreeMap::new()
        }
    };
    let learners: Vec<Baseline> = LEARNERS
        .iter()
        .map(|(name, file)| {
            let prediction = learnt.get(*file).map(Vec::as_slice).unwrap_or_default();
            score(rule, truth, name, prediction)
        })
        .collect();
    let settings = &cx.config.prepare.designed;
    let margin = margin(sides.labels, sides.test.rows(), settings.min_signal);
    let solvable = best(&learners) >= floor + margin;
    baselines.extend(learners);
    if settings.drop_no_signal
        && let Err(refusal) = has_signal(&baselines, margin)
    {
        return Ok(Err(refusal));
    }
    Ok(Ok(Checks {
        baselines,
        floor: Some(floor),
        solvable: Some(solvable),
        remarks,
        ..Checks::default()
    }))
}

/// How far above the floor counts: with few labels to predict, luck alone gets two standard errors above chance.
fn margin(labels: bool, rows: usize, min_signal: f64) -> f64 {
    if labels {
        min_signal.max(1.0 / (rows.max(1) as f64).sqrt())
    } else {
        min_signal
    }
}

fn best(baselines: &[Baseline]) -> f64 {
    baselines
        .iter()
        .map(|baseline| baseline.reward)
        .fold(0.0, f64::max)
}

/// Whether anything gets above a constant and chance; a past that repeats itself is something to learn, too.
fn has_signal(baselines: &[Baseline], margin: f64) -> Result<(), Refusal> {
    let blind: Vec<Baseline> = baselines
        .iter()
        .filter(|baseline| ["constant", "chance"].contains(&baseline.name.as_str()))
        .cloned()
        .collect();
    if best(baselines) >= best(&blind) + margin {
        return Ok(());
    }
    let told: Vec<String> = baselines
        .iter()
        .map(|baseline| format!("{} {:.3}", baseline.name, baseline.reward))
        .collect();
    Err(Refusal::new(
        "no_signal",
        format!(
            "nothing gets above what needs no learning: {}",
            told.join(", ")
        ),
    ))
}

/// What random labels, as frequent as the known ones, earn on average.
fn chance(rule: &Predictions, truth: &[u8], sides: &Sides<'_>, seed: u64) -> Baseline {
    let rewards = (0..CHANCES).map(|draw| {
        let dice = std::cell::RefCell::new(Dice::new(seed.wrapping_add(draw), "chance"));
        let labels = with_targets(rule, sides, |column, _| {
            dice.borrow_mut().pick(&column.cells)
        });
        score(rule, truth, "chance", &labels).reward
    });
    Baseline {
        name: "chance".to_owned(),
        reward: rewards.sum::<f64>() / CHANCES as f64,
        value: None,
    }
}

fn score(rule: &Predictions, truth: &[u8], name: &str, prediction: &[u8]) -> Baseline {
    let score = synth_score::score_predictions(rule, Some(prediction), truth, None);
    Baseline {
        name: name.to_owned(),
        reward: score.reward,
        value: None,
    }
}

/// The most frequent label or the mean, everywhere.
fn constant(rule: &Predictions, sides: &Sides<'_>) -> Vec<u8> {
    with_targets(rule, sides, |column, _| {
        if sides.labels {
            let counts = column.counts();
            let most = counts
                .iter()
                .max_by_key(|(label, count)| (**count, std::cmp::Reverse(**label)));
            most.map_or_else(String::new, |(label, _)| (*label).to_owned())
        } else {
            mean(column.cells.iter().filter_map(|cell| number(cell)))
        }
    })
}

/// For each row to predict the last value of its series that lies a whole number of seasons back.
fn past(rule: &Predictions, sides: &Sides<'_>, time: &Time<'_>, season: usize) -> Vec<u8> {
    let mut series: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (row, key) in keys(sides.train, time.entities).into_iter().enumerate() {
        series.entry(key).or_default().push(row);
    }
    let asked = keys(sides.test, time.entities);
    let mut ahead: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (row, key) in asked.iter().enumerate() {
        ahead.entry(key).or_default().push(row);
    }
    let mut place = vec![0; asked.len()];
    for rows in ahead.values_mut() {
        rows.sort_by_key(|row| time.test[*row]);
        for (step, row) in rows.iter().enumerate() {
            place[*row] = step;
        }
    }
    with_targets(rule, sides, |column, row| {
        let known = series
            .get(&asked[row])
            .map(Vec::as_slice)
            .unwrap_or_default();
        let season = season.min(known.len()).max(1);
        let back = season - place[row] % season;
        known
            .len()
            .checked_sub(back)
            .and_then(|at| known.get(at))
            .map_or_else(|| "0".to_owned(), |row| column.cells[*row].clone())
    })
}

fn with_targets(
    rule: &Predictions,
    sides: &Sides<'_>,
    value: impl Fn(&Column, usize) -> String,
) -> Vec<u8> {
    let mut frame = sides.test.select(rule.keys.iter().map(String::as_str));
    for target in &rule.targets {
        let Some(column) = sides.train.column(target) else {
            continue;
        };
        let cells = (0..sides.test.rows())
            .map(|row| value(column, row))
            .collect();
        frame.columns.push(Column {
            cells,
            ..Column {
                name: target.clone(),
                kind: column.kind,
                cells: Vec::new(),
            }
        });
    }
    csv(&frame)
}

fn mean(numbers: impl Iterator<Item = f64>) -> String {
    let (sum, count) = numbers.fold((0.0, 0_u64), |(sum, count), number| {
        (sum + number, count + 1)
    });
    (sum / count.max(1) as f64).to_string()
}

/// The mean absolute error of the naive forecast within the training rows: the value a season before, or the one before.
pub(super) fn naive_error(
    train: &Frame,
    target: &str,
    entities: &[String],
    frequency: &str,
) -> Option<f64> {
    let column = train.column(target)?;
    let mut series: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for (row, key) in keys(train, entities).into_iter().enumerate() {
        series
            .entry(key)
            .or_default()
            .extend(number(&column.cells[row]));
    }
    let error = |season: usize| {
        let differences: Vec<f64> = series
            .values()
            .flat_map(|values| {
                values
                    .iter()
                    .zip(values.iter().skip(season))
                    .map(|(before, after)| (after - before).abs())
            })
            .collect();
        let error = differences.iter().sum::<f64>() / differences.len() as f64;
        (error.is_finite() && error > 0.0).then_some(error)
    };
    let season = times::season(frequency);
    let longest = series.values().map(Vec::len).max().unwrap_or(0);
    if longest >= 2 * season {
        error(season)
    } else {
        None
    }
    .or_else(|| error(1))
}

/// What a forest and a line predict; `Err` in the result says why they did not.
async fn learnt(
    cx: &Cx<'_>,
    rule: &Predictions,
    sides: &Sides<'_>,
    label: &str,
    seed: u64,
    limits: &Limits,
) -> Result<Result<BTreeMap<String, Vec<u8>>, String>, WorkError> {
    let timed = |frame: &Frame, times: Option<&[Seconds]>| {
        let mut frame = frame.clone();
        if let Some(times) = times {
            let cells = times.iter().map(Seconds::to_string).collect();
            frame.columns.push(Column {
                name: SECONDS.to_owned(),
                kind: Kind::Integer,
                cells,
            });
        }
        csv(&frame)
    };
    let put = |path: &str, bytes: &[u8]| -> Result<DataFile, WorkError> {
        let blake3 = cx.blobs.put(bytes).map_err(StageError::from)?;
        Ok(DataFile {
            path: path.to_owned(),
            bytes: bytes.len() as u64,
            blake3,
        })
    };
    let files = [
        put(
            "train.csv",
            &timed(sides.train, sides.time.as_ref().map(|time| time.train)),
        )?,
        put(
            "test.csv",
            &timed(sides.test, sides.time.as_ref().map(|time| time.test)),
        )?,
    ];
    let is_text = |name: &&String| {
        sides
            .train
            .column(name)
            .is_some_and(|column| column.kind == Kind::Text)
    };
    let entities = sides
        .time
        .as_ref()
        .map(|time| time.entities)
        .unwrap_or_default();
    let features: Vec<&String> = entities.iter().chain(&sides.features).collect();
    let mut text: Vec<&String> = features
        .iter()
        .copied()
        .chain(&rule.keys)
        .filter(is_text)
        .collect();
    if sides.labels {
        text.extend(&rule.targets);
    }
    let parameters = json!({
        "keys": rule.keys,
        "targets": rule.targets,
        "features": features,
        "text": text,
        "labels": sides.labels,
        "time": sides.time.as_ref().map(|_| SECONDS),
        "entities": entities,
        "most_rows": MOST_ROWS,
    });
    let literal = serde_json::to_string(&parameters.to_string()).expect("text serialises to JSON");
    let code = FOREST.replace("__PARAMETERS__", &literal);
    let script = Script {
        label,
        files: &files,
        code: &code,
        seed,
        limits,
    };
    let outputs = LEARNERS.map(|(_, file)| file);
    let ran = script.run(cx.services, cx.blobs, &outputs).await?;
    if ran.observation.outcome == CellOutcome::Ok {
        return Ok(Ok(ran.files));
    }
    let said = ran.observation.stderr.lines().rev();
    let last = said.into_iter().find(|line| !line.trim().is_empty());
    Ok(Err(last.unwrap_or("it ended").chars().take(200).collect()))
}

#[cfg(test)]
mod tests {
    use synth_core::{Fingerprint, Metric, Rewarding};

    use super::super::frame::tests::frame;
    use super::*;

    fn rule(keys: &[&str], metric: Metric) -> Predictions {
        Predictions {
            file: "submission.csv".to_owned(),
            truth: DataFile {
                path: "truth.csv".to_owned(),
                bytes: 0,
                blake3: Fingerprint::of_bytes(b""),
            },
            keys: keys.iter().map(|key| (*key).to_owned()).collect(),
            targets: vec!["y".to_owned()],
            metric,
            reward: Rewarding::Value,
            success: 0.5,
            naive_error: None,
            exact_shape: false,
        }
    }

    fn text(bytes: Vec<u8>) -> String {
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn predictors_that_learn_nothing_repeat_what_was() {
        let train = frame("t,e,y\n1,a,1\n1,b,10\n2,a,2\n2,b,20\n3,a,3\n3,b,30\n");
        let test = frame("t,e\n4,a\n5,a\n4,b\n6,a\n");
        let entities = ["e".to_owned()];
        let time = Time {
            entities: &entities,
            train: &[1, 1, 2, 2, 3, 3],
            test: &[4, 5, 4, 6],
            frequency: "1D",
        };
        let sides = Sides {
            train: &train,
            test: &test,
            features: Vec::new(),
            labels: false,
            time: None,
        };
        let rule = rule(&["t", "e"], Metric::ClippedR2);
        assert_eq!(
            text(constant(&rule, &sides)),
            "t,e,y\n4,a,11\n5,a,11\n4,b,11\n6,a,11\n"
        );
        assert_eq!(
            text(past(&rule, &sides, &time, 1)),
            "t,e,y\n4,a,3\n5,a,3\n4,b,30\n6,a,3\n"
        );
        assert_eq!(
            text(past(&rule, &sides, &time, 2)),
            "t,e,y\n4,a,2\n5,a,3\n4,b,20\n6,a,2\n"
        );
        assert_eq!(naive_error(&train, "y", &entities, "1D"), Some(5.5));
        assert_eq!(naive_error(&frame("y\n1\n1\n1\n"), "y", &[], "1D"), None);
    }

    #[test]
    fn the_constant_label_is_the_most_frequent_one() {
        let train = frame("row_id,y\n1,b\n2,a\n3,b\n");
        let test = frame("row_id\n4\n");
        let sides = Sides {
            train: &train,
            test: &test,
            features: Vec::new(),
            labels: true,
            time: None,
        };
        assert_eq!(
            text(constant(&rule(&["row_id"], Metric::MacroF1), &sides)),
            "row_id,y\n4,b\n"
        );
    }

    #[test]
    fn a_task_in_which_nothing_beats_what_needs_no_learning_has_no_signal() {
        let signal = |rewards: &[(&str, f64)], margin: f64| {
            let baselines: Vec<Baseline> = rewards
                .iter()
                .map(|(name, reward)| Baseline {
                    name: (*name).to_owned(),
                    reward: *reward,
                    value: None,
                })
                .collect();
            has_signal(&baselines, margin)
        };
        let margin = margin(false, 50, 0.02);
        assert!(
            signal(
                &[("constant", 0.0), ("last_value", 0.0), ("forest", 0.3)],
                margin
            )
            .is_ok()
        );
        assert!(
            signal(
                &[("constant", 0.0), ("seasonal_naive", 0.5), ("forest", 0.0)],
                margin
            )
            .is_ok()
        );
        let refusal = signal(&[("constant", 0.4), ("forest", 0.41)], margin).unwrap_err();
        assert_eq!(refusal.reason, "no_signal");
        assert!(refusal.message.contains("forest 0.410"));
        // A tenth above a coin's throw is luck with fifty rows, and skill with five hundred.
        let thrown = [("constant", 0.33), ("chance", 0.5), ("forest", 0.6)];
        assert!(signal(&thrown, super::margin(true, 50, 0.02)).is_err());
        assert!(signal(&thrown, super::margin(true, 500, 0.02)).is_ok());
    }

    #[test]
    fn chance_draws_labels_as_frequent_as_the_known_ones() {
        let rows: Vec<String> = (0..200).map(|i| format!("{i},{}", i % 2)).collect();
        let train = frame(&format!("row_id,y\n{}\n", rows.join("\n")));
        let test = train.select(["row_id"]);
        let sides = Sides {
            train: &train,
            test: &test,
            features: Vec::new(),
            labels: true,
            time: None,
        };
        let rule = rule(&["row_id"], Metric::MacroF1);
        let reward = chance(&rule, &csv(&train), &sides, 7).reward;
        assert!((0.4..0.6).contains(&reward), "{reward}");
    }
}
