//! One episode: turns of a model and its sandbox until it answers or a limit ends it.

use synth_core::{DataFile, Limits, Observation, Role, Sampling, Stop, TrajectoryId, Turn, Usage};
use synth_llm::{ChatModel, ChatRequest, Message};
use synth_pipeline::{Blobs, WorkError};
use synth_sandbox::Artifact;

use super::cells::Cells;
use super::scaffold::{Action, Scaffold};
use super::transcript::observation_text;
use crate::services::Services;

/// Turns without an action that are answered with a reminder; the next one ends the episode.
const REMINDERS: u32 = 1;

/// What an episode starts from.
pub struct Episode<'a> {
    /// Its id, under which what it saw is remembered.
    pub id: &'a TrajectoryId,
    /// The model that acts.
    pub model: &'a dyn ChatModel,
    /// How it acts.
    pub scaffold: Scaffold,
    /// What it is asked.
    pub request: String,
    /// How it samples.
    pub sampling: Sampling,
    /// Which independent draw this is.
    pub sample: u32,
    /// The image of its sandbox; empty for the default one.
    pub image: &'a str,
    /// What it may read.
    pub files: &'a [DataFile],
    /// Its limits.
    pub limits: &'a Limits,
    /// Tokens of the conversation at most.
    pub max_tokens: u64,
    /// Files to collect at the end.
    pub artifacts: &'a [String],
    /// The largest artifact that is taken.
    pub max_artifact_bytes: u64,
    /// The seed of its sandbox.
    pub seed: u64,
    /// Whether turns tell how long they took.
    pub timings: bool,
}

/// How an episode went.
pub struct Played {
    /// The conversation, the system turn first.
    pub turns: Vec<Turn>,
    /// The answer, if it came to one.
    pub answer: Option<String>,
    /// Why it ended.
    pub stop: Stop,
    /// What it cost.
    pub usage: Usage,
    /// Code and result of each cell, in order.
    pub cells: Vec<(String, Observation)>,
    /// The files that were asked for and are there.
    pub artifacts: Vec<Artifact>,
}

impl Episode<'_> {
    /// Plays it. The sandbox is closed on every way out.
    pub async fn play(&self, services: &Services, blobs: &Blobs) -> Result<Played, WorkError> {
        let mut cells = Cells::new(services, blobs, self);
        let played = self.turns(services, &mut cells).await;
        cells.close().await;
        played
    }

    async fn turns(&self, services: &Services, cells: &mut Cells<'_>) -> Result<Played, WorkError> {
        let system = self
            .scaffold
            .system(self.limits.turns, self.limits.cell_seconds);
        let mut messages = vec![
            Message::System(system.clone()),
            Message::User(self.request.clone()),
        ];
        let mut played = Played {
            turns: vec![
                plain(Role::System, system),
                plain(Role::User, self.request.clone()),
            ],
            answer: None,
            stop: Stop::MaxTurns,
            usage: Usage::default(),
            cells: Vec::new(),
            artifacts: Vec::new(),
        };
        let (mut without_action, mut milliseconds) = (0, 0);

        for turn in 1..=self.limits.turns {
            let reply = match self.model.complete(&self.chat_request(&messages)).await {
                Err(error) if error.is_context_length() => {
                    played.stop = Stop::TokenLimit;
                    break;
                }
                reply => reply.map_err(|error| services.model_error(error))?,
            };
            played.usage += reply.usage;
            let parsed = self.scaffold.parse(&reply);
            messages.push(Scaffold::assistant_message(&parsed));
            let mut said = plain(Role::Assistant, parsed.content.clone());
            said.tool_call.clone_from(&parsed.tool_call);

            let (told, observation) = match &parsed.action {
                Action::Answer(answer) => {
                    played.turns.push(said);
                    played.answer = Some(answer.clone());
                    played.stop = Stop::Answered;
                    break;
                }
                Action::Problem(problem) => {
                    without_action += 1;
                    played.turns.push(said);
                    if without_action > REMINDERS {
                        played.stop = Stop::NoAction;
                        break;
                    }
                    (self.scaffold.reminder(problem), None)
                }
                Action::Code(code) => {
                    without_action = 0;
                    let observation = cells.run(code).await?;
                    milliseconds += observation.duration_ms;
                    said.code = Some(code.clone());
                    played.turns.push(said);
                    let text = observation_text(&observation, self.limits.cell_seconds);
                    played.cells.push((code.clone(), observation.clone()));
                    (self.scaffold.wrap(&text), Some(observation))
                }
            };
            let told = if turn + 1 == self.limits.turns {
                format!("{told}\n\nOne message is left: answer now.")
            } else {
                told
            };
            messages.push(Scaffold::observation_message(&parsed, &told));
            played.turns.push(Turn {
                observation: observation.map(|observation| self.timed(observation)),
                ..plain(Role::Observation, told)
            });

            if milliseconds > 1000 * self.limits.total_seconds {
                played.stop = Stop::TimeLimit;
                break;
            }
            if reply.usage.prompt_tokens + reply.usage.completion_tokens > self.max_tokens {
                played.stop = Stop::TokenLimit;
                break;
            }
        }
        if !self.artifacts.is_empty() {
            played.artifacts = cells
                .collect(self.artifacts, self.max_artifact_bytes)
                .await?;
        }
        Ok(played)
    }

    fn chat_request(&self, messages: &[Message]) -> ChatRequest {
        ChatRequest {
            messages: messages.to_vec(),
            tools: self.scaffold.tools(),
            sampling: self.sampling.clone(),
            schema: None,
            sample: self.sample,
        }
    }

    fn timed(&self, observation: Observation) -> Observation {
        if self.timings {
            observation
        } else {
            Observation {
                duration_ms: 0,
                memory_peak_bytes: None,
                ..observation
            }
        }
    }
}

fn plain(role: Role, content: String) -> Turn {
    Turn {
        role,
        content,
        code: None,
        tool_call: None,
        observation: None,
    }
}
