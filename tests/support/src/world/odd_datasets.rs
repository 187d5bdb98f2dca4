//! Hand-made datasets that end as a reason: closed licences, one column, one class, odd times, half an archive, no table.

use super::datasets::{Shape, rents, shaped, titled};
use super::series::described;
use super::table::{Table, dice, normal};
use super::{Bundle, Dataset, archive};

/// Datasets that end as a reason.
pub(super) fn all() -> Vec<Dataset> {
    let rents = rents();
    let plain = |id: u32, slug: &str| Dataset {
        files: rents.files.clone(),
        ..titled(id, slug, slug, "Flats again", &["technique > regression"])
    };

    let mut closed = plain(5101, "closed-rents");
    (closed.licence, closed.licence_id) = (
        "Data files © Original Authors".into(),
        "copyright-authors".into(),
    );

    let mut unknown = plain(5102, "unknown-rents");
    (unknown.licence, unknown.licence_id) = ("Unknown".into(), "unknown".into());

    let mut one_column = Table::new(&["reading"]);
    one_column.rows = (0..300)
        .map(|row| vec![(row * 7 % 31).to_string()])
        .collect();
    let one_column = titled(
        5103,
        "one-column",
        "One column",
        "Nothing but a reading",
        &[],
    )
    .file("readings.csv", one_column.csv());

    let same = |_| "yes".to_owned();
    let one_class = shaped(
        titled(
            5104,
            "one-class",
            "One class",
            "Answers that are all the same",
            &["technique > classification"],
        ),
        "answers.csv",
        300,
        &Shape {
            columns: [
                ("a", "first"),
                ("b", "second"),
                ("c", "third"),
                ("d", "fourth"),
                ("e", "fifth"),
                ("f", "sixth"),
            ],
            kinds: ["north", "south", "east", "west"],
            shades: ["one", "two", "three"],
            target: ("answer", "the answer"),
            value: &same,
        },
    );

    let mut dice = dice("odd-times");
    let mut times = Table::new(&["when", "gauge", "flow"]);
    for row in 0..300 {
        let when = ["last week", "tuesday-ish", "32.13.2020", "before noon"][row % 4];
        times.rows.push(vec![
            format!("{when} {row}"),
            ["a", "b"][row % 2].to_owned(),
            format!("{:.2}", 5.0 + normal(&mut dice)),
        ]);
    }
    let odd_times = described(
        titled(
            5105,
            "odd-times",
            "Times that are none",
            "A gauge whose clerk wrote what he liked",
            &["technique > time series analysis"],
        ),
        "gauge.csv",
        &times,
        &[
            ("when", "when it was read"),
            ("gauge", "which gauge"),
            ("flow", "flow of the water"),
        ],
    );

    let mut half = plain(5106, "half-archive");
    let content = half.files[0].content.bytes();
    let mut bytes = archive::zip(&[(&half.files[0].name, &content)]);
    bytes.truncate(bytes.len() / 2);
    half.bundle = Bundle::Raw {
        bytes: bytes.into(),
        ending: "zip",
    };

    let mut tiny = titled(5107, "tiny", "Tiny", "Four rows", &[])
        .file("tiny.csv", "a,b,c\n1,2,x\n2,3,y\n3,4,x\n4,5,y\n");
    (tiny.licence, tiny.licence_id) = (
        "Database: Open Database, Contents: Database Contents".into(),
        "DbCL-1.0".into(),
    );

    let mut pictures = titled(
        5108,
        "pictures",
        "Pictures",
        "No table at all",
        &["data type > image"],
    );
    for number in 0..25 {
        pictures = pictures.file(
            &format!("images/{number:02}.png"),
            vec![0x89, b'P', b'N', b'G', number],
        );
    }

    let mut useless = plain(5109, "seldom-used");
    (useless.usability, useless.votes, useless.downloads) = (0.2, 0, 1);

    vec![
        closed, unknown, one_column, one_class, odd_times, half, tiny, pictures, useless,
    ]
}
