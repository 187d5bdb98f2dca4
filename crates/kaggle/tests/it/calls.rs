//! Calls over HTTP: what is sent, what is understood, and what becomes of faults.

use std::time::{Duration, Instant};

use crate::support::{Seen, Server, TOKEN, answer, json, kaggle, options, status};
use synth_kaggle::{
    CompetitionFilter, Credentials, DatasetFilter, Dialect, Fetched, Kaggle, KaggleError,
    KaggleOptions, Patience, Version,
};

#[tokio::test]
async fn rpc_comes_first_with_a_bearer_and_without_the_cookie_that_was_set() {
    let server = Server::start(|_, _| {
        answer(
            200,
            &[("set-cookie", "ka_sessionid=x; Path=/")],
            r#"{"id":"3136","ref":"https://www.kaggle.com/competitions/titanic","deadline":"2030-01-01T00:00:00Z","teamCount":"15000"}"#,
        )
    })
    .await;
    let kaggle = kaggle(&server);
    for _ in 0..2 {
        let competition = kaggle.get_competition("titanic").await.unwrap();
        assert_eq!(competition.slug, "titanic");
        assert_eq!((competition.id, competition.team_count), (3136, 15_000));
        assert!(!competition.submissions_disabled && competition.tags.is_empty());
    }
    for seen in server.seen() {
        assert_eq!(seen.method, "POST");
        assert_eq!(
            seen.path,
            "/api/v1/competitions.CompetitionApiService/GetCompetition"
        );
        assert_eq!(
            seen.header("authorization"),
            Some(format!("Bearer {TOKEN}").as_str())
        );
        assert_eq!(seen.header("cookie"), None);
        assert_eq!(seen.body["competitionName"], "titanic");
    }
}

#[tokio::test]
async fn rest_answers_where_rpc_is_not_served_and_is_asked_first_from_then_on() {
    let server = Server::start(|_, seen| {
        if seen.path.contains("Service/") {
            status(404, "no such page")
        } else {
            json(r#"{"refNullable":"titanic","ref":"","hasRef":true,"titleNullable":"Titanic","title":"Titanic","hasTitle":true,"maxTeamSize":0,"hasMaxTeamSize":false}"#)
        }
    })
    .await;
    let kaggle = kaggle(&server);
    for _ in 0..2 {
        let competition = kaggle.get_competition("titanic").await.unwrap();
        assert_eq!(
            (competition.slug.as_str(), competition.title.as_str()),
            ("titanic", "Titanic")
        );
        assert_eq!(competition.max_team_size, None);
    }
    let calls: Vec<_> = server
        .seen()
        .iter()
        .map(|seen| format!("{} {}", seen.method, seen.call()))
        .collect();
    let rest = "GET /api/v1/competitions/get/titanic";
    assert_eq!(calls, ["POST GetCompetition", rest, rest]);
}

#[tokio::test]
async fn what_neither_form_has_is_gone_and_rpc_is_still_asked_first_afterwards() {
    let server = Server::start(|_, _| status(404, "")).await;
    let kaggle = kaggle(&server);
    for _ in 0..2 {
        let error = kaggle.get_competition("none").await.unwrap_err();
        assert!(matches!(&error, KaggleError::Gone { what } if what == "none"));
    }
    assert!(server.seen()[2].path.contains("Service/"));
}

#[tokio::test]
async fn pages_are_walked_to_the_end_by_token() {
    let server = Server::start(|_, seen| match seen.body["pageToken"].as_str() {
        None => {
            json(r#"{"files":[{"name":"a.csv","totalBytes":"5000000000"}],"nextPageToken":"t1"}"#)
        }
        Some("t1") => json(r#"{"files":[{"ref":"b.csv"}],"nextPageToken":"t2"}"#),
        _ => json("{}"),
    })
    .await;
    let kaggle = kaggle(&server);
    let files = kaggle
        .list_data_files("titanic")
        .unwrap()
        .all()
        .await
        .unwrap();
    let paths: Vec<_> = files
        .iter()
        .map(|file| (file.path(), file.total_bytes))
        .collect();
    assert_eq!(paths, [("a.csv", 5_000_000_000), ("b.csv", 0)]);
    assert_eq!(server.seen().len(), 3);
    assert_eq!(server.seen()[0].body["pageSize"], 200);
}

#[tokio::test]
async fn pages_of_bare_arrays_are_walked_by_number_until_one_is_empty_or_repeats() {
    let list = |seen: &Seen| {
        let page = seen
            .query
            .split('&')
            .find_map(|pair| pair.strip_prefix("page="));
        match page {
            None | Some("1") => json(r#"[{"ref":"a","deadline":null},{"ref":"b"}]"#),
            Some("2") => json(r#"[{"ref":"c"}]"#),
            _ => json("[]"),
        }
    };
    let server = Server::start(move |_, seen| list(seen)).await;
    let rest = KaggleOptions {
        dialect: Dialect::Rest,
        ..options(&server)
    };
    let kaggle = Kaggle::open(rest).unwrap();
    let filter = CompetitionFilter {
        category: Some("all".to_owned()),
        ..CompetitionFilter::default()
    };
    let all = kaggle.list_competitions(&filter).all().await.unwrap();
    let slugs: Vec<_> = all
        .iter()
        .map(|competition| competition.slug.as_str())
        .collect();
    assert_eq!(slugs, ["a", "b", "c"]);
    assert!(
        server
            .seen()
            .iter()
            .all(|seen| !seen.query.contains("category"))
    );

    let server = Server::start(|_, _| json(r#"[{"ref":"a"}]"#)).await;
    let kaggle = Kaggle::open(KaggleOptions {
        dialect: Dialect::Rest,
        ..options(&server)
    })
    .unwrap();
    let all = kaggle
        .list_competitions(&CompetitionFilter::default())
        .all()
        .await
        .unwrap();
    assert_eq!((all.len(), server.seen().len()), (1, 2));
}

#[tokio::test]
async fn a_list_without_an_end_is_noticed() {
    let circle =
        Server::start(|_, _| json(r#"{"datasets":[{"ref":"o/d"}],"nextPageToken":"again"}"#)).await;
    let filter = DatasetFilter::default();
    let error = kaggle(&circle)
        .list_datasets(&filter)
        .all()
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "endless_list");
    assert!(circle.seen().len() <= 2);
    let endless =
        Server::start(|index, _| json(&format!(r#"{{"nextPageToken":"{index}"}}"#))).await;
    let options = KaggleOptions {
        max_pages: 7,
        ..options(&endless)
    };
    let kaggle = Kaggle::open(options).unwrap();
    let error = kaggle.list_datasets(&filter).all().await.unwrap_err();
    assert_eq!((error.reason(), endless.seen().len()), ("endless_list", 7));
}

#[tokio::test]
async fn a_throttled_call_waits_at_least_as_long_as_asked_and_longer_when_that_was_too_little() {
    let server = Server::start(|index, _| match index {
        0..=2 => answer(
            429,
            &[("retry-after", "0")],
            r#"{"error":{"code":429,"message":"Too many requests","status":"RESOURCE_EXHAUSTED"}}"#,
        ),
        3 => answer(429, &[("retry-after", "1")], ""),
        _ => json(r#"{"numAllowedNow":5}"#),
    })
    .await;
    let start = Instant::now();
    let limits = kaggle(&server).submission_limits("titanic").await.unwrap();
    assert_eq!((limits.num_allowed_now, server.seen().len()), (5, 5));
    assert!(start.elapsed() >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_fault_that_stays_is_given_up_within_tries_and_patience() {
    let server = Server::start(|_, _| status(503, "later")).await;
    let error = kaggle(&server)
        .get_competition("titanic")
        .await
        .unwrap_err();
    assert!(matches!(error, KaggleError::Transient { tries: 6, .. }) && error.is_spurious());
    assert_eq!(server.seen().len(), 6);

    let busy = Server::start(|_, _| answer(429, &[("retry-after", "3600")], "")).await;
    let start = Instant::now();
    let error = kaggle(&busy).get_competition("titanic").await.unwrap_err();
    assert!(matches!(error, KaggleError::Throttled { tries: 1, .. }));
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn refusals_are_told_apart_and_not_repeated() {
    let server = Server::start(|_, seen| match seen.body["competitionName"].as_str().unwrap() {
        "rules" => status(403, r#"{"code":403,"message":"You must accept this competition\u0027s rules before you\u0027ll be able to download files."}"#),
        "joined" => status(403, r#"{"code":403,"message":"Permission 'competitions.participate' was denied"}"#),
        "team" => status(400, r#"{"code":400,"message":"You do not have a Team in this Competition."}"#),
        "none" => status(403, r#"{"code":403,"message":"Permission 'competitions.get' was denied"}"#),
        _ => status(401, &format!(r#"{{"error":{{"code":401,"message":"bad token {TOKEN}","status":"UNAUTHENTICATED"}}}}"#)),
    })
    .await;
    let kaggle = kaggle(&server);
    for (slug, reason, page) in [
        (
            "rules",
            "rules_not_accepted",
            Some("https://www.kaggle.com/competitions/rules/rules"),
        ),
        (
            "joined",
            "not_joined",
            Some("https://www.kaggle.com/competitions/joined"),
        ),
        (
            "team",
            "not_joined",
            Some("https://www.kaggle.com/competitions/team"),
        ),
        ("none", "gone", None),
        ("bad", "unauthenticated", None),
    ] {
        let error = kaggle.get_competition(slug).await.unwrap_err();
        assert_eq!(
            (error.reason(), error.page(), error.is_spurious()),
            (reason, page, false)
        );
        assert!(!format!("{error} {error:?}").contains(TOKEN));
    }
    assert_eq!(server.seen().len(), 5);
    assert!(!format!("{kaggle:?}").contains(TOKEN));
}

#[tokio::test]
async fn nobody_may_ask_for_datasets_and_is_told_what_to_do_before_anything_else() {
    let server =
        Server::start(|_, _| json(r#"{"ref":"o/d","licenseName":"CC0: Public Domain"}"#)).await;
    let anonymous = KaggleOptions {
        credentials: Credentials::Anonymous,
        ..options(&server)
    };
    let kaggle = Kaggle::open(anonymous).unwrap();
    let dataset = kaggle.get_dataset("o/d").await.unwrap();
    assert_eq!(
        synth_kaggle::spdx(&dataset.license_name.unwrap()),
        Some("CC0-1.0")
    );
    let error = kaggle.get_competition("titanic").await.unwrap_err();
    assert!(error.to_string().contains("KAGGLE_API_TOKEN") && error.stops_all());
    assert_eq!(server.seen().len(), 1);
    assert_eq!(server.seen()[0].header("authorization"), None);
}

#[tokio::test]
async fn an_unchanged_competition_costs_one_call_with_and_without_an_etag() {
    let server = Server::start(|_, seen| {
        if seen.header("if-none-match") == Some("\"v1\"") {
            return status(304, "");
        }
        answer(200, &[("etag", "\"v1\"")], r#"{"ref":"titanic"}"#)
    })
    .await;
    let kaggle_ = kaggle(&server);
    let Fetched::Changed(_, version) = kaggle_
        .get_competition_if_changed("titanic", &Version::default())
        .await
        .unwrap()
    else {
        panic!("it is new");
    };
    let again = kaggle_
        .get_competition_if_changed("titanic", &version)
        .await
        .unwrap();
    assert_eq!((again, server.seen().len()), (Fetched::Unchanged, 2));

    let plain = Server::start(|index, _| {
        json(&format!(
            r#"{{"ref":"titanic","kernelCount":{index},"teamCount":{}}}"#,
            index / 2
        ))
    })
    .await;
    let kaggle = kaggle(&plain);
    let Fetched::Changed(_, version) = kaggle
        .get_competition_if_changed("titanic", &Version::default())
        .await
        .unwrap()
    else {
        panic!("it is new");
    };
    assert_eq!(
        kaggle
            .get_competition_if_changed("titanic", &version)
            .await
            .unwrap(),
        Fetched::Unchanged
    );
    let third = kaggle
        .get_competition_if_changed("titanic", &version)
        .await
        .unwrap();
    assert!(matches!(third, Fetched::Changed(competition, _) if competition.team_count == 1));
}

#[tokio::test]
async fn a_redirect_to_another_host_is_not_followed_with_a_call() {
    let other = Server::start(|_, _| json(r#"{"ref":"titanic"}"#)).await;
    let elsewhere = other.url("/login");
    let server = Server::start(move |_, seen| match seen.path.as_str() {
        "/moved" => json(r#"{"ref":"titanic"}"#),
        path if path.ends_with("GetDataset") => answer(308, &[("location", "/moved")], ""),
        _ => answer(302, &[("location", &elsewhere)], ""),
    })
    .await;
    let kaggle = kaggle(&server);
    let error = kaggle.get_competition("titanic").await.unwrap_err();
    assert_eq!((error.reason(), other.seen().len()), ("refused", 0));
    // Within the host it is followed, as the same request.
    assert!(matches!(
        kaggle.get_dataset("o/d").await,
        Err(KaggleError::Decode { .. })
    ));
    assert_eq!(server.seen().last().unwrap().method, "POST");
}

#[tokio::test]
async fn answers_that_cannot_be_read_say_where() {
    let server = Server::start(|index, _| match index {
        0 => json("<html>"),
        1 => json(r#"{"competitions":[{"ref":"a"},{"ref":"b","deadline":"soon"}]}"#),
        2 => json(r#"{"competitions":{}}"#),
        3 => json(&"x".repeat(3_000)),
        _ => json(r#"{"errorMessage":"no such thing"}"#),
    })
    .await;
    let options = KaggleOptions {
        max_body_bytes: 2_000,
        ..options(&server)
    };
    let kaggle = Kaggle::open(options).unwrap();
    let list = async || {
        kaggle
            .list_competitions(&CompetitionFilter::default())
            .all()
            .await
            .unwrap_err()
    };
    let path = |error: KaggleError| match error {
        KaggleError::Decode {
            path,
            call: "ListCompetitions",
            ..
        } => path,
        other => other.reason().to_owned(),
    };
    assert_eq!(path(list().await), ".");
    assert_eq!(path(list().await), "competitions[1].deadline");
    assert_eq!(path(list().await), "competitions");
    assert_eq!(path(list().await), "too_large");
    assert_eq!(path(list().await), "refused");
}

#[test]
fn credentials_are_not_sent_in_the_clear_and_an_address_must_be_one() {
    let config = synth_core::config::load(&[]).unwrap();
    let open = |host: &str| {
        let credentials = Credentials::token(TOKEN, "a test").unwrap();
        let mut options = KaggleOptions::of(&config.kaggle, credentials);
        options.host = Some(host.to_owned());
        options.patience = Patience {
            tries: 1,
            ..options.patience
        };
        Kaggle::open(options)
    };
    for host in ["http://example.org", "example.org", "ftp://example.org", ""] {
        assert!(
            matches!(open(host), Err(KaggleError::Configuration { .. })),
            "{host}"
        );
    }
    assert!(
        open("https://example.org").is_ok()
            && open("http://localhost:1").is_ok()
            && open("http://[::1]:1").is_ok()
    );
}
