//! What the words of a question and of its answer format say: decimals, options, thresholds, which statistic a name means.

use std::sync::LazyLock;

use regex::Regex;

use crate::prompt::{Question, pattern};

/// The statistic that a name of the answer format stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Statistic {
    /// Arithmetic mean.
    Mean,
    /// Median.
    Median,
    /// Standard deviation.
    Std,
    /// Variance.
    Variance,
    /// Skewness.
    Skew,
    /// Kurtosis.
    Kurtosis,
    /// Smallest value.
    Min,
    /// Largest value.
    Max,
    /// Largest minus smallest value.
    Range,
    /// Sum.
    Sum,
    /// Number of values.
    Count,
}

impl Statistic {
    /// The statistic of `x` as a Python expression.
    pub fn expression(self, x: &str, text: &str) -> String {
        let population = text.contains("population standard deviation")
            || text.contains("ddof=0")
            || text.contains("numpy.std");
        let scipy = text.contains("scipy") && text.contains("default");
        match self {
            Self::Mean => format!("{x}.mean()"),
            Self::Median => format!("{x}.median()"),
            Self::Std if population => format!("{x}.std(ddof=0)"),
            Self::Std => format!("{x}.std()"),
            Self::Variance => format!("{x}.var()"),
            Self::Skew if text.contains("first coefficient of skewness") => {
                format!("3 * ({x}.mean() - {x}.median()) / {x}.std()")
            }
            Self::Skew if scipy || text.contains("scipy") => format!("stats.skew({x}.dropna())"),
            Self::Skew => format!("{x}.skew()"),
            Self::Kurtosis if text.contains("scipy") => format!("stats.kurtosis({x}.dropna())"),
            Self::Kurtosis => format!("{x}.kurt()"),
            Self::Min => format!("{x}.min()"),
            Self::Max => format!("{x}.max()"),
            Self::Range => format!("({x}.max() - {x}.min())"),
            Self::Sum => format!("{x}.sum()"),
            Self::Count => format!("{x}.count()"),
        }
    }
}

/// The statistic that a name means, if it says so itself.
pub fn statistic(name: &str) -> Option<Statistic> {
    let lower = name.to_lowercase();
    let parts: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).collect();
    let has = |words: &[&str]| {
        words.iter().any(|word| {
            if word.len() > 3 {
                lower.contains(word)
            } else {
                parts.contains(word)
            }
        })
    };
    let table: [(&[&str], Statistic); 11] = [
        (&["median"], Statistic::Median),
        (
            &["std", "stdev", "stddev", "deviation", "sd"],
            Statistic::Std,
        ),
        (&["variance", "var"], Statistic::Variance),
        (&["skew"], Statistic::Skew),
        (&["kurt"], Statistic::Kurtosis),
        (&["mean", "average", "avg"], Statistic::Mean),
        (&["range"], Statistic::Range),
        (&["minimum", "min", "lowest"], Statistic::Min),
        (&["maximum", "max", "highest"], Statistic::Max),
        (&["total", "sum"], Statistic::Sum),
        (&["count", "number", "num"], Statistic::Count),
    ];
    table
        .iter()
        .find(|(words, _)| has(words))
        .map(|(_, statistic)| *statistic)
}

/// The text in brackets after a name of the format.
pub fn placeholder(format: &str, name: &str) -> String {
    let start = format!("@{name}[");
    format
        .split_once(&start)
        .and_then(|(_, rest)| rest.split_once(']'))
        .map(|(inside, _)| inside.trim().to_owned())
        .unwrap_or_default()
}

/// How many decimals a value has: as said for its placeholder, else as said anywhere; 2 when nothing is said.
pub fn decimals(question: &Question, name: &str) -> usize {
    static ROUNDED: LazyLock<Regex> = LazyLock::new(|| {
        pattern(
            r"(?i)\b(one|two|three|four|five|six|\d)\s+(?:decimal|digits after|places)|(?:to the |nearest )(hundredth|thousandth|tenth|second decimal|third decimal|whole|integer)|(\binteger|whole number)",
        )
    });
    let digits = |text: &str| {
        ROUNDED.captures(text).map(|found| {
            let word = found
                .iter()
                .skip(1)
                .flatten()
                .next()
                .map(|m| m.as_str().to_lowercase())
                .unwrap_or_default();
            match word.as_str() {
                "one" | "tenth" => 1,
                "three" | "thousandth" | "third decimal" => 3,
                "four" => 4,
                "five" => 5,
                "six" => 6,
                "whole" | "integer" | "whole number" => 0,
                other => other.parse().unwrap_or(2),
            }
        })
    };
    let inside = placeholder(&question.format, name);
    if let Some(found) = digits(&inside) {
        return found;
    }
    let explained = question
        .format
        .split_once("where ")
        .or_else(|| question.format.split_once("Where "))
        .map_or("", |(_, rest)| rest);
    for key in [inside.as_str(), name] {
        if key.is_empty() {
            continue;
        }
        for quote in ['"', '\'', '`'] {
            if let Some((_, rest)) = explained.split_once(&format!("{quote}{key}{quote}")) {
                // The explanation of this value ends where that of the next begins; shared ones come together before it.
                let clause = rest
                    .find(". ")
                    .or_else(|| rest.find(".\n"))
                    .map_or(rest, |end| &rest[..end]);
                if let Some(found) = digits(clause).filter(|digits| *digits > 0) {
                    return found;
                }
            }
        }
    }
    let anywhere = format!(
        "{} {} {}",
        question.format, question.constraints, question.text
    );
    let value = digits(&question.format).filter(|digits| *digits > 0);
    value
        .or_else(|| digits(&anywhere).filter(|digits| *digits > 0))
        .unwrap_or(2)
}

/// Whether a value is a count, which is written without decimals.
pub fn is_count(question: &Question, name: &str) -> bool {
    let lower = name.to_lowercase();
    let inside = placeholder(&question.format, name).to_lowercase();
    statistic(name) == Some(Statistic::Count)
        || lower.contains("count")
        || lower.contains("outliers")
        || lower.starts_with("total")
        || inside.contains("integer")
}

/// The words among which a label must be chosen: what stands in quotes in the format, then in the constraints.
pub fn options(question: &Question, names: &[String], columns: &[String]) -> Vec<String> {
    static QUOTED: LazyLock<Regex> =
        LazyLock::new(|| pattern(r#""([^"\n]{2,40})"|“([^”\n]{2,40})”|'([A-Za-z][^'\n]{1,39})'"#));
    let mut options: Vec<String> = Vec::new();
    let placeholders: Vec<String> = names
        .iter()
        .map(|name| placeholder(&question.format, name))
        .collect();
    for text in [&question.format, &question.constraints, &question.text] {
        for found in QUOTED.captures_iter(text) {
            let word = found
                .iter()
                .skip(1)
                .flatten()
                .next()
                .map(|m| m.as_str().trim().to_owned())
                .unwrap_or_default();
            let known = names.contains(&word)
                || placeholders.contains(&word)
                || columns.contains(&word)
                || options.contains(&word);
            if !known {
                options.push(word);
            }
        }
    }
    options
}

/// The option that has one of the wanted words and none of the unwanted.
pub fn choose(options: &[String], wanted: &[&str], unwanted: &[&str]) -> Option<String> {
    options
        .iter()
        .find(|option| {
            let lower = option.to_lowercase();
            let parts: Vec<&str> = lower.split(|c: char| !c.is_alphanumeric()).collect();
            let has = |word: &&str| {
                if word.len() <= 3 {
                    parts.contains(word)
                } else {
                    lower.contains(*word)
                }
            };
            wanted.iter().any(&has) && !unwanted.iter().any(has)
        })
        .cloned()
}

/// The first number that follows one of these words.
pub fn number_after(text: &str, words: &[&str]) -> Option<f64> {
    static NUMBER: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"^[^0-9.;!?]{0,40}?(-?\d+(?:\.\d+)?)"));
    words.iter().find_map(|word| {
        let (_, rest) = text.split_once(word)?;
        NUMBER
            .captures(rest)
            .and_then(|found| found[1].parse().ok())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_read_per_value() {
        let question = Question {
            format: "@r[r_value] @p[p_value] where \"r_value\" is between -1 and 1, rounded to two decimal places. \"p_value\" is rounded to four decimal places.".into(),
            ..Question::default()
        };
        assert_eq!(decimals(&question, "r"), 2);
        assert_eq!(decimals(&question, "p"), 4);
    }

    #[test]
    fn names_say_their_statistic() {
        assert_eq!(statistic("height_std_dev"), Some(Statistic::Std));
        assert_eq!(statistic("mean_wingspan"), Some(Statistic::Mean));
        assert_eq!(statistic("price_skewness"), Some(Statistic::Skew));
        assert_eq!(statistic("winner"), None);
    }
}
