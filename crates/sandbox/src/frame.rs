//! The protocol between `synth` and a sandbox: frames of a big-endian `u32` length and so many bytes, JSON first. It is the same for
//! every backend, and what comes from a sandbox is not trusted.
//!
//! A sandbox has four lines. Over *control* go cells and replies, over *status* orders and news, and two pipes carry what is printed;
//! printed text is never in a frame.
//!
//! | line | from | what | bound |
//! |---|---|---|---|
//! | control | `synth` | a [`Request`], then the 32 characters of the nonce, outside of the frame | [`MAX_CODE`] |
//! | control | agent | one [`Reply`] a request: JSON, and if it has displays a newline and their bytes, one after the other | [`Reply::longest`] |
//! | status | `synth` | one byte: `i` interrupts (SIGINT to the agent's process group), `t` terminates (SIGTERM to it), all else ends the sandbox | 1 |
//! | status | init | first a [`Hello`], with the workspace's descriptor if it can be had, last a [`Farewell`] | [`MAX_NEWS`] |
//! | stdout, stderr | any process | bytes; drained while a cell runs, head and tail kept | `output_bytes` shown, `printed_bytes` taken |
//!
//! The rules, in the order in which `child` holds to them:
//!
//! 1. Nothing may lie in *control* when a cell is sent: what does is a reply to nothing, and ends the sandbox.
//! 2. A reply has to be one frame no longer than its bound, JSON of exactly these fields, of this [`VERSION`], with the nonce of its
//!    request. All else (a bogus length, another type, a number that does not fit, an unknown media type, one byte too few or too many)
//!    is a protocol error: the sandbox is ended, the cell's outcome is `Died` by `protocol error`, and the next cell is told that the
//!    state is lost. A frame that never ends runs into the cell's time limit.
//! 3. Every text in it is cut and made harmless by `output` before it goes into a record.
//! 4. Time, memory, processes, disk and death are judged by what `synth` and its [`Witness`](crate::Witness) see. The agent's word is
//!    asked where there is no such thing to see: for values, exceptions, and limits that nobody counts on this machine.
//!
//! The nonce stays in the kernel's socket buffer while the cell runs: no Python object holds it, and a frame that a cell writes by guess
//! or accident is not taken for a reply. A cell that looks for the control socket itself and reads the nonce there can answer in the
//! agent's place, for itself alone: it shares the interpreter, so nothing can prevent that. It gains no time, as the next cell finds
//! the agent busy and its own limit running, and a nonce is good for one reply.

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The protocol's version; both ends name it, and a mismatch is an error.
pub const VERSION: u32 = 2;
/// The longest code of a cell.
pub const MAX_CODE: usize = 1 << 20;
/// The longest first or last frame of an init, and what a reply has beside its texts.
pub const MAX_NEWS: usize = 1 << 16;
/// The longest name of an exception.
pub const MAX_NAME: u64 = 200;
/// How many displays a cell may have.
pub const MAX_DISPLAYS: usize = 16;
/// How many bytes the displays of a cell may have together.
pub const MAX_DISPLAY_BYTES: usize = 4 << 20;
/// What may be displayed beside text.
pub const MEDIA_TYPES: [&str; 9] = [
    "image/png",
    "image/jpeg",
    "image/svg+xml",
    "image/gif",
    "image/webp",
    "text/html",
    "text/markdown",
    "text/latex",
    "application/json",
];

/// A cell to run.
#[derive(Serialize)]
pub struct Request<'a> {
    /// The code.
    pub code: &'a str,
}

/// What the agent says of a cell. Everything in it may be made up by the cell.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// The protocol's version.
    pub version: u32,
    /// The secret that followed the request.
    pub nonce: String,
    /// How the cell went.
    pub status: Status,
    /// The last expression's value, as text.
    #[serde(default)]
    pub value: Option<String>,
    /// The exception's type.
    #[serde(default)]
    pub name: String,
    /// The exception's message.
    #[serde(default)]
    pub message: String,
    /// The exception's traceback.
    #[serde(default)]
    pub traceback: String,
    /// The error number that the exception carries.
    #[serde(default)]
    pub errno: Option<i32>,
    /// The largest resident size of the agent so far, in bytes.
    #[serde(default)]
    pub memory_peak: Option<u64>,
    /// What follows the JSON, piece by piece.
    #[serde(default)]
    pub displays: Vec<Shown>,
}

/// One piece of what follows a reply.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shown {
    /// One of [`MEDIA_TYPES`].
    pub media_type: String,
    /// Its size.
    pub bytes: usize,
}

impl Reply {
    /// The longest reply of an agent whose texts have at most `output_bytes` characters: three texts, in which a character takes up
    /// to six bytes as JSON.
    pub fn longest(output_bytes: u64) -> usize {
        let texts = usize::try_from(output_bytes)
            .unwrap_or(usize::MAX)
            .saturating_mul(18);
        texts
            .saturating_add(MAX_NEWS + MAX_DISPLAY_BYTES)
            .min(u32::MAX as usize)
    }

    /// The reply in `body` to the request with this nonce, and the content of its displays.
    pub fn parse(body: &[u8], nonce: &str) -> Result<(Self, Vec<Vec<u8>>), FrameError> {
        let (json, mut rest) = match body.iter().position(|byte| *byte == b'\n') {
            Some(end) => (&body[..end], &body[end + 1..]),
            None => (body, [].as_slice()),
        };
        let reply: Self = serde_json::from_slice(json).map_err(|_| FrameError::Malformed)?;
        let total = reply
            .displays
            .iter()
            .try_fold(0_usize, |total, shown| total.checked_add(shown.bytes));
        let sound = reply.version == VERSION
            && reply.nonce == nonce
            && reply.displays.len() <= MAX_DISPLAYS
            && total == Some(rest.len())
            && rest.len() <= MAX_DISPLAY_BYTES
            && reply
                .displays
                .iter()
                .all(|shown| MEDIA_TYPES.contains(&shown.media_type.as_str()));
        if !sound {
            return Err(FrameError::Malformed);
        }
        let mut contents = Vec::with_capacity(reply.displays.len());
        for shown in &reply.displays {
            let (content, after) = rest.split_at(shown.bytes);
            contents.push(content.to_vec());
            rest = after;
        }
        Ok((reply, contents))
    }
}

/// How a cell went, by the agent's word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// It ran to its end.
    Ok,
    /// It raised.
    Error,
    /// It raised `MemoryError`.
    Memory,
}

/// What the sandbox's init says first: that all is set up, or why not.
#[derive(Debug, Deserialize)]
pub struct Hello {
    pub version: u32,
    #[serde(default)]
    pub proc: bool,
    #[serde(default)]
    pub seccomp: bool,
    #[serde(default)]
    pub error: Option<String>,
    #[serde(default)]
    pub layer: Option<String>,
}

/// What the sandbox's init says last.
#[derive(Debug, Default, Deserialize)]
pub struct Farewell {
    #[serde(default)]
    pub end: End,
}

/// How a sandbox ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct End {
    #[serde(default)]
    pub exit: Option<i32>,
    #[serde(default)]
    pub signal: Option<i32>,
    #[serde(default)]
    pub memory: bool,
}

impl End {
    /// The end in words.
    pub fn how(self) -> String {
        match self {
            Self {
                signal: Some(number),
                ..
            } => format!("signal {number}"),
            Self {
                exit: Some(code), ..
            } => format!("exit code {code}"),
            _ => "the process is gone".into(),
        }
    }
}

/// A frame that cannot be one.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The other end is gone.
    #[error("the connection is closed")]
    Closed,
    /// The length is more than is allowed.
    #[error("a frame of {0} bytes is too long")]
    TooLong(usize),
    /// The JSON is not what it should be.
    #[error("a frame is malformed")]
    Malformed,
}

/// The bytes of a frame.
pub fn encode<T: Serialize>(message: &T) -> Vec<u8> {
    let body =
        serde_json::to_vec(message).expect("frames serialise to JSON: their keys are strings");
    encode_bytes(&body)
}

/// The bytes of a frame with this body.
pub fn encode_bytes(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("callers bound what they send below 4 GiB");
    [&length.to_be_bytes(), body].concat()
}

/// Reads the length and body of a frame bit by bit, so that a dropped read loses nothing.
#[derive(Default)]
pub struct FrameReader {
    bytes: Vec<u8>,
}

impl FrameReader {
    /// Whether nothing of a next frame was read yet.
    pub const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// The next frame's body; safe to drop and call again. Never holds more than one frame of `max` bytes.
    pub async fn next<R: AsyncRead + Unpin>(
        &mut self,
        reader: &mut R,
        max: usize,
    ) -> Result<Vec<u8>, FrameError> {
        loop {
            let wanted = match self.bytes.first_chunk::<4>() {
                None => 4,
                Some(head) => {
                    let length = u32::from_be_bytes(*head) as usize;
                    if length > max {
                        return Err(FrameError::TooLong(length));
                    }
                    4 + length
                }
            };
            if wanted > 4 && self.bytes.len() == wanted || wanted == 4 && self.bytes.len() >= 4 {
                let body = self.bytes.split_off(4);
                self.bytes.clear();
                return Ok(body);
            }
            // Grows with what arrives, not with what a length claims.
            let mut part = (&mut *reader).take((wanted - self.bytes.len()).min(1 << 16) as u64);
            match part.read_buf(&mut self.bytes).await {
                Ok(0) | Err(_) => return Err(FrameError::Closed),
                Ok(_) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    async fn read_all(mut bytes: &[u8], max: usize) -> Result<Vec<u8>, FrameError> {
        FrameReader::default().next(&mut bytes, max).await
    }

    #[tokio::test]
    async fn a_frame_comes_back_as_it_went() {
        assert_eq!(
            read_all(&encode_bytes(b"hello"), 100).await.unwrap(),
            b"hello"
        );
        assert_eq!(read_all(&encode_bytes(b""), 100).await.unwrap(), b"");
    }

    #[tokio::test]
    async fn two_frames_in_a_row_are_kept_apart() {
        let bytes = [
            encode_bytes(b"one"),
            encode_bytes(b""),
            encode_bytes(b"three"),
        ]
        .concat();
        let (mut bytes, mut reader) = (bytes.as_slice(), FrameReader::default());
        for expected in [b"one".as_slice(), b"", b"three"] {
            assert_eq!(reader.next(&mut bytes, 10).await.unwrap(), expected);
        }
    }

    #[tokio::test]
    async fn a_bogus_length_is_refused_before_anything_is_read() {
        assert!(matches!(
            read_all(&[0xff, 0xff, 0xff, 0xff, 1], 1 << 20).await,
            Err(FrameError::TooLong(_))
        ));
    }

    #[tokio::test]
    async fn a_torn_frame_is_a_closed_connection() {
        assert!(matches!(
            read_all(&encode_bytes(b"hello")[..6], 100).await,
            Err(FrameError::Closed)
        ));
    }

    fn reply(fields: &str) -> String {
        format!(r#"{{"version": 2, "nonce": "n", "status": "ok"{fields}}}"#)
    }

    #[test]
    fn displays_follow_the_json() {
        let shown = r#", "displays": [{"media_type": "image/png", "bytes": 3}, {"media_type": "text/html", "bytes": 0}]"#;
        let (_, contents) =
            Reply::parse(format!("{}\na\nb", reply(shown)).as_bytes(), "n").unwrap();
        assert_eq!(contents, [b"a\nb".to_vec(), vec![]]);
        for rest in ["", "\n", "\nab", "\nabcd"] {
            let body = format!("{}{rest}", reply(shown));
            assert!(Reply::parse(body.as_bytes(), "n").is_err(), "{body}");
        }
    }

    #[test]
    fn a_reply_that_is_not_exactly_one_is_malformed() {
        assert!(Reply::parse(reply("").as_bytes(), "n").is_ok());
        assert!(Reply::parse(reply("").as_bytes(), "m").is_err());
        let nested = format!(
            r#", "value": {}{}"#,
            "[".repeat(100_000),
            "]".repeat(100_000)
        );
        for fields in [
            r#", "value": 1"#,
            r#", "value": NaN"#,
            r#", "memory_peak": 99999999999999999999999999"#,
            r#", "memory_peak": -1"#,
            r#", "memory_peak": 1e3"#,
            r#", "errno": 4294967296"#,
            r#", "status": "ok""#,
            r#", "unknown": 1"#,
            r#", "displays": [{"media_type": "text/javascript", "bytes": 0}]"#,
            r#", "displays": [{"media_type": "image/png", "bytes": 18446744073709551615}, {"media_type": "image/png", "bytes": 1}]"#,
            &format!(
                r#", "displays": [{}]"#,
                [r#"{"media_type": "image/png", "bytes": 0}"#; 17].join(",")
            ),
            &nested,
        ] {
            let body = reply(fields);
            assert_eq!(
                Reply::parse(body.as_bytes(), "n"),
                Err(FrameError::Malformed),
                "{body:.200}"
            );
        }
        for body in ["", "[]", "null", "2", "\n", "{}", "{", "\u{0}"] {
            assert!(Reply::parse(body.as_bytes(), "n").is_err(), "{body:?}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_without_the_nonce_are_a_reply(body in proptest::collection::vec(any::<u8>(), 0..300), json in "[ -~]{0,80}") {
            prop_assert!(Reply::parse(&body, "a nonce that is not there").is_err());
            let body = reply(&format!(", {json}"));
            prop_assert!(Reply::parse(body.as_bytes(), "another").is_err());
        }

        #[test]
        fn frames_come_whole_however_they_are_torn(bodies in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..40), 1..6), step in 1_usize..9) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let bytes: Vec<u8> = bodies.iter().flat_map(|body| encode_bytes(body)).collect();
            let read = runtime.block_on(async {
                let (mut near, mut far) = tokio::io::duplex(step);
                let mut frames = FrameReader::default();
                let write = async {
                    let _ = tokio::io::AsyncWriteExt::write_all(&mut near, &bytes).await;
                };
                let read = async {
                    let mut read = Vec::new();
                    while read.len() < bodies.len() {
                        // Dropped half-way again and again, as a select does.
                        tokio::select! {
                            biased;
                            frame = frames.next(&mut far, 64) => read.push(frame.unwrap()),
                            () = tokio::task::yield_now() => {}
                        }
                    }
                    read
                };
                tokio::join!(write, read).1
            });
            prop_assert_eq!(read, bodies);
        }

        #[test]
        fn any_bytes_give_a_frame_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let _ = runtime.block_on(read_all(&bytes, 64));
        }
    }
}
