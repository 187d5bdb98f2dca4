//! What the names of columns tell: what is worth predicting, what identifies, what belongs together, what it means in words.

use std::collections::BTreeMap;

use crate::prompt::Table;

/// Words of columns that are worth predicting, with how much they say so.
const TARGETS: [(&str, i64); 62] = [
    ("target", 9),
    ("label", 8),
    ("class", 6),
    ("outcome", 8),
    ("result", 4),
    ("diagnosis", 8),
    ("churn", 8),
    ("default", 6),
    ("survived", 8),
    ("fraud", 8),
    ("attrition", 8),
    ("purchased", 6),
    ("approved", 6),
    ("species", 7),
    ("variety", 5),
    ("quality", 6),
    ("grade", 6),
    ("rating", 6),
    ("score", 6),
    ("price", 8),
    ("cost", 6),
    ("salary", 7),
    ("income", 5),
    ("wage", 6),
    ("value", 3),
    ("sales", 7),
    ("revenue", 7),
    ("profit", 6),
    ("demand", 7),
    ("consumption", 7),
    ("charges", 7),
    ("amount", 4),
    ("mpg", 7),
    ("yield", 7),
    ("strength", 6),
    ("stress", 4),
    ("risk", 5),
    ("status", 5),
    ("category", 4),
    ("type", 3),
    ("level", 3),
    ("depression", 5),
    ("disease", 7),
    ("stroke", 7),
    ("placement", 6),
    ("close", 5),
    ("load", 5),
    ("temperature", 4),
    ("count", 4),
    ("cases", 5),
    ("deaths", 4),
    ("visitors", 6),
    ("passengers", 6),
    ("views", 5),
    ("power", 5),
    ("energy", 5),
    ("satisfaction", 6),
    ("total", 2),
    ("ripeness", 6),
    ("stage", 5),
    ("severity", 6),
    ("mood", 6),
];

/// How much a column's name says that it is worth predicting.
pub fn relevance(name: &str, title: &str) -> i64 {
    let parts = parts(name);
    let title = parts_of(title);
    let said: Vec<i64> = TARGETS
        .iter()
        .filter(|(word, _)| parts.iter().any(|part| part == word))
        .map(|(_, weight)| *weight)
        .collect();
    // A second word that says so weighs a little more.
    let known = said.iter().max().copied().unwrap_or(0) + i64::from(said.len() > 1);
    let place = [
        "latitude",
        "longitude",
        "lat",
        "lon",
        "lng",
        "zip",
        "zipcode",
        "postcode",
    ];
    let is_place = parts.iter().any(|part| place.contains(&part.as_str()));
    let in_title = parts
        .iter()
        .any(|part| part.len() > 3 && title.iter().any(|word| stem(word) == stem(part)));
    known + if in_title { 4 } else { 0 } - if is_place { 6 } else { 0 }
}

/// How much a column's name says that it holds times.
pub fn time_relevance(name: &str) -> i64 {
    let parts = parts(name);
    let said = |words: &[&str]| parts.iter().any(|part| words.contains(&part.as_str()));
    if said(&["timestamp", "datetime", "date", "ds"]) {
        3
    } else if said(&["time", "period", "day", "month", "week"]) {
        2
    } else {
        i64::from(said(&["year"]))
    }
}

/// Whether a column is a part of a date, such as its year.
pub fn is_part_of_time(name: &str) -> bool {
    parts(name).iter().any(|part| {
        matches!(
            part.as_str(),
            "year"
                | "month"
                | "day"
                | "hour"
                | "minute"
                | "week"
                | "weekday"
                | "quarter"
                | "dayofweek"
        )
    })
}

/// Whether a name says that the column tells things apart of which each has a series.
pub fn names_entity(name: &str) -> bool {
    parts(name).iter().any(|part| {
        matches!(
            part.as_str(),
            "store"
                | "shop"
                | "item"
                | "product"
                | "sku"
                | "region"
                | "country"
                | "state"
                | "city"
                | "station"
                | "sensor"
                | "site"
                | "symbol"
                | "ticker"
                | "name"
                | "location"
                | "zone"
                | "airport"
                | "area"
                | "market"
                | "machine"
                | "meter"
                | "id"
                | "code"
                | "entity"
                | "department"
                | "dept"
                | "category"
                | "type"
                | "province"
                | "district"
        )
    })
}

/// Whether a name says that the column only counts or identifies rows.
pub fn is_id(name: &str) -> bool {
    let lower = name.trim().to_lowercase();
    let parts = parts(name);
    lower.starts_with("unnamed")
        || lower == "index"
        || parts
            .last()
            .is_some_and(|part| matches!(part.as_str(), "id" | "uuid" | "guid" | "serial"))
        || parts
            .first()
            .is_some_and(|part| matches!(part.as_str(), "id" | "rowid" | "uuid"))
        || matches!(
            lower.as_str(),
            "s.no" | "sno" | "s no" | "no." | "rownumber" | "row"
        )
}

/// Whether two columns seem to say the same thing in other forms, by their names.
pub fn share_name(one: &str, other: &str) -> bool {
    let (one, other) = (parts(one).concat(), parts(other).concat());
    let (short, long) = if one.len() < other.len() {
        (one, other)
    } else {
        (other, one)
    };
    short.len() >= 4 && long.contains(&short)
}

/// How a target is gathered into steps.
pub fn aggregation(name: &str) -> &'static str {
    let parts = parts(name);
    let summed = [
        "sales",
        "count",
        "amount",
        "quantity",
        "revenue",
        "cases",
        "orders",
        "volume",
        "total",
        "units",
        "visitors",
        "passengers",
        "views",
    ];
    if parts.iter().any(|part| summed.contains(&part.as_str())) {
        "sum"
    } else {
        "mean"
    }
}

/// What columns mean, each in a phrase of its own.
pub struct Meanings(BTreeMap<String, String>);

impl Meanings {
    /// From what the owner says of the columns, else from their names.
    pub fn of(table: &Table, known: &str) -> Self {
        let mut meanings: BTreeMap<String, String> = BTreeMap::new();
        for column in &table.columns {
            let mut phrase = owners(&column.name, known).unwrap_or_else(|| plain(&column.name));
            while meanings.values().any(|other| *other == phrase) {
                phrase = format!("{phrase} ({})", column.name.replace(['`', '"'], "'"));
            }
            meanings.insert(column.name.clone(), phrase);
        }
        Self(meanings)
    }

    /// What a column means.
    pub fn of_column(&self, name: &str) -> String {
        self.0.get(name).cloned().unwrap_or_else(|| plain(name))
    }
}

/// What the owner's text says of a column, in a line such as `name: what it means` or `- **name** - what it means`.
fn owners(name: &str, known: &str) -> Option<String> {
    let line = known.lines().find_map(|line| {
        let line = line
            .trim()
            .trim_start_matches(['-', '*', '#', ' ', '`', '|']);
        let rest = line.strip_prefix(name)?;
        let rest = rest.trim_start_matches(['*', '`', ' ']);
        let rest = rest.strip_prefix([':', '-', '–', '—', '=', '|'])?;
        Some(rest.trim().trim_matches(['*', '`', '|', ' ']).to_owned())
    })?;
    let sentence = line
        .split(". ")
        .next()
        .unwrap_or_default()
        .trim_end_matches('.');
    let phrase: String = sentence
        .replace(['`', '"', '\n', '\r'], "'")
        .chars()
        .take(90)
        .collect();
    let phrase = phrase.trim().to_owned();
    (phrase.split_whitespace().count() >= 2).then_some(phrase)
}

/// A name as a phrase.
fn plain(name: &str) -> String {
    let words = parts(name);
    if words.is_empty() {
        return name.replace(['`', '"'], "'");
    }
    words.join(" ")
}

fn stem(word: &str) -> &str {
    word.strip_suffix('s').unwrap_or(word)
}

/// The words of a name, in lower case: cut at signs, and where a capital follows a small letter.
fn parts(name: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut before = ' ';
    for c in name.chars() {
        let cut = !c.is_alphanumeric() || (c.is_uppercase() && before.is_lowercase());
        if cut {
            parts.push(String::new());
        }
        if c.is_alphanumeric()
            && let Some(part) = parts.last_mut()
        {
            part.extend(c.to_lowercase());
        }
        before = c;
    }
    parts.retain(|part| !part.is_empty());
    parts
}

fn parts_of(title: &str) -> Vec<String> {
    parts(title)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_targets_ids_and_copies() {
        assert!(relevance("SalePrice", "Houses of Ames") > relevance("LotArea", "Houses of Ames"));
        assert!(relevance("rain", "Rain in Australia") > relevance("wind", "Rain in Australia"));
        assert!(is_id("customerID") && is_id("Unnamed: 0") && is_id("id") && !is_id("humidity"));
        assert!(share_name("price_eur", "price") && !share_name("age", "wage of parents"));
    }

    #[test]
    fn meanings_differ_and_come_from_the_owner_where_there_are_any() {
        let table = Table {
            columns: ["a_b", "a b", "age"]
                .map(|name| crate::prompt::Column {
                    name: name.to_owned(),
                    ..crate::prompt::Column::default()
                })
                .to_vec(),
            ..Table::default()
        };
        let meanings = Meanings::of(&table, "- **age**: Age of the patient in years. Rounded.\n");
        assert_eq!(meanings.of_column("age"), "Age of the patient in years");
        assert_ne!(meanings.of_column("a_b"), meanings.of_column("a b"));
    }
}
