//! A Docker Engine: reached when it is needed, given up for a while when it does not answer.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bollard::errors::Error as EngineError;
use bollard::query_parameters::{EventsOptionsBuilder, RemoveContainerOptionsBuilder};
use bollard::{API_DEFAULT_VERSION, Docker};
use futures::StreamExt;
use synth_core::config::DockerEndpoint;
use tokio::sync::Mutex as AsyncMutex;
use tokio::time::timeout;

use super::owner::{Owner, now};
use super::{image, sweep};
use crate::SandboxError;

/// Where the Engine listens on this machine if nothing else is said.
const LOCAL: &str = "unix:///var/run/docker.sock";
/// For a request that moves no data; the Engine takes its time on a busy machine.
const REQUEST_SECONDS: u64 = 120;
const HELLO: Duration = Duration::from_secs(10);
const FIRST_BACKOFF: Duration = Duration::from_secs(1);
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

/// An Engine.
pub struct Host {
    /// Its address, by which people know it.
    pub name: String,
    /// How many sandboxes it may have at once.
    pub slots: usize,
    endpoint: DockerEndpoint,
    connection: AsyncMutex<Option<Docker>>,
    health: Mutex<Health>,
    /// The images that were looked at and are as they should be.
    images: AsyncMutex<HashSet<String>>,
    /// The data volumes that are filled and held by a container of ours.
    pub(super) volumes: AsyncMutex<HashSet<String>>,
}

#[derive(Default)]
struct Health {
    failures: u32,
    down_until: Option<Instant>,
    taken: usize,
}

impl Host {
    /// The host of this endpoint; nothing is asked of it yet.
    pub fn new(endpoint: DockerEndpoint, slots: usize) -> Self {
        Self {
            name: endpoint.url.clone(),
            slots: if endpoint.slots == 0 {
                slots
            } else {
                endpoint.slots
            },
            endpoint,
            connection: AsyncMutex::default(),
            health: Mutex::default(),
            images: AsyncMutex::default(),
            volumes: AsyncMutex::default(),
        }
    }

    /// The connection, made first if there is none: what dead owners left is swept then.
    pub async fn engine(&self, owner: &Owner) -> Result<Docker, SandboxError> {
        let mut connection = self.connection.lock().await;
        if let Some(docker) = &*connection {
            return Ok(docker.clone());
        }
        let docker = match connect(&self.endpoint).await {
            Ok(docker) => docker,
            Err(error) => {
                drop(connection);
                return Err(self.failed("connect", &error));
            }
        };
        sweep::sweep(&docker, owner).await;
        self.images.lock().await.clear();
        self.volumes.lock().await.clear();
        *connection = Some(docker.clone());
        let mut health = self.health();
        (health.failures, health.down_until) = (0, None);
        Ok(docker)
    }

    /// A connection of its own, without anything else.
    pub async fn connect(&self) -> Result<Docker, SandboxError> {
        connect(&self.endpoint)
            .await
            .map_err(|error| self.failed("connect", &error))
    }

    /// Sees to it that the image is there and is what this version makes.
    pub async fn check_image(
        &self,
        docker: &Docker,
        name: &str,
        fingerprint: &str,
    ) -> Result<(), SandboxError> {
        let mut images = self.images.lock().await;
        if images.contains(name) {
            return Ok(());
        }
        let found = image::fingerprint_on(docker, name).await;
        match found.map_err(|error| self.failed("look for the image", &error))? {
            Some(found) if found == fingerprint => {
                images.insert(name.to_owned());
                Ok(())
            }
            found => Err(SandboxError::Image(format!(
                "the image `{name}` {} on `{}`; run `synth sandbox build`",
                if found.is_some() {
                    "was made by another version"
                } else {
                    "is not"
                },
                self.name
            ))),
        }
    }

    /// Turns an Engine's failure into ours; one of the connection takes the host down for a while.
    pub fn failed(&self, what: &str, error: &EngineError) -> SandboxError {
        if !is_loss(error) {
            return SandboxError::Docker {
                what: format!("{what} on `{}`", self.name),
                why: error.to_string(),
            };
        }
        self.down(&error.to_string())
    }

    /// Takes the host down for a while, longer each time that it happens in a row.
    pub fn down(&self, why: &str) -> SandboxError {
        let mut health = self.health();
        if health
            .down_until
            .is_none_or(|until| until <= Instant::now())
        {
            let wait = FIRST_BACKOFF
                .saturating_mul(1 << health.failures.min(10))
                .min(LONGEST_BACKOFF);
            health.failures += 1;
            health.down_until = Some(Instant::now() + wait);
            tracing::warn!(host = self.name, why, "a Docker host does not answer");
        }
        drop(health);
        // Whoever holds it is about to find out for itself.
        if let Ok(mut connection) = self.connection.try_lock() {
            *connection = None;
        }
        SandboxError::Unavailable {
            host: self.name.clone(),
            why: why.to_owned(),
        }
    }

    /// Whether the host may be asked for something.
    pub fn is_up(&self) -> bool {
        self.health()
            .down_until
            .is_none_or(|until| until <= Instant::now())
    }

    /// Slots that are free.
    pub fn free(&self) -> usize {
        self.slots.saturating_sub(self.health().taken)
    }

    pub(super) fn take_slot(&self) {
        self.health().taken += 1;
    }

    pub(super) fn free_slot(&self) {
        let mut health = self.health();
        health.taken = health.taken.saturating_sub(1);
    }

    fn health(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes a container with all that runs in it; one that is gone already is as good.
    pub async fn remove(&self, docker: &Docker, container: &str) {
        let options = RemoveContainerOptionsBuilder::new()
            .force(true)
            .v(true)
            .build();
        if let Err(error) = docker.remove_container(container, Some(options)).await
            && !matches!(
                error,
                EngineError::DockerResponseServerError {
                    status_code: 404 | 409,
                    ..
                }
            )
        {
            tracing::debug!(host = self.name, container, %error, "a container was not removed");
        }
    }
}

/// What an Engine knows of a container's end.
#[derive(Clone, Copy, Debug, Default)]
pub struct LastWords {
    /// Whether the kernel ended something in it for want of memory.
    pub memory: bool,
    /// How its process 1 ended.
    pub exit: Option<i64>,
}

/// What the Engine tells of a container; with `until_death`, its end is waited for a little.
pub async fn last_words(
    docker: &Docker,
    container: &str,
    until_death: bool,
) -> Result<LastWords, EngineError> {
    let filters = HashMap::from([
        ("container", vec![container.to_owned()]),
        ("event", vec!["oom".to_owned(), "die".to_owned()]),
    ]);
    let now = now();
    let options = EventsOptionsBuilder::new()
        .since(&now.saturating_sub(24 * 3600).to_string())
        .until(&(now + if until_death { 3 } else { 0 }).to_string())
        .filters(&filters)
        .build();
    let mut events = Box::pin(docker.events(Some(options)));
    let mut words = LastWords::default();
    while let Some(event) = events.next().await {
        let event = event?;
        match event.action.as_deref() {
            Some("oom") => words.memory = true,
            Some("die") => {
                let attributes = event.actor.and_then(|actor| actor.attributes);
                let code =
                    attributes.and_then(|attributes| attributes.get("exitCode")?.parse().ok());
                words.exit = code.or(Some(-1));
                break;
            }
            _ => {}
        }
    }
    Ok(words)
}

/// Whether the Engine could not be reached, rather than refused.
pub fn is_loss(error: &EngineError) -> bool {
    matches!(
        error,
        EngineError::IOError { .. }
            | EngineError::HyperResponseError { .. }
            | EngineError::HyperLegacyError { .. }
            | EngineError::HttpClientError { .. }
            | EngineError::RequestTimeoutError
            | EngineError::SocketNotFoundError(_)
    )
}

/// A connection whose API version both sides know.
pub async fn connect(endpoint: &DockerEndpoint) -> Result<Docker, EngineError> {
    let url = endpoint.url.as_str();
    let given = |path: &Path| !path.as_os_str().is_empty();
    let docker = if url.starts_with("unix://") {
        Docker::connect_with_unix(url, REQUEST_SECONDS, API_DEFAULT_VERSION)?
    } else if given(&endpoint.cert) && given(&endpoint.key) && given(&endpoint.ca) {
        let DockerEndpoint { key, cert, ca, .. } = endpoint;
        Docker::connect_with_ssl(url, key, cert, ca, REQUEST_SECONDS, API_DEFAULT_VERSION)?
    } else if url.starts_with("tcp://") || url.starts_with("http://") {
        Docker::connect_with_http(url, REQUEST_SECONDS, API_DEFAULT_VERSION)?
    } else {
        return Err(EngineError::UnsupportedURISchemeError {
            uri: format!("{url}` (use unix://, or tcp:// with `ca`, `cert` and `key` for TLS)"),
        });
    };
    timeout(HELLO, docker.negotiate_version())
        .await
        .map_err(|_| EngineError::RequestTimeoutError)?
}

/// The endpoints that are configured; the one of `DOCKER_HOST` or this machine's if none is.
pub fn endpoints(hosts: &[synth_core::config::DockerHost]) -> Vec<DockerEndpoint> {
    if hosts.is_empty() {
        let url = std::env::var("DOCKER_HOST").unwrap_or_else(|_| LOCAL.to_owned());
        return vec![DockerEndpoint {
            url,
            ..DockerEndpoint::default()
        }];
    }
    hosts
        .iter()
        .map(synth_core::config::DockerHost::endpoint)
        .collect()
}
