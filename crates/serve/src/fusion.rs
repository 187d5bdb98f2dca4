//! SandboxFusion's `POST /run_code`, as DARE-bench's and verl's tools call it: a script in, what it printed and left behind out.
//!
//! Each call has a fresh sandbox to itself. The script runs in a child of the warm interpreter, so that imports cost nothing.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use data_encoding::BASE64;
use futures::FutureExt;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use synth_core::CellOutcome;
use synth_sandbox::{Artifact, CellResult, SandboxLimits, SandboxSpec};

use crate::access::Client;
use crate::dsgym::{detail, unprocessable, unreadable};
use crate::error::Refusal;
use crate::payload::Payload;
use crate::rooms::{Room, Turn};
use crate::service::Service;

/// What SandboxFusion knows and we do not run.
const OTHER_LANGUAGES: &[&str] = &[
    "cpp",
    "nodejs",
    "go",
    "go_test",
    "java",
    "php",
    "csharp",
    "bash",
    "typescript",
    "sql",
    "rust",
    "cuda",
    "lua",
    "R",
    "perl",
    "D_ut",
    "ruby",
    "scala",
    "julia",
    "pytest",
    "junit",
    "kotlin_script",
    "jest",
    "verilog",
    "python_gpu",
    "lean",
    "swift",
    "racket",
];
/// Bytes of each stream that an answer holds.
const OUTPUT_BYTES: u64 = 1 << 20;
/// What a process that was killed is said to have ended with.
const KILLED: i32 = -9;
/// The shortest time that a script gets.
const SHORTEST: Duration = Duration::from_millis(10);

pub fn routes() -> Router<Arc<Service>> {
    Router::new()
        .route("/run_code", post(run_code))
        .route("/v1/ping", get(async || Json("pong")))
}

#[derive(Deserialize)]
struct Request {
    code: String,
    language: String,
    #[serde(default = "ten")]
    run_timeout: f64,
    #[serde(default, rename = "memory_limit_MB")]
    memory_limit_mb: i64,
    #[serde(default)]
    stdin: Option<String>,
    #[serde(default)]
    files: BTreeMap<String, Option<String>>,
    #[serde(default)]
    fetch_files: Vec<String>,
}

const fn ten() -> f64 {
    10.0
}

#[derive(Serialize)]
struct Reply {
    status: &'static str,
    message: String,
    /// Python is not compiled.
    compile_result: Option<RunResult>,
    run_result: Option<RunResult>,
    executor_pod_name: Option<String>,
    files: BTreeMap<String, String>,
}

#[derive(Serialize)]
struct RunResult {
    status: &'static str,
    execution_time: Option<f64>,
    return_code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Reply {
    /// The sandbox could not do it, which is not the script's fault.
    fn sandbox_error(message: impl Into<String>) -> Self {
        Self {
            status: "SandboxError",
            message: message.into(),
            compile_result: None,
            run_result: None,
            executor_pod_name: None,
            files: BTreeMap::new(),
        }
    }
}

async fn run_code(
    State(service): State<Arc<Service>>,
    client: Client,
    payload: Result<Payload, Refusal>,
) -> Response {
    let payload = match payload {
        Ok(payload) => payload,
        Err(refusal) => return detail(refusal),
    };
    let request: Request = match payload.json() {
        Ok(request) => request,
        Err(malformed) => return unreadable(&malformed),
    };
    drop(payload);
    if request.language != "python" {
        return other_language(&request.language);
    }
    let files = match decoded(request.files) {
        Ok(files) => files,
        Err(message) => return Json(Reply::sandbox_error(message)).into_response(),
    };
    let spec = match spec(&service, request.run_timeout, request.memory_limit_mb) {
        Ok(spec) => spec,
        Err(refusal) => return detail(refusal),
    };
    let job = Job {
        code: request.code,
        stdin: request.stdin,
        files,
        fetch_files: request.fetch_files,
    };
    match run(&service, &client, spec, job).await {
        Ok(reply) => Json(reply).into_response(),
        // Its clients try again after this status and after no other.
        Err(refusal) if ["no_slot", "too_many_sandboxes"].contains(&refusal.code) => {
            detail(Refusal {
                status: axum::http::StatusCode::GATEWAY_TIMEOUT,
                ..refusal
            })
        }
        Err(refusal) if refusal.status.is_server_error() || refusal.status.as_u16() == 429 => {
            detail(refusal)
        }
        Err(refusal) => Json(Reply::sandbox_error(refusal.message)).into_response(),
    }
}

fn other_language(language: &str) -> Response {
    if OTHER_LANGUAGES.contains(&language) {
        let message = format!("language `{language}` is not offered here; send `python`");
        return Json(Reply::sandbox_error(message)).into_response();
    }
    let known: Vec<String> = std::iter::once("python")
        .chain(OTHER_LANGUAGES.iter().copied())
        .map(|language| format!("'{language}'"))
        .collect();
    let message = format!("Input should be {}", known.join(", "));
    let input = Value::String(language.to_owned());
    unprocessable(&["body", "language"], "literal_error", &message, &input)
}

/// The files' contents; base64 may be broken into lines.
fn decoded(files: BTreeMap<String, Option<String>>) -> Result<Vec<(String, Vec<u8>)>, String> {
    let mut decoded = Vec::new();
    for (path, content) in files {
        let Some(content) = content else { continue };
        let mut content = content.into_bytes();
        content.retain(|byte| !byte.is_ascii_whitespace());
        let bytes = BASE64
            .decode(&content)
            .map_err(|error| format!("file `{path}` is not base64: {error}"))?;
        decoded.push((path, bytes));
    }
    Ok(decoded)
}

fn spec(service: &Service, run_timeout: f64, memory_limit_mb: i64) -> Result<SandboxSpec, Refusal> {
    let most = &service.most;
    let cell = Duration::try_from_secs_f64(run_timeout)
        .map_err(|_| Refusal::invalid("`run_timeout` has to be a number of seconds"))?
        .clamp(SHORTEST, most.cell);
    let memory_bytes = match u64::try_from(memory_limit_mb) {
        Ok(megabytes) if megabytes > 0 => (megabytes << 20).min(most.memory_bytes),
        _ => most.memory_bytes,
    };
    let files = match &service.data {
        Some(data) => data.all().map_err(|error| {
            let message = format!("failed to list the data folder: {error}");
            Refusal::later(axum::http::StatusCode::SERVICE_UNAVAILABLE, "data", message)
        })?,
        None => Vec::new(),
    };
    Ok(SandboxSpec {
        label: "run_code".to_owned(),
        files,
        limits: SandboxLimits {
            cell,
            memory_bytes,
            output_bytes: OUTPUT_BYTES,
            ..most.clone()
        },
        ..SandboxSpec::default()
    })
}

/// A script with what goes in and what is to come out.
struct Job {
    code: String,
    stdin: Option<String>,
    files: Vec<(String, Vec<u8>)>,
    fetch_files: Vec<String>,
}

/// Closes the sandbox when the request is over, in whichever way.
struct Leave {
    service: Arc<Service>,
    room: Arc<Room>,
}

impl Drop for Leave {
    fn drop(&mut self) {
        let (service, room) = (Arc::clone(&self.service), Arc::clone(&self.room));
        self.service.rooms.carry(async move {
            service.rooms.close(&room, "asked").await;
        });
    }
}

async fn run(
    service: &Arc<Service>,
    client: &Client,
    spec: SandboxSpec,
    job: Job,
) -> Result<Reply, Refusal> {
    let cell = spec.limits.cell;
    let room = service
        .rooms
        .open(client, spec, Vec::new(), service.wait)
        .await?;
    let _leave = Leave {
        service: Arc::clone(service),
        room: Arc::clone(&room),
    };
    let Job {
        code,
        stdin,
        mut files,
        fetch_files,
    } = job;
    let script = free_name("script.py", &files);
    files.push((script.clone(), code.into_bytes()));
    let input = stdin.map(|stdin| {
        let name = free_name(".stdin", &files);
        files.push((name.clone(), stdin.into_bytes()));
        name
    });
    service
        .rooms
        .within(
            &room,
            Turn::Now,
            move |sandbox: &mut dyn synth_sandbox::Sandbox| {
                async move {
                    for (path, bytes) in &files {
                        sandbox.write_file(path, bytes).await?;
                    }
                    Ok(())
                }
                .boxed()
            },
        )
        .await?;
    // JSON strings are Python strings, `null` is the only difference.
    let input = input.map_or("None".to_owned(), |name| Value::String(name).to_string());
    let program = format!(
        "{}\nrun({}, {input})",
        include_str!("script.py"),
        Value::String(script)
    );
    let result = service
        .rooms
        .execute(&room, program, cell, Turn::Now)
        .await?;
    let files = fetch(service, &room, fetch_files).await?;
    Ok(reply(result, files))
}

/// A name that none of the files has.
fn free_name(wanted: &str, files: &[(String, Vec<u8>)]) -> String {
    let mut name = wanted.to_owned();
    while files
        .iter()
        .any(|(path, _)| path.trim_start_matches("./") == name)
    {
        name.insert(0, '_');
    }
    name
}

/// Reads files back; what is not there, or no file below the working folder, is left out.
async fn fetch(
    service: &Arc<Service>,
    room: &Arc<Room>,
    paths: Vec<String>,
) -> Result<BTreeMap<String, String>, Refusal> {
    let most = service.limits.body_bytes as u64;
    service
        .rooms
        .within(
            room,
            Turn::Now,
            move |sandbox: &mut dyn synth_sandbox::Sandbox| {
                async move {
                    let mut found = Vec::new();
                    let mut left = most;
                    for path in paths {
                        // One by one: a path that cannot be asked for leaves the others alone.
                        let artifacts = sandbox.collect(&[path], left).await.unwrap_or_default();
                        for Artifact { path, bytes } in artifacts {
                            left = left.saturating_sub(bytes.len() as u64);
                            found.push((path, BASE64.encode(&bytes)));
                        }
                    }
                    Ok(found.into_iter().collect())
                }
                .boxed()
            },
        )
        .await
}

fn reply(result: CellResult, files: BTreeMap<String, String>) -> Reply {
    let observation = result.observation;
    let (status, return_code) = match observation.outcome {
        CellOutcome::Ok => {
            let code = observation
                .value
                .as_deref()
                .and_then(|value| value.parse().ok());
            ("Finished", code.or(Some(KILLED)))
        }
        CellOutcome::Timeout { .. } => ("TimeLimitExceeded", None),
        _ => ("Finished", Some(KILLED)),
    };
    let is_good = return_code == Some(0);
    Reply {
        status: if is_good { "Success" } else { "Failed" },
        message: String::new(),
        compile_result: None,
        run_result: Some(RunResult {
            status,
            execution_time: Some(observation.duration_ms as f64 / 1000.0),
            return_code,
            stdout: observation.stdout,
            stderr: observation.stderr,
        }),
        executor_pod_name: None,
        files,
    }
}
