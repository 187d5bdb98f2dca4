//! Which competitions and datasets of Kaggle are looked at: names from the configuration, from files, from Kaggle's lists.

use std::collections::HashSet;
use std::fs;
use std::sync::Arc;

use serde::Serialize;
use synth_core::config::{CompetitionSeeds, Config, DatasetSeeds, SourceConfig};
use synth_core::{Fingerprint, Memo, Origin};
use synth_kaggle::{CompetitionFilter, DatasetFilter, Pager, meta};
use synth_pipeline::StageError;

use super::kaggle_look::trouble;
use crate::Cx;

/// A competition or dataset to look at.
#[derive(Clone, Debug)]
pub(super) struct Seed {
    pub origin: Origin,
    /// `name`, or `owner/name` of a dataset.
    pub slug: String,
    /// What Meta Kaggle says of a competition.
    pub meta: Option<Arc<MetaFacts>>,
}

/// What Meta Kaggle says of a competition and the API does not, or not always.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct MetaFacts {
    pub metric: Option<String>,
    pub metric_is_max: Option<bool>,
    pub has_leaderboard: Option<bool>,
    pub host_segment: Option<String>,
    pub deadline: Option<String>,
    pub tags: Vec<String>,
}

/// All of them, in the order of the configuration, each once.
pub(super) async fn seeds(cx: &Cx<'_>) -> Result<Vec<Seed>, StageError> {
    let mut all: Vec<Seed> = Vec::new();
    let mut seen = HashSet::new();
    for (name, source) in &cx.config.sources {
        let found = match source {
            SourceConfig::KaggleCompetitions(seeds) => competitions(cx, name, seeds).await?,
            SourceConfig::KaggleDatasets(seeds) => datasets(cx, name, seeds).await?,
            _ => continue,
        };
        all.extend(found.into_iter().filter(|seed| {
            let key = (seed.origin, seed.slug.to_lowercase());
            seen.insert(key)
        }));
    }
    Ok(all)
}

async fn competitions(
    cx: &Cx<'_>,
    name: &str,
    seeds: &CompetitionSeeds,
) -> Result<Vec<Seed>, StageError> {
    let mut found: Vec<Seed> = seeds.slugs.iter().map(|slug| competition(slug)).collect();
    let has_file = !seeds.file.as_os_str().is_empty();
    let has_meta = !seeds.meta_kaggle.as_os_str().is_empty();
    if has_file {
        let text = fs::read_to_string(&seeds.file).map_err(|error| {
            StageError::Files(format!(
                "cannot read the names of competitions `{}`: {error}; check `sources.{name}.file`",
                seeds.file.display()
            ))
        })?;
        let lines = text
            .lines()
            .map(|line| line.split('#').next().unwrap_or_default().trim())
            .filter(|line| !line.is_empty());
        found.extend(lines.map(competition));
    }
    let is_listed = seeds.list || seeds.slugs.is_empty() && !has_file && !has_meta;
    if is_listed {
        let slugs = listed(
            cx,
            name,
            Fingerprint::of(seeds),
            async |max| {
                let kaggle = cx.services.kaggle()?;
                let filter = CompetitionFilter {
                    group: None,
                    category: constant("HOST_SEGMENT_", &seeds.category),
                    sort_by: constant("COMPETITION_SORT_BY_", &seeds.sort),
                    search: text(&seeds.search),
                    page_size: None,
                };
                walk(kaggle.list_competitions(&filter), max, |one| one.slug).await
            },
            seeds.max,
        );
        found.extend(slugs.await?.iter().map(|slug| competition(slug)));
    }
    if has_meta {
        add_meta(name, seeds, &mut found)?;
    }
    if seeds.max > 0 {
        found.truncate(seeds.max);
    }
    Ok(found)
}

/// A name, or an address that ends with it.
fn competition(text: &str) -> Seed {
    let slug = text.trim().trim_end_matches('/');
    Seed {
        origin: Origin::Competition,
        slug: slug.rsplit('/').next().unwrap_or(slug).to_owned(),
        meta: None,
    }
}

/// Meta Kaggle tells of those that are known by name already, and adds its own where no others are named.
fn add_meta(name: &str, seeds: &CompetitionSeeds, found: &mut Vec<Seed>) -> Result<(), StageError> {
    let folder = &seeds.meta_kaggle;
    let failed = |error: meta::MetaError| {
        StageError::Files(format!(
            "cannot read Meta Kaggle: {error}; check `sources.{name}.meta_kaggle`"
        ))
    };
    let (of_competitions, tags) = (folder.join("CompetitionTags.csv"), folder.join("Tags.csv"));
    let tags = if of_competitions.exists() && tags.exists() {
        meta::competition_tags(&of_competitions, &tags).map_err(failed)?
    } else {
        std::collections::BTreeMap::new()
    };
    let adds = found.is_empty();
    let mut places: std::collections::HashMap<String, usize> = found
        .iter()
        .enumerate()
        .map(|(place, seed)| (seed.slug.to_lowercase(), place))
        .collect();
    for row in meta::competitions(&folder.join("Competitions.csv")).map_err(failed)? {
        let row = match row {
            Ok(row) => row,
            // One row that is no CSV is not the end of the table.
            Err(error) => {
                tracing::warn!(%error, "a row of Meta Kaggle is left out");
                continue;
            }
        };
        let facts = MetaFacts {
            metric: row.metric.or(row.metric_abbreviation),
            metric_is_max: row.metric_is_max,
            has_leaderboard: row.has_leaderboard,
            host_segment: row.host_segment,
            deadline: row.deadline.map(|time| time.to_string()),
            tags: tags.get(&row.id).cloned().unwrap_or_default(),
        };
        let key = row.slug.to_lowercase();
        if let Some(place) = places.get(&key) {
            found[*place].meta = Some(Arc::new(facts));
        } else if adds && (seeds.max == 0 || found.len() < seeds.max) {
            places.insert(key, found.len());
            found.push(Seed {
                meta: Some(Arc::new(facts)),
                ..competition(&row.slug)
            });
        }
    }
    Ok(())
}

async fn datasets(cx: &Cx<'_>, name: &str, seeds: &DatasetSeeds) -> Result<Vec<Seed>, StageError> {
    let mut slugs = seeds.slugs.clone();
    if seeds.list || slugs.is_empty() {
        let size = |bytes: u64| (bytes > 0).then_some(bytes);
        let tag_ids: Vec<String> = seeds.tag_ids.iter().map(u64::to_string).collect();
        let listed = listed(
            cx,
            name,
            Fingerprint::of(seeds),
            async |max| {
                let kaggle = cx.services.kaggle()?;
                let filter = DatasetFilter {
                    sort_by: constant("DATASET_SORT_BY_", &seeds.sort),
                    file_type: constant("DATASET_FILE_TYPE_GROUP_", &seeds.file_type),
                    license: constant("DATASET_LICENSE_GROUP_", &seeds.licence),
                    tag_ids: text(&tag_ids.join(",")),
                    search: text(&seeds.search),
                    user: None,
                    min_size: size(seeds.min_bytes),
                    max_size: size(seeds.max_bytes),
                    page_size: None,
                };
                walk(kaggle.list_datasets(&filter), max, |one| one.slug).await
            },
            seeds.max,
        );
        slugs.extend(listed.await?);
    }
    if seeds.max > 0 {
        slugs.truncate(seeds.max);
    }
    Ok(slugs
        .into_iter()
        .map(|slug| Seed {
            origin: Origin::Dataset,
            slug: slug.trim().to_owned(),
            meta: None,
        })
        .collect())
}

/// Asks for a list and remembers it, for a plan, which asks nobody.
async fn listed(
    cx: &Cx<'_>,
    name: &str,
    asked: Fingerprint,
    ask: impl AsyncFnOnce(usize) -> Result<Vec<String>, StageError>,
    max: usize,
) -> Result<Vec<String>, StageError> {
    let key = Fingerprint::of(&("kaggle list", &cx.config.kaggle.host, asked));
    let memo: &dyn Memo = &*cx.services.memo;
    if cx.is_planning() {
        let known = memo.get(key).await?;
        return Ok(known
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default());
    }
    cx.services
        .tell(&format!("asking Kaggle for the list of `{name}`"));
    let slugs = ask(if max == 0 { usize::MAX } else { max }).await?;
    let bytes = serde_json::to_vec(&slugs).unwrap_or_default();
    memo.put(key, bytes).await?;
    Ok(slugs)
}

/// Walks a list page by page and keeps the names alone: a list of thousands is no matter then.
async fn walk<T: serde::de::DeserializeOwned + Serialize>(
    mut pager: Pager<'_, T>,
    max: usize,
    name: impl Fn(T) -> String,
) -> Result<Vec<String>, StageError> {
    let mut names = Vec::new();
    while names.len() < max
        && let Some(page) = pager.next().await.map_err(|error| trouble(error).stops())?
    {
        names.extend(page.into_iter().map(&name).filter(|name| !name.is_empty()));
    }
    names.truncate(max);
    Ok(names)
}

/// The API's own name of a choice: `PLAYGROUND` is `HOST_SEGMENT_PLAYGROUND`.
fn constant(prefix: &str, choice: &str) -> Option<String> {
    let choice = choice.trim().to_uppercase().replace([' ', '-'], "_");
    (!choice.is_empty()).then(|| {
        if choice.starts_with(prefix) {
            choice
        } else {
            format!("{prefix}{choice}")
        }
    })
}

fn text(text: &str) -> Option<String> {
    let text = text.trim();
    (!text.is_empty()).then(|| text.to_owned())
}

/// Whether any source of the configuration is Kaggle's.
pub fn is_asked(config: &Config) -> bool {
    config.sources.values().any(|source| {
        matches!(
            source,
            SourceConfig::KaggleCompetitions(_) | SourceConfig::KaggleDatasets(_)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_be_an_address() {
        assert_eq!(competition(" titanic ").slug, "titanic");
        assert_eq!(
            competition("https://www.kaggle.com/competitions/titanic/").slug,
            "titanic"
        );
    }

    #[test]
    fn choices_have_the_names_of_the_api() {
        let name = constant("HOST_SEGMENT_", "getting started");
        assert_eq!(name.as_deref(), Some("HOST_SEGMENT_GETTING_STARTED"));
        let name = constant("HOST_SEGMENT_", "HOST_SEGMENT_PLAYGROUND");
        assert_eq!(name.as_deref(), Some("HOST_SEGMENT_PLAYGROUND"));
        assert_eq!(constant("HOST_SEGMENT_", " "), None);
    }

    #[test]
    fn meta_kaggle_tells_of_named_ones_and_adds_its_own_where_none_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        write(
            "Competitions.csv",
            "Id,Slug,EvaluationAlgorithmName,EvaluationAlgorithmIsMax,HasLeaderboard,DeadlineDate\n\
             1,rain,RMSE,False,True,02/26/2019 23:59:00\n2,snow,AUC,True,True,\n",
        );
        write("Tags.csv", "Id,Name\n7,weather\n");
        write("CompetitionTags.csv", "Id,CompetitionId,TagId\n1,1,7\n");
        let mut seeds = CompetitionSeeds {
            meta_kaggle: folder.path().to_owned(),
            ..CompetitionSeeds::default()
        };
        let mut found = Vec::new();
        add_meta("kaggle", &seeds, &mut found).unwrap();
        let slugs: Vec<&str> = found.iter().map(|seed| seed.slug.as_str()).collect();
        assert_eq!(slugs, ["rain", "snow"]);
        let rain = found[0].meta.as_ref().unwrap();
        assert_eq!(
            (rain.metric_is_max, rain.metric.as_deref()),
            (Some(false), Some("RMSE"))
        );
        assert_eq!(rain.tags, ["weather"]);

        let mut named = vec![competition("snow"), competition("hail")];
        add_meta("kaggle", &seeds, &mut named).unwrap();
        assert_eq!(named.len(), 2);
        assert!(named[0].meta.is_some() && named[1].meta.is_none());

        seeds.meta_kaggle = folder.path().join("none");
        let error = add_meta("kaggle", &seeds, &mut found).unwrap_err();
        assert!(
            error.to_string().contains("sources.kaggle.meta_kaggle"),
            "{error}"
        );
    }
}
