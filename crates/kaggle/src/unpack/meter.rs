//! Keeps count while an archive is unpacked: files, bytes, names that were used; and tells faults of the archive from others.

use std::collections::HashSet;
use std::io::{self, Read};

use super::{UnpackError, UnpackLimits, Unpacked};

/// An archive may unpack to so much before its ratio is looked at: small files of zeros are no bombs.
const FREE_BYTES: u64 = 64 << 20;
/// Remarks beyond are not kept.
const MAX_REMARKS: usize = 100;

pub(super) struct Meter {
    pub(super) limits: UnpackLimits,
    pub(super) unpacked: Unpacked,
    archive_bytes: u64,
    /// All that was decompressed, also on the way into a spool.
    bytes: u64,
    /// Hashes of paths: half a million names would take more room.
    files: HashSet<[u8; 16]>,
    folders: HashSet<[u8; 16]>,
}

impl Meter {
    pub(super) fn new(limits: UnpackLimits, archive_bytes: u64) -> Self {
        Self {
            limits,
            unpacked: Unpacked::default(),
            archive_bytes: archive_bytes.max(1),
            bytes: 0,
            files: HashSet::new(),
            folders: HashSet::new(),
        }
    }

    pub(super) fn files(&mut self, files: u64) -> Result<(), UnpackError> {
        self.unpacked.files += files;
        let max = self.limits.max_files;
        if self.unpacked.files > max {
            return Err(UnpackError::TooManyFiles { max });
        }
        Ok(())
    }

    /// Claims a path for a file; false when it, or one of its folders, is a file already, or it is a folder.
    pub(super) fn claim(&mut self, path: &str) -> bool {
        let parents = path.match_indices('/').map(|(at, _)| key(&path[..at]));
        if parents.clone().any(|folder| self.files.contains(&folder)) {
            return false;
        }
        let key = key(path);
        if self.folders.contains(&key) || !self.files.insert(key) {
            return false;
        }
        self.folders.extend(parents);
        true
    }

    pub(super) fn remark(&mut self, remark: String) {
        if self.unpacked.remarks.len() < MAX_REMARKS {
            self.unpacked.remarks.push(remark);
        }
    }

    pub(super) fn into_unpacked(self) -> Unpacked {
        self.unpacked
    }

    pub(super) fn uncount(&mut self, bytes: u64) {
        self.bytes = self.bytes.saturating_sub(bytes);
    }

    fn count(&mut self, bytes: u64) -> Result<(), UnpackError> {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.bytes > self.limits.max_bytes {
            let max = self.limits.max_bytes;
            return Err(UnpackError::TooLarge { max });
        }
        let max_ratio = self.limits.max_ratio;
        if self.bytes > FREE_BYTES.max(self.archive_bytes.saturating_mul(max_ratio)) {
            return Err(UnpackError::Bomb { max_ratio });
        }
        Ok(())
    }
}

fn key(path: &str) -> [u8; 16] {
    let mut key = [0; 16];
    key.copy_from_slice(&blake3::hash(path.as_bytes()).as_bytes()[..16]);
    key
}

/// An entry's content on its way out. A fault of the archive is kept, so that it is not taken for one of the reader's.
pub(super) struct Metered<'r, 'm> {
    content: &'r mut dyn Read,
    meter: &'m mut Meter,
    entry: &'r str,
    fault: Option<UnpackError>,
    pub(super) read: u64,
}

impl<'r, 'm> Metered<'r, 'm> {
    pub(super) fn new(content: &'r mut dyn Read, meter: &'m mut Meter, entry: &'r str) -> Self {
        Self {
            content,
            meter,
            entry,
            fault: None,
            read: 0,
        }
    }

    /// The archive's fault if there is one, else the result of whoever read.
    pub(super) fn finish<T>(&mut self, result: io::Result<T>) -> Result<T, UnpackError> {
        match self.fault.take() {
            Some(fault) => Err(fault),
            None => Ok(result?),
        }
    }
}

impl Read for Metered<'_, '_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let stop = || io::Error::other("the archive cannot be read on");
        if self.fault.is_some() {
            return Err(stop());
        }
        let result = match self.content.read(into) {
            Ok(read) => self.meter.count(read as u64).map(|()| read),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Err(error),
            Err(error) => Err(of_io(self.entry, error)),
        };
        match result {
            Ok(read) => {
                self.read += read as u64;
                Ok(read)
            }
            Err(fault) => {
                self.fault = Some(fault);
                Err(stop())
            }
        }
    }
}

/// What an error while reading an archive says of it.
pub(super) fn of_io(entry: &str, error: io::Error) -> UnpackError {
    let entry = || entry.chars().take(200).collect();
    match error.kind() {
        io::ErrorKind::Unsupported => UnpackError::Unsupported { entry: entry() },
        io::ErrorKind::UnexpectedEof => UnpackError::Truncated { entry: entry() },
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::Other => {
            UnpackError::Damaged {
                entry: entry(),
                message: error.to_string(),
            }
        }
        _ => UnpackError::Io(error),
    }
}
