//! The root filesystem of the image, from Debian's packages and `PyPI`, without a registry and without root.
//!
//! `apt-get` with a state of its own finds and fetches the packages and checks them as it always does; `dpkg-deb` unpacks them. The
//! interpreter that was unpacked, run by its own loader, then installs and compiles the pinned Python packages, so no Python of this
//! machine has a say. Owners, times and order in the tarball are fixed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, BufWriter};
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};

use tokio::process::Command;
use tokio::task::spawn_blocking;

use crate::SandboxError;
use crate::environment::run;

/// The Debian packages, which bring what they depend on.
pub const PACKAGES: &str = include_str!("../../image/packages");
/// To be raised when what is done with them changes.
pub const RECIPE: &str = "2";
/// Dead weight in a sandbox.
const DROPPED: [&str; 13] = [
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/bash-completion",
    "usr/share/bug",
    "usr/share/perl5",
    "usr/share/pixmaps",
    "usr/lib/systemd",
    "var/lib/dpkg",
    "var/cache",
    "boot",
];
/// Folders that Debian has at the top and below `usr`.
const MERGED: [&str; 6] = ["bin", "sbin", "lib", "lib32", "lib64", "libx32"];
/// 2025-01-01, for every entry.
const TIME: u64 = 1_735_689_600;

/// Writes the tarball to `target`.
pub async fn make(
    requirements: &str,
    target: &Path,
    progress: &(dyn Fn(&str) + Send + Sync),
) -> Result<(), SandboxError> {
    let what = || format!("make `{}`", target.display());
    let parent = target.parent().expect("a tarball lies in a folder");
    let work =
        tempfile::TempDir::with_prefix_in("rootfs-", parent).map_err(SandboxError::io(what()))?;
    let root = work.path().join("root");
    progress("fetching Debian packages (about 20 MB)");
    let tools = fetch(work.path(), &root).await?;
    tidy(&root).map_err(SandboxError::io(what()))?;
    let python = Interpreter::find(&root, tools).ok_or_else(|| SandboxError::Environment {
        what: "the Debian packages brought no Python; look at the apt sources of this machine"
            .into(),
        output: String::new(),
    })?;
    progress("installing pinned Python packages (about 110 MB to download)");
    let list = work.path().join("requirements.txt");
    fs::write(&list, requirements).map_err(SandboxError::io(what()))?;
    python.install(&list).await?;
    finish(&root).map_err(SandboxError::io(what()))?;
    progress("packing the image");
    let partial = target.with_extension("partial");
    let packed = {
        let (root, partial) = (root.clone(), partial.clone());
        spawn_blocking(move || pack(&root, &partial)).await
    };
    packed
        .map_err(|error| SandboxError::Open(error.to_string()))?
        .and_then(|()| fs::rename(&partial, target))
        .map_err(SandboxError::io(what()))
}

/// Unpacks the packages at `root`, and pip elsewhere; where the latter is.
async fn fetch(work: &Path, root: &Path) -> Result<PathBuf, SandboxError> {
    let what = "make folders for apt";
    let (state, cache, tools) = (work.join("state"), work.join("cache"), work.join("tools"));
    for folder in [
        state.join("lists/partial"),
        cache.join("archives/partial"),
        root.to_path_buf(),
        tools.clone(),
    ] {
        fs::create_dir_all(folder).map_err(SandboxError::io(what))?;
    }
    // Nothing is installed, so all that a package depends on is fetched.
    let status = state.join("status");
    File::create(&status).map_err(SandboxError::io(what))?;
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        for (name, value) in [
            ("Dir::State", state.as_path()),
            ("Dir::State::status", &status),
            ("Dir::Cache", &cache),
        ] {
            command.arg("-o").arg(format!("{name}={}", value.display()));
        }
        command
            .args(["-o", "Debug::NoLocking=1", "-o", "Acquire::Languages=none"])
            .args([
                "-o",
                "APT::Install-Recommends=0",
                "-o",
                "APT::Sandbox::User=",
                "-q",
                "-y",
            ])
            .args(arguments)
            .current_dir(&tools)
            .env("LC_ALL", "C");
        command
    };
    let remedy = "building without a registry needs apt and its sources, as on Debian or Ubuntu; elsewhere use the Dockerfile \
                  (`synth sandbox build --context DIR`)";
    run(
        apt(&["update"]),
        &format!("`apt-get update` failed; {remedy}"),
    )
    .await?;
    let install: Vec<&str> = ["--download-only", "install"]
        .into_iter()
        .chain(PACKAGES.lines())
        .collect();
    run(
        apt(&install),
        &format!("`apt-get install --download-only` failed; {remedy}"),
    )
    .await?;
    run(
        apt(&["download", "python3-pip"]),
        &format!("`apt-get download` failed; {remedy}"),
    )
    .await?;
    unpack(&cache.join("archives"), root).await?;
    unpack(&tools, &tools).await?;
    Ok(tools)
}

/// Unpacks every package in a folder.
async fn unpack(packages: &Path, target: &Path) -> Result<(), SandboxError> {
    let entries = fs::read_dir(packages).map_err(SandboxError::io("list the Debian packages"))?;
    let packages: BTreeSet<PathBuf> = entries
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "deb"))
        .collect();
    for package in packages {
        let mut command = Command::new("dpkg-deb");
        command.arg("-x").arg(&package).arg(target);
        run(command, "`dpkg-deb` failed").await?;
    }
    Ok(())
}

/// Moves what lies in `/bin` and its like below `/usr`, and drops what nobody needs.
fn tidy(root: &Path) -> io::Result<()> {
    for name in MERGED {
        let (top, below) = (root.join(name), root.join("usr").join(name));
        if !top.is_dir() && !below.is_dir() {
            continue;
        }
        if top.is_dir() && !top.is_symlink() {
            merge(&top, &below)?;
            fs::remove_dir_all(&top)?;
        }
        if !top.is_symlink() {
            symlink(format!("usr/{name}"), &top)?;
        }
    }
    for path in DROPPED {
        match fs::remove_dir_all(root.join(path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn merge(from: &Path, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() && target.is_dir() {
            merge(&entry.path(), &target)?;
        } else {
            fs::rename(entry.path(), target)?;
        }
    }
    Ok(())
}

/// The interpreter in the root filesystem, run by the loader in it.
struct Interpreter {
    loader: PathBuf,
    executable: PathBuf,
    /// As in `python3.11`.
    name: String,
    root: PathBuf,
    tools: PathBuf,
}

impl Interpreter {
    fn find(root: &Path, tools: PathBuf) -> Option<Self> {
        let is_version = |name: &str| {
            name.strip_prefix("python3.")
                .is_some_and(|minor| minor.bytes().all(|byte| byte.is_ascii_digit()))
        };
        let name = names(&root.join("usr/bin")).find(|name| is_version(name))?;
        let loader = names(&root.join("usr/lib"))
            .filter(|folder| folder.contains("-linux-"))
            .find_map(|folder| {
                let folder = root.join("usr/lib").join(folder);
                let loader = names(&folder).find(|name| name.starts_with("ld-linux-"))?;
                Some(folder.join(loader))
            })?;
        Some(Self {
            loader,
            executable: root.join("usr/bin").join(&name),
            name,
            root: root.to_path_buf(),
            tools,
        })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.loader);
        command
            .arg("--library-path")
            .arg(self.loader.parent().expect("it lies in a folder"))
            .arg(&self.executable)
            .args(["-s", "-B"])
            .env("PYTHONHOME", self.root.join("usr"))
            .env(
                "PYTHONPATH",
                self.tools.join("usr/lib/python3/dist-packages"),
            );
        command
    }

    /// Installs what the list pins, where Debian's interpreter looks for it, and compiles it all: containers cannot write bytecode.
    async fn install(&self, list: &Path) -> Result<(), SandboxError> {
        let packages = self
            .root
            .join("usr/local/lib")
            .join(&self.name)
            .join("dist-packages");
        let mut command = self.command();
        command
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--no-input",
                "--no-compile",
            ])
            .args(["--disable-pip-version-check", "--root-user-action=ignore"])
            .args(["--require-hashes", "--only-binary", ":all:", "--target"])
            .arg(&packages)
            .arg("-r")
            .arg(list);
        let remedy = "check the network; a proxy or a mirror is set as for pip itself (HTTPS_PROXY, PIP_INDEX_URL, PIP_CERT or pip.conf)";
        run(command, &format!("`pip install` failed; {remedy}")).await?;
        let mut command = self.command();
        command
            .args([
                "-m",
                "compileall",
                "-q",
                "--invalidation-mode",
                "unchecked-hash",
                "-s",
            ])
            .arg(&self.root)
            .args(["-p", "/"])
            .arg(self.root.join("usr/lib").join(&self.name))
            .arg(self.root.join("usr/lib/python3"))
            .arg(&packages)
            // Some packages carry files that are no Python of this version, on purpose.
            .args(["-x", "(bad_|lib2to3/tests|/test/)"]);
        run(command, "compiling the Python packages failed").await
    }
}

fn names(folder: &Path) -> impl Iterator<Item = String> {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
}

/// Adds what a sandbox's root has besides.
fn finish(root: &Path) -> io::Result<()> {
    fs::write(
        root.join("etc/passwd"),
        "agent:x:1000:1000:agent:/workspace:/bin/sh\n",
    )?;
    fs::write(root.join("etc/group"), "agent:x:1000:\n")?;
    fs::create_dir_all(root.join("workspace"))?;
    for name in ["data", "submission"] {
        symlink(Path::new("workspace").join(name), root.join(name))?;
    }
    Ok(())
}

/// The folder as a tarball: all of it root's, nothing with more rights than its user's, in the order of names.
fn pack(root: &Path, target: &Path) -> io::Result<()> {
    let mut tar = tar::Builder::new(BufWriter::new(File::create(target)?));
    tar.follow_symlinks(false);
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let mut entries: Vec<_> = fs::read_dir(root.join(&folder))?.collect::<Result<_, _>>()?;
        entries.sort_unstable_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = folder.join(entry.file_name());
            let metadata = entry.metadata()?;
            let mut header = tar::Header::new_gnu();
            header.set_mtime(TIME);
            // No setuid and no setgid.
            header.set_mode(metadata.mode() & 0o755 | 0o444);
            header.set_size(0);
            if metadata.is_dir() {
                header.set_entry_type(tar::EntryType::Directory);
                tar.append_data(&mut header, &path, io::empty())?;
                folders.push(path);
            } else if metadata.is_symlink() {
                header.set_entry_type(tar::EntryType::Symlink);
                tar.append_link(&mut header, &path, fs::read_link(entry.path())?)?;
            } else if metadata.is_file() {
                header.set_size(metadata.len());
                tar.append_data(&mut header, &path, File::open(entry.path())?)?;
            }
        }
    }
    tar.into_inner()?
        .into_inner()
        .map_err(io::IntoInnerError::into_error)?;
    Ok(())
}
