//! Stage outputs as Parquet: lends the pipeline the dataset room's writer.

use std::cell::RefCell;
use std::io;
use std::path::Path;

use synth_pipeline::{PartFormat, PartRow, StageError, WrittenPart};

/// Part files in Parquet.
pub struct Parts;

impl PartFormat for Parts {
    fn write(
        &self,
        folder: &Path,
        stem: &str,
        rows: &mut dyn Iterator<Item = Result<PartRow, StageError>>,
    ) -> Result<Vec<WrittenPart>, StageError> {
        // The writer knows I/O errors only; a stage error waits here until it is done.
        let refused: RefCell<Option<StageError>> = RefCell::new(None);
        let rows = rows.map(|row| match row {
            Ok(PartRow {
                id,
                parent,
                status,
                reason,
                message,
                record,
            }) => Ok(synth_dataset::PartRow {
                id,
                parent,
                status,
                reason,
                message,
                record,
            }),
            Err(error) => {
                let told = io::Error::other(error.to_string());
                *refused.borrow_mut() = Some(error);
                Err(told)
            }
        });
        match synth_dataset::write_parts(folder, stem, rows) {
            Ok(files) => Ok(files
                .into_iter()
                .map(|file| WrittenPart {
                    path: file.path,
                    rows: file.rows,
                    bytes: file.bytes,
                    blake3: file.blake3,
                })
                .collect()),
            Err(error) => Err(refused.into_inner().unwrap_or_else(|| error.into())),
        }
    }
}
