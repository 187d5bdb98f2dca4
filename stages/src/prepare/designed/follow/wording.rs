//! A recipe in words: the instructions that an agent has to follow, in one of several wordings.

use minijinja::context;

use super::super::recipe::{Format, Problem, Range, Recipe, Within};
use super::python::{literal, number};
use crate::prompts::{self, Prompt};

/// The wordings. They say the same; each names every parameter.
pub(super) const WORDINGS: [&Prompt; 3] = [
    &prompts::INSTRUCTIONS_STEPS,
    &prompts::INSTRUCTIONS_PROSE,
    &prompts::INSTRUCTIONS_BRIEF,
];

/// The instructions in the wording that the seed picks.
pub(crate) fn instructions(recipe: &Recipe, seed: u64) -> String {
    let wording = WORDINGS[(seed % WORDINGS.len() as u64) as usize];
    let names_too = wording.name == prompts::INSTRUCTIONS_BRIEF.name;
    let column = |name: &str, description: &str| called(recipe, name, description, names_too);
    let features = |numeric: &[bool]| {
        let of = recipe
            .features
            .iter()
            .filter(|feature| numeric.contains(&feature.is_numeric));
        let names: Vec<String> = of
            .map(|feature| column(&feature.column, &feature.description))
            .collect();
        listed(&names)
    };
    let ranges: Vec<String> = recipe
        .ranges
        .iter()
        .map(|range| condition(range, &column(&range.column, &range.description)))
        .collect();
    let (module, class) = recipe.model.class();
    let data = |file: &str| code(&format!("data/{file}"));
    let columns = std::iter::once(&recipe.id_column).chain(&recipe.targets);
    prompts::render(
        wording,
        context! {
            problem => match recipe.problem {
                Problem::Classification => "classification",
                Problem::Regression => "regression",
            },
            targets => codes(&recipe.targets),
            several_targets => recipe.targets.len() > 1,
            joint => recipe.problem == Problem::Regression,
            train_file => data(&recipe.train_file),
            test_file => data(&recipe.test_file),
            metadata_file => data(&recipe.metadata_file),
            format => match recipe.format {
                Format::Csv => "csv",
                Format::Sqlite => "sqlite",
                Format::Parquet => "parquet",
            },
            train_tables => codes(&recipe.train_tables),
            several_tables => recipe.train_tables.len() > 1,
            test_table => code(&recipe.test_table),
            id_column => code(&recipe.id_column),
            ranges => ranges,
            features => features(&[true, false]),
            numeric => features(&[true]),
            categorical => features(&[false]),
            imputer => code(recipe.imputer.strategy()),
            scaler => code(recipe.scaler.class()),
            model => code(class),
            module => code(module),
            parameters => codes(&parameters(recipe)),
            submission => code(&recipe.submission),
            submission_columns => codes(&columns.cloned().collect::<Vec<_>>()),
        },
    )
}

/// The model's arguments, as code: what is not a default, and the seed.
pub(super) fn parameters(recipe: &Recipe) -> Vec<String> {
    let seed = recipe
        .model
        .takes_seed()
        .then(|| format!("random_state={}", recipe.random_state));
    let params = recipe.params.iter();
    params
        .map(|(name, value)| format!("{name}={}", literal(value)))
        .chain(seed)
        .collect()
}

/// Whether instructions can name it so that it is read back as it is: code in a line of Markdown.
pub(super) fn can_be_named(name: &str) -> bool {
    !name.trim().is_empty()
        && name.trim() == name
        && !name.contains('`')
        && !name.chars().any(char::is_control)
}

/// A column by its description in quotes; by its name where no other column may be meant and a quote would not hold it.
fn called(recipe: &Recipe, name: &str, description: &str, names_too: bool) -> String {
    let described = recipe
        .features
        .iter()
        .map(|feature| (&feature.column, &feature.description))
        .chain(
            recipe
                .ranges
                .iter()
                .map(|range| (&range.column, &range.description)),
        );
    let is_clear = can_be_named(description)
        && !description.contains('"')
        && !described
            .into_iter()
            .any(|(other, text)| other != name && text == description);
    match (is_clear, names_too) {
        (false, _) => code(name),
        (true, false) => format!("\"{description}\""),
        (true, true) => format!("\"{description}\" ({})", code(name)),
    }
}

fn condition(range: &Range, column: &str) -> String {
    match &range.within {
        Within::Between(low, high) => {
            format!(
                "{column} between {} and {}, both included",
                number(*low),
                number(*high)
            )
        }
        Within::OneOf(values) => format!("{column} one of {}", codes(values)),
    }
}

fn code(text: &str) -> String {
    format!("`{text}`")
}

fn codes(texts: &[String]) -> String {
    listed(&texts.iter().map(|text| code(text)).collect::<Vec<_>>())
}

/// `a`, `a and b`, `a, b and c`.
fn listed(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}
