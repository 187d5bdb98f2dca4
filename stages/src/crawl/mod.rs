//! `crawl`: from the configured places to sources, with their files in the data store.

mod bundled;
mod folder;
mod kaggle;
mod kaggle_data;
mod kaggle_facts;
mod kaggle_look;
mod kaggle_seeds;
mod published;
mod suite;

use std::path::PathBuf;

use async_trait::async_trait;
use futures::{StreamExt as _, stream};
use serde::Serialize;
use synth_core::config::SourceConfig;
use synth_core::{DataFile, FailureKind, Fingerprint, RecordError, Source, SourceId};
use synth_pipeline::{Item, Outcome, Rejected, Stage, StageError, Summary, WorkError};

use crate::Cx;
use crate::services::Services;

/// The stage.
pub struct Crawl;

#[async_trait]
impl Stage<Services> for Crawl {
    fn name(&self) -> &'static str {
        "crawl"
    }

    fn about(&self) -> &'static str {
        "list sources, read their descriptions, put their files into the data store"
    }

    fn reads(&self) -> &'static [&'static str] {
        &[]
    }

    fn makes(&self) -> &'static str {
        "sources"
    }

    fn version(&self) -> u32 {
        1
    }

    fn config_keys(&self) -> &'static [&'static str] {
        &[]
    }

    async fn run(&self, cx: &Cx<'_>) -> Result<Summary, StageError> {
        let mut found = Vec::new();
        for (name, config) in &cx.config.sources {
            found.extend(match config {
                SourceConfig::Bundled { only } => bundled::find(only)?,
                SourceConfig::Folder { path } => folder::find(name, path)?,
                SourceConfig::Suite {
                    path,
                    licence,
                    redistributable,
                } => suite::find(name, path, licence, *redistributable)?,
                SourceConfig::Dare {
                    path,
                    licence,
                    redistributable,
                    held_out,
                } => published::find(name, path, licence, *redistributable, *held_out)?,
                SourceConfig::KaggleCompetitions(_) | SourceConfig::KaggleDatasets(_) => continue,
            });
        }
        refuse_namesakes(&found)?;
        // Of what lies elsewhere only the names are known ahead; it is looked at while those before it are worked on.
        let seeds = kaggle_seeds::seeds(cx).await?;
        let total = found.len() + seeds.len();
        let found = stream::iter(found).map(|found| Ok(Lead::Found(Box::new(found))));
        let looked_at = kaggle::leads(cx, seeds)?.map(|lead| Ok(Lead::Kaggle(Box::new(lead?))));
        let summary = cx
            .each_of_stream(total, found.chain(looked_at), |lead| async move {
                match lead {
                    Lead::Found(found) => settle(cx, *found),
                    Lead::Kaggle(lead) => kaggle::work(cx, *lead).await,
                }
            })
            .await?;
        let bytes = cx.services.downloads.bytes();
        if bytes > 0 {
            cx.services.tell(&format!("downloaded {bytes} bytes"));
        }
        Ok(summary)
    }
}

pub use kaggle_seeds::is_asked as asks_kaggle;

/// Something that may become a source.
enum Lead {
    /// Found here.
    Found(Box<Found>),
    /// Looked at there.
    Kaggle(Box<kaggle_look::Lead>),
}

impl Serialize for Lead {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Found(found) => found.serialize(serializer),
            Self::Kaggle(lead) => lead.serialize(serializer),
        }
    }
}

impl Item for Lead {
    fn id(&self) -> String {
        match self {
            Self::Found(found) => found.source.id.to_string(),
            Self::Kaggle(lead) => lead.id(),
        }
    }
}

/// Two sources of one name would be taken for one.
fn refuse_namesakes(found: &[Found]) -> Result<(), StageError> {
    let mut seen = std::collections::HashSet::new();
    match found.iter().find(|found| !seen.insert(&found.source.id)) {
        None => Ok(()),
        Some(found) => Err(StageError::Files(format!(
            "two sources are called `{}`; give one of them another name under `[sources]`",
            found.source.slug
        ))),
    }
}

/// A source that was seen, and where its bytes are.
#[derive(Serialize)]
pub(crate) struct Found {
    /// All of the source; a file's hash is taken when it is seen.
    source: Source,
    /// Where each of the source's files is, in the same order.
    #[serde(skip)]
    places: Vec<Place>,
    /// Files that no agent may read, and where they are; the source names them by their hashes.
    #[serde(skip)]
    hidden: Vec<(DataFile, Place)>,
    /// What came with the source but could not be used.
    rejected: Vec<Rejected>,
    /// Why the source cannot be used at all, if so.
    unusable: Option<(String, String)>,
}

/// Where a file's bytes are.
#[derive(Clone)]
pub(crate) enum Place {
    /// On disk.
    Path(PathBuf),
    /// In the program or read from an archive.
    Bytes(std::sync::Arc<[u8]>),
}

/// Puts the files into the data store.
fn settle(cx: &Cx<'_>, found: Found) -> Result<Outcome<Source>, WorkError> {
    if let Some((reason, message)) = found.unusable {
        return Ok(Outcome::Dropped {
            reason,
            message,
            record: Some(found.source),
        });
    }
    let hidden = found.hidden.iter().map(|(file, place)| (file, place));
    for (file, place) in found.source.files.iter().zip(&found.places).chain(hidden) {
        let stored = match place {
            Place::Path(path) => cx
                .blobs
                .put_file(path)
                .map(|(hash, _)| hash)
                .map_err(|error| read_error(path.display(), &error))?,
            Place::Bytes(bytes) => cx.blobs.put(bytes).map_err(StageError::from)?,
        };
        if stored != file.blake3 {
            let message = format!(
                "`{}` changed while it was read; run again when nobody writes to it",
                file.path
            );
            return Err(RecordError::spurious(FailureKind::Data, "file_changed", message).into());
        }
    }
    Ok(Outcome::Kept {
        records: vec![found.source],
        rejected: found.rejected,
    })
}

fn read_error(path: impl std::fmt::Display, error: &std::io::Error) -> WorkError {
    if error.kind() == std::io::ErrorKind::StorageFull {
        return StageError::Files(format!(
            "no space left in the data store for `{path}`; free some space and run again"
        ))
        .into();
    }
    RecordError::spurious(
        FailureKind::Data,
        "unreadable_file",
        format!("cannot copy `{path}`: {error}"),
    )
    .into()
}

/// A source with nothing but its name.
pub(crate) fn bare(origin: synth_core::Origin, slug: &str) -> Source {
    Source {
        id: SourceId::of(&(origin, slug)),
        origin,
        slug: slug.to_owned(),
        title: slug.to_owned(),
        pages: synth_core::Pages::default(),
        metric: None,
        host_segment: None,
        deadline: None,
        accepts_submissions: None,
        team_count: None,
        leaderboard: None,
        metric_is_max: None,
        kaggle: None,
        licence: synth_core::Licence {
            name: "unknown".to_owned(),
            redistributable: false,
        },
        attribution: String::new(),
        tags: Vec::new(),
        files: Vec::new(),
        target: None,
        questions: Vec::new(),
        published: Vec::new(),
        held_out: false,
        fetched_at: String::new(),
    }
}

/// A file of a source, from its bytes.
pub(crate) fn data_file(path: &str, bytes: &[u8]) -> DataFile {
    DataFile {
        path: path.to_owned(),
        bytes: bytes.len() as u64,
        blake3: Fingerprint::of_bytes(bytes),
    }
}

/// A point in time as an ISO 8601 date.
pub(crate) fn date(time: std::time::SystemTime) -> String {
    let seconds = time
        .duration_since(std::time::SystemTime::UNIX_EPOCH)
        .map_or(0, |since| since.as_secs());
    jiff::Timestamp::from_second(seconds as i64).map_or_else(
        |_| String::new(),
        |timestamp| timestamp.strftime("%Y-%m-%d").to_string(),
    )
}
