//! The cheap look at what Kaggle has: one call tells whether a competition or dataset is still what it was. And what is
//! remembered of each, across runs and kills.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use synth_core::config::Config;
use synth_core::{
    DataFile, FailureKind, Fingerprint, Memo, MemoError, Origin, RecordError, Source,
};
use synth_kaggle::{Competition, Dataset, Fetched, Kaggle, KaggleError, Version};
use synth_pipeline::StageError;

use super::kaggle_seeds::{MetaFacts, Seed};
use super::{bare, kaggle_data::Data};
use crate::filter::validity;

/// What is remembered of a competition or dataset.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Known {
    /// By what it is known again.
    pub version: Version,
    /// What Kaggle says of it.
    pub said: Option<Said>,
    /// The same as a source, with what further calls told; none while they have not been made of this version.
    pub source: Option<Source>,
    /// The scores of its leaderboard, of this version.
    pub board: Option<DataFile>,
    /// Its files.
    pub data: Option<Data>,
    /// Whether it waits for something (a person, another night) and is to be looked at again though nothing changed.
    pub is_open: bool,
    /// How often it was found open.
    pub looks: u64,
}

/// What the cheap call says.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) enum Said {
    /// Of a competition.
    Competition(Box<Competition>),
    /// Of a dataset.
    Dataset(Box<Dataset>),
}

/// Where what is known of a seed is remembered.
pub(super) struct Memory {
    memo: Arc<dyn Memo>,
    key: Fingerprint,
}

impl Memory {
    pub fn new(memo: &Arc<dyn Memo>, host: &str, origin: Origin, slug: &str) -> Self {
        Self {
            memo: Arc::clone(memo),
            key: Fingerprint::of(&("kaggle", host, origin, slug)),
        }
    }

    /// What does not read, after a change of `synth` say, is asked for anew.
    pub async fn get(&self) -> Result<Known, MemoError> {
        let bytes = self.memo.get(self.key).await?;
        Ok(bytes
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default())
    }

    pub async fn put(&self, known: &Known) -> Result<(), MemoError> {
        let bytes = serde_json::to_vec(known).expect("what is known serialises to JSON");
        self.memo.put(self.key, bytes).await
    }
}

/// A seed that was looked at: small, so that thousands can be on their way.
pub(super) struct Lead {
    pub seed: Seed,
    source: Source,
    content: Fingerprint,
    /// Why it could not be looked at.
    pub trouble: Option<Trouble>,
}

impl Lead {
    pub fn id(&self) -> String {
        self.source.id.to_string()
    }

    /// The source with nothing but its name.
    pub fn into_bare(self) -> Source {
        self.source
    }
}

/// What a lead's outcome depends on besides what Kaggle has.
pub(super) fn basis(config: &Config) -> Fingerprint {
    Fingerprint::of(&(
        &config.filter.competitions,
        &config.filter.datasets,
        config.kaggle.max_unpacked_bytes,
        config.kaggle.max_unpacked_files,
        validity::basis(config),
        // Raised when the same answers make another source.
        1,
    ))
}

/// Looks at a seed; without a client, in what is remembered alone.
pub(super) async fn look(
    kaggle: Option<Arc<Kaggle>>,
    memory: Memory,
    seed: Seed,
    basis: Fingerprint,
) -> Result<Lead, StageError> {
    let mut known = memory.get().await?;
    let mut trouble = None;
    if let Some(kaggle) = kaggle {
        match ask(&kaggle, &seed, &known.version).await {
            Ok(None) if known.said.is_some() => {}
            // Told to be unchanged, of something that is remembered no more.
            Ok(None) => known = Known::default(),
            Ok(Some((said, version))) => {
                known.said = Some(said);
                known.version = version;
                known.source = None;
                known.board = None;
                memory.put(&known).await?;
            }
            Err(error) => match super::kaggle_look::trouble(error) {
                Trouble::Stop(error) => return Err(error),
                Trouble::Refused { reason, message } => {
                    known.is_open = true;
                    known.looks += 1;
                    memory.put(&known).await?;
                    trouble = Some(Trouble::Refused { reason, message });
                }
                Trouble::Failed(error) => {
                    if known.source.is_some() {
                        tracing::warn!(slug = seed.slug, %error, "not looked at; what was known of it stands");
                    }
                    trouble = Some(Trouble::Failed(error));
                }
            },
        }
    }
    let meta: Option<&MetaFacts> = seed.meta.as_deref();
    // Counted up whenever it is found open, so that it is worked on again; else it stays what it was.
    let content = Fingerprint::of(&(&seed.slug, meta, &known.version, known.looks, basis));
    Ok(Lead {
        source: bare(seed.origin, &seed.slug),
        content,
        seed,
        trouble,
    })
}

async fn ask(
    kaggle: &Kaggle,
    seed: &Seed,
    version: &Version,
) -> Result<Option<(Said, Version)>, KaggleError> {
    Ok(match seed.origin {
        Origin::Dataset => match kaggle.get_dataset_if_changed(&seed.slug, version).await? {
            Fetched::Unchanged => None,
            Fetched::Changed(dataset, version) => Some((Said::Dataset(Box::new(dataset)), version)),
        },
        _ => {
            match kaggle
                .get_competition_if_changed(&seed.slug, version)
                .await?
            {
                Fetched::Unchanged => None,
                Fetched::Changed(competition, version) => {
                    Some((Said::Competition(Box::new(competition)), version))
                }
            }
        }
    })
}

/// What follows from a fault of Kaggle's.
#[derive(Debug)]
pub(super) enum Trouble {
    /// It is so; a person may change it. It is written down, and looked at again.
    Refused { reason: String, message: String },
    /// It may pass.
    Failed(RecordError),
    /// Nobody can go on.
    Stop(StageError),
}

impl Trouble {
    /// For what everything rests on.
    pub fn stops(self) -> StageError {
        match self {
            Self::Refused { message, .. } => StageError::Origin(message),
            Self::Failed(error) => StageError::Origin(error.message),
            Self::Stop(error) => error,
        }
    }
}

/// What follows from a fault.
#[expect(clippy::needless_pass_by_value, reason = "handed over by `map_err`")]
pub(super) fn trouble(error: KaggleError) -> Trouble {
    let (reason, message) = (error.reason().to_owned(), error.to_string());
    match error {
        KaggleError::Unauthenticated { .. } | KaggleError::Configuration { .. } => {
            Trouble::Stop(StageError::Origin(message))
        }
        KaggleError::DiskFull { .. } | KaggleError::Io { .. } => {
            Trouble::Stop(StageError::Files(message))
        }
        KaggleError::RulesNotAccepted { .. }
        | KaggleError::NotJoined { .. }
        | KaggleError::Gone { .. }
        | KaggleError::Refused { .. }
        | KaggleError::BadName { .. }
        | KaggleError::TooLarge { .. }
        | KaggleError::Unpack(_) => Trouble::Refused { reason, message },
        // An answer that cannot be read today may be one of a proxy's.
        KaggleError::Throttled { .. }
        | KaggleError::Transient { .. }
        | KaggleError::Decode { .. }
        | KaggleError::Pagination { .. }
        | KaggleError::Corrupt { .. }
        | KaggleError::Busy { .. }
        | KaggleError::Stopped { .. } => {
            Trouble::Failed(RecordError::spurious(FailureKind::Data, reason, message))
        }
    }
}

impl Serialize for Lead {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.content.serialize(serializer)
    }
}
