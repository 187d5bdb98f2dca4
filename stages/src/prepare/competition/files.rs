//! The files around the tables: which would tell hidden answers and go, and which names pages mention that are not there.

use std::collections::{BTreeSet, HashMap};

use synth_core::DataFile;
use synth_pipeline::Blobs;

use super::facts::path_words;
use super::shape::is_delimited;
use crate::tables::{ending, read_table};

/// Endings of files in which tables may hide that nobody here looks into.
const OPAQUE: [&str; 28] = [
    "zip", "gz", "7z", "tar", "tgz", "bz2", "xz", "rar", "parquet", "feather", "arrow", "json",
    "jsonl", "sqlite", "sqlite3", "db", "pkl", "pickle", "h5", "hdf5", "npy", "npz", "xls", "xlsx",
    "rds", "rdata", "arff", "tfrecord",
];
/// Words in the names of files with answers.
const TELLING: [&str; 9] = [
    "train", "training", "label", "labels", "target", "targets", "solution", "answers", "truth",
];
/// Endings of what models look at besides tables.
const MEDIA: [&str; 17] = [
    "jpg", "jpeg", "png", "gif", "bmp", "tif", "tiff", "webp", "dcm", "wav", "mp3", "flac", "ogg",
    "mp4", "avi", "txt", "xml",
];
/// Endings of files, as pages mention them.
const MENTIONED: [&str; 16] = [
    "csv", "tsv", "json", "jsonl", "parquet", "zip", "gz", "7z", "tar", "txt", "xlsx", "npz",
    "npy", "h5", "sqlite", "feather",
];
/// Tables beside the main ones are searched for hidden answers up to this size; larger ones go unread.
const MOST_SEARCHED_BYTES: u64 = 50_000_000;
/// A column that agrees with the hidden answers on more than this share of rows holds them.
const AGREEMENT: f64 = 0.95;
const MOST_MENTIONED: usize = 200;

/// Whether a file is a picture, a sound, a text.
pub(super) fn is_media(path: &str) -> bool {
    MEDIA.contains(&ending(path).as_str())
}

/// Hidden answers, to be searched for.
pub(super) struct Hidden<'a> {
    /// Key of a row, and its target cells.
    pub rows: HashMap<&'a str, &'a [String]>,
    /// The columns of the training table that are hidden.
    pub columns: Vec<&'a str>,
}

/// Of files beside the main tables those that agents may read, and why others may not.
pub(super) fn harmless(
    blobs: &Blobs,
    others: &[DataFile],
    hidden: &Hidden<'_>,
) -> std::io::Result<(Vec<DataFile>, Vec<String>)> {
    let (mut kept, mut remarks) = (Vec::new(), Vec::new());
    for file in others {
        match telling(blobs, file, hidden)? {
            None => kept.push(file.clone()),
            Some(why) => remarks.push(format!("`{}` is left out: {why}", file.path)),
        }
    }
    Ok((kept, remarks))
}

fn telling(blobs: &Blobs, file: &DataFile, hidden: &Hidden<'_>) -> std::io::Result<Option<String>> {
    let name = file.path.rsplit('/').next().unwrap_or(&file.path);
    let words = path_words(name);
    if OPAQUE.contains(&ending(name).as_str()) {
        let names_answers = words.iter().any(|word| TELLING.contains(&word.as_str()));
        return Ok(names_answers
            .then(|| "it may hold the answers in a form that is not searched".to_owned()));
    }
    if !is_delimited(name) {
        return Ok(None);
    }
    if file.bytes > MOST_SEARCHED_BYTES {
        return Ok(Some(
            "it is too large to be searched for the answers".to_owned(),
        ));
    }
    let Ok(table) = read_table(&blobs.read(file.blake3)?) else {
        return Ok(None);
    };
    if let Some(column) = table
        .header
        .iter()
        .find(|column| hidden.columns.contains(&column.as_str()))
    {
        return Ok(Some(format!("it has the column `{column}`")));
    }
    // A column with most of the hidden rows' keys, and beside it a column with their answers.
    for key in 0..table.header.len() {
        let known: Vec<(&[String], &Vec<String>)> = table
            .rows
            .iter()
            .filter_map(|row| hidden.rows.get(row[key].trim()).map(|cells| (*cells, row)))
            .collect();
        if known.len() * 2 < hidden.rows.len() || known.len() < 2 {
            continue;
        }
        for column in (0..table.header.len()).filter(|column| *column != key) {
            for at in 0..known[0].0.len() {
                let agree = known
                    .iter()
                    .filter(|(cells, row)| cells[at] == row[column].trim())
                    .count();
                let differ = known.iter().any(|(cells, _)| cells[at] != known[0].0[at]);
                if differ && agree as f64 > AGREEMENT * known.len() as f64 {
                    return Ok(Some(format!(
                        "its column `{}` holds the answers",
                        table.header[column]
                    )));
                }
            }
        }
    }
    Ok(None)
}

/// Names of files that pages mention and no file bears. An archive counts as there when it was unpacked.
pub(super) fn mentioned_only<'a>(
    pages: &[&str],
    present: impl Iterator<Item = &'a str>,
) -> Vec<String> {
    let mut there: BTreeSet<String> = BTreeSet::new();
    for path in present {
        for part in path.to_lowercase().split('/') {
            there.insert(part.to_owned());
            // `train.csv` was in `train.csv.zip`, `train/1.jpg` in `train.zip`.
            there.extend(
                ["zip", "7z", "gz", "tar", "tar.gz"].map(|ending| format!("{part}.{ending}")),
            );
            if let Some((stem, _)) = part.split_once('.') {
                there.insert(format!("{stem}.zip"));
            }
        }
    }
    let mut absent = BTreeSet::new();
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '.' | '_' | '-' | '/' | '*');
    for word in pages
        .iter()
        .flat_map(|page| page.split(|c: char| !is_part(c)))
    {
        let name = word
            .rsplit('/')
            .next()
            .unwrap_or(word)
            .trim_matches(['.', '-', '*']);
        // `train.csv-` of torn pages has its ending cut off there.
        let name = MENTIONED
            .iter()
            .find_map(|ending| {
                let end = name.find(&format!(".{ending}-"))? + ending.len() + 1;
                name.get(..end)
            })
            .unwrap_or(name);
        let is_file = name.rsplit_once('.').is_some_and(|(stem, ending)| {
            !stem.is_empty() && MENTIONED.contains(&ending.to_lowercase().as_str())
        });
        let is_address = word.contains("//")
            || word.contains("www.")
            || word.contains(".com")
            || word.contains(".org");
        if is_file
            && !is_address
            && !word.contains('*')
            && !there.contains(&name.to_lowercase())
            && absent.len() < MOST_MENTIONED
        {
            absent.insert(name.to_owned());
        }
    }
    absent.into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_pages_mention_are_checked() {
        let pages = [
            "* **train.csv** - rows\n- test.csv- more\nsee data/extra.json, images.zip, labels.zip. Version 2.csv?",
            "`Sample_Submission.csv`; https://x.example/some.csv and part_*.csv",
        ];
        let present = [
            "in/train.csv",
            "test.csv",
            "images/1.jpg",
            "sample_submission.csv",
            "labels.csv",
        ];
        assert_eq!(
            mentioned_only(&pages, present.into_iter()),
            ["2.csv", "extra.json"]
        );
    }

    #[test]
    fn files_with_answers_are_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(folder.path()).unwrap();
        let file = |path: &str, text: &str| DataFile {
            path: path.to_owned(),
            bytes: text.len() as u64,
            blake3: blobs.put(text.as_bytes()).unwrap(),
        };
        let files = [
            file("extra.csv", "id,x\n1,5\n2,5\n3,6\n"),
            file("train_old.csv", "row,y\n9,0\n"),
            file("other.csv", "x,who,answer\n0,1,a\n0,2,b\n0,3,a\n"),
            file("train.parquet", "?"),
            file("notes.json", "{}"),
            file("broken.csv", ""),
            file("images/train_1.jpg", "?"),
        ];
        let answers = [["a".to_owned()], ["b".to_owned()], ["a".to_owned()]];
        let hidden = Hidden {
            rows: HashMap::from([
                ("1", &answers[0][..]),
                ("2", &answers[1]),
                ("3", &answers[2]),
            ]),
            columns: vec!["y"],
        };
        let (kept, remarks) = harmless(&blobs, &files, &hidden).unwrap();
        let kept: Vec<&str> = kept.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(
            kept,
            [
                "extra.csv",
                "notes.json",
                "broken.csv",
                "images/train_1.jpg"
            ]
        );
        assert_eq!(remarks.len(), 3);
    }
}
