//! The calls about datasets.

use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde_json::Value;

use crate::call::Call;
use crate::{
    Dataset, DatasetMetadata, Fetched, FilesSummary, Kaggle, KaggleError, Pager, RemoteFile,
    Version, decode,
};

const FILES_A_PAGE: u32 = 200;

/// Which datasets to list. The values are the API's own names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DatasetFilter {
    /// `DATASET_SORT_BY_HOTTEST`, `…_VOTES`, `…_UPDATED`, `…_PUBLISHED`, `…_USABILITY` and others.
    pub sort_by: Option<String>,
    /// `DATASET_FILE_TYPE_GROUP_CSV`, `…_SQLITE`, `…_JSON`, `…_BIG_QUERY`, `…_PARQUET`, `…_ALL`.
    pub file_type: Option<String>,
    /// `DATASET_LICENSE_GROUP_CC`, `…_GPL`, `…_ODB`, `…_OTHER`, `…_ALL`.
    pub license: Option<String>,
    /// Numbers of topics, with commas.
    pub tag_ids: Option<String>,
    /// Words.
    pub search: Option<String>,
    /// Whose.
    pub user: Option<String>,
    /// The least size in bytes.
    pub min_size: Option<u64>,
    /// The greatest size in bytes.
    pub max_size: Option<u64>,
    /// Items a page.
    pub page_size: Option<u32>,
}

impl Kaggle {
    /// The datasets of a kind.
    pub fn list_datasets(&self, filter: &DatasetFilter) -> Pager<'_, Dataset> {
        let filter = filter.clone();
        let call = Call::datasets("ListDatasets", "datasets/list")
            .maybe("sortBy", filter.sort_by)
            .maybe("fileType", filter.file_type)
            .maybe("license", filter.license)
            .maybe("tagIds", filter.tag_ids)
            .maybe("search", filter.search)
            .maybe("user", filter.user)
            .maybe("minSize", filter.min_size)
            .maybe("maxSize", filter.max_size)
            .maybe("pageSize", filter.page_size);
        Pager::new(self, call, "datasets")
    }

    /// A dataset, by `owner/name`.
    pub async fn get_dataset(&self, dataset: &str) -> Result<Dataset, KaggleError> {
        let call = dataset_call(dataset)?;
        let (_, value) = self.json(&call, &HeaderMap::new()).await?;
        read(&call, value)
    }

    /// A dataset, if it is not what `known` says it was.
    pub async fn get_dataset_if_changed(
        &self,
        dataset: &str,
        known: &Version,
    ) -> Result<Fetched<Dataset>, KaggleError> {
        let call = dataset_call(dataset)?;
        let read = |value| read(&call, value);
        self.fetched(&call, known, read, Dataset::lasting).await
    }

    /// What the owner says of a dataset, with its licences.
    pub async fn dataset_metadata(&self, dataset: &str) -> Result<DatasetMetadata, KaggleError> {
        let path = "datasets/metadata/{ownerSlug}/{datasetSlug}";
        let call = Call::datasets("GetDatasetMetadata", path).about_dataset(dataset)?;
        let (_, value) = self.json(&call, &HeaderMap::new()).await?;
        let metadata: Metadata = decode::object(call.name, value)?;
        match metadata.error_message.filter(|text| !text.is_empty()) {
            Some(message) => Err(KaggleError::Refused {
                call: call.name,
                status: 200,
                message,
            }),
            None => Ok(metadata.info),
        }
    }

    /// The files of a dataset.
    pub fn list_dataset_files(&self, dataset: &str) -> Result<Pager<'_, RemoteFile>, KaggleError> {
        let path = "datasets/list/{ownerSlug}/{datasetSlug}";
        let call = Call::datasets("ListDatasetFiles", path)
            .about_dataset(dataset)?
            .field("pageSize", FILES_A_PAGE);
        Ok(Pager::new(self, call, "datasetFiles"))
    }

    /// How many files of which type a dataset has, and how large.
    pub async fn dataset_files_summary(&self, dataset: &str) -> Result<FilesSummary, KaggleError> {
        let path = "datasets/files/summary/{ownerSlug}/{datasetSlug}";
        let call = Call::datasets("GetDatasetFilesSummary", path).about_dataset(dataset)?;
        self.files_summary(&call).await
    }
}

impl Dataset {
    /// Without what changes although nothing does.
    fn lasting(&self) -> Self {
        Self {
            download_count: 0,
            vote_count: 0,
            kernel_count: 0,
            ..self.clone()
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Metadata {
    info: DatasetMetadata,
    error_message: Option<String>,
}

fn dataset_call(dataset: &str) -> Result<Call, KaggleError> {
    let path = "datasets/view/{ownerSlug}/{datasetSlug}";
    Call::datasets("GetDataset", path).about_dataset(dataset)
}

fn read(call: &Call, value: Value) -> Result<Dataset, KaggleError> {
    let dataset: Dataset = decode::object(call.name, value)?;
    if dataset.owner_and_name().is_none() {
        return Err(KaggleError::Decode {
            call: call.name,
            path: "ref".to_owned(),
            message: "the dataset has no name".to_owned(),
        });
    }
    Ok(dataset)
}
