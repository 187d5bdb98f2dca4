//! Other people's readers open what we write: pyarrow, pandas, polars, duckdb, datasets.
//!
//! Runs when `SYNTH_TEST_PYTHON_READERS` names a Python that has them (and pyyaml); `SYNTH_TEST_ACCEPTANCE` may name
//! the folder of an acceptance suite (`step_fast.py`, `schema.py`), which then runs too; `../shared/accept` is tried without it.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use synth_core::Split;
use synth_dataset::{
    Card, CardSource, CardSplit, DatasetWriter, Row, WrittenFile, render_card, write_dataset_info,
};

mod sample;

const CHECK: &str = include_str!("readers.py");

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says why")]
fn readers_agree_on_what_is_written() {
    let Ok(python) = env::var("SYNTH_TEST_PYTHON_READERS") else {
        eprintln!(
            "skipped: SYNTH_TEST_PYTHON_READERS names no Python with datasets, pyarrow, duckdb, polars, pandas, pyyaml"
        );
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    write_sample(folder.path());
    run(Command::new(&python)
        .arg("-c")
        .arg(CHECK)
        .arg(folder.path()));
    if let Some(suite) = acceptance() {
        let schema = "import sys; sys.path.insert(0, sys.argv[2]); import schema, pyarrow.parquet as pq, glob\n\
            for config in ('sft', 'rl'):\n    for file in glob.glob(f'{sys.argv[1]}/data/{config}/*/*.parquet'):\n        \
            assert pq.read_schema(file).equals(schema.SCHEMAS[config]), (pq.read_schema(file), schema.SCHEMAS[config])";
        run(Command::new(&python)
            .args(["-c", schema])
            .arg(folder.path())
            .arg(&suite));
        run(Command::new(&python)
            .arg(suite.join("step_fast.py"))
            .arg(folder.path()));
    }
}

fn acceptance() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/accept");
    env::var_os("SYNTH_TEST_ACCEPTANCE")
        .map(PathBuf::from)
        .or(Some(beside))
        .filter(|folder| folder.join("step_fast.py").exists())
}

fn run(command: &mut Command) {
    let output = command
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .output()
        .expect("python starts");
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert!(output.status.success(), "{out}\n{err}");
}

fn write_sample(folder: &Path) {
    let mut splits = Vec::new();
    let mut add = |config: &str, split: Split, files: Vec<WrittenFile>| {
        splits.push(CardSplit {
            config: config.to_owned(),
            split: split.as_str().to_owned(),
            rows: files.iter().map(|file| file.rows).sum(),
            bytes: files.iter().map(|file| file.bytes).sum(),
        });
    };
    add(
        "sft",
        Split::Train,
        write(folder, "sft", Split::Train, (0..200).map(sample::sft)),
    );
    add(
        "sft",
        Split::Eval,
        write(folder, "sft", Split::Eval, (1000..1010).map(sample::sft)),
    );
    add(
        "rl",
        Split::Train,
        write(
            folder,
            "rl",
            Split::Train,
            (0..100).map(|number| sample::rl(number, "train")),
        ),
    );
    add(
        "rl",
        Split::Eval,
        write(
            folder,
            "rl",
            Split::Eval,
            std::iter::empty::<synth_dataset::RlRow>(),
        ),
    );
    let card = Card {
        name: "sample: \"one\"".to_owned(),
        version: "0".to_owned(),
        splits,
        sources: vec![CardSource {
            name: "iris".to_owned(),
            licence: "CC-BY-4.0".to_owned(),
            ..CardSource::default()
        }],
        ..Card::default()
    };
    fs::write(folder.join("README.md"), render_card(&card))
        .expect("a temporary folder takes files");
    write_dataset_info(folder).expect("a temporary folder takes files");
}

fn write<R: Row>(
    folder: &Path,
    config: &str,
    split: Split,
    rows: impl Iterator<Item = R>,
) -> Vec<WrittenFile> {
    let mut writer = DatasetWriter::create(folder, config, split, &sample::options(20_000, 60_000));
    for row in rows {
        writer.push(row).expect("sample rows are valid");
    }
    writer.finish().expect("a temporary folder takes files")
}
