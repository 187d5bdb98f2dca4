//! `datasets.DatasetApiService`: the methods that a crawl calls.

use super::answer::ApiError;
use super::api::Answer;
use super::call::Call;
use super::competitions::{bare, list_of, summary_message, tag_message};
use super::dialect::{Dialect, Field, Form, Message, Rest};
use super::object::{Key, Kind};
use super::paging::Page;
use crate::world::{DataFile, Dataset, World};

type Result = std::result::Result<Answer, ApiError>;

/// Rows of a table that are looked at for the kinds of its columns.
const LOOKED_AT: usize = 50;

fn named<'a>(world: &'a World, call: &Call) -> std::result::Result<&'a Dataset, ApiError> {
    world
        .dataset(&call.slug)
        .ok_or_else(ApiError::unknown_dataset)
}

pub(super) fn list(world: &World, call: &Call, form: Form) -> Result {
    let page = Page::of(call, 20)?;
    let mut found: Vec<&Dataset> = world
        .datasets
        .iter()
        .filter(|dataset| is_wanted(dataset, call))
        .collect();
    let order = call.text("sortBy").unwrap_or_default().to_lowercase();
    match order.trim_start_matches("dataset_sort_by_") {
        "votes" => found.sort_by_key(|dataset| std::cmp::Reverse(dataset.votes)),
        "updated" => found.sort_by(|left, right| right.updated.cmp(&left.updated)),
        "usability" => found.sort_by(|left, right| right.usability.total_cmp(&left.usability)),
        "download_count" => found.sort_by_key(|dataset| std::cmp::Reverse(dataset.downloads)),
        _ => {}
    }
    let (rows, next) = page.cut(&call.route, found.into_iter());
    let rows: Vec<Message> = rows
        .into_iter()
        .map(|dataset| message(dataset, form, false))
        .collect();
    Ok(Answer::Json(match form.dialect {
        Dialect::Rpc => list_of("datasets", rows, next, form),
        Dialect::Rest(_) => bare(&rows, form),
    }))
}

fn is_wanted(dataset: &Dataset, call: &Call) -> bool {
    let argument = |name: &str, prefix: &str| {
        let text = call.text(name).unwrap_or_default().to_lowercase();
        text.trim_start_matches(prefix).to_owned()
    };
    let licence = match argument("license", "dataset_license_group_").as_str() {
        "cc" => dataset.licence_id.starts_with("CC"),
        "gpl" => dataset.licence_id.contains("GPL"),
        "odb" => ["ODbL", "DbCL", "PDDL", "ODC"]
            .iter()
            .any(|name| dataset.licence_id.starts_with(name)),
        "other" => !["CC", "GPL", "LGPL", "AGPL", "ODbL", "DbCL", "PDDL", "ODC"]
            .iter()
            .any(|name| dataset.licence_id.starts_with(name)),
        _ => true,
    };
    let kind = argument("fileType", "dataset_file_type_group_");
    let ending = match kind.as_str() {
        "" | "all" => None,
        other => Some(format!(".{other}")),
    };
    let bytes = i64::try_from(total(dataset)).unwrap_or(i64::MAX);
    licence
        && ending.is_none_or(|ending| {
            dataset
                .files
                .iter()
                .any(|file| file.name.ends_with(&ending))
        })
        && call.number("minSize").is_none_or(|least| bytes >= least)
        && call.number("maxSize").is_none_or(|most| bytes <= most)
        && call.text("user").is_none_or(|user| user == dataset.owner)
        && call.text("tagIds").is_none_or(|ids| {
            ids.split(',').any(|id| {
                dataset
                    .tags
                    .iter()
                    .any(|tag| tag_id(tag).to_string() == id.trim())
            })
        })
        && call.text("search").is_none_or(|words| {
            let words = words.to_lowercase();
            [&dataset.slug, &dataset.title, &dataset.subtitle]
                .into_iter()
                .chain(&dataset.tags)
                .any(|text| text.to_lowercase().contains(&words))
        })
}

/// The number of a tag, made from its path: answers do not tell numbers, so any will do that is always the same.
pub fn tag_id(path: &str) -> u32 {
    10_000 + u32::from(blake3::hash(path.as_bytes()).as_bytes()[0]) * 16
}

pub(super) fn get(world: &World, call: &Call, form: Form) -> Result {
    let dataset = named(world, call)?;
    Ok(Answer::Json(message(dataset, form, true).write(form)))
}

pub(super) fn metadata(world: &World, call: &Call, form: Form) -> Result {
    let dataset = named(world, call)?;
    let files = dataset.files.iter().map(|file| {
        let columns = columns(dataset, file)
            .into_iter()
            .map(|(name, kind, words)| {
                Message::new(vec![
                    ("name", Field::Text(name)),
                    ("description", Field::MaybeText(words)),
                    ("type", Field::some(kind)),
                ])
            });
        Message::new(vec![
            ("name", Field::text(&file.name)),
            ("description", Field::MaybeText(described(file))),
            ("totalBytes", Field::Long(size(file))),
            ("columns", Field::List(columns.collect())),
        ])
    });
    let licence = Message::new(vec![("name", Field::some(&dataset.licence_id))]);
    let info = Message::new(vec![
        ("datasetId", Field::Int(i64::from(dataset.id))),
        ("datasetSlug", Field::some(&dataset.slug)),
        ("ownerUser", Field::some(&dataset.owner)),
        (
            "usabilityRating",
            Field::MaybeNumber(Some(dataset.usability)),
        ),
        ("totalViews", Field::Int(i64::from(dataset.downloads) * 9)),
        ("totalVotes", Field::Int(i64::from(dataset.votes))),
        ("totalDownloads", Field::Int(i64::from(dataset.downloads))),
        ("title", Field::some(&dataset.title)),
        ("subtitle", Field::some(&dataset.subtitle)),
        ("description", Field::some(&dataset.description)),
        ("isPrivate", Field::Bool(false)),
        (
            "keywords",
            Field::Texts(
                dataset
                    .tags
                    .iter()
                    .map(|tag| last(tag).to_owned())
                    .collect(),
            ),
        ),
        ("licenses", Field::List(vec![licence])),
        ("collaborators", Field::List(Vec::new())),
        ("data", Field::List(files.collect())),
        ("expectedUpdateFrequency", Field::some("never")),
        ("userSpecifiedSources", Field::MaybeText(None)),
    ]);
    Ok(Answer::Json(
        Message::new(vec![
            ("info", Field::Inner(Some(info))),
            ("errorMessage", Field::MaybeText(None)),
        ])
        .write(form),
    ))
}

pub(super) fn files(world: &World, call: &Call, form: Form, no_files: bool) -> Result {
    let dataset = named(world, call)?;
    let files = dataset.files.iter().filter(|_| !no_files);
    let (rows, next) = Page::of(call, 20)?.cut(&call.route, files);
    let rows: Vec<Message> = rows
        .into_iter()
        .map(|file| file_message(dataset, file))
        .collect();
    Ok(Answer::Json(match form.dialect {
        Dialect::Rest(Rest::Of2021) => list_of("datasetFiles", rows, None, form),
        _ => list_of("datasetFiles", rows, next, form),
    }))
}

pub(super) fn summary(world: &World, call: &Call, form: Form) -> Result {
    Ok(Answer::Json(
        summary_message(&named(world, call)?.files).write(form),
    ))
}

pub(super) fn download(world: &World, call: &Call) -> Result {
    let dataset = named(world, call)?;
    let reference = dataset.reference();
    Ok(Answer::Redirect(match call.text("fileName") {
        None => Key::bundle(Kind::Dataset, &reference, &dataset.bundle),
        Some(name) => {
            let file = dataset
                .files
                .iter()
                .find(|file| file.name == name)
                .ok_or_else(ApiError::not_found)?;
            Key::file(Kind::Dataset, &reference, file)
        }
    }))
}

fn message(dataset: &Dataset, form: Form, with_files: bool) -> Message {
    let version = Message::new(vec![
        ("versionNumber", Field::Int(i64::from(dataset.version))),
        ("creationDate", Field::Date(Some(dataset.updated.clone()))),
        ("creatorName", Field::some(&dataset.owner)),
        ("creatorRef", Field::some(&dataset.owner)),
        ("versionNotes", Field::some("Initial release")),
        ("status", Field::some("Ready")),
    ]);
    let (files, versions) = if with_files {
        (
            dataset
                .files
                .iter()
                .map(|file| file_message(dataset, file))
                .collect(),
            vec![version],
        )
    } else {
        (Vec::new(), Vec::new())
    };
    let address = format!("https://www.kaggle.com/datasets/{}", dataset.reference());
    Message::new(vec![
        ("id", Field::Int(i64::from(dataset.id))),
        ("ref", Field::text(dataset.reference())),
        ("subtitle", Field::some(&dataset.subtitle)),
        ("creatorName", Field::some(&dataset.owner)),
        ("creatorUrl", Field::some(&dataset.owner)),
        (
            "totalBytes",
            Field::MaybeLong(Some(i64::try_from(total(dataset)).unwrap_or(i64::MAX))),
        ),
        ("url", Field::some(address)),
        ("lastUpdated", Field::Date(Some(dataset.updated.clone()))),
        ("downloadCount", Field::Int(i64::from(dataset.downloads))),
        ("isPrivate", Field::Bool(false)),
        ("isFeatured", Field::Bool(false)),
        ("licenseName", Field::some(&dataset.licence)),
        // Lists do not carry it.
        (
            "description",
            Field::MaybeText(
                (with_files || form.dialect == Dialect::Rest(Rest::Now))
                    .then(|| dataset.description.clone()),
            ),
        ),
        ("ownerName", Field::some(&dataset.owner)),
        ("ownerRef", Field::some(&dataset.owner)),
        ("kernelCount", Field::Int(3)),
        ("title", Field::some(&dataset.title)),
        ("topicCount", Field::Int(0)),
        ("viewCount", Field::Int(i64::from(dataset.downloads) * 9)),
        ("voteCount", Field::Int(i64::from(dataset.votes))),
        (
            "currentVersionNumber",
            Field::MaybeInt(Some(i64::from(dataset.version))),
        ),
        (
            "usabilityRating",
            Field::MaybeNumber(Some(dataset.usability)),
        ),
        (
            "tags",
            Field::List(dataset.tags.iter().map(|tag| tag_message(tag)).collect()),
        ),
        ("files", Field::List(files)),
        ("versions", Field::List(versions)),
        ("thumbnailImageUrl", Field::MaybeText(None)),
    ])
}

fn file_message(dataset: &Dataset, file: &DataFile) -> Message {
    let (_, ending) = file.name.rsplit_once('.').unwrap_or(("", ""));
    let columns =
        columns(dataset, file)
            .into_iter()
            .enumerate()
            .map(|(order, (name, kind, words))| {
                Message::new(vec![
                    ("order", Field::MaybeInt(i64::try_from(order).ok())),
                    ("name", Field::some(name)),
                    ("type", Field::some(kind)),
                    ("originalType", Field::some("")),
                    ("description", Field::MaybeText(words)),
                ])
            });
    Message::new(vec![
        ("ref", Field::text(&file.name)),
        ("datasetRef", Field::some(dataset.reference())),
        ("ownerRef", Field::some(&dataset.owner)),
        ("name", Field::some(&file.name)),
        ("creationDate", Field::Date(Some(file.created.clone()))),
        ("description", Field::MaybeText(described(file))),
        ("fileType", Field::some(format!(".{ending}"))),
        ("url", Field::some("https://www.kaggle.com/")),
        ("totalBytes", Field::Long(size(file))),
        ("columns", Field::List(columns.collect())),
    ])
}

/// The columns of a CSV file: name, kind as the service calls it, and what is said about it.
fn columns(dataset: &Dataset, file: &DataFile) -> Vec<(String, &'static str, Option<String>)> {
    if !file.name.to_lowercase().ends_with(".csv") {
        return Vec::new();
    }
    let bytes = file.content.bytes();
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .from_reader(bytes.as_ref());
    let Ok(header) = reader.byte_headers().cloned() else {
        return Vec::new();
    };
    let rows: Vec<csv::ByteRecord> = reader
        .byte_records()
        .take(LOOKED_AT)
        .filter_map(std::result::Result::ok)
        .collect();
    header
        .iter()
        .enumerate()
        .map(|(place, name)| {
            let values: Vec<&str> = rows
                .iter()
                .filter_map(|row| std::str::from_utf8(row.get(place)?).ok())
                .filter(|value| !value.is_empty())
                .collect();
            let name = String::from_utf8_lossy(name).into_owned();
            let words = dataset
                .columns
                .iter()
                .find(|(of, column, _)| *of == file.name && *column == name)
                .map(|(_, _, words)| words.clone());
            (name, kind(&values), words)
        })
        .collect()
}

fn kind(values: &[&str]) -> &'static str {
    let all = |test: fn(&str) -> bool| !values.is_empty() && values.iter().all(|value| test(value));
    if all(|value| ["true", "false"].contains(&value.to_lowercase().as_str())) {
        "Boolean"
    } else if all(|value| value.parse::<f64>().is_ok()) {
        "Numeric"
    } else if all(|value| {
        value.len() >= 10
            && value
                .get(..10)
                .is_some_and(|day| day.parse::<jiff::civil::Date>().is_ok())
    }) {
        "DateTime"
    } else {
        "String"
    }
}

fn described(file: &DataFile) -> Option<String> {
    (!file.description.is_empty()).then(|| file.description.clone())
}

fn size(file: &DataFile) -> i64 {
    i64::try_from(file.bytes()).unwrap_or(i64::MAX)
}

fn total(dataset: &Dataset) -> u64 {
    dataset.files.iter().map(DataFile::bytes).sum()
}

fn last(path: &str) -> &str {
    path.rsplit(" > ").next().unwrap_or(path)
}
