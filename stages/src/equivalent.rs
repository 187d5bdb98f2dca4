//! Whether an answer says the same as the reference, by a model in the role `judge`: the one verifier that is not deterministic.

use serde::Deserialize;
use serde_json::json;
use synth_core::{Score, TrajectoryId};
use synth_llm::{ChatRequest, Message, ReplySchema};
use synth_pipeline::WorkError;

use crate::verdict::{self, What};
use crate::{Cx, prompts, sampling};

/// Longer answers are cut: nobody relies on what stands behind that.
const MAX_ANSWER: usize = 20_000;

/// Asks the judge. The reason names the model and says that it is not deterministic.
pub(crate) async fn equivalent(
    cx: &Cx<'_>,
    id: &TrajectoryId,
    question: &str,
    reference: &str,
    answer: Option<&str>,
) -> Result<Score, WorkError> {
    let refused = |reason: &str| Score {
        reason: reason.to_owned(),
        ..Score::default()
    };
    let Some(answer) = answer.map(str::trim).filter(|answer| !answer.is_empty()) else {
        return Ok(refused("no answer"));
    };
    if reference.trim().is_empty() {
        return Ok(refused("nothing is expected, so nothing can be verified"));
    }
    let model = cx.services.model("judge").await?;
    let request = request(cx, id, question, reference, answer);
    let verdict = verdict::ask(cx, &*model, &request, 1, What::Verdict, parse).await?;
    Ok(verdict.score(model.name()))
}

fn request(
    cx: &Cx<'_>,
    id: &TrajectoryId,
    question: &str,
    reference: &str,
    answer: &str,
) -> ChatRequest {
    let answer: String = answer.chars().take(MAX_ANSWER).collect();
    let prompt = prompts::render(
        &prompts::EQUIVALENT,
        minijinja::context! { question, reference, answer },
    );
    let schema = json!({
        "type": "object",
        "properties": {"equivalent": {"type": "string", "enum": ["yes", "no"]}, "reason": {"type": "string"}},
        "required": ["equivalent", "reason"],
        "additionalProperties": false,
    });
    ChatRequest {
        messages: vec![Message::User(prompt)],
        tools: Vec::new(),
        sampling: sampling::seeded(cx, "judge", &cx.config.judge.sampling, id),
        schema: Some(ReplySchema {
            name: "equivalence".to_owned(),
            schema,
        }),
        sample: 0,
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum YesNo {
    Yes,
    No,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Verdict {
    equivalent: YesNo,
    reason: String,
}

impl Verdict {
    fn score(&self, model: &str) -> Score {
        let success = self.equivalent == YesNo::Yes;
        let verdict = if success {
            "equivalent"
        } else {
            "not equivalent"
        };
        Score {
            reward: f64::from(u8::from(success)),
            success,
            reason: format!(
                "{verdict}, says `{model}` (not deterministic): {}",
                self.reason.trim()
            ),
            ..Score::default()
        }
    }
}

/// Reads a verdict: one JSON object, perhaps in a fence, with just a verdict and a reason.
fn parse(content: &str) -> Result<Verdict, String> {
    let verdict: Verdict = verdict::object(content)?;
    if verdict.reason.trim().is_empty() {
        return Err("`reason` is empty".to_owned());
    }
    Ok(verdict)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_read_whole_even_in_a_fence() {
        for text in [
            r#"{"equivalent": "yes", "reason": "same"}"#,
            "Well:\n```json\n{\"reason\": \" same \", \"equivalent\": \"yes\"}\n```",
        ] {
            let score = parse(text).unwrap().score("m");
            assert!(score.success && score.reward > 0.5);
            assert_eq!(
                score.reason,
                "equivalent, says `m` (not deterministic): same"
            );
        }
        let no = parse(r#"{"equivalent": "no", "reason": "other sign"}"#).unwrap();
        assert!(!no.score("m").success && no.score("m").reward < 0.5);
    }

    #[test]
    fn anything_else_is_no_verdict() {
        for text in [
            "",
            "yes",
            "}{",
            r#"{"equivalent": true, "reason": "same"}"#,
            r#"{"equivalent": "Yes, mostly", "reason": "same"}"#,
            r#"{"equivalent": "yes"}"#,
            r#"{"equivalent": "yes", "reason": " "}"#,
            r#"{"equivalent": "yes", "reason": "a", "score": 1}"#,
            r#"{"equivalent": "yes", "reason": "a"} {"equivalent": "no", "reason": "b"}"#,
        ] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
