//! `synth init`: the defaults as a file of one's own, every key explained.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};

use synth_core::config::DEFAULT_TOML;

use crate::cli::InitArguments;
use crate::exit_code::{ExitCode, Failure};

/// Writes the file; one that is there already is left alone.
pub fn init(arguments: &InitArguments) -> Result<ExitCode, Failure> {
    let shown = arguments.file.display();
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .open(&arguments.file)
        .map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => Failure::new(
                ExitCode::Files,
                format!("`{shown}` is there already and was left alone; name another file"),
            ),
            _ => Failure::new(ExitCode::Files, format!("cannot write `{shown}`: {error}")),
        })?;
    file.write_all(DEFAULT_TOML.as_bytes())?;
    let how = if shown.to_string() == "synth.toml" {
        "`synth run` in this folder uses it".to_owned()
    } else {
        format!("use it with `synth run --config {shown}`")
    };
    writeln!(std::io::stderr(), "wrote `{shown}`; {how}")?;
    Ok(ExitCode::Success)
}
