//! Rows of one config and split, streamed into shards of bounded size.

use std::fs;
use std::io;
use std::mem;
use std::path::{Path, PathBuf};

use synth_core::Split;
use synth_core::config::EmitConfig;

use crate::check::RowError;
use crate::file::{ClosedFile, ParquetFile, WrittenFile, remove_stale, sync_folder};
use crate::rows::{Row, batch};

/// Rows wait until they make a batch of about this size; what a writer holds beyond it is the open row group, compressed.
const BATCH_BYTES: usize = 4 << 20;

/// Why rows could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The row was refused; the writer goes on without it.
    #[error(transparent)]
    Row(#[from] RowError),
    /// The files could not be written; the writer is of no more use.
    #[error("write `{path}`")]
    Io {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Writes `data/<config>/<split>/<split>-00000-of-0000N.parquet` below a folder.
///
/// Memory stays flat however many rows come. Nothing has its final name before [`finish`](Self::finish), which also removes
/// what an earlier writer left for this config and split; a writer dropped before leaves nothing. The same rows give
/// the same bytes.
pub struct DatasetWriter<R: Row> {
    folder: PathBuf,
    config: String,
    split: Split,
    timings: bool,
    row_group_bytes: u64,
    shard_bytes: u64,
    /// Rows of the first full row group: later ones have as many, as `datasets` sizes its batches by the first.
    row_group_rows: Option<usize>,
    batch: Vec<R>,
    batch_bytes: usize,
    group_rows: usize,
    group_bytes: u64,
    file: Option<ParquetFile>,
    file_bytes: u64,
    shards: Vec<ClosedFile>,
}

impl<R: Row> DatasetWriter<R> {
    /// A writer for a config (`sft`, `rl`, `eval`) and split of the dataset in `folder`. Touches no disk before the first
    /// batch is full, so a split without rows leaves no file and no folder.
    pub fn create(folder: &Path, config: &str, split: Split, options: &EmitConfig) -> Self {
        Self {
            folder: folder.join("data").join(config).join(split.as_str()),
            config: config.to_owned(),
            split,
            timings: false,
            row_group_bytes: options.row_group_bytes,
            shard_bytes: options.shard_bytes,
            row_group_rows: None,
            batch: Vec::new(),
            batch_bytes: 0,
            group_rows: 0,
            group_bytes: 0,
            file: None,
            file_bytes: 0,
            shards: Vec::new(),
        }
    }

    /// Whether rows get the `wall_seconds` column; readings of a clock make no two runs alike, so it is off at first.
    #[must_use]
    pub fn with_timings(mut self, timings: bool) -> Self {
        self.timings = timings;
        self
    }

    /// Takes a row. [`WriteError::Row`] refuses this one only.
    pub fn push(&mut self, row: R) -> Result<(), WriteError> {
        row.check()?;
        let size = row.size();
        self.batch.push(row);
        self.batch_bytes += size;
        self.group_rows += 1;
        self.group_bytes += size as u64;
        self.file_bytes += size as u64;
        self.advance().map_err(|source| self.error(source))
    }

    /// Publishes the files and says what they are; none for a split without rows.
    pub fn finish(mut self) -> Result<Vec<WrittenFile>, WriteError> {
        self.publish().map_err(|source| self.error(source))
    }

    /// Ends batch, row group and shard where they are full.
    fn advance(&mut self) -> io::Result<()> {
        let group_is_full = match self.row_group_rows {
            None => self.group_bytes >= self.row_group_bytes,
            // Rows that grow beyond all measure end a group early.
            Some(rows) => {
                self.group_rows >= rows || self.group_bytes / 3 >= self.row_group_bytes / 2
            }
        };
        let file_is_full = self.file_bytes >= self.shard_bytes;
        if group_is_full || file_is_full || self.batch_bytes >= BATCH_BYTES {
            self.write_batch()?;
        }
        if file_is_full {
            self.close_file()?;
        } else if group_is_full {
            self.row_group_rows.get_or_insert(self.group_rows);
            self.start_group();
            self.file
                .as_mut()
                .map_or(Ok(()), ParquetFile::end_row_group)?;
        }
        Ok(())
    }

    fn write_batch(&mut self) -> io::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        if self.file.is_none() {
            let schema = R::schema(self.timings);
            let (split, index) = (self.split.as_str(), self.shards.len());
            self.file = Some(ParquetFile::create(&self.folder, split, index, schema)?);
        }
        let rows = mem::take(&mut self.batch);
        self.batch_bytes = 0;
        let file = self.file.as_mut().expect("a file was opened above");
        file.write(&batch(&rows, self.timings))
    }

    fn start_group(&mut self) {
        self.group_rows = 0;
        self.group_bytes = 0;
    }

    fn close_file(&mut self) -> io::Result<()> {
        self.start_group();
        self.file_bytes = 0;
        if let Some(file) = self.file.take() {
            self.shards.push(file.close()?);
        }
        Ok(())
    }

    fn publish(&mut self) -> io::Result<Vec<WrittenFile>> {
        self.write_batch()?;
        self.close_file()?;
        let split = self.split.as_str();
        remove_stale(&self.folder, |name| {
            name.starts_with(split) && name.strip_suffix(".parquet").is_some()
        })?;
        let count = self.shards.len();
        let mut files = Vec::with_capacity(count);
        for (index, shard) in self.shards.drain(..).enumerate() {
            let name = format!("{split}-{index:05}-of-{count:05}.parquet");
            let shown = format!("data/{}/{split}/{name}", self.config);
            files.push(shard.publish(&name, shown)?);
        }
        if files.is_empty() {
            // An earlier writer's folder, now empty; one that holds something else stays.
            let _ = fs::remove_dir(&self.folder);
        } else {
            sync_folder(&self.folder)?;
        }
        Ok(files)
    }

    fn error(&self, source: io::Error) -> WriteError {
        WriteError::Io {
            path: self.folder.clone(),
            source,
        }
    }
}
