//! Submissions: handing in a file, and what became of it.

use std::path::Path;
use std::time::UNIX_EPOCH;

use reqwest::header::{CONTENT_LENGTH, HeaderMap};
use reqwest::{Body, Method, Url};
use serde::Deserialize;

use crate::call::Call;
use crate::client::{error_body, passing};
use crate::decode::{count, text};
use crate::fault::Fault;
use crate::tries::Tries;
use crate::{Kaggle, KaggleError, Pager, Submission, decode};

/// Submissions are tables; what is larger is refused before anything is sent.
const MAX_SUBMISSION_BYTES: u64 = 1 << 30;

impl Kaggle {
    /// Hands in a file, and gives the submission's number. It counts against the daily limit.
    pub async fn submit(
        &self,
        slug: &str,
        file: &Path,
        description: &str,
    ) -> Result<u64, KaggleError> {
        let failed = |error| KaggleError::io(file, error);
        let metadata = std::fs::metadata(file).map_err(failed)?;
        if metadata.len() > MAX_SUBMISSION_BYTES {
            return Err(KaggleError::TooLarge {
                what: file.display().to_string(),
                bytes: metadata.len(),
                max: MAX_SUBMISSION_BYTES,
            });
        }
        let content = tokio::fs::read(file).await.map_err(failed)?;
        let modified = metadata
            .modified()
            .ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .map_or(0, |since| since.as_secs());
        let name = file
            .file_name()
            .and_then(|name| name.to_str())
            .unwrap_or("submission.csv");
        let start = Call::competitions(
            "StartSubmissionUpload",
            Method::POST,
            "competitions/submission-url",
        )
        .about(slug)?
        .field("contentLength", content.len())
        .field("lastModifiedEpochSeconds", modified)
        .field("fileName", name);
        let (_, value) = self.json(&start, &HeaderMap::new()).await?;
        let upload: Upload = decode::object(start.name, value)?;
        let url = Url::parse(&upload.create_url).map_err(|_| KaggleError::Decode {
            call: start.name,
            path: "createUrl".to_owned(),
            message: "an address was expected".to_owned(),
        })?;
        self.put(&start, &url, content).await?;
        let path = "competitions/submissions/submit/{competitionName}";
        let create = Call::competitions("CreateSubmission", Method::POST, path)
            .about(slug)?
            .field("blobFileTokens", upload.token)
            .field("submissionDescription", description);
        let (_, value) = self.json(&create, &HeaderMap::new()).await?;
        let created: Created = decode::object(create.name, value)?;
        Ok(created.id)
    }

    /// The submissions of whoever asks.
    pub fn list_submissions(&self, slug: &str) -> Result<Pager<'_, Submission>, KaggleError> {
        let path = "competitions/submissions/list/{competitionName}";
        let call = Call::competitions("ListSubmissions", Method::GET, path).about(slug)?;
        Ok(Pager::new(self, call, "submissions"))
    }

    /// A submission by its number.
    pub async fn get_submission(&self, id: u64) -> Result<Submission, KaggleError> {
        let path = "competitions/submissions/get/{ref}";
        let call = Call::competitions("GetSubmission", Method::POST, path).field("ref", id);
        let (_, value) = self.json(&call, &HeaderMap::new()).await?;
        decode::object(call.name, value)
    }

    /// Stores bytes at a signed address, which says all about who asks.
    async fn put(&self, call: &Call, url: &Url, content: Vec<u8>) -> Result<(), KaggleError> {
        let content = bytes::Bytes::from(content);
        let mut tries = Tries::new(call, &self.api, self.options.patience);
        loop {
            tries.begin().await;
            match self.put_once(call, url, content.clone()).await {
                Ok(()) => return Ok(()),
                Err(fault) => tries.failed(fault).await?,
            }
        }
    }

    async fn put_once(&self, call: &Call, url: &Url, content: bytes::Bytes) -> Result<(), Fault> {
        let request = self
            .client
            .put(url.clone())
            .header(CONTENT_LENGTH, content.len())
            .body(Body::from(content));
        let response = request.send().await.map_err(|error| passing(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        error_body(response).await;
        let message = format!("the storage host answers {status}");
        Err(if status.is_server_error() || status.as_u16() == 429 {
            Fault::transient(message)
        } else {
            Fault::Final(KaggleError::Refused {
                call: call.name,
                status: status.as_u16(),
                message,
            })
        })
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Upload {
    #[serde(deserialize_with = "text")]
    token: String,
    #[serde(deserialize_with = "text")]
    create_url: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Created {
    #[serde(rename = "ref", deserialize_with = "count")]
    id: u64,
}
