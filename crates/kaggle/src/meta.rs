//! Meta Kaggle, the CSV dump of Kaggle's public tables: read by header, row by row, however large it is.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use csv::{ByteRecord, ReaderBuilder, StringRecord};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;

use crate::decode;

/// A row may have so many bytes; a quote that is never closed would make a row of the whole file.
const MAX_ROW_BYTES: u64 = 16 << 20;

/// Why a table of the dump cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum MetaError {
    /// The file cannot be opened.
    #[error("`{}` cannot be read: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A row is no CSV.
    #[error("{0}")]
    Csv(#[from] csv::Error),
    /// A column is missing that tells the rows apart.
    #[error("`{}` has no column `{column}`; is it the right table of Meta Kaggle?", path.display())]
    NoColumn {
        /// The file.
        path: PathBuf,
        /// The column.
        column: &'static str,
    },
}

/// A competition as `Competitions.csv` has it, with what the API does not say: the metric's direction, the leaderboard.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetaCompetition {
    /// Its number, the same as in the API.
    pub id: u64,
    /// Its name in addresses.
    pub slug: String,
    /// Its title.
    pub title: String,
    /// What it is about, in a sentence.
    pub subtitle: String,
    /// Featured, Playground, Getting Started, ….
    pub host_segment: Option<String>,
    /// Who holds it.
    pub host_name: Option<String>,
    /// When it opened.
    pub enabled: Option<Timestamp>,
    /// When it closed.
    pub deadline: Option<Timestamp>,
    /// Whether it has a leaderboard.
    pub has_leaderboard: Option<bool>,
    /// Whether only notebooks can be submitted.
    pub only_kernel_submissions: Option<bool>,
    /// The metric's short name.
    pub metric_abbreviation: Option<String>,
    /// The metric's name.
    pub metric: Option<String>,
    /// What the metric is.
    pub metric_description: Option<String>,
    /// Whether more is better.
    pub metric_is_max: Option<bool>,
    /// Submissions a day.
    pub max_daily_submissions: Option<u64>,
    /// Teams.
    pub total_teams: Option<u64>,
    /// Submissions.
    pub total_submissions: Option<u64>,
}

/// A dataset as `Datasets.csv` or `DatasetVersions.csv` has it; what a table does not have is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MetaDataset {
    /// The row's number.
    pub id: u64,
    /// The dataset's number, in the table of versions.
    pub dataset_id: Option<u64>,
    /// The newest version's number, in the table of datasets.
    pub current_version_id: Option<u64>,
    /// Which version of the dataset this is.
    pub version_number: Option<u64>,
    /// Its name in addresses, without its owner's.
    pub slug: Option<String>,
    /// Its title.
    pub title: Option<String>,
    /// What it is.
    pub description: Option<String>,
    /// Its licence as displayed.
    pub licence_name: Option<String>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Its size as downloaded.
    pub compressed_bytes: Option<u64>,
    /// Its size on disk.
    pub uncompressed_bytes: Option<u64>,
    /// How often it was downloaded.
    pub downloads: Option<u64>,
    /// Votes for it.
    pub votes: Option<u64>,
}

/// The competitions of `Competitions.csv`. A row without a slug is left out, one that is no CSV is an error of its own.
pub fn competitions(
    path: &Path,
) -> Result<impl Iterator<Item = Result<MetaCompetition, MetaError>>, MetaError> {
    let table = open(path, &["Id", "Slug"])?;
    Ok(table.filter_map(|row| match row {
        Ok(row) => {
            let slug = row.text("Slug").to_owned();
            (!slug.is_empty()).then(|| Ok(competition(&row, slug)))
        }
        Err(error) => Some(Err(error.into())),
    }))
}

fn competition(row: &Row, slug: String) -> MetaCompetition {
    MetaCompetition {
        id: row.count("Id").unwrap_or_default(),
        slug,
        title: row.text("Title").to_owned(),
        subtitle: row.text("Subtitle").to_owned(),
        host_segment: row.some("HostSegmentTitle"),
        host_name: row.some("HostName"),
        enabled: time(row.text("EnabledDate")),
        deadline: time(row.text("DeadlineDate")),
        has_leaderboard: row.flag("HasLeaderboard"),
        only_kernel_submissions: row.flag("OnlyAllowKernelSubmissions"),
        metric_abbreviation: row.some("EvaluationAlgorithmAbbreviation"),
        metric: row.some("EvaluationAlgorithmName"),
        metric_description: row.some("EvaluationAlgorithmDescription"),
        metric_is_max: row.flag("EvaluationAlgorithmIsMax"),
        max_daily_submissions: row.count("MaxDailySubmissions"),
        total_teams: row.count("TotalTeams"),
        total_submissions: row.count("TotalSubmissions"),
    }
}

/// The topics of every competition, by its number: `CompetitionTags.csv` with the names of `Tags.csv`.
pub fn competition_tags(
    competition_tags: &Path,
    tags: &Path,
) -> Result<BTreeMap<u64, Vec<String>>, MetaError> {
    let mut names = HashMap::new();
    for row in open(tags, &["Id", "Name"])? {
        let row = row?;
        if let Some(id) = row.count("Id") {
            names.insert(id, row.text("Name").to_owned());
        }
    }
    let mut by_competition: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for row in open(competition_tags, &["CompetitionId", "TagId"])? {
        let row = row?;
        let name = row.count("TagId").and_then(|id| names.get(&id));
        if let (Some(competition), Some(name)) = (row.count("CompetitionId"), name) {
            by_competition
                .entry(competition)
                .or_default()
                .push(name.clone());
        }
    }
    for names in by_competition.values_mut() {
        names.sort();
        names.dedup();
    }
    Ok(by_competition)
}

/// The rows of `Datasets.csv` or `DatasetVersions.csv`.
pub fn datasets(
    path: &Path,
) -> Result<impl Iterator<Item = Result<MetaDataset, MetaError>>, MetaError> {
    let table = open(path, &["Id"])?;
    Ok(table.map(|row| Ok(dataset(&row?))))
}

fn dataset(row: &Row) -> MetaDataset {
    MetaDataset {
        id: row.count("Id").unwrap_or_default(),
        dataset_id: row.count("DatasetId"),
        current_version_id: row.count("CurrentDatasetVersionId"),
        version_number: row.count("VersionNumber"),
        slug: row.some("Slug"),
        title: row.some("Title"),
        description: row.some("Description"),
        licence_name: row.some("LicenseName"),
        created: time(row.text("CreationDate")),
        compressed_bytes: row.count("TotalCompressedBytes"),
        uncompressed_bytes: row.count("TotalUncompressedBytes"),
        downloads: row.count("TotalDownloads"),
        votes: row.count("TotalVotes"),
    }
}

fn open(path: &Path, columns: &[&'static str]) -> Result<Table<File>, MetaError> {
    let file = File::open(path).map_err(|source| MetaError::Io {
        path: path.to_owned(),
        source,
    })?;
    let table = Table::read(file)?;
    match columns.iter().find(|column| !table.has(column)) {
        Some(column) => Err(MetaError::NoColumn {
            path: path.to_owned(),
            column,
        }),
        None => Ok(table),
    }
}

/// The rows of a CSV file, whose fields are found by the header's names.
pub(crate) struct Table<R> {
    reader: csv::Reader<Leashed<R>>,
    columns: Arc<HashMap<String, usize>>,
    leash: Arc<AtomicU64>,
    is_broken: bool,
}

impl<R: Read> Table<R> {
    pub(crate) fn read(reader: R) -> Result<Self, csv::Error> {
        let leash = Arc::new(AtomicU64::new(MAX_ROW_BYTES));
        let leashed = Leashed {
            reader,
            left: Arc::clone(&leash),
        };
        let mut reader = ReaderBuilder::new().flexible(true).from_reader(leashed);
        let header = StringRecord::from_byte_record_lossy(reader.byte_headers()?.clone());
        let columns = header
            .iter()
            .enumerate()
            .map(|(index, name)| (name.trim_start_matches('\u{feff}').trim().to_owned(), index))
            .collect();
        Ok(Self {
            reader,
            columns: Arc::new(columns),
            leash,
            is_broken: false,
        })
    }

    pub(crate) fn has(&self, column: &str) -> bool {
        self.columns.contains_key(column)
    }
}

impl<R: Read> Iterator for Table<R> {
    type Item = Result<Row, csv::Error>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_broken {
            return None;
        }
        self.leash.store(MAX_ROW_BYTES, Ordering::Relaxed);
        let mut record = ByteRecord::new();
        match self.reader.read_byte_record(&mut record) {
            Ok(false) => None,
            Ok(true) => Some(Ok(Row {
                record: StringRecord::from_byte_record_lossy(record),
                columns: Arc::clone(&self.columns),
            })),
            Err(error) => {
                self.is_broken = error.is_io_error();
                Some(Err(error))
            }
        }
    }
}

/// A row; what is not there is empty.
pub(crate) struct Row {
    record: StringRecord,
    columns: Arc<HashMap<String, usize>>,
}

impl Row {
    pub(crate) fn text(&self, column: &str) -> &str {
        self.columns
            .get(column)
            .and_then(|index| self.record.get(*index))
            .unwrap_or_default()
            .trim()
    }

    fn some(&self, column: &str) -> Option<String> {
        let text = self.text(column);
        (!text.is_empty()).then(|| text.to_owned())
    }

    /// A whole number, also where it was written as one with a fraction of 0.
    pub(crate) fn count(&self, column: &str) -> Option<u64> {
        let text = self.text(column);
        text.strip_suffix(".0").unwrap_or(text).parse().ok()
    }

    fn flag(&self, column: &str) -> Option<bool> {
        match self.text(column).to_ascii_lowercase().as_str() {
            "true" | "1" | "1.0" => Some(true),
            "false" | "0" | "0.0" => Some(false),
            _ => None,
        }
    }
}

/// A time as the dump writes it, `01/31/2020 23:59:00`, or in ISO 8601; none where it is neither.
pub(crate) fn time(text: &str) -> Option<Timestamp> {
    let time = DateTime::strptime("%m/%d/%Y %H:%M:%S", text)
        .or_else(|_| Date::strptime("%m/%d/%Y", text).map(|date| date.at(0, 0, 0, 0)));
    match time {
        Ok(time) => Some(time.to_zoned(TimeZone::UTC).ok()?.timestamp()),
        Err(_) => decode::time(text).ok().flatten(),
    }
}

/// Ends when a row is too long.
struct Leashed<R> {
    reader: R,
    left: Arc<AtomicU64>,
}

impl<R: Read> Read for Leashed<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(into)?;
        let left = self.left.load(Ordering::Relaxed);
        let left = left.checked_sub(read as u64).ok_or_else(|| {
            let message = format!("a row has more than {MAX_ROW_BYTES} bytes");
            io::Error::new(io::ErrorKind::InvalidData, message)
        })?;
        self.left.store(left, Ordering::Relaxed);
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn file(text: &str) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("table.csv");
        std::fs::write(&path, text).unwrap();
        (folder, path)
    }

    #[test]
    fn competitions_are_read_by_header_whatever_its_order() {
        let (_folder, path) = file(
            "\u{feff}Slug,Id,DeadlineDate,EvaluationAlgorithmIsMax,EvaluationAlgorithmName,HasLeaderboard,TotalTeams,Unknown\r\n\
             one,1,01/31/2020 23:59:00,True,\"Area, under\nthe curve\",False,12.0,x\r\n\
             ,2,,,,,,\r\n\
             two,3,never,,,,many\r\n",
        );
        let all: Vec<_> = competitions(&path).unwrap().map(Result::unwrap).collect();
        assert_eq!(all.len(), 2);
        let expected = MetaCompetition {
            id: 1,
            slug: "one".to_owned(),
            deadline: Some("2020-01-31T23:59:00Z".parse().unwrap()),
            has_leaderboard: Some(false),
            metric: Some("Area, under\nthe curve".to_owned()),
            metric_is_max: Some(true),
            total_teams: Some(12),
            ..MetaCompetition::default()
        };
        assert_eq!(all[0], expected);
        assert_eq!(
            (all[1].deadline, all[1].total_teams, all[1].metric_is_max),
            (None, None, None)
        );
    }

    #[test]
    fn tags_are_joined_by_number() {
        let (_a, tags) = file("Id,ParentTagId,Name,Slug\n7,,tabular,tabular\n8,,binary,binary\n");
        let (_b, links) = file("Id,CompetitionId,TagId\n1,5,8\n2,5,7\n3,5,7\n4,6,99\n");
        let joined = competition_tags(&links, &tags).unwrap();
        assert_eq!(
            joined,
            BTreeMap::from([(5, vec!["binary".to_owned(), "tabular".to_owned()])])
        );
    }

    #[test]
    fn datasets_and_their_versions_are_read() {
        let (_folder, path) = file(
            "Id,DatasetId,LicenseName,Slug,TotalCompressedBytes,CreationDate\n9,4,CC0: Public Domain,d,1234,05/01/2021\n",
        );
        let all: Vec<_> = datasets(&path).unwrap().map(Result::unwrap).collect();
        assert_eq!(all[0].dataset_id, Some(4));
        assert_eq!(all[0].compressed_bytes, Some(1234));
        assert_eq!(
            all[0].created,
            Some("2021-05-01T00:00:00Z".parse().unwrap())
        );
    }

    #[test]
    fn the_wrong_table_no_table_and_a_row_without_end_are_errors() {
        let (_folder, path) = file("Id,Name\n1,x\n");
        let error = competitions(&path).err().unwrap();
        assert!(matches!(error, MetaError::NoColumn { column: "Slug", .. }));
        assert!(matches!(
            competitions(&path.with_extension("no")),
            Err(MetaError::Io { .. })
        ));
        let (_folder, path) = file(&format!("Id,Slug\n1,a\n2,\"{}", "b\n".repeat(10 << 20)));
        let rows: Vec<_> = competitions(&path).unwrap().collect();
        assert_eq!(rows.len(), 2);
        assert!(rows[0].is_ok() && rows[1].is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_rows_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let mut text = b"Id,Slug,DeadlineDate\n".to_vec();
            text.extend(bytes);
            let table = Table::read(text.as_slice()).unwrap();
            for row in table.flatten() {
                competition(&row, row.text("Slug").to_owned());
            }
        }
    }
}
