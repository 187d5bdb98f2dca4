//! The HTTP below async-openai: sends a request once, reads the reply within bounds, and gives every failure a name.
//!
//! async-openai's own way would retry behind our back, read replies without bound, log their bodies, and report a 429
//! whose body is in no form it knows as bad JSON.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::SystemTime;

use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use http::StatusCode;
use reqwest::redirect::Policy;
use reqwest::{Client, Request, Response, Url};
use serde_json::Value;

use crate::ModelError;
use crate::patience::{Patience, retry_after};
use crate::retry::Fault;
use crate::secret::Credentials;
use crate::wire::{Complaint, plain, read_complaint};

/// Of a reply that is no success, only this much is read.
const MAX_COMPLAINT_BYTES: usize = 64 << 10;

/// Sends requests, each once.
#[derive(Clone)]
pub(crate) struct Transport {
    name: Arc<str>,
    client: Client,
    credentials: Arc<Credentials>,
    max_reply_bytes: usize,
}

impl Transport {
    pub(crate) fn new(
        name: &str,
        base_url: &Url,
        credentials: Arc<Credentials>,
        patience: &Patience,
    ) -> Result<Self, ModelError> {
        let mut builder = Client::builder()
            .user_agent(concat!("synth/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(patience.connect)
            .read_timeout(patience.silence)
            .timeout(patience.request)
            // A redirected POST may lose its body, and headers of ours would go to a host nobody named.
            .redirect(Policy::none());
        if is_loopback(base_url) {
            builder = builder.no_proxy();
        }
        let client = builder.build().map_err(|error| ModelError::Configuration {
            model: name.to_owned(),
            message: format!(
                "no HTTP client can be built: {}; check the proxy and certificate settings",
                chain(&error)
            ),
        })?;
        Ok(Self {
            name: name.into(),
            client,
            credentials,
            max_reply_bytes: patience.max_reply_bytes,
        })
    }

    pub(crate) fn client(&self) -> &Client {
        &self.client
    }

    /// Sends a request and reads the reply, which is JSON without any secret of ours.
    pub(crate) async fn exchange(&self, request: Request) -> Result<String, Fault> {
        let mut response = self
            .client
            .execute(request)
            .await
            .map_err(|error| self.disconnected(error))?;
        let status = response.status();
        if !status.is_success() {
            let retry_after = retry_after(response.headers(), SystemTime::now());
            // The status tells enough: a complaint that is cut short is still one.
            let (bytes, _) = self
                .read(&mut response, MAX_COMPLAINT_BYTES)
                .await
                .unwrap_or_default();
            let complaint = read_complaint(&String::from_utf8_lossy(&bytes));
            return Err(Fault {
                retry_after,
                ..self.refused(status, complaint)
            });
        }
        let (bytes, is_whole) = self.read(&mut response, self.max_reply_bytes).await?;
        if !is_whole {
            // To fetch all of it again would only cost again.
            return Err(Fault::permanent(self.malformed(&format!(
                "it is larger than {} bytes",
                self.max_reply_bytes
            ))));
        }
        let text = match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        };
        let text = self.credentials.scrub_reply(text);
        match serde_json::from_str::<Value>(&text) {
            Ok(_) => Ok(text),
            Err(error) => Err(Fault::transient(
                self.malformed(&format!("it is not JSON ({error}): {}", plain(&text))),
            )),
        }
    }

    /// The fault behind a status and what was said with it.
    pub(crate) fn refused(&self, status: StatusCode, complaint: Complaint) -> Fault {
        let model = self.name.to_string();
        let message = self.credentials.scrub_message(&complaint.message);
        let code = complaint.code.or(complaint.kind.clone());
        let names =
            |name: &str| code.as_deref() == Some(name) || complaint.kind.as_deref() == Some(name);
        let status_code = status.as_u16();
        match status_code {
            402 => Fault::permanent(ModelError::QuotaExceeded { model, message }),
            429 if names("insufficient_quota") || names("billing_hard_limit_reached") => {
                Fault::permanent(ModelError::QuotaExceeded { model, message })
            }
            401 => Fault::permanent(ModelError::Unauthorized {
                model,
                status: status_code,
                message,
            }),
            403 if !complaint.is_moderation => Fault::permanent(ModelError::Unauthorized {
                model,
                status: status_code,
                message,
            }),
            404 => Fault::permanent(ModelError::NotFound { model, message }),
            300..=399 => {
                let message = format!(
                    "its endpoint redirects ({status_code}); set `base_url` to where it redirects to"
                );
                Fault::permanent(ModelError::Configuration { model, message })
            }
            408 | 409 | 425 | 429 | 500..=599 => Fault {
                is_overload: matches!(status_code, 429 | 503 | 529),
                ..Fault::transient(ModelError::Unavailable {
                    model,
                    status: status_code,
                    message,
                })
            },
            _ => Fault::permanent(ModelError::Refused {
                model,
                status: status_code,
                code,
                message,
            }),
        }
    }

    pub(crate) fn malformed(&self, message: &str) -> ModelError {
        ModelError::Malformed {
            model: self.name.to_string(),
            message: self.credentials.scrub_message(message),
        }
    }

    fn disconnected(&self, error: reqwest::Error) -> Fault {
        let is_ours = error.is_builder();
        let is_timeout = error.is_timeout();
        // The address may hold a password.
        let what = chain(&error.without_url());
        let what = if is_timeout {
            format!("it timed out ({what})")
        } else {
            what
        };
        let (model, message) = (self.name.to_string(), self.credentials.scrub_message(&what));
        if is_ours {
            let message = format!("no request can be made of it: {message}; correct `base_url`");
            Fault::permanent(ModelError::Configuration { model, message })
        } else {
            Fault::transient(ModelError::Connection { model, message })
        }
    }

    /// Up to `max_bytes` of the body, and whether that is all of it.
    async fn read(
        &self,
        response: &mut Response,
        max_bytes: usize,
    ) -> Result<(Vec<u8>, bool), Fault> {
        let mut bytes = Vec::new();
        while let Some(chunk) = response
            .chunk()
            .await
            .map_err(|error| self.disconnected(error))?
        {
            let room = max_bytes - bytes.len();
            bytes.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if chunk.len() > room {
                return Ok((bytes, false));
            }
        }
        Ok((bytes, true))
    }
}

impl tower_service::Service<HttpRequestFactory> for Transport {
    type Response = Response;
    type Error = OpenAIError;
    type Future = Pin<Box<dyn Future<Output = Result<Response, OpenAIError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), OpenAIError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, factory: HttpRequestFactory) -> Self::Future {
        let transport = self.clone();
        Box::pin(async move {
            let request = factory.build().await?;
            let body = transport
                .exchange(request)
                .await
                .map_err(|fault| OpenAIError::Boxed(Box::new(fault)))?;
            Ok(http::Response::new(body).into())
        })
    }
}

/// The fault that [`Transport`] handed through async-openai.
pub(crate) fn fault(name: &str, error: OpenAIError) -> Fault {
    let error = match error {
        OpenAIError::Boxed(error) => match error.downcast::<Fault>() {
            Ok(fault) => return *fault,
            Err(_) => "an unknown fault of the HTTP client".to_owned(),
        },
        OpenAIError::Reqwest(error) => chain(&error.without_url()),
        OpenAIError::JSONDeserialize(error, _) => error.to_string(),
        // The texts of the rest may quote anything.
        _ => "the HTTP client refused the request".to_owned(),
    };
    let message =
        format!("no request can be made of it: {error}; correct `base_url` and `headers`");
    Fault::permanent(ModelError::Configuration {
        model: name.to_owned(),
        message,
    })
}

/// An error and its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

fn is_loopback(url: &Url) -> bool {
    let Some(host) = url.host_str() else {
        return false;
    };
    let host = host.trim_matches(['[', ']']);
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}
