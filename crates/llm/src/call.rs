//! What travels between the layers: a chat or an embedding, so that each layer is written once for both.

use async_trait::async_trait;
use synth_core::config::{ModelConfig, Structured};
use synth_core::{Fingerprint, Usage};

use crate::{ChatReply, ChatRequest, Message, ModelError};

/// One step on the way from a stage to an endpoint.
#[async_trait]
pub(crate) trait Layer: Send + Sync {
    async fn answer(&self, call: Call<'_>) -> Result<Answer, ModelError>;
}

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Call<'a> {
    Chat(&'a ChatRequest),
    Embed(&'a [String]),
}

/// What is answered: as many vectors as there were texts.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    Chat(ChatReply),
    Embed {
        vectors: Vec<Vec<f32>>,
        usage: Usage,
    },
}

impl Answer {
    pub(crate) fn usage(&self) -> Usage {
        match self {
            Self::Chat(reply) => reply.usage,
            Self::Embed { usage, .. } => *usage,
        }
    }

    pub(crate) fn usage_mut(&mut self) -> &mut Usage {
        match self {
            Self::Chat(reply) => &mut reply.usage,
            Self::Embed { usage, .. } => usage,
        }
    }
}

impl Call<'_> {
    /// Tokens sent, at four characters a token.
    pub(crate) fn estimated_prompt_tokens(&self) -> u64 {
        match self {
            Self::Chat(request) => {
                let said: u64 = request.messages.iter().map(message_tokens).sum();
                let tools: u64 = request
                    .tools
                    .iter()
                    .map(|tool| {
                        tokens_in(&tool.description) + tokens_in(&tool.parameters.to_string())
                    })
                    .sum();
                said + tools
            }
            Self::Embed(texts) => texts.iter().map(|text| tokens_in(text)).sum(),
        }
    }

    /// Tokens sent and, at most, received: what the call may take from a rate limit.
    pub(crate) fn estimated_tokens(&self) -> u64 {
        let completion = match self {
            Self::Chat(request) => request.sampling.max_tokens.map_or(0, u64::from),
            Self::Embed(_) => 0,
        };
        self.estimated_prompt_tokens() + completion
    }
}

/// How identical requests find each other: in the memory, in flight, in recordings. Knows neither endpoint nor key.
#[derive(Clone, Debug)]
pub(crate) struct Keys {
    model: String,
    structured: Structured,
    /// The builtin teacher's rates, which make it another model.
    rates: Option<(u64, u64)>,
}

impl Keys {
    pub(crate) fn new(config: &ModelConfig) -> Self {
        // By name, so that a replay of what the teacher said finds it again.
        let is_teacher = config.model.starts_with("builtin/");
        let rates = (config.error_rate.to_bits(), config.wrong_rate.to_bits());
        Self {
            model: config.model.clone(),
            structured: config.structured,
            rates: is_teacher.then_some(rates),
        }
    }

    /// The key of a chat. How structure is asked for counts only where it is asked for.
    pub(crate) fn chat(&self, request: &ChatRequest) -> Fingerprint {
        let structured = request.schema.as_ref().map(|_| self.structured);
        Fingerprint::of(&(
            "synth-llm/chat/2",
            &self.model,
            self.rates,
            structured,
            request,
        ))
    }

    /// The key of one embedded text.
    pub(crate) fn text(&self, text: &str) -> Fingerprint {
        Fingerprint::of(&("synth-llm/embed/1", &self.model, text))
    }

    /// The key of a list of texts, for calls in flight.
    pub(crate) fn texts(&self, texts: &[String]) -> Fingerprint {
        Fingerprint::of(&("synth-llm/embed-list/1", &self.model, texts))
    }
}

fn message_tokens(message: &Message) -> u64 {
    // Every message costs a few tokens of its own, for the role and the separators.
    4 + match message {
        Message::System(content) | Message::User(content) | Message::Tool { content, .. } => {
            tokens_in(content)
        }
        Message::Assistant {
            content,
            tool_calls,
        } => {
            tokens_in(content)
                + tool_calls
                    .iter()
                    .map(|call| tokens_in(&call.name) + tokens_in(&call.arguments))
                    .sum::<u64>()
        }
    }
}

/// Tokens of a text, at four characters a token.
pub(crate) fn tokens_in(text: &str) -> u64 {
    (text.chars().count() as u64).div_ceil(4)
}
