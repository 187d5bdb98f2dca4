//! The only way to stdout, which is for data.

use std::io::{ErrorKind, Write};

use crate::exit_code::Failure;

/// Writes text to stdout. A reader that went away (`synth show … | head`) is no failure.
pub fn data(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}
