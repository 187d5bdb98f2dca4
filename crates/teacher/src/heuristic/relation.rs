//! Correlations and tests: computed once, named by their variables.

use super::reading::Reading;
use crate::prompt::Column;

/// Computes a correlation; the variables of r and p.
pub(super) fn correlation(reading: &mut Reading, name: &str) -> Option<(String, String)> {
    let mut columns = reading.numeric_mentions();
    // Columns in their own spelling count for more than words that only resemble a name.
    let sure: Vec<Column> = columns
        .iter()
        .filter(|column| {
            reading
                .mentions
                .iter()
                .any(|mention| mention.column.name == column.name && mention.strength >= 3)
        })
        .cloned()
        .collect();
    if sure.len() == 2 && reading.derived.is_none() {
        columns = sure;
    }
    let (a, b) = if let Some((variable, components)) = reading.derived.clone() {
        let other = columns
            .iter()
            .find(|column| !components.contains(&column.name))
            .cloned()?;
        (variable, reading.numbers(&other))
    } else {
        // `correlation_XY` names its columns, which matters where several are asked for.
        let parts: Vec<&str> = name.split('_').collect();
        let named: Vec<Column> = columns
            .iter()
            .filter(|column| {
                let flat: String = column
                    .name
                    .chars()
                    .filter(|c| c.is_alphanumeric())
                    .collect();
                parts.iter().any(|part| part.eq_ignore_ascii_case(&flat))
                    || parts.last().is_some_and(|last| {
                        flat.len() == 1 && last.len() == 2 && last.contains(&flat)
                    })
            })
            .cloned()
            .collect();
        let pair = if named.len() == 2 {
            named
        } else {
            columns.into_iter().take(2).collect()
        };
        let [first, second] = &pair[..] else {
            return None;
        };
        (reading.numbers(first), reading.numbers(second))
    };
    let method = if reading.lower.contains("spearman") {
        "spearmanr"
    } else {
        "pearsonr"
    };
    let number = reading
        .done
        .iter()
        .filter(|key| key.starts_with("correlation "))
        .count();
    let key = format!("correlation {a} {b}");
    let suffix = if reading.done.contains(&key) {
        number.saturating_sub(1)
    } else {
        number
    };
    let (r, p) = (format!("r{suffix}"), format!("p{suffix}"));
    reading.once(&key, || {
        format!("pair = pd.concat([{a}, {b}], axis=1).replace([np.inf, -np.inf], np.nan).dropna().astype(float)\n{r}, {p} = stats.{method}(pair.iloc[:, 0], pair.iloc[:, 1])\nprint(\"pairs:\", len(pair), \"r:\", {r}, \"p:\", {p})")
    });
    Some((r, p))
}

pub(super) fn shapiro(reading: &mut Reading, name: &str) -> Option<()> {
    let x = reading.target(name)?;
    reading.once("shapiro", || format!("statistic, p = stats.shapiro({x}.dropna())\nprint(\"statistic:\", statistic, \"p:\", p)"));
    Some(())
}

pub(super) fn p_value(reading: &mut Reading, name: &str) -> Option<String> {
    if reading.lower.contains("shapiro") {
        shapiro(reading, name)?;
        return Some("p".to_owned());
    }
    if reading.lower.contains("correlation") {
        let asked = reading
            .names
            .iter()
            .find(|name| name.contains("corr"))
            .cloned()
            .unwrap_or_else(|| name.to_owned());
        return correlation(reading, &asked).map(|(_, p)| p);
    }
    None
}
