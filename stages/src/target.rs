//! What is attempted: a query, or a task that brings its own question.

use minijinja::Value;
use serde::Serialize;
use synth_core::{Expected, Fingerprint, Query, Task, Verifier};
use synth_pipeline::{Index, StageError};

use crate::{Cx, prompts};

/// Numbers in reference answers may differ by this much: both sides were rounded as the query says.
const ABS_TOLERANCE: f64 = 1e-6;

/// Something to attempt: the task, and the query where there is one.
#[derive(Clone, Debug, Serialize)]
pub struct Target {
    /// The task.
    pub task: Task,
    /// The query about it.
    pub query: Option<Query>,
}

/// All targets of the run, tasks first, read as they are needed; and how many there are.
pub(crate) fn all<'a>(
    cx: &'a Cx<'_>,
) -> Result<(impl Iterator<Item = Result<Target, StageError>> + 'a, usize), StageError> {
    let mut tasks = 0;
    for task in cx.records::<Task>("prepare")?.1 {
        tasks += usize::from(task?.verifier.is_some());
    }
    let (queries, query_records) = cx.records::<Query>("queries")?;
    let index = cx.index::<Task>("prepare")?;
    let of_tasks = cx
        .records::<Task>("prepare")?
        .1
        .filter(|task| task.as_ref().map_or(true, |task| task.verifier.is_some()))
        .map(|task| {
            Ok(Target {
                task: task?,
                query: None,
            })
        });
    let of_queries = query_records.map(move |query| {
        let query = query?;
        Ok(Target {
            task: index.get(query.task_id.as_str())?,
            query: Some(query),
        })
    });
    Ok((of_tasks.chain(of_queries), tasks + queries))
}

/// Finds the target of a trajectory again.
pub(crate) struct Targets<'a> {
    tasks: Index<'a>,
    queries: Index<'a>,
}

impl<'a> Targets<'a> {
    pub(crate) fn open(cx: &'a Cx<'_>) -> Result<Self, StageError> {
        Ok(Self {
            tasks: cx.index::<Task>("prepare")?,
            queries: cx.index::<Query>("queries")?,
        })
    }

    pub(crate) fn of(&self, trajectory: &synth_core::Trajectory) -> Result<Target, StageError> {
        let task = self.tasks.get(trajectory.task_id.as_str())?;
        let query = trajectory
            .query_id
            .as_ref()
            .map(|id| self.queries.get(id.as_str()))
            .transpose()?;
        Ok(Target { task, query })
    }
}

impl Target {
    /// What an attempt rests on: not the licence, tags or date of the data, nor the side of the split.
    pub fn content(&self) -> Fingerprint {
        let Task {
            files,
            limits,
            seed,
            ..
        } = &self.task;
        Fingerprint::of(&(
            self.id(),
            self.request(),
            self.verifier(),
            files,
            limits,
            seed,
        ))
    }

    /// The id of the query, or of the task.
    pub fn id(&self) -> &str {
        self.query
            .as_ref()
            .map_or(self.task.id.as_str(), |query| query.id.as_str())
    }

    /// What is asked.
    pub fn question(&self) -> &str {
        self.query
            .as_ref()
            .map_or(&self.task.prompt, |query| &query.question)
    }

    /// How the work is to be done.
    pub fn constraints(&self) -> &str {
        self.query
            .as_ref()
            .map_or(&self.task.constraints, |query| &query.constraints)
    }

    /// How the answer is to be written.
    pub fn answer_format(&self) -> &str {
        self.query
            .as_ref()
            .map_or(&self.task.answer_format, |query| &query.answer_format)
    }

    /// How an answer becomes a reward.
    pub fn verifier(&self) -> Verifier {
        match (&self.query, &self.task.verifier) {
            (Some(query), _) => Verifier::Keyed {
                expected: query.reference_answer.clone(),
                abs_tolerance: ABS_TOLERANCE,
                rel_tolerance: 0.0,
            },
            (None, Some(verifier)) => verifier.clone(),
            (None, None) => Verifier::Keyed {
                expected: Vec::new(),
                abs_tolerance: 0.0,
                rel_tolerance: 0.0,
            },
        }
    }

    /// The expected answer, for those who may see it.
    pub fn reference(&self) -> String {
        match self.verifier() {
            Verifier::Keyed { expected, .. } => expected
                .iter()
                .map(|pair| format!("@{}[{}]", pair.name, pair.value))
                .collect::<Vec<_>>()
                .join(", "),
            Verifier::Answer { expected, .. } => match expected {
                Expected::Text { value }
                | Expected::Number { value }
                | Expected::Choice { value, .. } => value,
                Expected::List { values, .. } => values.join(", "),
            },
            Verifier::Equivalent { reference, .. } => reference,
            Verifier::Predictions(rule) => {
                format!("hidden values, compared by {}", rule.metric)
            }
        }
    }

    /// What the agent is asked, in full.
    pub fn request(&self) -> String {
        prompts::render(
            &prompts::SOLVE,
            minijinja::context! {
                title => &self.task.slug,
                context => &self.task.context,
                tables => Value::from(minijinja::value::Serde(&self.task.tables)),
                question => self.question(),
                constraints => self.constraints(),
                answer_format => self.answer_format(),
            },
        )
    }
}
