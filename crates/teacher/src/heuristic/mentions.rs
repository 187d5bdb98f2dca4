//! Columns that a text mentions: quoted, in their own spelling, or in words.

use crate::prompt::{Column, Table};

/// A column with where and how surely the text mentions it.
#[derive(Clone, Debug, PartialEq)]
pub struct Mention {
    /// The column.
    pub column: Column,
    /// Where, in bytes.
    pub place: usize,
    /// From 1, a guess, to 4, quoted.
    pub strength: u8,
}

/// The mentioned columns, in the order of the text. Weak mentions are left out where strong ones overlap them.
pub fn mentions(text: &str, table: &Table) -> Vec<Mention> {
    let words = words(text);
    let mut found: Vec<(Mention, usize)> = table
        .columns
        .iter()
        .filter_map(|column| mention(text, &words, column))
        .collect();
    // A longer name at the same place is the one that is meant: "price_max", not "price".
    let spans: Vec<(usize, usize, u8)> = found
        .iter()
        .map(|(mention, length)| (mention.place, mention.place + length, mention.strength))
        .collect();
    found.retain(|(mention, length)| {
        let (start, end) = (mention.place, mention.place + length);
        !spans.iter().any(|&(other_start, other_end, strength)| {
            other_start <= start
                && end <= other_end
                && other_end - other_start > *length
                && strength >= mention.strength
        })
    });
    found.sort_by_key(|(mention, _)| mention.place);
    found.into_iter().map(|(mention, _)| mention).collect()
}

fn mention(
    text: &str,
    words: &[(String, usize, usize)],
    column: &Column,
) -> Option<(Mention, usize)> {
    let name = column.name.trim();
    if name.is_empty() || name.len() > text.len() {
        return None;
    }
    let hit = |place: usize, length: usize, strength: u8| {
        Some((
            Mention {
                column: column.clone(),
                place,
                strength,
            },
            length,
        ))
    };
    for (open, close) in [("\"", "\""), ("'", "'"), ("`", "`"), ("“", "”"), ("‘", "’")] {
        if let Some(place) = text.find(&format!("{open}{name}{close}")) {
            return hit(place + open.len(), name.len(), 4);
        }
    }
    let lower = text.to_lowercase();
    let same_length = lower.len() == text.len();
    let own = whole(text, name);
    let distinctive = name.len() > 2
        && (name
            .chars()
            .any(|c| c.is_uppercase() || c == '_' || c == '.' || c.is_ascii_digit()));
    if let Some(place) = own
        && (distinctive || name.len() == 1 && name.chars().all(char::is_uppercase))
    {
        return hit(place, name.len(), 3);
    }
    if name.len() > 2
        && same_length
        && let Some(place) = whole(&lower, &name.to_lowercase())
    {
        return hit(place, name.len(), 2);
    }
    // "wing span" is WINGSPAN, "prices" is Price.
    let target: String = flat(name);
    if target.len() > 2 {
        for start in 0..words.len() {
            let mut joined = String::new();
            for (word, _, end) in &words[start..words.len().min(start + 6)] {
                joined.push_str(word);
                if flat_match(&joined, &target) {
                    return hit(words[start].1, end - words[start].1, 2);
                }
                if joined.len() > target.len() + 3 {
                    break;
                }
            }
        }
    }
    let parts: Vec<String> = split(name)
        .into_iter()
        .filter(|part| part.len() > 2 && !FILLERS.contains(&part.as_str()))
        .collect();
    if parts.len() >= 2 {
        for start in 0..words.len() {
            let window = &words[start..words.len().min(start + parts.len() + 3)];
            if stem(&window[0].0) == stem(&parts[0])
                && parts
                    .iter()
                    .all(|part| window.iter().any(|(word, _, _)| stem(word) == stem(part)))
            {
                let end = window
                    .iter()
                    .rfind(|(word, _, _)| parts.iter().any(|part| stem(word) == stem(part)))
                    .map_or(window[0].2, |word| word.2);
                return hit(window[0].1, end - window[0].1, 1);
            }
        }
    }
    None
}

const FILLERS: [&str; 8] = [
    "the",
    "number",
    "indicator",
    "total",
    "num",
    "per",
    "and",
    "for",
];

/// The first place where `name` stands in `text` without a letter or digit on either side.
fn whole(text: &str, name: &str) -> Option<usize> {
    let mut from = 0;
    while let Some(offset) = text.get(from..)?.find(name) {
        let place = from + offset;
        let before = text[..place]
            .chars()
            .next_back()
            .is_none_or(|c| !c.is_alphanumeric() && c != '_');
        let after = text[place + name.len()..]
            .chars()
            .next()
            .is_none_or(|c| !c.is_alphanumeric() && c != '_');
        if before && after {
            return Some(place);
        }
        from = place + text[place..].chars().next().map_or(1, char::len_utf8);
    }
    None
}

/// Lower-case words with their places.
fn words(text: &str) -> Vec<(String, usize, usize)> {
    let mut words = Vec::new();
    let mut start = None;
    for (place, c) in text.char_indices().chain([(text.len(), ' ')]) {
        match (c.is_alphanumeric(), start) {
            (true, None) => start = Some(place),
            (false, Some(begin)) => {
                words.push((text[begin..place].to_lowercase(), begin, place));
                start = None;
            }
            _ => {}
        }
    }
    words
}

/// A name's words, split at case changes, dots, dashes and underscores.
fn split(name: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut part = String::new();
    let mut previous_lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || (c.is_uppercase() && previous_lower) {
            parts.push(std::mem::take(&mut part));
        }
        if c.is_alphanumeric() {
            part.extend(c.to_lowercase());
        }
        previous_lower = c.is_lowercase();
    }
    parts.push(part);
    parts.retain(|part| !part.is_empty());
    parts
}

fn flat(name: &str) -> String {
    name.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

fn flat_match(joined: &str, target: &str) -> bool {
    joined == target
        || joined.strip_suffix('s') == Some(target)
        || target.strip_suffix('s') == Some(joined)
}

fn stem(word: &str) -> &str {
    let word = word
        .strip_suffix("ies")
        .or_else(|| word.strip_suffix("es"))
        .or_else(|| word.strip_suffix('s'))
        .unwrap_or(word);
    word.strip_suffix("ed")
        .or_else(|| word.strip_suffix("ing"))
        .or_else(|| word.strip_suffix('e'))
        .or_else(|| word.strip_suffix('y'))
        .unwrap_or(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(names: &[&str]) -> Table {
        Table {
            columns: names
                .iter()
                .map(|name| Column {
                    name: (*name).to_owned(),
                    kind: "number".into(),
                    distinct: 50,
                    ..Column::default()
                })
                .collect(),
            ..Table::default()
        }
    }

    fn found(text: &str, names: &[&str]) -> Vec<String> {
        mentions(text, &table(names))
            .into_iter()
            .map(|mention| mention.column.name)
            .collect()
    }

    #[test]
    fn columns_are_found_in_quotes_in_words_and_in_other_forms() {
        assert_eq!(
            found(
                "Is there a link between the wing span and 'MASS'?",
                &["MASS", "WINGSPAN", "AT"]
            ),
            ["WINGSPAN", "MASS"]
        );
        assert_eq!(
            found("the mean price of the prices", &["Price", "Age"]),
            ["Price"]
        );
        assert_eq!(
            found(
                "the leaf lengths and the petal counts",
                &["petal_count", "leaf_length"]
            ),
            ["leaf_length", "petal_count"]
        );
    }

    #[test]
    fn the_longest_name_at_a_place_wins() {
        assert_eq!(
            found(
                "the \"No. of eggs_min\" column",
                &["No. of eggs", "No. of eggs_min"]
            ),
            ["No. of eggs_min"]
        );
    }
}
