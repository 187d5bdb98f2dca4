//! The jailer: a small native process that makes, for each sandbox, namespaces with a process 1 of their own.
//!
//! The program is `jail/`, carried inside this one and run from memory. It is told what to do in single packets. What becomes of a
//! sandbox is said on the sandbox's own status line, so that a caller who goes away leaves nothing half-said behind.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::timeout;

use super::line;
use super::root::Steps;
use crate::SandboxError;
use crate::child::remedy;

const PROGRAM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/jail"));
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// A refusal with one of these numbers is no verdict on the kernel: the machine is short of something now.
const SHORTAGES: [i32; 4] = [11, 12, 23, 24];

/// The jailer, running.
pub struct Jailer {
    link: UnixStream,
    process: Child,
    /// The user namespace that all sandboxes are made in, where that is not our own.
    pub namespace: Option<OwnedFd>,
}

/// A sandbox's process 1.
pub struct Init {
    /// The process.
    pub process: OwnedFd,
    /// The pipe by which it wants to hear how the agent ended.
    pub burials: OwnedFd,
    /// Whether there is a `/proc` in the sandbox.
    pub proc: bool,
}

impl Jailer {
    /// Starts it in a mount namespace of its own; unless `as_root`, in a user namespace of its own too.
    pub async fn start(as_root: bool) -> Result<Self, SandboxError> {
        let what = "start the jailer";
        let (ours, theirs) = socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )
        .map_err(|error| SandboxError::io(what)(error.into()))?;
        let ours = StdUnixStream::from(ours);
        ours.set_nonblocking(true).map_err(SandboxError::io(what))?;
        let link = UnixStream::from_std(ours).map_err(SandboxError::io(what))?;
        let program = program().map_err(SandboxError::io(what))?;
        let process = Command::new(PathBuf::from(format!(
            "/proc/self/fd/{}",
            program.as_raw_fd()
        )))
        .arg0("synth-jailer")
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::from(theirs))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(SandboxError::io(what))?;
        let mut jailer = Self {
            link,
            process,
            namespace: None,
        };
        let request = if as_root { b"s-" } else { b"su" };
        let descriptors = jailer.ask(request, &Steps::default()).await?;
        if !as_root {
            jailer.namespace = descriptors.into_iter().next();
        }
        Ok(jailer)
    }

    /// Has the skeleton of all roots laid out.
    pub async fn lay_out(&self, skeleton: &Steps) -> Result<(), SandboxError> {
        let request = [b"l".as_slice(), &skeleton.parts().concat()].concat();
        self.ask(&request, skeleton).await.map(drop)
    }

    async fn ask(&self, request: &[u8], steps: &Steps) -> Result<Vec<OwnedFd>, SandboxError> {
        let gone = |error: io::Error| SandboxError::Zygote(format!("the jailer: {error}"));
        line::send(&self.link, request, &[]).await.map_err(gone)?;
        let mut answer = [0; 9];
        let receiving = line::receive_exactly(&self.link, &mut answer);
        let descriptors = match timeout(ANSWER_TIMEOUT, receiving).await {
            Ok(outcome) => outcome.map_err(gone)?,
            Err(_) => return Err(gone(io::ErrorKind::TimedOut.into())),
        };
        check(answer[0], &answer[1..], steps)?;
        Ok(descriptors)
    }

    /// Makes an init that speaks on `theirs`, the other end of `ours`. `outside` is the first of two user ids that nobody else has.
    pub async fn make(
        &self,
        outside: Option<u32>,
        steps: &Steps,
        ours: &UnixStream,
        theirs: OwnedFd,
    ) -> Result<Init, SandboxError> {
        let gone = |error: io::Error| SandboxError::Open(format!("its process 1: {error}"));
        let request = format!("n{}\0", outside.unwrap_or(0));
        let request = [request.as_bytes(), &steps.parts().concat()].concat();
        line::send(&self.link, &request, &[theirs.as_fd()])
            .await
            .map_err(gone)?;
        // Held here, it would keep the line open when the jailer dies before it has read the request.
        drop(theirs);
        let mut answer = [0; 9];
        let descriptors = line::receive_exactly(ours, &mut answer)
            .await
            .map_err(gone)?;
        check(answer[0], &answer[1..], steps)?;
        let Ok([process, burials]) = <[OwnedFd; 2]>::try_from(descriptors) else {
            return Err(gone(io::Error::other("it came without its descriptors")));
        };
        let (proc, _) = report(ours, steps).await?;
        Ok(Init {
            process,
            burials,
            proc,
        })
    }

    /// The process id.
    pub fn pid(&self) -> Option<u32> {
        self.process.id()
    }

    /// Whether it has not ended.
    pub fn is_alive(&self) -> bool {
        line::is_open(self.link.as_fd())
    }
}

/// What an init says once it has taken its steps: whether there is a `/proc`, and descriptors.
pub async fn report(
    status: &UnixStream,
    steps: &Steps,
) -> Result<(bool, Vec<OwnedFd>), SandboxError> {
    let mut record = [0; 10];
    let descriptors = line::receive_exactly(status, &mut record)
        .await
        .map_err(|error| SandboxError::Open(format!("its process 1: {error}")))?;
    check(record[0], &record[2..], steps)?;
    Ok((record[1] != 0, descriptors))
}

/// An error where the jail says that a step was refused.
fn check(letter: u8, rest: &[u8], steps: &Steps) -> Result<(), SandboxError> {
    if letter == b'y' {
        return Ok(());
    }
    let number = |bytes: &[u8]| {
        bytes
            .first_chunk::<4>()
            .map_or(0, |bytes| u32::from_le_bytes(*bytes))
    };
    let (errno, step) = (number(rest) as i32, number(&rest[4..]));
    let layer = match step {
        1000 => "user namespace",
        1001 => "user namespace maps",
        1002 => "mount namespace",
        1003 => "a user namespace and those of mounts, pids, network, ipc and uts",
        1004 => "descriptors for a sandbox",
        step => steps.layer(step),
    };
    let missing = format!("{layer}: {}", io::Error::from_raw_os_error(errno));
    Err(if SHORTAGES.contains(&errno) {
        SandboxError::Open(missing)
    } else {
        SandboxError::Isolation {
            remedy: remedy(layer),
            missing,
        }
    })
}

/// The program as a file that nobody else can reach.
fn program() -> io::Result<OwnedFd> {
    // Kernels before 6.3 do not know the flag, and need none.
    let descriptor = memfd_create(
        "jail",
        MemfdFlags::CLOEXEC | MemfdFlags::from_bits_retain(0x10),
    )
    .or_else(|_| memfd_create("jail", MemfdFlags::CLOEXEC))?;
    let mut file = File::from(descriptor);
    file.write_all(PROGRAM)?;
    // The kernel does not run a file that is open for writing.
    let path = format!("/proc/self/fd/{}", file.as_raw_fd());
    Ok(File::open(path)?.into())
}
