//! The client: sends calls to the API's own host and nowhere else, paces them, and tries again what may pass.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue, LOCATION};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, Response, StatusCode, Url};
use serde_json::Value;

use crate::call::Call;
use crate::fault::{self, Fault};
use crate::pace::Limiter;
use crate::tries::Tries;
use crate::{Dialect, KaggleError, KaggleOptions, decode};

const MAX_ERROR_BYTES: u64 = 64 << 10;
/// Redirects of a call within the API's host.
const MAX_HOPS: usize = 5;

/// A client of Kaggle. It is made once and shared; its limits are its own.
pub struct Kaggle {
    pub(crate) options: KaggleOptions,
    pub(crate) client: Client,
    rpc: Url,
    rest: Url,
    authorization: Option<HeaderValue>,
    pub(crate) api: Limiter,
    pub(crate) downloads: Limiter,
    /// The calls that RPC has been seen not to serve.
    rest_only: Mutex<HashSet<&'static str>>,
}

impl std::fmt::Debug for Kaggle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Kaggle")
            .field("rpc", &self.rpc.as_str())
            .field("credentials", &self.options.credentials)
            .finish_non_exhaustive()
    }
}

/// A whole answer.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Kaggle {
    /// Opens a client. Nothing is sent yet. Fails when the options cannot work.
    pub fn open(options: KaggleOptions) -> Result<Self, KaggleError> {
        let refuse = |message: String| KaggleError::Configuration { message };
        let host = options
            .host
            .as_deref()
            .map(|host| host.trim_end_matches('/').to_owned());
        let (rpc, rest) = match &host {
            Some(host) => (format!("{host}/api/v1"), format!("{host}/api/v1")),
            None => (
                "https://api.kaggle.com/v1".to_owned(),
                "https://www.kaggle.com/api/v1".to_owned(),
            ),
        };
        let parse = |text: &str| {
            let url = Url::parse(text)
                .ok()
                .filter(|url| url.has_host() && ["http", "https"].contains(&url.scheme()));
            url.ok_or_else(|| {
                refuse(format!(
                    "`{text}` is not an address; correct `kaggle.host`, as in \"http://127.0.0.1:8080\""
                ))
            })
        };
        let (rpc, rest) = (parse(&rpc)?, parse(&rest)?);
        let is_local = is_local(&rpc);
        if rpc.scheme() == "http" && !is_local && !options.credentials.is_anonymous() {
            return Err(refuse(format!(
                "`{rpc}` would be sent credentials in the clear; let `kaggle.host` begin with https://"
            )));
        }
        let mut client = Client::builder()
            .user_agent(concat!("synth/", env!("CARGO_PKG_VERSION")))
            // Redirects are followed by hand: what goes to which host differs. There is no cookie store.
            .redirect(Policy::none())
            .referer(false)
            .https_only(host.is_none())
            .connect_timeout(options.connect_timeout)
            .read_timeout(options.silence);
        if is_local {
            client = client.no_proxy();
        }
        let client = client
            .build()
            .map_err(|error| refuse(format!("no HTTP client can be made: {error}")))?;
        Ok(Self {
            client,
            rpc,
            rest,
            authorization: options.credentials.header()?,
            api: Limiter::new(options.concurrency, options.requests_per_minute),
            downloads: Limiter::new(options.downloads, options.requests_per_minute),
            rest_only: Mutex::default(),
            options,
        })
    }

    /// Whether nobody asks: only a few calls about datasets work then.
    pub fn is_anonymous(&self) -> bool {
        self.options.credentials.is_anonymous()
    }

    /// The parsed answer of a call, and its headers.
    pub(crate) async fn json(
        &self,
        call: &Call,
        headers: &HeaderMap,
    ) -> Result<(Answer, Value), KaggleError> {
        let answer = self.ask(call, headers).await?;
        if answer.status == StatusCode::NOT_MODIFIED {
            return Ok((answer, Value::Null));
        }
        let value = decode::parse(call.name, &answer.body)?;
        Ok((answer, value))
    }

    /// Makes a call, again where a fault may pass, in the wire form that is served.
    async fn ask(&self, call: &Call, headers: &HeaderMap) -> Result<Answer, KaggleError> {
        let _place = self.api.enter().await;
        let mut tries = Tries::new(call, &self.api, self.options.patience);
        loop {
            tries.begin().await;
            let attempt = self.answer(call, headers);
            let result = match tokio::time::timeout(self.options.call_timeout, attempt).await {
                Ok(result) => result,
                Err(_) => Err(Fault::transient(format!(
                    "no whole answer within {:?}",
                    self.options.call_timeout
                ))),
            };
            match result {
                Ok(answer) => return Ok(answer),
                Err(fault) => tries.failed(fault).await?,
            }
        }
    }

    /// One answer to a call, read whole.
    async fn answer(&self, call: &Call, headers: &HeaderMap) -> Result<Answer, Fault> {
        let response = self.response(call, headers).await?;
        let (status, headers) = (response.status(), response.headers().clone());
        if status.is_redirection() && status != StatusCode::NOT_MODIFIED {
            return Err(Fault::Final(KaggleError::Refused {
                call: call.name,
                status: status.as_u16(),
                message: "it leads to another host, where this call has no business".to_owned(),
            }));
        }
        let body = body(response, self.options.max_body_bytes, call).await?;
        Ok(Answer {
            status,
            headers,
            body,
        })
    }

    /// The answer to a call, its body unread: a success, `304`, or a redirect to another host. All else is a fault.
    pub(crate) async fn response(
        &self,
        call: &Call,
        headers: &HeaderMap,
    ) -> Result<Response, Fault> {
        if self.is_anonymous() && !call.is_open {
            return Err(Fault::Final(KaggleError::Unauthenticated {
                message: self.options.credentials.advice(),
            }));
        }
        let is_known = {
            let rest_only = self
                .rest_only
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            rest_only.contains(call.name)
        };
        match self.options.dialect {
            Dialect::Rpc => return self.send(call, call.rpc(&self.rpc), headers).await,
            Dialect::Rest => return self.send(call, call.rest(&self.rest), headers).await,
            Dialect::Auto if is_known => {
                return self.send(call, call.rest(&self.rest), headers).await;
            }
            Dialect::Auto => {}
        }
        match self.send(call, call.rpc(&self.rpc), headers).await {
            Err(Fault::NotServed(_)) => {
                // Either this form is not served, or there is no such thing: the other form tells.
                self.api.pace().await;
                let response = self.send(call, call.rest(&self.rest), headers).await?;
                self.rest_only
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(call.name);
                Ok(response)
            }
            other => other,
        }
    }

    /// Sends one request, following redirects within the API's host.
    async fn send(
        &self,
        call: &Call,
        (mut method, mut url, mut body): (Method, Url, Option<Value>),
        headers: &HeaderMap,
    ) -> Result<Response, Fault> {
        for _ in 0..MAX_HOPS {
            let mut request = self
                .client
                .request(method.clone(), url.clone())
                .headers(headers.clone());
            if let Some(authorization) = &self.authorization {
                request = request.header(AUTHORIZATION, authorization);
            }
            if let Some(body) = &body {
                request = request.json(body);
            }
            let response = request.send().await.map_err(|error| passing(&error))?;
            let status = response.status();
            if status.is_success() || status == StatusCode::NOT_MODIFIED {
                return Ok(response);
            }
            if status.is_redirection() {
                let target = target(&url, &response);
                match target {
                    Some(target) if target.origin() == url.origin() => {
                        // As browsers do: only 307 and 308 send the same request again.
                        if ![307, 308].contains(&status.as_u16()) {
                            method = Method::GET;
                            body = None;
                        }
                        url = target;
                        continue;
                    }
                    _ => return Ok(response),
                }
            }
            let headers = response.headers().clone();
            let body = error_body(response).await;
            let options = &self.options;
            return Err(fault::of_answer(
                call,
                status,
                &headers,
                &body,
                &options.web,
                &options.credentials,
            ));
        }
        Err(Fault::Final(KaggleError::Refused {
            call: call.name,
            status: 310,
            message: "it redirects in a circle".to_owned(),
        }))
    }
}

/// Where a redirect leads.
pub(crate) fn target(from: &Url, response: &Response) -> Option<Url> {
    let location = response.headers().get(LOCATION)?.to_str().ok()?;
    let url = from.join(location).ok()?;
    ["http", "https"].contains(&url.scheme()).then_some(url)
}

/// The first bytes of an error's body; an error while reading it changes nothing.
pub(crate) async fn error_body(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() as u64 >= MAX_ERROR_BYTES {
            break;
        }
    }
    body
}

async fn body(mut response: Response, max: u64, call: &Call) -> Result<Vec<u8>, Fault> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| passing(&error))? {
        body.extend_from_slice(&chunk);
        if body.len() as u64 > max {
            return Err(Fault::Final(KaggleError::TooLarge {
                what: format!("the answer of {} about {}", call.name, call.what),
                bytes: body.len() as u64,
                max,
            }));
        }
    }
    Ok(body)
}

/// A failure of the connection. Its text goes without the address, whose query may be a signature.
pub(crate) fn passing(error: &reqwest::Error) -> Fault {
    let what = if error.is_timeout() {
        "nothing came in time"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    };
    let mut source = std::error::Error::source(error);
    let mut text = what.to_owned();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !cause_text.contains("://") {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    Fault::transient(text)
}

pub(crate) fn header_of(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    headers
        .get(name)
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned)
}

fn is_local(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let host = host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost"
            || host
                .parse::<std::net::IpAddr>()
                .is_ok_and(|address| address.is_loopback())
    })
}
