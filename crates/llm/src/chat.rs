//! What is said to a chat model and what comes back: the one trait that stages see.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use synth_core::{Sampling, ToolCall, Usage};

use crate::ModelError;

/// A model that answers conversations and embeds texts. The real one comes from [`crate::open`]; tests write their own.
#[async_trait]
pub trait ChatModel: Send + Sync {
    /// The model's name as the endpoint knows it and as rows tell it: `builtin/teacher`, `gpt-4o-mini`.
    fn name(&self) -> &str;

    /// Answers a conversation.
    ///
    /// The same request with the same `sample` is answered from the memory for ever after; a reply that is returned is
    /// durable there. Ends within a bounded time, whatever the endpoint does.
    async fn complete(&self, request: &ChatRequest) -> Result<ChatReply, ModelError>;

    /// One vector for each text, in the order of the texts. No texts, no call.
    async fn embed(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, ModelError>;
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "role", content = "message", rename_all = "snake_case")]
pub enum Message {
    /// The rules.
    System(String),
    /// The one who asks, and what a sandbox shows where no tool was called.
    User(String),
    /// The model.
    Assistant {
        /// What it wrote.
        content: String,
        /// The tools it called.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        tool_calls: Vec<ToolCall>,
    },
    /// What came of a tool call.
    Tool {
        /// The call's id.
        call_id: String,
        /// The result.
        content: String,
    },
}

impl Message {
    /// An assistant message without tool calls.
    pub fn assistant(content: impl Into<String>) -> Self {
        Self::Assistant {
            content: content.into(),
            tool_calls: Vec::new(),
        }
    }
}

/// A function that a model may call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ToolSpec {
    /// Its name.
    pub name: String,
    /// What it does, for the model.
    pub description: String,
    /// The JSON schema of its arguments.
    pub parameters: Value,
}

/// The shape a reply's content is to have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplySchema {
    /// Its name: letters, digits, `_` and `-`.
    pub name: String,
    /// The JSON schema.
    pub schema: Value,
}

/// A conversation to be answered. All of it is the key under which the reply is remembered.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ChatRequest {
    /// The conversation so far.
    pub messages: Vec<Message>,
    /// The tools the model may call.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tools: Vec<ToolSpec>,
    /// How to sample.
    #[serde(default)]
    pub sampling: Sampling,
    /// The shape of the reply; sent as the model's `structured` setting says, and not at all with `prompt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schema: Option<ReplySchema>,
    /// Which independent draw this is. Where a sampling seed is sent, it is the seed plus this.
    #[serde(default)]
    pub sample: u32,
}

/// A model's answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChatReply {
    /// What it wrote; empty where it only called tools.
    pub content: String,
    /// The tools it called; their arguments are text that need not be JSON.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<ToolCall>,
    /// Why it stopped.
    pub finish: Finish,
    /// What the call cost when it was made; estimated at four characters a token where the endpoint does not say.
    pub usage: Usage,
    /// Whether it came from the memory, or from another call in flight: it cost nothing now.
    #[serde(skip)]
    pub cached: bool,
}

/// Why a model stopped writing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// It was done.
    Stop,
    /// It reached the token limit: the content is cut.
    Length,
    /// It waits for the results of tools.
    ToolCalls,
    /// The endpoint withheld the rest.
    ContentFilter,
    /// Something else, or the endpoint did not say.
    Other,
}
