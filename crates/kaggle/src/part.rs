//! A file on its way: `NAME.part` beside where it is to lie, and `NAME.part.json` that tells what it is a part of.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncSeekExt, AsyncWriteExt, BufWriter};

use crate::KaggleError;

const BUFFER_BYTES: usize = 1 << 20;

/// What a partial file is a part of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Origin {
    /// What was asked for.
    pub(crate) artifact: String,
    /// By what the server knows this content again.
    pub(crate) etag: Option<String>,
    /// When it says that the content changed.
    pub(crate) last_modified: Option<String>,
    /// How long the whole is.
    pub(crate) total: Option<u64>,
    /// The hash of the whole.
    pub(crate) md5: Option<[u8; 16]>,
}

impl Origin {
    /// What `If-Range` can be given: a weak tag says nothing of single bytes.
    pub(crate) fn validator(&self) -> Option<&str> {
        let strong = self.etag.as_deref().filter(|etag| !etag.starts_with("W/"));
        strong.or(self.last_modified.as_deref())
    }
}

/// A partial file that this process alone writes.
pub(crate) struct Part {
    path: PathBuf,
    note: PathBuf,
    file: BufWriter<tokio::fs::File>,
    pub(crate) len: u64,
    pub(crate) origin: Origin,
    hasher: Md5,
}

impl Part {
    /// Opens what is there of `target`, or begins it. What belongs to something else is thrown away.
    pub(crate) async fn open(target: &Path, artifact: &str) -> Result<Self, KaggleError> {
        let path = beside(target, ".part");
        let note = beside(target, ".part.json");
        let (opened, known) = (path.clone(), note.clone());
        let artifact = artifact.to_owned();
        let (file, len, origin, hasher) =
            tokio::task::spawn_blocking(move || open(&opened, &known, artifact))
                .await
                .map_err(|error| KaggleError::io(&path, io::Error::other(error)))??;
        let file = BufWriter::with_capacity(BUFFER_BYTES, tokio::fs::File::from_std(file));
        Ok(Self {
            path,
            note,
            file,
            len,
            origin,
            hasher,
        })
    }

    /// Begins anew, with content of another origin.
    pub(crate) async fn restart(&mut self, origin: Origin) -> Result<(), KaggleError> {
        let restarted = async {
            self.file.flush().await?;
            let file = self.file.get_mut();
            file.set_len(0).await?;
            file.seek(SeekFrom::Start(0)).await
        };
        restarted
            .await
            .map_err(|error| KaggleError::io(&self.path, error))?;
        self.len = 0;
        self.hasher = Md5::new();
        let artifact = std::mem::take(&mut self.origin.artifact);
        self.origin = Origin { artifact, ..origin };
        // A kill between these two leaves an empty part, which is never resumed.
        let text = serde_json::to_vec(&self.origin).unwrap_or_default();
        let temporary = self.note.with_extension("json.new");
        fs::write(&temporary, text)
            .and_then(|()| fs::rename(&temporary, &self.note))
            .map_err(|error| KaggleError::io(&self.note, error))
    }

    /// Throws away what is there.
    pub(crate) async fn forget(&mut self) -> Result<(), KaggleError> {
        self.restart(Origin::default()).await
    }

    pub(crate) async fn append(&mut self, bytes: &[u8]) -> Result<(), KaggleError> {
        self.file
            .write_all(bytes)
            .await
            .map_err(|error| KaggleError::io(&self.path, error))?;
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        Ok(())
    }

    pub(crate) async fn flush(&mut self) -> Result<(), KaggleError> {
        self.file
            .flush()
            .await
            .map_err(|error| KaggleError::io(&self.path, error))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn md5(&self) -> [u8; 16] {
        self.hasher.clone().finalize().into()
    }

    /// Makes the whole durable.
    pub(crate) async fn settle(&mut self) -> Result<(), KaggleError> {
        self.flush().await?;
        self.file
            .get_ref()
            .sync_all()
            .await
            .map_err(|error| KaggleError::io(&self.path, error))
    }

    /// Puts `whole`, this part or what came out of it, where it is to lie.
    pub(crate) fn finish(self, whole: &Path, target: &Path) -> Result<(), KaggleError> {
        fs::rename(whole, target).map_err(|error| KaggleError::io(target, error))?;
        for left in [&self.path, &self.note] {
            match fs::remove_file(left) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(KaggleError::io(left, error));
                }
                _ => {}
            }
        }
        Ok(())
    }
}

pub(crate) fn beside(target: &Path, ending: &str) -> PathBuf {
    let mut name = target.file_name().unwrap_or_default().to_owned();
    name.push(ending);
    target.with_file_name(name)
}

type Opened = (File, u64, Origin, Md5);

fn open(path: &Path, note: &Path, artifact: String) -> Result<Opened, KaggleError> {
    let failed = |error| KaggleError::io(path, error);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(|error| KaggleError::io(folder, error))?;
    }
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(KaggleError::Busy {
                path: path.to_owned(),
            });
        }
        Err(TryLockError::Error(error)) => return Err(failed(error)),
    }
    let known: Option<Origin> = fs::read(note)
        .ok()
        .and_then(|text| serde_json::from_slice(&text).ok());
    let mut len = file.metadata().map_err(failed)?.len();
    let origin = known
        .filter(|origin| origin.artifact == artifact && origin.validator().is_some())
        .filter(|origin| origin.total.is_none_or(|total| len <= total));
    let Some(origin) = origin else {
        file.set_len(0).map_err(failed)?;
        let origin = Origin {
            artifact,
            ..Origin::default()
        };
        return Ok((file, 0, origin, Md5::new()));
    };
    // What is whole lacks the server's word that it still is; asking for the last byte gets that.
    if origin.total == Some(len) {
        len = len.saturating_sub(1);
        file.set_len(len).map_err(failed)?;
    }
    let mut hasher = Md5::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        let read = file.read(&mut buffer).map_err(failed)?;
        if read == 0 {
            break;
        }
        hasher.update(&buffer[..read]);
    }
    file.seek(SeekFrom::Start(len)).map_err(failed)?;
    Ok((file, len, origin, hasher))
}
