//! Walks a tar.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

use super::meter::{Meter, Metered, of_io};
use super::{UnpackError, Visit, Walk, drain};

/// Names and attributes between two files; the reader of tars holds them in memory.
const MAX_HEADER_BYTES: u64 = 4 << 20;

/// Takes each file.
pub(super) fn walk(
    walk: &Walk<'_>,
    reader: impl Read,
    meter: &mut Meter,
    visit: &mut Visit<'_>,
) -> Result<(), UnpackError> {
    let (allowance, is_over) = (Rc::new(Cell::new(u64::MAX)), Rc::new(Cell::new(false)));
    let reader = Headers {
        reader,
        allowance: Rc::clone(&allowance),
        is_over: Rc::clone(&is_over),
    };
    let mut archive = tar::Archive::new(reader);
    let mut last = walk.name().to_owned();
    let mut entries = archive.entries().map_err(|error| of_io(&last, error))?;
    // Folders count too: an archive of nothing else has an end.
    let mut others = 0;
    loop {
        allowance.set(MAX_HEADER_BYTES);
        let entry = entries.next();
        allowance.set(u64::MAX);
        let Some(entry) = entry else { break };
        let mut entry = entry.map_err(|error| {
            if is_over.get() {
                UnpackError::Truncated {
                    entry: last.clone(),
                }
            } else {
                of_io(&last, error)
            }
        })?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let short = || name.chars().take(200).collect::<String>();
        let kind = entry.header().entry_type();
        if kind.is_dir() || kind.is_pax_global_extensions() {
            others += 1;
            if others > meter.limits.max_files {
                let max = meter.limits.max_files;
                return Err(UnpackError::TooManyFiles { max });
            }
            // A folder has no content, but its header can say so.
            drain(&mut Metered::new(&mut entry, meter, &name))?;
            continue;
        }
        if kind.is_symlink() || kind.is_hard_link() {
            return Err(UnpackError::Link { entry: short() });
        }
        if !(kind.is_file() || kind.is_contiguous() || kind.is_gnu_sparse()) {
            return Err(UnpackError::NoFile { entry: short() });
        }
        let size = entry.size();
        let mut counted = Counted {
            reader: &mut entry,
            left: size,
        };
        walk.take(&name, &mut counted, meter, visit)?;
        last = short();
    }
    // The checksum of a compressed tar stands behind it.
    let mut rest = archive.into_inner();
    drain(&mut Metered::new(&mut rest, meter, &last))
}

/// Bounds what is read between two files.
struct Headers<R> {
    reader: R,
    allowance: Rc<Cell<u64>>,
    /// Whether there is nothing more to read: what is missing then is missing at the end.
    is_over: Rc<Cell<bool>>,
}

impl<R: Read> Read for Headers<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let result = self.reader.read(into);
        let is_cut = |error: &io::Error| error.kind() == io::ErrorKind::UnexpectedEof;
        if matches!(result, Ok(0)) && !into.is_empty() || result.as_ref().is_err_and(is_cut) {
            self.is_over.set(true);
        }
        let read = result?;
        let allowance = self.allowance.get();
        if allowance != u64::MAX {
            let left = allowance.checked_sub(read as u64).ok_or_else(|| {
                io::Error::new(
                    io::ErrorKind::InvalidData,
                    "a name or attribute is too long",
                )
            })?;
            self.allowance.set(left);
        }
        Ok(read)
    }
}

/// Notices a file that is shorter than it is said to be.
struct Counted<'r, R> {
    reader: &'r mut R,
    left: u64,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(into)?;
        if read == 0 && self.left > 0 && !into.is_empty() {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.left = self.left.saturating_sub(read as u64);
        Ok(read)
    }
}
