//! The tool-call scaffold: OpenAI function calling with one tool, `python`.
//!
//! The first tool call counts and the others are left out of the conversation. Arguments that are not what the tool takes
//! are a problem that the model is told about in the tool's own reply. Without a call, `<answer>` ends the conversation.

use serde_json::{Value, json};
use synth_core::ToolCall;
use synth_llm::{ChatReply, ToolSpec};

use super::scaffold::{Action, Parsed};
use super::tags;

/// The one tool.
pub(super) fn python() -> ToolSpec {
    ToolSpec {
        name: "python".to_owned(),
        description: "Runs Python code in the session and returns what it prints.".to_owned(),
        parameters: json!({
            "type": "object",
            "properties": {"code": {"type": "string", "description": "Python code; print what you want to see"}},
            "required": ["code"],
            "additionalProperties": false,
        }),
    }
}

/// Reads a reply; `cut_off` says that the token limit ended it.
pub(super) fn parse(reply: &ChatReply, cut_off: bool) -> Parsed {
    let Some(call) = reply.tool_calls.first() else {
        return without_call(&reply.content, cut_off);
    };
    let action = match code_of(call) {
        Ok(code) => Action::Code(code),
        Err(_) if cut_off => Action::Problem(
            "Your tool call reached the token limit and was not carried out; be shorter."
                .to_owned(),
        ),
        Err(problem) => Action::Problem(problem),
    };
    Parsed {
        content: reply.content.trim().to_owned(),
        tool_call: Some(acceptable(call)),
        action,
    }
}

/// The call as it goes back into the conversation: endpoints refuse one whose arguments are not a JSON object.
fn acceptable(call: &ToolCall) -> ToolCall {
    let is_object =
        serde_json::from_str::<Value>(&call.arguments).is_ok_and(|arguments| arguments.is_object());
    let arguments = if is_object {
        call.arguments.clone()
    } else {
        json!({"code": call.arguments}).to_string()
    };
    ToolCall {
        arguments,
        ..call.clone()
    }
}

fn code_of(call: &ToolCall) -> Result<String, String> {
    if call.name != "python" {
        return Err(format!(
            "There is no tool `{}`; the only tool is `python`.",
            call.name
        ));
    }
    let arguments: Value = serde_json::from_str(&call.arguments)
        .map_err(|error| format!("The arguments of your call are not JSON: {error}."))?;
    let code = arguments
        .get("code")
        .and_then(Value::as_str)
        .ok_or("The arguments of your call lack the text `code`.")?;
    if code.trim().is_empty() {
        return Err("The code of your call was empty.".to_owned());
    }
    Ok(code.to_owned())
}

/// Only an answer counts without a call; code between tags does not run here.
fn without_call(content: &str, cut_off: bool) -> Parsed {
    let parsed = tags::parse(content, cut_off);
    match parsed.action {
        Action::Code(_) => Parsed {
            content: content.trim().to_owned(),
            tool_call: None,
            action: Action::Problem("Code between tags does not run here.".to_owned()),
        },
        _ => parsed,
    }
}

#[cfg(test)]
mod tests {
    use synth_core::Usage;
    use synth_llm::Finish;

    use super::*;

    fn reply(content: &str, calls: &[(&str, &str)]) -> ChatReply {
        let tool_calls = calls
            .iter()
            .enumerate()
            .map(|(i, (name, arguments))| ToolCall {
                id: format!("call_{i}"),
                name: (*name).to_owned(),
                arguments: (*arguments).to_owned(),
            })
            .collect();
        ChatReply {
            content: content.to_owned(),
            tool_calls,
            finish: Finish::Stop,
            usage: Usage::default(),
            cached: false,
        }
    }

    fn action(content: &str, calls: &[(&str, &str)]) -> Action {
        parse(&reply(content, calls), false).action
    }

    #[test]
    fn a_call_runs_its_code() {
        assert_eq!(
            action("", &[("python", r#"{"code": "print(1)"}"#)]),
            Action::Code("print(1)".to_owned())
        );
    }

    #[test]
    fn of_several_calls_the_first_counts() {
        let parsed = parse(
            &reply(
                "",
                &[
                    ("python", r#"{"code": "a"}"#),
                    ("python", r#"{"code": "b"}"#),
                ],
            ),
            false,
        );
        assert_eq!(parsed.action, Action::Code("a".to_owned()));
        assert_eq!(parsed.tool_call.unwrap().id, "call_0");
    }

    #[test]
    fn arguments_that_do_not_fit_are_problems() {
        for arguments in [
            "not json",
            "[]",
            "{}",
            r#"{"code": 3}"#,
            r#"{"code": " "}"#,
            r#"{"code": "x""#,
        ] {
            assert!(
                matches!(action("", &[("python", arguments)]), Action::Problem(_)),
                "{arguments}"
            );
        }
        assert!(matches!(
            action("", &[("bash", r#"{"code": "ls"}"#)]),
            Action::Problem(_)
        ));
    }

    #[test]
    fn broken_arguments_go_back_as_an_object() {
        let parsed = parse(&reply("", &[("python", "print(1")]), false);
        assert_eq!(parsed.tool_call.unwrap().arguments, r#"{"code":"print(1"}"#);
    }

    #[test]
    fn an_answer_needs_no_call() {
        assert_eq!(
            action("<answer>@a[1]</answer>", &[]),
            Action::Answer("@a[1]".to_owned())
        );
    }

    #[test]
    fn a_call_beside_an_answer_is_carried_out_first() {
        assert_eq!(
            action("<answer>1</answer>", &[("python", r#"{"code": "x"}"#)]),
            Action::Code("x".to_owned())
        );
    }

    #[test]
    fn code_between_tags_is_a_problem_here() {
        assert!(matches!(action("<code>x</code>", &[]), Action::Problem(_)));
    }
}
