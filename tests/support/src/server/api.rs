//! The API's host: the way of a request from the socket to its answer.

use std::sync::{Arc, PoisonError};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use bytes::Bytes;
use data_encoding::BASE64;
use futures::stream;
use http_body_util::{BodyExt, Limited};

use super::answer::{self, ApiError, json_response};
use super::call::Call;
use super::dialect::{Dialect, Form};
use super::object::Key;
use super::{KEY, Shared, TOKEN, USERNAME, competitions, datasets, storage};
use crate::fault::Fault;
use crate::log::{Host, Seen};
use crate::world::World;

/// The most bytes of a request's body.
const MOST_BODY: usize = 1 << 20;

/// The cookie that the gateway sets, and that a request must not bring back.
const COOKIE: &str = "ka_sessionid";

/// What a method answers.
pub(super) enum Answer {
    /// JSON.
    Json(serde_json::Value),
    /// A redirect to an object's signed address.
    Redirect(Key),
    /// A file, from the API itself.
    File {
        /// Its name.
        name: String,
        /// Its bytes.
        bytes: Bytes,
    },
}

pub(super) async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    // As a proxy, which is how the official client is led here, this host is also the way to the other one.
    let asked = request
        .uri()
        .authority()
        .map(|authority| format!("http://{authority}"));
    if asked.as_ref() == Some(&shared.storage_url) {
        return storage::handle(State(shared), request).await;
    }
    let (parts, body) = request.into_parts();
    let body = match Limited::new(body, MOST_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(_) => return ApiError::bad("Request body too large").respond(true),
    };
    let path = parts.uri.path();
    let query = parts.uri.query().unwrap_or_default();
    let Some(call) = Call::read(parts.method.as_str(), path, query, &body) else {
        let response = ApiError::not_found().respond(true);
        note(&shared, Host::Api, &parts, "Unknown", "", &response);
        return response;
    };
    let faults = shared.strike(&call.route, &call.slug);
    let mut response = respond(&shared, &parts.headers, &call, &faults);
    // Without `Secure`, so that a client that keeps cookies brings this one back over plain HTTP, too.
    let session = HeaderValue::from_static(
        "ka_sessionid=5f2b7c1e9d3a4806; max-age=2626560; path=/; HttpOnly; SameSite=Lax",
    );
    response.headers_mut().append(header::SET_COOKIE, session);
    note(
        &shared,
        Host::Api,
        &parts,
        &call.route,
        &call.slug,
        &response,
    );
    response
}

fn respond(shared: &Shared, headers: &HeaderMap, call: &Call, faults: &[Fault]) -> Response<Body> {
    if has_session(headers) || !is_allowed(headers, call) {
        return ApiError::unauthenticated().respond(call.is_rest);
    }
    for fault in faults {
        if let Some(error) = ApiError::of(fault) {
            return error.respond(call.is_rest);
        }
        match fault {
            Fault::NoAnswer => return no_answer(),
            Fault::NotJson => return web_page(),
            _ => {}
        }
    }
    let wire = shared.wire();
    let form = Form {
        dialect: if call.is_rest {
            Dialect::Rest(wire.rest)
        } else {
            Dialect::Rpc
        },
        int64_strings: wire.int64_strings || faults.contains(&Fault::Int64Strings),
        bare_refs: wire.bare_refs,
    };
    let answer = {
        let world = shared.world.read().unwrap_or_else(PoisonError::into_inner);
        method(&world, call, form, faults)
    };
    match answer {
        Err(error) => error.respond(call.is_rest),
        Ok(Answer::Json(value)) => {
            let etags = call.is_rest || wire.rpc_etags;
            let tag = format!(
                "W/\"{}\"",
                &blake3::hash(value.to_string().as_bytes()).to_hex()[..20]
            );
            let known = headers
                .get(header::IF_NONE_MATCH)
                .and_then(|value| value.to_str().ok());
            let mut response = if etags
                && known.is_some_and(|known| known.split(',').any(|known| known.trim() == tag))
            {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                response
            } else {
                json_response(&value)
            };
            if let Ok(tag) = HeaderValue::from_str(&tag)
                && etags
            {
                response.headers_mut().insert(header::ETAG, tag);
            }
            response
        }
        Ok(Answer::Redirect(key)) => {
            let address = storage::address(shared, &key, faults.contains(&Fault::ExpiredUrl));
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::FOUND;
            if let Ok(address) = HeaderValue::try_from(address) {
                response.headers_mut().insert(header::LOCATION, address);
            }
            response
        }
        Ok(Answer::File { name, bytes }) => {
            let length = bytes.len();
            let mut response = Response::new(answer::body(bytes, faults));
            response.headers_mut().insert(
                header::CONTENT_TYPE,
                HeaderValue::from_static("application/zip"),
            );
            response
                .headers_mut()
                .insert(header::CONTENT_LENGTH, HeaderValue::from(length));
            if let Ok(value) = HeaderValue::try_from(format!("attachment; filename=\"{name}\"")) {
                response
                    .headers_mut()
                    .insert(header::CONTENT_DISPOSITION, value);
            }
            response
        }
    }
}

fn method(world: &World, call: &Call, form: Form, faults: &[Fault]) -> Result<Answer, ApiError> {
    let no_files = faults.contains(&Fault::EmptyFileList);
    match call.route.as_str() {
        "ListCompetitions" => competitions::list(world, call, form),
        "GetCompetition" => competitions::get(world, call, form),
        "ListDataFiles" => competitions::files(world, call, form, no_files),
        "GetCompetitionDataFilesSummary" => competitions::summary(world, call, form),
        "DownloadDataFiles" => competitions::download_all(world, call),
        "DownloadDataFile" => competitions::download_one(world, call),
        "ListCompetitionPages" => competitions::pages(world, call, form),
        "GetLeaderboard" => competitions::leaderboard(world, call, form),
        "DownloadLeaderboard" => competitions::download_leaderboard(world, call),
        "GetSubmissionLimits" => competitions::limits(world, call, form),
        "ListSubmissions" => competitions::submissions(world, call, form),
        "ListDatasets" => datasets::list(world, call, form),
        "GetDataset" => datasets::get(world, call, form),
        "GetDatasetMetadata" => datasets::metadata(world, call, form),
        "ListDatasetFiles" => datasets::files(world, call, form, no_files),
        "GetDatasetFilesSummary" => datasets::summary(world, call, form),
        "DownloadDataset" | "DownloadDatasetRaw" => datasets::download(world, call),
        "IntrospectToken" => Ok(Answer::Json(introspect(call))),
        _ => Err(ApiError::not_found()),
    }
}

/// Whether a token is good, and whose it is: the official client asks before it uses one.
fn introspect(call: &Call) -> serde_json::Value {
    if call.text("token") == Some(TOKEN) {
        serde_json::json!({"active": true, "username": USERNAME})
    } else {
        serde_json::json!({})
    }
}

fn has_session(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .any(|cookies| {
            cookies
                .split(';')
                .any(|cookie| cookie.trim().starts_with(COOKIE))
        })
}

/// The right credentials, or none at all for the calls that need none. A token of today's kind is good as Bearer only.
fn is_allowed(headers: &HeaderMap, call: &Call) -> bool {
    let Some(given) = headers.get(header::AUTHORIZATION) else {
        return matches!(
            call.route.as_str(),
            "IntrospectToken"
                | "ListDatasets"
                | "GetDataset"
                | "GetDatasetMetadata"
                | "ListDatasetFiles"
        );
    };
    let Ok(given) = given.to_str() else {
        return false;
    };
    if let Some(basic) = given.strip_prefix("Basic ") {
        return BASE64
            .decode(basic.as_bytes())
            .is_ok_and(|pair| pair == format!("{USERNAME}:{KEY}").into_bytes());
    }
    given.strip_prefix("Bearer ") == Some(TOKEN)
}

/// A page of the website where JSON belongs.
fn web_page() -> Response<Body> {
    let mut response = Response::new(Body::from(
        "<!DOCTYPE html><html><title>Kaggle</title></html>",
    ));
    response.headers_mut().insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/html; charset=utf-8"),
    );
    response
}

/// Headers, and a connection that breaks before the first byte of the body.
pub(super) fn no_answer() -> Response<Body> {
    let broken = stream::once(async {
        Err::<Bytes, _>(std::io::Error::other("no answer, as was asked for"))
    });
    let mut response = Response::new(Body::from_stream(broken));
    response
        .headers_mut()
        .insert(header::CONTENT_LENGTH, HeaderValue::from(1000));
    response
}

/// Writes a request and its status into the log.
pub(super) fn note(
    shared: &Shared,
    host: Host,
    parts: &Parts,
    route: &str,
    slug: &str,
    response: &Response<Body>,
) {
    shared.note(Seen {
        host,
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        route: route.to_owned(),
        slug: slug.to_owned(),
        status: response.status().as_u16(),
        headers: parts
            .headers
            .iter()
            .filter_map(|(name, value)| Some((name.to_string(), value.to_str().ok()?.to_owned())))
            .collect(),
    });
}
