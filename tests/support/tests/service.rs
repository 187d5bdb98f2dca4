//! The fixture over HTTP: what it answers, what it refuses, and what its faults do.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::time::Duration;

use reqwest::{Client, Method, Response, StatusCode, header, redirect};
use serde_json::{Value, json};
use synth_fixtures::{Fault, Fixture, KEY, Rest, Rule, TOKEN, USERNAME, World};

fn client() -> Client {
    Client::builder()
        .redirect(redirect::Policy::none())
        .timeout(Duration::from_secs(20))
        .build()
        .unwrap()
}

async fn rpc(fixture: &Fixture, service: &str, method: &str, body: Value) -> Response {
    client()
        .post(format!("{}/api/v1/{service}/{method}", fixture.api_url()))
        .bearer_auth(TOKEN)
        .json(&body)
        .send()
        .await
        .unwrap()
}

async fn competition(fixture: &Fixture, method: &str, body: Value) -> Value {
    let response = rpc(fixture, "competitions.CompetitionApiService", method, body).await;
    assert_eq!(response.status(), StatusCode::OK);
    response.json().await.unwrap()
}

async fn rest(fixture: &Fixture, path: &str) -> Response {
    client()
        .get(format!("{}/api/v1/{path}", fixture.api_url()))
        .basic_auth(USERNAME, Some(KEY))
        .send()
        .await
        .unwrap()
}

/// The signed address of all files of a competition.
async fn address(fixture: &Fixture, slug: &str) -> String {
    let response = rest(fixture, &format!("competitions/data/download-all/{slug}")).await;
    assert_eq!(response.status(), StatusCode::FOUND);
    response.headers()[header::LOCATION]
        .to_str()
        .unwrap()
        .to_owned()
}

async fn fetch(address: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = client().get(address);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.unwrap()
}

#[tokio::test]
async fn lists_go_on_to_their_end_page_by_page() {
    let fixture = Fixture::start(World::many(123));
    let mut slugs = std::collections::BTreeSet::new();
    let mut token = String::new();
    loop {
        let page = competition(
            &fixture,
            "ListCompetitions",
            json!({"pageSize": 50, "pageToken": token}),
        )
        .await;
        for row in page["competitions"].as_array().unwrap() {
            slugs.insert(row["ref"].as_str().unwrap().to_owned());
        }
        match page["nextPageToken"].as_str() {
            Some(next) => token = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(slugs.len(), 123);
    assert_eq!(fixture.count("ListCompetitions"), 3);
    let second: Value = rest(&fixture, "competitions/list?page=7")
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(second.as_array().unwrap().len(), 3);
}

#[tokio::test]
async fn rpc_leaves_out_defaults_and_an_empty_list_is_an_empty_object() {
    let fixture = Fixture::start(World::small());
    let found = competition(
        &fixture,
        "GetCompetition",
        json!({"competitionName": "shells-and-snails"}),
    )
    .await;
    assert_eq!(
        found["ref"],
        "https://www.kaggle.com/competitions/shells-and-snails"
    );
    assert_eq!(found["evaluationMetric"], "Accuracy Score");
    assert!(found.get("isKernelsSubmissionsOnly").is_none() && found.get("userRank").is_none());
    fixture.fault(Rule::new(Fault::EmptyFileList).times(1));
    let files = competition(
        &fixture,
        "ListDataFiles",
        json!({"competitionName": "shells-and-snails"}),
    )
    .await;
    assert_eq!(files, json!({}));
    let files = competition(
        &fixture,
        "ListDataFiles",
        json!({"competitionName": "shells-and-snails", "pageSize": 2}),
    )
    .await;
    assert_eq!(files["files"].as_array().unwrap().len(), 2);
    assert!(files["nextPageToken"].is_string());
}

#[tokio::test]
async fn rest_has_three_dialects_of_a_competition() {
    let fixture = Fixture::start(World::small());
    let path = "competitions/get/ferry-delays";
    let now: Value = rest(&fixture, path).await.json().await.unwrap();
    assert_eq!(
        (&now["hasReward"], &now["rewardNullable"], &now["reward"]),
        (&json!(true), &json!("$25,000"), &json!("$25,000"))
    );
    assert_eq!(
        (&now["hasUserRank"], now.get("userRankNullable")),
        (&json!(false), None)
    );
    fixture.wire(|wire| wire.rest = Rest::Of2021);
    let old: Value = rest(&fixture, path).await.json().await.unwrap();
    assert_eq!(
        (&old["ref"], &old["userRank"]),
        (&json!("ferry-delays"), &Value::Null)
    );
    let files: Value = rest(&fixture, "competitions/data/list/ferry-delays")
        .await
        .json()
        .await
        .unwrap();
    assert_eq!(files.as_array().unwrap().len(), 3);
    fixture.wire(|wire| wire.int64_strings = true);
    let files: Value = rest(&fixture, "competitions/data/list/ferry-delays")
        .await
        .json()
        .await
        .unwrap();
    assert!(files[0]["totalBytes"].is_string());
}

#[tokio::test]
async fn an_unchanged_answer_costs_a_304_until_the_world_changes() {
    let fixture = Fixture::start(World::small());
    let first = rest(&fixture, "competitions/get/ferry-delays").await;
    let tag = first.headers()[header::ETAG].to_str().unwrap().to_owned();
    let again = || {
        client()
            .get(format!(
                "{}/api/v1/competitions/get/ferry-delays",
                fixture.api_url()
            ))
            .basic_auth(USERNAME, Some(KEY))
            .header(header::IF_NONE_MATCH, &tag)
            .send()
    };
    assert_eq!(again().await.unwrap().status(), StatusCode::NOT_MODIFIED);
    fixture.edit(|world| world.competition_mut("ferry-delays").unwrap().teams += 1);
    assert_eq!(again().await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn bad_credentials_and_the_returned_cookie_are_refused() {
    let fixture = Fixture::start(World::small());
    let url = format!("{}/api/v1/competitions/get/ferry-delays", fixture.api_url());
    let good = client().get(&url).bearer_auth(TOKEN).send().await.unwrap();
    let cookie = good.headers()[header::SET_COOKIE]
        .to_str()
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let refused = [
        client().get(&url),
        client().get(&url).bearer_auth("KGAT_other"),
        // Today's tokens are good as Bearer only.
        client().get(&url).basic_auth(USERNAME, Some(TOKEN)),
        client()
            .get(&url)
            .bearer_auth(TOKEN)
            .header(header::COOKIE, cookie),
    ];
    for request in refused {
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(
            response.json::<Value>().await.unwrap(),
            json!({"code": 401, "message": "Unauthenticated"})
        );
    }
    let rpc = client()
        .post(format!(
            "{}/api/v1/competitions.CompetitionApiService/ListCompetitions",
            fixture.api_url()
        ))
        .json(&json!({}))
        .send()
        .await
        .unwrap();
    assert_eq!(
        rpc.json::<Value>().await.unwrap()["error"]["status"],
        "UNAUTHENTICATED"
    );
}

#[tokio::test]
async fn refusals_have_the_words_of_the_service() {
    let fixture = Fixture::start(World::small());
    let cases = [
        (
            "competitions/get/no-such",
            403,
            "Permission 'competitions.get' was denied",
        ),
        (
            "competitions/data/download-all/closed-gate",
            403,
            "You must accept this competition's rules before you'll be able to download files.",
        ),
        (
            "competitions/far-island/submissions/limits",
            400,
            "You do not have a Team in this Competition.",
        ),
    ];
    for (path, status, message) in cases {
        let response = rest(&fixture, path).await;
        assert_eq!(response.status().as_u16(), status, "{path}");
        let text = response.text().await.unwrap();
        assert!(!text.contains('\''), "{text}");
        assert_eq!(
            serde_json::from_str::<Value>(&text).unwrap(),
            json!({"code": status, "message": message})
        );
    }
}

#[tokio::test]
async fn downloads_are_signed_for_another_host_and_refuse_credentials() {
    let fixture = Fixture::start(World::small());
    let address = address(&fixture, "shells-and-snails").await;
    assert!(address.starts_with(fixture.storage_url()));
    let good = fetch(&address, &[]).await;
    assert_eq!(good.status(), StatusCode::OK);
    for (name, value) in [
        ("authorization", "Bearer x"),
        ("cookie", "ka_sessionid=1"),
        ("content-type", "application/json"),
    ] {
        let refused = fetch(&address, &[(name, value)]).await;
        assert_eq!(refused.status(), StatusCode::FORBIDDEN);
        assert!(
            refused
                .text()
                .await
                .unwrap()
                .contains("SignatureDoesNotMatch")
        );
    }
    let forged = fetch(&address.replace("shells-and-snails", "ferry-delays"), &[]).await;
    assert_eq!(forged.status(), StatusCode::FORBIDDEN);
    let head = client()
        .request(Method::HEAD, &address)
        .send()
        .await
        .unwrap();
    assert_eq!(head.status(), StatusCode::FORBIDDEN);
    fixture.fault(Rule::new(Fault::ExpiredUrl).times(1));
    let expired = self::address(&fixture, "shells-and-snails").await;
    assert_eq!(fetch(&expired, &[]).await.status(), StatusCode::BAD_REQUEST);
}

#[tokio::test]
async fn parts_fit_together_and_a_changed_object_is_sent_whole() {
    let fixture = Fixture::start(World::small());
    let address = address(&fixture, "shells-and-snails").await;
    let whole = fetch(&address, &[]).await;
    let etag = whole.headers()[header::ETAG].to_str().unwrap().to_owned();
    let hashes: Vec<String> = whole
        .headers()
        .get_all("x-goog-hash")
        .iter()
        .map(|value| value.to_str().unwrap().to_owned())
        .collect();
    assert!(
        hashes[0].starts_with("crc32c=") && hashes[1].starts_with("md5="),
        "{hashes:?}"
    );
    let whole = whole.bytes().await.unwrap();
    let end = fetch(&address, &[("range", "bytes=1000-"), ("if-range", &etag)]).await;
    assert_eq!(end.status(), StatusCode::PARTIAL_CONTENT);
    assert_eq!(
        end.headers()[header::CONTENT_RANGE],
        format!("bytes 1000-{}/{}", whole.len() - 1, whole.len())
    );
    assert_eq!(end.bytes().await.unwrap(), whole.slice(1000..));
    let beyond = fetch(&address, &[("range", &format!("bytes={}-", whole.len()))]).await;
    assert_eq!(beyond.status(), StatusCode::RANGE_NOT_SATISFIABLE);
    fixture.fault(Rule::new(Fault::ChangedEtag).times(1));
    let changed = fetch(&address, &[("range", "bytes=1000-"), ("if-range", &etag)]).await;
    assert_eq!(changed.status(), StatusCode::OK);
    assert_ne!(changed.headers()[header::ETAG].to_str().unwrap(), etag);
    fixture.fault(Rule::new(Fault::IgnoresRange).times(1));
    assert_eq!(
        fetch(&address, &[("range", "bytes=1000-")]).await.status(),
        StatusCode::OK
    );
}

#[tokio::test]
async fn a_cut_download_breaks_after_the_bytes_that_were_asked_for() {
    let fixture = Fixture::start(World::small());
    let address = address(&fixture, "shells-and-snails").await;
    fixture.fault(Rule::new(Fault::Cut { at: 700 }).times(1));
    let mut cut = fetch(&address, &[]).await;
    assert!(cut.content_length().unwrap() > 700);
    let mut bytes = 0;
    let broken = loop {
        match cut.chunk().await {
            Ok(Some(chunk)) => bytes += chunk.len(),
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(broken);
    assert_eq!(bytes, 700);
    assert_eq!(fetch(&address, &[]).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn faults_strike_one_route_of_one_competition_as_often_as_they_say() {
    let fixture = Fixture::start(World::small());
    fixture.fault(
        Rule::new(Fault::Throttled {
            retry_after: Some(1),
        })
        .route("GetCompetition")
        .slug("ferry-delays")
        .times(2),
    );
    let statuses = async |path: &str| {
        let mut statuses = Vec::new();
        for _ in 0..3 {
            statuses.push(rest(&fixture, path).await.status().as_u16());
        }
        statuses
    };
    assert_eq!(
        statuses("competitions/get/orchard-harvest").await,
        [200, 200, 200]
    );
    assert_eq!(
        statuses("competitions/get/ferry-delays").await,
        [429, 429, 200]
    );
    let log = fixture.requests();
    assert!(
        log.iter()
            .all(|seen| seen.has("authorization") && seen.route == "GetCompetition")
    );
    assert_eq!(fixture.count("GetCompetition"), 6);
}

#[tokio::test]
async fn the_leaderboard_comes_in_pages_and_as_a_zip_with_a_mark_at_its_start() {
    let fixture = Fixture::start(World::small());
    let page = competition(
        &fixture,
        "GetLeaderboard",
        json!({"competitionName": "ferry-delays", "pageSize": 60}),
    )
    .await;
    let rows = page["submissions"].as_array().unwrap();
    assert_eq!(rows.len(), 60);
    assert!(rows[0]["score"].is_string() && rows[49].get("teamName").is_none());
    let none = competition(
        &fixture,
        "GetLeaderboard",
        json!({"competitionName": "quiet-meadow"}),
    )
    .await;
    assert_eq!(none, json!({}));
    let zip = rest(&fixture, "competitions/ferry-delays/leaderboard/download")
        .await
        .bytes()
        .await
        .unwrap();
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(zip)).unwrap();
    let mut file = archive.by_index(0).unwrap();
    let name = file.name().unwrap().into_owned();
    assert!(
        name.starts_with("ferry-delays-publicleaderboard-"),
        "{name}"
    );
    let mut text = String::new();
    std::io::Read::read_to_string(&mut file, &mut text).unwrap();
    assert!(text.starts_with("\u{feff}Rank,TeamId,TeamName,LastSubmissionDate,Score,SubmissionCount,TeamMemberUserNames\n1,"));
    assert_eq!(text.lines().count(), 91);
}
