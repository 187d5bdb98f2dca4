//! From a chat completion request to a reply: finds the role, lets it move, and writes the move in the request's scaffold.

use serde_json::{Value, json};

use crate::TeacherConfig;
use crate::conversation::{self, Conversation};
use crate::prompt::{self, Request};
use crate::{
    designer, equivalence, explorer, follower, judge, predictor, solver, tabular, validity,
};

/// One move of an agent.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Move {
    /// What it thinks.
    pub thought: String,
    /// What it does.
    pub action: Action,
}

/// What an agent does.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Action {
    /// Runs this code.
    Code(String),
    /// Ends with this answer.
    Answer(String),
}

/// The response body for an `OpenAI` chat completion request: a pure function of both arguments, for any request whatever.
pub fn complete(config: &TeacherConfig, request: &Value) -> Value {
    let conversation = conversation::read(request);
    let message = match prompt::request(&conversation.task) {
        Request::Judge => say(&judge::judge(&conversation.task, &conversation.seed)),
        Request::Valid => say(&validity::judge(&conversation.task)),
        Request::Equivalent => say(&equivalence::judge(&conversation.task)),
        Request::Design { series } => say(&designer::design(config, &conversation, series)),
        Request::Compete(contest) => act(
            &conversation,
            tabular::compete(config, &conversation, &contest),
        ),
        Request::Follow(workflow) => act(
            &conversation,
            follower::follow(config, &conversation, &workflow),
        ),
        Request::Explore {
            count,
            seed_question,
        } => act(
            &conversation,
            explorer::explore(&conversation, count, &seed_question),
        ),
        Request::Predict(prediction) => act(
            &conversation,
            predictor::predict(config, &conversation, &prediction),
        ),
        Request::Solve(question) => act(
            &conversation,
            solver::solve(config, &conversation, &question),
        ),
        Request::Unknown => act(&conversation, puzzled()),
    };
    respond(request, &conversation, &message)
}

/// What the teacher says to a message that is none of its prompts.
fn puzzled() -> Move {
    Move {
        thought: "This message is none of the tasks that I know, and I do not guess.".to_owned(),
        action: Action::Answer(
            "I am a procedural teacher, not a language model: I explore tables, answer questions about them and judge attempts, and this request is neither.".to_owned(),
        ),
    }
}

fn say(content: &str) -> Value {
    json!({"role": "assistant", "content": content})
}

fn act(conversation: &Conversation, step: Move) -> Value {
    let Move { thought, action } = step;
    match (&conversation.tool, action) {
        (None, Action::Code(code)) => say(&format!(
            "<reasoning>\n{thought}\n</reasoning>\n<code>\n{}\n</code>",
            code.trim_end()
        )),
        (None, Action::Answer(answer)) => say(&format!(
            "<reasoning>\n{thought}\n</reasoning>\n<answer>\n{answer}\n</answer>"
        )),
        (Some(tool), Action::Code(code)) => {
            let hash = blake3::hash(
                format!("{}{}{code}", conversation.seed, conversation.steps.len()).as_bytes(),
            );
            let arguments = json!({"code": code.trim_end()}).to_string();
            json!({"role": "assistant", "content": thought, "tool_calls": [{
                "id": format!("call_{}", &hash.to_hex()[..16]),
                "type": "function",
                "function": {"name": tool, "arguments": arguments},
            }]})
        }
        (Some(_), Action::Answer(answer)) => {
            say(&format!("{thought}\n\n<answer>\n{answer}\n</answer>"))
        }
    }
}

fn respond(request: &Value, conversation: &Conversation, message: &Value) -> Value {
    let sent: usize = request["messages"].as_array().map_or(0, |messages| {
        messages
            .iter()
            .map(|message| message.to_string().len())
            .sum()
    });
    let received = message["content"].as_str().map_or(0, str::len)
        + message["tool_calls"][0]["function"]["arguments"]
            .as_str()
            .map_or(0, str::len);
    // About four characters to a token.
    let (prompt_tokens, completion_tokens) = (sent.div_ceil(4), received.div_ceil(4));
    let finish = if message["tool_calls"].is_array() {
        "tool_calls"
    } else {
        "stop"
    };
    let hash = blake3::hash(message.to_string().as_bytes());
    json!({
        "id": format!("chatcmpl-{}", &hash.to_hex()[..24]),
        "object": "chat.completion",
        // No clock: the same request has the same reply.
        "created": 0,
        "model": conversation.model,
        "choices": [{"index": 0, "message": message, "finish_reason": finish, "logprobs": null}],
        "usage": {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
        },
    })
}
