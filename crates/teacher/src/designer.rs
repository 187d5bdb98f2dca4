//! The designer: fixes the columns of a task over a table from what the prompt tells of it, and mends what was refused.

mod moments;
mod words;

use serde_json::{Value, json};

use crate::TeacherConfig;
use crate::conversation::Conversation;
use crate::dice::Dice;
use crate::prompt::{self, Column, Table, names, section};
use words::{Meanings, is_id, relevance, share_name};

/// Rows that a table needs.
const FEWEST_ROWS: u64 = 60;
/// Features of a design, at most.
const MOST_FEATURES: usize = 20;
/// Labels of a target, at most.
const MOST_LABELS: u64 = 30;
/// Different values that make a number continuous.
const FEWEST_NUMBERS: u64 = 20;

/// What a prompt shows.
struct Shown {
    title: String,
    table: Table,
    header: Vec<String>,
    rows: Vec<Vec<String>>,
    meanings: Meanings,
    /// What was refused before, in the order in which it was said.
    refused: Vec<String>,
}

/// The design as strict JSON.
pub fn design(config: &TeacherConfig, conversation: &Conversation, series: bool) -> String {
    let message = &conversation.task;
    let Some(shown) = read(message, &conversation.later) else {
        return infeasible("The prompt shows no table.").to_string();
    };
    let mut dice = Dice::new(&["designer", message, &conversation.seed]);
    // A mistake is made once: what was refused is not said again.
    let wrong = dice.chance(config.wrong_rate) && shown.refused.is_empty();
    let design = if series {
        series_design(&shown)
    } else {
        table_design(&shown)
    };
    let mut design = design.unwrap_or_else(|why| infeasible(&why));
    if wrong && design["feasible"] == true {
        spoil(&mut design, &shown, series, &mut dice);
    }
    design.to_string()
}

fn infeasible(why: &str) -> Value {
    json!({"feasible": false, "why": why})
}

fn read(message: &str, later: &[String]) -> Option<Shown> {
    let table = prompt::tables(message).into_iter().next()?;
    let title = message
        .lines()
        .find_map(|line| line.strip_prefix("- Title: "))
        .unwrap_or_default()
        .to_owned();
    let rows = section(message, "# First rows", &["# Your design"]).unwrap_or_default();
    let mut rows = rows
        .lines()
        .filter(|line| !line.starts_with("```"))
        .map(cells);
    let known = section(
        message,
        "# Columns as their owner describes them",
        &["# First rows"],
    );
    Some(Shown {
        title,
        header: rows.next().unwrap_or_default(),
        rows: rows.collect(),
        meanings: Meanings::of(&table, known.as_deref().unwrap_or_default()),
        table,
        refused: later.to_vec(),
    })
}

/// The cells of a line of CSV.
fn cells(line: &str) -> Vec<String> {
    let (mut cells, mut quoted) = (vec![String::new()], false);
    for c in line.chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => cells.push(String::new()),
            c => {
                if let Some(cell) = cells.last_mut() {
                    cell.push(c);
                }
            }
        }
    }
    cells
}

impl Shown {
    /// Whether a refusal names this column.
    fn is_refused(&self, name: &str, about: &str) -> bool {
        self.refused
            .iter()
            .any(|text| text.contains(about) && names(text).iter().any(|refused| refused == name))
    }

    /// The shown cells of a column.
    fn cells(&self, name: &str) -> Vec<&str> {
        let Some(place) = self.header.iter().position(|column| column == name) else {
            return Vec::new();
        };
        self.rows
            .iter()
            .filter_map(|row| row.get(place))
            .map(String::as_str)
            .collect()
    }

    fn missing_share(&self, column: &Column) -> f64 {
        column.missing as f64 / self.table.rows.max(1) as f64
    }

    fn is_label(&self, column: &Column) -> bool {
        let (low, high) = (2, MOST_LABELS.min(self.table.rows / 15));
        match column.kind.as_str() {
            "text" | "boolean" => (low..=high).contains(&column.distinct),
            "integer" => (low..=high.min(10)).contains(&column.distinct),
            _ => false,
        }
    }

    fn is_continuous(&self, column: &Column) -> bool {
        is_number(column) && column.distinct >= FEWEST_NUMBERS.max(self.table.rows.min(400) / 20)
    }

    /// Whether something can be learnt from it.
    fn is_feature(&self, column: &Column) -> bool {
        let text_limit = 50.min(self.table.rows / 10).max(20);
        column.distinct >= 2
            && column.kind != "empty"
            && column.kind != "date"
            && self.missing_share(column) < 0.35
            && !(column.kind == "text" && column.distinct > text_limit)
            && !is_id(&column.name)
            && !self.is_row_number(column)
            && !self.is_refused(&column.name, "feature")
    }

    /// Whether it has another whole number in each row.
    fn is_row_number(&self, column: &Column) -> bool {
        let counted = column.distinct >= self.table.rows.min(1000);
        let climbs = self.cells(&column.name).windows(2).all(|pair| {
            match (pair[0].parse::<i64>(), pair[1].parse::<i64>()) {
                (Ok(a), Ok(b)) => b == a + 1,
                _ => false,
            }
        });
        column.kind == "integer" && counted && climbs
    }
}

fn is_number(column: &Column) -> bool {
    matches!(column.kind.as_str(), "integer" | "number")
}

fn bounds(column: &Column) -> Option<(f64, f64)> {
    let (low, high) = column.shown.split_once(" to ")?;
    Some((low.trim().parse().ok()?, high.trim().parse().ok()?))
}

fn table_design(shown: &Shown) -> Result<Value, String> {
    let table = &shown.table;
    if table.rows < FEWEST_ROWS {
        return Err(format!("{} rows are too few to learn from.", table.rows));
    }
    let mut candidates: Vec<(i64, usize, &Column)> = table
        .columns
        .iter()
        .enumerate()
        .filter(|(_, column)| {
            (shown.is_label(column) || shown.is_continuous(column))
                && shown.missing_share(column) < 0.2
                && !is_id(&column.name)
                && !shown.is_row_number(column)
                && !shown.is_refused(&column.name, "target")
                && !shown.is_refused(&column.name, "label")
                && !shown.is_refused(&column.name, "needs")
        })
        .map(|(place, column)| {
            let last = i64::from(place + 1 == table.columns.len())
                * if column.kind == "text" { 2 } else { 1 };
            let score = relevance(&column.name, &shown.title) + 2 * last;
            (score, place, column)
        })
        .collect();
    candidates.sort_by_key(|(score, place, _)| (-score, std::cmp::Reverse(*place)));
    let Some((_, _, target)) = candidates.first().copied() else {
        return Err(
            "No column has labels or continuous numbers that are worth predicting.".to_owned(),
        );
    };
    // Of `price` and `price_eur` the plainer name is the thing itself.
    let target = candidates
        .iter()
        .map(|(_, _, column)| *column)
        .filter(|column| share_name(&column.name, &target.name))
        .min_by_key(|column| column.name.len())
        .unwrap_or(target);
    let label =
        shown.is_label(target) && !(target.kind == "integer" && shown.is_continuous(target));
    let features: Vec<&Column> = table
        .columns
        .iter()
        .filter(|column| column.name != target.name && shown.is_feature(column))
        .filter(|column| !share_name(&column.name, &target.name))
        .take(MOST_FEATURES)
        .collect();
    if features.len() < 2 {
        return Err(format!(
            "Besides `{}` there are no two columns that could tell of it.",
            target.name
        ));
    }
    let also: Vec<&str> = candidates
        .iter()
        .map(|(_, _, column)| *column)
        .filter(|column| shown.is_label(column) == label)
        .take(3)
        .map(|column| column.name.as_str())
        .collect();
    let columns: Vec<Value> = std::iter::once(target)
        .chain(features.iter().copied())
        .map(|column| {
            let categorical = if column.name == target.name {
                label
            } else {
                !is_number(column)
            };
            let numbers = bounds(column).filter(|_| !categorical);
            json!({
                "name": column.name,
                "type": if categorical { "categorical" } else { "numerical" },
                "description": shown.meanings.of_column(&column.name),
                "low": numbers.map(|(low, _)| low),
                "high": numbers.map(|(_, high)| high),
                "categories": categorical.then(|| categories(column)).flatten(),
            })
        })
        .collect();
    Ok(json!({
        "feasible": true,
        "why": format!(
            "`{}` is {} and {} other columns are known before it.",
            target.name,
            if label { "a label with few different values" } else { "a continuous number" },
            features.len()
        ),
        "task": if label { "classification" } else { "regression" },
        "target_candidates": also,
        "targets": [target.name],
        "features": features.iter().map(|column| &column.name).collect::<Vec<_>>(),
        "entity_columns": [],
        "columns": columns,
    }))
}

/// All values of a categorical column, where the prompt shows all of them.
fn categories(column: &Column) -> Option<Vec<&str>> {
    let values: Vec<&str> = column.shown.split(", ").collect();
    (column.kind == "text" && values.len() as u64 == column.distinct).then_some(values)
}

fn series_design(shown: &Shown) -> Result<Value, String> {
    let table = &shown.table;
    if table.rows < FEWEST_ROWS {
        return Err(format!("{} rows are too few for a series.", table.rows));
    }
    let tries = shown
        .refused
        .iter()
        .filter(|text| text.contains("is no time as"))
        .count();
    let timed = table
        .columns
        .iter()
        .filter(|column| matches!(column.kind.as_str(), "date" | "integer" | "text"))
        .filter_map(|column| {
            let mut formats = moments::formats(column, &shown.cells(&column.name));
            (!formats.is_empty()).then(|| {
                let format = formats.remove(tries.min(formats.len() - 1));
                (i64::from(column.kind == "date"), column, format)
            })
        })
        .max_by_key(|(is_date, column, _)| (*is_date, words::time_relevance(&column.name)));
    let Some((_, time, format)) = timed else {
        return Err("No column says when a row was measured.".to_owned());
    };
    let repeats = shown
        .refused
        .iter()
        .filter(|text| text.contains("stands twice in one series"))
        .count();
    let entities = entities(shown, time, repeats > 0);
    // What was refused once is mended by entities, if they were not named before, and then by steps.
    let named_before = self::entities(shown, time, false).len();
    let repeated = repeats > 1 || repeats == 1 && entities.len() == named_before;
    let moments = time.distinct.min(1000);
    let per_time: u64 = entities
        .iter()
        .map(|column| column.distinct)
        .product::<u64>()
        .max(1);
    // Counting stops at a thousand, so a long column may hold all different times.
    let fits = time.distinct >= 1000 || moments.saturating_mul(per_time) >= table.rows;
    let mut target: Vec<(i64, usize, &Column)> = table
        .columns
        .iter()
        .enumerate()
        .filter(|(_, column)| {
            is_number(column)
                && column.name != time.name
                && column.distinct >= FEWEST_NUMBERS
                && shown.missing_share(column) < 0.2
                && !is_id(&column.name)
                && !words::is_part_of_time(&column.name)
                && !shown.is_row_number(column)
                && !entities.iter().any(|entity| entity.name == column.name)
                && !shown.is_refused(&column.name, "target")
                && !shown.is_refused(&column.name, "never changes")
        })
        .map(|(place, column)| (relevance(&column.name, &shown.title), place, column))
        .collect();
    target.sort_by_key(|(score, place, _)| (-score, *place));
    let Some((_, _, target)) = target.first().copied() else {
        return Err("No numeric column changes over time.".to_owned());
    };
    let step = moments::step(&shown.cells(&time.name), &format, time, per_time);
    let resample = (repeated || !fits).then(|| match step {
        Some("1W" | "1MS" | "1QS" | "1YS") => step.unwrap_or("1MS"),
        _ if format == "%Y" => "1YS",
        _ if format == "%Y-%m" => "1MS",
        _ => "1D",
    });
    let usual = shown.refused.iter().rev().find_map(|text| {
        names(text.split_once("usual step is ")?.1)
            .into_iter()
            .next()
    });
    let frequency = usual.unwrap_or_else(|| resample.or(step).unwrap_or("irregular").to_owned());
    let features: Vec<&Column> = table
        .columns
        .iter()
        .filter(|column| column.name != target.name && column.name != time.name)
        .filter(|column| !entities.iter().any(|entity| entity.name == column.name))
        .filter(|column| shown.is_feature(column) && !share_name(&column.name, &target.name))
        .take(MOST_FEATURES)
        .collect();
    let columns: Vec<Value> = std::iter::once(target)
        .chain(entities.iter().copied())
        .chain(features.iter().copied())
        .map(|column| {
            json!({
                "name": column.name,
                "type": if is_number(column) { "numerical" } else { "categorical" },
                "description": shown.meanings.of_column(&column.name),
            })
        })
        .collect();
    Ok(json!({
        "feasible": true,
        "why": format!("`{}` says when, and `{}` changes over time.", time.name, target.name),
        "targets": [target.name],
        "time_column": time.name,
        "time_format": format,
        "entity_columns": entities.iter().map(|column| &column.name).collect::<Vec<_>>(),
        "frequency": frequency,
        "resample_rule": resample,
        "aggregation": resample.map(|_| words::aggregation(&target.name)),
        "features": features.iter().map(|column| &column.name).collect::<Vec<_>>(),
        "columns": columns,
    }))
}

/// The columns that tell series apart, where times repeat: those whose values are just enough to make rows different.
fn entities<'a>(shown: &'a Shown, time: &Column, repeats: bool) -> Vec<&'a Column> {
    let rows = shown.table.rows;
    if time.distinct >= rows.min(1000) && !repeats {
        let first = shown.cells(&time.name);
        if !first.windows(2).any(|pair| pair[0] == pair[1]) {
            return Vec::new();
        }
    }
    let mut candidates: Vec<&Column> = shown
        .table
        .columns
        .iter()
        .filter(|column| {
            (column.kind == "text" || column.kind == "integer" && words::names_entity(&column.name))
                && (2..=200).contains(&column.distinct)
                && column.missing == 0
                && column.name != time.name
                && !words::is_part_of_time(&column.name)
        })
        .collect();
    candidates.sort_by_key(|column| {
        let wanted = rows / time.distinct.max(1);
        (
            !words::names_entity(&column.name),
            column.distinct.abs_diff(wanted.max(1)),
        )
    });
    let (mut chosen, mut series) = (Vec::new(), 1);
    for column in candidates.into_iter().take(3) {
        // Counting stops at a thousand, so times may be fewer than rows even where they seem as many.
        let enough = time.distinct.saturating_mul(series) >= rows;
        if enough && !(repeats && chosen.is_empty()) {
            break;
        }
        series *= column.distinct;
        chosen.push(column);
    }
    chosen
}

/// One claim that does not hold, as somebody makes who has not looked closely.
fn spoil(design: &mut Value, shown: &Shown, series: bool, dice: &mut Dice) {
    let odd =
        shown.table.columns.iter().find(|column| {
            is_id(&column.name) || column.distinct < 2 || shown.is_row_number(column)
        });
    match (dice.below(3), odd) {
        (0, _) if series => design["time_format"] = json!("%d.%m.%y %H"),
        (0, Some(odd)) => design["targets"] = json!([odd.name]),
        (1, Some(odd)) => {
            if let Some(features) = design["features"].as_array_mut() {
                features.insert(0, json!(odd.name));
            }
        }
        _ => {
            // A name from memory, not from the table.
            if let Some(first) = design["targets"][0].as_str() {
                design["targets"] = json!([format!("{first}_value")]);
            }
        }
    }
}
