//! How the command ends: a code that scripts can rely on, and a message that says what to do.

use std::fmt;

use synth_core::ConfigError;
use synth_pipeline::{LedgerError, StageError};

use crate::cli::RunArguments;

/// Exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExitCode {
    /// All that was asked for is done.
    Success = 0,
    /// Something that has no code of its own.
    Failure = 1,
    /// The command line does not read.
    Usage = 2,
    /// The configuration does not read, or names what does not exist.
    Configuration = 3,
    /// Too many items failed.
    TooManyFailed = 4,
    /// A limit on spending was reached; what was finished is kept.
    Budget = 5,
    /// Another process has the ledger.
    LedgerInUse = 6,
    /// No sandbox, no model or no origin of data can be had.
    Unavailable = 7,
    /// A file could not be read or written, or the disk is full.
    Files = 8,
    /// A person stopped it; what was finished is kept.
    Interrupted = 130,
}

impl ExitCode {
    /// Code and meaning of each, for `--help`.
    pub const TABLE: [(Self, &'static str); 10] = [
        (Self::Success, "all that was asked for is done"),
        (Self::Failure, "something that has no code of its own"),
        (Self::Usage, "the command line does not read"),
        (
            Self::Configuration,
            "the configuration does not read, or names what does not exist",
        ),
        (Self::TooManyFailed, "too many items failed"),
        (
            Self::Budget,
            "a limit on spending was reached; what was finished is kept",
        ),
        (Self::LedgerInUse, "another process has the ledger"),
        (
            Self::Unavailable,
            "no sandbox, no model or no origin of data can be had",
        ),
        (
            Self::Files,
            "a file could not be read or written, or the disk is full",
        ),
        (
            Self::Interrupted,
            "a person stopped it; what was finished is kept",
        ),
    ];
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}

/// Why the command did not do what was asked for.
#[derive(Debug)]
pub struct Failure {
    /// The code.
    pub code: ExitCode,
    message: String,
}

impl Failure {
    /// A failure with a message that ends with what to do.
    pub fn new(code: ExitCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// How a stage's stop ends the command.
    pub fn of_stage(stage: &str, error: &StageError, arguments: &RunArguments, run: &str) -> Self {
        let code = match error {
            StageError::Interrupted => ExitCode::Interrupted,
            StageError::TooManyFailed { .. } => ExitCode::TooManyFailed,
            StageError::Budget(_) => ExitCode::Budget,
            StageError::Model(_) | StageError::Sandbox(_) | StageError::Origin(_) => {
                ExitCode::Unavailable
            }
            StageError::Ledger(LedgerError::InUse { .. }) => ExitCode::LedgerInUse,
            StageError::Ledger(_) | StageError::Files(_) => ExitCode::Files,
            StageError::MissingInput { .. } | StageError::OutdatedInput { .. } => ExitCode::Usage,
        };
        let (options, again) = (arguments.config.as_typed(run), arguments.again(run));
        let message = match error {
            StageError::Interrupted => {
                format!(
                    "interrupted in stage `{stage}`; finished items are kept, `{again}` goes on"
                )
            }
            StageError::MissingInput { .. } | StageError::OutdatedInput { .. } => {
                format!(
                    "stage `{stage}` stopped: {error}{}",
                    remedy(error, &options)
                )
            }
            // It says itself what to do, and going on is not it.
            StageError::Ledger(LedgerError::Damaged(_)) => {
                format!("stage `{stage}` stopped: {error}")
            }
            _ => {
                let see = if matches!(error, StageError::TooManyFailed { .. }) {
                    format!("\n  see:  synth show {options} --failed")
                } else {
                    String::new()
                };
                format!(
                    "stage `{stage}` stopped: {error}{see}\n  hint: finished items are kept; `{again}` goes on"
                )
            }
        };
        Self::new(code, message)
    }
}

/// What brings a stage's input about, where that is what is wrong; `options` as they were typed.
pub fn remedy(error: &StageError, options: &str) -> String {
    match error {
        StageError::MissingInput { missing, .. } => {
            format!("; `synth run {options} --until {missing}` makes it")
        }
        StageError::OutdatedInput { outdated, .. } => {
            format!("; `synth run {options} --until {outdated}` brings it up to date")
        }
        _ => String::new(),
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<ConfigError> for Failure {
    fn from(error: ConfigError) -> Self {
        Self::new(ExitCode::Configuration, error.to_string())
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        let code = if matches!(error, LedgerError::InUse { .. }) {
            ExitCode::LedgerInUse
        } else {
            ExitCode::Files
        };
        Self::new(code, error.to_string())
    }
}

impl From<StageError> for Failure {
    fn from(error: StageError) -> Self {
        Self::new(ExitCode::Files, error.to_string())
    }
}

impl From<fmt::Error> for Failure {
    fn from(error: fmt::Error) -> Self {
        Self::new(
            ExitCode::Failure,
            format!("cannot put a text together: {error}"),
        )
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::new(ExitCode::Files, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_do_about_a_stop_can_be_typed_as_it_stands() {
        let mut arguments = RunArguments::default();
        arguments.config.config = Some("mine.toml".into());
        arguments.config.set = vec!["crawl.query=house prices".to_owned()];
        let options = "--run jan9 --config mine.toml --set 'crawl.query=house prices'";
        let message = |error| Failure::of_stage("judge", &error, &arguments, "jan9").to_string();

        let failed = StageError::TooManyFailed {
            failed: 3,
            read: 3,
            first: "`trj_1`: busy".to_owned(),
        };
        let said = message(failed);
        assert!(
            said.contains(&format!("synth show {options} --failed")),
            "{said}"
        );
        assert!(
            said.contains(&format!("`synth run {options}` goes on")),
            "{said}"
        );
        assert_eq!(
            message(StageError::Interrupted),
            format!(
                "interrupted in stage `judge`; finished items are kept, `synth run {options}` goes on"
            )
        );
        let missing = StageError::MissingInput {
            missing: "queries".to_owned(),
            run: "jan9".to_owned(),
        };
        assert_eq!(
            message(missing),
            format!(
                "stage `judge` stopped: it reads `queries`, which run `jan9` does not have yet; `synth run {options} --until queries` makes it"
            )
        );
    }
}
