//! The folder on the host that one backend owns while it lives, and the sweeping of those whose owner is dead.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::SandboxError;

const PREFIX: &str = "sandboxes-";

/// An owned folder: a lock beside it, held by this process, says that it is in use; the kernel lets go of the lock however we die.
pub struct Scratch {
    /// The folder.
    pub path: PathBuf,
    lock: PathBuf,
    _held: File,
}

impl Scratch {
    /// Makes a folder of our own under `parent`, after sweeping what dead owners left there.
    pub fn claim(parent: &Path) -> Result<Self, SandboxError> {
        let what = || format!("make a scratch folder in `{}`", parent.display());
        fs::create_dir_all(parent).map_err(SandboxError::io(what()))?;
        let parent = parent.canonicalize().map_err(SandboxError::io(what()))?;
        sweep(&parent);
        loop {
            let (held, lock) = tempfile::Builder::new()
                .prefix(PREFIX)
                .suffix(".lock")
                .tempfile_in(&parent)
                .and_then(|file| file.keep().map_err(|error| error.error))
                .map_err(SandboxError::io(what()))?;
            // A sweeper may have been quicker between the making and the locking; it then removes what it locked.
            if flock(&held, FlockOperation::NonBlockingLockExclusive).is_err() {
                continue;
            }
            let ours = held.metadata().map_err(SandboxError::io(what()))?.ino();
            if fs::metadata(&lock).is_ok_and(|metadata| metadata.ino() == ours) {
                let path = lock.with_extension("");
                fs::create_dir(&path).map_err(SandboxError::io(what()))?;
                fs::create_dir(path.join("root")).map_err(SandboxError::io(what()))?;
                // Sandboxes of other users look through here while they are built.
                fs::set_permissions(&path, fs::Permissions::from_mode(0o711))
                    .map_err(SandboxError::io(what()))?;
                return Ok(Self {
                    path,
                    lock,
                    _held: held,
                });
            }
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
        let _ = fs::remove_file(&self.lock);
    }
}

/// Removes the folders whose locks nobody holds. What cannot be removed is left for the next time.
fn sweep(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else {
        return;
    };
    for entry in entries.flatten() {
        let lock = entry.path();
        let is_ours = entry.file_name().to_string_lossy().starts_with(PREFIX);
        if !is_ours || lock.extension().is_none_or(|extension| extension != "lock") {
            continue;
        }
        let Ok(file) = File::open(&lock) else {
            continue;
        };
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            tracing::debug!(path = %lock.display(), "sweeping what a dead owner left");
            let _ = fs::remove_dir_all(lock.with_extension(""));
            let _ = fs::remove_file(&lock);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dead_owners_folder_is_swept_and_a_living_ones_is_not() {
        let parent = tempfile::tempdir().unwrap();
        let living = Scratch::claim(parent.path()).unwrap();
        let dead = parent.path().join("sandboxes-dead");
        fs::create_dir_all(dead.join("root")).unwrap();
        fs::write(parent.path().join("sandboxes-dead.lock"), "").unwrap();
        fs::write(parent.path().join("other.lock"), "").unwrap();
        let second = Scratch::claim(parent.path()).unwrap();
        assert!(living.path.exists() && second.path.exists() && !dead.exists());
        assert!(parent.path().join("other.lock").exists());
        let (path, lock) = (living.path.clone(), living.lock.clone());
        drop(living);
        assert!(!path.exists() && !lock.exists());
    }
}
