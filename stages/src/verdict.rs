//! How judges are asked, whatever they are asked: for one JSON object of a set form, again where a reply has another one.

use serde::de::DeserializeOwned;
use synth_core::{FailureKind, RecordError};
use synth_llm::{ChatModel, ChatRequest};
use synth_pipeline::WorkError;

use crate::Cx;

/// Asks the judge; a malformed reply is asked for again, as a draw of its own `step` further on, and in the end fails the item.
pub(crate) async fn ask<T>(
    cx: &Cx<'_>,
    model: &dyn ChatModel,
    request: &ChatRequest,
    step: u32,
    what: What<'_>,
    parse: impl Fn(&str) -> Result<T, String>,
) -> Result<T, WorkError> {
    let tries = cx.config.judge.retries + 1;
    let mut problem = String::new();
    for retry in 0..tries {
        let request = ChatRequest {
            sample: request.sample + retry * step,
            ..request.clone()
        };
        let reply = model.complete(&request).await;
        let reply = reply.map_err(|error| cx.services.model_error(error))?;
        match parse(&reply.content) {
            Ok(parsed) => return Ok(parsed),
            Err(why) => problem = why,
        }
    }
    let (reason, what) = match what {
        What::Verdict => ("malformed_verdict", "verdict".to_owned()),
        What::Judgement => ("malformed_judgement", "judgement".to_owned()),
        What::JudgementOf(slug) => ("malformed_judgement", format!("judgement of `{slug}`")),
    };
    let message = format!(
        "no well-formed {what} in {tries} tries; the last: {problem}; look at the judge's model or raise `judge.retries`"
    );
    Err(RecordError::permanent(FailureKind::Model, reason, message).into())
}

/// What a judge is asked for.
#[derive(Clone, Copy)]
pub(crate) enum What<'a> {
    /// Whether an answer is right.
    Verdict,
    /// The grades of an attempt.
    Judgement,
    /// What a source is worth.
    JudgementOf(&'a str),
}

/// The one JSON object of a reply, perhaps in a fence.
pub(crate) fn object<T: DeserializeOwned>(reply: &str) -> Result<T, String> {
    let object = reply
        .find('{')
        .zip(reply.rfind('}'))
        .and_then(|(start, end)| reply.get(start..=end))
        .ok_or("it holds no JSON object")?;
    serde_json::from_str(object)
        .map_err(|error| format!("it is not the JSON that was asked for: {error}"))
}
