//! Names of an archive's entries as paths that stay inside.

use super::UnpackError;

const MAX_PATH_BYTES: usize = 1024;
const MAX_PART_BYTES: usize = 255;
const MAX_PARTS: usize = 64;

/// The name as a relative path with `/` between its parts, or why it is none.
pub(super) fn safe(name: &str) -> Result<String, UnpackError> {
    let refuse = |why| {
        let entry = name
            .chars()
            .map(|letter| if letter.is_control() { '?' } else { letter })
            .take(120)
            .collect();
        Err(UnpackError::UnsafePath { entry, why })
    };
    if name.len() > MAX_PATH_BYTES {
        return refuse("it is too long");
    }
    if name.contains(|letter: char| letter.is_control()) {
        return refuse("it holds control characters");
    }
    // Archives from Windows have `\` between the parts.
    let name_ = name.replace('\\', "/");
    if name_.starts_with('/') || name_.as_bytes().get(1) == Some(&b':') {
        return refuse("it is absolute");
    }
    let parts: Vec<&str> = name_
        .split('/')
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    if parts.contains(&"..") {
        return refuse("it leads out of its folder");
    }
    if parts.is_empty() {
        return refuse("it is empty");
    }
    if parts.len() > MAX_PARTS || parts.iter().any(|part| part.len() > MAX_PART_BYTES) {
        return refuse("it is too long");
    }
    Ok(parts.join("/"))
}

/// What operating systems leave in archives.
pub(super) fn is_junk(path: &str) -> bool {
    path.starts_with("__MACOSX/")
        || path
            .rsplit('/')
            .next()
            .is_some_and(|name| [".DS_Store", "Thumbs.db", "desktop.ini"].contains(&name))
}

/// An archive's name without what says that it is one.
pub(super) fn stem(name: &str) -> &str {
    for ending in [".zip", ".tar.gz", ".tgz", ".tar"] {
        if let Some(at) = name.len().checked_sub(ending.len())
            && at > 0
            && name.is_char_boundary(at)
            && name[at..].eq_ignore_ascii_case(ending)
        {
            return &name[..at];
        }
    }
    // A folder cannot have the name of a file that may lie beside it.
    name.rsplit_once('.')
        .map_or(name, |(stem, _)| if stem.is_empty() { name } else { stem })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for name in [
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a\\..\\x",
            "\\\\server\\x",
            "C:\\x",
            "c:x",
            "",
            ".",
            "./",
            "a\0b",
            "a\nb",
            "a/..",
            &"a".repeat(256),
            &"a/".repeat(65),
            &"a/b".repeat(400),
        ] {
            assert!(safe(name).is_err(), "{name:?}");
        }
        assert_eq!(safe("./a//b\\c.csv").unwrap(), "a/b/c.csv");
        assert_eq!(safe("..a/b..").unwrap(), "..a/b..");
    }

    #[test]
    fn an_archives_stem_is_its_name_without_its_ending() {
        for (name, expected) in [
            ("train.csv.zip", "train.csv"),
            ("x.TAR.GZ", "x"),
            ("x.tgz", "x"),
            (".zip", ".zip"),
            ("data.bin", "data"),
            ("data", "data"),
            ("ü.zip", "ü"),
        ] {
            assert_eq!(stem(name), expected);
        }
    }

    proptest! {
        #[test]
        fn a_path_that_is_let_through_stays_inside(name in "([a-z.:/\\\\\u{e9}\\x00 ]|\\.\\./){0,40}") {
            if let Ok(path) = safe(&name) {
                prop_assert!(!path.starts_with('/') && !path.is_empty());
                prop_assert!(path.split('/').all(|part| !["", ".", ".."].contains(&part)));
                prop_assert_eq!(safe(&path).unwrap(), path.clone());
            }
            stem(&name);
        }
    }
}
