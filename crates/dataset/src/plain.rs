//! Writes a plain table as Parquet, as data files of tasks are: whole numbers, numbers and text, each with gaps.

use std::sync::Arc;

use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};
use arrow::error::ArrowError;
use arrow::record_batch::RecordBatch;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::WriterProperties;

/// The cells of a column; `None` is a gap.
#[derive(Clone, Debug, PartialEq)]
pub enum PlainCells {
    /// Whole numbers.
    Integers(Vec<Option<i64>>),
    /// Numbers.
    Numbers(Vec<Option<f64>>),
    /// Text.
    Texts(Vec<Option<String>>),
}

/// Why a table could not be written.
#[derive(Debug, thiserror::Error)]
pub enum PlainError {
    /// The columns are not of one length, or there are none.
    #[error(transparent)]
    Columns(#[from] ArrowError),
    /// It could not be encoded.
    #[error(transparent)]
    Encoding(#[from] ParquetError),
}

/// The bytes of a Parquet file with these columns. Equal columns give equal bytes.
pub fn write_plain(columns: Vec<(String, PlainCells)>) -> Result<Vec<u8>, PlainError> {
    let arrays = columns.into_iter().map(|(name, cells)| {
        let array: ArrayRef = match cells {
            PlainCells::Integers(cells) => Arc::new(Int64Array::from(cells)),
            PlainCells::Numbers(cells) => Arc::new(Float64Array::from(cells)),
            PlainCells::Texts(cells) => Arc::new(StringArray::from(cells)),
        };
        (name, array, true)
    });
    let batch = RecordBatch::try_from_iter_with_nullable(arrays)?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_created_by("synth".to_owned())
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties))?;
    writer.write(&batch)?;
    Ok(writer.into_inner()?)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use parquet::file::reader::FileReader;
    use parquet::file::serialized_reader::SerializedFileReader;

    use super::*;

    #[test]
    fn a_plain_table_is_a_parquet_file() {
        let columns = || {
            vec![
                ("i".to_owned(), PlainCells::Integers(vec![Some(1), None])),
                ("x".to_owned(), PlainCells::Numbers(vec![None, Some(0.5)])),
                (
                    "t".to_owned(),
                    PlainCells::Texts(vec![Some("a".to_owned()), None]),
                ),
            ]
        };
        let bytes = write_plain(columns()).unwrap();
        assert_eq!(write_plain(columns()).unwrap(), bytes);
        let reader = SerializedFileReader::new(Bytes::from(bytes)).unwrap();
        let rows: Vec<String> = reader
            .get_row_iter(None)
            .unwrap()
            .map(|row| row.unwrap().to_string())
            .collect();
        assert_eq!(
            rows,
            ["{i: 1, x: null, t: \"a\"}", "{i: null, x: 0.5, t: null}"]
        );
    }

    #[test]
    fn columns_of_different_lengths_are_refused() {
        let columns = vec![
            ("i".to_owned(), PlainCells::Integers(vec![Some(1)])),
            ("x".to_owned(), PlainCells::Numbers(Vec::new())),
        ];
        assert!(write_plain(columns).is_err());
    }
}
