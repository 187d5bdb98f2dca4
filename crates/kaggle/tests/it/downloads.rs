//! Downloads through faults: what is there is kept, what is sent is whole, and the storage host learns nothing.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody, to_bytes};
use axum::response::Response;
use data_encoding::BASE64;
use futures::StreamExt;
use md5::{Digest, Md5};
use synth_kaggle::{
    Artifact, Content, DownloadLimits, Downloaded, Kaggle, KaggleError, KaggleOptions, Progress,
    unwatched,
};

use crate::archives::zip_of;
use crate::support::{Seen, Server, TOKEN, answer, kaggle, options, status};

fn noise(bytes: usize) -> Vec<u8> {
    (0..bytes as u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 11) as u8)
        .collect()
}

fn md5_header(bytes: &[u8]) -> String {
    format!("crc32c=AAAAAA==,md5={}", BASE64.encode(&Md5::digest(bytes)))
}

/// What a storage host answers that knows ranges.
fn store(seen: &Seen, content: &[u8], etag: &str) -> Response {
    let hash = md5_header(content);
    let from = seen.header("range").and_then(|range| {
        range
            .strip_prefix("bytes=")?
            .strip_suffix('-')?
            .parse::<usize>()
            .ok()
    });
    match from {
        Some(from) if seen.header("if-range") == Some(etag) => {
            if from >= content.len() {
                return status(416, "");
            }
            let range = format!("bytes {from}-{}/{}", content.len() - 1, content.len());
            answer(
                206,
                &[
                    ("etag", etag),
                    ("content-range", &range),
                    ("x-goog-hash", &hash),
                ],
                content[from..].to_vec(),
            )
        }
        _ => answer(
            200,
            &[("etag", etag), ("x-goog-hash", &hash)],
            content.to_vec(),
        ),
    }
}

/// An answer of announced length that ends after so many bytes, once they are underway.
fn cut(response: Response, bytes: usize) -> Response {
    let (mut parts, body) = response.into_parts();
    let length = body.size_hint().exact().unwrap();
    parts.headers.insert("content-length", length.into());
    let sent = futures::stream::unfold((body, false), move |(body, is_sent)| async move {
        if is_sent {
            tokio::time::sleep(Duration::from_millis(50)).await;
            return Some((
                Err(std::io::ErrorKind::ConnectionReset),
                (Body::empty(), true),
            ));
        }
        let whole = to_bytes(body, usize::MAX).await.unwrap();
        Some((Ok(whole.slice(..bytes)), (Body::empty(), true)))
    });
    let sent = sent.map(|result| result.map_err(std::io::Error::from));
    Response::from_parts(parts, Body::from_stream(sent))
}

/// An API that sends to such a storage host; addresses are numbered.
async fn api(storage: &Server) -> Server {
    let (base, count) = (storage.url("/signed"), AtomicUsize::new(0));
    Server::start(move |_, _| {
        let number = count.fetch_add(1, Ordering::SeqCst);
        let target = format!("{base}/{number}?X-Goog-Signature=sesame");
        answer(
            302,
            &[("location", &target), ("set-cookie", "ka_sessionid=x")],
            "",
        )
    })
    .await
}

fn bundle() -> Artifact {
    Artifact::CompetitionBundle {
        slug: "titanic".to_owned(),
    }
}

async fn get(kaggle: &Kaggle, path: &Path) -> Result<Downloaded, KaggleError> {
    kaggle
        .download(&bundle(), path, &DownloadLimits::default(), &unwatched)
        .await
}

fn left(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

#[tokio::test]
async fn a_download_stops_where_it_is_told_to_and_goes_on_from_there() {
    let mut random = fastrand::Rng::with_seed(7);
    let content: Vec<u8> = std::iter::repeat_with(|| random.u8(..))
        .take(3_000_000)
        .collect();
    let sent = content.clone();
    let storage = Server::start(move |_, seen| store(seen, &sent, "\"a\"")).await;
    let api = api(&storage).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("titanic");
    let enough = |limit: u64| {
        let kaggle = kaggle(&api);
        let path = path.clone();
        async move {
            let limits = DownloadLimits::default();
            let watch = move |progress: Progress| {
                if progress.bytes < limit {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            };
            kaggle.download(&bundle(), &path, &limits, &watch).await
        }
    };
    let stopped = enough(1_000_000).await.unwrap_err();
    assert!(matches!(stopped, KaggleError::Stopped { .. }), "{stopped}");
    let part = std::fs::read(folder.path().join("titanic.part")).unwrap();
    assert!((1_000_000..2_900_000).contains(&part.len()));
    assert!(content.starts_with(&part));
    let whole = enough(content.len() as u64).await.unwrap();
    assert_eq!(whole.resumed_from, part.len() as u64);
    assert_eq!(std::fs::read(&path).unwrap(), content);
}

#[tokio::test]
async fn a_bundle_arrives_whole_and_the_storage_host_learns_nothing() {
    let content = zip_of(&[("train.csv", &noise(50_000))]);
    let sent = content.clone();
    let storage = Server::start(move |_, seen| store(seen, &sent, "\"a\"")).await;
    let api = api(&storage).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/titanic");
    let reports = Mutex::new(Vec::new());
    let downloaded = kaggle(&api)
        .download(&bundle(), &path, &DownloadLimits::default(), &|progress| {
            reports.lock().unwrap().push(progress);
            ControlFlow::Continue(())
        })
        .await
        .unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), content);
    assert_eq!(
        (downloaded.bytes, downloaded.content, downloaded.tries),
        (content.len() as u64, Content::Zip, 1)
    );
    assert!(downloaded.is_verified && downloaded.resumed_from == 0);
    assert_eq!(left(path.parent().unwrap()), ["titanic"]);
    let reports = reports.into_inner().unwrap();
    assert_eq!(
        (reports[0].bytes, reports[0].total),
        (0, Some(content.len() as u64))
    );
    assert_eq!(reports.last().unwrap().bytes, content.len() as u64);
    assert!(reports.is_sorted_by_key(|progress| progress.bytes));

    let [seen] = &storage.seen()[..] else {
        panic!("one request")
    };
    assert_eq!(seen.method, "GET");
    for name in [
        "authorization",
        "cookie",
        "content-type",
        "referer",
        "content-length",
    ] {
        assert_eq!(seen.header(name), None, "{name}");
    }
    let api_seen = &api.seen()[0];
    assert_eq!(api_seen.call(), "DownloadDataFiles");
    assert_eq!(
        api_seen.header("authorization"),
        Some(format!("Bearer {TOKEN}").as_str())
    );
}

#[tokio::test]
async fn a_cut_download_goes_on_where_it_ended_also_in_another_process() {
    let content = noise(300_000);
    let sent = content.clone();
    let storage = Server::start(move |index, seen| {
        let response = store(seen, &sent, "\"a\"");
        if index < 3 {
            cut(response, 60_000)
        } else {
            response
        }
    })
    .await;
    let api = api(&storage).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("titanic.zip");
    // The first process gives up at once.
    let mut impatient = options(&api);
    impatient.download_patience.tries = 1;
    let error = get(&Kaggle::open(impatient).unwrap(), &path)
        .await
        .unwrap_err();
    assert!(matches!(error, KaggleError::Transient { .. }), "{error}");
    assert!(!error.to_string().contains("sesame"));
    assert_eq!(
        left(folder.path()),
        ["titanic.zip.part", "titanic.zip.part.json"]
    );
    let there = std::fs::metadata(folder.path().join("titanic.zip.part"))
        .unwrap()
        .len();
    assert_eq!(there, 60_000);

    let downloaded = get(&kaggle(&api), &path).await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), content);
    assert_eq!((downloaded.resumed_from, downloaded.tries), (60_000, 3));
    assert!(downloaded.is_verified);
    let ranges: Vec<_> = storage
        .seen()
        .iter()
        .map(|seen| seen.header("range").map(str::to_owned))
        .collect();
    assert_eq!(
        ranges,
        [
            None,
            Some("bytes=60000-".into()),
            Some("bytes=120000-".into()),
            Some("bytes=180000-".into())
        ]
    );
    assert_eq!(left(folder.path()), ["titanic.zip"]);
}

#[tokio::test]
async fn a_file_that_changed_meanwhile_is_begun_anew() {
    let content = noise(100_000);
    let new = noise(90_001);
    let (sent, later) = (content.clone(), new.clone());
    let storage = Server::start(move |index, seen| match index {
        0 => cut(store(seen, &sent, "\"a\""), 40_000),
        _ => store(seen, &later, "\"b\""),
    })
    .await;
    let api = api(&storage).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    let downloaded = get(&kaggle(&api), &path).await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), new);
    assert_eq!(downloaded.etag.as_deref(), Some("\"b\""));
    assert_eq!(storage.seen()[1].header("if-range"), Some("\"a\""));
}

#[tokio::test]
async fn a_part_of_something_else_is_never_appended() {
    // This host ignores `If-Range`: its part belongs to another file, or begins elsewhere.
    let content = noise(100_000);
    for (etag, from) in [("\"b\"", 40_000), ("\"a\"", 39_999)] {
        let sent = content.clone();
        let storage = Server::start(move |index, seen| match index {
            0 => cut(store(seen, &sent, "\"a\""), 40_000),
            1 => {
                let range = format!("bytes {from}-99999/100000");
                answer(
                    206,
                    &[("etag", etag), ("content-range", &range)],
                    vec![7; 100_000 - from],
                )
            }
            _ => store(seen, &sent, "\"a\""),
        })
        .await;
        let api = api(&storage).await;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        get(&kaggle(&api), &path).await.unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), content);
        assert_eq!(storage.seen()[2].header("range"), None);
    }
}

#[tokio::test]
async fn an_answer_of_416_asks_for_the_whole_anew() {
    let content = noise(50_000);
    let sent = content.clone();
    let storage = Server::start(move |index, seen| match index {
        0 => cut(store(seen, &sent, "\"a\""), 20_000),
        1 => status(416, "no"),
        _ => store(seen, &sent, "\"a\""),
    })
    .await;
    let api = api(&storage).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    get(&kaggle(&api), &path).await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), content);
    assert_eq!(storage.seen()[2].header("range"), None);
}

#[tokio::test]
async fn errors_never_touch_the_partial_file_and_an_expired_address_is_replaced() {
    let content = noise(80_000);
    let sent = content.clone();
    let expired =
        "<?xml version='1.0'?><Error><Code>ExpiredToken</Code><Details>sesame</Details></Error>";
    let storage = Server::start(move |index, seen| match index {
        0 => cut(store(seen, &sent, "\"a\""), 30_000),
        1 => answer(400, &[], expired),
        2 => answer(403, &[], "SignatureDoesNotMatch"),
        3 => answer(503, &[("retry-after", "0")], "x".repeat(50_000)),
        4 => answer(429, &[("retry-after", "0")], "slow down"),
        _ => store(seen, &sent, "\"a\""),
    })
    .await;
    let api = api(&storage).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    let downloaded = get(&kaggle(&api), &path).await.unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), content);
    assert_eq!(downloaded.tries, 6);
    let seen = storage.seen();
    assert!(
        seen[1..]
            .iter()
            .all(|seen| seen.header("range") == Some("bytes=30000-"))
    );
    let mut addresses: Vec<_> = seen.iter().map(|seen| seen.path.clone()).collect();
    addresses.dedup();
    assert_eq!(addresses.len(), 6);
}

#[tokio::test]
async fn a_storage_host_that_goes_on_refusing_is_given_up_and_the_part_stays() {
    let content = noise(80_000);
    let storage = Server::start(move |index, seen| match index {
        0 => cut(store(seen, &content, "\"a\""), 30_000),
        _ => answer(
            403,
            &[],
            "<Error><Code>AccessDenied</Code><Details>sesame</Details></Error>",
        ),
    })
    .await;
    let api = api(&storage).await;
    let folder = tempfile::tempdir().unwrap();
    let error = get(&kaggle(&api), &folder.path().join("x"))
        .await
        .unwrap_err();
    let text = format!("{error} {error:?}");
    assert!(
        text.contains("AccessDenied") && !text.contains("sesame") && !text.contains("Signature")
    );
    assert_eq!(storage.seen().len(), 5);
    assert_eq!(
        std::fs::metadata(folder.path().join("x.part"))
            .unwrap()
            .len(),
        30_000
    );
}

#[tokio::test]
async fn what_kaggle_refuses_is_a_state_and_the_part_stays() {
    let content = noise(80_000);
    let storage = Server::start(move |_, seen| cut(store(seen, &content, "\"a\""), 30_000)).await;
    let target = storage.url("/x");
    let api = Server::start(move |index, _| match index {
        0 => answer(302, &[("location", &target)], ""),
        _ => status(403, r#"{"code":403,"message":"You must accept this competition\u0027s rules before you\u0027ll be able to download files."}"#),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let error = get(&kaggle(&api), &folder.path().join("x"))
        .await
        .unwrap_err();
    assert_eq!(
        error.page(),
        Some("https://www.kaggle.com/competitions/titanic/rules")
    );
    assert_eq!(
        std::fs::metadata(folder.path().join("x.part"))
            .unwrap()
            .len(),
        30_000
    );
}

#[tokio::test]
async fn a_wrong_hash_is_tried_once_more_and_then_an_error() {
    let content = noise(10_000);
    let wrong = md5_header(b"other");
    let sent = content.clone();
    let storage = Server::start(move |index, seen| match index {
        0 => answer(
            200,
            &[("etag", "\"a\""), ("x-goog-hash", &wrong)],
            sent.clone(),
        ),
        _ => store(seen, &sent, "\"a\""),
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    let first = api(&storage).await;
    assert_eq!(get(&kaggle(&first), &path).await.unwrap().tries, 2);

    let wrong = md5_header(b"other");
    let storage =
        Server::start(move |_, _| answer(200, &[("x-goog-hash", &wrong)], content.clone())).await;
    let second = api(&storage).await;
    let error = get(&kaggle(&second), &folder.path().join("y"))
        .await
        .unwrap_err();
    assert!(matches!(error, KaggleError::Corrupt { .. }) && error.is_spurious());
    assert!(!folder.path().join("y").exists());
    // What was stored compressed comes decompressed, and its hash is of something else.
    let wrong = md5_header(b"other");
    let storage = Server::start(move |_, _| {
        answer(
            200,
            &[
                ("x-goog-hash", &wrong),
                ("x-goog-stored-content-encoding", "gzip"),
            ],
            noise(10),
        )
    })
    .await;
    let third = api(&storage).await;
    let downloaded = get(&kaggle(&third), &folder.path().join("z"))
        .await
        .unwrap();
    assert!(!downloaded.is_verified && downloaded.bytes == 10);
}

#[tokio::test]
async fn more_than_is_allowed_is_not_fetched_announced_or_not() {
    let announced = Server::start(|_, _| answer(200, &[], vec![0; 5_000])).await;
    let unannounced = Server::start(|_, _| {
        let chunks = (0..1_000).map(|_| Ok::<_, std::io::Error>(Bytes::from(vec![0; 1_000])));
        answer(200, &[], Body::from_stream(futures::stream::iter(chunks)))
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    for (storage, bytes) in [(announced, 0), (unannounced, 4_000)] {
        let api = api(&storage).await;
        let limits = DownloadLimits { max_bytes: 4_999 };
        let path = folder.path().join("x");
        let error = kaggle(&api)
            .download(&bundle(), &path, &limits, &unwatched)
            .await
            .unwrap_err();
        assert!(
            matches!(error, KaggleError::TooLarge { max: 4_999, .. }),
            "{error}"
        );
        let there = std::fs::metadata(folder.path().join("x.part"))
            .unwrap()
            .len();
        assert!(there <= bytes + 999, "{there}");
    }
}

#[tokio::test]
async fn a_disk_without_room_is_noticed_before_anything_is_written() {
    let storage = Server::start(|_, _| answer(200, &[], vec![0; 5_000])).await;
    let api = api(&storage).await;
    let free = synth_kaggle::free_bytes(Path::new("/tmp")).unwrap();
    let options = KaggleOptions {
        min_free_bytes: free.saturating_mul(2),
        ..options(&api)
    };
    let folder = tempfile::tempdir().unwrap();
    let error = get(&Kaggle::open(options).unwrap(), &folder.path().join("x"))
        .await
        .unwrap_err();
    assert!(matches!(error, KaggleError::DiskFull { .. }) && error.stops_all());
    assert_eq!(
        std::fs::metadata(folder.path().join("x.part"))
            .unwrap()
            .len(),
        0
    );
}

#[tokio::test]
async fn one_file_that_arrives_zipped_is_taken_out_and_a_document_is_not() {
    let file = |path: &str| Artifact::CompetitionFile {
        slug: "titanic".to_owned(),
        path: path.to_owned(),
    };
    let sheet = zip_of(&[("[Content_Types].xml", b"x")]);
    let (zipped, kept) = (zip_of(&[("train.csv", b"a,b\n1,2\n")]), sheet.clone());
    let storage = Server::start(move |index, seen| match index {
        0 | 1 => store(seen, &zipped, "\"a\""),
        _ => store(seen, &kept, "\"b\""),
    })
    .await;
    let api = api(&storage).await;
    let kaggle = kaggle(&api);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    let get = async |name: &str| {
        kaggle
            .download(&file(name), &path, &DownloadLimits::default(), &unwatched)
            .await
            .unwrap()
    };
    let downloaded = get("data/train.csv").await;
    assert!(downloaded.was_zipped && downloaded.content == Content::Other && downloaded.bytes == 8);
    assert_eq!(std::fs::read(&path).unwrap(), b"a,b\n1,2\n");
    // Who asks for a zip file gets it.
    let downloaded = get("train.csv.zip").await;
    assert!(!downloaded.was_zipped && downloaded.content == Content::Zip);
    let downloaded = get("sheet.xlsx").await;
    assert!(!downloaded.was_zipped);
    assert_eq!(std::fs::read(&path).unwrap(), sheet);
    assert_eq!(left(folder.path()), ["x"]);
    assert_eq!(api.seen()[0].body["fileName"], "data/train.csv");
}

#[tokio::test]
async fn a_partial_file_of_something_else_is_not_gone_on_with() {
    let content = noise(50_000);
    let sent = content.clone();
    let storage = Server::start(move |index, seen| {
        let response = store(seen, &sent, "\"a\"");
        if index == 0 {
            cut(response, 20_000)
        } else {
            response
        }
    })
    .await;
    let api = api(&storage).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    let mut impatient = options(&api);
    impatient.download_patience.tries = 1;
    get(&Kaggle::open(impatient).unwrap(), &path)
        .await
        .unwrap_err();
    let other = Artifact::CompetitionBundle {
        slug: "other".to_owned(),
    };
    let downloaded = kaggle(&api)
        .download(&other, &path, &DownloadLimits::default(), &unwatched)
        .await
        .unwrap();
    assert_eq!(
        (downloaded.resumed_from, std::fs::read(&path).unwrap()),
        (0, content)
    );
}

#[tokio::test]
async fn a_whole_part_that_was_not_yet_put_to_its_place_costs_one_byte() {
    let content = noise(50_000);
    let sent = content.clone();
    let storage = Server::start(move |_, seen| store(seen, &sent, "\"a\"")).await;
    let api = api(&storage).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    std::fs::write(folder.path().join("x.part"), &content).unwrap();
    let note = r#"{"artifact":"competitions/titanic","etag":"\"a\"","last_modified":null,"total":50000,"md5":null}"#;
    std::fs::write(folder.path().join("x.part.json"), note).unwrap();
    let downloaded = get(&kaggle(&api), &path).await.unwrap();
    assert_eq!(storage.seen()[0].header("range"), Some("bytes=49999-"));
    assert!(downloaded.is_verified && std::fs::read(&path).unwrap() == content);
}

#[tokio::test]
async fn a_message_in_the_place_of_a_file_is_no_file() {
    let api = Server::start(|index, _| match index {
        0 => answer(
            200,
            &[("content-type", "text/html; charset=utf-8")],
            "<html>Sign in</html>",
        ),
        1 => answer(200, &[("content-type", "application/json")], "{}"),
        _ => answer(302, &[], ""),
    })
    .await;
    let kaggle = kaggle(&api);
    let folder = tempfile::tempdir().unwrap();
    for _ in 0..3 {
        let error = get(&kaggle, &folder.path().join("x")).await.unwrap_err();
        assert_eq!(error.reason(), "refused");
    }
    assert!(!folder.path().join("x").exists());
}

#[tokio::test]
async fn downloads_go_one_at_a_time_and_calls_do_not_wait_for_them() {
    let storage = Server::start(|_, _| {
        let slow = futures::stream::unfold(0, |step| async move {
            if step == 5 {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(40)).await;
            Some((Ok::<_, std::io::Error>(Bytes::from_static(b"x")), step + 1))
        });
        answer(200, &[], Body::from_stream(slow))
    })
    .await;
    let target = storage.url("/x");
    let api = Server::start(move |_, seen| match seen.call() {
        "DownloadDataFiles" => answer(302, &[("location", &target)], ""),
        _ => answer(200, &[], r#"{"ref":"titanic"}"#),
    })
    .await;
    let kaggle = kaggle(&api);
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (folder.path().join("a"), folder.path().join("b"));
    let start = Instant::now();
    let call = async {
        kaggle.get_competition("titanic").await.unwrap();
        start.elapsed()
    };
    let (first, second, called) = futures::join!(get(&kaggle, &a), get(&kaggle, &b), call);
    assert!(first.is_ok() && second.is_ok());
    assert!(start.elapsed() >= Duration::from_millis(400));
    assert!(called < Duration::from_millis(200));
    // And the same path is not written by two.
    let other = Kaggle::open(options(&api)).unwrap();
    let (first, second) = futures::join!(get(&kaggle, &a), get(&other, &a));
    // Whichever came first has it.
    assert!(matches!(
        (first, second),
        (Ok(_), Err(KaggleError::Busy { .. })) | (Err(KaggleError::Busy { .. }), Ok(_))
    ));
}

#[tokio::test]
async fn a_leaderboard_comes_from_the_api_itself_and_is_read_with_its_mark() {
    let table = "\u{feff}Rank,TeamId,TeamName,LastSubmissionDate,Score,SubmissionCount,TeamMemberUserNames\r\n1,7,\"Kim, Lee\",2020-01-02 03:04:05,0.91,3,kim\r\n2,8,,,0.9,1,lee\r\n";
    let zip = zip_of(&[(
        "titanic-publicleaderboard-2020-01-02T03:04:05.csv",
        table.as_bytes(),
    )]);
    let api =
        Server::start(move |_, _| answer(200, &[("content-type", "application/zip")], zip.clone()))
            .await;
    let kaggle = kaggle(&api);
    let folder = tempfile::tempdir().unwrap();
    let scratch = folder.path().join("x.zip");
    let limits = DownloadLimits::default();
    let all = kaggle
        .download_leaderboard("titanic", &scratch, &limits, 100)
        .await
        .unwrap();
    assert_eq!(
        (all.len(), all[0].rank, all[0].score.as_str()),
        (2, Some(1), "0.91")
    );
    assert_eq!(
        (all[0].team_name.as_str(), all[0].submission_count),
        ("Kim, Lee", Some(3))
    );
    assert_eq!(
        all[0].last_submission,
        Some("2020-01-02T03:04:05Z".parse().unwrap())
    );
    assert_eq!(
        kaggle
            .download_leaderboard("titanic", &scratch, &limits, 1)
            .await
            .unwrap()
            .len(),
        1
    );
    assert!(left(folder.path()).is_empty());
    std::fs::write(&scratch, "a,b\n").unwrap();
    assert!(synth_kaggle::read_leaderboard(&scratch, 1).is_err());
}

#[tokio::test]
async fn a_submission_is_uploaded_to_its_address_and_handed_in_by_its_token() {
    let storage = Server::start(|_, _| status(200, "")).await;
    let target = storage.url("/upload?signature=sesame");
    let api = Server::start(move |_, seen| match seen.call() {
        "StartSubmissionUpload" => answer(
            200,
            &[],
            format!(r#"{{"token":"t","createUrl":"{target}"}}"#),
        ),
        "CreateSubmission" => answer(200, &[], r#"{"ref":"42"}"#),
        "GetSubmission" => answer(
            200,
            &[],
            r#"{"ref":42,"status":"COMPLETE","publicScore":"0.5"}"#,
        ),
        _ => answer(200, &[], r#"{"submissions":[{"ref":42}]}"#),
    })
    .await;
    let kaggle = kaggle(&api);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("submission.csv");
    std::fs::write(&path, "id,y\n1,2\n").unwrap();
    assert_eq!(kaggle.submit("titanic", &path, "first").await.unwrap(), 42);
    let put = &storage.seen()[0];
    assert_eq!(
        (put.method.as_str(), put.header("content-length")),
        ("PUT", Some("9"))
    );
    assert_eq!(
        (put.header("authorization"), put.header("content-type")),
        (None, None)
    );
    assert_eq!(
        (
            api.seen()[0].body["contentLength"].as_u64(),
            api.seen()[1].body["blobFileTokens"].as_str()
        ),
        (Some(9), Some("t"))
    );
    assert_eq!(
        kaggle
            .get_submission(42)
            .await
            .unwrap()
            .public_score
            .as_deref(),
        Some("0.5")
    );
    assert_eq!(
        kaggle
            .list_submissions("titanic")
            .unwrap()
            .all()
            .await
            .unwrap()[0]
            .id,
        42
    );
}

#[test]
fn calls_and_downloads_may_move_between_threads() {
    fn is_send<T: Send>(_: T) {}
    let config = synth_core::config::load(&[]).unwrap();
    let options = KaggleOptions::of(&config.kaggle, synth_kaggle::Credentials::Anonymous);
    let kaggle = Kaggle::open(options).unwrap();
    is_send(kaggle.get_competition("titanic"));
    is_send(get(&kaggle, Path::new("x")));
    is_send(kaggle.list_data_files("titanic").unwrap().all());
    is_send(kaggle.download_leaderboard("titanic", Path::new("x"), &DownloadLimits::default(), 1));
    is_send(kaggle.submit("titanic", Path::new("x"), ""));
}
