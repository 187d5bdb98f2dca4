//! One living sandbox process: cells go in, observations come out, judged from outside.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendFlags, Shutdown, recvmsg,
};
use serde::Serialize;
use synth_core::{CellLimit, CellOutcome, Display, Fingerprint, Observation};
use tokio::io::{AsyncWriteExt, Interest};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::time::{sleep_until, timeout};

use crate::files::Workspace;
use crate::frame::{
    self, End, Farewell, FrameError, FrameReader, Hello, MAX_CODE, MAX_NAME, MAX_NEWS, Reply,
    Request, Status, encode,
};
use crate::output::{OutputBuffer, bounded};
use crate::witness::{Seen, Witness, WorkspaceWitness};
use crate::{SandboxError, SandboxLimits};

const HELLO_TIMEOUT: Duration = Duration::from_secs(30);
/// How long a cell has to come to its end after SIGINT before it gets SIGTERM, and after that before it is killed.
const GRACES: [(Duration, &[u8]); 2] = [
    (Duration::from_millis(1500), b"t"),
    (Duration::from_millis(500), b"k"),
];
const FAREWELL_TIMEOUT: Duration = Duration::from_secs(4);
const LOOK_TIMEOUT: Duration = Duration::from_secs(2);
/// The most that an agent can have in memory beside what it is allowed: the libraries.
const LIBRARIES_BYTES: u64 = 1 << 30;
/// The most that a pipe can hold after the reply: Linux's limit for unprivileged processes.
const MAX_PIPE: usize = 1 << 20;
/// What is read at once, from a pipe that holds four times as much.
const READ_BYTES: usize = 16 << 10;

/// Interrupts the running cell of one sandbox, from any task; does nothing between cells and after the end.
#[derive(Clone, Debug, Default)]
pub struct Interrupter {
    line: Arc<Mutex<Line>>,
}

/// What leads to the process that runs now.
#[derive(Debug, Default)]
struct Line {
    status: Weak<UnixStream>,
    running: Weak<AtomicBool>,
}

impl Interrupter {
    /// Sends `KeyboardInterrupt` to the running cell.
    pub fn interrupt(&self) {
        let line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        if let (Some(status), Some(running)) = (line.status.upgrade(), line.running.upgrade())
            && running.load(Ordering::Relaxed)
        {
            order(&status, b"i");
        }
    }

    pub(crate) fn point_to(&self, child: &Child) {
        *self.line.lock().unwrap_or_else(PoisonError::into_inner) = Line {
            status: Arc::downgrade(&child.status),
            running: Arc::downgrade(&child.running),
        };
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
    /// Whether a cell runs.
    running: Arc<AtomicBool>,
    /// What was seen of it before the next cell.
    seen: Seen,
    /// Who sees it from outside.
    pub witness: Box<dyn Witness>,
    /// Its workspace, where that can be reached by a descriptor.
    pub workspace: Option<Workspace>,
    /// What it said of itself.
    pub hello: Hello,
}

struct Pipe {
    receiver: pipe::Receiver,
    open: bool,
}

/// What a cell came to.
pub struct Outcome {
    /// The record.
    pub observation: Observation,
    /// The content of the observation's displays.
    pub displays: Vec<Vec<u8>>,
    /// How the process ended, if it did; there is no next cell then.
    pub ended: Option<String>,
}

/// Our side of the four lines to a sandbox: cells and replies, orders and news of its life, and what it prints.
pub struct Ends {
    pub(crate) control: UnixStream,
    pub(crate) status: UnixStream,
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

impl Outcome {
    /// Says in front of what the cell printed that it found nothing of what was before.
    pub fn tell_of_restart(&mut self, how: &str) {
        let note = format!(
            "[Python was started anew after {how}: all variables and files made before are lost]\n"
        );
        self.observation.stderr.insert_str(0, &note);
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
        Ok(Self::assemble(ends, workspace.map(Arc::new), hello))
    }

    /// A process that has said `hello` already.
    pub fn assemble(ends: Ends, workspace: Option<Workspace>, hello: Hello) -> Self {
        Self {
            control: ends.control,
            frames: FrameReader::default(),
            status: Arc::new(ends.status),
            stdout: ends.stdout,
            stderr: ends.stderr,
            running: Arc::default(),
            seen: Seen::default(),
            witness: Box::new(WorkspaceWitness::new(workspace.clone())),
            workspace,
            hello,
        }
    }

    /// Tells the agent something that it does not answer.
    pub async fn tell<T: Serialize>(&mut self, message: &T) -> io::Result<()> {
        self.control.write_all(&encode(message)).await
    }

    /// Runs a cell, for at most its time and a grace.
    pub async fn execute(&mut self, code: &str, nonce: &str, limits: &SandboxLimits) -> Outcome {
        let started = Instant::now();
        if code.len() > MAX_CODE {
            return too_long(code.len());
        }
        let mut printed = Printed::new(limits);
        let mut stopped = None;
        let reply = if self.is_silent() {
            self.running.store(true, Ordering::Relaxed);
            let body = self
                .answer(code, nonce, limits, &mut printed, &mut stopped)
                .await;
            self.running.store(false, Ordering::Relaxed);
            body.and_then(|body| Reply::parse(&body, nonce))
        } else {
            Err(FrameError::Malformed)
        };
        let ended = match &reply {
            Ok(_) => None,
            Err(FrameError::Closed) => Some(self.end(stopped.is_some()).await),
            Err(_) => {
                self.end(true).await;
                Some(Ending::Protocol)
            }
        };
        self.stdout.rest(&mut printed.out);
        self.stderr.rest(&mut printed.err);
        // Whoever does not answer saw nothing.
        let look = timeout(LOOK_TIMEOUT, self.witness.look()).await;
        let before = std::mem::replace(&mut self.seen, look.unwrap_or_default());
        let judge = Judge {
            stopped,
            before,
            now: self.seen,
            output_bytes: limits.output_bytes,
            memory_most: limits.memory_bytes.saturating_add(LIBRARIES_BYTES),
        };
        let (stdout, stdout_cut) = printed.out.finish();
        let (stderr, stderr_cut) = printed.err.finish();
        let mut observation = Observation {
            stdout,
            stderr,
            truncated: stdout_cut || stderr_cut,
            duration_ms: started.elapsed().as_millis() as u64,
            memory_peak_bytes: self.seen.memory_peak,
            ..Observation::default()
        };
        match (reply, ended) {
            (Ok((reply, displays)), _) => {
                judge.fill(&mut observation, reply, &displays);
                Outcome {
                    observation,
                    displays,
                    ended: None,
                }
            }
            (Err(_), ended) => {
                let (outcome, how) = judge.end(ended.unwrap_or(Ending::Protocol));
                observation.outcome = outcome;
                Outcome {
                    observation,
                    displays: Vec::new(),
                    ended: Some(how),
                }
            }
        }
    }

    /// Whether nothing lies in the control line: between cells the agent has nothing to say. (A closed one shows as such later.)
    fn is_silent(&self) -> bool {
        let mut byte = [0];
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        self.frames.is_empty()
            && !matches!(
                rustix::net::recv(self.control.as_fd(), &mut byte, flags),
                Ok((1.., _))
            )
    }

    /// Sends a cell and waits for the frame that comes back, while it drains what is printed and stops what goes too far.
    async fn answer(
        &mut self,
        code: &str,
        nonce: &str,
        limits: &SandboxLimits,
        printed: &mut Printed,
        stopped: &mut Option<Stopped>,
    ) -> Result<Vec<u8>, FrameError> {
        let longest = Reply::longest(limits.output_bytes);
        let mut request = encode(&Request { code });
        request.extend_from_slice(nonce.as_bytes());
        let (mut reader, mut writer) = self.control.split();
        let sending = async {
            // A failed send shows as the end of the process.
            let _ = writer.write_all(&request).await;
            std::future::pending::<()>().await;
        };
        tokio::pin!(sending);
        let mut deadline = tokio::time::Instant::now() + limits.cell;
        let mut graces = GRACES.iter();
        let mut next = b"i".as_slice();
        loop {
            tokio::select! {
                () = &mut sending => {}
                frame = self.frames.next(&mut reader, longest) => return frame,
                () = self.stdout.drain(&mut printed.out), if self.stdout.open => {}
                () = self.stderr.drain(&mut printed.err), if self.stderr.open => {}
                () = sleep_until(deadline) => {
                    stopped.get_or_insert(Stopped::Time);
                    order(&self.status, next);
                    let Some((grace, after)) = graces.next() else {
                        return Err(FrameError::Closed);
                    };
                    (deadline, next) = (deadline + *grace, after);
                }
            }
            if stopped.is_none() && printed.too_much(limits.printed_bytes) {
                *stopped = Some(Stopped::Output);
                deadline = tokio::time::Instant::now();
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
            let mut body = vec![0; (u32::from_be_bytes(head) as usize).min(MAX_NEWS)];
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

/// What a cell printed.
struct Printed {
    out: OutputBuffer,
    err: OutputBuffer,
}

impl Printed {
    fn new(limits: &SandboxLimits) -> Self {
        Self {
            out: OutputBuffer::new(limits.output_bytes),
            err: OutputBuffer::new(limits.output_bytes),
        }
    }

    const fn too_much(&self, printed_bytes: u64) -> bool {
        self.out.total().saturating_add(self.err.total()) > printed_bytes
    }
}

/// Why we stopped a cell.
#[derive(Clone, Copy)]
enum Stopped {
    Time,
    Output,
}

/// How a process ended.
#[derive(Clone, Copy)]
enum Ending {
    Told(End),
    Protocol,
}

/// What is known of a cell without asking it.
struct Judge {
    stopped: Option<Stopped>,
    before: Seen,
    now: Seen,
    output_bytes: u64,
    memory_most: u64,
}

impl Judge {
    /// The outcome of a cell that we stopped.
    const fn stop(&self, state_kept: bool) -> Option<CellOutcome> {
        match self.stopped {
            None => None,
            Some(Stopped::Time) => Some(CellOutcome::Timeout { state_kept }),
            Some(Stopped::Output) => Some(CellOutcome::Limit {
                limit: CellLimit::Output,
                state_kept,
            }),
        }
    }

    /// Whether the kernel ended a process of the sandbox for want of memory meanwhile.
    fn out_of_memory(&self) -> bool {
        self.now.oom_kills > self.before.oom_kills && self.now.oom_kills > Some(0)
    }

    /// The outcome of a cell after which the process is gone, and how that ended in words.
    fn end(&self, ending: Ending) -> (CellOutcome, String) {
        let end = match ending {
            Ending::Protocol => {
                let how = "protocol error".to_owned();
                return (CellOutcome::Died { how: how.clone() }, how);
            }
            Ending::Told(end) => end,
        };
        if end.memory || self.out_of_memory() {
            let outcome = CellOutcome::OutOfMemory { state_kept: false };
            return (outcome, "out of memory".into());
        }
        match (self.stop(false), self.stopped) {
            (Some(outcome), Some(Stopped::Output)) => (outcome, "too much output".into()),
            (Some(outcome), _) => (outcome, "the time limit".into()),
            (None, _) => (CellOutcome::Died { how: end.how() }, end.how()),
        }
    }

    /// Puts into the observation what the agent said of the cell, bounded and made harmless, where we know no better.
    fn fill(&self, observation: &mut Observation, reply: Reply, displays: &[Vec<u8>]) {
        let limit = self.limit(&reply);
        let mut cut_any = false;
        let mut bound = |text: &str, max: u64| {
            let (text, cut) = bounded(text, max);
            cut_any |= cut;
            text
        };
        let name = bound(&reply.name, MAX_NAME);
        let message = bound(&reply.message, self.output_bytes);
        let traceback = bound(&reply.traceback, self.output_bytes);
        observation.value = reply.value.map(|value| bound(&value, self.output_bytes));
        observation.truncated |= cut_any;
        observation.memory_peak_bytes = observation
            .memory_peak_bytes
            .or_else(|| reply.memory_peak.map(|peak| peak.min(self.memory_most)));
        observation.displays = reply
            .displays
            .into_iter()
            .zip(displays)
            .map(|(shown, content)| Display {
                media_type: shown.media_type,
                blake3: Fingerprint::of_bytes(content),
                bytes: content.len() as u64,
            })
            .collect();
        // A cell that came to its end after the interrupt was still stopped.
        let stop = self.stop(true);
        let told = stop.is_none() && limit.is_some() && reply.status != Status::Ok;
        observation.outcome = match (stop.or(limit), reply.status) {
            (Some(outcome), _) => outcome,
            (None, Status::Ok) => CellOutcome::Ok,
            (None, _) => CellOutcome::Error {
                name,
                message,
                traceback: traceback.clone(),
            },
        };
        if told {
            observation.stderr.push_str(traceback.trim_end());
            observation.stderr.push('\n');
        }
    }

    /// The limit that the cell ran into by itself, if it did.
    fn limit(&self, reply: &Reply) -> Option<CellOutcome> {
        const AGAIN: i32 = 11;
        const FULL: [i32; 3] = [27, 28, 122]; // too large a file, no space, no quota
        let limit = |limit| {
            Some(CellOutcome::Limit {
                limit,
                state_kept: true,
            })
        };
        if reply.status == Status::Memory || self.out_of_memory() {
            return Some(CellOutcome::OutOfMemory { state_kept: true });
        }
        if reply.status == Status::Ok {
            return None; // it coped
        }
        let errno = reply.errno.unwrap_or_default();
        if FULL.contains(&errno) && self.now.disk_full.unwrap_or(true) {
            return limit(CellLimit::Disk);
        }
        let refused = match self.now.refused_forks {
            Some(refused) => refused > self.before.refused_forks.unwrap_or_default(),
            None => errno == AGAIN,
        };
        if refused {
            return limit(CellLimit::Processes);
        }
        None
    }
}

/// The answer to code that is too long to be sent.
fn too_long(bytes: usize) -> Outcome {
    let message = format!("a cell has at most {MAX_CODE} bytes, this one {bytes}");
    Outcome {
        observation: Observation {
            outcome: CellOutcome::Error {
                name: "ValueError".into(),
                traceback: format!("ValueError: {message}"),
                message,
            },
            ..Observation::default()
        },
        displays: Vec::new(),
        ended: None,
    }
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
    let mut body = vec![0; (u32::from_be_bytes(head) as usize).min(MAX_NEWS)];
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
