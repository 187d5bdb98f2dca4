//! The families of questions as data: what each needs, how it is asked, and the styles in which it is solved.
//!
//! A template writes a slot as `{x}` in prose and as `__x__` in code. `# %%` parts the cells of one style.

use std::sync::LazyLock;

use serde::Deserialize;

const FILES: [&str; 8] = [
    include_str!("../families/descriptive.toml"),
    include_str!("../families/filters.toml"),
    include_str!("../families/groups.toml"),
    include_str!("../families/relations.toml"),
    include_str!("../families/quality.toml"),
    include_str!("../families/dates.toml"),
    include_str!("../families/models.toml"),
    include_str!("../families/joins.toml"),
];

static ALL: LazyLock<Vec<Family>> = LazyLock::new(|| {
    FILES
        .iter()
        .flat_map(|file| {
            toml::from_str::<File>(file)
                .expect("the embedded families are valid and tested")
                .family
        })
        .collect()
});

/// All families.
pub fn all() -> &'static [Family] {
    &ALL
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    family: Vec<Family>,
}

/// A kind of question with everything needed to pose and to solve it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Family {
    /// Its name.
    pub id: String,
    /// The field that it belongs to; an exploration spreads over these.
    pub topic: String,
    /// Topics of a query.
    pub keywords: Vec<String>,
    /// `easy`, `medium` or `hard`.
    pub level: String,
    /// What it needs of the data.
    pub slots: Vec<Slot>,
    /// Phrasings of the question.
    pub ask: Vec<String>,
    /// What the answer depends on.
    pub given: String,
    /// The answer format.
    pub format: String,
    /// A Python expression that must hold for the question to have one clear answer.
    #[serde(default)]
    pub check: Option<String>,
    /// Replacements in the first style that make it plausibly wrong.
    pub wrong: Vec<[String; 2]>,
    /// Ways to solve it; all give the same rounded values.
    pub style: Vec<Style>,
}

/// A way to solve a question.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Style {
    /// The idea, as a clause.
    pub say: String,
    /// The cells, parted by `# %%`; the last prints the answer.
    pub code: String,
}

impl Style {
    /// The cells of this style, still with slots.
    pub fn cells(&self) -> impl Iterator<Item = &str> {
        self.code.split("# %%\n").map(str::trim)
    }
}

/// A place in the templates that data fills.
#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
pub struct Slot {
    /// The name between braces or underscores.
    pub name: String,
    /// What may stand there.
    pub need: Need,
}

/// What may fill a slot.
#[derive(Clone, Debug, PartialEq)]
pub enum Need {
    /// A column of many numbers.
    Number {
        /// Whether all must be above zero.
        positive: bool,
        /// Whether some must be missing.
        gaps: bool,
        /// The slot of the file that holds it, when that is not the main table.
        file: Option<String>,
    },
    /// A column with few different values.
    Category {
        /// Fewest different values.
        least: u64,
        /// Most different values.
        most: u64,
        /// The slot of the file that holds it, when that is not the main table.
        file: Option<String>,
    },
    /// A column of dates over at least this many months and years.
    Date {
        /// Fewest different months.
        months: u64,
        /// Fewest different years.
        years: u64,
    },
    /// A column with missing entries.
    Missing,
    /// A column of text.
    Text,
    /// A value of the column in this slot.
    Value(String),
    /// A value of the column in this slot, other than those already chosen.
    Other(String),
    /// A number inside the range of the column in this slot.
    Threshold(String),
    /// One of these numbers.
    Choice(Vec<String>),
    /// Another file that shares a key with the main table.
    File,
    /// The key that the main table shares with the file in this slot.
    Key(String),
}

impl TryFrom<String> for Slot {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let name = words.next().ok_or("a slot needs a name")?.to_owned();
        let kind = words
            .next()
            .ok_or_else(|| format!("slot `{name}` needs a kind"))?;
        let (kind, file) = kind
            .split_once('@')
            .map_or((kind, None), |(kind, file)| (kind, Some(file.to_owned())));
        let rest: Vec<String> = words.map(str::to_owned).collect();
        let target = || {
            rest.first()
                .cloned()
                .ok_or_else(|| format!("slot `{name}` needs the slot that it refers to"))
        };
        let need = match kind {
            "number" => Need::Number {
                positive: rest.iter().any(|word| word == "positive"),
                gaps: false,
                file,
            },
            "gaps" => Need::Number {
                positive: false,
                gaps: true,
                file,
            },
            "category" | "binary" => {
                let standard = if kind == "binary" { (2, 6) } else { (2, 20) };
                let (least, most) = match rest.first().map(|range| range.split_once("..")) {
                    None => standard,
                    Some(None) => return Err(format!("slot `{name}` needs a range such as 3..8")),
                    Some(Some((least, most))) => (
                        least.parse().unwrap_or(standard.0),
                        most.parse().unwrap_or(standard.1),
                    ),
                };
                Need::Category { least, most, file }
            }
            "date" => Need::Date {
                months: 1,
                years: 1,
            },
            "months" => Need::Date {
                months: 3,
                years: 1,
            },
            "years" => Need::Date {
                months: 1,
                years: 3,
            },
            "missing" => Need::Missing,
            "text" => Need::Text,
            "value" => Need::Value(target()?),
            "other" => Need::Other(target()?),
            "threshold" => Need::Threshold(target()?),
            "choice" => Need::Choice(rest),
            "file" => Need::File,
            "key" => Need::Key(target()?),
            other => return Err(format!("slot `{name}` is of no known kind `{other}`")),
        };
        Ok(Self { name, need })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::prompt::answer_names;

    #[test]
    fn there_are_many_families_each_with_styles_phrasings_and_mistakes() {
        assert!(all().len() >= 45, "{}", all().len());
        let ids: BTreeSet<&str> = all().iter().map(|family| family.id.as_str()).collect();
        assert_eq!(ids.len(), all().len());
        for family in all() {
            assert!(family.style.len() >= 2, "{}", family.id);
            assert!(family.ask.len() >= 2, "{}", family.id);
            assert!(!family.wrong.is_empty(), "{}", family.id);
            assert!(
                ["easy", "medium", "hard"].contains(&family.level.as_str()),
                "{}",
                family.id
            );
            assert!(!answer_names(&family.format).is_empty(), "{}", family.id);
        }
    }

    #[test]
    fn every_mistake_changes_the_first_style() {
        for family in all() {
            for [from, to] in &family.wrong {
                assert!(family.style[0].code.contains(from), "{}: {from}", family.id);
                assert_ne!(from, to, "{}", family.id);
            }
        }
    }

    #[test]
    fn every_style_prints_every_value_in_its_last_cell() {
        for family in all() {
            for style in &family.style {
                let last = style.cells().last().unwrap_or_default();
                for name in answer_names(&family.format) {
                    assert!(last.contains(&format!("@{name}[")), "{}: {name}", family.id);
                }
            }
        }
    }

    #[test]
    fn columns_never_stand_inside_formatted_strings() {
        for family in all() {
            for line in family.style.iter().flat_map(|style| style.code.lines()) {
                assert!(
                    !(line.contains("f\"") && line.contains("__")),
                    "{}: {line}",
                    family.id
                );
            }
            for [from, to] in &family.wrong {
                let mistaken = family.style[0].code.replace(from, to);
                assert!(
                    !mistaken
                        .lines()
                        .any(|line| line.contains("f\"") && line.contains("__")),
                    "{}: {to}",
                    family.id
                );
            }
        }
    }
}
