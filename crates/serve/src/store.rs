//! Files that sandboxes are shown under `data/`: what clients uploaded, kept once by content, and what lies in the operator's folder.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Component, Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::BodyDataStream;
use axum::http::StatusCode;
use futures::StreamExt;
use serde::Serialize;
use synth_sandbox::{MountedFile, SandboxError, Scratch};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::access::Client;
use crate::error::Refusal;
use crate::quota::{Claim, Quotas};

/// The most files of the operator's folder that a sandbox of another API is shown: each is a mount of its own.
pub const MAX_DATA_FILES: usize = 2_000;
/// Time without a byte after which an upload is given up.
const SILENCE: Duration = Duration::from_secs(30);

/// The files that clients uploaded.
pub struct Uploads {
    folder: Scratch,
    quotas: Arc<Quotas>,
    /// By client and hash: a client mounts what it uploaded itself, and nothing else.
    files: Mutex<HashMap<(Client, String), Upload>>,
    keep: Duration,
}

struct Upload {
    stored: Arc<Stored>,
    bytes: u64,
    used: Instant,
    _claim: Claim,
}

/// A file in the store, removed with the last upload and sandbox that hold it.
pub struct Stored(PathBuf);

impl Stored {
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Stored {
    fn drop(&mut self) {
        // What stays after a failure goes with the folder.
        fs::remove_file(&self.0).ok();
    }
}

/// What an upload came to.
#[derive(Clone, Debug, Serialize)]
pub struct Uploaded {
    pub blake3: String,
    pub bytes: u64,
}

impl Uploads {
    /// A store in a folder of its own below `scratch`; what dead owners left there is swept. An upload is kept for so long after its
    /// last use.
    pub fn new(scratch: &Path, quotas: Arc<Quotas>, keep: Duration) -> Result<Self, SandboxError> {
        Ok(Self {
            folder: Scratch::claim(scratch)?,
            quotas,
            files: Mutex::default(),
            keep,
        })
    }

    /// Takes a file in.
    pub async fn put(
        &self,
        client: &Client,
        mut body: BodyDataStream,
    ) -> Result<Uploaded, Refusal> {
        let mut claim = self.quotas.upload(client);
        let broken = |error: io::Error| {
            let message = format!("failed to store the upload: {error}");
            Refusal::new(StatusCode::INSUFFICIENT_STORAGE, "store", message)
        };
        let partial = tempfile::NamedTempFile::new_in(&self.folder.path).map_err(broken)?;
        let (file, path) = partial.into_parts();
        let mut file = tokio::fs::File::from_std(file);
        let (mut hasher, mut bytes) = (blake3::Hasher::new(), 0);
        while let Some(chunk) = timeout(SILENCE, body.next()).await.map_err(|_| {
            let message = "the upload stood still for too long; send it again";
            Refusal::new(StatusCode::REQUEST_TIMEOUT, "timeout", message)
        })? {
            let chunk = chunk.map_err(|error| {
                let message = format!("the upload ended in the middle: {error}");
                Refusal::new(StatusCode::BAD_REQUEST, "incomplete", message)
            })?;
            if !claim.grow(chunk.len() as u64) {
                let message = "your uploads together go beyond the limit; delete some";
                return Err(Refusal::new(
                    StatusCode::PAYLOAD_TOO_LARGE,
                    "too_large",
                    message,
                ));
            }
            hasher.update(&chunk);
            bytes += chunk.len() as u64;
            file.write_all(&chunk).await.map_err(broken)?;
        }
        file.flush().await.map_err(broken)?;
        let hash = hasher.finalize().to_hex().to_string();
        let key = (client.clone(), hash.clone());
        let mut files = self.lock();
        if let Some(upload) = files.get_mut(&key) {
            upload.used = Instant::now();
            return Ok(Uploaded {
                blake3: hash,
                bytes,
            });
        }
        let same = files
            .iter()
            .find(|((_, known), _)| *known == hash)
            .map(|(_, upload)| Arc::clone(&upload.stored));
        let stored = if let Some(stored) = same {
            stored
        } else {
            let kept = path.keep().map_err(|error| broken(error.error))?;
            fs::set_permissions(&kept, fs::Permissions::from_mode(0o444)).map_err(broken)?;
            Arc::new(Stored(kept))
        };
        files.insert(
            key,
            Upload {
                stored,
                bytes,
                used: Instant::now(),
                _claim: claim,
            },
        );
        Ok(Uploaded {
            blake3: hash,
            bytes,
        })
    }

    /// The client's upload of that hash.
    pub fn get(&self, client: &Client, hash: &str) -> Result<Arc<Stored>, Refusal> {
        let mut files = self.lock();
        let upload = files.get_mut(&(client.clone(), hash.to_owned()));
        let upload = upload.ok_or_else(|| {
            let message =
                format!("there is no upload `{hash}` of yours; `POST /v1/files` makes one");
            Refusal::new(StatusCode::NOT_FOUND, "unknown_file", message)
        })?;
        upload.used = Instant::now();
        Ok(Arc::clone(&upload.stored))
    }

    /// The client's uploads.
    pub fn list(&self, client: &Client) -> Vec<Uploaded> {
        let files = self.lock();
        let mine = files.iter().filter(|((owner, _), _)| owner == client);
        let mut mine: Vec<Uploaded> = mine
            .map(|((_, hash), upload)| Uploaded {
                blake3: hash.clone(),
                bytes: upload.bytes,
            })
            .collect();
        mine.sort_unstable_by(|one, other| one.blake3.cmp(&other.blake3));
        mine
    }

    /// Forgets an upload; sandboxes that show it go on showing it.
    pub fn remove(&self, client: &Client, hash: &str) -> Result<(), Refusal> {
        self.get(client, hash)?;
        self.lock().remove(&(client.clone(), hash.to_owned()));
        Ok(())
    }

    /// Forgets uploads that nobody uses any more.
    pub fn sweep(&self) {
        self.lock().retain(|_, upload| {
            Arc::strong_count(&upload.stored) > 1 || upload.used.elapsed() <= self.keep
        });
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<(Client, String), Upload>> {
        self.files.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The operator's folder, shown read-only.
pub struct DataFolder(PathBuf);

impl DataFolder {
    pub fn new(folder: &Path) -> io::Result<Self> {
        let folder = folder.canonicalize()?;
        fs::read_dir(&folder)?;
        Ok(Self(folder))
    }

    /// One of its files; links that lead out of it are not followed.
    pub fn file(&self, path: &str) -> Result<PathBuf, Refusal> {
        let plain = Path::new(path)
            .components()
            .all(|component| matches!(component, Component::Normal(_) | Component::CurDir));
        let found = self.0.join(path).canonicalize().ok();
        found
            .filter(|found| plain && found.starts_with(&self.0) && found.is_file())
            .ok_or_else(|| {
                let message = format!("there is no file `{path}` in the server's data folder");
                Refusal::new(StatusCode::NOT_FOUND, "unknown_file", message)
            })
    }

    /// All its files under their own paths; an error says that there are too many.
    pub fn all(&self) -> io::Result<Vec<MountedFile>> {
        let mut files = Vec::new();
        for entry in walkdir::WalkDir::new(&self.0).sort_by_file_name() {
            let entry = entry?;
            if !entry.file_type().is_file() {
                continue;
            }
            let path = entry.path().strip_prefix(&self.0).unwrap_or(entry.path());
            let Some(path) = path.to_str() else { continue };
            if files.len() == MAX_DATA_FILES {
                return Err(io::Error::other(format!(
                    "it holds more than {MAX_DATA_FILES} files; name a folder with those that are needed"
                )));
            }
            files.push(MountedFile {
                path: path.to_owned(),
                host_path: entry.path().to_owned(),
            });
        }
        Ok(files)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_data_folder_gives_its_own_files_and_no_others() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("data");
        fs::create_dir_all(data.join("sub")).unwrap();
        fs::write(data.join("sub/a.csv"), "x").unwrap();
        fs::write(folder.path().join("secret"), "x").unwrap();
        std::os::unix::fs::symlink("../secret", data.join("link")).unwrap();
        let data = DataFolder::new(&data).unwrap();
        assert!(data.file("sub/a.csv").unwrap().ends_with("data/sub/a.csv"));
        for path in [
            "link",
            "../secret",
            "/etc/passwd",
            "sub",
            "",
            "missing",
            "sub/../../secret",
        ] {
            assert_eq!(
                data.file(path).unwrap_err().status,
                StatusCode::NOT_FOUND,
                "{path}"
            );
        }
        let all = data.all().unwrap();
        assert_eq!(all.len(), 1);
        assert_eq!(all[0].path, "sub/a.csv");
    }
}
