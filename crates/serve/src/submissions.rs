//! Submissions of DSGym's agents: their code writes `/submission/submission.csv`, and they look for it in a folder of the host.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::{fs, io};

/// The submission in the workspace; `/submission` leads to its folder.
pub const FILE: &str = "submission/submission.csv";
/// With it that folder is there before anything is written to it.
pub const KEEPER: &str = "submission/.keep";

/// A folder of the host with one folder for each seat.
pub struct Submissions {
    folder: PathBuf,
    /// Whose seat it is does not change while its submission is written.
    writing: Mutex<()>,
}

impl Submissions {
    /// Takes a folder that can be written to; it is made if it is not there.
    pub fn new(folder: &Path) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        tempfile::tempfile_in(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            writing: Mutex::new(()),
        })
    }

    /// Puts a submission where the seat's agent looks for it, or takes away what lies there. Does nothing when the seat has another
    /// tenant by now.
    pub fn put(
        &self,
        seat: usize,
        submission: Option<&[u8]>,
        is_theirs: impl FnOnce() -> bool,
    ) -> io::Result<()> {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if !is_theirs() {
            return Ok(());
        }
        let folder = self.folder.join(format!("container_{seat:03}"));
        fs::create_dir_all(&folder)?;
        let file = folder.join("submission.csv");
        match submission {
            Some(bytes) => {
                let partial = folder.join(".submission.csv.partial");
                fs::write(&partial, bytes)?;
                fs::rename(partial, file)
            }
            None => match fs::remove_file(file) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                outcome => outcome,
            },
        }
    }
}
