//! Frames between `synth` and its Python processes: a big-endian `u32` length, then JSON. What comes from a sandbox is not trusted.

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncRead, AsyncReadExt};

/// The protocol's version; both ends name it, and a mismatch is an error.
pub const VERSION: u32 = 1;

/// A cell to run.
#[derive(Serialize)]
pub struct Request<'a> {
    /// A secret that the reply has to carry.
    pub nonce: &'a str,
    /// The code.
    pub code: &'a str,
}

/// What the agent says of a cell. Everything in it may be made up by the cell.
#[derive(Debug, Deserialize)]
pub struct Reply {
    pub version: u32,
    pub nonce: String,
    pub status: Status,
    #[serde(default)]
    pub value: Option<String>,
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub message: String,
    #[serde(default)]
    pub traceback: String,
    #[serde(default)]
    pub memory_peak: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    Ok,
    Error,
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
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
#[derive(Debug, thiserror::Error)]
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

    proptest! {
        #[test]
        fn any_bytes_give_a_frame_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let _ = runtime.block_on(read_all(&bytes, 64));
        }
    }
}
