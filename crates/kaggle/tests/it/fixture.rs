//! The client against the fixture server, which was written without knowing it: all of a small world, in every dialect and
//! through every fault.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use synth_fixtures::{Fault, Fixture, Host, KEY, Rest, Rule, TOKEN, USERNAME, World};
use synth_kaggle::{
    Artifact, Competition, CompetitionFilter, Credentials, DatasetFilter, Dialect, DownloadLimits,
    Fetched, Kaggle, KaggleError, KaggleOptions, UnpackLimits, Version, unpack, unwatched,
};

use crate::support::options_at;

fn options(fixture: &Fixture) -> KaggleOptions {
    let credentials = Credentials::token(TOKEN, "a test").unwrap();
    KaggleOptions {
        credentials,
        ..options_at(fixture.api_url())
    }
}

fn open(fixture: &Fixture) -> Kaggle {
    Kaggle::open(options(fixture)).unwrap()
}

fn slugs(fixture: &Fixture) -> Vec<String> {
    fixture.edit(|world| {
        world
            .competitions
            .iter()
            .map(|known| known.slug.clone())
            .collect()
    })
}

/// What every dialect of every year tells.
fn common(competition: Competition) -> Competition {
    Competition {
        host_name: None,
        date_created: None,
        ..competition
    }
}

#[tokio::test]
async fn a_world_reads_the_same_in_every_dialect() {
    let fixture = Fixture::start(World::small());
    let mut first = None;
    for (dialect, rest, int64_strings, bare_refs) in [
        (Dialect::Auto, Rest::Now, false, false),
        (Dialect::Rpc, Rest::Now, true, true),
        (Dialect::Rest, Rest::Now, false, false),
        (Dialect::Rest, Rest::Of2021, true, false),
    ] {
        fixture.wire(|wire| {
            wire.rest = rest;
            wire.int64_strings = int64_strings;
            wire.bare_refs = bare_refs;
        });
        let kaggle = Kaggle::open(KaggleOptions {
            dialect,
            ..options(&fixture)
        })
        .unwrap();
        let mut world = Vec::new();
        for slug in slugs(&fixture) {
            let competition = kaggle.get_competition(&slug).await.unwrap();
            assert_eq!(competition.slug, slug);
            let files = kaggle.list_data_files(&slug).unwrap().all().await.unwrap();
            let files: Vec<_> = files
                .iter()
                .map(|file| (file.path().to_owned(), file.total_bytes))
                .collect();
            let summary = kaggle.data_files_summary(&slug).await.unwrap();
            assert_eq!(
                summary.total_bytes().unwrap_or(0),
                files.iter().map(|(_, bytes)| bytes).sum::<u64>()
            );
            let pages = kaggle.list_competition_pages(&slug).await.unwrap();
            let board = kaggle.leaderboard(&slug).unwrap().all().await.unwrap();
            let scores: Vec<_> = board
                .into_iter()
                .map(|row| (row.team_id, row.score))
                .collect();
            world.push((common(competition), files, pages, scores));
        }
        let first = first.get_or_insert_with(|| world.clone());
        assert!(*first == world, "{dialect:?} {int64_strings} {bare_refs}");
    }
    for seen in fixture.requests() {
        assert!(!seen.has("cookie"));
        assert_eq!(seen.has("authorization"), seen.host == Host::Api);
    }
}

#[tokio::test]
async fn every_bundle_is_what_its_list_says_or_has_a_reason() {
    let fixture = Fixture::start(World::small());
    let kaggle = open(&fixture);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bundle");
    let mut reasons = BTreeSet::new();
    let mut whole = 0;
    for slug in slugs(&fixture) {
        let listed = kaggle.list_data_files(&slug).unwrap().all().await.unwrap();
        let listed: BTreeSet<_> = listed.iter().map(|file| file.path().to_owned()).collect();
        let artifact = Artifact::CompetitionBundle { slug };
        let limits = DownloadLimits { max_bytes: 1 << 30 };
        let downloaded = match kaggle.download(&artifact, &path, &limits, &unwatched).await {
            Ok(downloaded) => downloaded,
            Err(error) => {
                assert!(
                    error.page().is_some() || !error.is_spurious(),
                    "{artifact}: {error}"
                );
                reasons.insert(error.reason());
                continue;
            }
        };
        assert!(downloaded.is_verified, "{artifact}");
        let mut unpacked = BTreeSet::new();
        let result = unpack(&path, &UnpackLimits::default(), &mut |name, _| {
            unpacked.insert(name.to_owned());
            Ok(())
        });
        match result {
            Ok(_) => {
                let is_listed = |name: &String| {
                    listed
                        .iter()
                        .any(|file| file == name || name.starts_with(file.trim_end_matches(".zip")))
                };
                assert!(
                    unpacked.iter().all(is_listed),
                    "{artifact}: {unpacked:?} of {listed:?}"
                );
                whole += 1;
            }
            Err(error) => {
                reasons.insert(error.reason());
            }
        }
    }
    assert!(whole >= 12, "{whole}");
    assert!(reasons.contains("rules_not_accepted"), "{reasons:?}");
}

#[tokio::test]
async fn a_download_survives_every_fault_of_the_storage_host() {
    let fixture = Fixture::start(World::small());
    let slug = slugs(&fixture).remove(0);
    let artifact = Artifact::CompetitionBundle { slug: slug.clone() };
    let folder = tempfile::tempdir().unwrap();
    let limits = DownloadLimits::default();
    let path = folder.path().join("whole");
    open(&fixture)
        .download(&artifact, &path, &limits, &unwatched)
        .await
        .unwrap();
    let expected = std::fs::read(&path).unwrap();
    let at = expected.len() as u64 / 3;
    for faults in [
        vec![Rule::new(Fault::Cut { at }).times(2)],
        vec![
            Rule::new(Fault::Cut { at }).times(1),
            Rule::new(Fault::ChangedEtag).after(1).times(1),
        ],
        vec![
            Rule::new(Fault::Cut { at }).times(1),
            Rule::new(Fault::IgnoresRange).after(1).times(1),
        ],
        vec![Rule::new(Fault::ExpiredUrl).times(2)],
        vec![Rule::new(Fault::Server(503)).route("Storage").times(2)],
        vec![Rule::new(Fault::NoAnswer).route("Storage").times(2)],
        vec![Rule::new(Fault::WrongMd5).times(1)],
        vec![Rule::new(Fault::NoMd5)],
        vec![
            Rule::new(Fault::Throttled {
                retry_after: Some(0),
            })
            .route("DownloadDataFiles")
            .times(3),
        ],
        vec![Rule::new(Fault::Slow {
            piece: expected.len() / 4 + 1,
            pause: Duration::from_millis(20),
        })],
    ] {
        let text = format!("{faults:?}");
        fixture.heal();
        for fault in faults {
            fixture.fault(fault);
        }
        let path = folder.path().join("x");
        let result = open(&fixture)
            .download(&artifact, &path, &limits, &unwatched)
            .await;
        result.unwrap_or_else(|error| panic!("{text}: {error}"));
        assert!(std::fs::read(&path).unwrap() == expected, "{text}");
    }
    // Half a file that says it is all, hash included, is noticed by whoever opens it.
    fixture.heal();
    fixture.fault(Rule::new(Fault::Half));
    let path = folder.path().join("half");
    let result = open(&fixture)
        .download(&artifact, &path, &limits, &unwatched)
        .await;
    assert!(result.is_ok());
    let error = unpack(&path, &UnpackLimits::default(), &mut |_, _| Ok(())).unwrap_err();
    assert_eq!(error.reason(), "archive_truncated");
}

#[tokio::test]
async fn datasets_are_listed_described_and_downloaded_by_anybody() {
    let fixture = Fixture::start(World::small());
    let known: Vec<_> = fixture.edit(|world| {
        let row = |known: &synth_fixtures::world::Dataset| {
            let files = known.files.iter().map(|file| file.name.clone()).collect();
            (
                format!("{}/{}", known.owner, known.slug),
                known.licence_id.clone(),
                files,
            )
        };
        let rows: Vec<(String, String, BTreeSet<String>)> =
            world.datasets.iter().map(row).collect();
        rows
    });
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    for (dialect, rest) in [
        (Dialect::Rpc, Rest::Now),
        (Dialect::Rest, Rest::Now),
        (Dialect::Rest, Rest::Of2021),
    ] {
        fixture.wire(|wire| wire.rest = rest);
        let kaggle = Kaggle::open(KaggleOptions {
            dialect,
            ..options(&fixture)
        })
        .unwrap();
        let listed = kaggle
            .list_datasets(&DatasetFilter::default())
            .all()
            .await
            .unwrap();
        let listed: BTreeSet<_> = listed.into_iter().map(|dataset| dataset.slug).collect();
        assert!(
            known.iter().all(|(slug, ..)| listed.contains(slug)),
            "{listed:?}"
        );
        for (slug, licence, names) in &known {
            let dataset = kaggle.get_dataset(slug).await.unwrap();
            assert_eq!(&dataset.slug, slug);
            let metadata = kaggle.dataset_metadata(slug).await.unwrap();
            let by_display = dataset.license_name.as_deref().and_then(synth_kaggle::spdx);
            if let Some(by_display) = by_display {
                assert_eq!(metadata.licence().as_deref(), Some(by_display), "{slug}");
            } else {
                assert_eq!(synth_kaggle::spdx(licence), None, "{slug}");
            }
            let files = kaggle
                .list_dataset_files(slug)
                .unwrap()
                .all()
                .await
                .unwrap();
            let files: BTreeSet<_> = files.iter().map(|file| file.path().to_owned()).collect();
            assert_eq!(&files, names, "{slug}");
            let name = files.first().unwrap().clone();
            let artifact = Artifact::DatasetFile {
                dataset: slug.clone(),
                path: name,
                version: None,
            };
            let limits = DownloadLimits::default();
            let downloaded = kaggle
                .download(&artifact, &path, &limits, &unwatched)
                .await
                .unwrap();
            assert!(downloaded.bytes > 0);
        }
    }
    assert_eq!(
        open(&fixture)
            .get_dataset("nobody/nothing")
            .await
            .unwrap_err()
            .reason(),
        "gone"
    );
}

#[tokio::test]
async fn faults_of_the_api_pass_or_have_a_reason() {
    let fixture = Fixture::start(World::small());
    let slug = slugs(&fixture).remove(0);
    let kaggle = open(&fixture);
    for (fault, reason) in [
        (
            Rule::new(Fault::Throttled {
                retry_after: Some(0),
            })
            .times(3),
            None,
        ),
        (
            Rule::new(Fault::Throttled { retry_after: None }).times(1),
            None,
        ),
        (Rule::new(Fault::Server(502)).times(2), None),
        (Rule::new(Fault::NoAnswer).times(2), None),
        (Rule::new(Fault::Int64Strings), None),
        (Rule::new(Fault::Unauthorized), Some("unauthenticated")),
        (Rule::new(Fault::UnknownSlug), Some("gone")),
        (Rule::new(Fault::NotJoined), Some("not_joined")),
        (Rule::new(Fault::NoTeam), Some("not_joined")),
        (Rule::new(Fault::NotJson), Some("unreadable_answer")),
        (
            Rule::new(Fault::Throttled {
                retry_after: Some(900),
            }),
            Some("throttled"),
        ),
    ] {
        let text = format!("{fault:?}");
        fixture.heal();
        fixture.fault(fault.route("GetCompetition"));
        let result = kaggle.get_competition(&slug).await;
        assert_eq!(result.err().map(|error| error.reason()), reason, "{text}");
    }
    fixture.heal();
    assert_eq!(
        kaggle
            .get_competition("never-was")
            .await
            .unwrap_err()
            .reason(),
        "gone"
    );
    let key = Credentials::Key {
        username: USERNAME.to_owned(),
        key: KEY.to_owned().into(),
        found: "a test".to_owned(),
    };
    let basic = Kaggle::open(KaggleOptions {
        credentials: key,
        ..options(&fixture)
    })
    .unwrap();
    assert!(basic.get_competition(&slug).await.is_ok());
    let wrong = Credentials::token("KGAT_wrong", "a test").unwrap();
    let wrong = Kaggle::open(KaggleOptions {
        credentials: wrong,
        ..options(&fixture)
    })
    .unwrap();
    assert!(matches!(
        wrong.get_competition(&slug).await,
        Err(KaggleError::Unauthenticated { .. })
    ));
}

#[tokio::test]
async fn an_unchanged_world_costs_one_call_each() {
    let fixture = Fixture::start(World::small());
    let kaggle = open(&fixture);
    for rpc_etags in [false, true] {
        fixture.wire(|wire| wire.rpc_etags = rpc_etags);
        for slug in slugs(&fixture) {
            let first = kaggle
                .get_competition_if_changed(&slug, &Version::default())
                .await
                .unwrap();
            let Fetched::Changed(_, version) = first else {
                panic!("it is new")
            };
            assert_eq!(version.etag.is_some(), rpc_etags);
            fixture.forget_requests();
            let again = kaggle
                .get_competition_if_changed(&slug, &version)
                .await
                .unwrap();
            assert_eq!(again, Fetched::Unchanged);
            let expected = if rpc_etags { 304 } else { 200 };
            let statuses: Vec<u16> = fixture.requests().iter().map(|seen| seen.status).collect();
            assert_eq!(statuses, [expected]);
        }
    }
}

#[tokio::test]
async fn a_leaderboard_that_is_downloaded_has_a_row_for_each_that_is_listed() {
    let fixture = Fixture::start(World::small());
    let kaggle = open(&fixture);
    let folder = tempfile::tempdir().unwrap();
    let slug = slugs(&fixture).remove(0);
    let listed = kaggle.leaderboard(&slug).unwrap().all().await.unwrap();
    let limits = DownloadLimits { max_bytes: 1 << 20 };
    let path = folder.path().join("board");
    let read = kaggle
        .download_leaderboard(&slug, &path, &limits, usize::MAX)
        .await
        .unwrap();
    assert!(listed.len() > 100);
    let listed: Vec<_> = listed
        .iter()
        .map(|row| (Some(row.team_id), row.score.clone().unwrap_or_default()))
        .collect();
    let read: Vec<_> = read
        .iter()
        .map(|row| (row.team_id, row.score.clone()))
        .collect();
    assert_eq!(read, listed);
}

#[tokio::test]
async fn a_long_list_comes_whole() {
    let fixture = Fixture::start(World::many(3_000));
    for dialect in [Dialect::Rpc, Dialect::Rest] {
        let kaggle = Kaggle::open(KaggleOptions {
            dialect,
            ..options(&fixture)
        })
        .unwrap();
        let mut pager = kaggle.list_competitions(&CompetitionFilter::default());
        let mut slugs = BTreeSet::new();
        while let Some(page) = pager.next().await.unwrap() {
            slugs.extend(page.into_iter().map(|competition| competition.slug));
        }
        assert_eq!(slugs.len(), 3_000, "{dialect:?}");
    }
}

/// The process that is killed by the test below, which tells it where to download from and to.
const KILLED_URL: &str = "SYNTH_TEST_KAGGLE_URL";
const KILLED_PATH: &str = "SYNTH_TEST_KAGGLE_PATH";

#[tokio::test]
#[ignore = "it is the process that another test kills"]
async fn download_until_killed() {
    let url = std::env::var(KILLED_URL).unwrap();
    let path = std::env::var(KILLED_PATH).unwrap();
    let credentials = Credentials::token(TOKEN, "a test").unwrap();
    let kaggle = Kaggle::open(KaggleOptions {
        credentials,
        ..options_at(&url)
    })
    .unwrap();
    let artifact = Artifact::CompetitionBundle {
        slug: std::env::var("SYNTH_TEST_KAGGLE_SLUG").unwrap(),
    };
    let result = kaggle
        .download(
            &artifact,
            Path::new(&path),
            &DownloadLimits::default(),
            &unwatched,
        )
        .await;
    panic!("it was to be killed: {result:?}");
}

#[tokio::test]
async fn a_download_goes_on_after_its_process_was_killed() {
    let mut world = World::small();
    let noise: Vec<u8> = (0..6_000_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 9) as u8)
        .collect();
    world.competitions[0].bundle = synth_fixtures::world::Bundle::Raw {
        bytes: noise.clone().into(),
        ending: "zip",
    };
    let fixture = Fixture::start(world);
    let slug = slugs(&fixture).remove(0);
    // Three of six megabytes come quickly, in two pieces, and then nothing for long.
    fixture.fault(Rule::new(Fault::Slow {
        piece: 1_500_000,
        pause: Duration::from_millis(300),
    }));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bundle");
    let part = folder.path().join("bundle.part");
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--ignored", "fixture::download_until_killed"])
        .env(KILLED_URL, fixture.api_url())
        .env(KILLED_PATH, &path)
        .env("SYNTH_TEST_KAGGLE_SLUG", &slug)
        .stdout(std::process::Stdio::null())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let length = || std::fs::metadata(&part).map_or(0, |metadata| metadata.len());
    for _ in 0..600 {
        if length() > 1_000_000 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let there = length();
    assert!((1_000_000..6_000_000).contains(&there), "{there}");
    fixture.heal();
    fixture.forget_requests();
    let artifact = Artifact::CompetitionBundle { slug };
    let downloaded = open(&fixture)
        .download(&artifact, &path, &DownloadLimits::default(), &unwatched)
        .await
        .unwrap();
    assert_eq!(
        (
            downloaded.resumed_from,
            downloaded.tries,
            downloaded.is_verified
        ),
        (there, 1, true)
    );
    assert!(std::fs::read(&path).unwrap() == noise);
    let ranges: Vec<_> = fixture
        .requests()
        .iter()
        .filter_map(|seen| seen.headers.get("range").cloned())
        .collect();
    assert_eq!(ranges, [format!("bytes={there}-")]);
}
