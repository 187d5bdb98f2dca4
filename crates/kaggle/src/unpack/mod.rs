//! Unpacks zip, tar and tar.gz, and archives inside them, streaming; whatever an archive holds, nothing lands elsewhere.
//!
//! What an archive is, is told by its content (`content`). `zipped` and `tarred` walk the entries, `path` refuses names
//! that lead elsewhere, `meter` keeps count: files, bytes, what the bytes came from, names that were used.

mod content;
mod meter;
mod path;
mod tarred;
mod zipped;

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::path::Path;

pub use content::Content;

use meter::{Meter, Metered};

/// What an archive may unpack to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnpackLimits {
    /// Files, at most.
    pub max_files: u64,
    /// Bytes of all files together, at most.
    pub max_bytes: u64,
    /// How many times its own size an archive may unpack to; the first 64 MiB are free.
    pub max_ratio: u64,
}

impl Default for UnpackLimits {
    fn default() -> Self {
        Self {
            max_files: 500_000,
            max_bytes: 60_000_000_000,
            max_ratio: 200,
        }
    }
}

impl UnpackLimits {
    /// What the configuration says.
    pub fn of(config: &synth_core::config::KaggleConfig) -> Self {
        Self {
            max_files: config.max_unpacked_files,
            max_bytes: config.max_unpacked_bytes,
            ..Self::default()
        }
    }
}

/// What came out of an archive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Files.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// What was left out or left as it is, and why: junk of operating systems, an inner archive that cannot be opened, a
    /// file that is there already.
    pub remarks: Vec<String>,
}

/// Why an archive is refused.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// It is neither zip nor tar.
    #[error("the file is no archive that can be unpacked (zip, tar, tar.gz)")]
    NotAnArchive,
    /// It ends too early.
    #[error("the archive ends too early, at `{entry}`; download it again")]
    Truncated {
        /// Where it ends.
        entry: String,
    },
    /// Its content is not what its checksums or headers say.
    #[error("the archive is damaged at `{entry}`: {message}")]
    Damaged {
        /// Where.
        entry: String,
        /// How.
        message: String,
    },
    /// A password is needed.
    #[error("`{entry}` in the archive is encrypted")]
    Encrypted {
        /// The file.
        entry: String,
    },
    /// A name that leads out of the folder, or is no name.
    #[error("`{entry}` in the archive is no safe path: {why}")]
    UnsafePath {
        /// The name, shortened.
        entry: String,
        /// Why.
        why: &'static str,
    },
    /// A symbolic or hard link.
    #[error("`{entry}` in the archive is a link")]
    Link {
        /// The link.
        entry: String,
    },
    /// A device, pipe or other thing that is no file.
    #[error("`{entry}` in the archive is no plain file")]
    NoFile {
        /// The thing.
        entry: String,
    },
    /// Two entries would be one file, or one would be a file and a folder.
    #[error("`{entry}` is in the archive twice")]
    Duplicate {
        /// The name.
        entry: String,
    },
    /// A compression method of a kind that is not read.
    #[error("`{entry}` in the archive is compressed in a way that is not read")]
    Unsupported {
        /// The file.
        entry: String,
    },
    /// More files than are allowed.
    #[error("the archive holds more than the {max} files that are allowed")]
    TooManyFiles {
        /// The limit.
        max: u64,
    },
    /// More bytes than are allowed.
    #[error("the archive unpacks to more than the {max} bytes that are allowed")]
    TooLarge {
        /// The limit.
        max: u64,
    },
    /// It unpacks to many times its size.
    #[error("the archive unpacks to more than {max_ratio} times its size")]
    Bomb {
        /// The limit.
        max_ratio: u64,
    },
    /// The disk, or whoever takes the files, does not do what it is asked to.
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl UnpackError {
    /// A short name in snake case, to record and to count by.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NotAnArchive => "no_archive",
            Self::Truncated { .. } => "archive_truncated",
            Self::Damaged { .. } => "archive_damaged",
            Self::Encrypted { .. } => "archive_encrypted",
            Self::UnsafePath { .. } => "archive_unsafe_path",
            Self::Link { .. } => "archive_link",
            Self::NoFile { .. } => "archive_no_file",
            Self::Duplicate { .. } => "archive_duplicate",
            Self::Unsupported { .. } => "archive_unsupported",
            Self::TooManyFiles { .. } => "archive_too_many_files",
            Self::TooLarge { .. } => "archive_too_large",
            Self::Bomb { .. } => "archive_bomb",
            Self::Io(_) => "io",
        }
    }
}

/// How many archives deep an archive is opened; what lies deeper stays as it is.
const INNER_LEVELS: u8 = 4;

/// Takes each file of an archive: its path, with `/` between its parts, and its content.
pub type Visit<'v> = dyn FnMut(&str, &mut dyn Read) -> io::Result<()> + 'v;

/// Gives each file of an archive to `visit`, in the archive's order; what `visit` does not read is passed over.
///
/// An archive inside it is opened too, down to the fourth: `train.csv.zip` gives `train.csv`, `images.zip` gives `images/…`.
/// Documents that are zip files by nature (spreadsheets, arrays, packages) stay whole. A refusal can come after files were
/// given: what was taken is to be thrown away then. It blocks: call it where that does no harm.
pub fn unpack(
    archive: &Path,
    limits: &UnpackLimits,
    visit: &mut Visit<'_>,
) -> Result<Unpacked, UnpackError> {
    let mut file = File::open(archive)?;
    let folder = archive
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    let mut meter = Meter::new(*limits, file.metadata()?.len());
    let walk = Walk {
        scratch: folder.unwrap_or(Path::new(".")),
        place: Place::Top,
        levels: INNER_LEVELS,
    };
    let content = Content::of(&mut file)?;
    walk.open(file, content, &mut meter, visit)?;
    Ok(meter.into_unpacked())
}

/// Unpacks into a folder that is not there yet or is empty: all of the archive, or nothing. Gives the paths and sizes.
pub fn unpack_into(
    archive: &Path,
    folder: &Path,
    limits: &UnpackLimits,
) -> Result<(Vec<(String, u64)>, Unpacked), UnpackError> {
    let parent = folder
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    let parent = parent.unwrap_or(Path::new("."));
    fs::create_dir_all(parent)?;
    let scratch = tempfile::Builder::new()
        .prefix(".unpacking-")
        .tempdir_in(parent)?;
    let mut files = Vec::new();
    let unpacked = unpack(archive, limits, &mut |path, content| {
        let target = scratch.path().join(path);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = File::create_new(&target)?;
        let bytes = io::copy(content, &mut file)?;
        files.push((path.to_owned(), bytes));
        Ok(())
    })?;
    fs::rename(scratch.keep(), folder)?;
    Ok((files, unpacked))
}

/// The content of a zip file's one entry, if it has one entry only and that is called so.
pub(crate) fn unwrap_single(
    archive: &Path,
    name: &str,
    limits: &UnpackLimits,
    target: &mut File,
) -> Result<bool, UnpackError> {
    let mut file = File::open(archive)?;
    if Content::of(&mut file)? != Content::Zip {
        return Ok(false);
    }
    let Ok(mut inner) = zipped::open(BufReader::new(file), limits.max_files, name) else {
        return Ok(false);
    };
    if !zipped::is_only(&mut inner, name) {
        return Ok(false);
    }
    let mut meter = Meter::new(*limits, fs::metadata(archive)?.len());
    let walk = Walk {
        scratch: Path::new("."),
        place: Place::Inside {
            at: "",
            within: name,
        },
        levels: 0,
    };
    zipped::walk(&walk, inner, &mut meter, &mut |_, content| {
        io::copy(content, target).map(|_| ())
    })?;
    target.flush()?;
    Ok(true)
}

/// One archive that is being walked.
struct Walk<'a> {
    /// Where inner archives are spooled.
    scratch: &'a Path,
    place: Place<'a>,
    /// How many levels of archives inside it are opened.
    levels: u8,
}

/// Where an archive lies.
#[derive(Clone, Copy)]
enum Place<'a> {
    /// It is the one that was asked for.
    Top,
    /// It lies inside that one, in the folder `at`, under this name.
    Inside { at: &'a str, within: &'a str },
}

impl Walk<'_> {
    fn open(
        &self,
        file: File,
        content: Content,
        meter: &mut Meter,
        visit: &mut Visit<'_>,
    ) -> Result<(), UnpackError> {
        let reader = BufReader::with_capacity(1 << 16, file);
        match content {
            Content::Zip => {
                let archive = zipped::open(reader, meter.limits.max_files, self.name())?;
                zipped::walk(self, archive, meter, visit)
            }
            Content::TarGz => {
                let reader = flate2::bufread::MultiGzDecoder::new(reader);
                tarred::walk(self, reader, meter, visit)
            }
            Content::Tar => tarred::walk(self, reader, meter, visit),
            Content::Gzip | Content::Other => Err(UnpackError::NotAnArchive),
        }
    }

    /// Takes one file of the archive: opens it if it is an archive itself, else hands it on.
    fn take(
        &self,
        name: &str,
        content: &mut dyn Read,
        meter: &mut Meter,
        visit: &mut Visit<'_>,
    ) -> Result<(), UnpackError> {
        let name = path::safe(name)?;
        if path::is_junk(&name) {
            meter.remark(format!(
                "`{name}` is left out: an operating system's own note"
            ));
            return drain(&mut Metered::new(content, meter, &name));
        }
        let path = self.path_of(&name);
        if self.levels == 0 {
            return self.keep(&path, content, meter, visit);
        }
        let mut head = Vec::with_capacity(content::HEAD_BYTES);
        let mut metered = Metered::new(content, meter, &name);
        let read = metered
            .by_ref()
            .take(content::HEAD_BYTES as u64)
            .read_to_end(&mut head);
        metered.finish(read)?;
        if content::may_be_archive(&head) {
            let mut spool = tempfile::tempfile_in(self.scratch)?;
            spool.write_all(&head)?;
            let mut metered = Metered::new(content, meter, &name);
            let copied = io::copy(&mut metered, &mut spool);
            metered.finish(copied)?;
            spool.seek(SeekFrom::Start(0))?;
            return self.take_inner(&path, spool, meter, visit);
        }
        // The head is counted when it is handed on.
        meter.uncount(head.len() as u64);
        self.keep(&path, &mut head.as_slice().chain(content), meter, visit)
    }

    /// Hands a file on as it is, if its path is free.
    fn keep(
        &self,
        path: &str,
        content: &mut dyn Read,
        meter: &mut Meter,
        visit: &mut Visit<'_>,
    ) -> Result<(), UnpackError> {
        if self.claim(path, meter)? {
            give(path, content, meter, visit)
        } else {
            drain(&mut Metered::new(content, meter, path))
        }
    }

    /// Whether a path is free. One archive that has it twice is refused; of a file that an inner archive brings once more, the
    /// first stays.
    fn claim(&self, path: &str, meter: &mut Meter) -> Result<bool, UnpackError> {
        let is_free = meter.claim(path);
        match self.place {
            Place::Top if !is_free => Err(UnpackError::Duplicate {
                entry: path.to_owned(),
            }),
            _ => {
                if !is_free {
                    meter.remark(format!(
                        "`{path}` is left out: a file of that name is there already"
                    ));
                }
                Ok(is_free)
            }
        }
    }

    /// Takes a file that looks like an archive, would be handed on by this path, and lies in a spool.
    fn take_inner(
        &self,
        name: &str,
        mut spool: File,
        meter: &mut Meter,
        visit: &mut Visit<'_>,
    ) -> Result<(), UnpackError> {
        let content = Content::of(&mut spool)?;
        let is_archive = match content {
            Content::Zip => {
                match zipped::open(
                    BufReader::new(spool.try_clone()?),
                    meter.limits.max_files,
                    name,
                ) {
                    Ok(mut archive) => !zipped::is_document(&mut archive),
                    Err(UnpackError::TooManyFiles { max }) => {
                        return Err(UnpackError::TooManyFiles { max });
                    }
                    Err(error) => {
                        meter.remark(format!("`{name}` stays as it is: {error}"));
                        false
                    }
                }
            }
            Content::Tar | Content::TarGz => true,
            Content::Gzip | Content::Other => false,
        };
        spool.seek(SeekFrom::Start(0))?;
        if !is_archive {
            if !self.claim(name, meter)? {
                return Ok(());
            }
            // Its bytes were counted on their way into the spool.
            meter.files(1)?;
            let mut spool = Counted {
                file: spool,
                bytes: 0,
            };
            visit(name, &mut spool)?;
            let rest = io::copy(&mut spool.file, &mut io::sink())?;
            meter.unpacked.bytes += spool.bytes + rest;
            return Ok(());
        }
        let (at, within) = name.rsplit_once('/').unwrap_or(("", name));
        let inner = Walk {
            scratch: self.scratch,
            place: Place::Inside { at, within },
            levels: self.levels - 1,
        };
        inner.open(spool, content, meter, visit)
    }

    /// Where a file of an inner archive goes: to the archive's place where it bears the archive's name, else into a
    /// folder of that name.
    fn path_of(&self, name: &str) -> String {
        let Place::Inside { at, within } = self.place else {
            return name.to_owned();
        };
        let stem = path::stem(within);
        let is_namesake = name == stem
            || name
                .strip_prefix(stem)
                .is_some_and(|rest| rest.starts_with('/') || is_ending(rest));
        let path = if is_namesake {
            name.to_owned()
        } else {
            format!("{stem}/{name}")
        };
        if at.is_empty() {
            path
        } else {
            format!("{at}/{path}")
        }
    }

    fn name(&self) -> &str {
        match self.place {
            Place::Top => "the end",
            Place::Inside { within, .. } => within,
        }
    }
}

/// `.csv`, of `train.csv` in `train.zip`.
fn is_ending(rest: &str) -> bool {
    rest.strip_prefix('.')
        .is_some_and(|ending| !ending.is_empty() && !ending.contains(['/', '.']))
}

/// Hands a file on, and reads what is left of it so that its checksum is looked at.
fn give(
    path: &str,
    content: &mut dyn Read,
    meter: &mut Meter,
    visit: &mut Visit<'_>,
) -> Result<(), UnpackError> {
    meter.files(1)?;
    let mut metered = Metered::new(content, meter, path);
    let visited = visit(path, &mut metered);
    metered.finish(visited)?;
    drain(&mut metered)?;
    let bytes = metered.read;
    meter.unpacked.bytes += bytes;
    Ok(())
}

fn drain(metered: &mut Metered<'_, '_>) -> Result<(), UnpackError> {
    let drained = io::copy(metered, &mut io::sink());
    metered.finish(drained).map(|_| ())
}

struct Counted {
    file: File,
    bytes: u64,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(into)?;
        self.bytes += read as u64;
        Ok(read)
    }
}
