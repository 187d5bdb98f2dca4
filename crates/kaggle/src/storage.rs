//! One request for a file's bytes: to the API for an address, then to the storage host, which gets no credentials.

use std::ops::ControlFlow;

use data_encoding::BASE64;
use reqwest::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue,
    IF_RANGE, LAST_MODIFIED, RANGE,
};
use reqwest::{Response, StatusCode};

use crate::call::Call;
use crate::client::{self, error_body, passing};
use crate::download::Watch;
use crate::fault::{Fault, retry_after};
use crate::part::{Origin, Part};
use crate::{DownloadLimits, Kaggle, KaggleError, Progress, disk};

const MAX_HOPS: usize = 5;
/// How often a storage host may refuse an address that it has just been given.
const MAX_REFUSALS: u32 = 3;
const MAX_DAMAGED: u32 = 2;
/// The disk is looked at again after so many bytes: others write to it too.
const CHECKED_BYTES: u64 = 256 << 20;

/// What a download has come to, over its tries.
#[derive(Debug)]
pub(crate) struct Course {
    /// The farthest that it ever was.
    pub(crate) farthest: u64,
    /// Refusals by the storage host since the last new byte.
    refusals: u32,
    damaged: u32,
}

impl Course {
    /// Of a download of which so many bytes are there.
    pub(crate) fn from(farthest: u64) -> Self {
        Self {
            farthest,
            refusals: 0,
            damaged: 0,
        }
    }
}

impl Kaggle {
    /// Asks for what is missing of `part` and appends it. Done when it is whole and its hash, if there is one, is right.
    pub(crate) async fn fetch(
        &self,
        call: &Call,
        part: &mut Part,
        limits: &DownloadLimits,
        course: &mut Course,
        progress: &Watch<'_>,
    ) -> Result<(), Fault> {
        let response = self.response(call, &HeaderMap::new()).await?;
        let resumed = part.origin.validator().filter(|_| part.len > 0);
        let (response, resumed) = if response.status().is_redirection() {
            let resumed = resumed.map(str::to_owned);
            let response = self
                .ask_storage(call, response, part.len, resumed.as_deref())
                .await?;
            (response, resumed.is_some())
        } else {
            check_direct(call, &response)?;
            (response, false)
        };
        let status = response.status();
        match status.as_u16() {
            200 => {
                let origin = origin(&response);
                check_size(&call.what, origin.total, limits.max_bytes)?;
                self.check_disk(part, origin.total)?;
                part.restart(origin).await.map_err(Fault::Final)?;
            }
            206 if resumed => {
                let (from, total) = range(&response)
                    .ok_or_else(|| Fault::transient("a part came that does not say which"))?;
                let new = origin(&response);
                let known = &part.origin;
                let is_other = from != part.len
                    || known.total.is_some_and(|known| known != total)
                    || new.etag.is_some() && known.etag.is_some() && new.etag != known.etag;
                if is_other {
                    part.forget().await.map_err(Fault::Final)?;
                    return Err(Fault::transient("a part of something else came"));
                }
                check_size(&call.what, Some(total), limits.max_bytes)?;
                self.check_disk(part, Some(total))?;
                part.origin.total = Some(total);
                part.origin.md5 = part.origin.md5.or(new.md5);
            }
            416 => {
                part.forget().await.map_err(Fault::Final)?;
                return Err(Fault::transient("what is there is no part of it any more"));
            }
            _ => {
                let retry_after = retry_after(response.headers());
                let body = error_body(response).await;
                return Err(refusal(call, status, retry_after, &body, course));
            }
        }
        let streamed = self
            .stream(call, response, part, limits, course, progress)
            .await;
        part.flush().await.map_err(Fault::Final)?;
        streamed?;
        check_whole(call, part, course).await
    }

    /// Follows a redirect to the storage host. Nothing that says who asks goes there, nor what the body is: there is none.
    async fn ask_storage(
        &self,
        call: &Call,
        redirect: Response,
        from: u64,
        validator: Option<&str>,
    ) -> Result<Response, Fault> {
        let mut base = redirect.url().clone();
        let mut redirect = redirect;
        for _ in 0..MAX_HOPS {
            let target = client::target(&base, &redirect)
                .filter(|target| base.scheme() != "https" || target.scheme() == "https");
            let Some(target) = target else {
                return Err(Fault::Final(KaggleError::Refused {
                    call: call.name,
                    status: redirect.status().as_u16(),
                    message: "it leads to no address that may be followed".to_owned(),
                }));
            };
            let mut request = self.client.get(target.clone());
            if let Some(validator) = validator.and_then(|text| HeaderValue::from_str(text).ok()) {
                request = request
                    .header(RANGE, format!("bytes={from}-"))
                    .header(IF_RANGE, validator);
            }
            let response = request.send().await.map_err(|error| passing(&error))?;
            let status = response.status();
            if !status.is_redirection() || status == StatusCode::NOT_MODIFIED {
                return Ok(response);
            }
            base = target;
            redirect = response;
        }
        Err(Fault::transient("the storage host redirects in a circle"))
    }

    async fn stream(
        &self,
        call: &Call,
        mut response: Response,
        part: &mut Part,
        limits: &DownloadLimits,
        course: &mut Course,
        progress: &Watch<'_>,
    ) -> Result<(), Fault> {
        let total = part.origin.total;
        let report = |bytes| progress(Progress { bytes, total });
        stop_if(report(part.len), call)?;
        let mut unchecked = 0;
        while let Some(chunk) = response.chunk().await.map_err(|error| passing(&error))? {
            let len = part.len + chunk.len() as u64;
            check_size(&call.what, Some(len), limits.max_bytes)?;
            if total.is_some_and(|total| len > total) {
                part.forget().await.map_err(Fault::Final)?;
                return Err(Fault::transient("more came than was announced"));
            }
            unchecked += chunk.len() as u64;
            if unchecked >= CHECKED_BYTES {
                self.check_disk(part, total)?;
                unchecked = 0;
            }
            part.append(&chunk).await.map_err(Fault::Final)?;
            if part.len > course.farthest {
                course.farthest = part.len;
                course.refusals = 0;
            }
            let far_enough = report(part.len);
            if total != Some(part.len) {
                stop_if(far_enough, call)?;
            }
        }
        Ok(())
    }

    /// Whether what is missing has room.
    fn check_disk(&self, part: &Part, total: Option<u64>) -> Result<(), Fault> {
        let folder = part
            .path()
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let missing = total.unwrap_or(part.len).saturating_sub(part.len);
        let min_free = self.options.min_free_bytes;
        disk::check(folder.unwrap_or(".".as_ref()), missing, min_free).map_err(Fault::Final)
    }
}

fn check_size(what: &str, bytes: Option<u64>, max: u64) -> Result<(), Fault> {
    match bytes {
        Some(bytes) if bytes > max => Err(Fault::Final(KaggleError::TooLarge {
            what: what.to_owned(),
            bytes,
            max,
        })),
        _ => Ok(()),
    }
}

fn stop_if(far_enough: ControlFlow<()>, call: &Call) -> Result<(), Fault> {
    match far_enough {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Fault::Final(KaggleError::Stopped {
            what: call.what.clone(),
        })),
    }
}

/// The API gives some files itself; a page or a message in the place of one is none.
fn check_direct(call: &Call, response: &Response) -> Result<(), Fault> {
    let kind = response
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|kind| kind.to_str().ok())
        .unwrap_or_default();
    let ending = call.what.rsplit('.').next().unwrap_or_default();
    let is_message = [
        ("text/html", ["html", "htm"]),
        ("application/json", ["json", "geojson"]),
    ]
    .iter()
    .any(|(message, endings)| kind.starts_with(message) && !endings.contains(&ending));
    if is_message || response.status() != StatusCode::OK {
        return Err(Fault::Final(KaggleError::Refused {
            call: call.name,
            status: response.status().as_u16(),
            message: format!("`{kind}` came instead of a file"),
        }));
    }
    Ok(())
}

/// What an answer of the storage host means that brings no bytes. What is there of the file stays as it is.
fn refusal(
    call: &Call,
    status: StatusCode,
    retry_after: Option<std::time::Duration>,
    body: &[u8],
    course: &mut Course,
) -> Fault {
    // The code within S3's and GCS' XML; the rest can quote the signature.
    let text = String::from_utf8_lossy(body);
    let code = text
        .split_once("<Code>")
        .and_then(|(_, rest)| rest.split_once("</Code>"))
        .map_or("no reason", |(code, _)| code)
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(60)
        .collect::<String>();
    let message = format!("the storage host answers {status}: {code}");
    match status.as_u16() {
        429 => Fault::Throttled {
            message,
            retry_after,
        },
        408 | 425 | 500..=599 => Fault::Transient {
            message,
            retry_after,
        },
        // An address expires; the next try asks for a new one.
        400 | 401 | 403 | 404 | 410 if course.refusals < MAX_REFUSALS => {
            course.refusals += 1;
            Fault::transient(message)
        }
        code => Fault::Final(KaggleError::Refused {
            call: call.name,
            status: code,
            message,
        }),
    }
}

async fn check_whole(call: &Call, part: &mut Part, course: &mut Course) -> Result<(), Fault> {
    if part.origin.total.is_some_and(|total| part.len < total) {
        return Err(Fault::transient("the connection ended too early"));
    }
    let Some(expected) = part.origin.md5 else {
        return Ok(());
    };
    if part.md5() == expected {
        return Ok(());
    }
    part.forget().await.map_err(Fault::Final)?;
    course.damaged += 1;
    if course.damaged >= MAX_DAMAGED {
        return Err(Fault::Final(KaggleError::Corrupt {
            what: call.what.clone(),
            message: "its MD5 is not the one that the storage host gives".to_owned(),
        }));
    }
    Err(Fault::transient("what came has another MD5"))
}

fn origin(response: &Response) -> Origin {
    let headers = response.headers();
    Origin {
        artifact: String::new(),
        etag: client::header_of(headers, &ETAG),
        last_modified: client::header_of(headers, &LAST_MODIFIED),
        total: headers
            .get(CONTENT_LENGTH)
            .and_then(|length| length.to_str().ok()?.parse().ok()),
        md5: md5(headers),
    }
}

/// The MD5 of what comes, where the storage host gives it. A content that was stored compressed comes decompressed.
fn md5(headers: &HeaderMap) -> Option<[u8; 16]> {
    let is_encoded = |name: &str| {
        headers.get(name).is_some_and(|encoding| {
            let encoding = encoding.as_bytes();
            !encoding.is_empty() && encoding != b"identity"
        })
    };
    if is_encoded("x-goog-stored-content-encoding") || is_encoded(CONTENT_ENCODING.as_str()) {
        return None;
    }
    headers
        .get_all("x-goog-hash")
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(|pair| pair.trim().strip_prefix("md5="))
        .and_then(|text| BASE64.decode(text.as_bytes()).ok())
        .and_then(|bytes| bytes.try_into().ok())
}

/// Where a part begins, and how long the whole is.
fn range(response: &Response) -> Option<(u64, u64)> {
    let text = response.headers().get(CONTENT_RANGE)?.to_str().ok()?;
    let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (from, to) = range.split_once('-')?;
    let (from, to, total): (u64, u64, u64) =
        (from.parse().ok()?, to.parse().ok()?, total.parse().ok()?);
    (from <= to && to < total).then_some((from, total))
}
