//! Archives of every kind, among them those that mean harm.

use std::io::{Cursor, Write};
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use synth_kaggle::{Content, UnpackError, UnpackLimits, Unpacked, unpack, unpack_into};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

pub fn zip_of(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in files {
        let options = SimpleFileOptions::default().compression_method(CompressionMethod::Deflated);
        if name.ends_with('/') {
            writer.add_directory(*name, options).unwrap();
        } else {
            writer.start_file(*name, options).unwrap();
            writer.write_all(content).unwrap();
        }
    }
    writer.finish().unwrap().into_inner()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A tar with entries of any kind and name, also such as no writer of tars would write.
fn tar_of(entries: &[(&str, tar::EntryType, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, kind, content) in entries {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(*kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    builder.into_inner().unwrap()
}

fn file(
    name: &'static str,
    content: &'static [u8],
) -> (&'static str, tar::EntryType, &'static [u8]) {
    (name, tar::EntryType::Regular, content)
}

type Files = Vec<(String, Vec<u8>)>;

fn unpacked(bytes: &[u8], limits: UnpackLimits) -> Result<(Files, Unpacked), UnpackError> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    std::fs::write(&path, bytes).unwrap();
    let mut files = Vec::new();
    let result = unpack(&path, &limits, &mut |name, content| {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        files.push((name.to_owned(), bytes));
        Ok(())
    });
    // Spools are nameless: nothing is left beside the archive.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    result.map(|unpacked| (files, unpacked))
}

fn names(bytes: &[u8]) -> Vec<String> {
    let (files, _) = unpacked(bytes, UnpackLimits::default()).unwrap();
    files.into_iter().map(|(name, _)| name).collect()
}

fn reason(bytes: &[u8]) -> &'static str {
    unpacked(bytes, UnpackLimits::default())
        .unwrap_err()
        .reason()
}

#[test]
fn zip_tar_and_tar_gz_give_the_same_files_whatever_they_are_called() {
    let entries = [
        file("a.csv", b"1"),
        ("d", tar::EntryType::Directory, b""),
        file("d/b.csv", b"22"),
    ];
    let tar = tar_of(&entries);
    let zip = zip_of(&[("a.csv", b"1"), ("d/", b""), ("d/b.csv", b"22")]);
    for bytes in [zip, gzip(&tar), tar] {
        let (files, unpacked) = unpacked(&bytes, UnpackLimits::default()).unwrap();
        let expected = [
            ("a.csv".to_owned(), b"1".to_vec()),
            ("d/b.csv".to_owned(), b"22".to_vec()),
        ];
        assert_eq!(files, expected);
        assert_eq!((unpacked.files, unpacked.bytes), (2, 3));
    }
}

#[test]
fn inner_archives_are_opened_and_land_where_their_name_says() {
    let deepest = zip_of(&[("z.csv", b"z")]);
    let bundle = zip_of(&[
        ("train.csv.zip", &zip_of(&[("train.csv", b"t")])),
        (
            "data/images.zip",
            &zip_of(&[("1.jpg", b"1"), ("x/2.jpg", b"2")]),
        ),
        ("test.zip", &zip_of(&[("test/3.jpg", b"3")])),
        ("labels.zip", &zip_of(&[("labels.csv", b"l")])),
        (
            "more.bin",
            &gzip(&tar_of(&[file("m.csv", b"m"), file("deep.zip", b"no zip")])),
        ),
        ("outer.zip", &zip_of(&[("inner.zip", &deepest)])),
        ("scan.nii.gz", &gzip(b"not a tar")),
    ]);
    assert_eq!(
        names(&bundle),
        [
            "train.csv",
            "data/images/1.jpg",
            "data/images/x/2.jpg",
            "test/3.jpg",
            "labels.csv",
            "more/m.csv",
            "more/deep.zip",
            "outer/inner/z.csv",
            "scan.nii.gz",
        ]
    );
}

#[test]
fn archives_are_opened_down_to_the_fourth_inside() {
    let boxed = |levels: usize| {
        (0..levels).fold(zip_of(&[("x.csv", b"1")]), |inner, level| {
            zip_of(&[(&format!("{level}.zip"), inner.as_slice())])
        })
    };
    for (levels, path) in [
        (1, "0/x.csv"),
        (2, "1/0/x.csv"),
        (4, "3/2/1/0/x.csv"),
        (5, "4/3/2/1/0.zip"),
    ] {
        let (files, _) = unpacked(&boxed(levels), UnpackLimits::default()).unwrap();
        let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, [path]);
    }
}

#[test]
fn documents_that_are_zip_files_by_nature_stay_whole() {
    let sheet = zip_of(&[
        ("[Content_Types].xml", b"<x/>"),
        ("xl/workbook.xml", b"<x/>"),
    ]);
    let arrays = zip_of(&[("x.npy", b"1"), ("y.npy", b"2")]);
    let model = zip_of(&[("model/data.pkl", b"1"), ("model/version", b"3")]);
    let empty = zip_of(&[]);
    let bundle = zip_of(&[
        ("a.xlsx", &sheet),
        ("b.npz", &arrays),
        ("c.pt", &model),
        ("d", &empty),
    ]);
    let (files, unpacked) = unpacked(&bundle, UnpackLimits::default()).unwrap();
    assert_eq!(files[0], ("a.xlsx".to_owned(), sheet.clone()));
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["a.xlsx", "b.npz", "c.pt", "d"]);
    assert_eq!(
        unpacked.bytes,
        (sheet.len() + arrays.len() + model.len() + empty.len()) as u64
    );
}

#[test]
fn a_broken_inner_archive_stays_as_it_is_and_is_remarked_on() {
    let mut broken = zip_of(&[("a", b"a")]);
    broken.truncate(20);
    let (files, unpacked) =
        unpacked(&zip_of(&[("x.zip", &broken)]), UnpackLimits::default()).unwrap();
    assert_eq!(files, [("x.zip".to_owned(), broken)]);
    assert!(unpacked.remarks[0].contains("x.zip"));
}

#[test]
fn names_that_lead_elsewhere_are_refused_in_every_format() {
    for name in ["../x", "/x", "a/../../x", "..\\x", "C:\\x"] {
        assert_eq!(
            reason(&zip_of(&[(name, b"")])),
            "archive_unsafe_path",
            "{name}"
        );
    }
    for name in ["../x", "/x", "a/../../x"] {
        let tar = tar_of(&[(name, tar::EntryType::Regular, b"")]);
        assert_eq!(reason(&gzip(&tar)), "archive_unsafe_path", "{name}");
    }
    // Also at any depth.
    let inner = zip_of(&[("a.zip", &zip_of(&[("../../x", b"")]))]);
    assert_eq!(reason(&inner), "archive_unsafe_path");
    assert_eq!(reason(&zip_of(&[("b.zip", &inner)])), "archive_unsafe_path");
}

#[test]
fn links_devices_and_duplicates_are_refused() {
    for (kind, expected) in [
        (tar::EntryType::Symlink, "archive_link"),
        (tar::EntryType::Link, "archive_link"),
        (tar::EntryType::Char, "archive_no_file"),
        (tar::EntryType::Block, "archive_no_file"),
        (tar::EntryType::Fifo, "archive_no_file"),
    ] {
        assert_eq!(reason(&tar_of(&[("x", kind, b"")])), expected);
    }
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer
        .add_symlink("x", "/etc/passwd", SimpleFileOptions::default())
        .unwrap();
    assert_eq!(
        reason(&writer.finish().unwrap().into_inner()),
        "archive_link"
    );

    assert_eq!(
        reason(&tar_of(&[file("x", b"1"), file("./x", b"2")])),
        "archive_duplicate"
    );
    assert_eq!(
        reason(&tar_of(&[file("x", b"1"), file("x/y", b"2")])),
        "archive_duplicate"
    );
    assert_eq!(
        reason(&tar_of(&[file("x/y", b"1"), file("x", b"2")])),
        "archive_duplicate"
    );
    // Two entries of one name, which no writer writes: the second is renamed in the bytes.
    let mut bytes = zip_of(&[("aaaa", b"1"), ("bbbb", b"2")]);
    for at in 0..bytes.len() - 4 {
        if &bytes[at..at + 4] == b"bbbb" {
            bytes[at..at + 4].copy_from_slice(b"aaaa");
        }
    }
    assert_eq!(reason(&bytes), "archive_duplicate");
    // A file that an inner archive has too is not written over.
    let bundle = zip_of(&[
        ("t.csv", b"outer"),
        ("t.csv.zip", &zip_of(&[("t.csv", b"inner")])),
    ]);
    let (files, unpacked) = unpacked(&bundle, UnpackLimits::default()).unwrap();
    assert_eq!(files, [("t.csv".to_owned(), b"outer".to_vec())]);
    assert_eq!(unpacked.remarks.len(), 1);
}

#[test]
fn notes_of_operating_systems_are_left_out() {
    let (files, unpacked) = unpacked(
        &zip_of(&[
            ("__MACOSX/._a.csv", b"x"),
            ("d/.DS_Store", b"x"),
            ("a.csv", b"1"),
        ]),
        UnpackLimits::default(),
    )
    .unwrap();
    assert_eq!(
        (files.len(), unpacked.files, unpacked.remarks.len()),
        (1, 1, 2)
    );
}

#[test]
fn half_and_damaged_archives_are_told_from_whole_ones() {
    let noise: Vec<u8> = (0..50_000_u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let zip = zip_of(&[("noise.bin", &noise)]);
    let tar = tar_of(&[("noise.bin", tar::EntryType::Regular, &noise)]);
    let tar_gz = gzip(&tar);
    for whole in [&zip, &tar_gz, &tar] {
        assert_eq!(reason(&whole[..whole.len() / 2]), "archive_truncated");
    }
    for whole in [&zip, &tar_gz] {
        let mut damaged = whole.clone();
        damaged[whole.len() / 2] ^= 0x55;
        assert_eq!(reason(&damaged), "archive_damaged");
    }
    for other in [&b"a,b\n1,2\n"[..], b"", &gzip(b"a,b\n")] {
        assert_eq!(reason(other), "no_archive");
    }
}

#[test]
fn encrypted_and_unknown_compression_are_reasons() {
    let plain = zip_of(&[("secret.csv", b"a,b")]);
    let central = plain
        .windows(4)
        .position(|bytes| bytes == b"PK\x01\x02")
        .unwrap();
    let mut encrypted = plain.clone();
    (encrypted[6], encrypted[central + 8]) = (encrypted[6] | 1, encrypted[central + 8] | 1);
    assert_eq!(reason(&encrypted), "archive_encrypted");
    let mut unknown = plain;
    (unknown[8], unknown[central + 10]) = (97, 97);
    assert_eq!(reason(&unknown), "archive_unsupported");
}

#[test]
fn limits_end_an_archive_before_it_fills_anything() {
    let limits = |max_files, max_bytes, max_ratio| UnpackLimits {
        max_files,
        max_bytes,
        max_ratio,
    };
    let three = zip_of(&[("a", b"1"), ("b", b"22"), ("c", b"333")]);
    let reason = |bytes: &[u8], limits| {
        unpacked(bytes, limits).map_or_else(|error| error.reason(), |_| "kept")
    };
    assert_eq!(reason(&three, limits(2, 100, 10)), "archive_too_many_files");
    assert_eq!(reason(&three, limits(3, 5, 10)), "archive_too_large");
    assert_eq!(reason(&three, limits(3, 6, 10)), "kept");
    let tar = tar_of(&[
        file("a", b"1"),
        file("b", b"22"),
        ("d", tar::EntryType::Directory, b""),
    ]);
    assert_eq!(reason(&tar, limits(1, 100, 10)), "archive_too_many_files");
    let inner = zip_of(&[("a.zip", &three), ("b.zip", &three)]);
    assert_eq!(
        reason(&inner, limits(2, 1_000_000, 10)),
        "archive_too_many_files"
    );
}

/// Writes 80 MiB of zeros, which compress to a thousandth.
fn zeros(writer: &mut dyn Write) {
    let block = vec![0; 1 << 20];
    for _ in 0..80 {
        writer.write_all(&block).unwrap();
    }
}

#[test]
fn a_bomb_is_stopped_by_its_ratio() {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    writer
        .start_file(
            "zeros",
            SimpleFileOptions::default().compression_method(CompressionMethod::Deflated),
        )
        .unwrap();
    zeros(&mut writer);
    let bomb = writer.finish().unwrap().into_inner();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb");
    std::fs::write(&path, &bomb).unwrap();
    let count = |path: &Path| {
        let mut seen = 0;
        let result = unpack(path, &UnpackLimits::default(), &mut |_, content| {
            seen += std::io::copy(content, &mut std::io::sink())?;
            Ok(())
        });
        (result.map_err(|error| error.reason()), seen)
    };
    let (result, _) = count(&path);
    assert_eq!(result, Err("archive_bomb"));
    // Inside another one, where it is spooled.
    std::fs::write(&path, zip_of(&[("x.zip", &bomb)])).unwrap();
    assert_eq!(count(&path).0, Err("archive_bomb"));
}

#[test]
fn an_endless_name_in_a_tar_is_not_read_into_memory() {
    let mut header = tar::Header::new_gnu();
    header.as_mut_bytes()[..13].copy_from_slice(b"././@LongLink");
    header.set_entry_type(tar::EntryType::GNULongName);
    header.set_size(80 << 20);
    header.set_cksum();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(header.as_bytes()).unwrap();
    zeros(&mut encoder);
    assert_eq!(reason(&encoder.finish().unwrap()), "archive_damaged");
}

#[test]
fn an_error_of_whoever_takes_the_files_is_not_the_archives() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    std::fs::write(&path, zip_of(&[("a", b"1")])).unwrap();
    let result = unpack(&path, &UnpackLimits::default(), &mut |_, _| {
        Err(std::io::ErrorKind::StorageFull.into())
    });
    assert!(
        matches!(result, Err(UnpackError::Io(error)) if error.kind() == std::io::ErrorKind::StorageFull)
    );
}

#[test]
fn a_folder_gets_all_of_an_archive_or_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    let target = folder.path().join("data");
    let mut bytes = zip_of(&[("a.csv", b"1"), ("d/b.csv", b"2")]);
    std::fs::write(&path, &bytes).unwrap();
    let (files, _) = unpack_into(&path, &target, &UnpackLimits::default()).unwrap();
    assert_eq!(files, [("a.csv".to_owned(), 1), ("d/b.csv".to_owned(), 1)]);
    assert_eq!(std::fs::read(target.join("d/b.csv")).unwrap(), b"2");
    std::fs::remove_dir_all(&target).unwrap();
    // The second file's checksum is wrong.
    let at = bytes
        .windows(7)
        .rposition(|window| window == b"d/b.csv")
        .unwrap()
        - 46
        + 16;
    bytes[at] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    let error = unpack_into(&path, &target, &UnpackLimits::default()).unwrap_err();
    assert_eq!(error.reason(), "archive_damaged");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn content_is_told_by_the_bytes() {
    let of = |bytes: &[u8]| Content::of(&mut Cursor::new(bytes)).unwrap();
    let tar = tar_of(&[file("a", b"1")]);
    assert_eq!(of(&zip_of(&[])), Content::Zip);
    assert_eq!(of(&gzip(&tar)), Content::TarGz);
    assert_eq!(of(&tar), Content::Tar);
    assert_eq!(of(&gzip(b"x")), Content::Gzip);
    assert_eq!(of(&[0x1f, 0x8b, 8, 0xff]), Content::Gzip);
    assert_eq!(of(b"PK"), Content::Other);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn any_change_of_an_archive_is_survived(which in 0..4_usize, at in any::<prop::sample::Index>(), byte in any::<u8>(), cut in any::<prop::sample::Index>(), is_cut in any::<bool>()) {
        let inner = zip_of(&[("1.jpg", b"11111"), ("d/2.jpg", b"2")]);
        let tar = tar_of(&[file("a.csv", b"1"), file("d/b.csv", b"22")]);
        let mut bytes = match which {
            0 => zip_of(&[("a.csv", b"1"), ("images.zip", &inner)]),
            1 => gzip(&tar),
            2 => tar,
            _ => inner,
        };
        let at = at.index(bytes.len());
        bytes[at] = byte;
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        if let Ok((files, _)) = unpacked(&bytes, UnpackLimits::default()) {
            for (name, _) in files {
                prop_assert!(!name.starts_with('/') && name.split('/').all(|part| !["", ".", ".."].contains(&part)));
            }
        }
    }
}
