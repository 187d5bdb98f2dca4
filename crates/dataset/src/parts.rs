//! The generic output of a stage: ids, what became of each item, and the record as JSON.

use std::io;
use std::path::Path;

use arrow::array::RecordBatch;

use crate::file::{ClosedFile, ParquetFile, WrittenFile, remove_stale, sync_folder};
use crate::{columns, schema};

/// Uncompressed bytes of a row group and of a part, about.
const BATCH_BYTES: usize = 4 << 20;
const ROW_GROUP_BYTES: usize = 64 << 20;
const PART_BYTES: usize = 256 << 20;

/// A row of a stage's output.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartRow {
    /// The record's id.
    pub id: String,
    /// The item that it was made of.
    pub parent: String,
    /// `kept`, `dropped`, `failed`, …
    pub status: String,
    /// Why, in snake case.
    pub reason: Option<String>,
    /// Why, for a person.
    pub message: Option<String>,
    /// The record, as the text of JSON.
    pub record: Option<String>,
}

impl PartRow {
    fn size(&self) -> usize {
        let optional = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        self.id.len()
            + self.parent.len()
            + optional(&self.reason)
            + optional(&self.message)
            + optional(&self.record)
            + 32
    }
}

/// Writes rows into `folder`: the stem `part` into `part-00000.parquet` and so on, any other into one file, `dropped.parquet`
/// say. Without rows there is no file. Files of an earlier writer under the same stem go.
///
/// Rows stream through bounded memory. The first error that they bring ends the writing, and no file is published.
pub fn write_parts(
    folder: &Path,
    stem: &str,
    rows: impl IntoIterator<Item = io::Result<PartRow>>,
) -> io::Result<Vec<WrittenFile>> {
    let part_bytes = if stem == "part" {
        PART_BYTES
    } else {
        usize::MAX
    };
    let mut writer = Writer {
        folder,
        stem,
        files: Vec::new(),
        file: None,
        batch: Vec::new(),
        batch_bytes: 0,
        group_bytes: 0,
        file_bytes: 0,
    };
    for row in rows {
        let row = row?;
        let size = row.size();
        writer.batch.push(row);
        writer.batch_bytes += size;
        if writer.batch_bytes >= BATCH_BYTES {
            writer.write_batch()?;
        }
        if writer.file_bytes >= part_bytes {
            writer.close_file()?;
        }
    }
    writer.write_batch()?;
    writer.close_file()?;
    writer.publish()
}

struct Writer<'a> {
    folder: &'a Path,
    stem: &'a str,
    files: Vec<ClosedFile>,
    file: Option<ParquetFile>,
    batch: Vec<PartRow>,
    batch_bytes: usize,
    group_bytes: usize,
    file_bytes: usize,
}

impl Writer<'_> {
    fn write_batch(&mut self) -> io::Result<()> {
        if self.batch.is_empty() {
            return Ok(());
        }
        let mut file = if let Some(file) = self.file.take() {
            file
        } else {
            ParquetFile::create(self.folder, self.stem, self.files.len(), schema::parts())?
        };
        let columns = columns::parts(&self.batch);
        let batch = RecordBatch::try_new(schema::parts(), columns)
            .expect("the columns are made to the schema");
        file.write(&batch)?;
        self.batch.clear();
        self.group_bytes += self.batch_bytes;
        self.file_bytes += self.batch_bytes;
        self.batch_bytes = 0;
        if self.group_bytes >= ROW_GROUP_BYTES {
            self.group_bytes = 0;
            file.end_row_group()?;
        }
        self.file = Some(file);
        Ok(())
    }

    fn close_file(&mut self) -> io::Result<()> {
        self.group_bytes = 0;
        self.file_bytes = 0;
        if let Some(file) = self.file.take() {
            self.files.push(file.close()?);
        }
        Ok(())
    }

    fn publish(self) -> io::Result<Vec<WrittenFile>> {
        let numbered = self.stem == "part";
        remove_stale(self.folder, |name| {
            let stem = name.strip_suffix(".parquet");
            stem.is_some_and(|stem| {
                if numbered {
                    stem.starts_with("part-")
                } else {
                    stem == self.stem
                }
            })
        })?;
        let mut written = Vec::with_capacity(self.files.len());
        for (index, file) in self.files.into_iter().enumerate() {
            let name = if numbered {
                format!("{}-{index:05}.parquet", self.stem)
            } else {
                format!("{}.parquet", self.stem)
            };
            written.push(file.publish(&name, name.clone())?);
        }
        if !written.is_empty() {
            sync_folder(self.folder)?;
        }
        Ok(written)
    }
}
