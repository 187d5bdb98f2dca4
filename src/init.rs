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
    file.write_all(own(DEFAULT_TOML).as_bytes())?;
    let how = if shown.to_string() == "synth.toml" {
        "`synth run` in this folder uses it".to_owned()
    } else {
        format!("use it with `synth run --config {shown}`")
    };
    writeln!(std::io::stderr(), "wrote `{shown}`; {how}")?;
    Ok(ExitCode::Success)
}

/// The defaults with the bundled sources commented out: in a file they would stand beside those that are added.
fn own(defaults: &str) -> String {
    let mut in_sources = false;
    let line = |line: &str| {
        if line.starts_with('[') {
            in_sources = line.starts_with("[sources.");
        }
        let mark = if in_sources && !line.is_empty() && !line.starts_with('#') {
            "# "
        } else {
            ""
        };
        format!("{mark}{line}\n")
    };
    defaults.lines().map(line).collect()
}

#[cfg(test)]
mod tests {
    use synth_core::config::{Layer, load};

    use super::*;

    #[test]
    fn sources_added_to_the_file_stand_alone() {
        let text = own(DEFAULT_TOML) + "[sources.mine]\nkind = \"folder\"\npath = \"data\"\n";
        let config = load(&[Layer::File {
            name: "synth.toml".to_owned(),
            text,
        }])
        .unwrap();
        assert_eq!(config.sources.keys().collect::<Vec<_>>(), ["mine"]);
    }

    #[test]
    fn the_file_as_written_changes_nothing() {
        let text = own(DEFAULT_TOML);
        let file = Layer::File {
            name: "synth.toml".to_owned(),
            text,
        };
        assert_eq!(load(&[file]).unwrap(), load(&[]).unwrap());
    }
}
