//! `judge`: six execution-aware criteria by a model, as strict JSON; the facts of the execution by code.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use synth_core::config::Config;
use synth_core::{
    CellOutcome, Criterion, ExecutionFacts, Fingerprint, Grade, Judgement, Role, Trajectory,
    Verdict, Verifier,
};
use synth_llm::{ChatRequest, Message, ReplySchema};
use synth_pipeline::{Estimate, Item, Outcome, Stage, StageError, Summary, WorkError};

use crate::agent::transcript::transcript;
use crate::queries::stands_in;
use crate::services::{Services, reply_basis};
use crate::target::{Target, Targets};
use crate::verdict::{self, What};
use crate::{Cx, prompts, sampling};

/// The stage.
pub struct Judge;

#[derive(Serialize)]
struct Case {
    trajectory: Trajectory,
    target: Target,
}

impl Item for Case {
    fn id(&self) -> String {
        self.trajectory.id.to_string()
    }

    fn content(&self) -> Fingerprint {
        Fingerprint::of(&(&self.trajectory, self.target.content()))
    }
}

#[async_trait]
impl Stage<Services> for Judge {
    fn name(&self) -> &'static str {
        "judge"
    }

    fn about(&self) -> &'static str {
        "grade verified attempts by six criteria, several times if asked to"
    }

    fn reads(&self) -> &'static [&'static str] {
        &["prepare", "queries", "trajectories"]
    }

    fn makes(&self) -> &'static str {
        "judgements"
    }

    fn version(&self) -> u32 {
        1
    }

    fn config_keys(&self) -> &'static [&'static str] {
        &["judge"]
    }

    fn depends_on(&self, config: &Config) -> Fingerprint {
        reply_basis(config, "judge")
    }

    fn prompts(&self) -> Vec<&'static str> {
        vec![prompts::GRADE.text()]
    }

    fn estimate(&self, config: &Config) -> Estimate {
        let samples = f64::from(config.judge.samples);
        Estimate {
            records: 1.0,
            calls: samples,
            tokens: samples * 4000.0,
        }
    }

    async fn run(&self, cx: &Cx<'_>) -> Result<Summary, StageError> {
        let targets = Targets::open(cx)?;
        let (total, trajectories) = cx.records::<Trajectory>("trajectories")?;
        let cases = trajectories.map(|trajectory| {
            let trajectory = trajectory?;
            Ok(Case {
                target: targets.of(&trajectory)?,
                trajectory,
            })
        });
        cx.each(total, cases, |case| grade(cx, case)).await
    }
}

async fn grade(cx: &Cx<'_>, case: Case) -> Result<Outcome<Judgement>, WorkError> {
    let Case { trajectory, target } = case;
    if trajectory.answer.is_none() {
        return Ok(Outcome::dropped(
            "no_answer",
            "the attempt ended without an answer",
        ));
    }
    if !trajectory.score.success && !cx.config.judge.failed_attempts {
        return Ok(Outcome::dropped(
            "not_verified",
            trajectory.score.reason.clone(),
        ));
    }
    let model = cx.services.model("judge").await?;
    let facts = facts(&trajectory, &target);
    let mut request = request(cx, &trajectory, &target, &facts);
    let samples = cx.config.judge.samples;
    let mut opinions = Vec::new();
    for sample in 0..samples {
        request.sample = sample;
        opinions.push(verdict::ask(cx, &*model, &request, samples, What::Judgement, parse).await?);
    }
    Ok(Outcome::kept(judgement(
        &trajectory,
        model.name(),
        &opinions,
        facts,
    )))
}

fn request(
    cx: &Cx<'_>,
    trajectory: &Trajectory,
    target: &Target,
    facts: &ExecutionFacts,
) -> ChatRequest {
    let prompt = prompts::render(
        &prompts::GRADE,
        minijinja::context! {
            question => target.question(),
            constraints => target.constraints(),
            answer_format => target.answer_format(),
            transcript => transcript(&trajectory.turns),
            answer => trajectory.answer.as_deref().unwrap_or("none"),
            reference => target.reference(),
            reward => format!("{:.4}", trajectory.score.reward),
            facts => minijinja::Value::from(minijinja::value::Serde(facts)),
        },
    );
    ChatRequest {
        messages: vec![Message::User(prompt)],
        tools: Vec::new(),
        sampling: sampling::seeded(cx, "judge", &cx.config.judge.sampling, &trajectory.id),
        schema: Some(ReplySchema {
            name: "judgement".to_owned(),
            schema: schema(),
        }),
        sample: 0,
    }
}

fn schema() -> Value {
    let grade = json!({
        "type": "object",
        "properties": {"score": {"type": "integer", "minimum": 1, "maximum": 5}, "rationale": {"type": "string"}},
        "required": ["score", "rationale"],
        "additionalProperties": false,
    });
    let mut properties: serde_json::Map<String, Value> = Criterion::ALL
        .iter()
        .map(|criterion| (criterion.as_str().to_owned(), grade.clone()))
        .collect();
    properties.insert(
        "verdict".to_owned(),
        json!({"type": "string", "enum": ["keep", "reject"]}),
    );
    let required: Vec<&String> = properties.keys().collect();
    json!({"type": "object", "required": required, "properties": properties, "additionalProperties": false})
}

/// What code can tell.
fn facts(trajectory: &Trajectory, target: &Target) -> ExecutionFacts {
    let observations: Vec<_> = trajectory
        .turns
        .iter()
        .filter_map(|turn| turn.observation.as_ref())
        .collect();
    let output: String = trajectory
        .turns
        .iter()
        .filter(|turn| turn.role == Role::Observation)
        .map(|turn| turn.content.as_str())
        .collect::<Vec<_>>()
        .join("\n");
    let answer = trajectory.answer.as_deref().unwrap_or_default();
    let answer_in_outputs = match target.verifier() {
        Verifier::Predictions(_) => !trajectory.artifacts.is_empty(),
        Verifier::Keyed { .. } => {
            let values = synth_score::parse_keyed(answer);
            if values.is_empty() {
                stands_in(&output, answer)
            } else {
                values.iter().all(|pair| stands_in(&output, &pair.value))
            }
        }
        Verifier::Answer { .. } | Verifier::Equivalent { .. } => stands_in(&output, answer),
    };
    ExecutionFacts {
        cells: observations.len() as u32,
        failed_cells: observations
            .iter()
            .filter(|observation| observation.outcome != CellOutcome::Ok)
            .count() as u32,
        last_cell_ok: observations
            .last()
            .is_some_and(|observation| observation.outcome == CellOutcome::Ok),
        answer_in_outputs,
    }
}

/// One well-formed judgement.
#[derive(Clone, Debug, PartialEq)]
struct Opinion {
    grades: BTreeMap<Criterion, (u8, String)>,
    verdict: Verdict,
}

/// Reads a judgement: one JSON object, perhaps in a fence, with all six criteria as whole numbers from 1 to 5.
fn parse(content: &str) -> Result<Opinion, String> {
    #[derive(Deserialize)]
    struct RawGrade {
        score: Value,
        rationale: String,
    }
    #[derive(Deserialize)]
    struct Raw {
        #[serde(flatten)]
        criteria: BTreeMap<String, Value>,
        verdict: Verdict,
    }
    let raw: Raw = verdict::object(content)?;
    let mut grades = BTreeMap::new();
    for criterion in Criterion::ALL {
        let name = criterion.as_str();
        let value = raw
            .criteria
            .get(name)
            .ok_or_else(|| format!("`{name}` is missing"))?;
        let grade: RawGrade =
            serde_json::from_value(value.clone()).map_err(|error| format!("`{name}`: {error}"))?;
        let score = grade
            .score
            .as_f64()
            .filter(|score| score.fract() == 0.0 && (1.0..=5.0).contains(score));
        let score =
            score.ok_or_else(|| format!("`{name}` is graded {}, not 1 to 5", grade.score))?;
        if grade.rationale.trim().is_empty() {
            return Err(format!("`{name}` has no rationale"));
        }
        grades.insert(criterion, (score as u8, grade.rationale.trim().to_owned()));
    }
    Ok(Opinion {
        grades,
        verdict: raw.verdict,
    })
}

fn judgement(
    trajectory: &Trajectory,
    model: &str,
    opinions: &[Opinion],
    facts: ExecutionFacts,
) -> Judgement {
    let criteria = Criterion::ALL
        .into_iter()
        .map(|criterion| {
            let scores: Vec<f64> = opinions
                .iter()
                .map(|opinion| f64::from(opinion.grades[&criterion].0))
                .collect();
            let rationale = opinions[0].grades[&criterion].1.clone();
            (
                criterion,
                Grade {
                    score: scores.iter().sum::<f64>() / scores.len() as f64,
                    rationale,
                },
            )
        })
        .collect();
    let keeps = opinions
        .iter()
        .filter(|opinion| opinion.verdict == Verdict::Keep)
        .count();
    Judgement {
        trajectory_id: trajectory.id.clone(),
        criteria,
        verdict: if 2 * keeps > opinions.len() {
            Verdict::Keep
        } else {
            Verdict::Reject
        },
        model: model.to_owned(),
        samples: opinions.len() as u32,
        agreement: agreement(opinions),
        facts,
    }
}

/// One minus the mean difference of grades between every two opinions, over 4, its largest possible value.
fn agreement(opinions: &[Opinion]) -> f64 {
    let mut differences = Vec::new();
    for (place, a) in opinions.iter().enumerate() {
        for b in &opinions[place + 1..] {
            differences.extend(
                Criterion::ALL.iter().map(|criterion| {
                    f64::from(a.grades[criterion].0.abs_diff(b.grades[criterion].0))
                }),
            );
        }
    }
    if differences.is_empty() {
        1.0
    } else {
        1.0 - differences.iter().sum::<f64>() / differences.len() as f64 / 4.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn reply(score: u8, verdict: &str) -> String {
        let grades: Vec<String> = Criterion::ALL
            .iter()
            .map(|criterion| {
                format!(
                    "\"{}\": {{\"score\": {score}, \"rationale\": \"because\"}}",
                    criterion.as_str()
                )
            })
            .collect();
        format!("{{{}, \"verdict\": \"{verdict}\"}}", grades.join(", "))
    }

    #[test]
    fn a_judgement_is_read_whole_even_in_a_fence() {
        for text in [
            reply(4, "keep"),
            format!("Here:\n```json\n{}\n```", reply(4, "keep")),
        ] {
            let opinion = parse(&text).unwrap();
            assert_eq!(opinion.grades.len(), 6);
            assert_eq!(opinion.verdict, Verdict::Keep);
        }
    }

    #[test]
    fn malformed_judgements_are_refused_never_defaulted() {
        for text in [
            String::new(),
            "keep".to_owned(),
            reply(0, "keep"),
            reply(6, "keep"),
            reply(4, "maybe"),
            reply(4, "keep").replace("\"clarity\"", "\"clearness\""),
            reply(4, "keep").replace("because", " "),
            reply(4, "keep").replace(", \"verdict\": \"keep\"", ""),
            reply(4, "keep").replacen("\"score\": 4", "\"score\": 4.5", 1),
            reply(4, "keep").replacen("\"score\": 4", "\"score\": \"4\"", 1),
            "} {".to_owned(),
        ] {
            assert!(parse(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn agreement_is_one_for_equals_and_zero_for_opposites() {
        let (low, high) = (
            parse(&reply(1, "reject")).unwrap(),
            parse(&reply(5, "keep")).unwrap(),
        );
        assert!((agreement(&[low.clone(), low.clone()]) - 1.0).abs() < 1e-12);
        assert!(agreement(&[low.clone(), high]).abs() < 1e-12);
        assert!((agreement(&[low]) - 1.0).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn any_reply_can_be_read(text in ".{0,80}") {
            let _ = parse(&text);
        }
    }
}
