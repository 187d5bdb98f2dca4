//! What a run left: files to compare, rows to read.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::Field;

use super::Place;

type Files = BTreeMap<PathBuf, Vec<u8>>;

/// Every Parquet file of the run, of its stages and its dataset, by its path.
pub fn parquet_files(place: &Place) -> Files {
    let mut files = Files::new();
    collect(&place.run_folder(), &place.run_folder(), &mut files);
    files.retain(|path, _| path.extension().is_some_and(|ending| ending == "parquet"));
    assert!(
        files.keys().any(|path| path.starts_with("dataset")),
        "there is no dataset: {:?}",
        files.keys()
    );
    files
}

/// Every file of the dataset, by its path.
pub fn dataset(place: &Place) -> Files {
    let folder = place.run_folder().join("dataset");
    let mut files = Files::new();
    collect(&folder, &folder, &mut files);
    files
}

fn collect(root: &Path, folder: &Path, files: &mut Files) {
    let entries =
        fs::read_dir(folder).unwrap_or_else(|error| panic!("{error}: {}", folder.display()));
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let name = path.strip_prefix(root).unwrap().to_owned();
            files.insert(name, fs::read(&path).unwrap());
        }
    }
}

/// Fails when two runs differ in a file, and names the files.
pub fn assert_same_files(ours: &Files, theirs: &Files) {
    let names = ours.keys().chain(theirs.keys());
    let mut different: Vec<_> = names
        .filter(|name| ours.get(*name) != theirs.get(*name))
        .collect();
    different.sort();
    different.dedup();
    assert!(different.is_empty(), "different: {different:?}");
}

/// The messages of every row of `sft`, as (role, content), from all splits.
pub fn sft_rows(place: &Place) -> Vec<Vec<(String, String)>> {
    let files = parquet_files(place);
    let of_sft = files
        .keys()
        .filter(|path| path.starts_with("dataset/data/sft"));
    let mut rows = Vec::new();
    for path in of_sft {
        let file = File::open(place.run_folder().join(path)).unwrap();
        let reader = SerializedFileReader::new(file).unwrap();
        for row in reader.get_row_iter(None).unwrap() {
            let row = row.unwrap();
            let messages = row.get_column_iter().find(|(name, _)| *name == "messages");
            let Some((_, Field::ListInternal(messages))) = messages else {
                panic!("no messages in {row}");
            };
            rows.push(messages.elements().iter().map(message).collect());
        }
    }
    rows
}

fn message(field: &Field) -> (String, String) {
    let Field::Group(group) = field else {
        panic!("no message: {field}");
    };
    let text = |wanted: &str| {
        let found = group.get_column_iter().find(|(name, _)| *name == wanted);
        match found {
            Some((_, Field::Str(text))) => text.clone(),
            other => panic!("no {wanted}: {other:?}"),
        }
    };
    (text("role"), text("content"))
}

/// A row of a stage's part file.
pub struct PartRow {
    pub id: String,
    pub reason: String,
    pub record: Option<serde_json::Value>,
}

/// The rows of a part file; none where there is no such file.
pub fn part_rows(path: &Path) -> Vec<PartRow> {
    let Ok(file) = File::open(path) else {
        return Vec::new();
    };
    let reader = SerializedFileReader::new(file).unwrap();
    let rows = reader.get_row_iter(None).unwrap();
    rows.map(|row| {
        let row = row.unwrap();
        let text = |wanted: &str| {
            row.get_column_iter().find_map(|(name, field)| match field {
                Field::Str(text) if name == wanted => Some(text.clone()),
                _ => None,
            })
        };
        PartRow {
            id: text("id").unwrap_or_default(),
            reason: text("reason").unwrap_or_default(),
            record: text("record").and_then(|json| serde_json::from_str(&json).ok()),
        }
    })
    .collect()
}
