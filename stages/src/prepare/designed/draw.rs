//! Draws a prescribed workflow from a design that holds: which columns, in which order, kept to which ranges, by which model.

use super::Refusal;
use super::check::{Checked, refuse};
use super::dice::Dice;
use super::frame::{Frame, Kind, is_ambiguous};
use super::noise;
use super::recipe::{Feature, Format, Imputer, Model, Problem, Range, Recipe, Scaler, Within};

/// Features and ranges of a workflow, at most: more would be a list to copy, not a workflow to follow.
const MAX_FEATURES: usize = 8;
const MAX_RANGES: usize = 6;
/// Categories of a feature or a range, at most.
const MAX_CATEGORIES: usize = 12;

/// How a task's files are called and written.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub format: Format,
    pub train_file: String,
    pub train_tables: Vec<String>,
    pub test_file: String,
    pub id_column: String,
}

/// The ranges that every workflow over these training rows states, features of the workflow or not.
pub(super) fn ranges(checked: &Checked, train: &Frame, seed: u64) -> Result<Vec<Range>, Refusal> {
    let mut ranges: Vec<Range> = checked
        .features
        .iter()
        .filter_map(|name| {
            let (column, within) = (train.column(name)?, checked.ranges.get(name)?);
            let is_short = match within {
                Within::OneOf(values) => values.len() <= MAX_CATEGORIES,
                Within::Between(..) => true,
            };
            (is_short && noise::can_break(column, within)).then(|| Range {
                column: name.clone(),
                description: checked.descriptions.get(name).cloned().unwrap_or_default(),
                within: within.clone(),
            })
        })
        .collect();
    if ranges.is_empty() {
        return refuse(
            "no_ranges",
            "none of the features has a range that noise could break",
        );
    }
    // The most telling features come first, and their noise does most.
    ranges.truncate(MAX_RANGES);
    Dice::new(seed, "ranges").shuffle(&mut ranges);
    Ok(ranges)
}

/// A workflow; another one for each variant.
pub(super) fn recipe(
    checked: &Checked,
    train: &Frame,
    ranges: &[Range],
    files: &Files,
    seed: u64,
    variant: u32,
) -> Result<Recipe, Refusal> {
    let mut dice = Dice::new(seed, &format!("recipe {variant}"));
    let usable: Vec<Feature> = checked
        .features
        .iter()
        .filter_map(|name| {
            let column = train.column(name)?;
            let is_numeric = column.kind != Kind::Text;
            let is_plain = || {
                let values = column.counts();
                values.len() <= MAX_CATEGORIES && !values.keys().any(|value| is_ambiguous(value))
            };
            (is_numeric || is_plain()).then(|| Feature {
                column: name.clone(),
                is_numeric,
                description: checked.descriptions.get(name).cloned().unwrap_or_default(),
            })
        })
        .collect();
    if usable.len() < 2 {
        return refuse(
            "too_few_features",
            "a workflow needs two features that are numbers or have few categories",
        );
    }
    let most = usable.len().min(MAX_FEATURES);
    let count = 2 + dice.below(most - 1);
    // Of the most telling ones, so that the model has something to say.
    let mut features: Vec<Feature> = usable.into_iter().take((count + 2).min(most)).collect();
    dice.shuffle(&mut features);
    features.truncate(count);

    let models = Model::of(checked.problem);
    let first = Dice::new(seed, "model").below(models.len());
    let model = models[(first + variant as usize) % models.len()];
    Ok(Recipe {
        problem: checked.problem,
        targets: checked.targets.clone(),
        features,
        ranges: ranges.to_vec(),
        imputer: dice.pick(&[Imputer::Mean, Imputer::Median, Imputer::MostFrequent]),
        scaler: dice.pick(&[Scaler::Standard, Scaler::Standard, Scaler::MinMax]),
        model,
        params: model.draw_params(&mut dice),
        random_state: dice.below(100) as u32,
        format: files.format,
        train_file: files.train_file.clone(),
        train_tables: files.train_tables.clone(),
        test_file: files.test_file.clone(),
        test_table: super::package::WHOLE.to_owned(),
        metadata_file: super::metadata::FILE.to_owned(),
        id_column: files.id_column.clone(),
        submission: crate::prepare::SUBMISSION.to_owned(),
    })
}

/// Whether a design is for labels.
pub(super) fn is_labels(checked: &Checked) -> bool {
    checked.problem == Problem::Classification
}
