//! Reads a Parquet file of somebody else's into text, as `pandas` would write it to CSV.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;

/// Cells that are taken into memory; a file of a few kilobytes can claim to hold many more.
const MAX_CELLS: u64 = 200_000_000;
/// Text that is taken into memory, in bytes.
const MAX_TEXT: usize = 2 << 30;

/// Column names and rows of a Parquet file, every cell as text and empty where it is null. Fails, with the reason, when the
/// bytes are none or hold more than can be read into memory.
pub fn read_parquet(bytes: Vec<u8>) -> Result<(Vec<String>, Vec<Vec<String>>), String> {
    // The decoder takes some broken files for a mistake of its caller's.
    catch_unwind(AssertUnwindSafe(|| read(bytes)))
        .unwrap_or_else(|_| Err("the file is broken".to_owned()))
}

fn read(bytes: Vec<u8>) -> Result<(Vec<String>, Vec<Vec<String>>), String> {
    let reader =
        SerializedFileReader::new(Bytes::from(bytes)).map_err(|error| error.to_string())?;
    let metadata = reader.metadata().file_metadata();
    let header: Vec<String> = metadata
        .schema()
        .get_fields()
        .iter()
        .map(|field| field.name().to_owned())
        .collect();
    let cells = u64::try_from(metadata.num_rows())
        .unwrap_or(u64::MAX)
        .saturating_mul(header.len() as u64);
    if cells > MAX_CELLS {
        return Err(format!(
            "it holds {cells} cells; at most {MAX_CELLS} are read"
        ));
    }
    let mut rows = Vec::new();
    let mut text = 0;
    for row in reader
        .get_row_iter(None)
        .map_err(|error| error.to_string())?
    {
        let row = row.map_err(|error| error.to_string())?;
        let row: Vec<String> = row
            .get_column_iter()
            .map(|(_, field)| cell(field))
            .collect();
        text += row.iter().map(String::len).sum::<usize>();
        if text > MAX_TEXT {
            return Err(format!("it holds more than {MAX_TEXT} bytes of text"));
        }
        rows.push(row);
    }
    Ok((header, rows))
}

fn cell(field: &Field) -> String {
    const DAY: i64 = 86_400;
    match field {
        Field::Null => String::new(),
        Field::Bool(value) => if *value { "True" } else { "False" }.to_owned(),
        Field::Str(text) => text.clone(),
        Field::Bytes(bytes) => String::from_utf8_lossy(bytes.data()).into_owned(),
        Field::Date(days) => moment(i64::from(*days) * DAY, 0),
        Field::TimestampMillis(time) => moment(
            time.div_euclid(1000),
            time.rem_euclid(1000) as i32 * 1_000_000,
        ),
        Field::TimestampMicros(time) => moment(
            time.div_euclid(1_000_000),
            time.rem_euclid(1_000_000) as i32 * 1000,
        ),
        // As JSON and Python write it: 1.0, not 1.
        Field::Float(number) => format!("{number:?}"),
        Field::Double(number) => format!("{number:?}"),
        other => other.to_string(),
    }
}

/// A point in time without a zone: the date alone at midnight.
fn moment(seconds: i64, nanoseconds: i32) -> String {
    let Ok(time) = jiff::Timestamp::new(seconds, nanoseconds) else {
        return String::new();
    };
    let time = time.to_zoned(jiff::tz::TimeZone::UTC).datetime();
    if time.time() == jiff::civil::Time::midnight() {
        time.date().to_string()
    } else {
        time.to_string().replace('T', " ")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{
        ArrayRef, BooleanArray, Date32Array, Float64Array, Int64Array, StringArray,
        TimestampMicrosecondArray,
    };
    use arrow::record_batch::RecordBatch;
    use parquet::arrow::ArrowWriter;
    use parquet::basic::Compression;
    use parquet::file::properties::WriterProperties;
    use proptest::prelude::*;

    use super::*;

    fn file(compression: Compression) -> Vec<u8> {
        let columns: Vec<(&str, ArrayRef)> = vec![
            ("n", Arc::new(Int64Array::from(vec![Some(1), None]))),
            ("x", Arc::new(Float64Array::from(vec![1.5, -2.0]))),
            ("t", Arc::new(StringArray::from(vec!["a\nb", ""]))),
            ("b", Arc::new(BooleanArray::from(vec![true, false]))),
            ("d", Arc::new(Date32Array::from(vec![0, 19_000]))),
            (
                "s",
                Arc::new(TimestampMicrosecondArray::from(vec![0, 1_500_000])),
            ),
        ];
        let batch = RecordBatch::try_from_iter(columns).unwrap();
        let properties = WriterProperties::builder()
            .set_compression(compression)
            .build();
        let mut writer =
            ArrowWriter::try_new(Vec::new(), batch.schema(), Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.into_inner().unwrap()
    }

    #[test]
    fn cells_become_text_in_whatever_compression_they_come() {
        for compression in [
            Compression::UNCOMPRESSED,
            Compression::SNAPPY,
            Compression::GZIP(parquet::basic::GzipLevel::default()),
            Compression::ZSTD(parquet::basic::ZstdLevel::default()),
        ] {
            let (header, rows) = read_parquet(file(compression)).unwrap();
            assert_eq!(header, ["n", "x", "t", "b", "d", "s"]);
            assert_eq!(
                rows[0],
                ["1", "1.5", "a\nb", "True", "1970-01-01", "1970-01-01"]
            );
            assert_eq!(
                rows[1],
                [
                    "",
                    "-2.0",
                    "",
                    "False",
                    "2022-01-08",
                    "1970-01-01 00:00:01.5"
                ]
            );
        }
    }

    proptest! {
        #[test]
        fn a_damaged_file_is_refused_or_read_and_ends_nothing(place in 0_usize..1500, byte in any::<u8>(), cut in 0_usize..1500) {
            let mut bytes = file(Compression::SNAPPY);
            let length = bytes.len();
            bytes[place % length] = byte;
            let _ = read_parquet(bytes.clone());
            bytes.truncate(cut % length);
            prop_assert!(read_parquet(bytes).is_err());
        }
    }
}
