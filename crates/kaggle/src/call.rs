//! A call in both wire forms: RPC posts its fields as JSON, REST puts them into the path and the query.

use reqwest::{Method, Url};
use serde_json::{Map, Value};

use crate::KaggleError;

pub(crate) const COMPETITIONS: &str = "competitions.CompetitionApiService";
pub(crate) const DATASETS: &str = "datasets.DatasetApiService";

/// No slug is longer.
const MAX_SLUG_BYTES: usize = 200;
const MAX_PATH_BYTES: usize = 2_000;

/// One call: its name, its fields, and the two places where it is served.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) name: &'static str,
    service: &'static str,
    rest: (Method, &'static str),
    pub(crate) fields: Map<String, Value>,
    /// What is asked about, for messages.
    pub(crate) what: String,
    /// Whether it is a competition that is asked about, and which.
    pub(crate) competition: Option<String>,
    /// Whether nobody in particular may ask.
    pub(crate) is_open: bool,
}

impl Call {
    /// A call about competitions; `path` is the REST one, with fields in braces.
    pub(crate) fn competitions(name: &'static str, method: Method, path: &'static str) -> Self {
        Self {
            name,
            service: COMPETITIONS,
            rest: (method, path),
            fields: Map::new(),
            what: "competitions".to_owned(),
            competition: None,
            is_open: false,
        }
    }

    /// A call about datasets, which nobody in particular may make.
    pub(crate) fn datasets(name: &'static str, path: &'static str) -> Self {
        Self {
            service: DATASETS,
            what: "datasets".to_owned(),
            is_open: true,
            ..Self::competitions(name, Method::GET, path)
        }
    }

    /// About this competition.
    pub(crate) fn about(mut self, slug: &str) -> Result<Self, KaggleError> {
        check_slug(slug)?;
        slug.clone_into(&mut self.what);
        self.competition = Some(slug.to_owned());
        Ok(self.field("competitionName", slug))
    }

    /// About this dataset, `owner/name`.
    pub(crate) fn about_dataset(mut self, dataset: &str) -> Result<Self, KaggleError> {
        let (owner, name) = dataset.split_once('/').ok_or_else(|| bad_name(dataset))?;
        check_slug(owner)?;
        check_slug(name)?;
        dataset.clone_into(&mut self.what);
        Ok(self.field("ownerSlug", owner).field("datasetSlug", name))
    }

    pub(crate) fn field(mut self, key: &str, value: impl Into<Value>) -> Self {
        self.fields.insert(key.to_owned(), value.into());
        self
    }

    /// The field, if there is a value for it.
    pub(crate) fn maybe(self, key: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.field(key, value),
            None => self,
        }
    }

    /// The name of a file, which is a path of the service's own making.
    pub(crate) fn file(mut self, path: &str) -> Result<Self, KaggleError> {
        let is_path = !path.is_empty()
            && path.len() <= MAX_PATH_BYTES
            && !path.contains(|letter: char| letter.is_control());
        if !is_path {
            return Err(bad_name(path));
        }
        self.what = format!("{}/{path}", self.what);
        Ok(self.field("fileName", path))
    }

    /// Where and how RPC serves it.
    pub(crate) fn rpc(&self, base: &Url) -> (Method, Url, Option<Value>) {
        let url = extended(base, [self.service, self.name]);
        (Method::POST, url, Some(Value::Object(self.fields.clone())))
    }

    /// Where and how REST serves it.
    pub(crate) fn rest(&self, base: &Url) -> (Method, Url, Option<Value>) {
        let (method, template) = &self.rest;
        let mut left = self.fields.clone();
        let segments: Vec<String> = template
            .split('/')
            .map(|part| {
                match part
                    .strip_prefix('{')
                    .and_then(|part| part.strip_suffix('}'))
                {
                    Some(key) => plain(&left.remove(key).unwrap_or_default()),
                    None => part.to_owned(),
                }
            })
            .collect();
        let mut url = extended(base, segments.iter().map(String::as_str));
        if *method != Method::GET {
            return (method.clone(), url, Some(Value::Object(left)));
        }
        if !left.is_empty() {
            url.query_pairs_mut()
                .extend_pairs(left.iter().map(|(key, value)| (key, plain(value))));
        }
        (method.clone(), url, None)
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}

fn extended<'a>(base: &Url, segments: impl IntoIterator<Item = &'a str>) -> Url {
    let mut url = base.clone();
    // Only addresses such as `mailto:` have no path; the base has been checked to have one.
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// Names come from dumps, lists and files of the user's; what cannot be one is not sent anywhere.
fn check_slug(slug: &str) -> Result<(), KaggleError> {
    let is_slug = !slug.is_empty()
        && slug.len() <= MAX_SLUG_BYTES
        && slug.chars().any(|letter| letter.is_ascii_alphanumeric())
        && slug
            .chars()
            .all(|letter| letter.is_ascii_alphanumeric() || "-_.".contains(letter));
    if is_slug { Ok(()) } else { Err(bad_name(slug)) }
}

fn bad_name(name: &str) -> KaggleError {
    let name = name
        .chars()
        .filter(|letter| !letter.is_control())
        .take(80)
        .collect();
    KaggleError::BadName { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_written_in_both_wire_forms() {
        let base = Url::parse("https://kaggle.test/api/v1").unwrap();
        let call = Call::competitions(
            "DownloadDataFile",
            Method::GET,
            "competitions/data/download/{competitionName}/{fileName}",
        )
        .about("titanic")
        .unwrap()
        .file("a b/../c#?.csv")
        .unwrap()
        .field("pageSize", 3);
        let (method, url, body) = call.rpc(&base);
        assert_eq!(method, Method::POST);
        assert_eq!(
            url.path(),
            "/api/v1/competitions.CompetitionApiService/DownloadDataFile"
        );
        assert_eq!(body.unwrap()["fileName"], "a b/../c#?.csv");
        let (method, url, body) = call.rest(&base);
        assert_eq!((method, body), (Method::GET, None));
        assert_eq!(
            url.as_str(),
            "https://kaggle.test/api/v1/competitions/data/download/titanic/a%20b%2F..%2Fc%23%3F.csv?pageSize=3"
        );
    }

    #[test]
    fn what_cannot_be_a_name_is_not_sent() {
        let call = || Call::competitions("GetCompetition", Method::GET, "x/{competitionName}");
        for name in ["", "..", "a/b", "a b", "a\n", "ü", &"a".repeat(201)] {
            let result = call().about(name);
            assert!(
                matches!(result, Err(KaggleError::BadName { .. })),
                "{name:?}"
            );
        }
        assert!(call().about("the-icml-2013_x.y").is_ok());
        let dataset = || Call::datasets("GetDataset", "x");
        for name in ["only", "a/b/c", "/b", "a/"] {
            assert!(dataset().about_dataset(name).is_err(), "{name:?}");
        }
    }
}
