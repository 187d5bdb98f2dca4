//! Downloads: into a partial file that survives a kill, on from where it ends, and to its place when it is whole.

use std::fmt;
use std::fs::{self, File};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use reqwest::Method;

use crate::call::Call;
use crate::part::{Part, beside};
use crate::storage::Course;
use crate::tries::Tries;
use crate::unpack::{self, Content};
use crate::{Kaggle, KaggleError, UnpackLimits};

/// What can be downloaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Artifact {
    /// All files of a competition, as one archive.
    CompetitionBundle {
        /// The competition.
        slug: String,
    },
    /// One file of a competition.
    CompetitionFile {
        /// The competition.
        slug: String,
        /// The file.
        path: String,
    },
    /// The public leaderboard, as a zip file of a CSV file.
    Leaderboard {
        /// The competition.
        slug: String,
    },
    /// All files of a dataset, as one archive.
    Dataset {
        /// `owner/name`.
        dataset: String,
        /// The version; the newest when absent.
        version: Option<u64>,
    },
    /// One file of a dataset.
    DatasetFile {
        /// `owner/name`.
        dataset: String,
        /// The file.
        path: String,
        /// The version; the newest when absent.
        version: Option<u64>,
    },
}

impl fmt::Display for Artifact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = |version: &Option<u64>| {
            version
                .map(|number| format!("@{number}"))
                .unwrap_or_default()
        };
        match self {
            Self::CompetitionBundle { slug } => write!(f, "competitions/{slug}"),
            Self::CompetitionFile { slug, path } => write!(f, "competitions/{slug}/{path}"),
            Self::Leaderboard { slug } => write!(f, "competitions/{slug}#leaderboard"),
            Self::Dataset {
                dataset,
                version: v,
            } => write!(f, "datasets/{dataset}{}", version(v)),
            Self::DatasetFile {
                dataset,
                path,
                version: v,
            } => {
                write!(f, "datasets/{dataset}{}/{path}", version(v))
            }
        }
    }
}

impl Artifact {
    fn call(&self) -> Result<Call, KaggleError> {
        let of_competition = |name, path| Call::competitions(name, Method::GET, path);
        let of_dataset = |path: &'static str| Call::datasets("DownloadDataset", path);
        let whole = "datasets/download/{ownerSlug}/{datasetSlug}";
        Ok(match self {
            Self::CompetitionBundle { slug } => {
                let path = "competitions/data/download-all/{competitionName}";
                of_competition("DownloadDataFiles", path).about(slug)?
            }
            Self::CompetitionFile { slug, path: file } => {
                let path = "competitions/data/download/{competitionName}/{fileName}";
                of_competition("DownloadDataFile", path)
                    .about(slug)?
                    .file(file)?
            }
            Self::Leaderboard { slug } => {
                let path = "competitions/{competitionName}/leaderboard/download";
                of_competition("DownloadLeaderboard", path).about(slug)?
            }
            Self::Dataset { dataset, version } => of_dataset(whole)
                .about_dataset(dataset)?
                .maybe("datasetVersionNumber", *version),
            Self::DatasetFile {
                dataset,
                path,
                version,
            } => of_dataset(whole)
                .about_dataset(dataset)?
                .file(path)?
                .maybe("datasetVersionNumber", *version),
        })
    }

    /// The name of the file that was asked for, where it is one file.
    fn file(&self) -> Option<&str> {
        match self {
            Self::CompetitionFile { path, .. } | Self::DatasetFile { path, .. } => Some(path),
            _ => None,
        }
    }
}

/// How much may be downloaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DownloadLimits {
    /// Bytes, at most; more are not fetched, whatever was announced.
    pub max_bytes: u64,
}

impl Default for DownloadLimits {
    fn default() -> Self {
        Self {
            max_bytes: u64::MAX,
        }
    }
}

/// How far a download is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that are there, with those of earlier tries.
    pub bytes: u64,
    /// All bytes, where the server says.
    pub total: Option<u64>,
}

/// Who watches a download, and may say that it is far enough for now.
pub type Watch<'a> = dyn Fn(Progress) -> ControlFlow<()> + Send + Sync + 'a;

/// Watches nothing.
pub fn unwatched(_: Progress) -> ControlFlow<()> {
    ControlFlow::Continue(())
}

/// A download that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Downloaded {
    /// Where it lies.
    pub path: PathBuf,
    /// Its size there.
    pub bytes: u64,
    /// What it is, by its content.
    pub content: Content,
    /// Bytes that were there from an earlier try, also of another process.
    pub resumed_from: u64,
    /// Requests that it took.
    pub tries: u32,
    /// Whether its MD5 was given, and is right.
    pub is_verified: bool,
    /// Whether one file was asked for, came as a zip file, and was taken out of it.
    pub was_zipped: bool,
    /// By what the server knows it again.
    pub etag: Option<String>,
}

impl Kaggle {
    /// Downloads to `path`. A partial file beside it goes on where it ended, also after a kill; a failure keeps it.
    /// When `progress` says that it is far enough, [`KaggleError::Stopped`], and every byte that came is in the partial file.
    ///
    /// One file that arrives as a zip file of itself is taken out of it.
    pub async fn download(
        &self,
        artifact: &Artifact,
        path: &Path,
        limits: &DownloadLimits,
        progress: &Watch<'_>,
    ) -> Result<Downloaded, KaggleError> {
        let call = artifact.call()?;
        let _place = self.downloads.enter().await;
        let mut part = Part::open(path, &artifact.to_string()).await?;
        let resumed_from = part.len;
        let filled = self.fill(&call, &mut part, limits, progress);
        let tries = match tokio::time::timeout(self.options.download_timeout, filled).await {
            Ok(tries) => tries?,
            Err(_) => {
                return Err(KaggleError::Transient {
                    call: call.name,
                    tries: 1,
                    seconds: self.options.download_timeout.as_secs(),
                    message: "it is not done by now".to_owned(),
                });
            }
        };
        part.settle().await?;
        let is_verified = part.origin.md5.is_some();
        let etag = part.origin.etag.clone();
        let (target, name) = (path.to_owned(), artifact.file().map(str::to_owned));
        let max_bytes = limits.max_bytes;
        let (bytes, content, was_zipped) =
            tokio::task::spawn_blocking(move || place(part, &target, name.as_deref(), max_bytes))
                .await
                .map_err(|error| KaggleError::io(path, std::io::Error::other(error)))??;
        Ok(Downloaded {
            path: path.to_owned(),
            bytes,
            content,
            resumed_from,
            tries,
            is_verified,
            was_zipped,
            etag,
        })
    }

    /// Tries until the part is whole; as long as bytes come, it is not given up. Gives the number of requests.
    async fn fill(
        &self,
        call: &Call,
        part: &mut Part,
        limits: &DownloadLimits,
        progress: &Watch<'_>,
    ) -> Result<u32, KaggleError> {
        let mut course = Course::from(part.len);
        let mut tries = Tries::new(call, &self.downloads, self.options.download_patience);
        loop {
            tries.begin().await;
            let before = course.farthest;
            let fault = match self.fetch(call, part, limits, &mut course, progress).await {
                Ok(()) => return Ok(tries.all),
                Err(fault) => fault,
            };
            if course.farthest > before {
                tries.headway();
            }
            tries.failed(fault).await?;
        }
    }
}

/// Puts a whole part to its place, out of its wrapping where it has one that was not asked for.
fn place(
    part: Part,
    target: &Path,
    name: Option<&str>,
    max_bytes: u64,
) -> Result<(u64, Content, bool), KaggleError> {
    let failed = |error| KaggleError::io(target, error);
    let mut was_zipped = false;
    let mut whole = part.path().to_owned();
    if let Some(name) = name.filter(|name| !name.to_ascii_lowercase().ends_with(".zip")) {
        let unwrapped = beside(target, ".unzipped");
        let mut file = File::create(&unwrapped).map_err(failed)?;
        let limits = UnpackLimits {
            max_bytes,
            ..UnpackLimits::default()
        };
        let result = unpack::unwrap_single(&whole, name, &limits, &mut file);
        if !matches!(result, Ok(true)) {
            fs::remove_file(&unwrapped).map_err(failed)?;
        }
        if result? {
            file.sync_all().map_err(failed)?;
            was_zipped = true;
            whole = unwrapped;
        }
    }
    part.finish(&whole, target)?;
    let mut file = File::open(target).map_err(failed)?;
    let content = Content::of(&mut file).map_err(failed)?;
    let bytes = file.metadata().map_err(failed)?.len();
    Ok((bytes, content, was_zipped))
}
