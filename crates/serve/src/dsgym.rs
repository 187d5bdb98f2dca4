//! The interface of DSGym's executor manager, so that its agents run against our sandboxes unchanged.
//!
//! A container is a seat with a number. Who allocates one gets a fresh sandbox on it; it is closed when the seat is given back or
//! left alone, so nothing passes from one tenant to the next.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use axum::{Extension, Json, Router};
use data_encoding::BASE64;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};
use synth_core::{CellLimit, CellOutcome};
use synth_sandbox::{Artifact, CellResult, Sandbox, SandboxError, SandboxLimits, SandboxSpec};
use tokio::task::spawn_blocking;

use crate::access::Client;
use crate::error::Refusal;
use crate::payload::{Malformed, Payload};
use crate::rooms::{Room, Turn};
use crate::service::{OUTPUT_BYTES, Service};
use crate::submissions;

/// The type of the default image.
const DEFAULT_TYPE: &str = "python";
/// How long a request for a type waits; one for any type does not.
const TYPE_WAIT: Duration = Duration::from_secs(30);

/// The seats of the server, by number.
struct Seats(Mutex<Vec<Option<Arc<Room>>>>);

pub fn routes() -> Router<Arc<Service>> {
    Router::new()
        .route("/health", get(health))
        .route("/status", get(status))
        .route("/allocate", post(allocate))
        .route("/deallocate/{id}", post(deallocate))
        .route("/restart", post(restart_all))
        .route("/session/{id}/execute", post(execute))
        .route("/session/{id}/restart", post(restart))
        .route("/session/{id}/health", get(session_health))
        .route("/session/{id}/ready", get(ready))
        .route("/session/{id}/restart-status", get(restart_status))
        .route("/session/{id}/{*path}", any(other))
        .layer(Extension(Arc::new(Seats(Mutex::default()))))
}

/// A refusal in the shape that FastAPI gives it.
pub fn detail(refusal: Refusal) -> Response {
    let body = json!({"detail": refusal.message});
    refusal.with_body(body)
}

/// A refusal of this API.
struct Refused(Box<Response>);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        *self.0
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self(Box::new(detail(refusal)))
    }
}

impl Refused {
    fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Refusal::new(status, code, message).into()
    }

    fn not_found(id: i64) -> Self {
        let message = format!("Container {id} not found");
        Self::new(StatusCode::NOT_FOUND, "unknown_container", message)
    }
}

/// What FastAPI says of a value that it cannot read.
pub fn unprocessable(location: &[&str], kind: &str, message: &str, input: &Value) -> Response {
    let problem = json!({"type": kind, "loc": location, "msg": message, "input": input});
    Refusal::invalid(message).with_body(json!({"detail": [problem]}))
}

/// What FastAPI says of a body that it cannot read.
pub fn unreadable(malformed: &Malformed) -> Response {
    let Malformed { path, message } = malformed;
    if let Some(field) = message
        .strip_prefix("missing field `")
        .and_then(|rest| rest.split('`').next())
    {
        return unprocessable(&["body", field], "missing", "Field required", &Value::Null);
    }
    let location: Vec<&str> = match path.as_str() {
        "." | "?" => vec!["body"],
        path => std::iter::once("body").chain(path.split('.')).collect(),
    };
    unprocessable(&location, "value_error", message, &Value::Null)
}

/// The number in a path.
fn number(path: Result<Path<String>, PathRejection>) -> Result<i64, Refused> {
    let text = path.map(|Path(text)| text).unwrap_or_default();
    text.parse().map_err(|_| {
        let message = "Input should be a valid integer, unable to parse string as an integer";
        let location = ["path", "container_id"];
        let input = Value::String(text);
        Refused(Box::new(unprocessable(
            &location,
            "int_parsing",
            message,
            &input,
        )))
    })
}

impl Seats {
    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Option<Arc<Room>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a sandbox on the first free seat. There is one for every sandbox: both are as many as slots, and a seat is free as
    /// soon as its sandbox begins to close.
    fn take(&self, room: Arc<Room>) -> usize {
        let mut seats = self.lock();
        let is_free = |seat: &Option<Arc<Room>>| seat.as_ref().is_none_or(|room| room.is_closed());
        let free = seats.iter().position(is_free).unwrap_or(seats.len());
        if free == seats.len() {
            seats.push(None);
        }
        seats[free] = Some(room);
        free
    }

    /// The seat of that number, if it is the client's, with its sandbox.
    fn find(&self, client: &Client, id: i64) -> Option<(usize, Arc<Room>)> {
        let seat = usize::try_from(id).ok()?;
        let seats = self.lock();
        let room = seats.get(seat)?.as_ref()?;
        (room.client == *client && !room.is_closed()).then(|| (seat, Arc::clone(room)))
    }

    /// Whether this is the sandbox on a seat.
    fn holds(&self, seat: usize, room: &Arc<Room>) -> bool {
        let seats = self.lock();
        let seated = seats.get(seat).and_then(Option::as_ref);
        seated.is_some_and(|seated| Arc::ptr_eq(seated, room) && !room.is_closed())
    }

    /// The numbers of the seats that are taken, each with its sandbox.
    fn taken(&self) -> Vec<(usize, Arc<Room>)> {
        let seats = self.lock();
        let taken = seats.iter().enumerate().filter_map(|(id, room)| {
            let room = room.as_ref().filter(|room| !room.is_closed())?;
            Some((id, Arc::clone(room)))
        });
        taken.collect()
    }
}

/// A container's type and the image that it stands for.
fn types(service: &Service) -> impl Iterator<Item = (&str, &str)> {
    let named = service
        .images
        .iter()
        .map(|image| (image.as_str(), image.as_str()));
    std::iter::once((DEFAULT_TYPE, "")).chain(named)
}

async fn health() -> Json<Value> {
    Json(json!({"status": "ok"}))
}

#[derive(Deserialize)]
struct Allocation {
    container_type: Option<String>,
}

async fn allocate(
    State(service): State<Arc<Service>>,
    Extension(seats): Extension<Arc<Seats>>,
    client: Client,
    Query(wanted): Query<Allocation>,
) -> Result<Json<Value>, Refused> {
    let (image, wait) = match wanted.container_type.as_deref() {
        None => ("", Duration::ZERO),
        Some(wanted) => {
            let found = types(&service).find(|(name, _)| *name == wanted);
            let (_, image) = found.ok_or_else(|| {
                let message = format!("Unknown container type: {wanted}");
                Refused::new(StatusCode::BAD_REQUEST, "unknown_type", message)
            })?;
            (image, TYPE_WAIT)
        }
    };
    let spec = spec(&service, image)?;
    let opened = service.rooms.open(&client, spec, Vec::new(), wait).await;
    let room = opened.map_err(|refusal| {
        // One's own limit is, for these clients, the same as that none is free.
        if !["no_slot", "too_many_sandboxes"].contains(&refusal.code) {
            return refusal;
        }
        Refusal {
            status: StatusCode::SERVICE_UNAVAILABLE,
            message: match &wanted.container_type {
                None => "No containers available".to_owned(),
                Some(wanted) => format!("No {wanted} containers available"),
            },
            ..refusal
        }
    })?;
    let id = seats.take(Arc::clone(&room));
    submit(&service, &seats, id, &room, None).await;
    Ok(Json(json!({"container_id": id})))
}

fn spec(service: &Service, image: &str) -> Result<SandboxSpec, Refused> {
    let files = match &service.data {
        Some(data) => data.all().map_err(|error| {
            let message = format!("failed to list the data folder: {error}");
            Refused::new(StatusCode::SERVICE_UNAVAILABLE, "data", message)
        })?,
        None => Vec::new(),
    };
    Ok(SandboxSpec {
        label: "dsgym".to_owned(),
        image: image.to_owned(),
        files,
        seed: 0,
        limits: SandboxLimits {
            output_bytes: OUTPUT_BYTES.min(service.most.output_bytes),
            ..service.most.clone()
        },
    })
}

async fn deallocate(
    State(service): State<Arc<Service>>,
    Extension(seats): Extension<Arc<Seats>>,
    client: Client,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Refused> {
    let id = number(id)?;
    // Of several who give the same seat back, one does.
    let closed = match seats.find(&client, id) {
        Some((_, room)) => service.rooms.close(&room, "asked").await,
        None => false,
    };
    if !closed {
        let message = format!("Container {id} is not allocated");
        return Err(Refused::new(
            StatusCode::BAD_REQUEST,
            "not_allocated",
            message,
        ));
    }
    Ok(Json(json!({"status": "deallocated", "container_id": id})))
}

async fn restart_all(
    State(service): State<Arc<Service>>,
    Extension(seats): Extension<Arc<Seats>>,
    client: Client,
) -> Json<Value> {
    let mut restarted = Vec::new();
    let taken = seats.taken();
    for (id, room) in taken.iter().filter(|(_, room)| room.client == client) {
        if service.rooms.close(room, "asked").await {
            restarted.push(*id);
        }
    }
    if restarted.is_empty() {
        return Json(json!({"status": "no_containers_to_restart", "restarted_containers": []}));
    }
    let total = restarted.len();
    Json(json!({
        "status": "restart_completed", "restarted_containers": restarted, "failed_containers": [], "total_restarted": total,
        "total_failed": 0,
    }))
}

#[derive(Deserialize)]
struct Code {
    code: String,
}

async fn execute(
    State(service): State<Arc<Service>>,
    Extension(seats): Extension<Arc<Seats>>,
    client: Client,
    id: Result<Path<String>, PathRejection>,
    payload: Payload,
) -> Result<Json<Value>, Refused> {
    let id = number(id)?;
    let Code { code } = payload
        .json()
        .map_err(|malformed| Refused(Box::new(unreadable(&malformed))))?;
    let (seat, room) = seats.find(&client, id).ok_or_else(|| {
        let message = format!("Container {id} is not allocated or invalid");
        Refused::new(StatusCode::BAD_REQUEST, "not_allocated", message)
    })?;
    let unavailable = |refusal: Refusal| {
        let message = format!("Container {id} is not available: {}", refusal.message);
        Refused::new(StatusCode::SERVICE_UNAVAILABLE, refusal.code, message)
    };
    // Before each cell: the last one may have ended Python, and then the workspace is another.
    let prepared = service.rooms.within(&room, Turn::Queue, make_place).await;
    prepared.map_err(unavailable)?;
    let cell = service.most.cell;
    let result = service.rooms.execute(&room, code, cell, Turn::Queue).await;
    let result = result.map_err(unavailable)?;
    hand_out(&service, &seats, seat, &room).await;
    Ok(Json(json!({"outputs": outputs(result)})))
}

/// Makes the folder of submissions, unless the code has put something else in its place.
fn make_place(sandbox: &mut dyn Sandbox) -> BoxFuture<'_, Result<(), SandboxError>> {
    let write = sandbox.write_file(submissions::KEEPER, b"");
    write.map(|_| Ok(())).boxed()
}

/// Takes the submission out of the workspace, if there is one of no more than `most` bytes.
fn take_submission(
    sandbox: &mut dyn Sandbox,
    most: u64,
) -> BoxFuture<'_, Result<Option<Artifact>, SandboxError>> {
    async move {
        let paths = [submissions::FILE.to_owned()];
        Ok(sandbox.collect(&paths, most).await?.pop())
    }
    .boxed()
}

/// Shows the host what the code has submitted so far.
async fn hand_out(service: &Service, seats: &Arc<Seats>, seat: usize, room: &Arc<Room>) {
    if service.submissions.is_none() {
        return;
    }
    let most = service.limits.body_bytes as u64;
    let taken = service.rooms.within(room, Turn::Queue, move |sandbox| {
        take_submission(sandbox, most)
    });
    // A sandbox that was closed meanwhile has nothing to show.
    if let Ok(Some(submission)) = taken.await {
        submit(service, seats, seat, room, Some(submission.bytes)).await;
    }
}

/// Puts a submission in the place of the one before, or nothing.
async fn submit(
    service: &Service,
    seats: &Arc<Seats>,
    seat: usize,
    room: &Arc<Room>,
    submission: Option<Vec<u8>>,
) {
    let Some(submissions) = service.submissions.clone() else {
        return;
    };
    let (seats, room) = (Arc::clone(seats), Arc::clone(room));
    let put = spawn_blocking(move || {
        submissions.put(seat, submission.as_deref(), || seats.holds(seat, &room))
    });
    if let Ok(Err(error)) = put.await {
        tracing::error!(container = seat, %error, "failed to write to the folder of submissions");
    }
}

/// What a cell came to, as the objects that DSGym's agents read.
fn outputs(result: CellResult) -> Vec<Value> {
    let CellResult {
        observation,
        displays,
    } = result;
    let mut outputs = Vec::new();
    for (name, text) in [
        ("stdout", &observation.stdout),
        ("stderr", &observation.stderr),
    ] {
        if !text.is_empty() {
            outputs.push(json!({"type": "stream", "name": name, "text": text}));
        }
    }
    for (display, bytes) in observation.displays.iter().zip(displays) {
        let content = match String::from_utf8(bytes) {
            Ok(text) if display.media_type.starts_with("text/") => text,
            Ok(text) => BASE64.encode(text.as_bytes()),
            Err(error) => BASE64.encode(error.as_bytes()),
        };
        outputs.push(json!({"type": "display", "data": {&display.media_type: content}}));
    }
    if let Some(value) = &observation.value {
        outputs.push(json!({"type": "result", "data": {"text/plain": value}}));
    }
    if let Some(error) = error(&observation.outcome) {
        outputs.push(error);
    }
    outputs
}

/// The error object of an outcome that is not a good one.
fn error(outcome: &CellOutcome) -> Option<Value> {
    let state = |kept: &bool| {
        if *kept {
            "variables are kept"
        } else {
            "variables are lost"
        }
    };
    let (name, value, traceback) = match outcome {
        CellOutcome::Ok => return None,
        CellOutcome::Error {
            name,
            message,
            traceback,
        } => (name.as_str(), message.clone(), parts(traceback)),
        CellOutcome::Timeout { state_kept } => {
            let value = format!("the cell ran too long; {}", state(state_kept));
            ("TimeoutError", value, Vec::new())
        }
        CellOutcome::OutOfMemory { state_kept } => {
            let value = format!("the cell used too much memory; {}", state(state_kept));
            ("MemoryError", value, Vec::new())
        }
        CellOutcome::Limit { limit, state_kept } => {
            let what = match limit {
                CellLimit::Disk => "no space is left",
                CellLimit::Processes => "no further process may be started",
                CellLimit::Output => "the cell printed too much",
            };
            let value = format!("{what}; {}", state(state_kept));
            ("LimitError", value, Vec::new())
        }
        CellOutcome::Died { how } => {
            let value = format!("Python ended: {how}; variables are lost");
            ("DeadKernelError", value, Vec::new())
        }
    };
    Some(json!({"type": "error", "name": name, "value": value, "traceback": traceback}))
}

/// A traceback as a list: its head, what stands between, its last line.
fn parts(traceback: &str) -> Vec<&str> {
    // IPython begins with a ruler.
    let traceback = traceback.trim_start_matches('-').trim();
    let (head, rest) = traceback.split_once('\n').unwrap_or((traceback, ""));
    let (middle, last) = rest.rsplit_once('\n').unwrap_or(("", rest));
    [head, middle, last]
        .into_iter()
        .filter(|part| !part.trim().is_empty())
        .collect()
}

/// Whether a container of that number exists; it may be free.
fn check_number(service: &Service, id: i64) -> Result<(), Refused> {
    if usize::try_from(id).is_ok_and(|seat| seat < service.slots) {
        Ok(())
    } else {
        Err(Refused::not_found(id))
    }
}

/// A fresh sandbox on the same seat. A container that nobody has is fresh anyway.
async fn restart(
    State(service): State<Arc<Service>>,
    Extension(seats): Extension<Arc<Seats>>,
    client: Client,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Refused> {
    let id = number(id)?;
    check_number(&service, id)?;
    if let Some((seat, room)) = seats.find(&client, id) {
        service.rooms.renew(&room).await?;
        submit(&service, &seats, seat, &room, None).await;
    }
    Ok(Json(json!({"status": "restarting"})))
}

async fn session_health(
    State(service): State<Arc<Service>>,
    _: Client,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Refused> {
    check_number(&service, number(id)?)?;
    Ok(Json(json!({"status": "ok"})))
}

/// Ready at once: a container that nobody has will be opened when it is allocated. It does not wait for a cell.
async fn ready(
    State(service): State<Arc<Service>>,
    Extension(seats): Extension<Arc<Seats>>,
    client: Client,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Refused> {
    let id = number(id)?;
    check_number(&service, id)?;
    let seated = seats.find(&client, id);
    let is_busy = seated.is_some_and(|(_, room)| room.is_busy());
    Ok(Json(if is_busy {
        json!({"ready": false, "reason": "kernel_busy"})
    } else {
        json!({"ready": true})
    }))
}

/// A restart is over when it is answered.
async fn restart_status(
    State(service): State<Arc<Service>>,
    _: Client,
    id: Result<Path<String>, PathRejection>,
) -> Result<Json<Value>, Refused> {
    check_number(&service, number(id)?)?;
    Ok(Json(json!({"restarting": false})))
}

/// What a worker says of a path that it does not have, as the manager passes it on.
async fn other(
    State(service): State<Arc<Service>>,
    _: Client,
    path: Result<Path<(String, String)>, PathRejection>,
) -> Result<Json<Value>, Refused> {
    let id = path.map(|Path((id, _))| Path(id));
    check_number(&service, number(id)?)?;
    Err(Refused::new(
        StatusCode::NOT_FOUND,
        "unknown_route",
        "Container error: {\"detail\":\"Not Found\"}",
    ))
}

async fn status(
    State(service): State<Arc<Service>>,
    Extension(seats): Extension<Arc<Seats>>,
    _: Client,
) -> Json<Value> {
    let allocated: Vec<usize> = seats.taken().into_iter().map(|(id, _)| id).collect();
    let available = service.slots.saturating_sub(allocated.len());
    // Any slot can take any type.
    let by_type: serde_json::Map<String, Value> = types(&service)
        .map(|(name, _)| (name.to_owned(), json!(available)))
        .collect();
    Json(json!({
        "available_containers": available, "available_by_type": by_type, "allocated_containers": allocated.len(),
        "total_containers": service.slots, "allocated_container_ids": allocated,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_traceback_is_its_head_its_frames_and_its_last_line() {
        let text = "-----\nNameError    Traceback (most recent call last)\nCell In[1], line 1\n----> 1 nprint(x)\n\nNameError: no\n";
        assert_eq!(
            parts(text),
            [
                "NameError    Traceback (most recent call last)",
                "Cell In[1], line 1\n----> 1 nprint(x)\n",
                "NameError: no"
            ]
        );
        assert_eq!(parts("only: this"), ["only: this"]);
        assert_eq!(parts("a\nb"), ["a", "b"]);
        assert!(parts("").is_empty());
    }
}
