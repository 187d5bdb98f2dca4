//! The storage host: signed addresses, ranges, entity tags and hashes, and a refusal of everything that was not signed.

use std::sync::{Arc, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, header};
use bytes::Bytes;

use super::answer;
use super::call::{escape, unescape};
use super::object::{Key, Object, signature};
use super::{Shared, api, unpoisoned};
use crate::fault::{Fault, STORAGE};
use crate::log::Host;

const HASH: HeaderName = HeaderName::from_static("x-goog-hash");

/// The signed address of an object.
pub(super) fn address(shared: &Shared, key: &Key, is_old: bool) -> String {
    let seconds = shared.wire().signed_seconds;
    let expires = if is_old { now() - 60 } else { now() + seconds };
    let path = key.path();
    let signature = escape(&signature(&path, expires));
    let disposition = escape(&format!("attachment; filename={}", key.name));
    format!(
        "{}{path}?GoogleAccessId=fixture%40loopback&Expires={expires}&Signature={signature}\
         &response-content-disposition={disposition}",
        shared.storage_url
    )
}

pub(super) async fn handle(State(shared): State<Arc<Shared>>, request: Request) -> Response<Body> {
    let (parts, _) = request.into_parts();
    let path = parts.uri.path().to_owned();
    let key = Key::read(&path);
    let slug = key.as_ref().map(|key| key.slug.clone()).unwrap_or_default();
    let faults = shared.strike(STORAGE, &slug);
    let response = respond(
        &shared,
        &parts.method,
        parts.uri.query().unwrap_or_default(),
        &parts.headers,
        key,
        &path,
        &faults,
    );
    api::note(&shared, Host::Storage, &parts, STORAGE, &slug, &response);
    response
}

fn respond(
    shared: &Shared,
    method: &Method,
    query: &str,
    headers: &HeaderMap,
    key: Option<Key>,
    path: &str,
    faults: &[Fault],
) -> Response<Body> {
    if let Some(refusal) = refusal(method, path, query, headers) {
        return refusal;
    }
    for fault in faults {
        match fault {
            Fault::Server(status) => {
                return error(
                    *status,
                    "InternalError",
                    "We encountered an internal error. Please try again.",
                );
            }
            Fault::Throttled { retry_after } => {
                let mut response = error(429, "SlowDown", "Please reduce your request rate.");
                if let Some(seconds) = retry_after {
                    response
                        .headers_mut()
                        .insert(header::RETRY_AFTER, HeaderValue::from(*seconds));
                }
                return response;
            }
            Fault::NoAnswer => return api::no_answer(),
            _ => {}
        }
    }
    let object = key.and_then(|key| object(shared, path, &key));
    let Some(object) = object else {
        return error(404, "NoSuchKey", "The specified key does not exist.");
    };
    let object = if faults.contains(&Fault::Half) {
        Arc::new(Object::new(object.bytes.slice(..object.bytes.len() / 2)))
    } else {
        object
    };
    send(shared, headers, path, query, &object, faults)
}

/// Why a request is refused before anything is looked at.
fn refusal(
    method: &Method,
    path: &str,
    query: &str,
    headers: &HeaderMap,
) -> Option<Response<Body>> {
    let argument = |name: &str| {
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .find(|(found, _)| *found == name)
            .map(|(_, value)| unescape(value))
    };
    let expires: u64 = argument("Expires")
        .and_then(|text| text.parse().ok())
        .unwrap_or(0);
    let signed = argument("Signature").is_some_and(|given| given == signature(path, expires));
    // A signature covers the method and the content's type; credentials and cookies are of no business here.
    let unsigned = [header::AUTHORIZATION, header::COOKIE, header::CONTENT_TYPE]
        .iter()
        .any(|name| headers.contains_key(name));
    if !signed || unsigned || method != Method::GET {
        return Some(error(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. Check your Google secret key and signing method.",
        ));
    }
    (expires < now()).then(|| error(400, "ExpiredToken", "The provided token has expired."))
}

fn object(shared: &Shared, path: &str, key: &Key) -> Option<Arc<Object>> {
    if let Some(kept) = unpoisoned(shared.objects.lock()).get(path) {
        return Some(kept);
    }
    let world = shared.world.read().unwrap_or_else(PoisonError::into_inner);
    let object = Arc::new(Object::new(key.bytes(&world)?));
    // The world is still held, so that nothing old is kept beside a change.
    unpoisoned(shared.objects.lock()).keep(path, object.clone());
    Some(object)
}

fn send(
    shared: &Shared,
    headers: &HeaderMap,
    path: &str,
    query: &str,
    object: &Object,
    faults: &[Fault],
) -> Response<Body> {
    let changes = {
        let mut objects = unpoisoned(shared.objects.lock());
        let changes = objects.changes.entry(path.to_owned()).or_default();
        *changes += u32::from(faults.contains(&Fault::ChangedEtag));
        *changes
    };
    let etag = match changes {
        0 => format!("\"{}\"", object.md5),
        _ => format!("\"{}{changes}\"", object.md5),
    };
    // A date of the past that moves with each change.
    let modified = httpdate::fmt_http_date(
        UNIX_EPOCH + Duration::from_secs(1_600_000_000 + u64::from(changes) * 60),
    );
    let total = object.bytes.len();
    let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let unchanged =
        text(header::IF_RANGE).is_none_or(|wanted| wanted == etag || wanted == modified);
    let range = text(header::RANGE).filter(|_| unchanged && !faults.contains(&Fault::IgnoresRange));
    let (status, start, end) = match range.and_then(|range| asked(range, total)) {
        Some(Ok((start, end))) => (StatusCode::PARTIAL_CONTENT, start, end),
        Some(Err(())) => {
            let mut response = error(
                416,
                "InvalidRange",
                "The requested range cannot be satisfied.",
            );
            put(
                &mut response,
                header::CONTENT_RANGE,
                format!("bytes */{total}"),
            );
            return response;
        }
        None => (StatusCode::OK, 0, total),
    };
    let length = end - start;
    let mut response = Response::new(answer::body(object.bytes.slice(start..end), faults));
    *response.status_mut() = status;
    put(&mut response, header::CONTENT_LENGTH, length.to_string());
    put(&mut response, header::ACCEPT_RANGES, "bytes".into());
    put(&mut response, header::ETAG, etag);
    put(&mut response, header::LAST_MODIFIED, modified);
    put(
        &mut response,
        header::CONTENT_TYPE,
        content_type(path).into(),
    );
    if status == StatusCode::PARTIAL_CONTENT {
        put(
            &mut response,
            header::CONTENT_RANGE,
            format!("bytes {start}-{}/{total}", end - 1),
        );
    }
    if let Some((_, disposition)) = query.split_once("response-content-disposition=") {
        put(
            &mut response,
            header::CONTENT_DISPOSITION,
            unescape(disposition),
        );
    }
    if !faults.contains(&Fault::NoMd5) {
        let md5 = if faults.contains(&Fault::WrongMd5) {
            Object::new(Bytes::from_static(b"something else")).md5_base64
        } else {
            object.md5_base64.clone()
        };
        put(
            &mut response,
            HASH,
            format!("crc32c={}", object.crc32c_base64),
        );
        if let Ok(value) = HeaderValue::from_str(&format!("md5={md5}")) {
            response.headers_mut().append(HASH, value);
        }
    }
    response
}

/// The bytes that a range asks for; an error where there are none; `None` where the header is not understood.
fn asked(range: &str, total: usize) -> Option<Result<(usize, usize), ()>> {
    let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
    if from.is_empty() {
        let last: usize = to.parse().ok()?;
        let some = last > 0 && total > 0;
        return Some(if some {
            Ok((total.saturating_sub(last), total))
        } else {
            Err(())
        });
    }
    let from: usize = from.parse().ok()?;
    let end = if to.is_empty() {
        total
    } else {
        to.parse::<usize>().ok()?.saturating_add(1).min(total)
    };
    Some(if from < end { Ok((from, end)) } else { Err(()) })
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("zip") => "application/zip",
        Some("gz") => "application/gzip",
        Some("csv") => "text/csv",
        _ => "application/octet-stream",
    }
}

fn put(response: &mut Response<Body>, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        response.headers_mut().insert(name, value);
    }
}

/// An error in the storage host's XML.
fn error(status: u16, code: &str, message: &str) -> Response<Body> {
    let body = format!(
        "<?xml version='1.0' encoding='UTF-8'?><Error><Code>{code}</Code><Message>{message}</Message></Error>"
    );
    let mut response = Response::new(Body::from(body));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    put(
        &mut response,
        header::CONTENT_TYPE,
        "application/xml; charset=UTF-8".into(),
    );
    response
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |passed| passed.as_secs())
}
