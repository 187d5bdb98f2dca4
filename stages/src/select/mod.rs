//! `select`: which judged attempts go into the dataset. Looks at all of them at once, asks no chat model.

mod similarity;

use std::collections::{BTreeMap, HashMap};

use async_trait::async_trait;
use serde::Serialize;
use synth_core::config::{Config, SelectConfig};
use synth_core::{Fingerprint, Judgement, QueryId, Role, Selection, Trajectory, Verdict};
use synth_pipeline::{Item, Outcome, Stage, StageError, Summary};

use crate::Cx;
use crate::services::{Services, reply_basis, stage_error};
use crate::target;
pub(crate) use similarity::Duplicate;
use similarity::Question;

/// The stage.
pub struct Select;

/// What is decided about one attempt; the decision rests on all of them, so it is part of the item.
#[derive(Serialize)]
struct Decided(Selection);

impl Item for Decided {
    fn id(&self) -> String {
        self.0.trajectory_id.to_string()
    }
}

#[async_trait]
impl Stage<Services> for Select {
    fn name(&self) -> &'static str {
        "select"
    }

    fn about(&self) -> &'static str {
        "keep what judges liked, drop near-duplicates, balance queries and sources"
    }

    fn reads(&self) -> &'static [&'static str] {
        &["prepare", "queries", "trajectories", "judge"]
    }

    fn makes(&self) -> &'static str {
        "selections"
    }

    fn version(&self) -> u32 {
        1
    }

    fn config_keys(&self) -> &'static [&'static str] {
        &["select"]
    }

    fn depends_on(&self, config: &Config) -> Fingerprint {
        reply_basis(config, "embedder")
    }

    async fn run(&self, cx: &Cx<'_>) -> Result<Summary, StageError> {
        let candidates = candidates(cx)?;
        let duplicates = duplicates(cx).await?;
        let decided = decide(&cx.config.select, &candidates, &duplicates);
        cx.each(
            decided.len(),
            decided.into_iter().map(|selection| Ok(Decided(selection))),
            |Decided(selection)| async move {
                if selection.kept {
                    return Ok(Outcome::kept(selection));
                }
                let message = match (&selection.nearest, selection.similarity) {
                    (Some(nearest), Some(similarity)) => {
                        format!("{similarity:.3} similar to `{nearest}`")
                    }
                    _ => selection.reason.clone(),
                };
                Ok(Outcome::Dropped {
                    reason: selection.reason.clone(),
                    message,
                    record: Some(selection),
                })
            },
        )
        .await
    }
}

/// What the decision looks at.
struct Candidate {
    trajectory_id: synth_core::TrajectoryId,
    target: String,
    source: String,
    verdict: Verdict,
    mean: f64,
    lowest: f64,
    failed_cells: u32,
    turns: usize,
    supported: bool,
    verified: bool,
    has_control_token: bool,
}

fn candidates(cx: &Cx<'_>) -> Result<Vec<Candidate>, StageError> {
    let trajectories = cx.index::<Trajectory>("trajectories")?;
    let judgements = cx.records::<Judgement>("judge")?.1;
    judgements
        .map(|judgement| {
            let judgement = judgement?;
            let trajectory: Trajectory = trajectories.get(judgement.trajectory_id.as_str())?;
            let scores: Vec<f64> = judgement
                .criteria
                .values()
                .map(|grade| grade.score)
                .collect();
            Ok(Candidate {
                target: trajectory
                    .query_id
                    .as_ref()
                    .map_or(trajectory.task_id.as_str(), QueryId::as_str)
                    .to_owned(),
                source: trajectory.source_id.to_string(),
                verdict: judgement.verdict,
                mean: scores.iter().sum::<f64>() / scores.len().max(1) as f64,
                lowest: scores.iter().copied().fold(f64::INFINITY, f64::min),
                failed_cells: judgement.facts.failed_cells,
                turns: trajectory.turns.len(),
                supported: judgement.facts.answer_in_outputs,
                verified: trajectory.score.success,
                has_control_token: trajectory
                    .turns
                    .iter()
                    .any(|turn| turn.role == Role::Assistant && has_control_token(&turn.content)),
                trajectory_id: trajectory.id,
            })
        })
        .collect()
}

/// Queries that say what another one says: posed twice, near enough, or a rephrasing of a suite's own question.
pub(crate) async fn duplicates(cx: &Cx<'_>) -> Result<HashMap<String, Duplicate>, StageError> {
    let mut questions = Vec::new();
    for target in target::all(cx)?.0 {
        let target = target?;
        questions.push(Question {
            id: target.id().to_owned(),
            source: target.task.source_id.to_string(),
            is_query: target.query.is_some(),
            text: format!("{}\n{}", target.question(), target.constraints()),
        });
    }
    let vectors = if cx.config.roles.embedder.is_empty() || cx.is_planning() {
        None
    } else {
        Some(embed(cx, &questions).await?)
    };
    Ok(similarity::duplicates(
        &questions,
        vectors.as_deref(),
        cx.config.select.max_similarity,
    ))
}

/// Texts sent to the embedder at once.
const EMBED_BATCH: usize = 64;

async fn embed(cx: &Cx<'_>, questions: &[Question]) -> Result<Vec<Vec<f32>>, StageError> {
    let model = cx.services.model("embedder").await?;
    let mut vectors = Vec::new();
    for batch in questions.chunks(EMBED_BATCH) {
        let texts: Vec<String> = batch.iter().map(|question| question.text.clone()).collect();
        vectors.extend(model.embed(&texts).await.map_err(stage_error)?);
    }
    Ok(vectors)
}

/// The decision on every candidate, in their order. The caps take the best first: by grade, then without failed cells,
/// then the shorter, then by id.
fn decide(
    config: &SelectConfig,
    candidates: &[Candidate],
    duplicates: &HashMap<String, Duplicate>,
) -> Vec<Selection> {
    let mut selections: Vec<Selection> = candidates
        .iter()
        .map(|candidate| rule(config, candidate, duplicates))
        .collect();
    let mut order: Vec<usize> = (0..candidates.len())
        .filter(|place| selections[*place].kept)
        .collect();
    order.sort_by(|a, b| {
        let (a, b) = (&candidates[*a], &candidates[*b]);
        b.mean
            .total_cmp(&a.mean)
            .then(a.failed_cells.cmp(&b.failed_cells))
            .then(a.turns.cmp(&b.turns))
            .then(a.trajectory_id.cmp(&b.trajectory_id))
    });
    let (mut of_query, mut of_source) =
        (BTreeMap::<&str, u32>::new(), BTreeMap::<&str, u32>::new());
    for place in order {
        let candidate = &candidates[place];
        let (query, source) = (
            of_query.entry(&candidate.target).or_default(),
            of_source.entry(&candidate.source).or_default(),
        );
        let full = if *query >= config.per_query {
            Some("query_full")
        } else if *source >= config.per_source {
            Some("source_full")
        } else {
            None
        };
        if let Some(reason) = full {
            selections[place].kept = false;
            reason.clone_into(&mut selections[place].reason);
        } else {
            *query += 1;
            *source += 1;
        }
    }
    selections
}

/// What the rules say of one attempt by itself.
fn rule(
    config: &SelectConfig,
    candidate: &Candidate,
    duplicates: &HashMap<String, Duplicate>,
) -> Selection {
    let duplicate = duplicates.get(&candidate.target);
    let reason = if !candidate.verified {
        "not_verified"
    } else if candidate.verdict == Verdict::Reject {
        "judge_rejected"
    } else if candidate.mean < config.min_mean {
        "low_mean_grade"
    } else if candidate.lowest < config.min_grade {
        "low_grade"
    } else if !candidate.supported {
        "answer_not_in_outputs"
    } else if candidate.has_control_token {
        "control_token"
    } else if let Some(duplicate) = duplicate {
        duplicate.reason
    } else {
        "selected"
    };
    let is_duplicate = duplicate.filter(|duplicate| duplicate.reason == reason);
    Selection {
        trajectory_id: candidate.trajectory_id.clone(),
        kept: reason == "selected",
        reason: reason.to_owned(),
        nearest: is_duplicate.map(|duplicate| duplicate.nearest.clone()),
        similarity: is_duplicate.map(|duplicate| duplicate.similarity),
    }
}

fn has_control_token(text: &str) -> bool {
    synth_core::CONTROL_TOKENS
        .iter()
        .any(|token| text.contains(token))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(id: &str, target: &str, mean: f64) -> Candidate {
        Candidate {
            trajectory_id: synth_core::TrajectoryId::of(id),
            target: target.to_owned(),
            source: "src".to_owned(),
            verdict: Verdict::Keep,
            mean,
            lowest: mean,
            failed_cells: 0,
            turns: 5,
            supported: true,
            verified: true,
            has_control_token: false,
        }
    }

    fn config() -> SelectConfig {
        SelectConfig {
            per_query: 1,
            ..synth_core::config::load(&[]).unwrap().select
        }
    }

    fn reasons(candidates: &[Candidate]) -> Vec<String> {
        decide(&config(), candidates, &HashMap::new())
            .into_iter()
            .map(|selection| selection.reason)
            .collect()
    }

    #[test]
    fn the_best_attempts_of_a_query_are_kept() {
        assert_eq!(
            reasons(&[
                candidate("a", "q", 3.5),
                candidate("b", "q", 4.5),
                candidate("c", "p", 3.0)
            ]),
            ["query_full", "selected", "selected"]
        );
    }

    #[test]
    fn each_rule_has_its_reason() {
        let change = |change: fn(&mut Candidate)| {
            let mut candidate = candidate("a", "q", 4.0);
            change(&mut candidate);
            reasons(&[candidate]).remove(0)
        };
        assert_eq!(change(|c| c.verified = false), "not_verified");
        assert_eq!(change(|c| c.verdict = Verdict::Reject), "judge_rejected");
        assert_eq!(change(|c| c.mean = 2.9), "low_mean_grade");
        assert_eq!(change(|c| c.lowest = 1.0), "low_grade");
        assert_eq!(change(|c| c.supported = false), "answer_not_in_outputs");
        assert_eq!(change(|c| c.has_control_token = true), "control_token");
        assert_eq!(change(|_| {}), "selected");
    }
}
