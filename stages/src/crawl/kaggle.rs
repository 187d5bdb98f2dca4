//! Kaggle's competitions and datasets: a cheap look at each, further calls for what is new, rules, and data of what passes.

use std::sync::Arc;

use futures::{Stream, StreamExt as _, stream};
use synth_core::{DataFile, LeaderboardScores, Origin, Source};
use synth_kaggle::{DownloadLimits, Kaggle, KaggleError};
use synth_pipeline::{Outcome, StageError, WorkError};
use tokio::sync::oneshot;
use tokio::task::JoinSet;

use super::kaggle_data::{self, Had};
use super::kaggle_facts::{self, page_of};
use super::kaggle_look::{Known, Lead, Memory, Said, Trouble, basis, look, trouble};
use super::kaggle_seeds::Seed;
use crate::Cx;
use crate::filter::{self, validity};

/// The reason of what the limit on downloads left for another time.
const LEFT: &str = "download_limit";
/// Rows of a leaderboard, which a download gives at once.
const BOARD_ROWS: usize = 200_000;
/// Teams up to which the final standings are asked for too, page by page.
const FINAL_ROWS: u64 = 5000;
const BOARD_BYTES: u64 = 100 << 20;

/// Looks at the seeds, some ahead of what is worked on. Each look is a task of its own: one that nobody waits for at the
/// moment must not keep its place among the calls from those that are waited for.
pub(super) fn leads(
    cx: &Cx<'_>,
    seeds: Vec<Seed>,
) -> Result<impl Stream<Item = Result<Lead, StageError>> + Send + use<>, StageError> {
    // A plan asks nobody.
    let kaggle = if cx.is_planning() || seeds.is_empty() {
        None
    } else {
        Some(cx.services.kaggle()?)
    };
    let basis = basis(cx.config);
    let (memo, host) = (Arc::clone(&cx.services.memo), cx.config.kaggle.host.clone());
    let ahead = cx.config.kaggle.concurrency.max(1);
    let mut looks = JoinSet::new();
    let looking = stream::iter(seeds).map(move |seed| {
        while looks.try_join_next().is_some() {}
        let (tell, told) = oneshot::channel();
        let memory = Memory::new(&memo, &host, seed.origin, &seed.slug);
        let kaggle = kaggle.clone();
        looks.spawn(async move {
            // Nobody is there to be told when the stage has stopped.
            let _ = tell.send(look(kaggle, memory, seed, basis).await);
        });
        async move {
            told.await.unwrap_or_else(|_| {
                Err(StageError::Origin(
                    "a look at Kaggle ended without an answer, which is a bug of `synth`"
                        .to_owned(),
                ))
            })
        }
    });
    Ok(looking.buffered(ahead))
}

/// Works a lead out: a source with its files, or why there is none.
pub(super) async fn work(cx: &Cx<'_>, lead: Lead) -> Result<Outcome<Source>, WorkError> {
    let memory = Memory::new(
        &cx.services.memo,
        &cx.config.kaggle.host,
        lead.seed.origin,
        &lead.seed.slug,
    );
    let mut known = memory.get().await.map_err(StageError::from)?;
    match source(cx, lead, &mut known, &memory).await {
        Ok(outcome) => Ok(outcome),
        Err(Trouble::Stop(error)) => Err(error.into()),
        Err(Trouble::Failed(error)) => Err(error.into()),
        Err(Trouble::Refused { .. }) => unreachable!("a refusal is an outcome"),
    }
}

async fn source(
    cx: &Cx<'_>,
    mut lead: Lead,
    known: &mut Known,
    memory: &Memory,
) -> Result<Outcome<Source>, Trouble> {
    match lead.trouble.take() {
        Some(Trouble::Refused { reason, message }) => {
            // The look has been noted already.
            return Ok(refused(lead.into_bare(), reason, message));
        }
        Some(other) => return Err(other),
        None => {}
    }
    let kaggle = cx.services.kaggle().map_err(Trouble::Stop)?;
    let was_open = std::mem::take(&mut known.is_open);
    let told = match known.source.take() {
        Some(source) => Ok(source),
        None => ask(&kaggle, &lead, known).await,
    };
    let source = match told {
        Ok(source) => source,
        Err(error) => match trouble(error) {
            Trouble::Refused { reason, message } => {
                note_open(known, memory).await?;
                return Ok(refused(lead.into_bare(), reason, message));
            }
            other => return Err(other),
        },
    };
    known.source = Some(source.clone());
    note(known, memory).await?;

    // What a rule drops is not downloaded: `filter` says the same of it, and why.
    let rulings = filter::before_data(&cx.config.filter, &source);
    if rulings.iter().any(|ruling| !ruling.passed) {
        return Ok(Outcome::kept(source));
    }
    if source.origin == Origin::Competition {
        let judged = validity::rulings(cx, &source).await.map_err(of_work)?;
        if judged.iter().any(|ruling| !ruling.passed) {
            return Ok(Outcome::kept(source));
        }
    }
    let key = kaggle_data::key(&source);
    let data = known.data.take();
    let data = match data.filter(|data| kaggle_data::is_there(data, key, cx.blobs)) {
        Some(data) => data,
        None => match had(cx, &kaggle, &source, key).await {
            Ok(Had::Data(data)) => {
                known.data = Some(data.clone());
                note(known, memory).await?;
                kaggle_data::forget_archive(cx, key);
                data
            }
            Ok(Had::Left(message)) => {
                note_open(known, memory).await?;
                return Ok(dropped(source, LEFT.to_owned(), &message));
            }
            Err(Trouble::Refused { reason, message }) => {
                note_open(known, memory).await?;
                return Ok(refused(source, reason, message));
            }
            Err(other) => {
                // What was open stays so until it is settled.
                known.is_open = was_open;
                note(known, memory).await?;
                return Err(other);
            }
        },
    };
    if let Some((reason, message)) = data.unusable {
        return Ok(dropped(source, reason, &message));
    }
    let mut source = source;
    source.files = data.files;
    if source.origin == Origin::Competition {
        let is_stored = |board: &DataFile| kaggle_data::is_stored(board, cx.blobs);
        if !known.board.as_ref().is_some_and(is_stored) {
            known.board = board(cx, &kaggle, &source).await?;
            note(known, memory).await?;
        }
        source.leaderboard.clone_from(&known.board);
    }
    Ok(Outcome::Kept {
        records: vec![source],
        rejected: data.rejected,
    })
}

async fn ask(kaggle: &Kaggle, lead: &Lead, known: &Known) -> Result<Source, KaggleError> {
    match &known.said {
        Some(Said::Competition(competition)) => {
            kaggle_facts::of_competition(kaggle, competition, lead.seed.meta.as_deref()).await
        }
        Some(Said::Dataset(dataset)) => kaggle_facts::of_dataset(kaggle, dataset).await,
        None => Err(KaggleError::Gone {
            what: lead.seed.slug.clone(),
        }),
    }
}

async fn had(
    cx: &Cx<'_>,
    kaggle: &Kaggle,
    source: &Source,
    key: synth_core::Fingerprint,
) -> Result<Had, Trouble> {
    let max_bytes = match source.origin {
        Origin::Dataset => cx.config.filter.datasets.max_bytes,
        _ => cx.config.filter.competitions.max_bytes,
    };
    kaggle_data::download(cx, kaggle, source, key, max_bytes).await
}

/// The scores of a competition's teams, in the data store. One that cannot be had is done without.
async fn board(cx: &Cx<'_>, kaggle: &Kaggle, source: &Source) -> Result<Option<DataFile>, Trouble> {
    let slug = source.slug.as_str();
    let folder = cx.config.run.output.join(crate::services::DOWNLOADS);
    std::fs::create_dir_all(&folder).map_err(|error| Trouble::Stop(error.into()))?;
    let scratch = folder.join(format!("{}-leaderboard", source.id));
    let limits = DownloadLimits {
        max_bytes: BOARD_BYTES,
    };
    let public = kaggle
        .download_leaderboard(slug, &scratch, &limits, BOARD_ROWS)
        .await;
    let public: Vec<f64> = match public {
        Ok(standings) => standings
            .iter()
            .filter_map(|standing| score(&standing.score))
            .collect(),
        Err(error) => absent(slug, error)?,
    };
    let private: Vec<f64> = if source.team_count.unwrap_or(0) <= FINAL_ROWS {
        let rows = match kaggle.leaderboard(slug) {
            Ok(pages) => pages.up_to(FINAL_ROWS as usize).await,
            Err(error) => Err(error),
        };
        match rows {
            Ok(rows) => rows
                .iter()
                .filter_map(|row| score(row.score.as_deref()?))
                .collect(),
            Err(error) => absent(slug, error)?,
        }
    } else {
        Vec::new()
    };
    if public.is_empty() && private.is_empty() {
        return Ok(None);
    }
    let scores = LeaderboardScores {
        public_scores: public,
        private_scores: private,
    };
    let bytes = serde_json::to_vec(&scores).expect("scores are finite numbers");
    let blake3 = cx
        .blobs
        .put(&bytes)
        .map_err(|error| Trouble::Stop(error.into()))?;
    Ok(Some(DataFile {
        path: "leaderboard.json".to_owned(),
        bytes: bytes.len() as u64,
        blake3,
    }))
}

fn absent(slug: &str, error: KaggleError) -> Result<Vec<f64>, Trouble> {
    match trouble(error) {
        Trouble::Refused { message, .. } => {
            tracing::debug!(slug, message, "a leaderboard is done without");
            Ok(Vec::new())
        }
        other => Err(other),
    }
}

fn score(text: &str) -> Option<f64> {
    text.trim()
        .parse()
        .ok()
        .filter(|score: &f64| score.is_finite())
}

/// A state that a person can change: written down with the page where, and looked at again.
fn refused(mut source: Source, reason: String, message: String) -> Outcome<Source> {
    let page = page_of(source.origin, &source.slug);
    let facts = source.kaggle.get_or_insert_default();
    if facts.url.is_empty() {
        facts.url = page;
    }
    let message = if message.contains("https://") {
        message
    } else {
        format!("{message}; see {}", facts.url)
    };
    facts.refused = Some(message.clone());
    dropped(source, reason, &message)
}

fn dropped(source: Source, reason: String, message: &str) -> Outcome<Source> {
    let message = format!("`{}`: {message}", source.slug);
    Outcome::Dropped {
        reason,
        message,
        record: Some(source),
    }
}

async fn note(known: &Known, memory: &Memory) -> Result<(), Trouble> {
    memory
        .put(known)
        .await
        .map_err(|error| Trouble::Stop(error.into()))
}

async fn note_open(known: &mut Known, memory: &Memory) -> Result<(), Trouble> {
    known.is_open = true;
    known.looks += 1;
    note(known, memory).await
}

fn of_work(error: WorkError) -> Trouble {
    match error {
        WorkError::Record(error) => Trouble::Failed(error),
        WorkError::Stage(error) => Trouble::Stop(error),
    }
}
