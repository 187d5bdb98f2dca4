//! The process that sandboxes are forked from: started once, healed when it dies.
//!
//! It ends when its socket closes, so it cannot outlive us however we end. (Not `PR_SET_PDEATHSIG`: that signal comes when the
//! *thread* that started the process ends, and tokio's threads come and go.)

use std::fs::{self, File};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use serde::Deserialize;
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::sync::Mutex;
use tokio::time::timeout;

use crate::environment::Environment;
use crate::frame::{self, FrameReader};
use crate::{SandboxError, frame::encode};

const BOOTSTRAP: &str = include_str!("../../agent/bootstrap.py");
/// In the order in which they import each other.
const MODULES: [&str; 4] = [
    include_str!("../../agent/wire.py"),
    include_str!("../../agent/jail.py"),
    include_str!("../../agent/agent.py"),
    include_str!("../../agent/zygote.py"),
];
/// Loading the libraries takes seconds, on a cold disk many.
const START_TIMEOUT: Duration = Duration::from_secs(180);

/// The zygote, running or to be started.
pub struct Zygote {
    environment: Environment,
    log: PathBuf,
    running: Mutex<State>,
}

enum State {
    Stopped,
    Running(Box<Running>),
    Closed,
}

struct Running {
    process: Child,
    link: UnixStream,
}

#[derive(Deserialize)]
struct Ready {
    version: u32,
}

impl Zygote {
    /// A zygote that starts with the first fork; `log` takes what it has to say when it fails.
    pub fn new(environment: Environment, log: PathBuf) -> Self {
        Self {
            environment,
            log,
            running: Mutex::new(State::Stopped),
        }
    }

    /// Has a sandbox forked that gets `descriptors`. Starts the zygote if it is not running; one that died is started anew, once.
    pub async fn fork<T: serde::Serialize>(
        &self,
        request: &T,
        descriptors: &[BorrowedFd<'_>; 4],
    ) -> Result<(), SandboxError> {
        let message = encode(request);
        let mut state = self.running.lock().await;
        let mut restarted = false;
        loop {
            // Taken out, so that a send that is dropped half-way leaves no zygote behind that waits for the rest.
            let mut running = match std::mem::replace(&mut *state, State::Stopped) {
                State::Closed => {
                    *state = State::Closed;
                    return Err(SandboxError::Closed);
                }
                State::Running(running) => running,
                State::Stopped => {
                    restarted = true;
                    Box::new(self.start().await?)
                }
            };
            if !matches!(running.process.try_wait(), Ok(None)) && !restarted {
                tracing::warn!("the sandbox process is gone; starting it anew");
                continue;
            }
            match send(&mut running.link, &message, descriptors).await {
                Ok(()) => {
                    *state = State::Running(running);
                    return Ok(());
                }
                Err(error) if restarted => return Err(SandboxError::Zygote(error.to_string())),
                Err(error) => {
                    tracing::warn!(%error, "the sandbox process is gone; starting it anew");
                }
            }
        }
    }

    /// Ends the process and waits for it; no fork is answered after.
    pub async fn close(&self) {
        let state = std::mem::replace(&mut *self.running.lock().await, State::Closed);
        if let State::Running(running) = state {
            let Running { mut process, link } = *running;
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

    /// The process id, while it runs.
    pub async fn pid(&self) -> Option<u32> {
        match &*self.running.lock().await {
            State::Running(running) => running.process.id(),
            _ => None,
        }
    }

    async fn start(&self) -> Result<Running, SandboxError> {
        let what = "start the sandbox process";
        let (ours, theirs) = StdUnixStream::pair().map_err(SandboxError::io(what))?;
        ours.set_nonblocking(true).map_err(SandboxError::io(what))?;
        let mut link = UnixStream::from_std(ours).map_err(SandboxError::io(what))?;
        let log = File::create(&self.log).map_err(SandboxError::io(what))?;
        let mut process = Command::new(self.environment.python())
            .args(["-s", "-B", "-c", BOOTSTRAP])
            .env_clear()
            .envs(self.variables())
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::from(log))
            .kill_on_drop(true)
            .spawn()
            .map_err(SandboxError::io(format!(
                "run `{}`",
                self.environment.python().display()
            )))?;
        match timeout(START_TIMEOUT, greet(&mut link)).await {
            Ok(Ok(())) => Ok(Running { process, link }),
            outcome => {
                let why = match outcome {
                    Ok(Err(error)) => error.to_string(),
                    _ => format!("it was not ready after {} seconds", START_TIMEOUT.as_secs()),
                };
                // It can only fail for a process that has ended already.
                let _ = process.kill().await;
                let log = fs::read(&self.log).unwrap_or_default();
                let log = String::from_utf8_lossy(&log[log.len().saturating_sub(2000)..])
                    .trim()
                    .to_owned();
                Err(SandboxError::Zygote(format!("{why}\n{log}")))
            }
        }
    }

    /// All that a sandbox's environment holds: it is on the stack of every fork, so it has no more than this from the start.
    fn variables(&self) -> Vec<(&'static str, String)> {
        let own = |name: &'static str, value: &str| (name, value.to_owned());
        vec![
            (
                "PATH",
                format!(
                    "{}:/usr/bin:/bin",
                    self.environment.folder.join("bin").display()
                ),
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
}

async fn greet(link: &mut UnixStream) -> io::Result<()> {
    for module in MODULES {
        link.write_all(&frame::encode_bytes(module.as_bytes()))
            .await?;
    }
    let body = FrameReader::default()
        .next(link, 4096)
        .await
        .map_err(|_| io::Error::other("it ended"))?;
    match serde_json::from_slice::<Ready>(&body) {
        Ok(ready) if ready.version == frame::VERSION => Ok(()),
        _ => Err(io::Error::other(
            "it speaks another version of the protocol",
        )),
    }
}

/// Sends the length with the descriptors, then the rest.
async fn send(
    link: &mut UnixStream,
    message: &[u8],
    descriptors: &[BorrowedFd<'_>; 4],
) -> io::Result<()> {
    let (head, body) = message.split_at(4);
    let sent = link
        .async_io(Interest::WRITABLE, || {
            let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
            let mut control = SendAncillaryBuffer::new(&mut space);
            control.push(SendAncillaryMessage::ScmRights(descriptors));
            let parts = [io::IoSlice::new(head)];
            Ok(sendmsg(
                link.as_fd(),
                &parts,
                &mut control,
                SendFlags::NOSIGNAL,
            )?)
        })
        .await?;
    link.write_all(&head[sent..]).await?;
    link.write_all(body).await
}
