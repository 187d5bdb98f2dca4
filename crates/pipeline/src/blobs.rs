//! Large values (data files, artifacts) in a folder, each under the hash of its content.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use synth_core::Fingerprint;

use crate::run::{TEMPORARY, temporary_in};

/// A content-addressed folder: `<root>/ab/abcdef…`. Files appear whole or not at all and are never changed.
#[derive(Clone, Debug)]
pub struct Blobs {
    root: PathBuf,
}

impl Blobs {
    /// The store in `root`, which is made if it is not there.
    pub fn open(root: &Path) -> io::Result<Self> {
        fs::create_dir_all(root)?;
        Ok(Self {
            root: root.canonicalize()?,
        })
    }

    /// Where the value with this hash lies, if it lies anywhere.
    pub fn path(&self, hash: Fingerprint) -> PathBuf {
        let name = hash.to_string();
        self.root.join(&name[..2]).join(name)
    }

    /// Stores bytes and returns their hash.
    pub fn put(&self, bytes: &[u8]) -> io::Result<Fingerprint> {
        let hash = Fingerprint::of_bytes(bytes);
        let path = self.path(hash);
        if is_whole(&path, bytes.len() as u64) {
            return Ok(hash);
        }
        let mut file = self.temporary()?;
        file.write_all(bytes)?;
        settle(file, &path)?;
        Ok(hash)
    }

    /// Copies a file in, streaming, and returns its hash and size.
    pub fn put_file(&self, source: &Path) -> io::Result<(Fingerprint, u64)> {
        self.put_reader(&mut File::open(source)?)
    }

    /// Stores what a reader gives, streaming, and returns its hash and size.
    pub fn put_reader(&self, from: &mut dyn Read) -> io::Result<(Fingerprint, u64)> {
        let mut file = self.temporary()?;
        let mut hasher = blake3::Hasher::new();
        let (mut buffer, mut bytes) = (vec![0; 1 << 16], 0);
        loop {
            let n = from.read(&mut buffer)?;
            if n == 0 {
                break;
            }
            hasher.update(&buffer[..n]);
            file.write_all(&buffer[..n])?;
            bytes += n as u64;
        }
        let hash = Fingerprint::from_bytes(*hasher.finalize().as_bytes());
        let path = self.path(hash);
        if !is_whole(&path, bytes) {
            settle(file, &path)?;
        }
        Ok((hash, bytes))
    }

    /// Reads a value and checks that it is still what its hash says.
    pub fn read(&self, hash: Fingerprint) -> io::Result<Vec<u8>> {
        let path = self.path(hash);
        let bytes = fs::read(&path)?;
        if Fingerprint::of_bytes(&bytes) != hash {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                format!(
                    "`{}` no longer holds what its name says; delete it and run again",
                    path.display()
                ),
            ));
        }
        Ok(bytes)
    }

    /// Removes what a process that was killed was writing. To be called only while no other process writes here.
    pub fn sweep(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.root)? {
            let entry = entry?;
            if entry
                .file_name()
                .as_encoded_bytes()
                .starts_with(TEMPORARY.as_bytes())
            {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    fn temporary(&self) -> io::Result<tempfile::NamedTempFile> {
        temporary_in(&self.root)
    }
}

/// A value that a crash cut short has the wrong size and is written again.
fn is_whole(path: &Path, bytes: u64) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.len() == bytes)
}

fn settle(file: tempfile::NamedTempFile, path: &Path) -> io::Result<()> {
    file.as_file().sync_all()?;
    let folder = path
        .parent()
        .expect("every value lies in a folder under the root");
    let is_new = !folder.exists();
    fs::create_dir_all(folder)?;
    file.persist(path)?;
    // The name must be as durable as the outcomes that will speak of it.
    File::open(folder)?.sync_all()?;
    if is_new && let Some(root) = folder.parent() {
        File::open(root)?.sync_all()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_content_is_stored_once() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let blobs = Blobs::open(folder.path())?;
        let hash = blobs.put(b"a,b\n1,2\n")?;
        let file = folder.path().join("x.csv");
        fs::write(&file, b"a,b\n1,2\n")?;
        assert_eq!(blobs.put_file(&file)?, (hash, 8));
        assert_eq!(blobs.read(hash)?, b"a,b\n1,2\n");
        Ok(())
    }

    #[test]
    fn what_a_killed_process_was_writing_is_swept_and_values_stay() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let blobs = Blobs::open(folder.path())?;
        let hash = blobs.put(b"whole")?;
        let (_, left) = blobs.temporary()?.keep()?;
        assert!(left.exists());
        blobs.sweep()?;
        assert!(!left.exists());
        assert_eq!(blobs.read(hash)?, b"whole");
        Ok(())
    }

    #[test]
    fn a_torn_value_is_written_again() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let blobs = Blobs::open(folder.path())?;
        let hash = blobs.put(b"whole")?;
        fs::write(blobs.path(hash), b"who")?;
        assert!(blobs.read(hash).is_err());
        blobs.put(b"whole")?;
        assert_eq!(blobs.read(hash)?, b"whole");
        Ok(())
    }

    #[test]
    fn a_changed_value_is_refused() -> io::Result<()> {
        let folder = tempfile::tempdir()?;
        let blobs = Blobs::open(folder.path())?;
        let hash = blobs.put(b"whole")?;
        fs::write(blobs.path(hash), b"whale")?;
        assert_eq!(
            blobs.read(hash).map_err(|error| error.kind()),
            Err(io::ErrorKind::InvalidData)
        );
        Ok(())
    }
}
