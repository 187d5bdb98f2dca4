//! Files of a workspace, reached from outside through a descriptor of its folder: no path of the agent's is ever followed out of it.

use std::fs::{File, Metadata};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path};
use std::sync::Arc;

use rustix::fs::{
    AtFlags, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Uid, fstat, mkdirat, openat2, statat,
};
use rustix::io::Errno;

use crate::{Artifact, SandboxError, WorkspaceFile};

/// The workspace's folder, open.
pub type Workspace = Arc<OwnedFd>;

const BENEATH: ResolveFlags = ResolveFlags::BENEATH
    .union(ResolveFlags::NO_SYMLINKS)
    .union(ResolveFlags::NO_MAGICLINKS);

/// A listing looks at no more entries and no deeper, and holds no more folders open: an agent makes them faster than we read them.
const MAX_LISTED: usize = 100_000;
const MAX_OPEN: usize = 256;
const MAX_DEPTH: usize = 32;

/// The names on a plain relative path: no root, no `..`, nothing empty.
pub fn plain(path: &str) -> Result<Vec<&str>, SandboxError> {
    let refused = || SandboxError::Path(path.to_owned());
    if path.contains('\0') {
        return Err(refused());
    }
    let mut names = Vec::new();
    for component in Path::new(path).components() {
        match component {
            Component::Normal(name) => names.push(name.to_str().ok_or_else(refused)?),
            Component::CurDir => {}
            _ => return Err(refused()),
        }
    }
    if names.is_empty() || path.ends_with('/') {
        Err(refused())
    } else {
        Ok(names)
    }
}

/// Reads a regular file of at most `max` bytes.
pub fn read(workspace: &OwnedFd, path: &str, max: u64) -> Result<Vec<u8>, SandboxError> {
    read_if(workspace, path, max, |_| true)
}

/// Reads a regular file that has no other name: with one it may be a file from elsewhere.
fn read_single(workspace: &OwnedFd, path: &str, max: u64) -> Result<Vec<u8>, SandboxError> {
    read_if(workspace, path, max, |metadata| metadata.nlink() == 1)
}

fn read_if(
    workspace: &OwnedFd,
    path: &str,
    max: u64,
    is_welcome: impl FnOnce(&Metadata) -> bool,
) -> Result<Vec<u8>, SandboxError> {
    let names = plain(path)?;
    let fail = |why: String| SandboxError::File {
        path: path.to_owned(),
        why,
    };
    // Non-blocking: a pipe that the agent made must not hold us.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = openat2(workspace, names.join("/"), flags, Mode::empty(), BENEATH)
        .map_err(|error| fail(words(error)))?;
    let file = File::from(file);
    let metadata = file.metadata().map_err(|error| fail(error.to_string()))?;
    if !metadata.is_file() {
        return Err(fail("it is not a regular file".into()));
    }
    if !is_welcome(&metadata) {
        return Err(fail("it has further names".into()));
    }
    // What a sparse file claims counts, not what it holds.
    let too_large = || fail(format!("it has more than {max} bytes"));
    if metadata.len() > max {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    file.take(max.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(|error| fail(error.to_string()))?;
    if bytes.len() as u64 > max {
        Err(too_large())
    } else {
        Ok(bytes)
    }
}

/// Writes a regular file, and makes the folders above it.
pub fn write(workspace: &OwnedFd, path: &str, bytes: &[u8]) -> Result<(), SandboxError> {
    let names = plain(path)?;
    let fail = |error: io::Error| SandboxError::File {
        path: path.to_owned(),
        why: error.to_string(),
    };
    write_beneath(workspace, &names, bytes).map_err(fail)
}

fn write_beneath(workspace: &OwnedFd, names: &[&str], bytes: &[u8]) -> io::Result<()> {
    let (name, folders) = names.split_last().expect("a plain path has a name");
    // What we make belongs to the agent, whoever we are.
    let owner = fstat(workspace)?;
    let (uid, gid) = (Uid::from_raw(owner.st_uid), Gid::from_raw(owner.st_gid));
    let folder_flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut folder = openat2(workspace, ".", folder_flags, Mode::empty(), BENEATH)?;
    for name in folders {
        match mkdirat(&folder, *name, Mode::from_raw_mode(0o755)) {
            Ok(()) => rustix::fs::chownat(
                &folder,
                *name,
                Some(uid),
                Some(gid),
                AtFlags::SYMLINK_NOFOLLOW,
            )?,
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        folder = openat2(&folder, *name, folder_flags, Mode::empty(), BENEATH)?;
    }
    let flags =
        OFlags::WRONLY | OFlags::CREATE | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOCTTY;
    let file = openat2(&folder, *name, flags, Mode::from_raw_mode(0o644), BENEATH)?;
    let mut file = File::from(file);
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    rustix::fs::fchown(file.as_fd(), Some(uid), Some(gid))?;
    file.set_len(0)?;
    file.write_all(bytes)
}

/// How many files are collected at most.
pub const MAX_ARTIFACTS: usize = 64;

/// Reads those of `paths` that are regular files with one name, no more than [`MAX_ARTIFACTS`], as long as all together have at most
/// `max` bytes.
pub fn collect(
    workspace: &OwnedFd,
    paths: &[String],
    max: u64,
) -> Result<Vec<Artifact>, SandboxError> {
    let mut left = max;
    let mut artifacts = Vec::new();
    for path in paths {
        if artifacts.len() == MAX_ARTIFACTS {
            break;
        }
        match read_single(workspace, path, left) {
            Ok(bytes) => {
                left -= bytes.len() as u64;
                artifacts.push(Artifact {
                    path: path.clone(),
                    bytes,
                });
            }
            Err(SandboxError::File { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(artifacts)
}

/// The regular files below the workspace, without its data files, in the order of their paths; no more than `max`.
pub fn list(workspace: &OwnedFd, max: usize) -> Result<Vec<WorkspaceFile>, SandboxError> {
    let fail = |path: &str, error: Errno| SandboxError::File {
        path: path.to_owned(),
        why: words(error),
    };
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let top =
        openat2(workspace, ".", flags, Mode::empty(), BENEATH).map_err(|error| fail(".", error))?;
    let mut files = Vec::new();
    let mut seen = 0;
    let mut folders = vec![(String::new(), top)];
    while let Some((prefix, folder)) = folders.pop() {
        let entries = Dir::read_from(&folder).map_err(|error| fail(&prefix, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| fail(&prefix, error))?;
            let Ok(name) = entry.file_name().to_str() else {
                continue;
            };
            seen += 1;
            let path = format!("{prefix}{name}");
            if matches!(name, "." | "..") || path == "data" {
                continue;
            }
            if seen > MAX_LISTED {
                return Ok(first(files, max));
            }
            // What the agent takes away meanwhile is no failure.
            let Ok(stat) = statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => files.push(WorkspaceFile {
                    path,
                    bytes: stat.st_size.try_into().unwrap_or(0),
                }),
                FileType::Directory
                    if folders.len() < MAX_OPEN && path.matches('/').count() < MAX_DEPTH =>
                {
                    if let Ok(inner) = openat2(&folder, name, flags, Mode::empty(), BENEATH) {
                        folders.push((format!("{path}/"), inner));
                    }
                }
                _ => {}
            }
        }
    }
    Ok(first(files, max))
}

fn first(mut files: Vec<WorkspaceFile>, max: usize) -> Vec<WorkspaceFile> {
    files.sort_unstable_by(|one, other| one.path.cmp(&other.path));
    files.truncate(max);
    files
}

fn words(error: Errno) -> String {
    match error {
        Errno::LOOP => "it is a link".into(),
        Errno::XDEV => "it leads out of the workspace".into(),
        other => io::Error::from(other).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;

    fn workspace() -> (tempfile::TempDir, OwnedFd) {
        let folder = tempfile::tempdir().unwrap();
        let descriptor = File::open(folder.path()).unwrap().into();
        (folder, descriptor)
    }

    #[test]
    fn paths_out_of_the_workspace_are_refused() {
        for path in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "a/../../b",
            "a/..",
            "a\0b",
            "folder/",
        ] {
            assert!(
                matches!(plain(path), Err(SandboxError::Path(_))),
                "{path:?}"
            );
        }
        assert_eq!(plain("./a//b").unwrap(), ["a", "b"]);
    }

    #[test]
    fn links_folders_and_pipes_are_not_read() {
        let (folder, workspace) = workspace();
        fs::create_dir(folder.path().join("folder")).unwrap();
        fs::write(folder.path().join("file"), "content").unwrap();
        std::os::unix::fs::symlink("file", folder.path().join("link")).unwrap();
        std::os::unix::fs::symlink("/etc", folder.path().join("etc")).unwrap();
        assert!(
            std::process::Command::new("mkfifo")
                .arg(folder.path().join("pipe"))
                .status()
                .unwrap()
                .success()
        );
        let paths = ["folder", "link", "etc/passwd", "pipe", "missing", "file"].map(String::from);
        let artifacts = collect(&workspace, &paths, 100).unwrap();
        assert_eq!(
            artifacts,
            [Artifact {
                path: "file".into(),
                bytes: b"content".to_vec()
            }]
        );
        assert_eq!(collect(&workspace, &paths, 6).unwrap(), []);
        assert!(write(&workspace, "link", b"x").is_err());
        assert!(write(&workspace, "etc/x", b"x").is_err());
    }

    #[test]
    fn a_listing_names_regular_files_without_links_and_data() {
        let (folder, workspace) = workspace();
        fs::create_dir_all(folder.path().join("a/b")).unwrap();
        fs::create_dir(folder.path().join("data")).unwrap();
        for path in ["a/b/deep.txt", "a/x", "top", "data/hidden"] {
            fs::write(folder.path().join(path), "12").unwrap();
        }
        std::os::unix::fs::symlink("/etc", folder.path().join("etc")).unwrap();
        std::os::unix::fs::symlink("top", folder.path().join("link")).unwrap();
        let paths = |max| -> Vec<String> {
            let files = list(&workspace, max).unwrap();
            assert!(files.iter().all(|file| file.bytes == 2));
            files.into_iter().map(|file| file.path).collect()
        };
        assert_eq!(paths(10), ["a/b/deep.txt", "a/x", "top"]);
        assert_eq!(paths(1), ["a/b/deep.txt"]);
    }

    #[test]
    fn a_written_file_is_read_back_and_a_shorter_one_replaces_it() {
        let (_folder, workspace) = workspace();
        write(&workspace, "a/b/c.txt", b"a long text").unwrap();
        write(&workspace, "a/b/c.txt", b"short").unwrap();
        assert_eq!(read(&workspace, "a/b/c.txt", 5).unwrap(), b"short");
        assert!(matches!(
            read(&workspace, "a/b/c.txt", 4),
            Err(SandboxError::File { .. })
        ));
    }

    proptest! {
        #[test]
        fn a_plain_path_never_leads_up(path in "[./a]{0,12}") {
            if let Ok(names) = plain(&path) {
                prop_assert!(!path.starts_with('/'));
                prop_assert!(names.iter().all(|name| *name != ".." && *name != "." && !name.contains('/')));
            }
        }
    }
}
