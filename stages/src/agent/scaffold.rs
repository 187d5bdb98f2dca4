//! What a model's message means. The parsers are total: every text has one defined meaning, an action or a problem that the
//! model is told about.

use synth_core::{ScaffoldKind, ToolCall};
use synth_llm::{ChatReply, Message, ToolSpec};

use super::{tags, tools};
use crate::prompts;

/// What an agent wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Run this code.
    Code(String),
    /// This is the answer.
    Answer(String),
    /// Nothing that can be done; the text tells the model why.
    Problem(String),
}

/// A message read: what stays of it in the conversation, and what it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// The message, trimmed and cut after its first action; never empty.
    pub content: String,
    /// The tool call that the action came in.
    pub tool_call: Option<ToolCall>,
    /// The action.
    pub action: Action,
}

/// One of the two ways to act.
#[derive(Clone, Copy, Debug)]
pub struct Scaffold(pub ScaffoldKind);

impl Scaffold {
    /// The rules, as the system turn says them.
    pub fn system(self, turns: u32, cell_seconds: u64) -> String {
        prompts::render(
            self.system_prompt(),
            minijinja::context! { turns, cell_seconds },
        )
    }

    /// The template of the rules.
    pub const fn system_prompt(self) -> &'static prompts::Prompt {
        match self.0 {
            ScaffoldKind::Tags => &prompts::AGENT_TAGS,
            ScaffoldKind::Tools => &prompts::AGENT_TOOLS,
        }
    }

    /// The tools that are offered.
    pub fn tools(self) -> Vec<ToolSpec> {
        match self.0 {
            ScaffoldKind::Tags => Vec::new(),
            ScaffoldKind::Tools => vec![tools::python()],
        }
    }

    /// Reads a reply.
    pub fn parse(self, reply: &ChatReply) -> Parsed {
        let cut_off = reply.finish == synth_llm::Finish::Length;
        match self.0 {
            ScaffoldKind::Tags => tags::parse(&reply.content, cut_off),
            ScaffoldKind::Tools => tools::parse(reply, cut_off),
        }
    }

    /// The model's own message, as it goes back into the conversation.
    pub fn assistant_message(parsed: &Parsed) -> Message {
        Message::Assistant {
            content: parsed.content.clone(),
            tool_calls: parsed.tool_call.iter().cloned().collect(),
        }
    }

    /// What came of the model's action, as it is told.
    pub fn observation_message(parsed: &Parsed, text: &str) -> Message {
        match &parsed.tool_call {
            Some(call) => Message::Tool {
                call_id: call.id.clone(),
                content: text.to_owned(),
            },
            None => Message::User(text.to_owned()),
        }
    }

    /// How an observation is wrapped: in tags where no tool call marks it.
    pub fn wrap(self, observation: &str) -> String {
        match self.0 {
            ScaffoldKind::Tags => format!("<information>\n{observation}\n</information>"),
            ScaffoldKind::Tools => observation.to_owned(),
        }
    }

    /// What a model is told whose message held no action.
    pub fn reminder(self, problem: &str) -> String {
        let scaffold = match self.0 {
            ScaffoldKind::Tags => "tags",
            ScaffoldKind::Tools => "tools",
        };
        prompts::render(
            &prompts::AGENT_REMINDER,
            minijinja::context! { problem, scaffold },
        )
    }
}
