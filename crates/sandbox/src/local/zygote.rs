//! The process that sandboxes are forked from.
//!
//! It ends when its socket closes, so it cannot outlive us however we end. (Not `PR_SET_PDEATHSIG`: that signal comes when the
//! *thread* that started the process ends, and tokio's threads come and go.)

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use synth_core::config::Preload;
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::line;
use crate::SandboxError;
use crate::environment::Environment;
use crate::frame::{self, FrameReader, encode};

const BOOTSTRAP: &str = include_str!("../../agent/bootstrap.py");
/// In the order in which they import each other.
const MODULES: [&str; 5] = [
    include_str!("../../agent/wire.py"),
    include_str!("../../agent/jail.py"),
    include_str!("../../agent/agent.py"),
    include_str!("../../agent/family.py"),
    include_str!("../../agent/zygote.py"),
];
/// Loading the libraries takes seconds, on a cold disk many.
const START_TIMEOUT: Duration = Duration::from_secs(180);

/// What it is told first.
#[derive(Clone, Copy, Serialize)]
pub struct Setup {
    /// Whether the kernel isolates what it forks.
    pub isolate: bool,
    /// Whether a fork is to load the libraries itself.
    pub cold: bool,
    /// Which libraries are loaded.
    pub preload: Preload,
}

/// The zygote, running.
pub struct Zygote {
    process: Child,
    link: UnixStream,
    /// The folders that its interpreter lives in.
    pub folders: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Ready {
    version: u32,
    folders: Vec<PathBuf>,
}

impl Zygote {
    /// Starts it, in the user namespace `namespace` if there is one. `log` takes what it has to say when it fails.
    pub async fn start(
        environment: &Environment,
        setup: Setup,
        namespace: Option<&OwnedFd>,
        log: &Path,
    ) -> Result<Self, SandboxError> {
        let what = "start the sandbox process";
        let (ours, theirs) = StdUnixStream::pair().map_err(SandboxError::io(what))?;
        ours.set_nonblocking(true).map_err(SandboxError::io(what))?;
        let mut link = UnixStream::from_std(ours).map_err(SandboxError::io(what))?;
        let output = File::create(log).map_err(SandboxError::io(what))?;
        let mut process = Command::new(environment.python())
            .args(["-s", "-B", "-c", BOOTSTRAP])
            .env_clear()
            .envs(variables(environment))
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::from(output))
            .kill_on_drop(true)
            .spawn()
            .map_err(SandboxError::io(format!(
                "run `{}`",
                environment.python().display()
            )))?;
        match timeout(START_TIMEOUT, greet(&mut link, setup, namespace)).await {
            Ok(Ok(folders)) => Ok(Self {
                process,
                link,
                folders,
            }),
            outcome => {
                let why = match outcome {
                    Ok(Err(error)) => error.to_string(),
                    _ => format!("it was not ready after {} seconds", START_TIMEOUT.as_secs()),
                };
                // It can only fail for a process that has ended already.
                let _ = process.kill().await;
                let said = fs::read(log).unwrap_or_default();
                let said = String::from_utf8_lossy(&said[said.len().saturating_sub(2000)..])
                    .trim()
                    .to_owned();
                Err(SandboxError::Zygote(format!("{why}\n{said}")))
            }
        }
    }

    /// Has a sandbox forked that gets `descriptors`.
    pub async fn fork<T: Serialize>(
        &self,
        request: &T,
        descriptors: &[BorrowedFd<'_>],
    ) -> Result<(), SandboxError> {
        line::send(&self.link, &encode(request), descriptors)
            .await
            .map_err(|error| SandboxError::Zygote(error.to_string()))
    }

    /// Whether it has not ended.
    pub fn is_alive(&self) -> bool {
        line::is_open(self.link.as_fd())
    }

    /// The process id.
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// Ends the process and waits for it.
    pub async fn close(self) {
        let Self {
            mut process, link, ..
        } = self;
        drop(link);
        if timeout(Duration::from_secs(2), process.wait())
            .await
            .is_err()
        {
            // It can only fail for a process that has ended already.
            let _ = process.kill().await;
        }
    }
}

/// All that a sandbox's environment holds: it is on the stack of every fork, so it has no more than this from the start.
fn variables(environment: &Environment) -> Vec<(&'static str, String)> {
    let own = |name: &'static str, value: &str| (name, value.to_owned());
    vec![
        (
            "PATH",
            format!("{}:/usr/bin:/bin", environment.folder.join("bin").display()),
        ),
        own("HOME", "/workspace"),
        own("TMPDIR", "/tmp"),
        own("LANG", "C.UTF-8"),
        own("TZ", "UTC"),
        own("PYTHONHASHSEED", "0"),
        own("PYTHONDONTWRITEBYTECODE", "1"),
        own("PYTHONSAFEPATH", "1"),
        own("PYTHONUTF8", "1"),
        own("IPYTHONDIR", "/tmp/.ipython"),
        own("MPLBACKEND", "agg"),
        // Threads that ran before a fork hang after it.
        own("OMP_NUM_THREADS", "1"),
        own("OPENBLAS_NUM_THREADS", "1"),
        own("MKL_NUM_THREADS", "1"),
        own("NUMEXPR_NUM_THREADS", "1"),
    ]
}
async fn greet(
    link: &mut UnixStream,
    setup: Setup,
    namespace: Option<&OwnedFd>,
) -> io::Result<Vec<PathBuf>> {
    for module in MODULES {
        link.write_all(&frame::encode_bytes(module.as_bytes()))
            .await?;
    }
    // Not before the modules are read: descriptors that come with bytes that a plain read takes are lost.
    let namespace: Vec<BorrowedFd> = namespace.into_iter().map(AsFd::as_fd).collect();
    line::send(link, &encode(&setup), &namespace).await?;
    let body = FrameReader::default()
        .next(link, 1 << 16)
        .await
        .map_err(|_| io::Error::other("it ended"))?;
    match serde_json::from_slice::<Ready>(&body) {
        Ok(ready) if ready.version == frame::VERSION => Ok(ready.folders),
        _ => Err(io::Error::other(
            "it speaks another version of the protocol",
        )),
    }
}
