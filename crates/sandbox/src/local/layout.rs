//! What a sandbox needs on the host: its data where it can reach it, and without isolation a folder as its workspace.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use tempfile::TempDir;

use crate::files;
use crate::{MountedFile, SandboxError};

/// The sandbox's folder on the host, if it needs one, and its data as it is to be mounted.
#[derive(Default)]
pub struct Layout {
    pub folder: Option<TempDir>,
    pub files: Vec<MountedFile>,
}

/// Without isolation the folder is the workspace, with links to the data; with it, there is one only for copies of what only its
/// owner could read: as root we give each sandbox a user of its own (`separates`), whom the modes of files and folders bind.
pub fn lay_out(
    parent: &Path,
    files: &[MountedFile],
    isolates: bool,
    separates: bool,
) -> Result<Layout, SandboxError> {
    let make = || {
        TempDir::with_prefix_in("sandbox-", parent)
            .map_err(SandboxError::io("make a sandbox's folder"))
    };
    let mut layout = Layout::default();
    if !isolates {
        layout.folder = Some(make()?);
    }
    for (index, file) in files.iter().enumerate() {
        let names = files::plain(&file.path)?;
        let fail = |source| SandboxError::Data {
            path: file.path.clone(),
            source,
        };
        let mut host_path = file.host_path.canonicalize().map_err(fail)?;
        let metadata = fs::metadata(&host_path).map_err(fail)?;
        if !metadata.is_file() && !metadata.is_dir() {
            return Err(fail(io::Error::other(
                "it is no regular file and no folder",
            )));
        }
        if let Some(folder) = layout.folder.as_ref().filter(|_| !isolates) {
            let link = folder.path().join("data").join(names.join("/"));
            fs::create_dir_all(link.parent().expect("it is below the folder")).map_err(fail)?;
            symlink(&host_path, link).map_err(fail)?;
        } else if separates && metadata.is_file() && !is_open_to_all(&host_path, &metadata) {
            if layout.folder.is_none() {
                layout.folder = Some(make()?);
            }
            let folder = layout.folder.as_ref().expect("it was just made");
            let copy = folder.path().join(format!("copy-{index}"));
            fs::copy(&host_path, &copy).map_err(fail)?;
            fs::set_permissions(&copy, fs::Permissions::from_mode(0o444)).map_err(fail)?;
            host_path = copy;
        }
        layout.files.push(MountedFile {
            path: names.join("/"),
            host_path,
        });
    }
    Ok(layout)
}

/// Whether anybody may read a file, and root without its capabilities find it.
fn is_open_to_all(path: &Path, metadata: &Metadata) -> bool {
    let leads = |folder: &Path| {
        fs::metadata(folder).is_ok_and(|folder| folder.uid() == 0 || folder.mode() & 0o001 != 0)
    };
    metadata.mode() & 0o004 != 0 && path.ancestors().skip(1).all(leads)
}
