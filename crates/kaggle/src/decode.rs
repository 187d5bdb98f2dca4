//! Reads every dialect of Kaggle's JSON: absent, null or default; numbers as strings; `xNullable` beside `x` and `hasX`.

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer, Error as _};
use serde_json::{Map, Value};

use crate::KaggleError;

/// Reads one object, whatever dialect it is in.
pub(crate) fn object<T: DeserializeOwned>(
    call: &'static str,
    value: Value,
) -> Result<T, KaggleError> {
    typed(call, "", normalised(value))
}

/// Parses a body. An empty one is an object with all its fields at their defaults.
pub(crate) fn parse(call: &'static str, body: &[u8]) -> Result<Value, KaggleError> {
    let body = body.strip_prefix("\u{feff}".as_bytes()).unwrap_or(body);
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(Value::Object(Map::new()));
    }
    serde_json::from_slice(body).map_err(|error| {
        let start: String = String::from_utf8_lossy(&body[..body.len().min(60)])
            .chars()
            .filter(|letter| !letter.is_control())
            .collect();
        KaggleError::Decode {
            call,
            path: ".".to_owned(),
            message: format!("{error}; it begins with `{start}`"),
        }
    })
}

/// One page of a list.
#[derive(Debug)]
pub(crate) struct ListPage<T> {
    pub(crate) items: Vec<T>,
    /// Where the next page begins, if the answer says so.
    pub(crate) next: Option<String>,
    /// Whether the answer is a bare array, whose pages are asked for by number.
    pub(crate) is_bare: bool,
}

/// Reads a list: a bare array, or an object that holds it under `key`.
pub(crate) fn list<T: DeserializeOwned>(
    call: &'static str,
    key: &str,
    value: Value,
) -> Result<ListPage<T>, KaggleError> {
    let wrong = |path: &str, value: &Value| KaggleError::Decode {
        call,
        path: path.to_owned(),
        message: format!("a list was expected, not {}", kind(value)),
    };
    let (items, next, is_bare) = match normalised(value) {
        Value::Array(items) => (items, None, true),
        Value::Object(mut object) => {
            let next = match object.remove("nextPageToken") {
                None => None,
                Some(Value::String(token)) => Some(token),
                Some(Value::Number(token)) => Some(token.to_string()),
                Some(other) => return Err(wrong("nextPageToken", &other)),
            };
            let items = match object.remove(key) {
                None => Vec::new(),
                Some(Value::Array(items)) => items,
                Some(other) => return Err(wrong(key, &other)),
            };
            // Some answers say what is wrong in a body that is otherwise empty.
            if items.is_empty()
                && let Some(Value::String(message)) = object.remove("errorMessage")
                && !message.trim().is_empty()
            {
                return Err(KaggleError::Refused {
                    call,
                    status: 200,
                    message: message.chars().take(300).collect(),
                });
            }
            (items, next.filter(|token| !token.is_empty()), false)
        }
        Value::Null => (Vec::new(), None, false),
        other => return Err(wrong(".", &other)),
    };
    let items = items
        .into_iter()
        .enumerate()
        .map(|(index, item)| typed(call, &format!("{key}[{index}]"), item))
        .collect::<Result<_, _>>()?;
    Ok(ListPage {
        items,
        next,
        is_bare,
    })
}

fn typed<T: DeserializeOwned>(
    call: &'static str,
    prefix: &str,
    value: Value,
) -> Result<T, KaggleError> {
    if !value.is_object() {
        return Err(KaggleError::Decode {
            call,
            path: if prefix.is_empty() { "." } else { prefix }.to_owned(),
            message: format!("an object was expected, not {}", kind(&value)),
        });
    }
    serde_path_to_error::deserialize(value).map_err(|error| {
        let path = error.path().to_string();
        let path = match (prefix.is_empty(), path == ".") {
            (true, _) => path,
            (false, true) => prefix.to_owned(),
            (false, false) => format!("{prefix}.{path}"),
        };
        KaggleError::Decode {
            call,
            path,
            message: error.into_inner().to_string(),
        }
    })
}

/// The value in one dialect: no nulls, no `xNullable`, no `hasX` that speaks of an `x` which is there.
fn normalised(value: Value) -> Value {
    match value {
        Value::Array(items) => items
            .into_iter()
            .filter(|item| !item.is_null())
            .map(normalised)
            .collect(),
        Value::Object(fields) => {
            let mut plain = Map::new();
            let (mut nullable, mut absent) = (Vec::new(), Vec::new());
            for (key, value) in fields {
                if value.is_null() {
                    continue;
                }
                let value = normalised(value);
                if let Some(base) = key.strip_suffix("Nullable")
                    && !base.is_empty()
                {
                    nullable.push((base.to_owned(), value));
                    continue;
                }
                if value == Value::Bool(false)
                    && let Some(base) = said_to_be(&key)
                {
                    absent.push(base);
                }
                plain.insert(key, value);
            }
            for base in absent {
                plain.remove(&base);
            }
            plain.extend(nullable);
            Value::Object(plain)
        }
        other => other,
    }
}

/// The field that `hasField` speaks of. `hasLeaderboard` with no `leaderboard` beside it is a field like any other.
fn said_to_be(key: &str) -> Option<String> {
    let rest = key.strip_prefix("has")?;
    let first = rest.chars().next().filter(char::is_ascii_uppercase)?;
    Some(format!("{}{}", first.to_ascii_lowercase(), &rest[1..]))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// A count or an id: a number or a string; 0 where it is absent, empty or below 0.
pub(crate) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Ok(some_count(deserializer)?.unwrap_or(0))
}

/// A count that may be unknown: absent, empty or below 0.
pub(crate) fn some_count<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<u64>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let not_whole =
        || D::Error::custom(format!("a whole number was expected, not {}", kind(&value)));
    match &value {
        Value::Null => Ok(None),
        Value::Number(number) => match (number.as_u64(), number.as_i64(), number.as_f64()) {
            (Some(number), _, _) => Ok(Some(number)),
            (None, Some(_), _) => Ok(None),
            (None, None, Some(number)) if number < 0.0 => Ok(None),
            // 2^64 is the first that does not fit.
            (None, None, Some(number))
                if number.fract() == 0.0 && number < 18_446_744_073_709_551_616.0 =>
            {
                Ok(Some(number as u64))
            }
            _ => Err(not_whole()),
        },
        Value::String(text) => match text.trim() {
            "" => Ok(None),
            text => match text.parse::<i128>() {
                Ok(number) if number < 0 => Ok(None),
                Ok(number) => u64::try_from(number).map(Some).map_err(|_| not_whole()),
                Err(_) => Err(not_whole()),
            },
        },
        _ => Err(not_whole()),
    }
}

/// A number: a number or a string; none where it is absent or empty.
pub(crate) fn some_number<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<f64>, D::Error> {
    let value = Value::deserialize(deserializer)?;
    let wrong = || D::Error::custom(format!("a number was expected, not {}", kind(&value)));
    match &value {
        Value::Null => Ok(None),
        Value::Number(number) => Ok(number.as_f64()),
        Value::String(text) if text.trim().is_empty() => Ok(None),
        Value::String(text) => text.trim().parse().map(Some).map_err(|_| wrong()),
        _ => Err(wrong()),
    }
}

/// A truth value, also as text or number; false where it is absent.
pub(crate) fn flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let value = Value::deserialize(deserializer)?;
    match &value {
        Value::Null => Ok(false),
        Value::Bool(flag) => Ok(*flag),
        Value::Number(number) => Ok(number.as_f64().is_some_and(|number| number != 0.0)),
        Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "1" => Ok(true),
            "false" | "0" | "" => Ok(false),
            _ => Err(D::Error::custom("true or false was expected")),
        },
        _ => Err(D::Error::custom(format!(
            "true or false was expected, not {}",
            kind(&value)
        ))),
    }
}

/// A text, also written as a number; empty where it is absent.
pub(crate) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(some_text(deserializer)?.unwrap_or_default())
}

/// A text that may be absent; an empty one is.
pub(crate) fn some_text<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    let text = match Value::deserialize(deserializer)? {
        Value::Null => return Ok(None),
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        other => {
            let message = format!("a text was expected, not {}", kind(&other));
            return Err(D::Error::custom(message));
        }
    };
    Ok((!text.is_empty()).then_some(text))
}

/// The last part of a `ref`, which is a full address now and was a bare name once.
pub(crate) fn slug<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = text(deserializer)?;
    Ok(last_segments(&text, 1))
}

/// `owner/name` of a dataset's `ref`.
pub(crate) fn dataset_ref<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let text = text(deserializer)?;
    Ok(last_segments(&text, 2))
}

/// The last so many parts of the path of an address.
pub(crate) fn last_segments(address: &str, parts: usize) -> String {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    let path = path.split_once("://").map_or(path, |(_, rest)| {
        rest.split_once('/').map_or("", |(_, path)| path)
    });
    let segments: Vec<&str> = path.split('/').filter(|part| !part.is_empty()).collect();
    segments[segments.len().saturating_sub(parts)..].join("/")
}

/// A time with 0 to 9 fractional digits, with or without a zone; none where it is absent, empty or the year 1.
pub(crate) fn some_time<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Timestamp>, D::Error> {
    let Some(text) = some_text(deserializer)? else {
        return Ok(None);
    };
    time(&text).map_err(D::Error::custom)
}

/// Reads a time; see [`some_time`].
pub(crate) fn time(text: &str) -> Result<Option<Timestamp>, String> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let time = match text.parse::<Timestamp>() {
        Ok(time) => time,
        Err(_) => text
            .parse::<DateTime>()
            .and_then(|time| time.to_zoned(TimeZone::UTC))
            .map_err(|_| "a date and time was expected".to_owned())?
            .timestamp(),
    };
    // The zero of the service's own date type stands for none.
    let is_none = time.to_zoned(TimeZone::UTC).year() <= 1;
    Ok((!is_none).then_some(time))
}

#[cfg(test)]
#[expect(clippy::print_stderr, reason = "a test that is skipped says why")]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::{
        Competition, Dataset, DatasetMetadata, FilesSummary, LeaderboardRow, Page, PageKind,
        RemoteFile, Submission, SubmissionLimits, SubmissionState,
    };

    fn competition(value: Value) -> Competition {
        object("GetCompetition", value).unwrap()
    }

    #[test]
    fn the_old_the_new_and_the_rpc_dialect_say_the_same() {
        let old = json!({
            "ref": "some-contest", "id": 5, "title": "Some contest", "deadline": "2020-06-04T00:39:03.6648627Z",
            "maxTeamSize": null, "userRank": null, "teamCount": 0, "evaluationMetric": "AUC", "isKernelsSubmissionsOnly": true,
            "tags": [{"ref": "gan", "name": "gan", "fullPath": "technique > gan", "description": null}]
        });
        let new = json!({
            "ref": "https://www.kaggle.com/competitions/some-contest", "id": 5, "titleNullable": "Some contest",
            "title": "Some contest", "hasTitle": true, "deadline": "2020-06-04T00:39:03.6648627Z", "maxTeamSize": 0,
            "hasMaxTeamSize": false, "evaluationMetricNullable": "AUC", "evaluationMetric": "AUC",
            "hasEvaluationMetric": true, "isKernelsSubmissionsOnly": true, "url": "", "hasUrl": false,
            "tags": [{"ref": "gan", "nameNullable": "gan", "name": "gan", "hasName": true, "fullPathNullable": "technique > gan"}]
        });
        let rpc = json!({
            "ref": "https://www.kaggle.com/competitions/some-contest/", "id": "5", "title": "Some contest",
            "deadline": "2020-06-04T00:39:03.6648627", "evaluationMetric": "AUC", "isKernelsSubmissionsOnly": true,
            "tags": [{"ref": "gan", "name": "gan", "fullPath": "technique > gan"}]
        });
        let read = competition(old);
        assert_eq!(read.slug, "some-contest");
        assert_eq!(read.max_team_size, None);
        assert_eq!(competition(new), read);
        assert_eq!(competition(rpc), read);
        // And what was read is written and read again the same.
        assert_eq!(competition(serde_json::to_value(&read).unwrap()), read);
    }

    #[test]
    fn dates_have_any_number_of_digits_and_the_zero_date_is_none() {
        let read = |text: &str| time(text).unwrap().map(|time| time.to_string());
        assert_eq!(
            read("2020-06-04T00:39:03Z").unwrap(),
            "2020-06-04T00:39:03Z"
        );
        for digits in 1..=7 {
            let text = format!("2020-06-04T00:39:03.{}Z", &"6648627"[..digits]);
            assert_eq!(read(&text).unwrap(), text);
        }
        assert_eq!(read("2020-06-04 00:39:03").unwrap(), "2020-06-04T00:39:03Z");
        assert_eq!(
            read("2020-06-04T02:39:03+02:00").unwrap(),
            "2020-06-04T00:39:03Z"
        );
        for none in ["", " ", "0001-01-01T00:00:00", "0001-01-01T00:00:00Z"] {
            assert_eq!(read(none), None, "{none:?}");
        }
        assert!(time("soon").is_err());
    }

    #[test]
    fn whole_numbers_are_read_from_numbers_and_strings() {
        let bytes = |value: Value| -> Result<RemoteFile, KaggleError> {
            object("ListDataFiles", json!({ "totalBytes": value }))
        };
        for (value, expected) in [
            (json!(7), 7),
            (json!("9007199254740993"), 9_007_199_254_740_993),
            (json!(u64::MAX), u64::MAX),
            (json!(7.0), 7),
            (json!(""), 0),
            (Value::Null, 0),
            (json!(-1), 0),
            (json!("-1"), 0),
        ] {
            assert_eq!(
                bytes(value.clone()).unwrap().total_bytes,
                expected,
                "{value}"
            );
        }
        for value in [
            json!("7.5"),
            json!(7.5),
            json!("many"),
            json!([]),
            json!({}),
            json!(true),
            json!(1e40),
        ] {
            let error = bytes(value.clone()).unwrap_err();
            assert!(
                matches!(&error, KaggleError::Decode { path, .. } if path == "totalBytes"),
                "{value}: {error}"
            );
        }
    }

    #[test]
    fn a_has_field_without_its_field_is_a_field() {
        assert_eq!(
            normalised(
                json!({"hasLeaderboard": false, "hasX": false, "x": 1, "xs": [null, {"yNullable": 2}], "Nullable": 3})
            ),
            json!({"hasLeaderboard": false, "hasX": false, "xs": [{"y": 2}], "Nullable": 3})
        );
    }

    #[test]
    fn refs_are_cut_to_their_last_parts() {
        assert_eq!(
            last_segments("https://www.kaggle.com/datasets/o/d?x=1#y", 2),
            "o/d"
        );
        assert_eq!(last_segments("https://www.kaggle.com", 1), "");
        assert_eq!(last_segments("o/d", 2), "o/d");
        assert_eq!(last_segments("", 1), "");
    }

    #[test]
    fn pages_are_known_by_their_name_in_any_case_and_submissions_by_their_state() {
        let kind = |name: &str| {
            let page: Page = object("p", json!({ "name": name })).unwrap();
            page.kind()
        };
        assert_eq!(kind("Evaluation"), PageKind::Evaluation);
        assert_eq!(kind("rules"), PageKind::Rules);
        for name in ["data-description", "Data Description", "DATA_DESCRIPTION"] {
            assert_eq!(kind(name), PageKind::Data);
        }
        assert_eq!(kind("Overview"), PageKind::Description);
        assert_eq!(kind("Acknowledgements"), PageKind::Other);
        let state = |value: Value| {
            let submission: Submission = object("s", value).unwrap();
            submission.state()
        };
        assert_eq!(state(json!({})), SubmissionState::Pending);
        assert_eq!(
            state(json!({"status": "COMPLETE"})),
            SubmissionState::Complete
        );
        assert_eq!(state(json!({"status": 2})), SubmissionState::Failed);
    }

    #[test]
    fn recorded_answers_are_read() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../../shared/specs/kaggle/samples");
        if !folder.is_dir() {
            assert!(
                std::env::var_os("SYNTH_REQUIRE_SHARED").is_none(),
                "`{}` is not there and SYNTH_REQUIRE_SHARED is set",
                folder.display()
            );
            eprintln!("skipped: `{}` is not there", folder.display());
            return;
        }
        let body = |name: &str| {
            let body = std::fs::read(folder.join(name)).unwrap();
            parse("call", &body).unwrap()
        };
        let competitions = list::<Competition>(
            "call",
            "competitions",
            body("rest_v1_2021_competitions_list.json"),
        )
        .unwrap();
        assert!(competitions.is_bare && competitions.items.len() == 3);
        assert!(
            competitions
                .items
                .iter()
                .all(|item| item.deadline.is_some() && !item.slug.is_empty())
        );
        let files = list::<RemoteFile>(
            "call",
            "files",
            body("rest_v1_2021_competition_data_list.json"),
        )
        .unwrap();
        assert!(
            files
                .items
                .iter()
                .all(|file| file.total_bytes > 0 && file.creation_date.is_some())
        );
        let datasets =
            list::<Dataset>("call", "datasets", body("rest_v1_2021_datasets_list.json")).unwrap();
        assert!(
            datasets
                .items
                .iter()
                .all(|dataset| dataset.owner_and_name().is_some())
        );
        let licences: Vec<_> = datasets
            .items
            .iter()
            .filter_map(|dataset| crate::spdx(dataset.license_name.as_deref()?))
            .collect();
        assert!(licences.contains(&"CC0-1.0") && licences.contains(&"CC-BY-4.0"));
        let files = list::<RemoteFile>(
            "call",
            "datasetFiles",
            body("rest_v1_2021_dataset_files_list.json"),
        )
        .unwrap();
        assert_eq!((files.items.len(), files.items[0].columns.len()), (3, 16));
        let dataset: Dataset =
            object("call", body("rest_v1_recent_datasets_view_TRUNCATED.json")).unwrap();
        assert_eq!(dataset.current_version_number, Some(1));
        assert_eq!(dataset.url, None);
    }

    /// Any JSON, with the names that matter among its keys.
    fn any_json() -> impl Strategy<Value = Value> {
        let key = prop_oneof![
            prop::sample::select(vec![
                "ref",
                "id",
                "deadline",
                "tags",
                "totalBytes",
                "files",
                "columns",
                "licenses",
                "keywords",
                "hasTitle",
                "title",
                "titleNullable",
                "usabilityRating",
                "nextPageToken",
                "competitions",
                "fileTypes",
                "isPrivate",
            ])
            .prop_map(str::to_owned),
            "[a-zA-Z]{0,6}(Nullable)?",
        ];
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "\\PC{0,12}".prop_map(Value::from),
            "[0-9]{4}-[01][0-9]-[0-3][0-9]T[0-9:.]{0,16}Z?".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 40, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(key.clone(), inner, 0..8)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_json_is_read_or_refused(value in any_json()) {
            let competition = object::<Competition>("call", value.clone());
            if let Ok(competition) = competition {
                let again = serde_json::to_value(&competition).unwrap();
                prop_assert_eq!(object::<Competition>("call", again).unwrap(), competition);
            }
            let _ = object::<Dataset>("call", value.clone());
            let _ = object::<DatasetMetadata>("call", value.clone()).map(|metadata| metadata.licence());
            let _ = object::<FilesSummary>("call", value.clone()).map(|summary| summary.total_bytes());
            let _ = object::<LeaderboardRow>("call", value.clone());
            let _ = object::<SubmissionLimits>("call", value.clone());
            let _ = object::<Submission>("call", value.clone()).map(|submission| submission.state());
            let _ = list::<Competition>("call", "competitions", value.clone());
            let _ = list::<Page>("call", "files", value);
        }

        #[test]
        fn any_bytes_are_parsed_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse("call", &bytes);
        }

        #[test]
        fn any_text_is_a_time_or_refused(text in "\\PC{0,30}") {
            let _ = time(&text);
        }
    }
}
