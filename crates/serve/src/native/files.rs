//! Files: uploads for `data/`, and those of a workspace.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use data_encoding::BASE64;
use futures::FutureExt;
use serde::{Deserialize, Serialize};
use synth_sandbox::Sandbox;

use crate::access::Client;
use crate::error::Refusal;
use crate::payload::Payload;
use crate::rooms::Turn;
use crate::service::Service;
use crate::store::Uploaded;

/// Files that a listing names.
const MAX_LISTED: usize = 10_000;
/// Files that are collected at once.
const MAX_COLLECTED: usize = 1_000;

pub async fn upload(
    State(service): State<Arc<Service>>,
    client: Client,
    request: Request,
) -> Result<impl IntoResponse, Refusal> {
    let body = request.into_body().into_data_stream();
    let uploaded = service.uploads.put(&client, body).await?;
    service.metrics.received_bytes.inc_by(uploaded.bytes);
    Ok((StatusCode::CREATED, Json(uploaded)))
}

#[derive(Serialize)]
pub struct Uploads {
    files: Vec<Uploaded>,
}

pub async fn uploads(State(service): State<Arc<Service>>, client: Client) -> Json<Uploads> {
    Json(Uploads {
        files: service.uploads.list(&client),
    })
}

pub async fn forget(
    State(service): State<Arc<Service>>,
    client: Client,
    Path(hash): Path<String>,
) -> Result<StatusCode, Refusal> {
    service.uploads.remove(&client, &hash)?;
    Ok(StatusCode::NO_CONTENT)
}

#[derive(Serialize)]
pub struct Listed {
    files: Vec<ListedFile>,
}

#[derive(Serialize)]
struct ListedFile {
    path: String,
    bytes: u64,
}

pub async fn list(
    State(service): State<Arc<Service>>,
    client: Client,
    Path(id): Path<String>,
) -> Result<Json<Listed>, Refusal> {
    let room = service.rooms.find(&client, &id)?;
    let files = service
        .rooms
        .within(&room, Turn::Now, |sandbox: &mut dyn Sandbox| {
            sandbox.list_files(MAX_LISTED)
        })
        .await?
        .into_iter()
        .map(|file| ListedFile {
            path: file.path,
            bytes: file.bytes,
        });
    Ok(Json(Listed {
        files: files.collect(),
    }))
}

pub async fn write(
    State(service): State<Arc<Service>>,
    client: Client,
    Path((id, path)): Path<(String, String)>,
    payload: Payload,
) -> Result<StatusCode, Refusal> {
    let room = service.rooms.find(&client, &id)?;
    service
        .rooms
        .within(&room, Turn::Now, move |sandbox: &mut dyn Sandbox| {
            async move { sandbox.write_file(&path, &payload.bytes).await }.boxed()
        })
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn read(
    State(service): State<Arc<Service>>,
    client: Client,
    Path((id, path)): Path<(String, String)>,
) -> Result<impl IntoResponse, Refusal> {
    let room = service.rooms.find(&client, &id)?;
    let most = service.limits.body_bytes as u64;
    let bytes = service
        .rooms
        .within(&room, Turn::Now, move |sandbox: &mut dyn Sandbox| {
            async move { sandbox.read_file(&path, most).await }.boxed()
        })
        .await?;
    // Never taken for a page, whatever the agent put into it.
    let headers = [
        ("content-type", "application/octet-stream"),
        ("x-content-type-options", "nosniff"),
        ("content-disposition", "attachment"),
    ];
    Ok((headers, Bytes::from(bytes)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CollectRequest {
    paths: Vec<String>,
    #[serde(default)]
    max_bytes: Option<u64>,
}

#[derive(Serialize)]
pub struct Collected {
    files: Vec<CollectedFile>,
    /// What is not there, is no regular file, or did not fit.
    missing: Vec<String>,
}

#[derive(Serialize)]
struct CollectedFile {
    path: String,
    bytes: u64,
    blake3: String,
    /// Base64.
    data: String,
}

pub async fn collect(
    State(service): State<Arc<Service>>,
    client: Client,
    Path(id): Path<String>,
    payload: Payload,
) -> Result<Json<Collected>, Refusal> {
    let room = service.rooms.find(&client, &id)?;
    let CollectRequest { paths, max_bytes } = payload.json()?;
    if paths.len() > MAX_COLLECTED {
        let message = format!("`paths`: {MAX_COLLECTED} files are collected at most");
        return Err(Refusal::invalid(message));
    }
    let most = service.limits.body_bytes as u64;
    let most = max_bytes.unwrap_or(most).min(most);
    let asked = paths.clone();
    let artifacts = service
        .rooms
        .within(&room, Turn::Now, move |sandbox: &mut dyn Sandbox| {
            async move { sandbox.collect(&asked, most).await }.boxed()
        })
        .await?;
    let missing = paths
        .into_iter()
        .filter(|path| artifacts.iter().all(|artifact| artifact.path != *path));
    Ok(Json(Collected {
        missing: missing.collect(),
        files: artifacts
            .iter()
            .map(|artifact| CollectedFile {
                path: artifact.path.clone(),
                bytes: artifact.bytes.len() as u64,
                blake3: blake3::hash(&artifact.bytes).to_hex().to_string(),
                data: BASE64.encode(&artifact.bytes),
            })
            .collect(),
    }))
}
