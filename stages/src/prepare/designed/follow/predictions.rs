//! What solutions predicted: scored against the reference by the task's verifier, and looked at for sense.

use synth_core::{DataFile, Fingerprint, Metric, Predictions, Rewarding, Score};

use super::super::recipe::{Problem, Recipe};

/// As the verifier of a task by this recipe scores it.
pub(super) fn score(recipe: &Recipe, prediction: Option<&[u8]>, truth: &[u8]) -> Score {
    synth_score::score_predictions(&rule(recipe), prediction, truth, None)
}

fn rule(recipe: &Recipe) -> Predictions {
    Predictions {
        file: recipe.submission.clone(),
        truth: DataFile {
            path: "truth.csv".to_owned(),
            bytes: 0,
            blake3: Fingerprint::of_bytes(b""),
        },
        keys: vec![recipe.id_column.clone()],
        targets: recipe.targets.clone(),
        metric: match recipe.problem {
            Problem::Classification => Metric::EqualLabels,
            Problem::Regression => Metric::EqualNumbers,
        },
        reward: Rewarding::Value,
        success: 1.0,
        naive_error: None,
        exact_shape: false,
    }
}

/// Whether every target's predictions say something: different labels, or numbers that are finite and do not all count as one.
pub(super) fn sound(recipe: &Recipe, truth: &[u8]) -> Result<(), String> {
    let mut reader = csv::Reader::from_reader(truth);
    let unreadable = |error: csv::Error| format!("its predictions cannot be read: {error}");
    let header = reader.headers().map_err(unreadable)?.clone();
    let rows = reader
        .records()
        .collect::<Result<Vec<_>, _>>()
        .map_err(unreadable)?;
    for target in &recipe.targets {
        let Some(at) = header.iter().position(|name| name == target) else {
            return Err(format!("it predicts no `{target}`"));
        };
        let cells = || rows.iter().map(|row| row.get(at).unwrap_or_default());
        let first = cells().next().unwrap_or_default();
        let differs = match recipe.problem {
            Problem::Classification => cells().any(|cell| cell != first),
            Problem::Regression => {
                let numbers = cells()
                    .map(|cell| cell.parse().ok().filter(|number: &f64| number.is_finite()))
                    .collect::<Option<Vec<f64>>>()
                    .ok_or_else(|| format!("not all its `{target}` are finite numbers"))?;
                let (low, high) = numbers
                    .iter()
                    .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), number| {
                        (low.min(*number), high.max(*number))
                    });
                // numpy.allclose, by which they are compared.
                high - low > 1e-8 + 1e-5 * low.abs().max(high.abs())
            }
        };
        if !differs {
            return Err(format!("it predicts {first} as `{target}` for every row"));
        }
    }
    Ok(())
}

/// Where two files that should be the same are not, in a sentence.
pub(super) fn difference(one: &[u8], other: &[u8]) -> String {
    let lines = |bytes| {
        String::from_utf8_lossy(bytes)
            .lines()
            .map(str::to_owned)
            .collect()
    };
    let (one, other): (Vec<String>, Vec<String>) = (lines(one), lines(other));
    let at = one.iter().zip(&other).position(|(one, other)| one != other);
    match at {
        Some(at) => {
            let cut = |text: &str| text.chars().take(120).collect::<String>();
            format!(
                "two runs differ, first in line {}: `{}` and `{}`",
                at + 1,
                cut(&one[at]),
                cut(&other[at])
            )
        }
        None => format!("two runs wrote {} and {} lines", one.len(), other.len()),
    }
}
