//! The JSON that endpoints speak. Writing is strict; reading takes whatever compatible servers are known to send.

use serde_json::{Map, Value, json};
use synth_core::config::Structured;
use synth_core::{ToolCall, Usage};

use crate::call::{Call, tokens_in};
use crate::{ChatReply, ChatRequest, Finish, Message};

/// How one endpoint wants a request to be put.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Dialect {
    pub(crate) structured: Structured,
    /// When a sampling seed is sent.
    pub(crate) seeds: Seeds,
    /// Whether the limit of a reply is called `max_completion_tokens`, as newer models insist.
    pub(crate) says_max_completion_tokens: bool,
}

/// When a sampling seed is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Seeds {
    /// Never: the endpoint refuses the field.
    Never,
    /// Where one is set.
    WhereSet,
    /// Even where none is set: the builtin teacher draws from it and from nothing else.
    Always,
}

/// Why a body is no reply.
#[derive(Debug)]
pub(crate) enum Unusable {
    /// It is an error, though the status said success; with the status it should have had, where it tells.
    Complaint(Option<u16>, Complaint),
    /// It has the wrong shape.
    Malformed(String),
}

/// What an endpoint says when it does not answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Complaint {
    pub(crate) message: String,
    pub(crate) code: Option<String>,
    pub(crate) kind: Option<String>,
    pub(crate) param: Option<String>,
    /// Whether the input was held back by moderation (some say so with status 403).
    pub(crate) is_moderation: bool,
}

/// The body of a chat request.
pub(crate) fn chat_body(model: &str, request: &ChatRequest, dialect: Dialect) -> Value {
    let mut body = Map::new();
    body.insert("model".to_owned(), model.into());
    body.insert(
        "messages".to_owned(),
        request.messages.iter().map(message).collect(),
    );
    body.insert("stream".to_owned(), false.into());
    let sampling = &request.sampling;
    let limit = if dialect.says_max_completion_tokens {
        "max_completion_tokens"
    } else {
        "max_tokens"
    };
    let seed = match dialect.seeds {
        Seeds::Never => None,
        Seeds::WhereSet => sampling.seed,
        Seeds::Always => Some(sampling.seed.unwrap_or(0)),
    };
    // Endpoints read the seed as a signed 64-bit number.
    let seed = seed.map(|seed| seed.wrapping_add(u64::from(request.sample)) & (u64::MAX >> 1));
    let optional = [
        ("temperature", sampling.temperature.map(Value::from)),
        ("top_p", sampling.top_p.map(Value::from)),
        (limit, sampling.max_tokens.map(Value::from)),
        ("seed", seed.map(Value::from)),
        (
            "response_format",
            response_format(request, dialect.structured),
        ),
        ("tools", tools(request)),
    ];
    body.extend(
        optional
            .into_iter()
            .filter_map(|(name, value)| Some((name.to_owned(), value?))),
    );
    Value::Object(body)
}

/// The body of an embedding request.
pub(crate) fn embed_body(model: &str, texts: &[String]) -> Value {
    json!({ "model": model, "input": texts })
}

fn message(message: &Message) -> Value {
    match message {
        Message::System(content) => json!({ "role": "system", "content": content }),
        Message::User(content) => json!({ "role": "user", "content": content }),
        Message::Assistant {
            content,
            tool_calls,
        } if tool_calls.is_empty() => {
            json!({ "role": "assistant", "content": content })
        }
        Message::Assistant {
            content,
            tool_calls,
        } => {
            let content = if content.is_empty() {
                Value::Null
            } else {
                content.as_str().into()
            };
            let tool_calls: Value = tool_calls.iter().map(tool_call).collect();
            json!({ "role": "assistant", "content": content, "tool_calls": tool_calls })
        }
        Message::Tool { call_id, content } => {
            json!({ "role": "tool", "tool_call_id": call_id, "content": content })
        }
    }
}

fn tool_call(call: &ToolCall) -> Value {
    // Several servers parse the arguments of past calls and refuse the whole conversation over a model's bad JSON.
    let arguments = match serde_json::from_str(&call.arguments) {
        Ok(Value::Object(_)) => call.arguments.clone(),
        _ => json!({ "arguments": call.arguments }).to_string(),
    };
    json!({ "id": call.id, "type": "function", "function": { "name": call.name, "arguments": arguments } })
}

fn tools(request: &ChatRequest) -> Option<Value> {
    let tools = request.tools.iter().map(|tool| {
        let function = json!({ "name": tool.name, "description": tool.description, "parameters": tool.parameters });
        json!({ "type": "function", "function": function })
    });
    (!request.tools.is_empty()).then(|| tools.collect())
}

fn response_format(request: &ChatRequest, structured: Structured) -> Option<Value> {
    let schema = request.schema.as_ref()?;
    match structured {
        Structured::Prompt => None,
        Structured::JsonObject => Some(json!({ "type": "json_object" })),
        Structured::JsonSchema => {
            let strict = is_strict(&schema.schema);
            let json_schema =
                json!({ "name": schema.name, "schema": schema.schema, "strict": strict });
            Some(json!({ "type": "json_schema", "json_schema": json_schema }))
        }
    }
}

/// Whether the strict mode of `json_schema` takes the schema: every object is closed and needs all that it has.
fn is_strict(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => {
            let is_closed = match fields.get("properties") {
                Some(Value::Object(properties)) => {
                    let required = fields.get("required").and_then(Value::as_array);
                    let is_required = |name: &String| {
                        required.is_some_and(|all| all.iter().any(|one| one == name.as_str()))
                    };
                    fields.get("additionalProperties") == Some(&Value::Bool(false))
                        && properties.keys().all(is_required)
                }
                _ => true,
            };
            is_closed && fields.values().all(is_strict)
        }
        Value::Array(values) => values.iter().all(is_strict),
        _ => true,
    }
}

/// Reads a chat reply.
pub(crate) fn read_chat(body: &Value, call: Call<'_>) -> Result<ChatReply, Unusable> {
    let Some(choice) = body.get("choices").and_then(|choices| choices.get(0)) else {
        return Err(unusable(body, "it has no choices"));
    };
    let Some(message) = choice.get("message").filter(|message| message.is_object()) else {
        return Err(unusable(body, "its first choice has no message"));
    };
    let content = text(message.get("content"));
    let tool_calls: Vec<ToolCall> = message
        .get("tool_calls")
        .and_then(Value::as_array)
        .map(|calls| {
            calls
                .iter()
                .enumerate()
                .map(|(index, call)| read_tool_call(index, call))
                .collect()
        })
        .unwrap_or_default();
    let finish = match choice.get("finish_reason").and_then(Value::as_str) {
        Some("stop" | "eos" | "end_turn") if !tool_calls.is_empty() => Finish::ToolCalls,
        Some("stop" | "eos" | "end_turn") => Finish::Stop,
        Some("length" | "max_tokens") => Finish::Length,
        Some("tool_calls" | "function_call") => Finish::ToolCalls,
        Some("content_filter") => Finish::ContentFilter,
        _ if !tool_calls.is_empty() => Finish::ToolCalls,
        _ => Finish::Other,
    };
    let written = tokens_in(&content)
        + tool_calls
            .iter()
            .map(|call| tokens_in(&call.name) + tokens_in(&call.arguments))
            .sum::<u64>();
    let usage = read_usage(body, call, written);
    Ok(ChatReply {
        content,
        tool_calls,
        finish,
        usage,
        cached: false,
    })
}

/// Reads the vectors of as many texts.
pub(crate) fn read_embed(
    body: &Value,
    call: Call<'_>,
    texts: usize,
) -> Result<(Vec<Vec<f32>>, Usage), Unusable> {
    let Some(data) = body.get("data").and_then(Value::as_array) else {
        return Err(unusable(body, "it has no data"));
    };
    let mut vectors: Vec<Option<Vec<f32>>> = vec![None; texts];
    for (position, one) in data.iter().enumerate() {
        let index = one
            .get("index")
            .and_then(Value::as_u64)
            .map_or(position, |index| index as usize);
        let numbers = one
            .get("embedding")
            .and_then(Value::as_array)
            .filter(|numbers| !numbers.is_empty());
        let vector = numbers.and_then(|numbers| {
            numbers
                .iter()
                .map(|number| number.as_f64().map(|number| number as f32))
                .collect()
        });
        match vectors.get_mut(index) {
            Some(place) => *place = vector,
            None => {
                return Err(Unusable::Malformed(format!(
                    "it has a vector {index} for {texts} texts"
                )));
            }
        }
    }
    let vectors: Option<Vec<Vec<f32>>> = vectors.into_iter().collect();
    let vectors = vectors.ok_or_else(|| {
        Unusable::Malformed(format!(
            "it has not one vector of numbers for each of {texts} texts"
        ))
    })?;
    Ok((vectors, read_usage(body, call, 0)))
}

/// Reads what stands in the body of a reply that is no success; any text will do.
pub(crate) fn read_complaint(body: &str) -> Complaint {
    match serde_json::from_str::<Value>(body) {
        Ok(value) => complaint(&value).1,
        Err(_) => Complaint {
            message: plain(body),
            ..Complaint::default()
        },
    }
}

/// Characters of an endpoint's text that a message quotes.
const MAX_CHARS: usize = 400;

/// The first of a text, for a message.
pub(crate) fn plain(text: &str) -> String {
    let text = text.trim();
    if text.is_empty() {
        return "an empty body".to_owned();
    }
    let start: String = text
        .chars()
        .take(15)
        .collect::<String>()
        .to_ascii_lowercase();
    if start.starts_with("<!doctype") || start.starts_with("<html") {
        return "an HTML page".to_owned();
    }
    let mut short: String = text
        .chars()
        .take(MAX_CHARS)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if text.chars().nth(MAX_CHARS).is_some() {
        short.push('…');
    }
    short
}

fn unusable(body: &Value, what: &str) -> Unusable {
    if body.get("error").is_some_and(|error| !error.is_null()) {
        let (status, complaint) = complaint(body);
        Unusable::Complaint(status, complaint)
    } else {
        Unusable::Malformed(what.to_owned())
    }
}

/// Reads `{"error": {…}}`, `{"error": "…"}`, `{"message": "…"}`, `{"detail": …}`; with a status where the code is one.
fn complaint(body: &Value) -> (Option<u16>, Complaint) {
    let error = body
        .get("error")
        .filter(|error| !error.is_null())
        .unwrap_or(body);
    let field = |name: &str| match error.get(name) {
        Some(Value::String(text)) if !text.is_empty() => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    };
    let message = error
        .as_str()
        .map(str::to_owned)
        .or_else(|| field("message"))
        .or_else(|| field("detail"));
    let status = error
        .get("code")
        .and_then(Value::as_u64)
        .and_then(|code| u16::try_from(code).ok());
    let complaint = Complaint {
        message: plain(&message.unwrap_or_else(|| body.to_string())),
        code: field("code"),
        kind: field("type"),
        param: field("param"),
        is_moderation: error
            .get("metadata")
            .is_some_and(|metadata| metadata.get("reasons").is_some()),
    };
    (
        status.filter(|status| (400..600).contains(status)),
        complaint,
    )
}

/// Text as it stands in a message: a string, a list of parts, or nothing.
fn text(content: Option<&Value>) -> String {
    match content {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => parts
            .iter()
            .filter_map(|part| part.as_str().or_else(|| part.get("text")?.as_str()))
            .collect(),
        _ => String::new(),
    }
}

fn read_tool_call(index: usize, call: &Value) -> ToolCall {
    let function = call.get("function").unwrap_or(call);
    let id = call
        .get("id")
        .and_then(Value::as_str)
        .filter(|id| !id.is_empty());
    ToolCall {
        id: id.map_or_else(|| format!("call_{index}"), str::to_owned),
        name: text(function.get("name")),
        arguments: match function.get("arguments") {
            Some(Value::String(text)) => text.clone(),
            None | Some(Value::Null) => String::new(),
            Some(other) => other.to_string(),
        },
    }
}

fn read_usage(body: &Value, call: Call<'_>, written: u64) -> Usage {
    let usage = body.get("usage");
    let count = |pointer: &str| {
        usage
            .and_then(|usage| usage.pointer(pointer))
            .and_then(number)
    };
    Usage {
        prompt_tokens: count("/prompt_tokens").unwrap_or_else(|| call.estimated_prompt_tokens()),
        completion_tokens: count("/completion_tokens").unwrap_or(written),
        cached_tokens: count("/prompt_tokens_details/cached_tokens")
            .or_else(|| count("/prompt_cache_hit_tokens"))
            .unwrap_or(0),
        usd: 0.0,
    }
}

/// A count of tokens; what no model can have read or written is not believed.
fn number(value: &Value) -> Option<u64> {
    const MAX_TOKENS: u64 = 1 << 40;
    let number = value.as_u64().or_else(|| {
        value
            .as_f64()
            .filter(|number| *number >= 0.0)
            .map(|number| number as u64)
    });
    number.filter(|number| *number < MAX_TOKENS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Any JSON, with the names that replies have turning up in odd places.
    fn any_json() -> impl Strategy<Value = Value> {
        let name = prop_oneof![
            Just("choices"),
            Just("message"),
            Just("content"),
            Just("tool_calls"),
            Just("function"),
            Just("arguments"),
            Just("finish_reason"),
            Just("usage"),
            Just("prompt_tokens"),
            Just("data"),
            Just("embedding"),
            Just("index"),
            Just("error"),
            Just("code"),
            Just("type"),
            Just("text"),
            Just("detail"),
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(6, 64, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::hash_map(name.clone().prop_map(str::to_owned), inner, 0..6)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_json_is_read_or_refused(mut body in any_json(), message in any_json(), texts in 0_usize..3) {
            let request = ChatRequest::default();
            let _ = read_chat(&body, Call::Chat(&request));
            let _ = read_embed(&body, Call::Embed(&[]), texts);
            let _ = read_complaint(&body.to_string());
            if let Value::Object(fields) = &mut body {
                fields.insert("choices".to_owned(), json!([{ "message": message }]));
                let _ = read_chat(&body, Call::Chat(&request));
            }
        }

        #[test]
        fn any_text_is_a_complaint_of_bounded_length(text in ".{0,2000}") {
            prop_assert!(read_complaint(&text).message.chars().count() <= MAX_CHARS + 1);
        }
    }

    #[test]
    fn only_closed_schemas_that_need_all_they_have_are_strict() {
        let closed = json!({ "type": "object", "properties": { "n": { "type": "integer" } }, "required": ["n"], "additionalProperties": false });
        assert!(is_strict(&closed));
        let mut open = closed.clone();
        open["additionalProperties"] = true.into();
        assert!(!is_strict(&open));
        let mut optional = closed.clone();
        optional["required"] = json!([]);
        assert!(!is_strict(&optional));
        assert!(!is_strict(&json!({ "type": "array", "items": optional })));
    }
}
