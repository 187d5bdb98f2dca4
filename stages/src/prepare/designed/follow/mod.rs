//! Prescribed workflows: of a [`Recipe`], instructions in words and a reference solution in code, and the proof that they are good
//! for a task.
//!
//! `wording` says a recipe and `solution` does it, both from the same parameters. [`follow`] has the reference run in two fresh
//! sandboxes and keeps what it wrote when both wrote the same bytes. `mutants` are solutions that disobey one instruction each; the
//! share that the verifier refuses is recorded.

mod mutants;
mod predictions;
mod python;
mod solution;
mod wording;

#[cfg(test)]
mod examples;
#[cfg(test)]
pub(super) mod executed;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use synth_core::{CellOutcome, DataFile, Limits, Mutant, Observation};
use synth_pipeline::{Blobs, StageError, WorkError};

use super::recipe::{Recipe, Within};
use super::script::Script;
use crate::services::Services;
use mutants::{Disobedient, ENDINGS, Ending, disobedient, driver};
use solution::{Shortcut, solution};
use wording::{can_be_named, instructions};

/// A recipe that is good for a task.
#[derive(Debug)]
pub(super) struct Followed {
    /// The instructions.
    pub prompt: String,
    /// What the reference wrote: a CSV with the id and the targets, a row for each row to predict.
    pub truth: Vec<u8>,
    /// The reference solution, in Python.
    pub solution: String,
    /// What became of solutions that disobey one instruction each.
    pub mutants: Vec<Mutant>,
    /// The share of them, 0 to 1, that the verifier refuses.
    pub separated: f64,
    /// What is odd and did not stop it.
    pub remarks: Vec<String>,
}

/// Why a recipe is good for no task.
#[derive(Debug)]
pub(super) struct Refusal {
    /// Why, in snake case.
    pub reason: String,
    /// Why, for a person.
    pub message: String,
}

impl Refusal {
    fn new(reason: &str, message: impl Into<String>) -> Self {
        Self {
            reason: reason.to_owned(),
            message: message.into(),
        }
    }
}

/// Writes the instructions, runs the reference twice, and tries who can disobey unseen. `files` lie under `data/`; `seed` picks
/// the wording.
pub(super) async fn follow(
    services: &Services,
    blobs: &Blobs,
    recipe: &Recipe,
    files: &[DataFile],
    seed: u64,
    limits: &Limits,
    label: &str,
) -> Result<Result<Followed, Refusal>, WorkError> {
    let prompt = match worded(recipe, seed) {
        Ok(prompt) => prompt,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let reference = solution(recipe, Shortcut::None);
    let all = disobedient(recipe);
    let script = |code| Script {
        label,
        files,
        code,
        seed,
        limits,
    };
    let submission = recipe.submission.as_str();
    let first = script(&reference)
        .run(services, blobs, &[submission])
        .await?;
    let Some(truth) = first.files.get(submission).cloned() else {
        return Ok(Err(failed(&first.observation, submission)));
    };

    // The second run shares its fresh sandbox with those who disobey: they come after it.
    let driver = driver(&reference, &all);
    let mut outputs = vec![submission, ENDINGS];
    outputs.extend(all.iter().map(|solution| solution.file.as_str()));
    let second = script(&driver).run(services, blobs, &outputs).await?;
    match second.files.get(submission) {
        None => return Ok(Err(failed(&second.observation, submission))),
        Some(again) if *again != truth => {
            let message = predictions::difference(&truth, again);
            return Ok(Err(Refusal::new("reference_not_deterministic", message)));
        }
        Some(_) => {}
    }
    let recipe = recipe.clone();
    let judge = move || judged(&recipe, prompt, reference, truth, &all, &second.files);
    tokio::task::spawn_blocking(judge)
        .await
        .map_err(|error| StageError::Files(format!("score solutions: {error}")).into())
}

/// The instructions, if everything that they name can be named.
fn worded(recipe: &Recipe, seed: u64) -> Result<String, Refusal> {
    let features = recipe.features.iter().map(|feature| &feature.column);
    let ranges = recipe.ranges.iter().map(|range| &range.column);
    let categories = recipe.ranges.iter().flat_map(|range| match &range.within {
        Within::OneOf(values) => values.as_slice(),
        Within::Between(..) => &[],
    });
    let names = [&recipe.id_column, &recipe.submission]
        .into_iter()
        .chain(&recipe.targets)
        .chain(features)
        .chain(categories)
        .chain(ranges);
    if let Some(name) = names.into_iter().find(|name| !can_be_named(name)) {
        let message = format!("no instruction can quote the name {name:?}");
        return Err(Refusal::new("unquotable_name", message));
    }
    let prompt = instructions(recipe, seed);
    let unnamed = |target: &&String| !prompt.contains(&format!("`{target}`"));
    if let Some(target) = recipe.targets.iter().find(unnamed) {
        let message = format!("the instructions do not name `{target}`");
        return Err(Refusal::new("target_not_in_prompt", message));
    }
    Ok(prompt)
}

fn failed(observation: &Observation, submission: &str) -> Refusal {
    let how = match &observation.outcome {
        CellOutcome::Ok => format!("it wrote no `{submission}`, or a very large one"),
        CellOutcome::Error { name, message, .. } => format!("{name}: {message}"),
        CellOutcome::Timeout { .. } => "it took too long".to_owned(),
        CellOutcome::OutOfMemory { .. } => "it took too much memory".to_owned(),
        CellOutcome::Limit { limit, .. } => format!("it ran into the limit {limit:?}"),
        CellOutcome::Died { how } => format!("Python ended with {how}"),
    };
    let message: String = how.chars().take(500).collect();
    Refusal::new("reference_failed", message)
}

/// What the verifier makes of the reference and of those who disobey.
fn judged(
    recipe: &Recipe,
    prompt: String,
    solution: String,
    truth: Vec<u8>,
    all: &[Disobedient],
    files: &BTreeMap<String, Vec<u8>>,
) -> Result<Followed, Refusal> {
    predictions::sound(recipe, &truth)
        .map_err(|message| Refusal::new("degenerate_reference", message))?;
    let own = predictions::score(recipe, Some(&truth), &truth);
    if !own.success {
        return Err(Refusal::new("reference_not_scorable", own.reason));
    }
    let endings: Vec<Ending> = files
        .get(ENDINGS)
        .and_then(|bytes| serde_json::from_slice(bytes).ok())
        .unwrap_or_default();
    let (mut mutants, mut remarks) = (Vec::new(), Vec::new());
    for (place, solution) in all.iter().enumerate() {
        let name = solution.name.clone();
        match endings.get(place) {
            Some(Ending::Ran) => {
                let prediction = files.get(&solution.file).map(Vec::as_slice);
                let separated = !predictions::score(recipe, prediction, &truth).success;
                mutants.push(Mutant { name, separated });
            }
            Some(Ending::Same) => {
                remarks.push(format!(
                    "{name} does not apply: no numeric feature has gaps"
                ));
            }
            Some(Ending::Failed(error)) => remarks.push(format!("{name} failed: {error}")),
            None => remarks.push(format!("{name} was not run: no time was left")),
        }
    }
    let refused = mutants.iter().filter(|mutant| mutant.separated).count();
    let separated = refused as f64 / mutants.len().max(1) as f64;
    Ok(Followed {
        prompt,
        truth,
        solution,
        mutants,
        separated,
        remarks,
    })
}
