//! Questions in other people's words: a plan by keywords, columns found in the text, and the names of the answer format.
//!
//! [`mentions`] finds columns, `filters` the rows that are meant, `models` what is to be trained, [`wording`] decimals and labels;
//! this file puts them together, value by value. What it cannot place it leaves alone: a plan covers every value or there is none.

mod filters;
mod mentions;
mod models;
mod wording;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use regex::Regex;

use mentions::{Mention, mentions};
use wording::{
    Statistic, choose, decimals, is_count, number_after, options, placeholder, statistic,
};

use crate::prompt::{Column, Question, Table, pattern};
use crate::python::literal;

/// A way to answer a question.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The thought that goes before the code.
    pub thought: String,
    /// The cell that prints every value.
    pub code: String,
    /// The columns in use.
    pub columns: Vec<String>,
}

impl Plan {
    /// The same plan with a plausible mistake.
    pub fn mistaken(&self) -> String {
        let swaps = [
            (".mean()", ".median()"),
            ("stats.pearsonr", "stats.kendalltau"),
            (".std()", ".var()"),
            (".median()", ".mean()"),
            ("stats.shapiro", "stats.normaltest"),
            (".isna()", ".notna()"),
            ("idxmax()", "idxmin()"),
            ("test_size=0.", "test_size=0.1"),
            ("1.5 *", "1.0 *"),
            (".sum()", ".count()"),
        ];
        let (from, to) = swaps
            .iter()
            .find(|(from, _)| self.code.contains(from))
            .copied()
            .unwrap_or(("%.2f", "%.0f"));
        self.code.replace(from, to)
    }
}

/// Everything that is known about a question while its plan is made.
pub(super) struct Reading<'a> {
    question: &'a Question,
    table: &'a Table,
    names: &'a [String],
    /// Question and constraints in lower case.
    lower: String,
    /// Columns that the question mentions, then those of the constraints.
    mentions: Vec<Mention>,
    /// Columns that the plan uses.
    used: BTreeSet<String>,
    /// The cell so far, without the printing of values.
    lines: Vec<String>,
    /// What has been computed, so that it is computed once.
    done: BTreeSet<String>,
    /// A derived column as name and Python variable, with the columns that it is made of.
    derived: Option<(String, Vec<String>)>,
}

/// A plan for every value of the answer format, or none.
pub fn plan(question: &Question, tables: &[Table], names: &[String]) -> Option<Plan> {
    if names.is_empty() || names.len() > 12 {
        return None;
    }
    let table = tables
        .iter()
        .max_by_key(|table| mentions(&question.text, table).len())?;
    let mut found = mentions(&question.text, table);
    for mention in mentions(&question.constraints, table) {
        if !found
            .iter()
            .any(|earlier| earlier.column.name == mention.column.name)
        {
            found.push(mention);
        }
    }
    let mut reading = Reading {
        question,
        table,
        names,
        lower: format!("{} {}", question.text, question.constraints).to_lowercase(),
        mentions: found,
        used: BTreeSet::new(),
        lines: Vec::new(),
        done: BTreeSet::new(),
        derived: None,
    };
    reading.prepare(tables);
    let printed = models::train(&mut reading)
        .or_else(|| extreme(&mut reading))
        .or_else(|| {
            let mut printed = Vec::new();
            for name in names {
                printed.push(value(&mut reading, name)?);
            }
            // The same expression under two names means that the difference between them was not understood.
            let expressions: BTreeSet<&str> = printed
                .iter()
                .filter_map(|line| line.split_once(" % ").map(|(_, expression)| expression))
                .collect();
            (expressions.len() == printed.len()).then_some(printed)
        })?;
    let columns: Vec<String> = reading.used.iter().cloned().collect();
    let quoted: Vec<String> = columns.iter().map(|column| format!("`{column}`")).collect();
    let mut code = reading.lines.join("\n");
    code.push('\n');
    code.push_str(&printed.join("\n"));
    let mut imports = String::new();
    if code.contains("stats.") {
        imports.push_str("from scipy import stats\n\n");
    }
    if code.contains("numeric(") {
        imports.push_str(NUMERIC);
    }
    let thought = format!(
        "The question is about {}; I compute each value of the answer and print it in the form that is asked for.",
        quoted.join(", ")
    );
    Some(Plan {
        thought,
        code: format!("{imports}{code}"),
        columns,
    })
}

const NUMERIC: &str = r#"
def numeric(column):
    text = column.astype(str).str.strip()
    if text.str.fullmatch(r"\d+:\d\d:\d\d").mean() > 0.5:
        return pd.to_timedelta(text, errors="coerce").dt.total_seconds()
    return text.str.replace(",", "").str.extract(r"(-?\d+\.?\d*(?:[eE][-+]?\d+)?)")[0].astype(float)


"#;

impl Reading<'_> {
    fn prepare(&mut self, tables: &[Table]) {
        if tables
            .first()
            .is_some_and(|first| first.path != self.table.path)
        {
            self.lines
                .push(format!("df = {}", crate::python::read_csv(self.table)));
        }
        self.lines.push("part = df.copy()".to_owned());
        for filter in filters::filters(self) {
            self.used.insert(filter.column.clone());
            self.lines
                .push(format!("part = part[{}]", filter.condition));
        }
        self.derive();
    }

    fn text(&self) -> String {
        format!("{} {}", self.question.text, self.question.constraints)
    }

    /// A column as numbers, in Python.
    fn numbers(&mut self, column: &Column) -> String {
        self.used.insert(column.name.clone());
        let name = literal(&column.name);
        match column.kind.as_str() {
            "integer" | "number" | "boolean" => format!("part[{name}]"),
            _ => format!("numeric(part[{name}])"),
        }
    }

    fn numeric_mentions(&self) -> Vec<Column> {
        let filtered = filters::filters(self)
            .into_iter()
            .map(|filter| filter.column)
            .collect::<BTreeSet<_>>();
        let numeric =
            |column: &Column| matches!(column.kind.as_str(), "integer" | "number" | "boolean");
        let mut columns: Vec<Column> = self
            .mentions
            .iter()
            .map(|mention| mention.column.clone())
            .filter(|column| numeric(column) && !filtered.contains(&column.name))
            .collect();
        // Texts that hold numbers come last, and only where the question says so or nothing else is there.
        let convertible = self
            .mentions
            .iter()
            .map(|mention| mention.column.clone())
            .filter(|column| {
                column.kind == "text"
                    && column.distinct > 10
                    && column
                        .shown
                        .chars()
                        .next()
                        .is_some_and(|c| c.is_ascii_digit())
            });
        columns.extend(convertible);
        columns.sort_by_key(|column| {
            self.mentions
                .iter()
                .position(|mention| mention.column.name == column.name)
        });
        columns
    }

    /// The column that a name of the format is about.
    fn about(&self, name: &str) -> Option<Column> {
        let flat = |text: &str| {
            text.chars()
                .filter(|c| c.is_alphanumeric())
                .flat_map(char::to_lowercase)
                .collect::<String>()
        };
        let target = flat(name);
        let columns = self.numeric_mentions();
        columns
            .iter()
            .filter(|column| flat(&column.name).len() > 1 && target.contains(&flat(&column.name)))
            .max_by_key(|column| column.name.len())
            .or_else(|| {
                let parts: Vec<String> = name
                    .split('_')
                    .map(str::to_lowercase)
                    .filter(|part| part.len() > 2)
                    .collect();
                columns.iter().find(|column| {
                    let lower = column.name.to_lowercase();
                    parts
                        .iter()
                        .any(|part| lower.contains(part.as_str()) && statistic(part).is_none())
                })
            })
            .or(columns.first())
            .cloned()
    }

    /// The values that a name of the format is about, as a Python expression: derived, filled or cleaned as the question says.
    fn target(&mut self, name: &str) -> Option<String> {
        if let Some((variable, _)) = &self.derived {
            return Some(variable.clone());
        }
        let column = self.about(name)?;
        let mut x = self.numbers(&column);
        let fills = ["fill", "imput", "replac"]
            .iter()
            .any(|word| self.lower.contains(word))
            && self.lower.contains("missing");
        if fills
            && let Some(by) = ["median", "mean"]
                .into_iter()
                .find(|by| self.lower.contains(&format!("{by} ")))
        {
            x = format!("{x}.fillna({x}.{by}())");
        }
        if let Some(log) = logarithm(&self.lower) {
            x = format!("{log}({x})");
        }
        Some(x)
    }

    /// Finds a derived column: a sum, difference, product, ratio or deviation of columns.
    fn derive(&mut self) {
        let lower = self.lower.clone();
        let made = [
            "new feature",
            "new column",
            "create a feature",
            "new variable",
            "generate a",
            "feature engineering",
            "called",
            "named",
            "subtracting",
        ];
        if !made.iter().any(|word| lower.contains(word)) {
            return;
        }
        let verbs: [(&str, char); 16] = [
            ("summing", '+'),
            ("sum of", '+'),
            ("adding", '+'),
            ("combining", '+'),
            ("addition of", '+'),
            ("subtracting the mean", 'm'),
            ("subtracting", 's'),
            ("difference between", '-'),
            ("represents the difference", '-'),
            ("multiplying", '*'),
            ("product of", '*'),
            ("multiplied by", '*'),
            ("dividing", '/'),
            ("ratio of", '/'),
            ("ratio between", '/'),
            ("divided by", '/'),
        ];
        let text = self.text();
        // Lower case may change lengths of odd letters; then places no longer fit and nothing is derived.
        if text.to_lowercase().len() != text.len() {
            return;
        }
        for (verb, sign) in verbs {
            let Some(place) = lower.find(verb) else {
                continue;
            };
            let passive = verb.ends_with(" by");
            let start = if passive {
                lower[..place].rfind(['.', ':']).map_or(0, |dot| dot + 1)
            } else {
                place
            };
            let end = lower[place..]
                .find(". ")
                .map_or(lower.len(), |dot| place + dot);
            let Some(clause) = text.get(start..end) else {
                continue;
            };
            let columns: Vec<Column> = mentions(clause, self.table)
                .into_iter()
                .map(|mention| mention.column)
                .filter(|column| column.kind != "empty")
                .collect();
            let wanted = match sign {
                'm' => 1,
                _ => 2,
            };
            if columns.len() < wanted {
                continue;
            }
            let parts: Vec<String> = columns.iter().map(|column| self.numbers(column)).collect();
            let expression = match sign {
                '+' => parts.join(" + "),
                'm' => format!("{0} - {0}.mean()", parts[0]),
                's' if lower[place..end].contains(" from ") => {
                    format!("{} - {}", parts[1], parts[0])
                }
                's' | '-' => format!("{} - {}", parts[0], parts[1]),
                '*' => format!("{} * {}", parts[0], parts[1]),
                _ if lower.contains("1e-10") => format!("{} / ({} + 1e-10)", parts[0], parts[1]),
                _ => format!("{} / {}", parts[0], parts[1]),
            };
            self.lines
                .push(format!("feature = {expression}\nprint(feature.describe())"));
            let components = if sign == '+' {
                columns
            } else {
                columns.into_iter().take(2).collect()
            };
            self.derived = Some((
                "feature".to_owned(),
                components.into_iter().map(|column| column.name).collect(),
            ));
            return;
        }
    }

    fn once(&mut self, key: &str, lines: impl FnOnce() -> String) {
        if self.done.insert(key.to_owned()) {
            self.lines.push(lines());
        }
    }
}

fn logarithm(lower: &str) -> Option<&'static str> {
    if !(lower.contains("logarithm")
        || lower.contains("log transformation")
        || lower.contains("log-transformation"))
    {
        None
    } else if lower.contains("base 10") || lower.contains("log10") {
        Some("np.log10")
    } else {
        Some("np.log")
    }
}

/// The line that prints one value, after the lines that compute it.
fn value(reading: &mut Reading, name: &str) -> Option<String> {
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
fn treats_outliers(lower: &str) -> bool {
    static PASSING: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r"(?:do not|don't|without|no need to|ignore)[^.]{0,60}outlier[^.]*")
    });
    PASSING.replace_all(lower, "").contains("outlier")
}

/// The statistic that the question names when its format does not.
fn only_statistic(lower: &str) -> Option<Statistic> {
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

fn count(reading: &mut Reading, name: &str) -> Option<String> {
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

fn missing(reading: &mut Reading, name: &str, places: usize) -> Option<String> {
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
fn outliers(reading: &mut Reading, name: &str) -> Option<String> {
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

/// Computes a correlation; the variables of r and p.
fn correlation(reading: &mut Reading, name: &str) -> Option<(String, String)> {
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

fn shapiro(reading: &mut Reading, name: &str) -> Option<()> {
    let x = reading.target(name)?;
    reading.once("shapiro", || format!("statistic, p = stats.shapiro({x}.dropna())\nprint(\"statistic:\", statistic, \"p:\", p)"));
    Some(())
}

fn p_value(reading: &mut Reading, name: &str) -> Option<String> {
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

fn is_label(lower: &str) -> bool {
    [
        "type",
        "status",
        "signific",
        "strength",
        "is_",
        "relationship",
        "model_fit",
        "distribution",
        "bmi_",
        "normality",
    ]
    .iter()
    .any(|word| lower.contains(word))
        && !lower.contains("p_value")
        && !lower.contains("coefficient")
}

/// The Python expression of a label, by the rules that such labels usually follow.
fn label(reading: &mut Reading, name: &str) -> Option<String> {
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

/// A value of one group of rows.
fn grouped(
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

/// Which row or group has the largest or smallest value.
fn extreme(reading: &mut Reading) -> Option<Vec<String>> {
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

fn print_number(name: &str, expression: &str, places: usize) -> String {
    let name = name.replace('%', "%%");
    if places == 0 {
        format!("print(\"@{name}[%d]\" % round({expression}))")
    } else {
        format!("print(\"@{name}[%.{places}f]\" % ({expression}))")
    }
}

fn print_text(name: &str, expression: &str) -> String {
    format!(
        "print(\"@{}[%s]\" % ({expression}))",
        name.replace('%', "%%")
    )
}
