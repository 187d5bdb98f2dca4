//! What no field of a competition tells: a model's judgement, as strict JSON, of those that passed all rules.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use synth_core::config::Config;
use synth_core::{Fingerprint, ListedFile, Source};
use synth_llm::{ChatRequest, Message, ReplySchema};
use synth_pipeline::WorkError;

use super::Ruling;
use crate::services::reply_basis;
use crate::verdict::{self, What};
use crate::{Cx, prompts, sampling};

/// What is asked: the question's name, and the rule that a `no` breaks.
const QUESTIONS: [(&str, &str); 3] = [
    ("valid_challenge", "no_valid_challenge"),
    ("meaningful_engineering", "no_meaningful_engineering"),
    ("well_specified", "not_well_specified"),
];
/// Of a page, a judge reads no more than its beginning.
const PAGE_CHARACTERS: usize = 4000;
/// Of a list of files, no more than the first.
const FILES: usize = 30;
/// Of a rationale, what goes into the record.
const RATIONALE_CHARACTERS: usize = 500;

/// What the judgement of a competition depends on besides the competition.
pub(crate) fn basis(config: &Config) -> Option<Fingerprint> {
    config.filter.competitions.judge.then(|| {
        Fingerprint::of(&(
            reply_basis(config, "judge"),
            &config.judge.sampling,
            prompts::VALID.text(),
        ))
    })
}

/// Asks the judge, whose replies are remembered: who asks again, in another stage, pays nothing.
pub(crate) async fn rulings(cx: &Cx<'_>, source: &Source) -> Result<Vec<Ruling>, WorkError> {
    if !cx.config.filter.competitions.judge {
        return Ok(Vec::new());
    }
    let model = cx.services.model("judge").await?;
    let request = request(cx, source);
    let what = What::JudgementOf(&source.slug);
    let answers = verdict::ask(cx, &*model, &request, 1, what, parse).await?;
    Ok(said(model.name(), answers))
}

fn said(model: &str, answers: Vec<Answer>) -> Vec<Ruling> {
    QUESTIONS
        .iter()
        .zip(answers)
        .map(|((_, rule), answer)| {
            let passed = answer.verdict == Verdict::Yes;
            let rationale: String = answer
                .rationale
                .trim()
                .chars()
                .take(RATIONALE_CHARACTERS)
                .collect();
            let verdict = if passed { "yes" } else { "no" };
            Ruling::of(
                rule,
                (passed, format!("`{model}` says {verdict}: {rationale}")),
            )
        })
        .collect()
}

fn request(cx: &Cx<'_>, source: &Source) -> ChatRequest {
    ChatRequest {
        messages: vec![Message::User(prompt(source))],
        tools: Vec::new(),
        sampling: sampling::seeded(cx, "judge", &cx.config.judge.sampling, &source.id),
        schema: Some(ReplySchema {
            name: "validity".to_owned(),
            schema: schema(),
        }),
        sample: 0,
    }
}

fn prompt(source: &Source) -> String {
    let listed = source
        .kaggle
        .as_ref()
        .map_or(&[][..], |facts| &facts.listed[..]);
    let mut files: Vec<String> = listed.iter().take(FILES).map(file).collect();
    if listed.len() > FILES {
        files.push(format!("and {} more", listed.len() - FILES));
    }
    let page = |text: &str| -> String { text.trim().chars().take(PAGE_CHARACTERS).collect() };
    prompts::render(
        &prompts::VALID,
        minijinja::context! {
            title => source.title.as_str(),
            slug => source.slug.as_str(),
            segment => source.host_segment.as_deref(),
            tags => minijinja::Value::from(minijinja::value::Serde(&source.tags)),
            metric => source.metric.as_deref(),
            teams => source.team_count,
            files => files,
            description => page(&source.pages.description),
            evaluation => page(&source.pages.evaluation),
            data => page(&source.pages.data),
        },
    )
}

fn file(file: &ListedFile) -> String {
    match file.bytes {
        Some(bytes) if bytes >= 1_000_000 => {
            format!("{} ({:.1} MB)", file.path, bytes as f64 / 1e6)
        }
        Some(bytes) => format!("{} ({:.1} kB)", file.path, bytes as f64 / 1e3),
        None => file.path.clone(),
    }
}

fn schema() -> Value {
    let answer = json!({
        "type": "object",
        "properties": {"verdict": {"type": "string", "enum": ["yes", "no"]}, "rationale": {"type": "string"}},
        "required": ["verdict", "rationale"],
        "additionalProperties": false,
    });
    let names: Vec<&str> = QUESTIONS.iter().map(|(name, _)| *name).collect();
    let properties: serde_json::Map<String, Value> = names
        .iter()
        .map(|name| ((*name).to_owned(), answer.clone()))
        .collect();
    json!({"type": "object", "required": names, "properties": properties, "additionalProperties": false})
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Yes,
    No,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Answer {
    verdict: Verdict,
    rationale: String,
}

/// Reads a reply: one JSON object, perhaps in a fence, with every question answered and no other.
fn parse(content: &str) -> Result<Vec<Answer>, String> {
    let mut raw: serde_json::Map<String, Value> = verdict::object(content)?;
    let mut answers = Vec::new();
    for (name, _) in QUESTIONS {
        let value = raw
            .remove(name)
            .ok_or_else(|| format!("`{name}` is missing"))?;
        let answer: Answer =
            serde_json::from_value(value).map_err(|error| format!("`{name}`: {error}"))?;
        if answer.rationale.trim().is_empty() {
            return Err(format!("`{name}` has no rationale"));
        }
        answers.push(answer);
    }
    match raw.keys().next() {
        None => Ok(answers),
        Some(other) => Err(format!("`{other}` was not asked")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REPLY: &str = r#"{"valid_challenge": {"verdict": "yes", "rationale": "It is."}, "meaningful_engineering": {"verdict": "no", "rationale": "Given away."}, "well_specified": {"verdict": "yes", "rationale": "It is."}}"#;

    #[test]
    fn a_reply_is_read_whole_even_in_a_fence_and_a_no_breaks_its_rule() {
        for text in [REPLY.to_owned(), format!("Here:\n```json\n{REPLY}\n```")] {
            let rulings = said("m", parse(&text).unwrap());
            let passed: Vec<bool> = rulings.iter().map(|ruling| ruling.passed).collect();
            assert_eq!(passed, [true, false, true]);
            assert_eq!(rulings[1].rule, "no_meaningful_engineering");
            assert_eq!(rulings[1].evidence, "`m` says no: Given away.");
        }
    }

    #[test]
    fn malformed_replies_are_refused_never_defaulted() {
        for text in [
            String::new(),
            "yes".to_owned(),
            "} {".to_owned(),
            REPLY.replace("\"well_specified\"", "\"well_said\""),
            REPLY.replace("Given away.", " "),
            REPLY.replace("\"no\"", "\"maybe\""),
            REPLY.replace("\"no\"", "false"),
            REPLY.replace("{\"valid", "{\"more\": 1, \"valid"),
        ] {
            assert!(parse(&text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_prompt_holds_the_beginning_of_long_pages_and_lists() {
        let mut source = crate::crawl::bare(synth_core::Origin::Competition, "long");
        source.pages.description = "ä".repeat(100_000);
        source.kaggle = Some(synth_core::KaggleFacts {
            listed: vec![
                ListedFile {
                    path: "a.csv".to_owned(),
                    bytes: Some(1_500_000),
                    columns: Vec::new(),
                };
                1000
            ],
            ..synth_core::KaggleFacts::default()
        });
        let text = prompt(&source);
        assert!(text.chars().count() < 8000 && text.contains("and 970 more"));
        assert!(text.contains("a.csv (1.5 MB)"), "{text}");
    }

    proptest! {
        #[test]
        fn any_reply_can_be_read(text in ".{0,80}") {
            let _ = parse(&text);
        }
    }
}
