//! Labels such as `significant` or `linear`, chosen by the rules that they usually follow.

use super::reading::Reading;
use super::relation::{correlation, shapiro};
use super::wording::{Statistic, choose, number_after, options};
use crate::python::literal;

pub(super) fn is_label(lower: &str) -> bool {
    [
        "type",
        "status",
        "signific",
        "strength",
        "is_",
        "relationship",
        "model_fit",
        "distribution",
        "normality",
    ]
    .iter()
    .any(|word| lower.contains(word))
        && !lower.contains("p_value")
        && !lower.contains("coefficient")
}

/// The Python expression of a label, by the rules that such labels usually follow.
pub(super) fn label(reading: &mut Reading, name: &str) -> Option<String> {
    let columns: Vec<String> = reading
        .table
        .columns
        .iter()
        .map(|column| column.name.clone())
        .collect();
    let options = options(reading.question, reading.names, &columns);
    let pick = |wanted: &[&str], unwanted: &[&str]| {
        choose(&options, wanted, unwanted).map(|option| literal(&option))
    };
    let alpha = number_after(
        &reading.lower,
        &[
            "(alpha) of",
            "significance level of",
            "alpha) at",
            "p-value is less than",
            "less than",
        ],
    )
    .filter(|alpha| *alpha > 0.0 && *alpha < 0.5)
    .unwrap_or(0.05);
    let lower = name.to_lowercase();
    let by_skew = reading.lower.contains("skewness") && !reading.lower.contains("shapiro");
    if by_skew {
        let x = reading.target(name)?;
        let skew = Statistic::Skew.expression(&x, &reading.lower);
        reading.once("skewness", || {
            format!("skewness = {skew}\nprint(\"skewness:\", skewness)")
        });
        let limit = if reading.lower.contains("0.5") {
            0.5
        } else {
            0.0
        };
        if let (Some(right), Some(left)) = (
            pick(&["right", "positive", "positively"], &[]),
            pick(&["left", "negative", "negatively"], &[]),
        ) {
            let middle = pick(&["symmetric", "none", "no", "normal"], &[])
                .unwrap_or_else(|| literal("symmetric"));
            return Some(format!(
                "{right} if skewness > {limit} else {left} if skewness < -{limit} else {middle}"
            ));
        }
        let (yes, no) = (
            pick(&["normal"], &["not", "non"])?,
            pick(&["not", "non"], &[])?,
        );
        return Some(format!("{yes} if abs(skewness) < {limit} else {no}"));
    }
    if reading.lower.contains("shapiro") {
        shapiro(reading, name)?;
        let (yes, no) = (
            pick(&["normal", "yes", "true"], &["not", "non", "no"])?,
            pick(&["not", "non", "no", "false"], &[])?,
        );
        return Some(format!("{yes} if p > {alpha} else {no}"));
    }
    if !reading.lower.contains("correlation") {
        return None;
    }
    let (r, p) = correlation(
        reading,
        &reading
            .names
            .iter()
            .find(|name| name.contains("corr") && !is_label(&name.to_lowercase()))
            .cloned()
            .unwrap_or_default(),
    )?;
    let none = pick(
        &["none", "no significant correlation", "no correlation", "no"],
        &[],
    );
    if lower.contains("signific")
        || (pick(&["not significant"], &[]).is_some() && pick(&["linear"], &[]).is_none())
    {
        let (yes, no) = (
            pick(&["significant"], &["not", "insig", "non", "no"])?,
            pick(&["not significant", "insignificant", "no"], &[])?,
        );
        return Some(format!("{yes} if {p} < {alpha} else {no}"));
    }
    if let Some(strong) = pick(&["strong"], &[]) {
        let (moderate, weak) = (pick(&["moderate"], &[]), pick(&["weak"], &[])?);
        let moderate = moderate.unwrap_or_else(|| weak.clone());
        let bound = if reading.lower.contains("0.7") {
            0.7
        } else {
            0.5
        };
        return Some(format!(
            "{strong} if abs({r}) >= {bound} else {moderate} if abs({r}) >= 0.3 else {weak}"
        ));
    }
    if let (Some(linear), Some(none)) = (pick(&["linear"], &["non", "not"]), none.clone()) {
        let nonlinear = pick(&["nonlinear", "non-linear"], &[]).unwrap_or_else(|| none.clone());
        let tested = if reading.lower.contains("p-value") {
            format!("{none} if {p} >= {alpha} else ")
        } else {
            String::new()
        };
        return Some(format!(
            "{tested}{linear} if abs({r}) >= 0.5 else {nonlinear}"
        ));
    }
    let (up, down) = (pick(&["positive"], &[])?, pick(&["negative"], &[])?);
    let none = none.unwrap_or_else(|| literal("none"));
    let tested = reading.lower.contains("p-value") || reading.lower.contains("significance level");
    let test = if tested {
        format!("{none} if {p} >= {alpha} else ")
    } else {
        String::new()
    };
    let bound = if reading.lower.contains("0.5") {
        0.5
    } else {
        0.0
    };
    Some(format!(
        "{test}{up} if {r} > {bound} else {down} if {r} < -{bound} else {none}"
    ))
}
