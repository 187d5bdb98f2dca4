//! How much room a disk has.

use std::path::Path;

use crate::KaggleError;

/// The bytes that a process without privileges may still write to the disk of `folder`.
pub fn free_bytes(folder: &Path) -> Result<u64, KaggleError> {
    let stat =
        rustix::fs::statvfs(folder).map_err(|error| KaggleError::io(folder, error.into()))?;
    Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
}

/// Refuses when so many bytes, and what is to stay free, do not fit.
pub(crate) fn check(folder: &Path, bytes: u64, min_free: u64) -> Result<(), KaggleError> {
    let free = free_bytes(folder)?;
    let needed = bytes.saturating_add(min_free);
    if free < needed {
        return Err(KaggleError::DiskFull {
            folder: folder.to_owned(),
            needed,
            free,
        });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_without_room_is_an_error_with_both_figures() {
        let folder = tempfile::tempdir().unwrap();
        assert!(free_bytes(folder.path()).unwrap() > 0);
        check(folder.path(), 1, 0).unwrap();
        let error = check(folder.path(), u64::MAX, 1).unwrap_err();
        assert!(matches!(error, KaggleError::DiskFull { needed: u64::MAX, free, .. } if free > 0));
        assert!(error.is_spurious() && error.to_string().contains("bytes free"));
        assert!(matches!(
            free_bytes(&folder.path().join("no")),
            Err(KaggleError::Io { .. })
        ));
    }
}
