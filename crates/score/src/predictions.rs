//! Predictions: the agent's CSV aligned with the hidden truth by id, then measured.

use std::borrow::Cow;
use std::collections::HashMap;

use synth_core::{Metric, Predictions, Score};

use crate::metrics::{clipped_r2, macro_f1};
use crate::{quoted, refused};

/// Scores a CSV of predictions; `prediction` is `None` when the agent left no file.
///
/// Both tables are comma-separated UTF-8 with a header, with or without a byte order mark, with any line ends; spaces
/// around names and cells do not count, further columns are ignored, and so is the order of rows. Ids must be unique
/// and the same in both. Ids and labels that are decimal numbers are compared as such (`1`, `1.0`), all else as text.
/// For [`Metric::ClippedR2`] every prediction must be a finite number. Whatever breaks a rule earns 0 and a reason.
///
/// The metric's score is the reward; from `success` on it counts as one. No more rows are read than the truth has and
/// one.
pub fn score_predictions(
    rule: &Predictions,
    prediction: Option<&[u8]>,
    truth: &[u8],
    _leaderboard: Option<&[u8]>,
) -> Score {
    let Some(prediction) = prediction else {
        return refused("no prediction file");
    };
    let ([id_column], [target_column]) = (rule.keys.as_slice(), rule.targets.as_slice()) else {
        return refused("one key and one target are needed");
    };
    match measure(prediction, truth, id_column, target_column, rule.metric) {
        Ok((reward, rows)) => Score {
            reward,
            success: reward >= rule.success,
            reason: format!("{} {reward:.4} over {rows} rows", rule.metric),
            value: Some(reward),
            ..Score::default()
        },
        Err(reason) => refused(reason),
    }
}

fn measure(
    prediction: &[u8],
    truth: &[u8],
    id_column: &str,
    target_column: &str,
    metric: Metric,
) -> Result<(f64, usize), String> {
    let columns = [id_column, target_column];
    let (ids, truths) =
        read_truth(truth, columns).map_err(|reason| format!("hidden truth: {reason}"))?;
    let predictions = read_predictions(prediction, columns, &ids)?;
    let reward = match metric {
        Metric::MacroF1 => {
            let truths: Vec<_> = truths.iter().map(|label| canonical(label)).collect();
            let predictions: Vec<_> = predictions.iter().map(|label| canonical(label)).collect();
            macro_f1(&as_strs(&truths), &as_strs(&predictions))
        }
        Metric::ClippedR2 => {
            let truths =
                numbers(&truths, &ids).map_err(|reason| format!("hidden truth: {reason}"))?;
            clipped_r2(&truths, &numbers(&predictions, &ids)?)
        }
        other => return Err(format!("`{other}` cannot be measured")),
    };
    Ok((reward, ids.len()))
}

/// The position of each id in the truth.
type Ids = HashMap<String, usize>;

fn read_truth(bytes: &[u8], columns: [&str; 2]) -> Result<(Ids, Vec<String>), String> {
    let mut ids = Ids::new();
    let mut values = Vec::new();
    for_each_row(bytes, columns, |id, value| {
        if ids.insert(id.to_owned(), values.len()).is_some() {
            return Err(format!("id {} stands there twice", quoted(id)));
        }
        values.push(value.to_owned());
        Ok(())
    })?;
    if values.is_empty() {
        return Err("no rows".to_owned());
    }
    Ok((ids, values))
}

/// The predicted values in the order of the truth.
fn read_predictions(bytes: &[u8], columns: [&str; 2], ids: &Ids) -> Result<Vec<String>, String> {
    let mut values: Vec<Option<String>> = vec![None; ids.len()];
    for_each_row(bytes, columns, |id, value| {
        let Some(&position) = ids.get(id) else {
            return Err(format!("id {} is not one to predict", quoted(id)));
        };
        // A row beyond the last expected one is unknown or a repetition, so reading ends there at the latest.
        if values[position].replace(value.to_owned()).is_some() {
            return Err(format!("id {} stands there twice", quoted(id)));
        }
        Ok(())
    })?;
    let missing = values.iter().filter(|value| value.is_none()).count();
    if missing > 0 {
        let total = values.len();
        let first = values.iter().position(Option::is_none);
        let id = ids
            .iter()
            .find(|(_, position)| Some(**position) == first)
            .map_or("", |(id, _)| id);
        return Err(format!(
            "{missing} of {total} ids are missing, {} the first",
            quoted(id)
        ));
    }
    Ok(values.into_iter().flatten().collect())
}

fn for_each_row(
    bytes: &[u8],
    columns: [&str; 2],
    mut visit: impl FnMut(&str, &str) -> Result<(), String>,
) -> Result<(), String> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(bytes);
    let header = reader
        .byte_headers()
        .map_err(|error| unreadable(&error))?
        .clone();
    let mut positions = [0; 2];
    for (position, column) in positions.iter_mut().zip(columns) {
        let column = column.trim();
        let mut found = header
            .iter()
            .enumerate()
            .filter(|(_, name)| *name == column.as_bytes());
        *position = match (found.next(), found.next()) {
            (Some((index, _)), None) => index,
            (Some(_), Some(_)) => {
                return Err(format!("column {} stands there twice", quoted(column)));
            }
            (None, _) => return Err(format!("column {} is missing", quoted(column))),
        };
    }
    let mut row = csv::ByteRecord::new();
    while reader
        .read_byte_record(&mut row)
        .map_err(|error| unreadable(&error))?
    {
        let cell = |position| String::from_utf8_lossy(row.get(position).unwrap_or_default());
        visit(
            &canonical(cell(positions[0]).trim()),
            cell(positions[1]).trim(),
        )?;
    }
    Ok(())
}

fn unreadable(error: &csv::Error) -> String {
    match error.kind() {
        csv::ErrorKind::UnequalLengths {
            pos,
            expected_len,
            len,
        } => {
            let line = pos.as_ref().map_or(0, csv::Position::line);
            format!("line {line} has {len} cells, the header {expected_len}")
        }
        _ => "not readable as CSV".to_owned(),
    }
}

/// One spelling for equal decimal numbers: `1.0`, `1.` and `1` become `1`, `0.50` becomes `0.5`. Text stays what it is, and
/// so do codes with leading zeros, as `007` need not be `7`.
fn canonical(text: &str) -> Cow<'_, str> {
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    let Some((whole, fraction)) = text.split_once('.') else {
        return Cow::Borrowed(if text == "-0" { "0" } else { text });
    };
    let magnitude = whole.strip_prefix('-').unwrap_or(whole);
    let has_leading_zero = magnitude.len() > 1 && magnitude.starts_with('0');
    if magnitude.is_empty() || has_leading_zero || !digits(magnitude) || !digits(fraction) {
        return Cow::Borrowed(text);
    }
    match fraction.trim_end_matches('0') {
        "" if whole == "-0" => Cow::Borrowed("0"),
        "" => Cow::Borrowed(whole),
        fraction => Cow::Borrowed(&text[..whole.len() + 1 + fraction.len()]),
    }
}

fn as_strs<'a>(labels: &'a [Cow<'_, str>]) -> Vec<&'a str> {
    labels.iter().map(AsRef::as_ref).collect()
}

fn numbers(cells: &[String], ids: &Ids) -> Result<Vec<f64>, String> {
    let number = |(position, cell): (usize, &String)| match cell.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => {
            let id = ids
                .iter()
                .find(|(_, found)| **found == position)
                .map_or("", |(id, _)| id);
            Err(format!(
                "{} at id {} is not a finite number",
                quoted(cell),
                quoted(id)
            ))
        }
    };
    cells.iter().enumerate().map(number).collect()
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
            "row, species , id \n0, setosa ,1\n1,\"virginica\",2.0\n2,setosa,3",
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
            ("", "column `id` is missing"),
            ("id,Species\n1,setosa", "column `species` is missing"),
            (
                "id,id,species\n1,1,setosa",
                "column `id` stands there twice",
            ),
            (
                "id,species\n1,setosa\n1,setosa",
                "id `1` stands there twice",
            ),
            (
                "id,species\n1,setosa\n4,setosa",
                "id `4` is not one to predict",
            ),
            (
                "id,species\n1,setosa",
                "2 of 3 ids are missing, `2` the first",
            ),
            ("id,species\n1", "line 2 has 1 cells, the header 2"),
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
        assert_eq!(score, refused("hidden truth: no rows"));
    }

    #[test]
    fn regression_takes_finite_numbers_only() {
        assert!(values("id,y\nc,4.0\nb,2e0\na,1").success);
        for cell in ["", "nan", "inf", "-Infinity", "1e999", "two", "1,000"] {
            let score = values(&format!("id,y\na,1\nb,\"{cell}\"\nc,4\n"));
            assert!(
                score.reward < 1e-9 && score.reason.ends_with("at id `b` is not a finite number"),
                "{}",
                score.reason
            );
        }
        let score = values("id,y\na,100\nb,-100\nc,0\n");
        assert!(score.reward < 1e-9 && score.reason.starts_with("clipped_r2 0.0000 over 3 rows"));
    }

    #[test]
    fn numeric_labels_are_compared_as_numbers_and_codes_as_text() {
        let score = |truth: &str, prediction: &str| {
            let table = |label: &str| format!("id,y\n1,{label}\n");
            score_predictions(
                &rule("id", "y", Metric::MacroF1, 1.0),
                Some(table(prediction).as_bytes()),
                table(truth).as_bytes(),
                None,
            )
            .success
        };
        assert!(
            score("1", "1.0") && score("1.00", "1") && score("0.50", "0.5") && score("-0.0", "0")
        );
        assert!(!score("007", "7") && !score("a", "A") && !score("10", "1"));
    }

    #[test]
    fn reading_stops_after_the_rows_of_the_truth() {
        let endless = "id,species\n".to_owned() + &"1,setosa\n".repeat(1_000_000);
        assert_eq!(labels(&endless).reason, "id `1` stands there twice");
    }

    proptest! {
        #[test]
        fn any_bytes_get_a_score(
            prediction in prop::collection::vec(any::<u8>(), 0..200),
            truth in prop::collection::vec(any::<u8>(), 0..60),
            text in "[id,y123\"\n. ]{0,60}",
        ) {
            for metric in [Metric::MacroF1, Metric::ClippedR2] {
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
