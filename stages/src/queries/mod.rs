//! `queries`: explore and validate. An agent looks at the data, poses queries, solves each by running code, and only what an
//! executed cell backs becomes a query.

mod parse;

pub(crate) use parse::stands_in;

use async_trait::async_trait;
use serde::Serialize;
use synth_core::config::Config;
use synth_core::{
    Fingerprint, Generator, Query, QueryId, Score, Stop, Task, Trajectory, TrajectoryId,
};
use synth_pipeline::{Estimate, Item, Outcome, Rejected, Stage, StageError, Summary, WorkError};

use crate::agent::{Episode, Played, Scaffold};
use crate::services::{Services, reply_basis};
use crate::{Cx, prompts, sampling};

/// The stage.
pub struct Queries;

#[derive(Serialize)]
struct Exploration {
    task: Task,
    index: u32,
    /// A question that exists already, as an example of the style and as something not to repeat.
    seed_question: Option<String>,
}

impl Item for Exploration {
    fn id(&self) -> String {
        format!("{}#{}", self.task.id, self.index)
    }

    // Not the licence, tags or date of the data, nor the side of the split.
    fn content(&self) -> Fingerprint {
        let Task {
            id,
            slug,
            files,
            tables,
            context,
            limits,
            seed,
            ..
        } = &self.task;
        let task = (id, slug, files, tables, context, limits, seed);
        Fingerprint::of(&(task, self.index, &self.seed_question))
    }
}

#[async_trait]
impl Stage<Services> for Queries {
    fn name(&self) -> &'static str {
        "queries"
    }

    fn about(&self) -> &'static str {
        "explore data in a sandbox, pose queries, solve each by executed code"
    }

    fn reads(&self) -> &'static [&'static str] {
        &["prepare"]
    }

    fn makes(&self) -> &'static str {
        "queries"
    }

    fn version(&self) -> u32 {
        1
    }

    fn config_keys(&self) -> &'static [&'static str] {
        &[
            "queries.per_task",
            "queries.sampling",
            "trajectories.scaffold",
            "trajectories.max_tokens",
            "run.timings",
        ]
    }

    fn depends_on(&self, config: &Config) -> Fingerprint {
        reply_basis(config, "explorer")
    }

    fn prompts(&self) -> Vec<&'static str> {
        [
            prompts::AGENT_TAGS,
            prompts::AGENT_TOOLS,
            prompts::AGENT_REMINDER,
            prompts::TABLES,
            prompts::EXPLORE,
        ]
        .map(|prompt| prompt.text())
        .to_vec()
    }

    fn estimate(&self, config: &Config) -> Estimate {
        let queries = f64::from(config.queries.per_task);
        Estimate {
            records: queries,
            calls: queries + 3.0,
            tokens: (queries + 3.0) * 4000.0,
        }
    }

    // Of what a source makes, one task is explored.
    fn feeds(&self, config: &Config) -> Vec<(&'static str, f64)> {
        vec![("prepare", f64::from(config.queries.explorations) / 2.0)]
    }

    async fn run(&self, cx: &Cx<'_>) -> Result<Summary, StageError> {
        let mut explorations = Vec::new();
        let mut seeds = std::collections::HashMap::new();
        let (_, tasks) = cx.records::<Task>("prepare")?;
        for task in tasks {
            let task = task?;
            if task.verifier.is_none() {
                explorations.extend(
                    (0..cx.config.queries.explorations).map(|index| Exploration {
                        task: task.clone(),
                        index,
                        seed_question: None,
                    }),
                );
            } else if task.kind == synth_core::TaskKind::Analysis {
                seeds.entry(task.source_id).or_insert(task.prompt);
            }
        }
        for exploration in &mut explorations {
            exploration.seed_question = seeds.get(&exploration.task.source_id).cloned();
        }
        cx.each(
            explorations.len(),
            explorations.into_iter().map(Ok),
            |exploration| explore(cx, exploration),
        )
        .await
    }
}

async fn explore(cx: &Cx<'_>, exploration: Exploration) -> Result<Outcome<Query>, WorkError> {
    let Exploration {
        task,
        index,
        seed_question,
    } = exploration;
    let model = cx.services.model("explorer").await?;
    let id = TrajectoryId::of(&("exploration", &task.id, index, model.name()));
    let scaffold = Scaffold(cx.config.trajectories.scaffold);
    let sampling = sampling::seeded(cx, "explorer", &cx.config.queries.sampling, &id);
    let request = prompts::render(
        &prompts::EXPLORE,
        minijinja::context! {
            title => &task.slug,
            context => &task.context,
            tables => minijinja::Value::from(minijinja::value::Serde(&task.tables)),
            per_task => cx.config.queries.per_task,
            seed_question => &seed_question,
        },
    );
    let episode = Episode {
        id: &id,
        model: &*model,
        scaffold,
        request,
        sampling: sampling.clone(),
        sample: index,
        image: cx.services.image(&task.domain),
        files: &task.files,
        limits: &task.limits,
        max_tokens: cx.config.trajectories.max_tokens,
        artifacts: &[],
        max_artifact_bytes: 0,
        seed: task.seed,
        timings: cx.config.run.timings,
    };
    let played = episode.play(cx.services, cx.blobs).await?;

    let generator = Generator {
        model: model.name().to_owned(),
        prompt: Fingerprint::of(&(prompts::EXPLORE.text(), scaffold.system_prompt().text())),
        sampling,
    };
    let outcome = queries(&task, &id, &played, &generator, seed_question.as_deref());
    remember(cx, &task, id, index, &generator, played).await?;
    Ok(outcome)
}

/// The queries of an exploration, each judged by itself.
fn queries(
    task: &Task,
    explored_in: &TrajectoryId,
    played: &Played,
    generator: &Generator,
    seed_question: Option<&str>,
) -> Outcome<Query> {
    let Some(answer) = &played.answer else {
        return Outcome::dropped(
            stop_reason(played.stop),
            "the exploration ended without an answer",
        );
    };
    let mut records: Vec<Query> = Vec::new();
    let mut rejected = Vec::new();
    for (place, posed) in parse::blocks(answer).into_iter().enumerate() {
        let checked = posed.and_then(|posed| {
            parse::check(
                &posed,
                &played.cells,
                seed_question,
                records.iter().map(|query| query.question.as_str()),
            )?;
            Ok(posed)
        });
        match checked {
            Ok(posed) => records.push(Query {
                id: QueryId::of(&(&task.id, &posed.question, &posed.constraints, &posed.format)),
                task_id: task.id.clone(),
                source_id: task.source_id.clone(),
                question: posed.question,
                constraints: posed.constraints,
                answer_format: posed.format,
                reference_answer: posed.reference,
                reference_code: played.cells[posed.cell - 1].0.clone(),
                keywords: posed.keywords,
                level: posed.level,
                explored_in: explored_in.clone(),
                generator: generator.clone(),
            }),
            Err(parse::Refusal { reason, message }) => {
                rejected.push(Rejected {
                    id: format!("{explored_in} query {}", place + 1),
                    reason: reason.to_owned(),
                    message,
                });
            }
        }
    }
    if records.is_empty() {
        let why: Vec<String> = rejected
            .iter()
            .map(|piece| format!("{}: {}", piece.reason, piece.message))
            .collect();
        return Outcome::dropped(
            "no_valid_query",
            if why.is_empty() {
                "the answer holds no <query>".to_owned()
            } else {
                why.join("; ")
            },
        );
    }
    Outcome::Kept { records, rejected }
}

/// Keeps the exploration itself, for `synth show`.
async fn remember(
    cx: &Cx<'_>,
    task: &Task,
    id: TrajectoryId,
    index: u32,
    generator: &Generator,
    played: Played,
) -> Result<(), WorkError> {
    let trajectory = Trajectory {
        task_id: task.id.clone(),
        source_id: task.source_id.clone(),
        query_id: None,
        sample_index: index,
        scaffold: cx.config.trajectories.scaffold,
        model: generator.model.clone(),
        sampling: generator.sampling.clone(),
        turns: played.turns,
        answer: played.answer,
        artifacts: Vec::new(),
        stop: played.stop,
        score: Score {
            reason: "an exploration is not scored".to_owned(),
            ..Score::default()
        },
        usage: played.usage,
        id,
    };
    let bytes = serde_json::to_vec(&trajectory).expect("a trajectory serialises to JSON");
    cx.services
        .memo
        .put(exploration_key(trajectory.id.as_str()), bytes)
        .await
        .map_err(StageError::from)?;
    Ok(())
}

/// Under which key the ledger remembers an exploration.
pub fn exploration_key(id: &str) -> Fingerprint {
    Fingerprint::of(&("exploration", id))
}

const fn stop_reason(stop: Stop) -> &'static str {
    match stop {
        Stop::Answered => "answered",
        Stop::NoAction => "no_action",
        Stop::MaxTurns => "max_turns",
        Stop::TokenLimit => "token_limit",
        Stop::TimeLimit => "time_limit",
    }
}
