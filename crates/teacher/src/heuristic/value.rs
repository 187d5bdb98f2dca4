//! One value of the answer format: which computation its name asks for, and the line that prints it.

use std::sync::LazyLock;

use regex::Regex;

use super::filters;
use super::label::{is_label, label};
use super::reading::Reading;
use super::relation::{correlation, p_value, shapiro};
use super::wording::{Statistic, decimals, is_count, number_after, placeholder, statistic};
use super::{print_number, print_text};
use crate::prompt::{Column, pattern};
use crate::python::literal;

/// The line that prints one value, after the lines that compute it.
pub(super) fn value(reading: &mut Reading, name: &str) -> Option<String> {
    let lower = name.to_lowercase();
    let inside = placeholder(&reading.question.format, name).to_lowercase();
    let places = decimals(reading.question, name);
    if let Some((group, column)) = filters::group_of(reading, name) {
        return grouped(reading, name, &group, &column, places);
    }
    if is_label(&lower) {
        let label = label(reading, name)?;
        return Some(print_text(name, &label));
    }
    let is_p = lower.contains("p_value")
        || lower.contains("pvalue")
        || lower.contains("p_val")
        || inside == "p_value";
    if (lower.contains("correlation") || lower.contains("corr") || inside.contains("r_value"))
        && !is_p
        && !lower.contains("determination")
    {
        let r = correlation(reading, name)?;
        return Some(print_number(name, &r.0, places));
    }
    if is_p {
        let p = p_value(reading, name)?;
        return Some(print_number(name, &p, places));
    }
    if reading.lower.contains("shapiro")
        && (lower.contains("statistic") || lower.contains("shapiro"))
    {
        shapiro(reading, name)?;
        return Some(print_number(name, "statistic", places));
    }
    if lower.contains("nan") && inside.contains("bool") {
        let x = reading.target(name)?;
        return Some(print_text(name, &format!("bool({x}.isna().any())")));
    }
    if lower.contains("missing")
        || (reading.lower.contains("missing values in") && lower.contains("percent"))
    {
        return missing(reading, name, places);
    }
    let remaining = ["left", "remain", "after_removal", "row_count", "entries"]
        .iter()
        .any(|word| lower.contains(word));
    if treats_outliers(&reading.lower) {
        let x = outliers(reading, name)?;
        let stat = statistic(name);
        return Some(match stat {
            _ if remaining && is_count(reading.question, name) && !lower.contains("outlier") => {
                print_number(name, &format!("int((~{x}_out).sum())"), 0)
            }
            Some(Statistic::Count | Statistic::Sum) => {
                print_number(name, &format!("int({x}_out.sum())"), 0)
            }
            None if lower.contains("outlier") || lower.contains("removed") => {
                print_number(name, &format!("int({x}_out.sum())"), 0)
            }
            Some(stat) => {
                let kept = if lower.contains("outlier") {
                    format!("{x}[{x}_out]")
                } else if lower.contains("pre")
                    || lower.contains("before")
                    || lower.contains("original")
                {
                    x.clone()
                } else {
                    format!("{x}[~{x}_out]")
                };
                print_number(name, &stat.expression(&kept, &reading.lower), places)
            }
            None => return None,
        });
    }
    let stat = statistic(name)
        .or_else(|| statistic(&inside))
        .or_else(|| only_statistic(&reading.lower))?;
    if stat == Statistic::Count {
        return count(reading, name);
    }
    let x = reading.target(name)?;
    let digits = if stat == Statistic::Sum && is_count(reading.question, name) {
        0
    } else {
        places
    };
    let whole = inside.contains("integer") || reading.question.format.contains("positive integer");
    Some(print_number(
        name,
        &stat.expression(&x, &reading.lower),
        if whole { 0 } else { digits },
    ))
}

/// Whether outliers are to be found; "do not consider outliers" mentions them only.
pub(super) fn treats_outliers(lower: &str) -> bool {
    static PASSING: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"(?:do not|don't|without|no need to|ignore)[^.]{0,60}outlier[^.]*")
    });
    PASSING.replace_all(lower, "").contains("outlier")
}

/// The statistic that the question names when its format does not.
pub(super) fn only_statistic(lower: &str) -> Option<Statistic> {
    let known = [
        "mean",
        "average",
        "median",
        "standard deviation",
        "skewness",
        "kurtosis",
        "variance",
    ];
    let named: Vec<Statistic> = known
        .iter()
        .filter(|word| lower.contains(*word))
        .filter_map(|word| statistic(word))
        .collect();
    let first = *named.first()?;
    named
        .iter()
        .all(|statistic| *statistic == first)
        .then_some(first)
}

pub(super) fn count(reading: &mut Reading, name: &str) -> Option<String> {
    let filtered = !filters::filters(reading).is_empty();
    if (reading.lower.contains("unique")
        || reading.lower.contains("different")
        || reading.lower.contains("distinct"))
        && let Some(mention) = reading.mentions.first().cloned()
    {
        let column = literal(&mention.column.name);
        reading.used.insert(mention.column.name.clone());
        let least = number_after(&reading.lower, &["at least"]);
        return Some(match least {
            Some(least) => print_number(
                name,
                &format!("int((part[{column}].value_counts() >= {least}).sum())"),
                0,
            ),
            None => print_number(name, &format!("part[{column}].nunique()"), 0),
        });
    }
    filtered.then(|| print_number(name, "len(part)", 0))
}

pub(super) fn missing(reading: &mut Reading, name: &str, places: usize) -> Option<String> {
    let lower = name.to_lowercase();
    if lower.contains("column") || (lower.contains("max") && reading.lower.contains("which column"))
    {
        return Some(print_text(name, "part.isna().sum().idxmax()"));
    }
    let flat = |text: &str| {
        text.chars()
            .filter(|c| c.is_alphanumeric())
            .flat_map(char::to_lowercase)
            .collect::<String>()
    };
    let parts = |text: &str| {
        text.to_lowercase()
            .split(|c: char| !c.is_alphanumeric())
            .filter(|part| part.len() > 2)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let wanted = parts(name);
    let mentioned: Vec<Column> = reading
        .mentions
        .iter()
        .map(|mention| mention.column.clone())
        .collect();
    let column = mentioned
        .iter()
        .max_by_key(|column| {
            let shared = parts(&column.name)
                .iter()
                .filter(|part| wanted.contains(part))
                .count();
            (
                flat(name).contains(&flat(&column.name)),
                shared,
                usize::from(mentioned.first() == Some(*column)),
            )
        })?
        .clone();
    reading.used.insert(column.name.clone());
    let gaps = format!("part[{}].isna()", literal(&column.name));
    let share = lower.contains("percent") || reading.lower.contains("percentage of missing");
    Some(if share {
        print_number(name, &format!("100 * {gaps}.mean()"), places)
    } else {
        print_number(name, &format!("int({gaps}.sum())"), 0)
    })
}

/// Marks outliers of a target; the variable with the values, beside which `…_out` marks the outliers.
pub(super) fn outliers(reading: &mut Reading, name: &str) -> Option<String> {
    let column = reading.about(name);
    let x = reading.target(name)?;
    let place = column.map_or(0, |column| {
        reading
            .table
            .columns
            .iter()
            .position(|other| other.name == column.name)
            .unwrap_or(0)
    });
    let variable = if reading.derived.is_some() {
        "x".to_owned()
    } else {
        format!("x{place}")
    };
    let lower = reading.lower.clone();
    reading.once(&format!("outliers {variable}"), || {
        let iqr = lower.contains("iqr") || lower.contains("interquartile");
        let threshold = number_after(&lower, &["threshold of", "threshold value of", "score greater than", "z-score above", "score exceeds", "greater than", "more than", "above"])
            .filter(|threshold| (1.0..=6.0).contains(threshold))
            .unwrap_or(3.0);
        if iqr {
            format!("{variable} = {x}.dropna()\nq1, q3 = {variable}.quantile(0.25), {variable}.quantile(0.75)\n{variable}_out = ({variable} < q1 - 1.5 * (q3 - q1)) | ({variable} > q3 + 1.5 * (q3 - q1))\nprint(\"outliers:\", int({variable}_out.sum()), \"of\", len({variable}))")
        } else {
            format!("{variable} = {x}.dropna()\nz = ({variable} - {variable}.mean()) / {variable}.std(ddof=0)\n{variable}_out = z.abs() > {threshold}\nprint(\"outliers:\", int({variable}_out.sum()), \"of\", len({variable}))")
        }
    });
    Some(variable)
}

/// A value of one group of rows.
pub(super) fn grouped(
    reading: &mut Reading,
    name: &str,
    group: &str,
    column: &str,
    places: usize,
) -> Option<String> {
    reading.used.insert(column.to_owned());
    let x = reading.target(name)?;
    let rows = format!("{x}[part[{}] == {group}]", literal(column));
    if reading.lower.contains("outlier") {
        let variable = format!("g{}", reading.done.len());
        reading.once(&format!("group {name}"), || format!("{variable} = {rows}.dropna()\n{variable}_z = ({variable} - {variable}.mean()) / {variable}.std(ddof=0)"));
        return Some(print_number(
            name,
            &format!("int(({variable}_z.abs() > 3).sum())"),
            0,
        ));
    }
    if name.contains("p_value") && reading.lower.contains("shapiro") {
        return Some(print_number(
            name,
            &format!("stats.shapiro({rows}.dropna())[1]"),
            places,
        ));
    }
    let stat = statistic(name).or_else(|| only_statistic(&reading.lower))?;
    Some(print_number(
        name,
        &stat.expression(&rows, &reading.lower),
        places,
    ))
}
