//! Sandboxes: opened, shown, closed.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};
use synth_sandbox::{MountedFile, SandboxLimits, SandboxSpec};

use crate::access::Client;
use crate::error::Refusal;
use crate::payload::Payload;
use crate::rooms::Room;
use crate::service::{OUTPUT_BYTES, Service};

const MIB: u64 = 1 << 20;
/// Files under `data/` of one sandbox: each is a mount of its own.
const MAX_FILES: usize = 1_000;
/// A workspace has folders of its own, and no file system with fewer entries can be mounted.
const MIN_WORKSPACE_FILES: u64 = 16;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct OpenRequest {
    #[serde(default)]
    image: String,
    #[serde(default)]
    seed: u64,
    #[serde(default)]
    limits: LimitsRequest,
    #[serde(default)]
    files: Vec<FileRequest>,
}

/// What is asked for beyond the server's own limits is refused.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct LimitsRequest {
    cell_seconds: Option<f64>,
    memory_mib: Option<u64>,
    cpu_percent: Option<u32>,
    processes: Option<u32>,
    output_bytes: Option<u64>,
    workspace_mib: Option<u64>,
    workspace_files: Option<u64>,
}

/// A file under `data/`: an upload by its hash, or one of the server's data folder by its path there.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRequest {
    path: String,
    #[serde(default)]
    blake3: Option<String>,
    #[serde(default)]
    data: Option<String>,
}

#[derive(Serialize)]
struct Shown {
    id: String,
    image: String,
    seed: u64,
    limits: LimitsShown,
    files: Vec<String>,
    cells: u64,
    busy: bool,
    open_seconds: f64,
    idle_limit_seconds: f64,
    lifetime_seconds: f64,
}

#[derive(Serialize)]
struct LimitsShown {
    cell_seconds: f64,
    memory_mib: u64,
    cpu_percent: u32,
    processes: u32,
    output_bytes: u64,
    workspace_mib: u64,
    workspace_files: u64,
}

pub async fn open(
    State(service): State<Arc<Service>>,
    client: Client,
    payload: Payload,
) -> Result<impl IntoResponse, Refusal> {
    let request: OpenRequest = payload.json()?;
    let limits = limits(&request.limits, &service.most)?;
    if !request.image.is_empty() && !service.images.contains(&request.image) {
        let message = match service.images.as_slice() {
            [] => "there is no other image than the default one; leave `image` out".to_owned(),
            images => format!(
                "there is no image `{}`; there are {images:?}",
                request.image
            ),
        };
        return Err(Refusal::invalid(message));
    }
    if request.files.len() > MAX_FILES {
        let message = format!("`files`: a sandbox is shown {MAX_FILES} files at most");
        return Err(Refusal::invalid(message));
    }
    let mut held = Vec::new();
    let mut files = Vec::new();
    for file in request.files {
        let host_path = match (&file.blake3, &file.data) {
            (Some(hash), None) => {
                let stored = service.uploads.get(&client, hash)?;
                let path = stored.path().to_owned();
                held.push(stored);
                path
            }
            (None, Some(path)) => match &service.data {
                Some(data) => data.file(path)?,
                None => {
                    return Err(Refusal::invalid(
                        "`files`: this server has no data folder; upload the file and name its `blake3`",
                    ));
                }
            },
            _ => {
                return Err(Refusal::invalid(
                    "`files`: each has either `blake3`, the hash of an upload, or `data`, a path in the server's data folder",
                ));
            }
        };
        files.push(MountedFile {
            path: file.path,
            host_path,
        });
    }
    let spec = SandboxSpec {
        label: "serve".to_owned(),
        image: request.image,
        files,
        seed: request.seed,
        limits,
    };
    let room = service
        .rooms
        .open(&client, spec, held, service.wait)
        .await?;
    Ok((StatusCode::CREATED, Json(shown(&service, &room))))
}

fn limits(asked: &LimitsRequest, most: &SandboxLimits) -> Result<SandboxLimits, Refusal> {
    fn within<T: PartialOrd + std::fmt::Display + Copy + Default>(
        name: &str,
        asked: Option<T>,
        most: T,
    ) -> Result<T, Refusal> {
        match asked {
            None => Ok(most),
            Some(asked) if asked > T::default() && asked <= most => Ok(asked),
            Some(_) => Err(Refusal::invalid(format!(
                "`limits.{name}` has to be more than 0 and at most {most}"
            ))),
        }
    }
    if asked
        .workspace_files
        .is_some_and(|files| files < MIN_WORKSPACE_FILES)
    {
        return Err(Refusal::invalid(format!(
            "`limits.workspace_files` has to be at least {MIN_WORKSPACE_FILES}"
        )));
    }
    let cell_seconds = within("cell_seconds", asked.cell_seconds, most.cell.as_secs_f64())?;
    Ok(SandboxLimits {
        cell: Duration::from_secs_f64(cell_seconds),
        memory_bytes: within("memory_mib", asked.memory_mib, most.memory_bytes / MIB)? * MIB,
        // None set means no limit.
        cpu_percent: match most.cpu_percent {
            0 => asked.cpu_percent.unwrap_or(0),
            most => within("cpu_percent", asked.cpu_percent, most)?,
        },
        processes: within("processes", asked.processes, most.processes)?,
        output_bytes: within(
            "output_bytes",
            asked
                .output_bytes
                .or(Some(OUTPUT_BYTES.min(most.output_bytes))),
            most.output_bytes,
        )?,
        workspace_bytes: within(
            "workspace_mib",
            asked.workspace_mib,
            most.workspace_bytes / MIB,
        )? * MIB,
        workspace_files: within(
            "workspace_files",
            asked.workspace_files,
            most.workspace_files,
        )?,
        ..most.clone()
    })
}

fn shown(service: &Service, room: &Room) -> Shown {
    let limits = &room.spec.limits;
    let leases = service.rooms.leases();
    Shown {
        id: room.id.clone(),
        image: room.spec.image.clone(),
        seed: room.spec.seed,
        limits: LimitsShown {
            cell_seconds: limits.cell.as_secs_f64(),
            memory_mib: limits.memory_bytes / MIB,
            cpu_percent: limits.cpu_percent,
            processes: limits.processes,
            output_bytes: limits.output_bytes,
            workspace_mib: limits.workspace_bytes / MIB,
            workspace_files: limits.workspace_files,
        },
        files: room
            .spec
            .files
            .iter()
            .map(|file| file.path.clone())
            .collect(),
        cells: room.cells.load(Ordering::Relaxed),
        busy: room.is_busy(),
        open_seconds: room.opened.elapsed().as_secs_f64(),
        idle_limit_seconds: leases.idle.as_secs_f64(),
        lifetime_seconds: leases.lifetime.as_secs_f64(),
    }
}

#[derive(Serialize)]
pub struct Listed {
    sandboxes: Vec<Shown>,
}

pub async fn list(State(service): State<Arc<Service>>, client: Client) -> Json<Listed> {
    let rooms = service.rooms.of(&client);
    Json(Listed {
        sandboxes: rooms.iter().map(|room| shown(&service, room)).collect(),
    })
}

pub async fn show(
    State(service): State<Arc<Service>>,
    client: Client,
    Path(id): Path<String>,
) -> Result<impl IntoResponse, Refusal> {
    let room = service.rooms.find(&client, &id)?;
    Ok(Json(shown(&service, &room)))
}

pub async fn close(
    State(service): State<Arc<Service>>,
    client: Client,
    Path(id): Path<String>,
) -> Result<StatusCode, Refusal> {
    let room = service.rooms.find(&client, &id)?;
    if service.rooms.close(&room, "asked").await {
        Ok(StatusCode::NO_CONTENT)
    } else {
        Err(Refusal::unknown_sandbox())
    }
}
