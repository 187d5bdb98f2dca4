//! One living sandbox process: cells go in, observations come out, judged from outside.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, Shutdown, recvmsg,
};
use synth_core::{CellOutcome, Observation};
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::time::{sleep_until, timeout};

use crate::files::Workspace;
use crate::frame::{self, End, Farewell, FrameReader, Hello, Reply, Request, Status, encode};
use crate::output::{OutputBuffer, bounded};
use crate::{SandboxError, SandboxLimits};

const HELLO_TIMEOUT: Duration = Duration::from_secs(30);
/// How long an interrupted cell has to come to its end before it is killed.
const GRACE: Duration = Duration::from_secs(2);
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(4);
/// An agent cuts what it says to the observation's bound; this is far beyond it.
const MAX_REPLY: usize = 64 << 20;
/// The most that a pipe can hold after the reply: Linux's limit for unprivileged processes.
const MAX_PIPE: usize = 1 << 20;
/// What is read at once, from a pipe that holds four times as much.
const READ_BYTES: usize = 16 << 10;

/// Interrupts the running cell of one sandbox, from any task; does nothing between cells and after the end.
#[derive(Clone, Debug, Default)]
pub struct Interrupter {
    status: Arc<Mutex<Weak<UnixStream>>>,
}

impl Interrupter {
    /// Sends `KeyboardInterrupt` to the running cell.
    pub fn interrupt(&self) {
        let status = self
            .status
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .upgrade();
        if let Some(status) = status {
            order(&status, b"i");
        }
    }

    pub(crate) fn point_to(&self, child: &Child) {
        *self.status.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(&child.status);
    }
}

fn order(status: &UnixStream, what: &[u8]) {
    // One byte into an empty socket: it fits, or the other end is gone, which is noticed elsewhere.
    let _ = rustix::net::send(
        status.as_fd(),
        what,
        SendFlags::NOSIGNAL | SendFlags::DONTWAIT,
    );
}

/// A sandbox's process and what connects us with it.
pub struct Child {
    control: UnixStream,
    frames: FrameReader,
    status: Arc<UnixStream>,
    stdout: Pipe,
    stderr: Pipe,
    /// Its workspace.
    pub workspace: Workspace,
    /// What it said of itself.
    pub hello: Hello,
}

struct Pipe {
    receiver: pipe::Receiver,
    open: bool,
}

/// What a cell came to.
pub struct Outcome {
    pub observation: Observation,
    /// How the process ended, if it did; there is no next cell then.
    pub ended: Option<String>,
}

/// Our side of the four lines to a sandbox: cells and replies, orders and news of its life, and what it prints.
pub struct Ends {
    control: UnixStream,
    status: UnixStream,
    stdout: Pipe,
    stderr: Pipe,
}

/// The sandbox's side, in the same order: control, status, stdout, stderr.
pub type FarEnds = [OwnedFd; 4];

impl Ends {
    /// Both sides of fresh lines.
    pub fn pair() -> Result<(Self, FarEnds), SandboxError> {
        const WHAT: &str = "make a sandbox's sockets";
        let socket = || {
            let (ours, theirs) = StdUnixStream::pair()?;
            ours.set_nonblocking(true)?;
            Ok((UnixStream::from_std(ours)?, OwnedFd::from(theirs)))
        };
        let (control, control_end) = socket().map_err(SandboxError::io(WHAT))?;
        let (status, status_end) = socket().map_err(SandboxError::io(WHAT))?;
        let (stdout, stdout_end) = pipe_pair().map_err(SandboxError::io(WHAT))?;
        let (stderr, stderr_end) = pipe_pair().map_err(SandboxError::io(WHAT))?;
        let ours = Self {
            control,
            status,
            stdout,
            stderr,
        };
        Ok((ours, [control_end, status_end, stdout_end, stderr_end]))
    }
}

impl Child {
    /// Waits until the process behind these lines says that it is set up.
    pub async fn greet(ends: Ends) -> Result<Self, SandboxError> {
        let (hello, workspace) = match timeout(HELLO_TIMEOUT, greeting(&ends.status)).await {
            Ok(Ok(greeting)) => greeting,
            Ok(Err(error)) => return Err(SandboxError::Open(error.to_string())),
            Err(_) => {
                return Err(SandboxError::Open(format!(
                    "it is not set up after {} seconds",
                    HELLO_TIMEOUT.as_secs()
                )));
            }
        };
        if let Some(error) = hello.error {
            return Err(match hello.layer {
                Some(missing) => SandboxError::Isolation {
                    remedy: remedy(&missing),
                    missing: error,
                },
                None => SandboxError::Open(error),
            });
        }
        let workspace =
            workspace.ok_or_else(|| SandboxError::Open("it sent no workspace".into()))?;
        let (status, workspace) = (Arc::new(ends.status), Arc::new(workspace));
        Ok(Self {
            control: ends.control,
            frames: FrameReader::default(),
            status,
            stdout: ends.stdout,
            stderr: ends.stderr,
            workspace,
            hello,
        })
    }

    /// Runs a cell, for at most its time and a grace.
    pub async fn execute(&mut self, code: &str, nonce: &str, limits: &SandboxLimits) -> Outcome {
        let output_bytes = limits.output_bytes;
        let started = Instant::now();
        let request = encode(&Request { nonce, code });
        let mut timed_out = false;
        let mut out = OutputBuffer::new(output_bytes);
        let mut err = OutputBuffer::new(output_bytes);
        let ending = {
            let (mut reader, mut writer) = self.control.split();
            let sending = async {
                // A failed send shows as the end of the process.
                let _ = writer.write_all(&request).await;
                std::future::pending::<()>().await;
            };
            tokio::pin!(sending);
            let mut deadline = tokio::time::Instant::now() + limits.cell;
            loop {
                tokio::select! {
                    () = &mut sending => {}
                    frame = self.frames.next(&mut reader, MAX_REPLY) => break frame,
                    () = self.stdout.drain(&mut out), if self.stdout.open => {}
                    () = self.stderr.drain(&mut err), if self.stderr.open => {}
                    () = sleep_until(deadline) => {
                        if timed_out {
                            break Err(frame::FrameError::Closed);
                        }
                        timed_out = true;
                        deadline += GRACE;
                        order(&self.status, b"i");
                    }
                }
            }
        };
        let reply = match ending {
            Ok(body) => serde_json::from_slice::<Reply>(&body)
                .ok()
                .filter(|reply| reply.version == frame::VERSION && reply.nonce == nonce)
                .ok_or(frame::FrameError::Malformed),
            Err(error) => Err(error),
        };
        let (outcome, reply) = match reply {
            // A cell that came to its end after the interrupt still took too long.
            Ok(reply) => (None, Some(reply)),
            Err(frame::FrameError::Closed) => (Some(self.end(timed_out).await), None),
            Err(_) => {
                self.end(true).await;
                (Some(Ending::Protocol), None)
            }
        };
        self.stdout.rest(&mut out);
        self.stderr.rest(&mut err);
        let duration_ms = started.elapsed().as_millis() as u64;
        let (stdout, stdout_cut) = out.finish();
        let (stderr, stderr_cut) = err.finish();
        let observation = Observation {
            outcome: CellOutcome::Ok,
            stdout,
            stderr,
            value: None,
            truncated: stdout_cut || stderr_cut,
            duration_ms,
            memory_peak_bytes: reply.as_ref().and_then(|reply| reply.memory_peak),
            ..Observation::default()
        };
        match (reply, outcome) {
            (Some(reply), _) => Outcome {
                observation: filled(observation, reply, timed_out, output_bytes),
                ended: None,
            },
            (None, ending) => {
                let ending = ending.unwrap_or(Ending::Protocol);
                let (outcome, how) = ending.judge(timed_out);
                Outcome {
                    observation: Observation {
                        outcome,
                        ..observation
                    },
                    ended: Some(how),
                }
            }
        }
    }

    /// Learns how the process ended; with `kill`, ends it first.
    async fn end(&mut self, kill: bool) -> Ending {
        if kill {
            order(&self.status, b"k");
        }
        let status = Arc::clone(&self.status);
        let farewell = async {
            let mut head = [0; 4];
            read_exactly(&status, &mut head).await?;
            let mut body = vec![0; (u32::from_be_bytes(head) as usize).min(1 << 16)];
            read_exactly(&status, &mut body).await?;
            Ok::<_, io::Error>(
                serde_json::from_slice::<Farewell>(&body)
                    .unwrap_or_default()
                    .end,
            )
        };
        match timeout(FAREWELL_TIMEOUT, farewell).await {
            Ok(Ok(end)) => Ending::Told(end),
            Ok(Err(_)) => Ending::Told(End::default()),
            Err(_) => {
                // The agent closed its connection but lives on.
                order(&self.status, b"k");
                Ending::Told(End::default())
            }
        }
    }

    /// Ends the process and everything below it.
    pub async fn close(mut self) {
        self.end(true).await;
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        // Init sees the end of its socket and ends everything, even while an interrupter holds on to our side.
        let _ = rustix::net::shutdown(self.status.as_fd(), Shutdown::Both);
    }
}

/// How a process ended.
enum Ending {
    Told(End),
    Protocol,
}

impl Ending {
    /// The outcome of the cell, and how the process ended in words.
    fn judge(self, timed_out: bool) -> (CellOutcome, String) {
        match self {
            Self::Protocol => (
                CellOutcome::Died {
                    how: "protocol error".into(),
                },
                "protocol error".into(),
            ),
            Self::Told(End { memory: true, .. }) => (
                CellOutcome::OutOfMemory { state_kept: false },
                "out of memory".into(),
            ),
            Self::Told(_) if timed_out => (
                CellOutcome::Timeout { state_kept: false },
                "the time limit".into(),
            ),
            Self::Told(end) => (CellOutcome::Died { how: end.how() }, end.how()),
        }
    }
}

/// The observation with what the agent said of the cell, bounded and made harmless.
fn filled(
    mut observation: Observation,
    reply: Reply,
    timed_out: bool,
    output_bytes: u64,
) -> Observation {
    if timed_out {
        observation.outcome = CellOutcome::Timeout { state_kept: true };
        return observation;
    }
    let mut cut_any = false;
    let mut bound = |text: &str, max: u64| {
        let (text, cut) = bounded(text, max);
        cut_any |= cut;
        text
    };
    match reply.status {
        Status::Ok => observation.value = reply.value.map(|value| bound(&value, output_bytes)),
        Status::Error => {
            observation.outcome = CellOutcome::Error {
                name: bound(&reply.name, 200),
                message: bound(&reply.message, output_bytes),
                traceback: bound(&reply.traceback, output_bytes),
            };
        }
        Status::Memory => {
            observation.outcome = CellOutcome::OutOfMemory { state_kept: true };
            let said = bound(&reply.message, 2000);
            observation
                .stderr
                .push_str(format!("MemoryError: {said}").trim_end_matches([':', ' ']));
            observation.stderr.push('\n');
        }
    }
    observation.truncated |= cut_any;
    observation
}

impl Pipe {
    /// Reads once; cancel-safe.
    async fn drain(&mut self, buffer: &mut OutputBuffer) {
        if self.receiver.readable().await.is_err() {
            self.open = false;
            return;
        }
        let mut bytes = [0; READ_BYTES];
        self.take(&mut bytes, buffer);
    }

    /// Reads what is there without waiting: the agent flushes before it replies, so this is all that the cell wrote. Bounded, since
    /// something that the cell left running may write on.
    ///
    /// It asks the kernel, not the runtime: the reply may be seen before the runtime has heard that the pipe is readable, and
    /// the runtime would then say that it is empty.
    fn rest(&mut self, buffer: &mut OutputBuffer) {
        let mut bytes = [0; READ_BYTES];
        let mut total = 0;
        while self.open && total < MAX_PIPE {
            match rustix::io::read(self.receiver.as_fd(), &mut bytes) {
                Ok(0) => self.open = false,
                Ok(count) => {
                    buffer.push(&bytes[..count]);
                    total += count;
                }
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::AGAIN) => break,
                Err(_) => self.open = false,
            }
        }
    }

    fn take(&mut self, bytes: &mut [u8], buffer: &mut OutputBuffer) {
        match self.receiver.try_read(bytes) {
            Ok(count) => {
                self.open = count > 0;
                buffer.push(&bytes[..count]);
            }
            Err(error) => self.open = error.kind() == io::ErrorKind::WouldBlock,
        }
    }
}

fn pipe_pair() -> io::Result<(Pipe, OwnedFd)> {
    let (reader, writer) = std::io::pipe()?;
    let receiver = pipe::Receiver::from_owned_fd(OwnedFd::from(reader))?;
    Ok((
        Pipe {
            receiver,
            open: true,
        },
        OwnedFd::from(writer),
    ))
}

/// The first frame from init, with the workspace's descriptor.
async fn greeting(status: &UnixStream) -> io::Result<(Hello, Option<OwnedFd>)> {
    let mut head = [0; 4];
    let (count, workspace) = status
        .async_io(Interest::READABLE, || receive_descriptor(status, &mut head))
        .await?;
    if count == 0 {
        return Err(io::Error::other("the process ended before it was set up"));
    }
    read_exactly(status, &mut head[count..]).await?;
    let mut body = vec![0; (u32::from_be_bytes(head) as usize).min(1 << 16)];
    read_exactly(status, &mut body).await?;
    let hello: Hello = serde_json::from_slice(&body)?;
    if hello.version != frame::VERSION {
        return Err(io::Error::other(
            "it speaks another version of the protocol",
        ));
    }
    Ok((hello, workspace))
}

fn receive_descriptor(
    status: &UnixStream,
    head: &mut [u8],
) -> io::Result<(usize, Option<OwnedFd>)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut parts = [io::IoSliceMut::new(head)];
    let received = recvmsg(
        status.as_fd(),
        &mut parts,
        &mut control,
        RecvFlags::CMSG_CLOEXEC,
    )?;
    let mut descriptors = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    Ok((
        received.bytes,
        descriptors
            .next()
            .and_then(|mut descriptors| descriptors.next()),
    ))
}

/// Reads through a shared reference: an interrupter may hold the socket too.
async fn read_exactly(status: &UnixStream, mut bytes: &mut [u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        status.readable().await?;
        match status.try_read(bytes) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => bytes = &mut bytes[count..],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What to do where the kernel refuses `layer`.
pub fn remedy(layer: &str) -> String {
    if layer.contains("namespace") {
        "allow unprivileged user namespaces (`sysctl kernel.apparmor_restrict_unprivileged_userns=0` on Ubuntu, \
         `sysctl kernel.unprivileged_userns_clone=1` on older Debian; in a container, a seccomp profile that lets `unshare` through)"
            .into()
    } else {
        "run `synth doctor`, which names the layer that is missing; in a container, mounts may need `--security-opt seccomp=unconfined \
         --security-opt apparmor=unconfined`"
            .into()
    }
}
