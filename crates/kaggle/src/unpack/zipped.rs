//! Walks a zip file.

use std::io::{self, Read, Seek, SeekFrom};

use zip::ZipArchive;
use zip::result::ZipError;

use super::meter::{Meter, of_io};
use super::{UnpackError, Visit, Walk};

const FORMAT_MASK: u32 = 0o170_000;
const LINK: u32 = 0o120_000;
const FILE: u32 = 0o100_000;
/// The record at the end of a zip file, and how much of a comment may follow it.
const END_MAGIC: &[u8] = b"PK\x05\x06";
const END_BYTES: usize = 22;
const MAX_COMMENT_BYTES: u64 = 0xffff;
/// The record that says where the long form of the end is.
const LOCATOR_MAGIC: &[u8] = b"PK\x06\x07";
const LOCATOR_BYTES: usize = 20;
const LONG_END_MAGIC: &[u8] = b"PK\x06\x06";

/// Opens a zip file, whose list of entries is held in memory: it is refused before that when it is too long.
pub(super) fn open<R: Read + Seek>(
    mut reader: R,
    max_files: u64,
    name: &str,
) -> Result<ZipArchive<R>, UnpackError> {
    let declared = entries(&mut reader)?.ok_or_else(|| UnpackError::Truncated {
        entry: name.to_owned(),
    })?;
    if declared > max_files {
        return Err(UnpackError::TooManyFiles { max: max_files });
    }
    reader.seek(SeekFrom::Start(0))?;
    let archive = ZipArchive::new(reader).map_err(|error| of_zip(name, error))?;
    // Entries of the same name become one while the list is read.
    if (archive.len() as u64) < declared {
        return Err(UnpackError::Duplicate {
            entry: name.to_owned(),
        });
    }
    Ok(archive)
}

/// Takes each file.
pub(super) fn walk<R: Read + Seek>(
    walk: &Walk<'_>,
    mut archive: ZipArchive<R>,
    meter: &mut Meter,
    visit: &mut Visit<'_>,
) -> Result<(), UnpackError> {
    for index in 0..archive.len() {
        let (name, is_folder) = {
            let entry = archive
                .by_index_data(index)
                .map_err(|error| of_zip(walk.name(), error))?;
            let name = entry
                .name()
                .map_err(|error| of_zip(walk.name(), error))?
                .into_owned();
            let short = || name.chars().take(200).collect();
            let format = entry.unix_mode().map_or(0, |mode| mode & FORMAT_MASK);
            let is_folder = entry.is_dir();
            if entry.is_symlink() || format == LINK {
                return Err(UnpackError::Link { entry: short() });
            }
            if !is_folder && format != 0 && format != FILE {
                return Err(UnpackError::NoFile { entry: short() });
            }
            if entry.encrypted() {
                return Err(UnpackError::Encrypted { entry: short() });
            }
            (name, is_folder)
        };
        if is_folder {
            continue;
        }
        let mut entry = archive
            .by_index(index)
            .map_err(|error| of_zip(&name, error))?;
        walk.take(&name, &mut entry, meter, visit)?;
    }
    Ok(())
}

/// Whether this is a document that is a zip file by nature: a spreadsheet, an array, a package. By what it holds.
pub(super) fn is_document<R: Read + Seek>(archive: &mut ZipArchive<R>) -> bool {
    if archive.is_empty() {
        return true;
    }
    let mut are_arrays = true;
    for name in archive.file_names().flatten() {
        let name = name.trim_start_matches("./");
        let file = name.rsplit('/').next().unwrap_or(name);
        let is_telltale = ["[Content_Types].xml", "mimetype", "META-INF/MANIFEST.MF", "AndroidManifest.xml", "doc.kml"]
            .contains(&name)
            // A model of PyTorch, whose folder has any name.
            || (file == "data.pkl" && name.matches('/').count() <= 1)
            // A model of Keras.
            || name == "model.weights.h5";
        if is_telltale {
            return true;
        }
        are_arrays &= name.strip_suffix(".npy").is_some() && !name.contains('/');
    }
    are_arrays
}

/// Whether the one file that is in there is called so.
pub(super) fn is_only<R: Read + Seek>(archive: &mut ZipArchive<R>, name: &str) -> bool {
    let file = |path: &str| path.rsplit(['/', '\\']).next().map(str::to_owned);
    archive.len() == 1
        && archive
            .file_names()
            .flatten()
            .next()
            .is_some_and(|entry| !entry.ends_with('/') && file(&entry) == file(name))
}

/// How many entries a zip file says that it has; none when it has no end.
fn entries<R: Read + Seek>(reader: &mut R) -> io::Result<Option<u64>> {
    let length = reader.seek(SeekFrom::End(0))?;
    let tail_bytes = length.min(MAX_COMMENT_BYTES + (END_BYTES + LOCATOR_BYTES) as u64);
    reader.seek(SeekFrom::Start(length - tail_bytes))?;
    let mut tail = Vec::with_capacity(tail_bytes as usize);
    reader.take(tail_bytes).read_to_end(&mut tail)?;
    let Some(end) = (0..=tail.len().saturating_sub(END_BYTES))
        .rev()
        .find(|at| tail[*at..].starts_with(END_MAGIC))
        .filter(|at| at + END_BYTES <= tail.len())
    else {
        return Ok(None);
    };
    let short = u16::from_le_bytes([tail[end + 10], tail[end + 11]]);
    let locator = end
        .checked_sub(LOCATOR_BYTES)
        .map(|at| &tail[at..end])
        .filter(|locator| locator.starts_with(LOCATOR_MAGIC));
    let Some(locator) = locator else {
        return Ok(Some(u64::from(short)));
    };
    let mut at = [0; 8];
    at.copy_from_slice(&locator[8..16]);
    let mut long_end = [0; 40];
    reader.seek(SeekFrom::Start(u64::from_le_bytes(at).min(length)))?;
    let is_long = reader.read_exact(&mut long_end).is_ok() && long_end.starts_with(LONG_END_MAGIC);
    if !is_long {
        return Ok(Some(u64::from(short)));
    }
    let mut count = [0; 8];
    count.copy_from_slice(&long_end[32..40]);
    Ok(Some(u64::from_le_bytes(count)))
}

fn of_zip(entry: &str, error: ZipError) -> UnpackError {
    let entry: String = entry.chars().take(200).collect();
    match error {
        ZipError::Io(error) => of_io(&entry, error),
        ZipError::UnsupportedArchive(ZipError::PASSWORD_REQUIRED) | ZipError::InvalidPassword => {
            UnpackError::Encrypted { entry }
        }
        ZipError::UnsupportedArchive(_) | ZipError::CompressionMethodNotSupported(_) => {
            UnpackError::Unsupported { entry }
        }
        error => UnpackError::Damaged {
            entry,
            message: error.to_string(),
        },
    }
}
