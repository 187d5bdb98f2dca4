//! One Parquet file: batches go to a temporary name, and `publish` gives it its own once it is whole and on disk.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{CdcOptions, WriterProperties};
use serde::{Deserialize, Serialize};
use synth_core::Fingerprint;

/// A file that was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrittenFile {
    /// Its path below the folder that the writer was given, with `/` between its parts.
    pub path: String,
    /// Its rows.
    pub rows: u64,
    /// Its size in bytes.
    pub bytes: u64,
    /// The hash of its content.
    pub blake3: Fingerprint,
}

/// A Parquet file in the making. Dropped before it is published, it leaves nothing behind.
pub struct ParquetFile {
    /// Taken by `close`.
    writer: Option<ArrowWriter<Hashed>>,
    temporary: PathBuf,
    rows: u64,
    published: bool,
}

impl ParquetFile {
    /// Opens the file number `index` of those that will be published into `folder`, which is created when it is not there.
    /// The first one sweeps away what a killed writer of the same stem left.
    pub fn create(folder: &Path, stem: &str, index: usize, schema: SchemaRef) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        let prefix = format!(".{stem}-");
        if index == 0 {
            remove_stale(folder, |name| {
                name.starts_with(&prefix) && name.strip_suffix(".tmp").is_some()
            })?;
        }
        let temporary = folder.join(format!("{prefix}{index:05}.tmp"));
        let hashed = Hashed {
            file: BufWriter::new(File::create(&temporary)?),
            hasher: blake3::Hasher::new(),
            bytes: 0,
        };
        // Row groups end where the caller says; the Arrow schema is left out, as some readers prefer it to the file's own.
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_content_defined_chunking(Some(CdcOptions::default()))
            .set_created_by("synth".to_owned())
            .set_max_row_group_row_count(None)
            .build();
        let options = ArrowWriterOptions::new()
            .with_properties(properties)
            .with_skip_arrow_metadata(true);
        let writer = ArrowWriter::try_new_with_options(hashed, schema, options).map_err(into_io)?;
        Ok(Self {
            writer: Some(writer),
            temporary,
            rows: 0,
            published: false,
        })
    }

    /// Adds rows to the current row group.
    pub fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        self.rows += batch.num_rows() as u64;
        self.open_writer().write(batch).map_err(into_io)
    }

    /// Ends the current row group.
    pub fn end_row_group(&mut self) -> io::Result<()> {
        self.open_writer().flush().map_err(into_io)
    }

    /// Writes the footer and brings the file to disk, still under its temporary name.
    pub fn close(mut self) -> io::Result<ClosedFile> {
        let writer = self.writer.take().expect("a file is closed once");
        let mut hashed = writer.into_inner().map_err(into_io)?;
        hashed.file.flush()?;
        hashed.file.get_ref().sync_all()?;
        let (rows, bytes) = (self.rows, hashed.bytes);
        let blake3 = Fingerprint::from_bytes(*hashed.hasher.finalize().as_bytes());
        Ok(ClosedFile {
            file: self,
            rows,
            bytes,
            blake3,
        })
    }

    fn open_writer(&mut self) -> &mut ArrowWriter<Hashed> {
        self.writer
            .as_mut()
            .expect("a file that is not closed has its writer")
    }
}

impl Drop for ParquetFile {
    fn drop(&mut self) {
        if !self.published {
            // Nothing can be done about a failure here, and the next writer overwrites the name.
            let _ = fs::remove_file(&self.temporary);
        }
    }
}

/// A whole Parquet file that waits for its name.
pub struct ClosedFile {
    file: ParquetFile,
    rows: u64,
    bytes: u64,
    blake3: Fingerprint,
}

impl ClosedFile {
    /// Renames the file to `name` in its folder; the result's path is `shown`.
    pub fn publish(mut self, name: &str, shown: String) -> io::Result<WrittenFile> {
        fs::rename(
            &self.file.temporary,
            self.file.temporary.with_file_name(name),
        )?;
        self.file.published = true;
        Ok(WrittenFile {
            path: shown,
            rows: self.rows,
            bytes: self.bytes,
            blake3: self.blake3,
        })
    }
}

/// Removes the files of `folder` whose names an earlier writer left; a folder that is not there holds none.
pub fn remove_stale(folder: &Path, is_stale: impl Fn(&str) -> bool) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        if name.to_str().is_some_and(&is_stale) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Brings the names in a folder to disk.
pub fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

fn into_io(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(source) => io::Error::other(source),
        },
        error => io::Error::other(error),
    }
}

/// A buffered file that hashes what goes through it.
struct Hashed {
    file: BufWriter<File>,
    hasher: blake3::Hasher,
    bytes: u64,
}

impl Write for Hashed {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.file.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}
