//! The files of a competition or dataset: one archive, downloaded once, unpacked into the data store, remembered by what was
//! listed.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use synth_core::{DataFile, Fingerprint, ListedFile, Origin, Source};
use synth_kaggle::{
    Artifact, DownloadLimits, Kaggle, KaggleError, UnpackError, UnpackLimits, unpack,
};
use synth_pipeline::{Blobs, Event, Rejected, StageError};

use super::kaggle_look::{Trouble, trouble};
use crate::Cx;

/// Remarks on an archive that are kept.
const REMARKS: usize = 20;

/// What an archive held.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Data {
    /// What it was downloaded for: another list of files is another archive.
    pub key: Option<Fingerprint>,
    /// Its files, sorted by path.
    pub files: Vec<DataFile>,
    /// What was left out, or is not what was listed.
    pub rejected: Vec<Rejected>,
    /// Why it cannot be used, if so.
    pub unusable: Option<(String, String)>,
}

/// What became of having data downloaded.
pub(super) enum Had {
    /// It is there.
    Data(Data),
    /// The limit on downloads was reached before.
    Left(String),
}

/// The key of a source's data: where it is from, and what is listed of it.
pub(super) fn key(source: &Source) -> Fingerprint {
    let facts = source.kaggle.as_ref();
    Fingerprint::of(&(
        "kaggle data",
        source.origin,
        &source.slug,
        facts.map(|facts| (&facts.listed, facts.total_bytes, &facts.updated_at)),
    ))
}

/// Whether what is remembered is of this source and still in the store.
pub(super) fn is_there(data: &Data, key: Fingerprint, blobs: &Blobs) -> bool {
    data.key == Some(key) && data.files.iter().all(|file| is_stored(file, blobs))
}

/// Whether a file is still in the store.
pub(super) fn is_stored(file: &DataFile, blobs: &Blobs) -> bool {
    std::fs::metadata(blobs.path(file.blake3)).is_ok_and(|found| found.len() == file.bytes)
}

/// Downloads and unpacks. What a kill leaves of it is found again: the partial archive by its name, which is the key.
pub(super) async fn download(
    cx: &Cx<'_>,
    kaggle: &Kaggle,
    source: &Source,
    key: Fingerprint,
    max_bytes: u64,
) -> Result<Had, Trouble> {
    let name = key.to_string();
    let folder = cx.config.run.output.join(crate::services::DOWNLOADS);
    let archive = folder.join(&name[..32]);
    std::fs::create_dir_all(&folder).map_err(|error| Trouble::Stop(error.into()))?;
    // An archive that has its name is whole: a kill came before it was unpacked.
    if !archive.is_file() {
        let artifact = artifact(source);
        let expected = source.kaggle.as_ref().and_then(|facts| facts.total_bytes);
        let limits = DownloadLimits {
            max_bytes: if max_bytes == 0 { u64::MAX } else { max_bytes },
        };
        if let Some(left) = fetch(cx, kaggle, &artifact, &archive, expected, limits).await? {
            return Ok(Had::Left(left));
        }
    }
    let unpacked = unpack_all(cx, source, &archive).await;
    match unpacked {
        Ok(mut data) => {
            data.key = Some(key);
            Ok(Had::Data(data))
        }
        Err(error) => Err(error),
    }
}

/// Removes an archive when what it held is remembered.
pub(super) fn forget_archive(cx: &Cx<'_>, key: Fingerprint) {
    let name = key.to_string();
    let folder = cx.config.run.output.join(crate::services::DOWNLOADS);
    let archive = folder.join(&name[..32]);
    if let Err(error) = std::fs::remove_file(&archive)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        tracing::warn!(%error, archive = %archive.display(), "an archive that nobody needs any more stays");
    }
}

fn artifact(source: &Source) -> Artifact {
    match source.origin {
        Origin::Dataset => Artifact::Dataset {
            dataset: source.slug.clone(),
            version: None,
        },
        _ => Artifact::CompetitionBundle {
            slug: source.slug.clone(),
        },
    }
}

/// Fetches an archive as far as the limit of this invocation allows; says why not, if it does not.
async fn fetch(
    cx: &Cx<'_>,
    kaggle: &Kaggle,
    artifact: &Artifact,
    archive: &Path,
    expected: Option<u64>,
    limits: DownloadLimits,
) -> Result<Option<String>, Trouble> {
    let purse = &cx.services.downloads;
    let what = artifact.to_string();
    let left = |had: u64| {
        format!(
            "{} of it is here; the limit on downloads, {} bytes, was reached; the next run goes on",
            match expected {
                Some(total) => format!("{had} of {total} bytes"),
                None => format!("{had} bytes"),
            },
            purse.limit()
        )
    };
    let partial = part_bytes(archive);
    if purse.is_spent() {
        return Ok(Some(left(partial)));
    }
    let tally = purse.tally(partial);
    let progress = |progress: synth_kaggle::Progress| {
        if let Some(all) = tally.note(progress.bytes) {
            cx.observer.on(&Event::Downloading {
                stage: "crawl",
                what: what.clone(),
                bytes: progress.bytes,
                total: progress.total.or(expected),
                all,
            });
        }
        if purse.is_spent() {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    };
    let downloaded = kaggle.download(artifact, archive, &limits, &progress);
    tokio::select! {
        biased;
        downloaded = downloaded => match downloaded {
            Ok(downloaded) => {
                tally.finish(downloaded.bytes);
                tracing::debug!(%artifact, bytes = downloaded.bytes, resumed_from = downloaded.resumed_from, "downloaded");
                Ok(None)
            }
            Err(KaggleError::Stopped { .. }) => Ok(Some(left(part_bytes(archive)))),
            Err(error) => {
                forget_nothing(archive);
                Err(trouble(error))
            }
        },
        // One that waits for its turn, or for bytes.
        () = purse.spent() => Ok(Some(left(part_bytes(archive)))),
        // What is here of it is kept, so there is no sense in waiting for the rest.
        () = cx.cancel.soft() => Err(Trouble::Stop(StageError::Interrupted)),
    }
}

/// Removes what a download left that had not begun.
fn forget_nothing(archive: &Path) {
    if part_bytes(archive) == 0 {
        for ending in [".part", ".part.json"] {
            let mut part = archive.as_os_str().to_owned();
            part.push(ending);
            // It may not be there, and does no harm where it is.
            let _ = std::fs::remove_file(PathBuf::from(part));
        }
    }
}

/// What is there of an archive.
fn part_bytes(archive: &Path) -> u64 {
    let mut part = archive.as_os_str().to_owned();
    part.push(".part");
    std::fs::metadata(PathBuf::from(part)).map_or(0, |found| found.len())
}

/// Puts all files of an archive into the data store. An archive that is none is a reason, not a fault.
async fn unpack_all(cx: &Cx<'_>, source: &Source, archive: &Path) -> Result<Data, Trouble> {
    let (blobs, path) = (cx.blobs.clone(), archive.to_owned());
    let mut limits = UnpackLimits::of(&cx.config.kaggle);
    let max_bytes = match source.origin {
        Origin::Dataset => cx.config.filter.datasets.max_bytes,
        _ => cx.config.filter.competitions.max_bytes,
    };
    if max_bytes > 0 {
        // A little more than is let through, so that a rule can say by how much.
        limits.max_bytes = limits.max_bytes.min(max_bytes.saturating_mul(4));
    }
    let listed = source
        .kaggle
        .as_ref()
        .map(|facts| facts.listed.clone())
        .unwrap_or_default();
    let slug = source.slug.clone();
    // Unpacking is work for a thread of its own.
    let unpacked = tokio::task::spawn_blocking(move || {
        let mut files: BTreeMap<String, DataFile> = BTreeMap::new();
        let unpacked = unpack(&path, &limits, &mut |name, content| {
            let (blake3, bytes) = blobs.put_reader(content)?;
            let path = name.to_owned();
            files.insert(
                path.clone(),
                DataFile {
                    path,
                    bytes,
                    blake3,
                },
            );
            Ok(())
        });
        match unpacked {
            Ok(unpacked) => {
                let mut rejected: Vec<Rejected> = unpacked
                    .remarks
                    .into_iter()
                    .map(|remark| piece(&slug, "left_out", remark))
                    .collect();
                rejected.extend(differences(&slug, &listed, &files));
                rejected.truncate(REMARKS);
                Ok(Data {
                    files: files.into_values().collect(),
                    rejected,
                    ..Data::default()
                })
            }
            Err(UnpackError::Io(error)) => Err(StageError::from(error)),
            Err(error) => Ok(Data {
                unusable: Some((error.reason().to_owned(), error.to_string())),
                ..Data::default()
            }),
        }
    })
    .await
    .map_err(|error| Trouble::Stop(StageError::Files(format!("cannot unpack: {error}"))))?;
    unpacked.map_err(Trouble::Stop)
}

/// Where what came is not what was listed: a listed size is believed once it is seen.
fn differences(
    slug: &str,
    listed: &[ListedFile],
    files: &BTreeMap<String, DataFile>,
) -> Vec<Rejected> {
    let mut found = Vec::new();
    for file in listed {
        let Some(stored) = files.get(&file.path) else {
            let is_packed = [".zip", ".gz", ".tar", ".7z"]
                .iter()
                .any(|ending| file.path.to_lowercase().ends_with(ending));
            if !is_packed && !files.is_empty() {
                let message = format!("`{}` is listed and not in the archive", file.path);
                found.push(piece(slug, "not_in_archive", message));
            }
            continue;
        };
        if let Some(bytes) = file.bytes
            && bytes != stored.bytes
        {
            let message = format!(
                "`{}` is listed with {bytes} bytes and has {}",
                file.path, stored.bytes
            );
            found.push(piece(slug, "other_size_than_listed", message));
        }
    }
    found
}

fn piece(slug: &str, reason: &str, message: String) -> Rejected {
    Rejected {
        id: slug.to_owned(),
        reason: reason.to_owned(),
        message,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str, bytes: u64) -> DataFile {
        DataFile {
            path: path.to_owned(),
            bytes,
            blake3: Fingerprint::of_bytes(path.as_bytes()),
        }
    }

    fn listed(path: &str, bytes: Option<u64>) -> ListedFile {
        ListedFile {
            path: path.to_owned(),
            bytes,
            columns: Vec::new(),
        }
    }

    #[test]
    fn a_listed_size_is_believed_once_it_is_seen() {
        let files = [file("train.csv", 10), file("images/a.png", 5)]
            .map(|file| (file.path.clone(), file))
            .into();
        let list = [
            listed("train.csv", Some(11)),
            listed("images/a.png", Some(5)),
            listed("test.csv", None),
            listed("images.zip", Some(3)),
        ];
        let found = differences("rain", &list, &files);
        let reasons: Vec<&str> = found.iter().map(|piece| piece.reason.as_str()).collect();
        assert_eq!(reasons, ["other_size_than_listed", "not_in_archive"]);
        assert!(
            found[0].message.contains("11 bytes and has 10"),
            "{}",
            found[0].message
        );
    }

    #[test]
    fn data_is_of_one_list_and_is_missed_when_it_left_the_store() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path()).unwrap();
        let blake3 = blobs.put(b"a,b\n1,2\n").unwrap();
        let mut source = super::super::bare(Origin::Competition, "rain");
        let key_of_none = key(&source);
        source.kaggle = Some(synth_core::KaggleFacts {
            listed: vec![listed("train.csv", Some(8))],
            ..synth_core::KaggleFacts::default()
        });
        assert_ne!(key(&source), key_of_none);
        let data = Data {
            key: Some(key(&source)),
            files: vec![DataFile {
                blake3,
                ..file("train.csv", 8)
            }],
            ..Data::default()
        };
        assert!(is_there(&data, key(&source), &blobs));
        assert!(!is_there(&data, key_of_none, &blobs));
        std::fs::remove_file(blobs.path(blake3)).unwrap();
        assert!(!is_there(&data, key(&source), &blobs));
    }
}
