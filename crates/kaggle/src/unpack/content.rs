//! What a file is, by its first bytes.

use std::io::{self, Read, Seek, SeekFrom};

use flate2::read::GzDecoder;

/// A tar header is one block, and the first thing of a tar.
pub(super) const HEAD_BYTES: usize = 512;
const TAR_MAGIC: std::ops::Range<usize> = 257..262;

/// What a file is, by its content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Content {
    /// A zip file, which can be an archive or a document.
    Zip,
    /// A tar, compressed with gzip.
    TarGz,
    /// A tar.
    Tar,
    /// One file, compressed with gzip.
    Gzip,
    /// Anything else.
    Other,
}

impl Content {
    /// What this is; it is at its beginning afterwards.
    pub fn of<R: Read + Seek>(file: &mut R) -> io::Result<Self> {
        file.seek(SeekFrom::Start(0))?;
        let head = head(file)?;
        file.seek(SeekFrom::Start(0))?;
        let content = if is_zip(&head) {
            Self::Zip
        } else if is_tar(&head) {
            Self::Tar
        } else if is_gzip(&head) {
            // What cannot be decompressed is no tar, and fails where it is used.
            let inner = self::head(&mut GzDecoder::new(&mut *file)).unwrap_or_default();
            file.seek(SeekFrom::Start(0))?;
            if is_tar(&inner) {
                Self::TarGz
            } else {
                Self::Gzip
            }
        } else {
            Self::Other
        };
        Ok(content)
    }
}

/// Whether a file that begins so is worth a second look.
pub(super) fn may_be_archive(head: &[u8]) -> bool {
    is_zip(head) || is_tar(head) || is_gzip(head)
}

fn head(reader: &mut dyn Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    reader.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// The second is a zip file without any entry.
fn is_zip(head: &[u8]) -> bool {
    head.starts_with(b"PK\x03\x04") || head.starts_with(b"PK\x05\x06")
}

fn is_gzip(head: &[u8]) -> bool {
    head.starts_with(&[0x1f, 0x8b, 0x08])
}

fn is_tar(head: &[u8]) -> bool {
    head.get(TAR_MAGIC) == Some(b"ustar")
}
