//! How a row is made of records.

use serde::Serialize;
use serde_json::json;
use synth_core::{Judgement, Origin, Predictions, Role, ScaffoldKind, Trajectory, Turn, Verifier};
use synth_dataset::{Generation, Message, Provenance, RlRow, SftRow, ToolArguments};
use synth_pipeline::Blobs;

use crate::agent::Scaffold;
use crate::target::Target;

/// How the tokens of a row are counted: characters over four, no tokenizer being at hand that fits every model.
const TOKENIZER: &str = "characters/4";
/// Hidden truth up to this size stands in the row itself; a larger one is named by its hash.
const MAX_TRUTH_BYTES: u64 = 256 << 10;

/// Attempts at a target and how many of them were right.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Attempts {
    pub made: i64,
    pub solved: i64,
    pub model: Option<String>,
}

impl Attempts {
    pub(super) fn add(&mut self, trajectory: &Trajectory) {
        self.made += 1;
        self.solved += i64::from(trajectory.score.success);
        self.model.get_or_insert_with(|| trajectory.model.clone());
    }

    fn pass_rate(&self) -> Option<f64> {
        (self.made > 0).then(|| self.solved as f64 / self.made as f64)
    }
}

/// What a conversation row is made of.
#[derive(Serialize)]
pub(super) struct Sft {
    pub trajectory: Trajectory,
    pub judgement: Judgement,
    pub target: Target,
    pub attempts: Attempts,
}

impl Sft {
    pub(super) fn row(&self) -> SftRow {
        let Self {
            trajectory,
            judgement,
            target,
            attempts,
        } = self;
        let messages = messages(trajectory, target);
        let tokens = |of: &dyn Fn(&str) -> bool| -> i64 {
            messages
                .iter()
                .filter(|(role, _)| of(role))
                .map(|(_, content)| approximate_tokens(content))
                .sum()
        };
        let wall_ms: u64 = trajectory
            .turns
            .iter()
            .filter_map(|turn| turn.observation.as_ref())
            .map(|observation| observation.duration_ms)
            .sum();
        let generation = Generation {
            model: trajectory.model.clone(),
            sampling_params: text(&trajectory.sampling),
            judge_scores: judgement
                .criteria
                .iter()
                .map(|(criterion, grade)| {
                    (
                        judgement.model.clone(),
                        criterion.as_str().to_owned(),
                        grade.score,
                    )
                })
                .collect(),
            reward: trajectory.score.reward,
            pass_rate: attempts.pass_rate(),
            num_samples: attempts.made,
            metric: Some(target.verifier().measure()),
            metric_value: Some(trajectory.score.reward),
            num_turns: messages
                .iter()
                .filter(|(role, _)| role == "assistant")
                .count() as i64,
            tokenizer: Some(TOKENIZER.to_owned()),
            num_tokens: Some(tokens(&|_| true)),
            num_trainable_tokens: Some(tokens(&|role| role == "assistant")),
            metadata: json!({
                "task_id": target.task.id,
                "source_id": target.task.source_id,
                "kind": target.task.kind,
                "domain": target.task.domain,
                "keywords": keywords(target),
                "level": level(target),
                "sample_index": trajectory.sample_index,
                "scaffold": trajectory.scaffold,
                "facts": judgement.facts,
                "judge_agreement": judgement.agreement,
                "files": target.task.files,
            })
            .to_string(),
        };
        SftRow {
            id: trajectory.id.to_string(),
            messages,
            provenance: provenance(target),
            generation,
            wall_seconds: Some(wall_ms as f64 / 1000.0),
        }
    }
}

/// What a prompt row is made of.
#[derive(Serialize)]
pub(super) struct Rl {
    pub target: Target,
    pub attempts: Attempts,
    /// Why another query stands for this one, if so.
    pub duplicate: Option<String>,
    /// The verifier with all that it needs, as the text of JSON.
    pub truth: String,
    /// The system turn.
    pub scaffold_prompt: String,
}

impl Rl {
    pub(super) fn row(&self, index: i64) -> RlRow {
        let Self {
            target,
            attempts,
            truth,
            scaffold_prompt,
            ..
        } = self;
        let task = &target.task;
        let prompt = vec![
            ("system".to_owned(), scaffold_prompt.clone()),
            ("user".to_owned(), target.request()),
        ];
        RlRow {
            id: format!("rl_{}", target.id()),
            data_source: format!("synth/{}", task.kind.as_str()),
            ability: "data_science".to_owned(),
            ground_truth: truth.clone(),
            reward_style: "rule".to_owned(),
            reward_method: "rule".to_owned(),
            env_class: "synth".to_owned(),
            info: json!({"task_id": task.id, "files": task.files, "limits": task.limits, "answer_format": target.answer_format()}).to_string(),
            split: task.split.as_str().to_owned(),
            index,
            need_tools_kwargs: true,
            tool_arguments: ToolArguments {
                task_id: task.id.to_string(),
                dataset_id: task.slug.clone(),
                split: task.split.as_str().to_owned(),
                timeout_s: task.limits.cell_seconds as i64,
            },
            interaction: "synth".to_owned(),
            question: target.question().to_owned(),
            reward_fn: format!("synth:{}", target.verifier().measure()),
            metric: target.verifier().measure(),
            higher_is_better: true,
            max_turns: i64::from(task.limits.turns),
            provenance: provenance(target),
            pass_rate: attempts.pass_rate(),
            num_samples: attempts.made,
            reference_model: attempts.model.clone(),
            num_prompt_tokens: Some(prompt.iter().map(|(_, content)| approximate_tokens(content)).sum()),
            metadata: json!({
                "source_id": task.source_id,
                "kind": task.kind,
                "domain": task.domain,
                "keywords": keywords(target),
                "level": level(target),
                "reference_code": target.query.as_ref().map(|query| &query.reference_code),
            })
            .to_string(),
            prompt,
        }
    }
}

/// The rules that an agent of this target is told; rows speak the tag scaffold, whichever the attempts used.
pub(super) fn system_prompt(target: &Target) -> String {
    Scaffold(ScaffoldKind::Tags).system(target.task.limits.turns, target.task.limits.cell_seconds)
}

/// The verifier with the truth that it compares with, as the text of JSON.
pub(super) fn truth(blobs: &Blobs, target: &Target) -> String {
    let verifier = target.verifier();
    let mut truth = serde_json::to_value(&verifier).expect("a verifier serialises to JSON");
    if let Verifier::Predictions(Predictions { truth: file, .. }) = &verifier
        && file.bytes <= MAX_TRUTH_BYTES
        && let Ok(bytes) = blobs.read(file.blake3)
    {
        truth["truth"]["content"] = String::from_utf8_lossy(&bytes).into();
    }
    truth.to_string()
}

/// The conversation as plain messages: what the sandbox said is a user's turn, a tool call stands between tags.
fn messages(trajectory: &Trajectory, target: &Target) -> Vec<Message> {
    let of_tools = trajectory.scaffold == ScaffoldKind::Tools;
    let message = |turn: &Turn| match turn.role {
        Role::System if of_tools => ("system".to_owned(), system_prompt(target)),
        Role::System => ("system".to_owned(), turn.content.clone()),
        Role::Observation if of_tools => ("user".to_owned(), tags_observation(turn)),
        Role::User | Role::Observation => ("user".to_owned(), turn.content.clone()),
        Role::Assistant if of_tools => ("assistant".to_owned(), with_tags(turn)),
        Role::Assistant => ("assistant".to_owned(), turn.content.clone()),
    };
    trajectory.turns.iter().map(message).collect()
}

/// What an agent that speaks by tags would have been told.
fn tags_observation(turn: &Turn) -> String {
    let scaffold = Scaffold(ScaffoldKind::Tags);
    if turn.observation.is_some() {
        return scaffold.wrap(&turn.content);
    }
    // A reminder's first line names the problem; the rest explains the other protocol.
    scaffold.reminder(turn.content.lines().next().unwrap_or_default())
}

fn with_tags(turn: &Turn) -> String {
    let thoughts = turn.content.trim();
    match (&turn.code, thoughts.is_empty()) {
        (Some(code), true) => format!("<code>\n{code}\n</code>"),
        (Some(code), false) => {
            format!("<reasoning>\n{thoughts}\n</reasoning>\n<code>\n{code}\n</code>")
        }
        (None, _) => thoughts.to_owned(),
    }
}

fn provenance(target: &Target) -> Provenance {
    let task = &target.task;
    let is_competition = task.origin == Origin::Competition;
    Provenance {
        query_id: target.id().to_owned(),
        source: task.origin.as_str().to_owned(),
        dataset_id: (!is_competition).then(|| task.slug.clone()),
        competition_id: is_competition.then(|| task.slug.clone()),
        license: task.licence.name.clone(),
        created_at: task.created_at.clone(),
    }
}

fn keywords(target: &Target) -> &[String] {
    target
        .query
        .as_ref()
        .map_or(&target.task.keywords, |query| &query.keywords)
}

fn level(target: &Target) -> Option<&str> {
    target
        .query
        .as_ref()
        .map_or(target.task.level.as_deref(), |query| query.level.as_deref())
}

fn approximate_tokens(text: &str) -> i64 {
    text.chars().count().div_ceil(4) as i64
}

fn text(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("records serialise to JSON")
}
