//! Tasks that a benchmark published as they are: its questions, its files, its truth.

use synth_core::{
    KeyedValue, Predictions, PublishedTask, Rewarding, Source, SuiteQuestion, Task, TaskId,
    Verifier,
};

use super::{ABS_TOLERANCE, join, success};

/// One task for each question that came with the source.
pub(super) fn questions(source: &Source, open: &Task) -> Vec<Task> {
    let task = |question: &SuiteQuestion| {
        let id = TaskId::of(&(
            &source.id,
            "suite",
            &question.original_id,
            &question.question,
        ));
        let expected = question
            .answer
            .iter()
            .map(|(name, value)| KeyedValue {
                name: name.clone(),
                value: value.clone(),
            })
            .collect();
        Task {
            id,
            prompt: question.question.clone(),
            context: join(&open.context, &question.context),
            constraints: question.constraints.clone(),
            answer_format: question.format.clone(),
            verifier: Some(Verifier::Keyed {
                expected,
                abs_tolerance: ABS_TOLERANCE,
                rel_tolerance: 0.0,
            }),
            keywords: question.keywords.clone(),
            level: question.level.clone(),
            ..open.clone()
        }
    };
    source.questions.iter().map(task).collect()
}

/// One task for each prediction that came with the source.
pub(super) fn predictions(
    source: &Source,
    open: &Task,
    seed: impl Fn(&TaskId) -> u64,
) -> Vec<Task> {
    let task = |published: &PublishedTask| {
        let id = TaskId::of(&(
            &source.id,
            "published",
            &published.original_id,
            &published.question,
        ));
        let is_needed = |path: &String| published.files.contains(path);
        Task {
            seed: seed(&id),
            id,
            kind: published.kind,
            files: source
                .files
                .iter()
                .filter(|file| is_needed(&file.path))
                .cloned()
                .collect(),
            tables: open
                .tables
                .iter()
                .filter(|table| is_needed(&table.path))
                .cloned()
                .collect(),
            prompt: published.question.clone(),
            answer_format: format!("the name of the file that you wrote: {PREDICTION}"),
            verifier: Some(Verifier::Predictions(Predictions {
                file: PREDICTION.to_owned(),
                truth: published.truth.clone(),
                keys: published.keys.clone(),
                targets: published.targets.clone(),
                metric: published.metric,
                reward: Rewarding::Value,
                success: success(published.kind),
                naive_error: None,
                exact_shape: false,
            })),
            ..open.clone()
        }
    };
    source.published.iter().map(task).collect()
}

/// The file that the benchmark's questions ask for.
const PREDICTION: &str = "prediction.csv";
