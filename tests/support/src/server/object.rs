//! Objects of the storage host: paths, signed addresses, bytes and their hashes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;
use data_encoding::{BASE64, HEXLOWER};
use md5::{Digest, Md5};

use super::call::{escape, unescape};
use crate::world::archive;
use crate::world::{Bundle, DataFile, World};

/// What a storage path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key {
    pub kind: Kind,
    /// A competition's slug, or a dataset's `owner/slug`.
    pub slug: String,
    /// A file's name; all files as a bundle where there is none.
    pub file: Option<String>,
    /// The name that a download has.
    pub name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Competition,
    Dataset,
}

/// Bytes with what is told about them.
#[derive(Debug)]
pub(super) struct Object {
    pub bytes: Bytes,
    pub md5: String,
    pub md5_base64: String,
    pub crc32c_base64: String,
}

impl Object {
    pub(super) fn new(bytes: Bytes) -> Self {
        let md5 = Md5::digest(&bytes);
        Self {
            md5: HEXLOWER.encode(&md5),
            md5_base64: BASE64.encode(&md5),
            crc32c_base64: BASE64.encode(&crc32c::crc32c(&bytes).to_be_bytes()),
            bytes,
        }
    }
}

/// Bytes of objects that are kept, so that parts of one download need not be packed again each time.
const KEPT_BYTES: usize = 64 << 20;

/// Objects that were asked for lately.
#[derive(Debug, Default)]
pub(super) struct Objects {
    kept: HashMap<String, Arc<Object>>,
    kept_bytes: usize,
    /// How often a fault changed an object's `ETag`.
    pub changes: BTreeMap<String, u32>,
}

impl Objects {
    pub(super) fn get(&self, path: &str) -> Option<Arc<Object>> {
        self.kept.get(path).cloned()
    }

    pub(super) fn keep(&mut self, path: &str, object: Arc<Object>) {
        if self.kept_bytes + object.bytes.len() > KEPT_BYTES {
            self.forget();
        }
        self.kept_bytes += object.bytes.len();
        self.kept.insert(path.to_owned(), object);
    }

    /// Everything is made anew: the world has changed.
    pub(super) fn forget(&mut self) {
        self.kept.clear();
        self.kept_bytes = 0;
    }
}

impl Key {
    /// The path on the storage host.
    pub(super) fn path(&self) -> String {
        let bucket = match self.kind {
            Kind::Competition => "kaggle-competitions-data/kaggle-v2",
            Kind::Dataset => "kaggle-data-sets",
        };
        let within = match &self.file {
            None => "bundle".to_owned(),
            Some(file) => format!("file/{}", escape(file)),
        };
        // The name comes last, as clients name their file by it.
        format!(
            "/{bucket}/{}/{within}/{}",
            escape(&self.slug),
            escape(&self.name)
        )
    }

    /// The key of a path.
    pub(super) fn read(path: &str) -> Option<Self> {
        let (kind, rest) =
            if let Some(rest) = path.strip_prefix("/kaggle-competitions-data/kaggle-v2/") {
                (Kind::Competition, rest)
            } else {
                (Kind::Dataset, path.strip_prefix("/kaggle-data-sets/")?)
            };
        let parts: Vec<String> = rest.split('/').map(unescape).collect();
        let (slug, file, name) = match parts.as_slice() {
            [slug, bundle, name] if bundle == "bundle" => (slug, None, name),
            [slug, word, file, name] if word == "file" => (slug, Some(file.clone()), name),
            _ => return None,
        };
        Some(Self {
            kind,
            slug: slug.clone(),
            file,
            name: name.clone(),
        })
    }

    /// The bytes of what this names.
    pub(super) fn bytes(&self, world: &World) -> Option<Bytes> {
        let competition;
        let (files, bundle): (&[DataFile], &Bundle) = match self.kind {
            Kind::Competition => {
                competition = world.competition(&self.slug)?;
                (&competition.files, &competition.bundle)
            }
            Kind::Dataset => {
                let dataset = world.dataset(&self.slug)?;
                (&dataset.files, &dataset.bundle)
            }
        };
        if let Some(name) = &self.file {
            let file = files.iter().find(|file| file.name == *name)?;
            let bytes = file.content.bytes();
            return Some(if file.zipped {
                archive::zip(&[(base_name(name), &bytes)]).into()
            } else {
                bytes
            });
        }
        if let Bundle::Raw { bytes, .. } = bundle {
            return Some(bytes.clone());
        }
        let contents: Vec<Bytes> = files.iter().map(|file| file.content.bytes()).collect();
        let files: Vec<(&str, &[u8])> = files
            .iter()
            .zip(&contents)
            .map(|(file, content)| (file.name.as_str(), content.as_ref()))
            .collect();
        Some(match bundle {
            Bundle::TarGz => archive::tar_gz(&files).into(),
            _ => archive::zip(&files).into(),
        })
    }

    pub(super) fn bundle(kind: Kind, slug: &str, bundle: &Bundle) -> Self {
        let ending = match bundle {
            Bundle::Zip => "zip",
            Bundle::TarGz => "tar.gz",
            Bundle::Raw { ending, .. } => ending,
        };
        Self {
            kind,
            slug: slug.to_owned(),
            file: None,
            name: format!("archive.{ending}"),
        }
    }

    pub(super) fn file(kind: Kind, slug: &str, file: &DataFile) -> Self {
        let base = base_name(&file.name);
        Self {
            kind,
            slug: slug.to_owned(),
            file: Some(file.name.clone()),
            name: if file.zipped {
                format!("{base}.zip")
            } else {
                base.to_owned()
            },
        }
    }
}

fn base_name(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// The signature of an address: what only the service can make.
pub(super) fn signature(path: &str, expires: u64) -> String {
    let signed = format!("GET\n\n\n{expires}\n{path}");
    let key = blake3::derive_key(
        "kaggle fixture: signed addresses",
        b"the storage host's key",
    );
    BASE64.encode(blake3::keyed_hash(&key, signed.as_bytes()).as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_names_its_object_again() {
        for (slug, file, name) in [
            ("shells", None, "archive.zip"),
            ("owner/set", Some("a b/c.csv"), "c.csv.zip"),
        ] {
            for kind in [Kind::Competition, Kind::Dataset] {
                let key = Key {
                    kind,
                    slug: slug.into(),
                    file: file.map(Into::into),
                    name: name.into(),
                };
                assert_eq!(Key::read(&key.path()), Some(key));
            }
        }
        assert_eq!(Key::read("/elsewhere/x"), None);
    }
}
