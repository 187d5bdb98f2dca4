//! Carries a sandbox's lines over the one stream of its container: what `agent/supervisor.py` does at the other end, it says at its
//! top. The stream is read without fail and credit bounds what may be on its way, so that neither side can be flooded.

use std::io;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use bollard::container::{AttachContainerResults, LogOutput};
use bollard::errors::Error as EngineError;
use bytes::{Buf, Bytes, BytesMut};
use futures::{Stream, StreamExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::sync::{Semaphore, mpsc, watch};

use crate::child::FarEnds;
use crate::frame::{self, End};

const ORDERS: u8 = 0;
const CONTROL: u8 = 1;
const STATUS: u8 = 2;
const STDOUT: u8 = 3;
const STDERR: u8 = 4;
const FILES: u8 = 5;
const USED: u8 = 0x80;
/// What either side sends of a channel before the other has used it up.
const WINDOW: usize = 256 << 10;
const PART: usize = 32 << 10;
/// No frame is longer: a part of a channel, or a message.
const MAX_FRAME: usize = 64 << 10;
/// What is kept of the container's standard error.
const MAX_LOG: usize = 4000;

/// The stream of a container, before and while it is a sandbox.
pub struct Attached {
    input: Pin<Box<dyn AsyncWrite + Send>>,
    frames: Frames,
}

/// Why there is no further frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lost {
    /// The container has ended, or its host has.
    Ended,
    /// What comes is not what the supervisor sends.
    Malformed,
}

/// How a container ended, and why not by itself.
#[derive(Clone, Debug)]
pub struct Verdict {
    /// What is told of the agent.
    pub end: End,
    /// Why its host does not answer, if that is so.
    pub lost: Option<String>,
}

impl Attached {
    /// Over a container's attached standard streams.
    pub fn new(attached: AttachContainerResults) -> Self {
        Self {
            input: attached.input,
            frames: Frames {
                output: attached.output,
                arrived: BytesMut::new(),
                log: Vec::new(),
            },
        }
    }

    /// Sends bytes as they are: the code that the supervisor is made of.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.input.write_all(bytes).await?;
        self.input.flush().await
    }

    /// Tells the supervisor something.
    pub async fn tell<T: Serialize>(&mut self, message: &T) -> io::Result<()> {
        let body = serde_json::to_vec(message).expect("orders serialise to JSON");
        self.write(&framed(ORDERS, &body)).await
    }

    /// What the supervisor says of itself.
    pub async fn hear<T: DeserializeOwned>(&mut self) -> Result<T, Lost> {
        let (channel, body) = self.frames.next().await?;
        if channel != ORDERS {
            return Err(Lost::Malformed);
        }
        serde_json::from_slice(&body).map_err(|_| Lost::Malformed)
    }

    /// The end of what the container wrote to its standard error.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&self.frames.log).trim().to_owned()
    }
}

struct Frames {
    output: Pin<Box<dyn Stream<Item = Result<LogOutput, EngineError>> + Send>>,
    arrived: BytesMut,
    log: Vec<u8>,
}

impl Frames {
    /// The next frame; safe to drop and call again.
    async fn next(&mut self) -> Result<(u8, Bytes), Lost> {
        loop {
            if let Some(frame) = self.take()? {
                return Ok(frame);
            }
            match self.output.next().await {
                Some(Ok(LogOutput::StdOut { message })) => self.arrived.extend_from_slice(&message),
                Some(Ok(LogOutput::StdErr { message })) => {
                    self.log.extend_from_slice(&message);
                    let excess = self.log.len().saturating_sub(MAX_LOG);
                    self.log.drain(..excess);
                }
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return Err(Lost::Ended),
            }
        }
    }

    fn take(&mut self) -> Result<Option<(u8, Bytes)>, Lost> {
        let Some(head) = self.arrived.first_chunk::<5>() else {
            return Ok(None);
        };
        let channel = head[0];
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if length > MAX_FRAME {
            return Err(Lost::Malformed);
        }
        if self.arrived.len() < 5 + length {
            return Ok(None);
        }
        self.arrived.advance(5);
        Ok(Some((channel, self.arrived.split_to(length).freeze())))
    }
}

fn framed(channel: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("frames are short");
    let mut bytes = Vec::with_capacity(5 + body.len());
    bytes.push(channel);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// The ends of a sandbox's lines that the relay serves.
pub struct Far {
    control: UnixStream,
    status: UnixStream,
    stdout: pipe::Sender,
    stderr: pipe::Sender,
    files: UnixStream,
}

impl Far {
    /// The four lines of [`FarEnds`], and the line for files.
    pub fn new(ends: FarEnds, files: UnixStream) -> io::Result<Self> {
        let [control, status, stdout, stderr] = ends;
        let socket = |end| {
            let socket = StdUnixStream::from(end);
            socket.set_nonblocking(true)?;
            UnixStream::from_std(socket)
        };
        Ok(Self {
            control: socket(control)?,
            status: socket(status)?,
            stdout: pipe::Sender::from_owned_fd(stdout)?,
            stderr: pipe::Sender::from_owned_fd(stderr)?,
            files,
        })
    }
}

/// Relays until the container has ended or nobody holds our side of the lines any more. `judge` is asked how a container ended that
/// did not say so itself, or whose agent was killed, which may have reasons that it does not see; `ended` is told before the lines
/// close.
pub async fn relay(
    attached: Attached,
    far: Far,
    judge: impl AsyncFnOnce(Result<End, Lost>) -> Verdict,
    ended: impl FnOnce(Verdict),
) {
    let Attached { input, mut frames } = attached;
    let (to_container, from_lines) = mpsc::channel(16);
    let (control, control_out) = tokio::io::split(far.control);
    let (files, files_out) = tokio::io::split(far.files);
    let (mut status, status_out) = tokio::io::split(far.status);
    let inwards = [Semaphore::new(WINDOW), Semaphore::new(WINDOW)];
    let (outwards, mut queues) = Outwards::new();
    let queue = |queues: &mut Queues, line: usize| queues[line].take().expect("taken once");
    let pumps = async {
        tokio::join!(
            pump_out(
                queue(&mut queues, 0),
                far.stdout,
                STDOUT,
                &outwards,
                &to_container
            ),
            pump_out(
                queue(&mut queues, 1),
                far.stderr,
                STDERR,
                &outwards,
                &to_container
            ),
            pump_out(
                queue(&mut queues, 2),
                control_out,
                CONTROL,
                &outwards,
                &to_container
            ),
            pump_out(
                queue(&mut queues, 3),
                files_out,
                FILES,
                &outwards,
                &to_container
            ),
            pump_status(queue(&mut queues, 4), status_out),
        );
    };
    let reading = async {
        let told = dispatch(&mut frames, &outwards, &inwards).await;
        // A kill from nowhere may have been the kernel's for want of memory, which others can tell.
        let verdict = match told {
            Ok(end) if end.signal != Some(9) || end.memory => Verdict { end, lost: None },
            Ok(end) => judge(Ok(end)).await,
            Err(lost) => {
                let verdict = judge(Err(lost)).await;
                let farewell = serde_json::json!({ "version": frame::VERSION, "end": verdict.end });
                outwards.send(4, Bytes::from(farewell.to_string()));
                verdict
            }
        };
        ended(verdict);
        outwards.close();
    };
    let from_us = async {
        let mut order = [0];
        while let Ok(1) = status.read(&mut order).await {
            // It fails once the container is gone, which `reading` sees too.
            let _ = to_container.send(framed(STATUS, &order)).await;
        }
    };
    tokio::select! {
        ((), ()) = async { tokio::join!(reading, pumps) } => {}
        () = from_us => {}
        () = write_all(from_lines, input) => {}
        () = pump_in(control, CONTROL, &inwards[0], &to_container) => {}
        () = pump_in(files, FILES, &inwards[1], &to_container) => {}
    }
}

type Queues = [Option<mpsc::UnboundedReceiver<Piece>>; 5];

/// A piece for a line, and how much has to be printed before it.
struct Piece {
    bytes: Bytes,
    after: [u64; 2],
}

/// What is on its way to our side: of each line as much as the window lets through, so the queues are bounded by it.
struct Outwards {
    queues: [std::sync::Mutex<Option<mpsc::UnboundedSender<Piece>>>; 5],
    waiting: [AtomicUsize; 5],
    arrived: [AtomicU64; 2],
    printed: [watch::Sender<u64>; 2],
}

impl Outwards {
    fn new() -> (Self, Queues) {
        let pairs: [_; 5] = std::array::from_fn(|_| mpsc::unbounded_channel());
        let (senders, receivers): (Vec<_>, Vec<_>) = pairs.into_iter().unzip();
        let mut senders = senders.into_iter();
        let mut receivers = receivers.into_iter();
        let outwards = Self {
            queues: std::array::from_fn(|_| std::sync::Mutex::new(senders.next())),
            waiting: std::array::from_fn(|_| AtomicUsize::new(0)),
            arrived: std::array::from_fn(|_| AtomicU64::new(0)),
            printed: std::array::from_fn(|_| watch::Sender::new(0)),
        };
        (outwards, std::array::from_fn(|_| receivers.next()))
    }

    /// Puts a piece on a line; whether the window had room for it.
    fn send(&self, line: usize, bytes: Bytes) -> bool {
        let length = bytes.len();
        let after = [0, 1].map(|pipe: usize| self.arrived[pipe].load(Ordering::Relaxed));
        if line < 2 {
            self.arrived[line].fetch_add(length as u64, Ordering::Relaxed);
        }
        let waiting = self.waiting[line].fetch_add(length, Ordering::Relaxed);
        if let Some(queue) = self.queue(line).as_ref() {
            // It fails when nobody takes from the line any more.
            let _ = queue.send(Piece { bytes, after });
        }
        waiting + length <= WINDOW
    }

    fn queue(
        &self,
        line: usize,
    ) -> std::sync::MutexGuard<'_, Option<mpsc::UnboundedSender<Piece>>> {
        self.queues[line]
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// After what is still waiting, the lines end.
    fn close(&self) {
        for line in 0..self.queues.len() {
            self.queue(line).take();
        }
    }
}

const fn line_of(channel: u8) -> Option<usize> {
    match channel {
        STDOUT => Some(0),
        STDERR => Some(1),
        CONTROL => Some(2),
        FILES => Some(3),
        _ => None,
    }
}

/// Sorts what comes from the container until it says how the agent ended.
async fn dispatch(
    frames: &mut Frames,
    outwards: &Outwards,
    inwards: &[Semaphore; 2],
) -> Result<End, Lost> {
    loop {
        let (channel, body) = frames.next().await?;
        if channel == STATUS {
            let farewell = serde_json::from_slice::<serde_json::Value>(&body)
                .ok()
                .and_then(|message| message.get("end").cloned());
            outwards.send(4, body);
            outwards.waiting[4].store(0, Ordering::Relaxed);
            if let Some(end) = farewell {
                return Ok(serde_json::from_value(end).unwrap_or_default());
            }
        } else if let Some(line) = line_of(channel) {
            if body.is_empty() {
                outwards.queue(line).take();
            } else if !outwards.send(line, body) {
                return Err(Lost::Malformed);
            }
        } else {
            let used: [u8; 4] = body[..].try_into().map_err(|_| Lost::Malformed)?;
            let used = u32::from_be_bytes(used) as usize;
            let line = match channel ^ USED {
                CONTROL => &inwards[0],
                FILES => &inwards[1],
                _ => return Err(Lost::Malformed),
            };
            if line.available_permits() + used > WINDOW {
                return Err(Lost::Malformed);
            }
            line.add_permits(used);
        }
    }
}

/// Writes a line's pieces. Those of other lines than the printed ones wait until what was printed before them is written: our side
/// reads a reply and then takes what the pipes hold.
async fn pump_out(
    mut queue: mpsc::UnboundedReceiver<Piece>,
    mut end: impl AsyncWrite + Unpin,
    channel: u8,
    outwards: &Outwards,
    to_container: &mpsc::Sender<Vec<u8>>,
) {
    let line = line_of(channel).expect("only these channels are lines");
    let mut open = true;
    while let Some(Piece { bytes, after }) = queue.recv().await {
        if channel == CONTROL {
            for (printed, before) in outwards.printed.iter().zip(after) {
                // The sender lives as long as we do.
                let _ = printed
                    .subscribe()
                    .wait_for(|written| *written >= before)
                    .await;
            }
        }
        open = open && end.write_all(&bytes).await.is_ok();
        if let Some(printed) = outwards.printed.get(line) {
            printed.send_modify(|written| *written += bytes.len() as u64);
        }
        outwards.waiting[line].fetch_sub(bytes.len(), Ordering::Relaxed);
        let used = u32::try_from(bytes.len()).expect("frames are short");
        // It fails once the container is gone; the rest is still for our side.
        let _ = to_container
            .send(framed(channel | USED, &used.to_be_bytes()))
            .await;
    }
    // The control line ends after what was printed is written, for the same reason.
    if channel == CONTROL {
        for (printed, arrived) in outwards.printed.iter().zip(&outwards.arrived) {
            let before = arrived.load(Ordering::Relaxed);
            let _ = printed
                .subscribe()
                .wait_for(|written| *written >= before)
                .await;
        }
    }
    // The other half of a socket is held by `pump_in`.
    let _ = end.shutdown().await;
}

async fn pump_status(mut queue: mpsc::UnboundedReceiver<Piece>, mut status: WriteHalf<UnixStream>) {
    while let Some(Piece { bytes, .. }) = queue.recv().await {
        if status
            .write_all(&frame::encode_bytes(&bytes))
            .await
            .is_err()
        {
            return;
        }
    }
}

/// Sends what comes from our side, as far as the window lets it; never returns.
async fn pump_in(
    mut end: ReadHalf<UnixStream>,
    channel: u8,
    window: &Semaphore,
    to_container: &mpsc::Sender<Vec<u8>>,
) {
    let mut bytes = vec![0; PART];
    loop {
        let Ok(permits) = window.acquire_many(PART as u32).await else {
            break;
        };
        let count = end.read(&mut bytes).await.unwrap_or(0);
        if count == 0 {
            break;
        }
        permits.forget();
        window.add_permits(PART - count);
        if to_container
            .send(framed(channel, &bytes[..count]))
            .await
            .is_err()
        {
            break;
        }
    }
    std::future::pending::<()>().await;
}

/// Writes to the container; never returns, since a container that does not read is seen to end elsewhere.
async fn write_all(
    mut from_lines: mpsc::Receiver<Vec<u8>>,
    mut input: Pin<Box<dyn AsyncWrite + Send>>,
) {
    let mut broken = false;
    while let Some(bytes) = from_lines.recv().await {
        broken = broken || input.write_all(&bytes).await.is_err() || input.flush().await.is_err();
    }
    std::future::pending::<()>().await;
}
