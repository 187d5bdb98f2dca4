//! An OpenAI-compatible endpoint, by async-openai over a transport of ours.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use async_openai::Client;
use async_trait::async_trait;
use http::{HeaderMap, StatusCode};
use reqwest::Url;
use secrecy::SecretString;
use serde_json::Value;
use synth_core::config::{ModelConfig, Provider as Served, Structured};

use crate::call::{Answer, Call};
use crate::patience::Patience;
use crate::retry::{Fault, Provider};
use crate::secret::Credentials;
use crate::transport::{Transport, fault};
use crate::wire::{self, Dialect, Seeds, Unusable};
use crate::{ChatRequest, ModelError};

/// One model of one endpoint.
pub(crate) struct OpenAi {
    name: String,
    model: String,
    structured: Structured,
    seeds: Seeds,
    says_max_completion_tokens: AtomicBool,
    transport: Transport,
    client: Client<Endpoint>,
}

impl OpenAi {
    pub(crate) fn open(
        name: &str,
        config: &ModelConfig,
        base_url: &str,
        patience: &Patience,
    ) -> Result<Self, ModelError> {
        let (transport, endpoint) = connect(name, config, base_url, patience)?;
        let client = Client::build(transport.client().clone(), endpoint)
            .with_http_service(transport.clone());
        Ok(Self {
            name: name.to_owned(),
            model: config.model.clone(),
            structured: config.structured,
            seeds: match (config.provider, config.seeds) {
                (Served::Builtin, _) => Seeds::Always,
                (_, true) => Seeds::WhereSet,
                (_, false) => Seeds::Never,
            },
            says_max_completion_tokens: AtomicBool::new(false),
            transport,
            client,
        })
    }

    async fn chat(&self, request: &ChatRequest, call: Call<'_>) -> Result<Answer, Fault> {
        let mut says_max_completion_tokens = self.says_max_completion_tokens.load(Relaxed);
        let reply = loop {
            let dialect = Dialect {
                structured: self.structured,
                seeds: self.seeds,
                says_max_completion_tokens,
            };
            let body = wire::chat_body(&self.model, request, dialect);
            match self
                .client
                .chat()
                .create_byot::<_, Value>(body)
                .await
                .map_err(|error| fault(&self.name, error))
            {
                Err(fault) if !says_max_completion_tokens && names_the_limit_otherwise(&fault) => {
                    says_max_completion_tokens = true;
                    self.says_max_completion_tokens.store(true, Relaxed);
                }
                reply => break reply?,
            }
        };
        wire::read_chat(&reply, call)
            .map(Answer::Chat)
            .map_err(|unusable| self.unusable(unusable))
    }

    async fn embed(&self, texts: &[String], call: Call<'_>) -> Result<Answer, Fault> {
        let body = wire::embed_body(&self.model, texts);
        let reply: Value = self
            .client
            .embeddings()
            .create_byot(body)
            .await
            .map_err(|error| fault(&self.name, error))?;
        let (vectors, usage) = wire::read_embed(&reply, call, texts.len())
            .map_err(|unusable| self.unusable(unusable))?;
        Ok(Answer::Embed { vectors, usage })
    }

    fn unusable(&self, unusable: Unusable) -> Fault {
        match unusable {
            Unusable::Malformed(message) => Fault::transient(self.transport.malformed(&message)),
            Unusable::Complaint(status, complaint) => {
                // An error that comes as a success without saying more is taken for the endpoint's own trouble.
                let status = status.and_then(|status| StatusCode::from_u16(status).ok());
                self.transport
                    .refused(status.unwrap_or(StatusCode::BAD_GATEWAY), complaint)
            }
        }
    }
}

#[async_trait]
impl Provider for OpenAi {
    async fn attempt(&self, call: Call<'_>) -> Result<Answer, Fault> {
        match call {
            Call::Chat(request) => self.chat(request, call).await,
            Call::Embed(texts) => self.embed(texts, call).await,
        }
    }
}

/// Whether a model refuses `max_tokens` and wants `max_completion_tokens`.
fn names_the_limit_otherwise(fault: &Fault) -> bool {
    matches!(&fault.error, ModelError::Refused { status: 400, code: Some(code), message, .. }
        if code == "unsupported_parameter" && message.contains("max_completion_tokens"))
}

/// Asks for the list of models.
pub(crate) async fn list_models(
    name: &str,
    config: &ModelConfig,
    patience: &Patience,
) -> Result<String, ModelError> {
    let (transport, endpoint) = connect(name, config, &config.base_url, patience)?;
    let host = endpoint.host.clone();
    let url = format!("{}/models", endpoint.base_url);
    let request = transport
        .client()
        .get(url)
        .headers(endpoint.headers)
        .build();
    let request = request.map_err(|error| fault(name, error.into()).error)?;
    match transport
        .exchange(request)
        .await
        .map_err(|fault| fault.error)
    {
        Ok(body) => {
            let body: Value = serde_json::from_str(&body).unwrap_or_default();
            let models: Option<Vec<&str>> =
                body.get("data").and_then(Value::as_array).map(|models| {
                    models
                        .iter()
                        .filter_map(|model| model.get("id")?.as_str())
                        .collect()
                });
            Ok(match models {
                Some(models) if models.contains(&config.model.as_str()) => format!(
                    "`{host}` is there, accepts the key and serves `{}`",
                    config.model
                ),
                Some(models) if !models.is_empty() => {
                    format!(
                        "`{host}` is there and accepts the key, but does not list `{}`",
                        config.model
                    )
                }
                _ => format!("`{host}` is there and accepts the key"),
            })
        }
        Err(ModelError::NotFound { .. }) => Ok(format!(
            "`{host}` is there, but lists no models, so whether it accepts the key is not known"
        )),
        Err(error) => Err(error),
    }
}

fn connect(
    name: &str,
    config: &ModelConfig,
    base_url: &str,
    patience: &Patience,
) -> Result<(Transport, Endpoint), ModelError> {
    let refuse = |message: String| ModelError::Configuration {
        model: name.to_owned(),
        message,
    };
    if config.model.is_empty() {
        return Err(refuse(
            "it has no name at its endpoint; set `model`".to_owned(),
        ));
    }
    let base_url = base_url.trim().trim_end_matches('/');
    if base_url.is_empty() {
        return Err(refuse(
            "it has no endpoint; set `base_url`, for example to `http://localhost:8000/v1`"
                .to_owned(),
        ));
    }
    let url = Url::parse(base_url)
        .ok()
        .filter(|url| matches!(url.scheme(), "http" | "https"));
    let url = url.ok_or_else(|| {
        refuse("its `base_url` is not an http or https address; correct it".to_owned())
    })?;
    let credentials = Arc::new(Credentials::from_environment(name, config)?);
    let transport = Transport::new(name, &url, Arc::clone(&credentials), patience)?;
    let host = url.host_str().unwrap_or_default();
    let host = url
        .port()
        .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
    let headers = credentials.headers.clone();
    Ok((
        transport,
        Endpoint {
            host,
            base_url: base_url.to_owned(),
            headers,
            no_key: SecretString::default(),
        },
    ))
}

/// What async-openai asks about an endpoint. Its own `OpenAIConfig` would send what it finds in `OPENAI_ORG_ID`.
#[derive(Clone)]
struct Endpoint {
    /// For people: the address may hold a password.
    host: String,
    base_url: String,
    headers: HeaderMap,
    /// The key is among the headers.
    no_key: SecretString,
}

impl async_openai::config::Config for Endpoint {
    fn headers(&self) -> HeaderMap {
        self.headers.clone()
    }

    fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base_url)
    }

    fn query(&self) -> Vec<(&str, &str)> {
        Vec::new()
    }

    fn api_base(&self) -> &str {
        &self.base_url
    }

    fn api_key(&self) -> &SecretString {
        &self.no_key
    }
}
