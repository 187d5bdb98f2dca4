//! A family applied to real columns and values: posed as text, read back from text, and turned into code.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use crate::families::{self, Family, Need, Style};
use crate::prompt::{self, Question, Table, pattern};
use crate::python;

/// What stands in a slot.
#[derive(Clone, Debug, PartialEq)]
pub enum Filling {
    /// A column, by name.
    Column(String),
    /// A text value of a column.
    Text(String),
    /// A number, `True` or `False`, as Python writes it.
    Plain(String),
    /// A file, by path under `data/`.
    File(String),
}

impl Filling {
    /// As it stands in prose.
    fn prose(&self) -> String {
        match self {
            Self::Column(name) => format!("`{name}`"),
            Self::Text(text) => format!("\"{text}\""),
            Self::Plain(text) | Self::File(text) => text.clone(),
        }
    }

    /// As it stands in code.
    fn code(&self) -> String {
        match self {
            Self::Column(text) | Self::Text(text) | Self::File(text) => python::literal(text),
            Self::Plain(text) => text.clone(),
        }
    }
}

/// A question with all its slots filled.
#[derive(Clone, Debug)]
pub struct Problem {
    /// The family.
    pub family: &'static Family,
    /// The main table's path.
    pub table: String,
    /// Columns whose entries are turned into numbers first.
    pub coerced: Vec<String>,
    /// What stands in each slot.
    pub slots: BTreeMap<String, Filling>,
}

impl PartialEq for Problem {
    fn eq(&self, other: &Self) -> bool {
        self.family.id == other.family.id
            && self.table == other.table
            && self.coerced == other.coerced
            && self.slots == other.slots
    }
}

impl Problem {
    /// The question in one of the family's phrasings, with complete constraints and the answer format.
    pub fn pose(&self, phrasing: usize) -> Question {
        let mut constraints = format!("Use `data/{}`.", self.table);
        for column in &self.coerced {
            constraints.push_str(&format!(
                " Convert `{column}` to numbers; entries that are no numbers count as missing."
            ));
        }
        for column in self.dates() {
            constraints.push_str(&format!(
                " Parse `{column}` with `pd.to_datetime(..., errors=\"coerce\")`; what it cannot parse counts as missing."
            ));
        }
        constraints.push(' ');
        constraints.push_str(&self.prose(&self.family.given));
        Question {
            text: self.prose(&self.family.ask[phrasing % self.family.ask.len()]),
            constraints,
            format: self.prose(&self.family.format),
        }
    }

    /// The cells of a style, without loading and preparation.
    pub fn cells(&self, style: &Style) -> Vec<String> {
        style.cells().map(|cell| self.code(cell)).collect()
    }

    /// A plausible mistake: the first style with one of its wrong replacements, as one cell.
    pub fn mistaken(&self, which: usize) -> String {
        let first = &self.family.style[0].code;
        let code = match self
            .family
            .wrong
            .get(which % self.family.wrong.len().max(1))
        {
            Some([from, to]) => first.replace(from, to),
            None => first.clone(),
        };
        self.code(&code.replace("# %%\n", "\n"))
    }

    /// The condition under which the question has one clear answer.
    pub fn check(&self) -> Option<String> {
        self.family.check.as_ref().map(|check| self.code(check))
    }

    /// The lines that load the data and prepare the columns in use.
    pub fn load(&self, tables: &[Table]) -> String {
        let mut code = python::load(&find(tables, &self.table));
        if let Some(other) = self.other() {
            code.push_str(&format!(
                "other = {}\n",
                python::read_csv(&find(tables, other))
            ));
        }
        for column in &self.coerced {
            let name = python::literal(column);
            code.push_str(&format!(
                "df[{name}] = pd.to_numeric(df[{name}], errors=\"coerce\")\n"
            ));
        }
        for column in self.dates() {
            let name = python::literal(column);
            code.push_str(&format!(
                "df[{name}] = pd.to_datetime(df[{name}], errors=\"coerce\")\n"
            ));
        }
        code
    }

    /// The columns in use, in the order of the slots.
    pub fn columns(&self) -> Vec<&str> {
        self.family
            .slots
            .iter()
            .filter_map(|slot| match self.slots.get(&slot.name) {
                Some(Filling::Column(name)) => Some(name.as_str()),
                _ => None,
            })
            .collect()
    }

    /// The columns in use that lie in the main table.
    pub fn main_columns(&self) -> Vec<&str> {
        self.family
            .slots
            .iter()
            .filter(|slot| {
                !matches!(
                    &slot.need,
                    Need::Number { file: Some(_), .. } | Need::Category { file: Some(_), .. }
                )
            })
            .filter_map(|slot| match self.slots.get(&slot.name) {
                Some(Filling::Column(name)) => Some(name.as_str()),
                _ => None,
            })
            .collect()
    }

    /// The names of the answer's values.
    pub fn names(&self) -> Vec<String> {
        prompt::answer_names(&self.family.format)
    }

    /// The second file, for joins.
    pub fn other(&self) -> Option<&str> {
        self.slots.values().find_map(|filling| match filling {
            Filling::File(path) => Some(path.as_str()),
            _ => None,
        })
    }

    fn dates(&self) -> impl Iterator<Item = &str> {
        self.family
            .slots
            .iter()
            .filter(|slot| matches!(slot.need, Need::Date { .. }))
            .filter_map(|slot| match self.slots.get(&slot.name) {
                Some(Filling::Column(name)) => Some(name.as_str()),
                _ => None,
            })
    }

    fn prose(&self, template: &str) -> String {
        replace(template, "{", "}", |name| {
            self.slots.get(name).map(Filling::prose)
        })
    }

    fn code(&self, template: &str) -> String {
        replace(template, "__", "__", |name| {
            self.slots.get(name).map(Filling::code)
        })
    }
}

/// A table by path; one that the prompt does not describe is read with the defaults.
pub fn find(tables: &[Table], path: &str) -> Table {
    tables
        .iter()
        .find(|table| table.path == path)
        .cloned()
        .unwrap_or_else(|| Table {
            path: path.to_owned(),
            ..Table::default()
        })
}

/// Replaces each name between two marks, in one pass, so that what is put in is never read again.
fn replace(
    template: &str,
    open: &str,
    close: &str,
    value: impl Fn(&str) -> Option<String>,
) -> String {
    let mut out = String::with_capacity(template.len() + 64);
    let mut rest = template;
    while let Some(start) = rest.find(open) {
        out.push_str(&rest[..start]);
        let inner = &rest[start + open.len()..];
        let replacement = inner
            .find(close)
            .and_then(|end| value(&inner[..end]).map(|text| (text, end)));
        if let Some((text, end)) = replacement {
            out.push_str(&text);
            rest = &inner[end + close.len()..];
        } else {
            out.push_str(open);
            rest = inner;
        }
    }
    out.push_str(rest);
    out
}

/// A phrasing as an anchored pattern.
struct Phrasing {
    family: &'static Family,
    pattern: Regex,
    /// The slot of each group, in the order of the groups.
    slots: Vec<&'static str>,
}

static PHRASINGS: LazyLock<Vec<Phrasing>> = LazyLock::new(|| {
    families::all()
        .iter()
        .flat_map(|family| family.ask.iter().map(move |ask| Phrasing::new(family, ask)))
        .collect()
});

impl Phrasing {
    fn new(family: &'static Family, ask: &'static str) -> Self {
        let mut source = String::from("^");
        let mut slots = Vec::new();
        let mut rest = ask;
        while let Some((before, after)) = rest.split_once('{') {
            let (name, tail) = after.split_once('}').unwrap_or((after, ""));
            source.push_str(&regex::escape(before));
            let need = family
                .slots
                .iter()
                .find(|slot| slot.name == name)
                .map(|slot| &slot.need);
            source.push_str(match need {
                Some(Need::Value(_) | Need::Other(_)) => {
                    r#"("[^"\n]*"|-?[0-9.]+(?:[eE][+-]?[0-9]+)?|True|False)"#
                }
                Some(Need::Threshold(_) | Need::Choice(_)) => r"(-?[0-9.]+(?:[eE][+-]?[0-9]+)?)",
                Some(Need::File) => r"([^`\n]+)",
                _ => r"(`[^`\n]+`)",
            });
            slots.push(name);
            rest = tail;
        }
        source.push_str(&regex::escape(rest));
        source.push('$');
        Self {
            family,
            pattern: pattern(&source),
            slots,
        }
    }
}

/// Reads a question back into its family and slots, if it is one of the teacher's phrasings over known columns.
pub fn recognise(question: &Question, tables: &[Table]) -> Option<Problem> {
    static FILE: LazyLock<Regex> = LazyLock::new(|| pattern(r"^Use `data/([^`\n]+)`\."));
    static COERCED: LazyLock<Regex> = LazyLock::new(|| {
        pattern(r" Convert `([^`\n]+)` to numbers; entries that are no numbers count as missing\.")
    });
    let table = FILE.captures(question.constraints.trim())?[1].to_owned();
    let coerced: Vec<String> = COERCED
        .captures_iter(&question.constraints)
        .map(|found| found[1].to_owned())
        .collect();
    PHRASINGS.iter().find_map(|phrasing| {
        let found = phrasing.pattern.captures(question.text.trim())?;
        let mut slots = BTreeMap::new();
        for (index, name) in phrasing.slots.iter().enumerate() {
            let need = phrasing
                .family
                .slots
                .iter()
                .find(|slot| &slot.name == name)
                .map(|slot| &slot.need)?;
            let filling = filling(need, &found[index + 1]);
            if slots
                .insert((*name).to_owned(), filling.clone())
                .is_some_and(|earlier| earlier != filling)
            {
                return None;
            }
        }
        let mut problem = Problem {
            family: phrasing.family,
            table: table.clone(),
            coerced: coerced.clone(),
            slots,
        };
        problem.complete(question)?;
        let known = |column: &&str| tables.iter().any(|table| table.has(column));
        problem.columns().iter().all(known).then_some(problem)
    })
}

impl Problem {
    /// Reads the slots that the phrasing does not name from the constraints.
    fn complete(&mut self, question: &Question) -> Option<()> {
        let missing: Vec<&'static str> = self
            .family
            .slots
            .iter()
            .map(|slot| slot.name.as_str())
            .filter(|name| !self.slots.contains_key(*name))
            .collect();
        if missing.is_empty() {
            return Some(());
        }
        let given = Phrasing::new(self.family, &self.family.given);
        let mut source = given.pattern.as_str().trim_start_matches('^').to_owned();
        source.insert_str(0, r"(?:^|\s)");
        let found = Regex::new(&source)
            .ok()?
            .captures(question.constraints.trim())?;
        for (index, name) in given.slots.iter().enumerate() {
            if missing.contains(name) {
                let need = self
                    .family
                    .slots
                    .iter()
                    .find(|slot| &slot.name == name)
                    .map(|slot| &slot.need)?;
                self.slots
                    .insert((*name).to_owned(), filling(need, &found[index + 1]));
            }
        }
        missing
            .iter()
            .all(|name| self.slots.contains_key(*name))
            .then_some(())
    }
}

fn filling(need: &Need, text: &str) -> Filling {
    match need {
        Need::Value(_) | Need::Other(_) | Need::Threshold(_) | Need::Choice(_) => {
            match text.strip_prefix('"') {
                Some(inner) => Filling::Text(inner.trim_end_matches('"').to_owned()),
                None => Filling::Plain(text.to_owned()),
            }
        }
        Need::File => Filling::File(text.to_owned()),
        _ => Filling::Column(text.trim_matches('`').to_owned()),
    }
}
