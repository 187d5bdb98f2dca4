//! Which row, group or column has the largest or smallest value.

use super::reading::Reading;
use super::wording::{decimals, statistic};
use super::{print_number, print_text};
use crate::prompt::Column;
use crate::python::literal;

/// Which row or group has the largest or smallest value.
pub(super) fn extreme(reading: &mut Reading) -> Option<Vec<String>> {
    let largest = ["highest", "largest", "most", "maximum", "strongest"]
        .iter()
        .any(|word| reading.lower.contains(word));
    let smallest = ["lowest", "smallest", "minimum", "fewest"]
        .iter()
        .any(|word| reading.question.text.to_lowercase().contains(word));
    let asked = reading.question.text.to_lowercase();
    if !(largest || smallest)
        || !(asked.contains("which") || asked.contains("identify the"))
        || reading.lower.contains("outlier")
        || reading.lower.contains("missing value")
    {
        return None;
    }
    let pick = if smallest { "idxmin()" } else { "idxmax()" };
    if asked.contains("strongest") && reading.lower.contains("correlation") {
        let target = reading.numeric_mentions().first().cloned()?;
        let x = reading.numbers(&target);
        reading.lines.push(format!("r = part.select_dtypes(\"number\").drop(columns=[{}], errors=\"ignore\").corrwith({x})\nprint(r)", literal(&target.name)));
        let names = reading.names.to_vec();
        return names
            .iter()
            .map(|name| match name.to_lowercase() {
                lower
                    if lower.contains("variable")
                        || lower.contains("column")
                        || lower.contains("feature") =>
                {
                    Some(print_text(name, "r.abs().idxmax()"))
                }
                lower if lower.contains("type") => Some(print_text(
                    name,
                    "\"positive\" if r[r.abs().idxmax()] > 0 else \"negative\"",
                )),
                lower if lower.contains("corr") => Some(print_number(
                    name,
                    "r[r.abs().idxmax()]",
                    decimals(reading.question, name),
                )),
                _ => None,
            })
            .collect();
    }
    let value = reading.numeric_mentions().into_iter().find(|column| {
        let year = column.name.to_lowercase();
        !(year == "year" || year == "date" || column.name.to_lowercase().ends_with("_id"))
    })?;
    let x = reading.numbers(&value);
    let averaged = asked.contains("average") || asked.contains("mean");
    let names = reading.names.to_vec();
    let mut printed = Vec::new();
    for name in &names {
        let lower = name.to_lowercase();
        let labels: Vec<Column> = reading
            .table
            .columns
            .iter()
            .filter(|column| column.name != value.name)
            .cloned()
            .collect();
        let label = labels
            .iter()
            .filter(|column| {
                let column = column.name.trim().to_lowercase();
                column.len() > 2
                    && (lower.contains(&column)
                        || lower
                            .split('_')
                            .any(|part| part.len() > 3 && column.contains(part)))
            })
            .min_by_key(|column| column.name.len())
            .cloned();
        if let Some(label) = label {
            reading.used.insert(label.name.clone());
            let key = literal(&label.name);
            printed.push(if averaged {
                print_text(name, &format!("{x}.groupby(part[{key}]).mean().{pick}"))
            } else {
                print_text(name, &format!("part.loc[{x}.{pick}, {key}]"))
            });
        } else if let Some(stat) = statistic(name) {
            printed.push(print_number(
                name,
                &stat.expression(&x, &reading.lower),
                decimals(reading.question, name),
            ));
        } else {
            return None;
        }
    }
    Some(printed)
}
