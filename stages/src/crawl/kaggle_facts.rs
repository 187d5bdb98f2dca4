//! What Kaggle says of a competition or dataset, as a source: pages, files, sizes, who and when.

use std::fmt::Write as _;

use synth_core::{KaggleFacts, Licence, ListedFile, Origin, Source};
use synth_kaggle::{
    Competition, Dataset, DatasetMetadata, Kaggle, KaggleError, LeaderboardRow, Page, PageKind,
    RemoteFile, spdx,
};

use super::bare;
use super::kaggle_seeds::MetaFacts;

/// Files of a list that are kept; the summary tells how large all are.
const LISTED_FILES: usize = 1000;
const WEB: &str = "https://www.kaggle.com";

/// Asks for all that the cheap call does not tell of a competition.
pub(super) async fn of_competition(
    kaggle: &Kaggle,
    competition: &Competition,
    meta: Option<&MetaFacts>,
) -> Result<Source, KaggleError> {
    let slug = competition.slug.as_str();
    let pages = kaggle.list_competition_pages(slug).await?;
    let files = kaggle
        .list_data_files(slug)?
        .up_to(LISTED_FILES)
        .await
        .or_else(absent)?;
    let summary = kaggle.data_files_summary(slug).await.or_else(absent)?;
    let board: Vec<LeaderboardRow> = kaggle
        .leaderboard(slug)?
        .next()
        .await
        .or_else(absent)?
        .unwrap_or_default();
    let limits = match kaggle.submission_limits(slug).await {
        Ok(limits) => Some(limits.num_allowed_now),
        // Who has not joined is not told.
        Err(error) if is_refusal(&error) => None,
        Err(error) => return Err(error),
    };
    let listed_bytes = (!files.is_empty() && files.len() < LISTED_FILES).then(|| {
        files
            .iter()
            .fold(0_u64, |sum, file| sum.saturating_add(file.total_bytes))
    });
    let facts = KaggleFacts {
        url: competition_page(competition),
        owner: competition
            .organization_name
            .clone()
            .or_else(|| competition.host_name.clone()),
        updated_at: newest(files.iter().map(|file| file.creation_date)),
        total_bytes: summary.total_bytes().or(listed_bytes),
        listed: files.iter().map(listed_of_competition).collect(),
        kernels_only: Some(competition.is_kernels_submissions_only),
        submissions_allowed: limits,
        has_leaderboard: meta
            .and_then(|meta| meta.has_leaderboard)
            .filter(|has| !has || !board.is_empty())
            .or(Some(!board.is_empty())),
        usability: None,
        refused: None,
    };
    Ok(competition_source(competition, meta, &pages, facts))
}

fn competition_source(
    competition: &Competition,
    meta: Option<&MetaFacts>,
    pages: &[Page],
    facts: KaggleFacts,
) -> Source {
    let mut source = bare(Origin::Competition, &competition.slug);
    if !competition.title.is_empty() {
        source.title.clone_from(&competition.title);
    }
    let page = |kind: PageKind| {
        pages
            .iter()
            .find(|page| page.kind() == kind && !page.content.trim().is_empty())
            .map(|page| page.content.clone())
    };
    source.pages.description =
        page(PageKind::Description).unwrap_or_else(|| competition.description.clone());
    source.pages.evaluation = page(PageKind::Evaluation).unwrap_or_default();
    source.pages.data = page(PageKind::Data).unwrap_or_default();
    source.metric = competition
        .evaluation_metric
        .clone()
        .or_else(|| meta.and_then(|meta| meta.metric.clone()));
    source.metric_is_max = meta.and_then(|meta| meta.metric_is_max);
    source.host_segment = competition
        .category
        .clone()
        .or_else(|| meta.and_then(|meta| meta.host_segment.clone()));
    source.deadline = competition
        .deadline
        .map(|time| time.to_string())
        .or_else(|| meta.and_then(|meta| meta.deadline.clone()));
    source.accepts_submissions = Some(!competition.submissions_disabled);
    source.team_count = Some(competition.team_count);
    source.licence = Licence {
        name: "the competition's rules".to_owned(),
        redistributable: false,
    };
    source.attribution = format!(
        "Kaggle competition \"{}\"{}, {}",
        source.title,
        facts
            .owner
            .as_ref()
            .map(|owner| format!(" by {owner}"))
            .unwrap_or_default(),
        facts.url
    );
    source.tags = competition.tags.iter().map(tag).collect();
    for tag in meta.map(|meta| &meta.tags[..]).unwrap_or_default() {
        if !source
            .tags
            .iter()
            .any(|known| known.eq_ignore_ascii_case(tag))
        {
            source.tags.push(tag.clone());
        }
    }
    source.fetched_at = day(facts.updated_at.as_deref().or(source.deadline.as_deref()));
    source.kaggle = Some(facts);
    source
}

/// Asks for all that the cheap call does not tell of a dataset.
pub(super) async fn of_dataset(kaggle: &Kaggle, dataset: &Dataset) -> Result<Source, KaggleError> {
    let slug = dataset.slug.as_str();
    let metadata = kaggle.dataset_metadata(slug).await.or_else(absent)?;
    let files = kaggle.list_dataset_files(slug)?.up_to(LISTED_FILES).await?;
    let mut source = bare(Origin::Dataset, slug);
    source.title = first_text([&metadata.title, &dataset.title, &source.title]).to_owned();
    let description = first_text([
        &metadata.description,
        &dataset.description,
        &metadata.subtitle,
        &dataset.subtitle,
    ]);
    description.clone_into(&mut source.pages.description);
    source.pages.data = columns_page(&files, &metadata);
    let licence = metadata.licence().or_else(|| {
        let name = dataset.license_name.as_deref()?;
        Some(spdx(name).map_or_else(|| name.to_owned(), str::to_owned))
    });
    source.licence = Licence {
        redistributable: licence.as_deref().is_some_and(is_redistributable),
        name: licence.unwrap_or_else(|| "unknown".to_owned()),
    };
    let url = format!("{WEB}/datasets/{slug}");
    let owner = dataset
        .owner_name
        .clone()
        .or_else(|| dataset.owner_and_name().map(|(owner, _)| owner.to_owned()));
    source.attribution = format!(
        "Kaggle dataset \"{}\" by {}, {url}",
        source.title,
        owner.as_deref().unwrap_or("an unknown owner")
    );
    source.tags = dataset.tags.iter().map(tag).collect();
    for keyword in &metadata.keywords {
        let keyword = last(keyword);
        if !source
            .tags
            .iter()
            .any(|known| known.eq_ignore_ascii_case(keyword))
        {
            source.tags.push(keyword.to_owned());
        }
    }
    let updated_at = dataset.last_updated.map(|time| time.to_string());
    source.fetched_at = day(updated_at.as_deref());
    source.kaggle = Some(KaggleFacts {
        url,
        owner,
        updated_at,
        listed: files
            .iter()
            .map(|file| listed_of_dataset(file, &metadata))
            .collect(),
        total_bytes: dataset.total_bytes.filter(|bytes| *bytes > 0),
        usability: dataset.usability_rating.or(metadata.usability_rating),
        ..KaggleFacts::default()
    });
    Ok(source)
}

/// A call that is refused says nothing, and the rules that need its answer say so.
fn absent<T: Default>(error: KaggleError) -> Result<T, KaggleError> {
    if is_refusal(&error) {
        tracing::debug!(%error, "taken for no answer");
        Ok(T::default())
    } else {
        Err(error)
    }
}

fn is_refusal(error: &KaggleError) -> bool {
    matches!(
        error,
        KaggleError::RulesNotAccepted { .. }
            | KaggleError::NotJoined { .. }
            | KaggleError::Gone { .. }
            | KaggleError::Refused { .. }
    )
}

/// The page where a person sees a competition.
pub(super) fn competition_page(competition: &Competition) -> String {
    competition
        .url
        .clone()
        .filter(|url| url.starts_with("https://"))
        .unwrap_or_else(|| page_of(Origin::Competition, &competition.slug))
}

/// The page of what is known by its name alone.
pub(super) fn page_of(origin: Origin, slug: &str) -> String {
    match origin {
        Origin::Dataset => format!("{WEB}/datasets/{slug}"),
        _ => format!("{WEB}/competitions/{slug}"),
    }
}

fn listed_of_competition(file: &RemoteFile) -> ListedFile {
    ListedFile {
        path: file.path().to_owned(),
        bytes: (file.total_bytes > 0).then_some(file.total_bytes),
        columns: Vec::new(),
    }
}

fn listed_of_dataset(file: &RemoteFile, metadata: &DatasetMetadata) -> ListedFile {
    let described = metadata
        .data
        .iter()
        .find(|described| described.path() == file.path());
    let columns = if file.columns.is_empty() {
        described.map_or(&[][..], |described| &described.columns[..])
    } else {
        &file.columns[..]
    };
    ListedFile {
        path: file.path().to_owned(),
        bytes: (file.total_bytes > 0).then_some(file.total_bytes),
        columns: columns.iter().map(|column| column.name.clone()).collect(),
    }
}

/// What the owner says of files and columns, as a page.
fn columns_page(files: &[RemoteFile], metadata: &DatasetMetadata) -> String {
    let mut page = String::new();
    let listed = files.iter().map(RemoteFile::path);
    let further = metadata
        .data
        .iter()
        .filter(|described| !files.iter().any(|file| file.path() == described.path()));
    for path in listed.chain(further.map(RemoteFile::path)) {
        let of_path = files
            .iter()
            .chain(&metadata.data)
            .filter(|file| file.path() == path);
        let description = of_path
            .clone()
            .map(|file| file.description.trim())
            .find(|text| !text.is_empty());
        let columns: Vec<String> = of_path
            .max_by_key(|file| {
                let described = file.columns.iter();
                described
                    .filter(|column| !column.description.is_empty())
                    .count()
            })
            .map(|file| &file.columns[..])
            .unwrap_or_default()
            .iter()
            .filter(|column| !column.description.trim().is_empty())
            .map(|column| format!("- `{}`: {}", column.name, column.description.trim()))
            .collect();
        if description.is_some() || !columns.is_empty() {
            let _ = writeln!(page, "## {path}\n");
            if let Some(description) = description {
                let _ = writeln!(page, "{description}\n");
            }
            if !columns.is_empty() {
                let _ = writeln!(page, "{}\n", columns.join("\n"));
            }
        }
    }
    page.trim_end().to_owned()
}

/// Licences that let derived rows be passed on, if the source is named.
fn is_redistributable(spdx: &str) -> bool {
    let name = spdx.to_lowercase();
    let family = [
        "cc0",
        "cc-by-",
        "mit",
        "apache",
        "pddl",
        "odc",
        "odbl",
        "dbcl",
        "cdla-permissive",
    ];
    family.iter().any(|prefix| name.starts_with(prefix))
        && !name.contains("-nc")
        && !name.contains("-nd")
}

fn tag(tag: &synth_kaggle::Tag) -> String {
    let name = first_text([&tag.name, &tag.full_path, &tag.reference]);
    last(name).to_owned()
}

/// The last part of a full path, `technique > classification`.
fn last(path: &str) -> &str {
    path.rsplit('>').next().unwrap_or(path).trim()
}

fn first_text<const N: usize>(texts: [&String; N]) -> &str {
    texts
        .into_iter()
        .map(String::as_str)
        .find(|text| !text.trim().is_empty())
        .unwrap_or_default()
}

fn newest<T: Ord + ToString>(times: impl Iterator<Item = Option<T>>) -> Option<String> {
    times.flatten().max().map(|time| time.to_string())
}

fn day(time: Option<&str>) -> String {
    time.and_then(|time| time.get(..10))
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn licences_that_forbid_trade_or_changes_are_not_passed_on() {
        for open in ["CC0-1.0", "CC-BY-4.0", "CC-BY-SA-4.0", "MIT", "ODbL-1.0"] {
            assert!(is_redistributable(open), "{open}");
        }
        for closed in [
            "CC-BY-NC-SA-4.0",
            "CC-BY-ND-4.0",
            "unknown",
            "GPL-2.0",
            "other",
        ] {
            assert!(!is_redistributable(closed), "{closed}");
        }
    }

    #[test]
    fn the_page_of_a_dataset_s_data_tells_what_its_columns_mean() {
        let file: RemoteFile = serde_json::from_value(serde_json::json!({
            "name": "rain.csv",
            "columns": [{"name": "day", "description": "Day of the year."}, {"name": "mm"}],
        }))
        .unwrap();
        let page = columns_page(
            &[file.clone(), RemoteFile::default()],
            &DatasetMetadata::default(),
        );
        assert_eq!(page, "## rain.csv\n\n- `day`: Day of the year.");
        let listed = listed_of_dataset(&file, &DatasetMetadata::default());
        assert_eq!(listed.columns, ["day", "mm"]);
    }
}
