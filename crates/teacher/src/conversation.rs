//! What a chat completion request says so far: the task, and each run of code with what came of it.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::Value;

use crate::prompt::pattern;

/// A conversation as the teacher sees it.
#[derive(Clone, Debug, Default)]
pub struct Conversation {
    /// The system message.
    pub system: String,
    /// The first user message, which holds the task.
    pub task: String,
    /// User messages behind it that bring no output of code.
    pub later: Vec<String>,
    /// The runs of code.
    pub steps: Vec<Step>,
    /// The function to call, where the request offers one; else actions are written between tags.
    pub tool: Option<String>,
    /// The sampling seed, as text.
    pub seed: String,
    /// The model asked for.
    pub model: String,
}

/// A run of code.
#[derive(Clone, Debug, Default)]
pub struct Step {
    /// What ran.
    pub code: String,
    /// What came back.
    pub output: String,
}

impl Step {
    /// The error that the output reports, if the run failed: its last line, `Name: message`.
    pub fn error(&self) -> Option<String> {
        static RAISED: LazyLock<Regex> = LazyLock::new(|| {
            pattern(
                r"^\s*((?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*(?:Error|Exception|Interrupt|Exit|Iteration|Warning))(?::\s*(.*))?$",
            )
        });
        static ENDED: LazyLock<Regex> = LazyLock::new(|| {
            pattern(
                r"(?i)^\s*\[(?:stopped|the Python process ended)\b|\b(?:timed out|out of memory)\b",
            )
        });
        let traceback = self.output.contains("Traceback (most recent call last)");
        let values = self
            .output
            .lines()
            .any(|line| line.trim_start().starts_with('@') && line.trim_end().ends_with(']'));
        if let Some(line) = self
            .output
            .lines()
            .rev()
            .find(|line| RAISED.is_match(line) && !line.contains("Warning"))
            && (traceback || !values)
        {
            return Some(line.trim().to_owned());
        }
        if traceback {
            return Some("an error without a message".to_owned());
        }
        if values || self.output.contains("PROFILE {") {
            return None;
        }
        self.output
            .lines()
            .find(|line| ENDED.is_match(line))
            .map(|line| line.trim().chars().take(120).collect())
    }
}

/// Reads a chat completion request; what it does not understand it leaves out.
pub fn read(request: &Value) -> Conversation {
    static CODE: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?s)<code>\n?(.*?)\n?</code>"));
    static INFORMATION: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"(?s)<information>\n?(.*?)\n?</information>"));
    let mut conversation = Conversation {
        tool: request["tools"][0]["function"]["name"]
            .as_str()
            .map(str::to_owned),
        seed: if request["seed"].is_null() {
            String::new()
        } else {
            request["seed"].to_string()
        },
        model: request["model"]
            .as_str()
            .unwrap_or("builtin/teacher")
            .to_owned(),
        ..Conversation::default()
    };
    let mut pending: Option<String> = None;
    for message in request["messages"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default()
    {
        let content = text(&message["content"]);
        match message["role"].as_str() {
            Some("system" | "developer") if conversation.system.is_empty() => {
                conversation.system = content;
            }
            Some("assistant") => {
                let called = message["tool_calls"][0]["function"]["arguments"]
                    .as_str()
                    .map(|arguments| match serde_json::from_str::<Value>(arguments) {
                        Ok(value) => value["code"].as_str().unwrap_or_default().to_owned(),
                        Err(_) => arguments.to_owned(),
                    });
                pending =
                    called.or_else(|| CODE.captures(&content).map(|found| found[1].to_owned()));
            }
            Some("tool" | "function") => {
                if let Some(code) = pending.take() {
                    conversation.steps.push(Step {
                        code,
                        output: content,
                    });
                }
            }
            Some("user") => {
                if conversation.task.is_empty() {
                    conversation.task = content;
                } else if let Some(found) = INFORMATION.captures(&content)
                    && let Some(code) = pending.take()
                {
                    conversation.steps.push(Step {
                        code,
                        output: found[1].to_owned(),
                    });
                } else {
                    conversation.later.push(content);
                }
            }
            _ => {}
        }
    }
    conversation
}

/// The text of a message, be it a string or a list of parts.
pub fn text(content: &Value) -> String {
    match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts
            .iter()
            .filter_map(|part| part["text"].as_str())
            .collect::<Vec<_>>()
            .join("\n"),
        _ => String::new(),
    }
}

/// The values that runs of code printed as `@name[value]` lines; a later one replaces an earlier one.
pub fn printed(outputs: &[&str], name: &str) -> Option<String> {
    let start = format!("@{name}[");
    outputs
        .iter()
        .rev()
        .flat_map(|output| output.lines().rev())
        .find_map(|line| {
            line.trim()
                .strip_prefix(&start)?
                .strip_suffix(']')
                .map(str::to_owned)
        })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_scaffolds_give_the_same_steps() {
        let tags = json!({"messages": [
            {"role": "system", "content": "s"}, {"role": "user", "content": "t"},
            {"role": "assistant", "content": "<reasoning>\nr\n</reasoning>\n<code>\nprint(1)\n</code>"},
            {"role": "user", "content": "<information>\n1\n</information>"},
        ]});
        let tools = json!({"tools": [{"type": "function", "function": {"name": "python"}}], "messages": [
            {"role": "system", "content": "s"}, {"role": "user", "content": [{"type": "text", "text": "t"}]},
            {"role": "assistant", "content": "r", "tool_calls": [{"id": "a", "function": {"name": "python", "arguments": "{\"code\": \"print(1)\"}"}}]},
            {"role": "tool", "tool_call_id": "a", "content": "1"},
        ]});
        for request in [tags, tools] {
            let conversation = read(&request);
            assert_eq!(conversation.task, "t");
            assert_eq!(conversation.steps.len(), 1);
            assert_eq!(conversation.steps[0].code, "print(1)");
            assert_eq!(conversation.steps[0].output, "1");
        }
    }

    #[test]
    fn a_traceback_is_an_error_and_a_printed_value_is_none() {
        let step = |output: &str| Step {
            code: String::new(),
            output: output.to_owned(),
        };
        let failed =
            step("Traceback (most recent call last):\n  File \"cell\", line 1\nKeyError: 'Age '");
        assert_eq!(failed.error().as_deref(), Some("KeyError: 'Age '"));
        assert_eq!(step("@mean[1.0]\n").error(), None);
        let stopped = step("partial\n[stopped after 60 seconds; variables are kept]");
        assert!(
            stopped
                .error()
                .is_some_and(|error| error.starts_with("[stopped"))
        );
        assert_eq!(step("FutureWarning: something\n@mean[1.0]").error(), None);
    }
}
