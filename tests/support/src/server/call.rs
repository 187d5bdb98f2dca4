//! A call read from either form: `POST …/<service>/<Method>` with JSON, or a REST path with a query.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// A call by the name of its RPC method, whichever form it came in.
#[derive(Clone, Debug)]
pub(super) struct Call {
    pub route: String,
    pub slug: String,
    pub is_rest: bool,
    arguments: Map<String, Value>,
}

const COMPETITIONS: &str = "competitions.CompetitionApiService";
const DATASETS: &str = "datasets.DatasetApiService";
const OAUTH: &str = "security.OAuthService";

impl Call {
    /// The call of a request; `None` where no such route is.
    pub(super) fn read(method: &str, path: &str, query: &str, body: &[u8]) -> Option<Self> {
        let segments: Vec<String> = path
            .split('/')
            .filter(|part| !part.is_empty())
            .map(unescape)
            .collect();
        let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
        match (method, segments.as_slice()) {
            (
                "POST",
                [
                    "api",
                    "v1",
                    service @ (COMPETITIONS | DATASETS | OAUTH),
                    route,
                ]
                | ["v1", service @ (COMPETITIONS | DATASETS | OAUTH), route],
            ) => {
                let arguments = serde_json::from_slice(body).unwrap_or_default();
                Some(Self::rpc(service, route, arguments))
            }
            ("GET", ["api", "v1", rest @ ..]) => Self::rest(rest, query),
            _ => None,
        }
    }

    fn rpc(service: &str, route: &str, arguments: Map<String, Value>) -> Self {
        let text = |name: &str| {
            arguments
                .get(name)
                .and_then(Value::as_str)
                .unwrap_or_default()
        };
        let slug = if service == COMPETITIONS {
            text("competitionName").to_owned()
        } else {
            match (text("ownerSlug"), text("datasetSlug")) {
                ("", "") => String::new(),
                (owner, dataset) => format!("{owner}/{dataset}"),
            }
        };
        Self {
            route: route.to_owned(),
            slug,
            is_rest: false,
            arguments,
        }
    }

    fn rest(path: &[&str], query: &str) -> Option<Self> {
        let (service, route, named): (_, _, Vec<(&str, String)>) = match path {
            ["competitions", "list"] => (COMPETITIONS, "ListCompetitions", vec![]),
            ["competitions", "get", slug] => (COMPETITIONS, "GetCompetition", competition(slug)),
            ["competitions", "data", "list", slug] => {
                (COMPETITIONS, "ListDataFiles", competition(slug))
            }
            ["competitions", "data", "summary", slug] => (
                COMPETITIONS,
                "GetCompetitionDataFilesSummary",
                competition(slug),
            ),
            ["competitions", "data", "download-all", slug] => {
                (COMPETITIONS, "DownloadDataFiles", competition(slug))
            }
            ["competitions", "data", "download", slug, file @ ..] if !file.is_empty() => {
                let mut named = competition(slug);
                named.push(("fileName", file.join("/")));
                (COMPETITIONS, "DownloadDataFile", named)
            }
            ["competitions", "submissions", "list", slug] => {
                (COMPETITIONS, "ListSubmissions", competition(slug))
            }
            ["competitions", slug, "leaderboard", "view"] => {
                (COMPETITIONS, "GetLeaderboard", competition(slug))
            }
            ["competitions", slug, "leaderboard", "download"] => {
                (COMPETITIONS, "DownloadLeaderboard", competition(slug))
            }
            ["competitions", slug, "pages"] => {
                (COMPETITIONS, "ListCompetitionPages", competition(slug))
            }
            ["competitions", slug, "submissions", "limits"] => {
                (COMPETITIONS, "GetSubmissionLimits", competition(slug))
            }
            ["datasets", "list"] => (DATASETS, "ListDatasets", vec![]),
            ["datasets", "view", owner, slug] => (DATASETS, "GetDataset", dataset(owner, slug)),
            ["datasets", "list", owner, slug] => {
                (DATASETS, "ListDatasetFiles", dataset(owner, slug))
            }
            ["datasets", "metadata", owner, slug] => {
                (DATASETS, "GetDatasetMetadata", dataset(owner, slug))
            }
            ["datasets", "files", "summary", owner, slug] => {
                (DATASETS, "GetDatasetFilesSummary", dataset(owner, slug))
            }
            ["datasets", "download", owner, slug] => {
                (DATASETS, "DownloadDataset", dataset(owner, slug))
            }
            ["datasets", "download", owner, slug, file @ ..] => {
                let mut named = dataset(owner, slug);
                named.push(("fileName", file.join("/")));
                (DATASETS, "DownloadDataset", named)
            }
            ["datasets", "download-raw", owner, slug, file @ ..] if !file.is_empty() => {
                let mut named = dataset(owner, slug);
                named.push(("fileName", file.join("/")));
                (DATASETS, "DownloadDatasetRaw", named)
            }
            _ => return None,
        };
        let mut arguments: Map<String, Value> = query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| {
                (
                    unescape(name),
                    Value::String(unescape(&value.replace('+', " "))),
                )
            })
            .collect();
        arguments.extend(
            named
                .into_iter()
                .map(|(name, value)| (name.to_owned(), Value::String(value))),
        );
        let mut call = Self::rpc(service, route, arguments);
        call.is_rest = true;
        Some(call)
    }

    /// An argument that is there and not empty; enums come as their names.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.arguments
            .get(name)?
            .as_str()
            .filter(|text| !text.is_empty())
    }

    /// A number, which may come as text.
    pub(super) fn number(&self, name: &str) -> Option<i64> {
        let value = self.arguments.get(name)?;
        value.as_i64().or_else(|| value.as_str()?.parse().ok())
    }

    /// A truth value, which may come as text.
    pub(super) fn flag(&self, name: &str) -> Option<bool> {
        let value = self.arguments.get(name)?;
        value.as_bool().or_else(|| value.as_str()?.parse().ok())
    }
}

fn competition(slug: &str) -> Vec<(&'static str, String)> {
    vec![("competitionName", slug.to_owned())]
}

fn dataset(owner: &str, slug: &str) -> Vec<(&'static str, String)> {
    vec![
        ("ownerSlug", owner.to_owned()),
        ("datasetSlug", slug.to_owned()),
    ]
}

/// Percent signs undone; what is no escape stays.
pub(super) fn unescape(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut place = 0;
    while place < bytes.len() {
        let escaped = bytes
            .get(place + 1..place + 3)
            .filter(|_| bytes[place] == b'%')
            .and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        plain.push(escaped.unwrap_or(bytes[place]));
        place += if escaped.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// Text for a part of an address, with percent signs.
pub(super) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            let _ = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_name_the_same_call() {
        let rpc = Call::read(
            "POST",
            "/api/v1/competitions.CompetitionApiService/ListDataFiles",
            "",
            br#"{"competitionName": "shells", "pageSize": 7}"#,
        )
        .unwrap();
        let rest = Call::read(
            "GET",
            "/api/v1/competitions/data/list/shells",
            "pageSize=7",
            b"",
        )
        .unwrap();
        for call in [rpc, rest] {
            assert_eq!(
                (call.route.as_str(), call.slug.as_str()),
                ("ListDataFiles", "shells")
            );
            assert_eq!(call.number("pageSize"), Some(7));
        }
    }

    #[test]
    fn names_of_files_keep_their_folders_and_odd_letters() {
        let call = Call::read(
            "GET",
            "/api/v1/competitions/data/download/shells/a%20b/c%C3%A9.csv",
            "",
            b"",
        )
        .unwrap();
        assert_eq!(call.text("fileName"), Some("a b/cé.csv"));
        assert_eq!(unescape(&escape("a b/cé%.csv")), "a b/cé%.csv");
    }
}
