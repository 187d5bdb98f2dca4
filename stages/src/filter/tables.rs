//! Rules that look at a source's files and tables themselves.

use synth_core::config::FilterConfig;
use synth_core::{Source, TableSummary};

use super::{Ruling, list};
use crate::tables;

/// What these rules look at.
pub(super) struct Seen<'a> {
    pub source: &'a Source,
    pub tables: &'a [TableSummary],
    /// Tables that are there but too large to be measured.
    pub unmeasured: u64,
    pub duplicate_of: Option<&'a str>,
}

/// A rule: its name, and how it judges. The evidence is given either way.
type Rule = (&'static str, fn(&FilterConfig, &Seen<'_>) -> (bool, String));

/// In the order in which they are asked; the first that fails names the drop.
const RULES: [Rule; 9] = [
    ("wrong_file_types", |config, seen| {
        let endings: Vec<String> = seen
            .source
            .files
            .iter()
            .map(|file| tables::ending(&file.path))
            .collect();
        let passed = endings
            .iter()
            .any(|ending| config.file_types.contains(ending));
        (
            passed,
            format!(
                "has {}; needs one of {}",
                list(&endings),
                list(&config.file_types)
            ),
        )
    }),
    ("too_large", |config, seen| {
        let bytes = super::bytes_of(seen.source);
        (
            bytes <= config.max_bytes,
            format!("{bytes} bytes; at most {}", config.max_bytes),
        )
    }),
    ("unreadable_tables", |_, seen| {
        let unmeasured = match seen.unmeasured {
            0 => String::new(),
            number => format!(", {number} are too large to be measured"),
        };
        (
            !seen.tables.is_empty() || seen.unmeasured > 0,
            format!(
                "{} tables can be read{unmeasured}; needs one",
                seen.tables.len()
            ),
        )
    }),
    ("too_few_rows", |config, seen| {
        at_least(most(seen, |table| table.rows), config.min_rows, "rows")
    }),
    ("too_many_rows", |config, seen| {
        at_most(most(seen, |table| table.rows), config.max_rows, "rows")
    }),
    ("too_few_columns", |config, seen| {
        at_least(
            most(seen, |table| table.columns.len() as u64),
            config.min_columns,
            "columns",
        )
    }),
    ("too_many_columns", |config, seen| {
        at_most(
            most(seen, |table| table.columns.len() as u64),
            config.max_columns,
            "columns",
        )
    }),
    ("licence_not_allowed", |config, seen| {
        let name = &seen.source.licence.name;
        let passed = config.licences.is_empty()
            || config
                .licences
                .iter()
                .any(|licence| licence.eq_ignore_ascii_case(name));
        let allowed = if config.licences.is_empty() {
            "any".to_owned()
        } else {
            list(&config.licences)
        };
        (passed, format!("`{name}`; allowed: {allowed}"))
    }),
    ("duplicate_content", |_, seen| {
        (
            seen.duplicate_of.is_none(),
            seen.duplicate_of
                .map_or(
                    "no other source has these tables".to_owned(),
                    |other| match seen.source.questions.len() {
                        0 => format!("the same tables as `{other}`"),
                        questions => format!(
                            "the same tables as `{other}`; its {questions} questions go with it"
                        ),
                    },
                ),
        )
    }),
];

/// All rules, or those of these names: other origins answer some of them by rules of their own.
pub(super) fn rulings(config: &FilterConfig, seen: &Seen<'_>, only: &[&str]) -> Vec<Ruling> {
    RULES
        .iter()
        .filter(|(rule, _)| only.is_empty() || only.contains(rule))
        .map(|(rule, judge)| Ruling::of(rule, judge(config, seen)))
        .collect()
}

fn most(seen: &Seen<'_>, measure: impl Fn(&TableSummary) -> u64) -> u64 {
    seen.tables.iter().map(measure).max().unwrap_or(0)
}

fn at_least(found: u64, bound: u64, what: &str) -> (bool, String) {
    (found >= bound, format!("{found} {what}; at least {bound}"))
}

fn at_most(found: u64, bound: u64, what: &str) -> (bool, String) {
    (found <= bound, format!("{found} {what}; at most {bound}"))
}
