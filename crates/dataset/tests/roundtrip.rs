//! What is written is read back, whatever the text, the sizes of row groups and shards.

use std::fs::{self, File};
use std::io;
use std::path::Path;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int64Type};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::file::reader::{FileReader, SerializedFileReader};
use proptest::prelude::*;
use synth_core::{Fingerprint, Split};
use synth_dataset::{
    DatasetWriter, PartRow, SftRow, WriteError, WrittenFile, write_dataset_info, write_parts,
};

mod sample;

fn write(
    folder: &Path,
    rows: &[SftRow],
    row_group_bytes: u64,
    shard_bytes: u64,
) -> Vec<WrittenFile> {
    let options = sample::options(row_group_bytes, shard_bytes);
    let mut writer =
        DatasetWriter::create(folder, "sft", Split::Train, &options).with_timings(true);
    for row in rows {
        writer.push(row.clone()).expect("sample rows are valid");
    }
    writer.finish().expect("a temporary folder takes files")
}

fn read(path: &Path) -> Vec<RecordBatch> {
    let file = File::open(path).expect("the file is there");
    let reader = ParquetRecordBatchReaderBuilder::try_new(file)
        .expect("it is Parquet")
        .build()
        .expect("it opens");
    reader.map(|batch| batch.expect("it reads")).collect()
}

fn texts(batch: &RecordBatch, column: &str) -> Vec<Option<String>> {
    let column = batch
        .column_by_name(column)
        .expect("the column is there")
        .as_string::<i32>();
    column.iter().map(|text| text.map(str::to_owned)).collect()
}

/// The columns of a batch in which rows may differ, as rows.
fn rows_of(batch: &RecordBatch) -> Vec<SftRow> {
    let doubles = |column: &str| {
        batch
            .column_by_name(column)
            .expect("there")
            .as_primitive::<Float64Type>()
            .clone()
    };
    let integers = |column: &str| {
        batch
            .column_by_name(column)
            .expect("there")
            .as_primitive::<Int64Type>()
            .clone()
    };
    let (ids, metadata, queries) = (
        texts(batch, "id"),
        texts(batch, "metadata"),
        texts(batch, "query_id"),
    );
    let messages = batch
        .column_by_name("messages")
        .expect("there")
        .as_list::<i32>();
    let scores = batch
        .column_by_name("judge_scores")
        .expect("there")
        .as_list::<i32>();
    (0..batch.num_rows())
        .map(|index| {
            let list = messages.value(index);
            let list = list.as_struct();
            let text = |column: usize, at: usize| {
                list.column(column).as_string::<i32>().value(at).to_owned()
            };
            let grades = scores.value(index);
            let grades = grades.as_struct();
            let word = |column: usize, at: usize| {
                grades
                    .column(column)
                    .as_string::<i32>()
                    .value(at)
                    .to_owned()
            };
            let mut row = sample::sft(0);
            row.id = ids[index].clone().expect("an id");
            row.messages = (0..list.len())
                .map(|at| (text(0, at), text(1, at)))
                .collect();
            row.generation.judge_scores = (0..grades.len())
                .map(|at| {
                    (
                        word(0, at),
                        word(1, at),
                        grades.column(2).as_primitive::<Float64Type>().value(at),
                    )
                })
                .collect();
            row.generation.metadata = metadata[index].clone().expect("metadata");
            let pass_rate = doubles("pass_rate");
            row.generation.pass_rate = pass_rate.is_valid(index).then(|| pass_rate.value(index));
            row.generation.metric_value = Some(doubles("metric_value").value(index));
            row.generation.num_turns = integers("num_turns").value(index);
            row.provenance.query_id = queries[index].clone().expect("a query");
            row.wall_seconds = Some(doubles("wall_seconds").value(index));
            row
        })
        .collect()
}

fn any_row() -> impl Strategy<Value = SftRow> {
    let exchanges =
        prop::collection::vec(("\\PC{0,30}[a-zé]\n?", "[a-z<>\"]\\PC{0,200}[a-z数]"), 1..4);
    (0..1000_usize, exchanges, any::<bool>()).prop_map(|(number, exchanges, rated)| {
        let mut row = sample::sft(number);
        row.messages.truncate(1);
        for (user, assistant) in exchanges {
            row.messages.push(("user".to_owned(), user));
            row.messages.push(("assistant".to_owned(), assistant));
        }
        row.generation.pass_rate = rated.then_some(number as f64);
        row
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn rows_survive_parquet(
        rows in prop::collection::vec(any_row(), 1..40),
        row_group_bytes in 1..20_000_u64,
        shard_bytes in 1..40_000_u64,
    ) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let files = write(folder.path(), &rows, row_group_bytes, shard_bytes);
        let found: Vec<_> = files.iter().flat_map(|file| read(&folder.path().join(&file.path))).flat_map(|batch| rows_of(&batch)).collect();
        prop_assert_eq!(&found, &rows);
        prop_assert_eq!(files.iter().map(|file| file.rows).sum::<u64>(), rows.len() as u64);
    }
}

#[test]
fn equal_rows_give_equal_bytes_and_files_are_what_is_reported() {
    let rows: Vec<_> = (0..50).map(sample::sft).collect();
    let (one, two) = (
        tempfile::tempdir().expect("a folder"),
        tempfile::tempdir().expect("a folder"),
    );
    let files = write(one.path(), &rows, 4_000, 12_000);
    assert_eq!(files, write(two.path(), &rows, 4_000, 12_000));
    assert!(files.len() > 1);
    for (index, file) in files.iter().enumerate() {
        assert_eq!(
            file.path,
            format!(
                "data/sft/train/train-{index:05}-of-{:05}.parquet",
                files.len()
            )
        );
        let bytes = fs::read(one.path().join(&file.path)).expect("the file is there");
        assert_eq!(
            (bytes.len() as u64, Fingerprint::of_bytes(&bytes)),
            (file.bytes, file.blake3)
        );
    }
}

#[test]
fn row_groups_have_equal_row_counts_and_no_arrow_schema() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows: Vec<_> = (0..100).map(sample::sft).collect();
    let files = write(folder.path(), &rows, 8_000, u64::MAX);
    let reader =
        SerializedFileReader::new(File::open(folder.path().join(&files[0].path)).expect("there"))
            .expect("Parquet");
    let counts: Vec<_> = reader
        .metadata()
        .row_groups()
        .iter()
        .map(parquet::file::metadata::RowGroupMetaData::num_rows)
        .collect();
    let (last, full) = counts.split_last().expect("row groups");
    assert!(
        full.len() > 2 && full.iter().all(|count| *count == full[0]) && *last <= full[0],
        "{counts:?}"
    );
    assert!(
        reader
            .metadata()
            .file_metadata()
            .key_value_metadata()
            .is_none_or(Vec::is_empty)
    );
    assert_eq!(
        reader.metadata().file_metadata().created_by(),
        Some("synth")
    );
}

#[test]
fn a_later_writer_replaces_what_an_earlier_one_left() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows: Vec<_> = (0..50).map(sample::sft).collect();
    assert!(write(folder.path(), &rows, 4_000, 8_000).len() > 2);
    assert_eq!(write(folder.path(), &rows[..3], 4_000, 80_000).len(), 1);
    let names = || fs::read_dir(folder.path().join("data/sft/train")).map_or(0, Iterator::count);
    assert_eq!(names(), 1);
    assert!(write(folder.path(), &[], 4_000, 8_000).is_empty());
    assert!(!folder.path().join("data/sft/train").exists());
}

#[test]
fn a_refused_row_does_not_spoil_the_file_and_an_unfinished_writer_leaves_none() {
    let folder = tempfile::tempdir().expect("a folder");
    let options = sample::options(1, 1);
    let mut writer = DatasetWriter::create(folder.path(), "sft", Split::Eval, &options);
    let mut broken = sample::sft(1);
    broken.messages.pop();
    assert!(
        matches!(writer.push(broken.clone()), Err(WriteError::Row(error)) if error.id == "trj_1")
    );
    writer.push(sample::sft(2)).expect("a valid row");
    assert_eq!(writer.finish().expect("it writes")[0].rows, 1);
    let mut writer = DatasetWriter::create(folder.path(), "rl", Split::Eval, &options);
    writer.push(sample::rl(1, "eval")).expect("a valid row");
    drop(writer);
    assert_eq!(
        fs::read_dir(folder.path().join("data/rl/eval"))
            .expect("its folder")
            .count(),
        0
    );
}

#[test]
fn parts_are_numbered_and_other_stems_are_one_file() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows = |count: usize| {
        (0..count).map(|number| {
            Ok(PartRow {
                id: format!("trj_{number}"),
                parent: "qry_1".to_owned(),
                status: "kept".to_owned(),
                record: Some("{}".to_owned()),
                ..PartRow::default()
            })
        })
    };
    let files = write_parts(folder.path(), "part", rows(1000)).expect("it writes");
    assert_eq!(
        (files.len(), files[0].path.as_str(), files[0].rows),
        (1, "part-00000.parquet", 1000)
    );
    let files = write_parts(folder.path(), "dropped", rows(2)).expect("it writes");
    assert_eq!(
        (files.len(), files[0].path.as_str()),
        (1, "dropped.parquet")
    );
    let batch = &read(&folder.path().join("dropped.parquet"))[0];
    assert_eq!(
        texts(batch, "id"),
        [Some("trj_0".to_owned()), Some("trj_1".to_owned())]
    );
    assert_eq!(texts(batch, "reason"), [None, None]);
    assert!(
        write_parts(folder.path(), "dropped", rows(0))
            .expect("it writes")
            .is_empty()
    );
    assert!(!folder.path().join("dropped.parquet").exists());
    let torn = rows(3).chain([Err(io::Error::other("the ledger is gone"))]);
    assert!(write_parts(folder.path(), "part", torn).is_err());
    assert_eq!(
        read(&folder.path().join("part-00000.parquet"))[0].num_rows(),
        1000
    );
}

#[test]
fn dataset_info_names_the_splits_that_are_there() {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path(), &[sample::sft(1)], 1, 1);
    write_dataset_info(folder.path()).expect("it writes");
    let text = fs::read_to_string(folder.path().join("dataset_info.json")).expect("it is there");
    let info: serde_json::Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(info["synth_sft"]["file_name"], "data/sft/train");
    assert_eq!(info.as_object().map(serde_json::Map::len), Some(1));
}
