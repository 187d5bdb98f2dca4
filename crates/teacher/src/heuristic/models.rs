//! Models that a question asks to train: linear and logistic regression with a split, or fitted to all rows.

use std::sync::LazyLock;

use regex::Regex;

use super::mentions::mentions;
use super::wording::{choose, decimals, number_after, options};
use super::{Reading, print_number, print_text};
use crate::prompt::{Column, pattern};
use crate::python::literal;

/// Lines that print each value of a trained model; `None` when the question asks for no model that is known here.
pub fn train(reading: &mut Reading) -> Option<Vec<String>> {
    let asks = reading.lower.contains("regression")
        && (reading.lower.contains("predict")
            || reading.lower.contains("train")
            || reading.lower.contains("linear regression"));
    if !asks {
        return None;
    }
    let (target, features) = roles(reading)?;
    let logistic = reading.lower.contains("logistic");
    let split = ["split", "test set", "testing set", "train-test"]
        .iter()
        .any(|word| reading.lower.contains(word));
    let names: Vec<String> = features
        .iter()
        .map(|column| literal(&column.name))
        .collect();
    for column in features.iter().chain([&target]) {
        reading.used.insert(column.name.clone());
    }
    let mut imports = vec![format!(
        "from sklearn.linear_model import {}",
        if logistic {
            "LogisticRegression"
        } else {
            "LinearRegression"
        }
    )];
    if split {
        imports.push("from sklearn.model_selection import train_test_split".to_owned());
    }
    let model = match (
        logistic,
        reading.lower.contains("balanc") && !reading.lower.contains("don't balance"),
    ) {
        (true, true) => "LogisticRegression(class_weight=\"balanced\")",
        (true, false) => "LogisticRegression()",
        _ => "LinearRegression()",
    };
    let texts = features.iter().any(|column| column.kind == "text");
    let matrix = if texts {
        "pd.get_dummies(rows.drop(columns=[TARGET]), drop_first=True).astype(float)"
    } else {
        "rows.drop(columns=[TARGET])"
    };
    let matrix = matrix.replace("TARGET", &literal(&target.name));
    reading.lines.insert(0, format!("{}\n", imports.join("\n")));
    reading.lines.push(format!(
        "rows = part[[{}, {}]].dropna()\nX, y = {matrix}, rows[{}]",
        names.join(", "),
        literal(&target.name),
        literal(&target.name)
    ));
    if split {
        let seed = number_after(
            &reading.lower,
            &["random_state", "random state", "random seed", "seed"],
        )
        .unwrap_or(42.0);
        reading.lines.push(format!(
            "X_train, X_test, y_train, y_test = train_test_split(X, y, test_size={}, random_state={seed})\nmodel = {model}.fit(X_train, y_train)\npredicted = model.predict(X_test)\nprint(\"train:\", X_train.shape, \"test:\", X_test.shape)",
            test_share(&reading.lower)
        ));
    } else {
        reading.lines.push(format!("X_test, y_test = X, y\nmodel = {model}.fit(X, y)\npredicted = model.predict(X)\nprint(\"rows:\", X.shape)"));
    }
    reading.lines.push("error = y_test - predicted\nr2 = 1 - (error ** 2).sum() / ((y_test - y_test.mean()) ** 2).sum()".to_owned());
    let names = reading.names.to_vec();
    names
        .iter()
        .map(|name| metric(reading, name, logistic))
        .collect()
}

fn metric(reading: &Reading, name: &str, logistic: bool) -> Option<String> {
    let lower = name.to_lowercase();
    let places = decimals(reading.question, name);
    let has = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    let hits = if logistic {
        "(predicted == y_test).mean()"
    } else {
        "((predicted >= 0.5).astype(int) == y_test).mean()"
    };
    if has(&["rmse", "root"]) {
        Some(print_number(name, "(error ** 2).mean() ** 0.5", places))
    } else if has(&["mse", "squared_error"]) {
        Some(print_number(name, "(error ** 2).mean()", places))
    } else if has(&["mae", "absolute"]) {
        Some(print_number(name, "error.abs().mean()", places))
    } else if has(&["r2", "r_squared", "rsquared", "determination"]) {
        Some(print_number(name, "r2", places))
    } else if has(&["accuracy"]) || (logistic && has(&["score"])) {
        Some(print_number(name, hits, places))
    } else if has(&["intercept"]) {
        Some(print_number(name, "model.intercept_", places))
    } else if has(&["fit"]) {
        let columns: Vec<String> = reading
            .table
            .columns
            .iter()
            .map(|column| column.name.clone())
            .collect();
        let options = options(reading.question, reading.names, &columns);
        let (good, poor) = (
            choose(&options, &["good"], &[])?,
            choose(&options, &["poor", "bad"], &[])?,
        );
        Some(print_text(
            name,
            &format!("{} if r2 >= 0.7 else {}", literal(&good), literal(&poor)),
        ))
    } else {
        None
    }
}

/// The column to predict and those to predict it from.
fn roles(reading: &Reading) -> Option<(Column, Vec<Column>)> {
    let text = &reading.question.text;
    let usable = |column: &Column| {
        column.kind != "empty"
            && column.kind != "date"
            && (column.kind != "text" || column.distinct <= 20)
    };
    let listed = |text: &str| -> Vec<Column> {
        mentions(text, reading.table)
            .into_iter()
            .map(|mention| mention.column)
            .filter(|column| usable(column))
            .collect()
    };
    let after = text.split_once("predict").map_or("", |(_, rest)| rest);
    let (first, second) = ["based on", "using", "from", "with the features"]
        .iter()
        .find_map(|word| after.split_once(word))
        .unwrap_or((after, ""));
    let mut columns: Vec<Column> = listed(second);
    let mut target = listed(first).into_iter().next();
    if target.is_none() || columns.is_empty() {
        let all: Vec<Column> = reading
            .mentions
            .iter()
            .map(|mention| mention.column.clone())
            .filter(usable)
            .collect();
        if reading.lower.contains("linear relationship between") && all.len() >= 2 {
            return Some((all[1].clone(), vec![all[0].clone()]));
        }
        target = target.or_else(|| all.first().cloned());
        columns = all;
    }
    let target = target?;
    columns.retain(|column| column.name != target.name);
    columns.dedup_by(|one, other| one.name == other.name);
    (!columns.is_empty()).then_some((target, columns))
}

/// The share of rows that is held out.
fn test_share(lower: &str) -> f64 {
    static PAIR: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"\b(\d{1,2})\s*%?\s*(?:-|:|/|–)\s*(\d{1,2})\b"));
    static TEST: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"(\d{1,2})%\s*(?:of the data\s*)?(?:is\s*)?(?:used\s*)?(?:for\s*)?(?:a\s*)?test")
    });
    static TRAIN: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"train\w*\s*(?:set)?\s*\((\d{1,2})%\)|(\d{1,2})%\s*(?:of the data\s*)?(?:is\s*)?(?:used\s*)?(?:for\s*)?(?:as\s*)?(?:a\s*)?train",
        )
    });
    let number = |text: &str| text.parse::<f64>().unwrap_or(0.0);
    for found in PAIR.captures_iter(lower) {
        let (train, test) = (number(&found[1]), number(&found[2]));
        if (train + test - 100.0).abs() < 0.5 || (train + test - 10.0).abs() < 0.05 {
            return (test / (train + test) * 1000.0).round() / 1000.0;
        }
    }
    if let Some(found) = TEST.captures(lower) {
        return number(&found[1]) / 100.0;
    }
    if let Some(found) = TRAIN.captures(lower) {
        let train = found
            .iter()
            .skip(1)
            .flatten()
            .next()
            .map_or(80.0, |m| number(m.as_str()));
        return (100.0 - train) / 100.0;
    }
    0.2
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_read_in_many_forms() {
        for (text, share) in [
            ("a 70-30 split", 0.3),
            ("the ratio 8:2", 0.2),
            ("with 80% of the data used for training", 0.2),
            ("a training set (75%)", 0.25),
        ] {
            assert!(
                (test_share(text) - share).abs() < 1e-9,
                "{text}: {}",
                test_share(text)
            );
        }
    }
}
