//! A folder of one's own: data files, perhaps a `source.toml`, perhaps a README.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::Deserialize;
use synth_core::{DataFile, Fingerprint, Licence, Origin, Target};
use synth_pipeline::StageError;
use walkdir::WalkDir;

use super::{Found, Place, bare, data_file};
use crate::tables;

/// What a person may say of a source.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_field_names, reason = "the names of the file's keys")]
struct Description {
    title: String,
    description: String,
    data: String,
    licence: String,
    redistributable: bool,
    tags: Vec<String>,
    date: String,
    origin: String,
    target: Option<Target>,
}

/// Endings of files that belong to a source; others (code, pictures) are left alone.
const DATA_ENDINGS: [&str; 8] = [
    "csv", "tsv", "txt", "json", "jsonl", "parquet", "sqlite", "xlsx",
];
/// A README longer than this says little more about the data.
const README_CHARACTERS: usize = 4000;

/// The folder itself where it holds data files, else its folders.
pub(super) fn find(name: &str, path: &Path) -> Result<Vec<Found>, StageError> {
    let unreadable = |error: std::io::Error| {
        StageError::Files(format!(
            "cannot read the folder `{}` of source `{name}`: {error}; check `sources.{name}.path`",
            path.display()
        ))
    };
    let mut folders: Vec<PathBuf> = Vec::new();
    let mut is_source = false;
    for entry in fs::read_dir(path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?.path();
        if entry.is_dir() {
            folders.push(entry);
        } else {
            is_source |= entry.file_name().is_some_and(|file| file == "source.toml")
                || entry.to_str().is_some_and(is_data);
        }
    }
    if is_source {
        return Ok(vec![found(name, path)?]);
    }
    folders.sort();
    folders.retain(|folder| !is_hidden(folder));
    if folders.is_empty() {
        return Err(StageError::Files(format!(
            "the folder `{}` of source `{name}` holds no data files and no folders",
            path.display()
        )));
    }
    folders
        .iter()
        .map(|folder| {
            found(
                &format!(
                    "{name}/{}",
                    folder.file_name().unwrap_or_default().to_string_lossy()
                ),
                folder,
            )
        })
        .collect()
}

fn found(slug: &str, folder: &Path) -> Result<Found, StageError> {
    let mut files = Vec::new();
    let mut newest = SystemTime::UNIX_EPOCH;
    let walk = WalkDir::new(folder)
        .sort_by_file_name()
        .into_iter()
        .filter_entry(|entry| entry.depth() == 0 || !is_hidden(entry.path()));
    for entry in walk {
        let entry = entry.map_err(|error| {
            StageError::Files(format!("cannot read `{}`: {error}", folder.display()))
        })?;
        let relative = entry
            .path()
            .strip_prefix(folder)
            .unwrap_or(entry.path())
            .to_string_lossy()
            .replace('\\', "/");
        if entry.file_type().is_file() && is_data(&relative) {
            if let Ok(modified) = entry
                .metadata()
                .map_err(std::io::Error::from)
                .and_then(|metadata| metadata.modified())
            {
                newest = newest.max(modified);
            }
            files.push((relative, Place::Path(entry.into_path())));
        }
    }
    let description = fs::read_to_string(folder.join("source.toml")).ok();
    let readme = ["README.md", "README.txt", "README"]
        .iter()
        .find_map(|name| fs::read_to_string(folder.join(name)).ok());
    Ok(assemble(
        slug,
        description.as_deref(),
        readme.as_deref(),
        files,
        super::date(newest),
    ))
}

/// A source of these files, described by a `source.toml` or else by a README.
pub(super) fn assemble(
    slug: &str,
    description: Option<&str>,
    readme: Option<&str>,
    files: Vec<(String, Place)>,
    date: String,
) -> Found {
    let mut source = bare(Origin::Folder, slug);
    let mut unusable = None;
    match toml::from_str::<Description>(description.unwrap_or_default()) {
        Ok(said) => {
            if !said.title.is_empty() {
                source.title = said.title;
            }
            source.pages.description = said.description;
            source.attribution = said.origin;
            source.pages.data = said.data;
            if !said.licence.is_empty() {
                source.licence = Licence {
                    name: said.licence,
                    redistributable: said.redistributable,
                };
            }
            source.tags = said.tags;
            source.target = said.target;
            source.fetched_at = if said.date.is_empty() {
                date
            } else {
                said.date
            };
        }
        Err(error) => {
            let problem = error.to_string().trim_end().to_owned();
            unusable = Some((
                "bad_source_toml".to_owned(),
                format!("`source.toml` of `{slug}` does not read: {problem}"),
            ));
        }
    }
    if source.pages.description.is_empty() {
        source.pages.description = readme
            .unwrap_or_default()
            .trim()
            .chars()
            .take(README_CHARACTERS)
            .collect();
    }
    let (mut kept, mut places): (Vec<DataFile>, Vec<Place>) = (Vec::new(), Vec::new());
    for (path, place) in files {
        match hash(&path, &place) {
            Ok(file) => {
                kept.push(file);
                places.push(place);
            }
            Err(error) => {
                unusable = unusable.or(Some((
                    "unreadable_file".to_owned(),
                    format!("cannot read `{path}` of `{slug}`: {error}"),
                )));
            }
        }
    }
    if kept.is_empty() && unusable.is_none() {
        unusable = Some((
            "no_data_files".to_owned(),
            format!("`{slug}` holds no data files"),
        ));
    }
    source.files = kept;
    Found {
        source,
        places,
        hidden: Vec::new(),
        rejected: Vec::new(),
        unusable,
    }
}

/// A file of a source, hashed without holding it.
pub(super) fn hash(path: &str, place: &Place) -> std::io::Result<DataFile> {
    match place {
        Place::Bytes(bytes) => Ok(data_file(path, bytes)),
        Place::Path(on_disk) => {
            let mut hasher = blake3::Hasher::new();
            let bytes = std::io::copy(&mut fs::File::open(on_disk)?, &mut hasher)?;
            Ok(DataFile {
                path: path.to_owned(),
                bytes,
                blake3: Fingerprint::from_bytes(*hasher.finalize().as_bytes()),
            })
        }
    }
}

fn is_data(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    DATA_ENDINGS.contains(&tables::ending(path).as_str())
        && !name.to_lowercase().starts_with("readme")
}

fn is_hidden(path: &Path) -> bool {
    path.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with('.'))
}
