//! What can go wrong with a sandbox itself, as opposed to the code in it.

use std::io;

use synth_core::{FailureKind, RecordError};

/// A sandbox could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    /// There is no usable Python.
    #[error("find a Python 3.10 or newer; tried: {tried}; install one or set `sandbox.python`")]
    NoPython {
        /// What was tried and why it was no good.
        tried: String,
    },
    /// The Python environment could not be made.
    #[error("make the Python environment: {what}\n{output}")]
    Environment {
        /// Which step failed, and what to do.
        what: String,
        /// The end of what the step printed.
        output: String,
    },
    /// The kernel refuses to isolate.
    #[error("isolate the agent's code: {missing}; {remedy}")]
    Isolation {
        /// The layers that are missing.
        missing: String,
        /// What to do.
        remedy: String,
    },
    /// The Python process that sandboxes are forked from does not work.
    #[error("start the sandbox process: {0}")]
    Zygote(String),
    /// A sandbox could not be opened.
    #[error("open a sandbox: {0}")]
    Open(String),
    /// A path that is not a plain relative one.
    #[error("use the path `{0}`: it has to be relative, without `..`")]
    Path(String),
    /// A file of the workspace cannot be read or written.
    #[error("access `{path}` in the workspace: {why}")]
    File {
        /// The file.
        path: String,
        /// Why not.
        why: String,
    },
    /// A data file of the task cannot be shown to the sandbox.
    #[error("mount the data file `{path}`: {source}")]
    Data {
        /// The file.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// The machine that the sandbox ran on, or was to run on, does not answer any more; another may.
    #[error("use the sandbox: `{host}` is unavailable: {why}")]
    Unavailable {
        /// Which machine.
        host: String,
        /// What it said last.
        why: String,
    },
    /// A Docker Engine refused something.
    #[error("{what}: {why}")]
    Docker {
        /// What was being done.
        what: String,
        /// Why it failed, and what to do.
        why: String,
    },
    /// The backend has no such image.
    #[error("open a sandbox: {0}")]
    Image(String),
    /// The backend was closed.
    #[error("open a sandbox: the backend is closed")]
    Closed,
    /// The operating system refused something that mostly works.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
}

impl SandboxError {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// Whether another try may help.
    pub const fn is_spurious(&self) -> bool {
        matches!(
            self,
            Self::Zygote(_) | Self::Open(_) | Self::Unavailable { .. } | Self::Io { .. }
        )
    }

    /// The reason of what another machine may do instead.
    pub const UNAVAILABLE: &'static str = "unavailable";

    /// A short name to count by.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NoPython { .. } => "no_python",
            Self::Environment { .. } => "environment",
            Self::Isolation { .. } => "no_isolation",
            Self::Zygote(_) => "zygote",
            Self::Open(_) => "not_opened",
            Self::Path(_) => "bad_path",
            Self::File { .. } => "file",
            Self::Data { .. } => "data_file",
            Self::Unavailable { .. } => Self::UNAVAILABLE,
            Self::Docker { .. } => "docker",
            Self::Image(_) => "no_image",
            Self::Closed => "closed",
            Self::Io { .. } => "io",
        }
    }
}

impl From<SandboxError> for RecordError {
    fn from(error: SandboxError) -> Self {
        let (reason, message, is_spurious) = (
            error.reason().to_owned(),
            error.to_string(),
            error.is_spurious(),
        );
        Self {
            kind: FailureKind::Sandbox,
            reason,
            message,
            is_spurious,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_error_keeps_the_reason_and_whether_a_retry_helps() {
        let error = RecordError::from(SandboxError::Zygote("it is gone".into()));
        assert_eq!(
            (error.kind, error.reason.as_str(), error.is_spurious),
            (FailureKind::Sandbox, "zygote", true)
        );
        assert!(!RecordError::from(SandboxError::Path("../x".into())).is_spurious);
    }
}
