//! The loop over turns, with a scripted model and a scripted sandbox.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot set its stage has failed"
)]

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use synth_core::{
    Display, Fingerprint, Limits, Memo, MemoError, Observation, Role, Sampling, ScaffoldKind, Stop,
    TrajectoryId, Usage,
};
use synth_llm::{ChatModel, ChatReply, ChatRequest, Finish, Message, ModelError};
use synth_pipeline::Blobs;
use synth_sandbox::{
    Artifact, CellResult, Interrupter, Sandbox, SandboxError, SandboxSpec, Sandboxes, WorkspaceFile,
};
use synth_stages::agent::{Episode, Played, Scaffold};
use synth_stages::services::Services;

/// Says its lines in order and remembers what it was told.
struct ScriptedModel {
    lines: Mutex<VecDeque<ChatReply>>,
    told: Mutex<Vec<Message>>,
}

#[async_trait]
impl ChatModel for ScriptedModel {
    fn name(&self) -> &'static str {
        "scripted"
    }

    async fn complete(&self, request: &ChatRequest) -> Result<ChatReply, ModelError> {
        self.told.lock().unwrap().clone_from(&request.messages);
        Ok(self
            .lines
            .lock()
            .unwrap()
            .pop_front()
            .expect("the script is long enough"))
    }

    async fn embed(&self, _: &[String]) -> Result<Vec<Vec<f32>>, ModelError> {
        Ok(Vec::new())
    }
}

/// Prints the code that it is given, and counts.
#[derive(Default)]
struct ScriptedSandboxes {
    opened: AtomicU64,
    closed: Arc<AtomicU64>,
    executed: Arc<Mutex<Vec<String>>>,
}

struct ScriptedSandbox {
    closed: Arc<AtomicU64>,
    executed: Arc<Mutex<Vec<String>>>,
}

#[async_trait]
impl Sandboxes for ScriptedSandboxes {
    async fn open(&self, _: &SandboxSpec) -> Result<Box<dyn Sandbox>, SandboxError> {
        self.opened.fetch_add(1, Ordering::SeqCst);
        Ok(Box::new(ScriptedSandbox {
            closed: Arc::clone(&self.closed),
            executed: Arc::clone(&self.executed),
        }))
    }

    fn opened(&self) -> u64 {
        self.opened.load(Ordering::SeqCst)
    }

    async fn close(&self) {}
}

#[async_trait]
impl Sandbox for ScriptedSandbox {
    async fn execute(&mut self, code: &str) -> Result<CellResult, SandboxError> {
        self.executed.lock().unwrap().push(code.to_owned());
        let duration_ms = if code == "slow" { 10_000 } else { 1 };
        let image = (code == "plot").then(|| b"an image".to_vec());
        let display = |content: &Vec<u8>| Display {
            media_type: "image/png".to_owned(),
            blake3: Fingerprint::of_bytes(content),
            bytes: content.len() as u64,
        };
        Ok(CellResult {
            observation: Observation {
                stdout: format!("ran {code}"),
                duration_ms,
                memory_peak_bytes: Some(1),
                displays: image.iter().map(display).collect(),
                ..Observation::default()
            },
            displays: image.into_iter().collect(),
        })
    }

    fn limit_cell(&mut self, _: Duration) {}

    async fn list_files(&mut self, _: usize) -> Result<Vec<WorkspaceFile>, SandboxError> {
        Ok(Vec::new())
    }

    async fn read_file(&mut self, _: &str, _: u64) -> Result<Vec<u8>, SandboxError> {
        Ok(Vec::new())
    }

    async fn write_file(&mut self, _: &str, _: &[u8]) -> Result<(), SandboxError> {
        Ok(())
    }

    async fn collect(&mut self, paths: &[String], _: u64) -> Result<Vec<Artifact>, SandboxError> {
        Ok(paths
            .iter()
            .map(|path| Artifact {
                path: path.clone(),
                bytes: b"id,y\n".to_vec(),
            })
            .collect())
    }

    fn interrupter(&self) -> Interrupter {
        unreachable!("no test interrupts a scripted sandbox")
    }

    async fn close(self: Box<Self>) {
        self.closed.fetch_add(1, Ordering::SeqCst);
    }
}

#[derive(Default)]
struct MapMemo(Mutex<HashMap<Fingerprint, Vec<u8>>>);

#[async_trait]
impl Memo for MapMemo {
    async fn get(&self, key: Fingerprint) -> Result<Option<Vec<u8>>, MemoError> {
        Ok(self.0.lock().unwrap().get(&key).cloned())
    }

    async fn put(&self, key: Fingerprint, value: Vec<u8>) -> Result<(), MemoError> {
        self.0.lock().unwrap().insert(key, value);
        Ok(())
    }
}

/// A stage on which episodes are played; the memory outlives an episode.
struct Bench {
    memo: Arc<MapMemo>,
    sandboxes: Arc<ScriptedSandboxes>,
    limits: Limits,
    artifacts: Vec<String>,
    max_tokens: u64,
    told: Vec<Message>,
    shown: Vec<Vec<u8>>,
}

impl Bench {
    fn new() -> Self {
        let limits = Limits {
            turns: 6,
            cell_seconds: 5,
            total_seconds: 8,
            memory_bytes: 1 << 30,
            output_bytes: 1000,
        };
        Self {
            memo: Arc::default(),
            sandboxes: Arc::default(),
            limits,
            artifacts: Vec::new(),
            max_tokens: 10_000,
            told: Vec::new(),
            shown: Vec::new(),
        }
    }

    async fn play(&mut self, lines: &[&str]) -> Played {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path()).unwrap();
        let config = synth_core::config::load(&[]).unwrap();
        let memo = Arc::clone(&self.memo) as Arc<dyn Memo>;
        let services = Services::new(&config, memo, folder.path().to_owned(), |_| {})
            .with_sandboxes(Arc::clone(&self.sandboxes) as Arc<dyn Sandboxes>);
        let reply = |line: &&str| ChatReply {
            content: (*line).to_owned(),
            tool_calls: Vec::new(),
            finish: Finish::Stop,
            usage: Usage {
                prompt_tokens: 90,
                completion_tokens: 10,
                ..Usage::default()
            },
            cached: false,
        };
        let model = ScriptedModel {
            lines: Mutex::new(lines.iter().map(reply).collect()),
            told: Mutex::default(),
        };
        let id = TrajectoryId::of("episode");
        let episode = Episode {
            id: &id,
            model: &model,
            scaffold: Scaffold(ScaffoldKind::Tags),
            request: "What is it?".to_owned(),
            sampling: Sampling::default(),
            sample: 0,
            image: "",
            files: &[],
            limits: &self.limits,
            max_tokens: self.max_tokens,
            artifacts: &self.artifacts,
            max_artifact_bytes: 100,
            seed: 1,
            timings: false,
        };
        let played = episode.play(&services, &blobs).await.unwrap();
        self.told = model.told.into_inner().unwrap();
        let observations = played
            .turns
            .iter()
            .filter_map(|turn| turn.observation.as_ref());
        self.shown = observations
            .flat_map(|observation| &observation.displays)
            .map(|display| blobs.read(display.blake3).unwrap())
            .collect();
        played
    }

    fn executed(&self) -> Vec<String> {
        self.sandboxes.executed.lock().unwrap().clone()
    }
}

fn roles(played: &Played) -> String {
    let name = |role| match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Observation => "observation",
    };
    let names: Vec<&str> = played.turns.iter().map(|turn| name(turn.role)).collect();
    names.join(" ")
}

#[tokio::test]
async fn code_is_run_and_its_output_told_until_the_answer() {
    let mut bench = Bench::new();
    let played = bench
        .play(&["<code>a</code>", "<code>b</code>", "<answer>42</answer>"])
        .await;
    assert_eq!(played.answer.as_deref(), Some("42"));
    assert_eq!(played.stop, Stop::Answered);
    assert_eq!(bench.executed(), ["a", "b"]);
    assert_eq!(
        roles(&played),
        "system user assistant observation assistant observation assistant"
    );
    assert_eq!(
        played.turns[3].content,
        "<information>\nran a\n</information>"
    );
    assert_eq!(played.usage.prompt_tokens, 270);
    assert_eq!(bench.sandboxes.closed.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_image_is_stored_by_its_hash_and_named_in_the_text() {
    let mut bench = Bench::new();
    let played = bench
        .play(&["<code>plot</code>", "<answer>42</answer>"])
        .await;
    assert_eq!(bench.shown, [b"an image"]);
    assert_eq!(
        played.turns[3].content,
        "<information>\nran plot\n[image/png, 8 bytes]\n</information>"
    );
}

#[tokio::test]
async fn a_turn_without_action_is_reminded_once_and_ends_the_episode_the_second_time() {
    let mut bench = Bench::new();
    let played = bench.play(&["hm", "still thinking"]).await;
    assert_eq!(played.stop, Stop::NoAction);
    assert_eq!(played.answer, None);
    assert!(
        played.turns[3]
            .content
            .starts_with("Your message held no action."),
        "{}",
        played.turns[3].content
    );
    assert_eq!(bench.sandboxes.opened(), 0);
}

#[tokio::test]
async fn an_action_makes_up_for_a_turn_without_one() {
    let played = Bench::new()
        .play(&["hm", "<code>a</code>", "hm", "<answer>1</answer>"])
        .await;
    assert_eq!(played.stop, Stop::Answered);
}

#[tokio::test]
async fn the_turns_are_bounded_and_the_last_one_is_announced() {
    let mut bench = Bench::new();
    bench.limits.turns = 3;
    let played = bench
        .play(&["<code>a</code>", "<code>b</code>", "<code>c</code>"])
        .await;
    assert_eq!(played.stop, Stop::MaxTurns);
    let Some(Message::User(last)) = bench.told.last() else {
        panic!("the model was told nothing")
    };
    assert!(last.ends_with("One message is left: answer now."), "{last}");
}

#[tokio::test]
async fn the_time_of_all_cells_is_bounded() {
    let played = Bench::new().play(&["<code>slow</code>"]).await;
    assert_eq!(played.stop, Stop::TimeLimit);
}

#[tokio::test]
async fn the_tokens_of_a_conversation_are_bounded() {
    let mut bench = Bench::new();
    bench.max_tokens = 99;
    assert_eq!(bench.play(&["<code>a</code>"]).await.stop, Stop::TokenLimit);
}

#[tokio::test]
async fn records_tell_no_times_unless_asked_to() {
    let played = Bench::new()
        .play(&["<code>a</code>", "<answer>1</answer>"])
        .await;
    let observation = played.turns[3].observation.as_ref().unwrap();
    assert_eq!(
        (observation.duration_ms, observation.memory_peak_bytes),
        (0, None)
    );
}

#[tokio::test]
async fn what_was_seen_before_a_crash_is_not_run_again() {
    let mut bench = Bench::new();
    bench
        .play(&["<code>a</code>", "<code>b</code>", "<answer>1</answer>"])
        .await;
    let again = bench
        .play(&["<code>a</code>", "<code>b</code>", "<answer>1</answer>"])
        .await;
    assert_eq!(bench.executed(), ["a", "b"]);
    assert_eq!(bench.sandboxes.opened(), 1);
    assert_eq!(
        again.turns[5].content,
        "<information>\nran b\n</information>"
    );
}

#[tokio::test]
async fn the_first_new_cell_after_a_crash_finds_the_variables_of_the_earlier_ones() {
    let mut bench = Bench::new();
    bench.limits.turns = 2;
    bench.play(&["<code>a</code>", "<code>b</code>"]).await;
    // Other turns, other limits: what was run under them is another matter, so play it all under the new ones.
    bench.limits.turns = 6;
    bench.play(&["<code>a</code>", "<answer>1</answer>"]).await;
    bench.sandboxes.executed.lock().unwrap().clear();
    bench
        .play(&["<code>a</code>", "<code>c</code>", "<answer>1</answer>"])
        .await;
    assert_eq!(bench.executed(), ["a", "c"]);
}

#[tokio::test]
async fn artifacts_are_collected_at_the_end() {
    let mut bench = Bench::new();
    bench.artifacts = vec!["submission.csv".to_owned()];
    let played = bench
        .play(&["<code>write</code>", "<answer>submission.csv</answer>"])
        .await;
    assert_eq!(played.artifacts[0].bytes, b"id,y\n");
}
