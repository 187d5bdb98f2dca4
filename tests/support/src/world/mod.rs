//! What a fixture serves, as plain data: competitions and datasets with their pages, files and standings.

pub mod archive;
mod datasets;
mod many;
mod meta;
mod odd;
mod odd_datasets;
mod real;
mod refused;
mod series;
mod shape;
mod shaped;
mod small;
mod table;

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

/// Everything that a fixture serves.
#[derive(Clone, Debug, Default)]
pub struct World {
    /// Competitions; they come before generated ones of the same slug.
    pub competitions: Vec<Competition>,
    /// Datasets.
    pub datasets: Vec<Dataset>,
    /// How many competitions are generated, each made anew when it is asked for.
    pub generated: usize,
}

/// A competition as the service knows it, with what the user of the fixture did about it.
#[derive(Clone, Debug)]
pub struct Competition {
    /// The number.
    pub id: u32,
    /// The name in addresses.
    pub slug: String,
    /// The title.
    pub title: String,
    /// The subtitle, which the API calls description.
    pub subtitle: String,
    /// The segment as the API shows it: `Playground`, `Getting Started`, `Featured`, `Research`, `Community`, …
    pub category: String,
    /// Who hosts it.
    pub host: String,
    /// The prize, as text.
    pub reward: String,
    /// Tags as full paths (`data type > tabular`).
    pub tags: Vec<String>,
    /// When it was made public; 0 to 7 fractional digits.
    pub enabled: String,
    /// When it closed or closes.
    pub deadline: String,
    /// The metric's name, as the API shows it.
    pub metric: Option<String>,
    /// Teams that took part.
    pub teams: u32,
    /// Submissions a day.
    pub max_daily_submissions: u32,
    /// Submissions by notebook only.
    pub kernels_only: bool,
    /// No submissions any more.
    pub submissions_disabled: bool,
    /// Whether lists show it; closed competitions have been missing there.
    pub listed: bool,
    /// Whether the user accepted the rules: without, downloads are refused.
    pub rules_accepted: bool,
    /// Whether the user joined: without, submissions are refused.
    pub joined: bool,
    /// The pages.
    pub pages: Vec<Page>,
    /// The files.
    pub files: Vec<DataFile>,
    /// The form in which all files come at once.
    pub bundle: Bundle,
    /// The standings.
    pub leaderboard: Leaderboard,
}

/// A page of a competition.
#[derive(Clone, Debug)]
pub struct Page {
    /// `Description`, `Evaluation`, `rules`, `data-description`, …: upper and lower case vary.
    pub name: String,
    /// The text.
    pub content: String,
    /// `text/markdown` or `text/html`.
    pub mime_type: Option<String>,
}

/// A file of a competition or of a dataset.
#[derive(Clone, Debug)]
pub struct DataFile {
    /// The name, with folders.
    pub name: String,
    /// The bytes.
    pub content: Content,
    /// When it was put there.
    pub created: String,
    /// What it is.
    pub description: String,
    /// Alone it arrives as `name.zip`.
    pub zipped: bool,
    /// The size that lists tell, where it is not the content's: a file too large to have here.
    pub stated_bytes: Option<u64>,
}

/// The bytes of a file.
#[derive(Clone)]
pub enum Content {
    /// These.
    Bytes(Bytes),
    /// What this makes, the same each time.
    Made(Arc<dyn Fn() -> Vec<u8> + Send + Sync>),
}

/// The form in which all files come at once.
#[derive(Clone, Debug)]
pub enum Bundle {
    /// A zip archive.
    Zip,
    /// A gzipped tar archive.
    TarGz,
    /// These bytes, under a name with this ending (`zip`, `tar.gz`).
    Raw {
        /// The bytes.
        bytes: Bytes,
        /// The ending.
        ending: &'static str,
    },
}

/// The standings, best first. NaN stands for a team without a score.
#[derive(Clone, Debug, Default)]
pub struct Leaderboard {
    /// Scores on the public part.
    pub public: Arc<Vec<f64>>,
    /// Scores on the private part.
    pub private: Arc<Vec<f64>>,
}

/// A dataset.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The number.
    pub id: u32,
    /// Who owns it.
    pub owner: String,
    /// The name in addresses.
    pub slug: String,
    /// The title.
    pub title: String,
    /// The subtitle.
    pub subtitle: String,
    /// What it is about, in Markdown.
    pub description: String,
    /// The licence as lists show it: `CC0: Public Domain`.
    pub licence: String,
    /// The licence as metadata shows it: `CC0-1.0`.
    pub licence_id: String,
    /// Tags as full paths.
    pub tags: Vec<String>,
    /// When the current version came; 0 to 7 fractional digits.
    pub updated: String,
    /// The current version.
    pub version: u32,
    /// Usability, 0 to 1.
    pub usability: f64,
    /// Votes.
    pub votes: u32,
    /// Downloads.
    pub downloads: u32,
    /// The files.
    pub files: Vec<DataFile>,
    /// What columns mean: file, column, words.
    pub columns: Vec<(String, String, String)>,
    /// The form in which all files come at once.
    pub bundle: Bundle,
}

impl World {
    /// The competition of this slug.
    pub fn competition(&self, slug: &str) -> Option<Cow<'_, Competition>> {
        if let Some(competition) = self.competitions.iter().find(|found| found.slug == slug) {
            return Some(Cow::Borrowed(competition));
        }
        let number = many::number_of(slug).filter(|number| *number < self.generated)?;
        Some(Cow::Owned(many::competition(number)))
    }

    /// The dataset of this `owner/slug`.
    pub fn dataset(&self, reference: &str) -> Option<&Dataset> {
        self.datasets
            .iter()
            .find(|dataset| dataset.reference() == reference)
    }

    /// The competition of this slug, to be changed; a generated one is kept from now on.
    pub fn competition_mut(&mut self, slug: &str) -> Option<&mut Competition> {
        let place = self
            .competitions
            .iter()
            .position(|competition| competition.slug == slug);
        let place = if let Some(place) = place {
            place
        } else {
            let made = self.competition(slug)?.into_owned();
            self.competitions.push(made);
            self.competitions.len() - 1
        };
        self.competitions.get_mut(place)
    }

    /// The dataset of this `owner/slug`, to be changed.
    pub fn dataset_mut(&mut self, reference: &str) -> Option<&mut Dataset> {
        self.datasets
            .iter_mut()
            .find(|dataset| dataset.reference() == reference)
    }

    /// How many competitions there are at most, and the one at a place: generated ones that were changed come once.
    pub(crate) fn places(&self) -> usize {
        self.competitions.len() + self.generated
    }

    pub(crate) fn at(&self, place: usize) -> Option<Cow<'_, Competition>> {
        if let Some(competition) = self.competitions.get(place) {
            return Some(Cow::Borrowed(competition));
        }
        let number = place - self.competitions.len();
        if self
            .competitions
            .iter()
            .any(|changed| many::number_of(&changed.slug) == Some(number))
        {
            return None;
        }
        Some(Cow::Owned(many::competition(number)))
    }
}

impl Competition {
    /// A closed, listed, joined Playground competition without pages, files and standings.
    pub fn new(id: u32, slug: impl Into<String>) -> Self {
        let slug = slug.into();
        Self {
            id,
            title: slug.replace('-', " "),
            slug,
            subtitle: String::new(),
            category: "Playground".into(),
            host: "Fixture".into(),
            reward: "Swag".into(),
            tags: vec!["data type > tabular".into()],
            enabled: "2022-01-04T14:00:00Z".into(),
            deadline: "2022-01-31T23:59:00Z".into(),
            metric: None,
            teams: 0,
            max_daily_submissions: 5,
            kernels_only: false,
            submissions_disabled: false,
            listed: true,
            rules_accepted: true,
            joined: true,
            pages: Vec::new(),
            files: Vec::new(),
            bundle: Bundle::Zip,
            leaderboard: Leaderboard::default(),
        }
    }

    /// With a page more.
    #[must_use]
    pub fn page(mut self, name: &str, content: impl Into<String>) -> Self {
        self.pages.push(Page {
            name: name.into(),
            content: content.into(),
            mime_type: Some("text/markdown".into()),
        });
        self
    }

    /// With a file more.
    #[must_use]
    pub fn file(mut self, name: &str, content: impl Into<Content>) -> Self {
        self.files.push(DataFile::new(name, content));
        self
    }

    /// With standings, best first, the same on both parts.
    #[must_use]
    pub fn standings(mut self, scores: Vec<f64>) -> Self {
        self.teams = u32::try_from(scores.len()).unwrap_or(u32::MAX);
        let scores = Arc::new(scores);
        self.leaderboard = Leaderboard {
            public: scores.clone(),
            private: scores,
        };
        self
    }
}

impl Dataset {
    /// A dataset in the public domain without files.
    pub fn new(id: u32, owner: &str, slug: &str) -> Self {
        Self {
            id,
            owner: owner.into(),
            slug: slug.into(),
            title: slug.replace('-', " "),
            subtitle: String::new(),
            description: String::new(),
            licence: "CC0: Public Domain".into(),
            licence_id: "CC0-1.0".into(),
            tags: vec!["data type > tabular".into()],
            updated: "2021-06-16T07:56:03.46Z".into(),
            version: 1,
            usability: 1.0,
            votes: 10,
            downloads: 500,
            files: Vec::new(),
            columns: Vec::new(),
            bundle: Bundle::Zip,
        }
    }

    /// `owner/slug`.
    pub fn reference(&self) -> String {
        format!("{}/{}", self.owner, self.slug)
    }

    /// With a file more.
    #[must_use]
    pub fn file(mut self, name: &str, content: impl Into<Content>) -> Self {
        self.files.push(DataFile::new(name, content));
        self
    }
}

impl DataFile {
    /// A file that arrives as it is.
    pub fn new(name: impl Into<String>, content: impl Into<Content>) -> Self {
        Self {
            name: name.into(),
            content: content.into(),
            created: "2021-12-20T10:11:12.1234567Z".into(),
            description: String::new(),
            zipped: false,
            stated_bytes: None,
        }
    }

    /// The size that lists tell.
    pub fn bytes(&self) -> u64 {
        self.stated_bytes
            .unwrap_or_else(|| self.content.bytes().len() as u64)
    }
}

impl Content {
    /// What this makes, the same each time.
    pub fn made(make: impl Fn() -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::Made(Arc::new(make))
    }

    /// The bytes.
    pub fn bytes(&self) -> Bytes {
        match self {
            Self::Bytes(bytes) => bytes.clone(),
            Self::Made(make) => make().into(),
        }
    }
}

impl From<String> for Content {
    fn from(text: String) -> Self {
        Self::Bytes(text.into())
    }
}

impl From<&'static str> for Content {
    fn from(text: &'static str) -> Self {
        Self::Bytes(Bytes::from_static(text.as_bytes()))
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        Self::Bytes(bytes.into())
    }
}

impl From<Bytes> for Content {
    fn from(bytes: Bytes) -> Self {
        Self::Bytes(bytes)
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => write!(formatter, "{} bytes", bytes.len()),
            Self::Made(_) => write!(formatter, "made when asked for"),
        }
    }
}
