//! How a client is set up: where Kaggle is, who asks, and how patiently.

use std::time::Duration;

use synth_core::config::KaggleConfig;

use crate::{Credentials, KaggleError, Patience};

/// The wire form that calls take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// RPC, and REST for the calls that RPC does not serve.
    #[default]
    Auto,
    /// RPC only.
    Rpc,
    /// REST only.
    Rest,
}

/// How a client is set up.
#[derive(Clone, Debug)]
pub struct KaggleOptions {
    /// The API's address where it is not Kaggle's own; it serves both wire forms under `/api/v1`.
    pub host: Option<String>,
    /// Where a person finds the pages that errors name.
    pub web: String,
    /// Who asks.
    pub credentials: Credentials,
    /// The wire form.
    pub dialect: Dialect,
    /// API calls a minute; 0 means no limit.
    pub requests_per_minute: u32,
    /// API calls in flight.
    pub concurrency: usize,
    /// Downloads in flight.
    pub downloads: usize,
    /// How long a call is tried.
    pub patience: Patience,
    /// How long a download is tried without a new byte.
    pub download_patience: Patience,
    /// How long connecting may take.
    pub connect_timeout: Duration,
    /// How long the other side may be silent.
    pub silence: Duration,
    /// How long a call may take as a whole, one try.
    pub call_timeout: Duration,
    /// How long a download may take as a whole, with all its tries.
    pub download_timeout: Duration,
    /// The largest answer of a call.
    pub max_body_bytes: u64,
    /// Pages of a list, at most.
    pub max_pages: u32,
    /// Bytes of the disk that a download leaves free.
    pub min_free_bytes: u64,
}

impl KaggleOptions {
    /// What the configuration says, with these credentials.
    pub fn of(config: &KaggleConfig, credentials: Credentials) -> Self {
        let patience = |seconds: u64, tries: u32, max_pause: u64| Patience {
            tries: tries.max(1),
            total: Duration::from_secs(seconds),
            first_pause: Duration::from_secs(1),
            max_pause: Duration::from_secs(max_pause),
        };
        Self {
            host: (!config.host.trim().is_empty()).then(|| config.host.trim().to_owned()),
            web: "https://www.kaggle.com".to_owned(),
            credentials,
            dialect: Dialect::Auto,
            requests_per_minute: config.requests_per_minute,
            concurrency: config.concurrency.max(1),
            downloads: config.downloads.max(1),
            patience: patience(config.patience_seconds, config.tries, 120),
            // Throttled downloads are waited for by the clock, not by the count.
            download_patience: patience(
                config.download_patience_seconds,
                config.tries.saturating_mul(4),
                300,
            ),
            connect_timeout: Duration::from_secs(20),
            silence: Duration::from_secs(60),
            call_timeout: Duration::from_secs(120),
            download_timeout: Duration::from_secs(12 * 3600),
            max_body_bytes: 64 << 20,
            max_pages: 10_000,
            min_free_bytes: config.min_free_bytes,
        }
    }

    /// [`KaggleOptions::of`] with the credentials that are found in the environment.
    pub fn find(config: &KaggleConfig) -> Result<Self, KaggleError> {
        Ok(Self::of(config, Credentials::find()?))
    }
}
