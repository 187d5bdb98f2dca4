//! The Python environment of sandboxes: found or made once per user, from hashes that are pinned in this crate.

use std::env;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use synth_core::Fingerprint;
use synth_core::config::SandboxConfig;
use tokio::process::Command;
use tokio::time::{sleep, timeout};

use crate::SandboxError;

/// The packages that every environment holds, by hash.
pub(crate) const REQUIREMENTS: &str = include_str!("../agent/requirements.lock");
const CANDIDATES: [&str; 5] = [
    "python3.13",
    "python3.12",
    "python3.11",
    "python3.10",
    "python3",
];
const MARKER: &str = "synth-environment.json";
/// A broken wrapper script must not hold up a start for ever.
const ASK_TIMEOUT: Duration = Duration::from_secs(20);

/// Runs `venv` or `pip` so that a sandbox, which may run as a user of its own, can read what it makes whatever our umask is.
const RUN_MODULE: &str = "import os, runpy, sys; os.umask(0o022); sys.argv = sys.argv[1:]; \
                          runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)";

/// An environment that is complete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// Its folder.
    pub folder: PathBuf,
    /// The version of its Python.
    pub version: String,
    /// The Python that it was made with; it is needed to run it.
    pub base: PathBuf,
    /// The fingerprint of the pinned packages.
    pub packages: Fingerprint,
}

impl Environment {
    /// Its interpreter.
    pub fn python(&self) -> PathBuf {
        self.folder.join("bin/python")
    }
}

/// A Python that can make environments.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Python {
    /// The executable itself, behind all wrappers.
    pub path: PathBuf,
    /// Its version, in full.
    pub version: String,
}

/// The packages that every environment of this version holds: what code printed under others may differ.
pub fn fingerprint() -> Fingerprint {
    Fingerprint::of_bytes(REQUIREMENTS.as_bytes())
}

/// The environment, made first if there is none. `progress` is told what takes long.
pub async fn provide(
    config: &SandboxConfig,
    progress: &(dyn Fn(&str) + Send + Sync),
) -> Result<Environment, SandboxError> {
    if let Some(environment) = ready(config) {
        return Ok(environment);
    }
    let python = find_python(config).await?;
    let cache = cache_folder(config)?;
    fs::create_dir_all(&cache).map_err(SandboxError::io(format!(
        "make the cache folder `{}`",
        cache.display()
    )))?;
    let name = environment_name(&python);
    let folder = cache.join(&name);
    let _held = lock(&cache.join(format!("{name}.lock")), progress).await?;
    // Whoever held the lock before us may have made it.
    let environment = match complete(&folder) {
        Some(environment) => environment,
        None => make(&cache, &folder, &python, progress).await?,
    };
    remember(&cache, config, &name)?;
    Ok(environment)
}

/// The environment that `provide` would give without making one.
pub fn ready(config: &SandboxConfig) -> Option<Environment> {
    let cache = cache_folder(config).ok()?;
    let name = fs::read_to_string(cache.join(choice_name(config))).ok()?;
    complete(&cache.join(name.trim()))
}

/// The first usable Python: the configured one, else the newest on the PATH.
pub async fn find_python(config: &SandboxConfig) -> Result<Python, SandboxError> {
    let search = env::var_os("PATH").unwrap_or_default();
    find_python_in(&config.python, &search).await
}

async fn find_python_in(configured: &Path, search: &OsStr) -> Result<Python, SandboxError> {
    let candidates: Vec<PathBuf> = if configured.as_os_str().is_empty() {
        CANDIDATES
            .iter()
            .flat_map(|name| env::split_paths(search).map(move |folder| folder.join(name)))
            .filter(|path| path.is_file())
            .collect()
    } else {
        vec![configured.to_path_buf()]
    };
    let mut tried = Vec::new();
    for candidate in candidates {
        match ask(&candidate).await {
            Ok(python) => return Ok(python),
            Err(why) => tried.push(format!("`{}` ({why})", candidate.display())),
        }
    }
    let tried = if tried.is_empty() {
        format!("{} on the PATH", CANDIDATES.join(", "))
    } else {
        tried.join(", ")
    };
    Err(SandboxError::NoPython { tried })
}

/// Has a Python say what it is; the error is a short reason.
async fn ask(candidate: &Path) -> Result<Python, String> {
    const QUESTION: &str = "import json, sys, os\n\
        version = '.'.join(map(str, sys.version_info[:3]))\n\
        if sys.version_info < (3, 10): sys.exit('it is Python ' + version)\n\
        import ctypes, ssl, sqlite3, venv, ensurepip\n\
        path = getattr(sys, '_base_executable', None) or sys.executable\n\
        print(json.dumps({'path': os.path.realpath(path), 'version': version}))";
    let mut command = Command::new(candidate);
    command
        .args(["-I", "-c", QUESTION])
        .stdin(Stdio::null())
        .kill_on_drop(true);
    let output = match timeout(ASK_TIMEOUT, command.output()).await {
        Err(_) => return Err("it does not answer".into()),
        Ok(Err(error)) => return Err(error.to_string()),
        Ok(Ok(output)) => output,
    };
    if !output.status.success() {
        let stderr = String::from_utf8_lossy(&output.stderr);
        let last = stderr
            .trim()
            .lines()
            .last()
            .unwrap_or("it fails without a word")
            .trim();
        return Err(last.chars().take(200).collect());
    }
    serde_json::from_slice(&output.stdout).map_err(|_| "its answer makes no sense".into())
}

/// The folder where environments are kept.
pub fn cache_folder(config: &SandboxConfig) -> Result<PathBuf, SandboxError> {
    if !config.cache.as_os_str().is_empty() {
        return std::path::absolute(&config.cache)
            .map_err(SandboxError::io("find the cache folder"));
    }
    let set = |name: &str| {
        env::var_os(name)
            .map(PathBuf::from)
            .filter(|path| path.is_absolute())
    };
    let cache = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    cache.map(|cache| cache.join("synth")).ok_or_else(|| SandboxError::Environment {
        what: "neither XDG_CACHE_HOME nor HOME is set; set `sandbox.cache` to a folder that is kept".into(),
        output: String::new(),
    })
}

fn packages() -> Fingerprint {
    Fingerprint::of_bytes(REQUIREMENTS.as_bytes())
}

fn environment_name(python: &Python) -> String {
    let path = python.path.as_os_str().as_encoded_bytes();
    let parts: [(&str, &[u8]); 3] = [
        ("packages", REQUIREMENTS.as_bytes()),
        ("version", python.version.as_bytes()),
        ("python", path),
    ];
    let fingerprint = Fingerprint::of_parts(&parts).to_string();
    format!("python-{}-{}", python.version, &fingerprint[..16])
}

/// Names the file that remembers which environment was chosen, so that a start need not ask every Python again.
fn choice_name(config: &SandboxConfig) -> String {
    let search = env::var_os("PATH").unwrap_or_default();
    let parts: [(&str, &[u8]); 3] = [
        ("packages", REQUIREMENTS.as_bytes()),
        ("python", config.python.as_os_str().as_encoded_bytes()),
        ("search", search.as_encoded_bytes()),
    ];
    format!(
        "choice-{}",
        &Fingerprint::of_parts(&parts).to_string()[..16]
    )
}

fn remember(cache: &Path, config: &SandboxConfig, name: &str) -> Result<(), SandboxError> {
    let what = || format!("write in the cache folder `{}`", cache.display());
    let mut file = tempfile::NamedTempFile::new_in(cache).map_err(SandboxError::io(what()))?;
    io::Write::write_all(&mut file, name.as_bytes()).map_err(SandboxError::io(what()))?;
    file.persist(cache.join(choice_name(config)))
        .map_err(|error| SandboxError::io(what())(error.error))?;
    Ok(())
}

/// What the marker in `folder` says, if it is there, is about these packages, and its Python still exists.
fn complete(folder: &Path) -> Option<Environment> {
    let environment: Environment =
        serde_json::from_slice(&fs::read(folder.join(MARKER)).ok()?).ok()?;
    let usable = environment.folder == folder
        && environment.packages == packages()
        && environment.base.is_file()
        && environment.python().is_file();
    usable.then_some(environment)
}

/// Waits for the exclusive lock on `path`, which the kernel frees however its holder ends.
pub(crate) async fn lock(
    path: &Path,
    progress: &(dyn Fn(&str) + Send + Sync),
) -> Result<File, SandboxError> {
    let what = || format!("lock `{}`", path.display());
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .map_err(SandboxError::io(what()))?;
    let mut told = false;
    loop {
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(file),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                if !std::mem::replace(&mut told, true) {
                    progress("waiting for another process that makes the Python environment");
                }
                sleep(Duration::from_millis(200)).await;
            }
            Err(error) => return Err(SandboxError::io(what())(error.into())),
        }
    }
}

/// Makes the environment under another name and renames it when it is complete.
async fn make(
    cache: &Path,
    folder: &Path,
    python: &Python,
    progress: &(dyn Fn(&str) + Send + Sync),
) -> Result<Environment, SandboxError> {
    let what = || format!("make the environment `{}`", folder.display());
    let name = folder
        .file_name()
        .expect("an environment's folder has a name")
        .to_string_lossy()
        .into_owned();
    let partial = cache.join(format!("{name}.partial"));
    // Left by an install that was killed; we hold the lock, so nobody is at work in it.
    for left in [&partial, &folder.to_path_buf()] {
        match fs::remove_dir_all(left) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(SandboxError::io(what())(error));
            }
            _ => {}
        }
    }
    fs::create_dir(&partial).map_err(SandboxError::io(what()))?;
    progress(&format!(
        "making a Python {} environment in `{}`",
        python.version,
        folder.display()
    ));
    let remedy = "the distribution may keep `venv` in a package of its own (python3-venv)";
    let mut command = Command::new(&python.path);
    command.args(["-I", "-c", RUN_MODULE, "venv"]).arg(&partial);
    run(command, &format!("`python -m venv` failed; {remedy}")).await?;

    let lock_file = partial.join("requirements.lock");
    fs::write(&lock_file, REQUIREMENTS).map_err(SandboxError::io(what()))?;
    progress("installing pinned Python packages (about 110 MB to download, once)");
    let mut command = Command::new(partial.join("bin/python"));
    command
        .args([
            "-I",
            "-c",
            RUN_MODULE,
            "pip",
            "install",
            "--quiet",
            "--no-input",
            "--disable-pip-version-check",
            "--no-warn-script-location",
        ])
        .args(["--require-hashes", "--only-binary", ":all:", "-r"])
        .arg(&lock_file);
    let remedy = "check the network; a proxy or a mirror is set as for pip itself (HTTPS_PROXY, PIP_INDEX_URL, PIP_CERT or pip.conf)";
    run(command, &format!("`pip install` failed; {remedy}")).await?;

    let environment = Environment {
        folder: folder.to_path_buf(),
        version: python.version.clone(),
        base: python.path.clone(),
        packages: packages(),
    };
    let marker =
        serde_json::to_vec_pretty(&environment).expect("an environment serialises to JSON");
    fs::write(partial.join(MARKER), marker).map_err(SandboxError::io(what()))?;
    rustix::fs::sync(); // the marker must not reach the disk before what it vouches for
    fs::rename(&partial, folder).map_err(SandboxError::io(what()))?;
    Ok(environment)
}

/// Runs a step; its failure carries the end of what it printed.
pub(crate) async fn run(mut command: Command, what: &str) -> Result<(), SandboxError> {
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await;
    let (ok, text) = match output {
        Ok(output) => {
            let text = [output.stdout, output.stderr].concat();
            (
                output.status.success(),
                String::from_utf8_lossy(&text).into_owned(),
            )
        }
        Err(error) => (false, error.to_string()),
    };
    if ok {
        return Ok(());
    }
    let lines: Vec<&str> = text.lines().collect();
    let output = lines[lines.len().saturating_sub(15)..].join("\n");
    Err(SandboxError::Environment {
        what: what.into(),
        output,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use synth_core::config::SandboxBackend;

    use super::*;

    fn script(folder: &Path, name: &str, text: &str) {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join(name), format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(folder.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    const ANSWER: &str = r#"echo '{"path": "/opt/python", "version": "3.11.7"}'"#;

    #[tokio::test]
    async fn broken_pythons_are_skipped_and_the_newest_usable_one_wins() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        script(
            &one,
            "python3.13",
            "echo 'shim: python3.13: command not found' >&2; exit 127",
        );
        script(&two, "python3.12", ANSWER);
        script(&one, "python3", "exit 1");
        let search = env::join_paths([&one, &two]).unwrap();
        let python = find_python_in(Path::new(""), &search).await.unwrap();
        assert_eq!(
            python,
            Python {
                path: "/opt/python".into(),
                version: "3.11.7".into()
            }
        );
    }

    #[tokio::test]
    async fn what_was_tried_is_told() {
        let folder = tempfile::tempdir().unwrap();
        script(
            folder.path(),
            "python3",
            "echo 'it is Python 3.8.1' >&2; exit 1",
        );
        let error = find_python_in(Path::new(""), folder.path().as_os_str())
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("python3` (it is Python 3.8.1)"), "{error}");
        let error = find_python_in(Path::new("/no/python"), folder.path().as_os_str())
            .await
            .unwrap_err()
            .to_string();
        assert!(error.contains("`/no/python`"), "{error}");
    }

    #[tokio::test]
    async fn a_killed_install_is_not_mistaken_for_a_complete_one() {
        let cache = tempfile::tempdir().unwrap();
        let config = SandboxConfig {
            backend: SandboxBackend::Local,
            python: PathBuf::new(),
            cache: cache.path().into(),
            ..SandboxConfig::default()
        };
        remember(cache.path(), &config, "python-3.11.7-0").unwrap();
        fs::create_dir_all(cache.path().join("python-3.11.7-0/bin")).unwrap();
        fs::write(cache.path().join("python-3.11.7-0/bin/python"), "").unwrap();
        assert_eq!(ready(&config), None);
    }

    #[tokio::test]
    async fn a_failed_step_shows_the_end_of_its_output() {
        let mut command = Command::new("sh");
        command.args(["-c", "seq 1 100; echo no matching distribution >&2; exit 1"]);
        let error = run(command, "`pip install` failed")
            .await
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("no matching distribution")
                && error.contains("\n100\n")
                && !error.contains("\n50\n"),
            "{error}"
        );
    }

    #[test]
    fn the_lock_pins_every_package_by_hash_and_names_no_host() {
        assert!(!REQUIREMENTS.contains("://") && !REQUIREMENTS.contains("--index"));
        let pins = REQUIREMENTS
            .lines()
            .filter(|line| line.contains("==") && !line.starts_with([' ', '#']));
        assert!(pins.clone().count() > 20);
        assert!(
            pins.clone().all(|line| line.ends_with('\\')),
            "a pin without hashes"
        );
    }
}
