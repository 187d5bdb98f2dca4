//! Hand-made competitions whose files are odd: archives in archives, no sample submission, hostile names, broken tables.

use super::small::{Target, pages, tabular};
use super::table::board;
use super::{Bundle, Competition, Page, archive};

/// The competitions.
pub(super) fn all() -> Vec<Competition> {
    let value = |signal: f64| u8::from(signal > 0.0).to_string();
    let target = Target {
        id: "id",
        name: "label",
        value: &value,
        sample: &[("label", "0")],
    };
    let plain = |id: u32, slug: &str| {
        let mut competition = pages(
            tabular(id, slug, &target),
            "A plain classification.",
            "Submissions are evaluated on accuracy.",
            "id,label\n301,0\n302,1",
            "label",
        )
        .standings(board(slug, 120, 0.92, 0.4));
        competition.metric = Some("Categorization Accuracy".into());
        competition
    };

    // Each table in a zip of its own, one of them two deep, all together as a gzipped tar.
    let mut nested = plain(3001, "nested-boxes");
    for file in &mut nested.files {
        let name = file.name.clone();
        let zipped = archive::zip(&[(&name, &file.content.bytes())]);
        if name == "train.csv" {
            file.name = "boxes/all.zip".into();
            file.content = archive::zip(&[("inner/train.csv.zip", &zipped)]).into();
        } else {
            file.name = format!("{name}.zip");
            file.content = zipped.into();
        }
    }
    nested.bundle = Bundle::TarGz;

    // Single files arrive zipped.
    let mut zipped = plain(3002, "zipped-alone");
    for file in &mut zipped.files {
        file.zipped = true;
    }

    let mut no_sample = plain(3003, "no-sample");
    no_sample.files.retain(|file| !file.name.contains("sample"));

    let mut hostile = plain(3004, "trap-door");
    hostile.bundle = Bundle::Raw {
        bytes: archive::zip(&[
            ("train.csv", b"id,label\n1,0\n"),
            ("../../escaped.csv", b"a\n1\n"),
            ("/etc/escaped.csv", b"a\n1\n"),
        ])
        .into(),
        ending: "zip",
    };

    // Little to load, much to unpack: twelve times the same zeros, zipped twice.
    let zeros = archive::zip(&[("zeros.csv", &vec![b'0'; 8 << 20])]);
    let names: Vec<String> = (0..12).map(|number| format!("{number}.zip")).collect();
    let zeros: Vec<(&str, &[u8])> = names
        .iter()
        .map(|name| (name.as_str(), zeros.as_ref()))
        .collect();
    let mut bomb = plain(3009, "paper-bomb");
    bomb.bundle = Bundle::Raw {
        bytes: archive::zip(&zeros).into(),
        ending: "zip",
    };

    let whole = plain(3005, "half-a-zip");
    let contents: Vec<_> = whole
        .files
        .iter()
        .map(|file| (file.name.clone(), file.content.bytes()))
        .collect();
    let parts: Vec<(&str, &[u8])> = contents
        .iter()
        .map(|(name, bytes)| (name.as_str(), bytes.as_ref()))
        .collect();
    let mut bytes = archive::zip(&parts);
    bytes.truncate(bytes.len() / 2);
    let half = Competition {
        bundle: Bundle::Raw {
            bytes: bytes.into(),
            ending: "zip",
        },
        ..whole
    };

    let mut one_class = plain(3006, "one-class");
    let rows: Vec<String> = (1..=200)
        .map(|row| format!("{row},{}.5,1\n", row % 17))
        .collect();
    let train = "id,width,label\n".to_owned() + &rows.concat();
    one_class.files[0].content = train.into();

    let mut one_column = plain(3007, "one-column");
    let rows: Vec<String> = (0..200).map(|row| format!("{}\n", row % 2)).collect();
    one_column.files[0].content = ("label\n".to_owned() + &rows.concat()).into();

    let mut bare_pages = plain(3008, "bare-pages");
    bare_pages.pages = vec![Page {
        name: "rules".into(),
        content: String::new(),
        mime_type: None,
    }];

    vec![
        nested, zipped, no_sample, hostile, bomb, half, one_class, one_column, bare_pages,
    ]
}
