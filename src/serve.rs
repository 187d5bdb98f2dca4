//! `synth serve`: sandboxes for other programs over HTTP, until a signal.

use std::fs;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use synth_core::config::SandboxBackend;
use synth_sandbox::{SandboxLimits, open_backend, slots_of};
use synth_serve::{Api, ClientLimits, Leases, Options, ServeError, Server, Tokens};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::cli::{ServeApi, ServeArguments};
use crate::context;
use crate::exit_code::{ExitCode, Failure};

/// The variable that holds a token.
const TOKEN_VARIABLE: &str = "SYNTH_SERVE_TOKEN";
/// The most of a cell's output that may be asked for.
const MAX_OUTPUT_BYTES: u64 = 1 << 20;

/// Serves until it is told to stop.
pub async fn serve(arguments: ServeArguments) -> Result<ExitCode, Failure> {
    if arguments.submissions.is_some() && !matches!(arguments.api, ServeApi::Dsgym) {
        let message = "`--submissions` goes with `--api dsgym` alone";
        return Err(Failure::new(ExitCode::Usage, message));
    }
    let tokens = tokens(&arguments)?;
    // Before anything takes long.
    Server::check(arguments.listen, &tokens)?;
    let config = context::configuration(&arguments.config)?;
    let slots = slots_of(arguments.slots.unwrap_or(config.jobs.sandboxes));
    let scratch = context::scratch_folder(&config);
    // Nowhere is left to complain to when stderr is gone.
    let say = |text: &str| drop(writeln!(io::stderr(), "{text}"));
    let sandboxes = open_backend(&config.sandbox, slots, &scratch, &say)
        .await
        .map_err(|error| Failure::new(ExitCode::Unavailable, format!("failed to {error}")))?;
    // The local backend has one image.
    let images = match config.sandbox.backend {
        SandboxBackend::Docker => config.sandbox.images.keys().cloned().collect(),
        SandboxBackend::Local => Vec::new(),
    };
    let options = options(&arguments, tokens, slots, scratch, images);
    let bound = Server::bind(arguments.listen, options, Arc::clone(&sandboxes)).await;
    let server = match bound {
        Ok(server) => server,
        Err(error) => {
            sandboxes.close().await;
            return Err(error.into());
        }
    };
    let stop = CancellationToken::new();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    say(&format!(
        "serves {slots} sandboxes at http://{}; Ctrl-C stops",
        server.address
    ));
    let stopped = async {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        say("takes nothing new and lets what runs end; Ctrl-C again stops at once");
        stop.cancel();
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    tokio::select! {
        () = server.run(stop.clone()) => Ok(ExitCode::Success),
        // Sandboxes end by themselves when their sockets close.
        () = stopped => Err(Failure::new(ExitCode::Interrupted, "stopped at once")),
    }
}

/// Who is let in. Tokens come from the environment or a file: what is typed, others see.
fn tokens(arguments: &ServeArguments) -> Result<Tokens, Failure> {
    let (origin, text) = match (&arguments.token_file, std::env::var(TOKEN_VARIABLE)) {
        (Some(file), _) => {
            let text = fs::read_to_string(file).map_err(|error| {
                let message = format!("cannot read the tokens in `{}`: {error}", file.display());
                Failure::new(ExitCode::Configuration, message)
            })?;
            (format!("`{}`", file.display()), text)
        }
        (None, Ok(token)) => (format!("`{TOKEN_VARIABLE}`"), token),
        (None, Err(_)) => return Ok(Tokens::default()),
    };
    let fail =
        |problem: &str| Failure::new(ExitCode::Configuration, format!("{origin}: {problem}"));
    let tokens = Tokens::read(&text).map_err(|problem| fail(&problem))?;
    if tokens.is_empty() {
        return Err(fail(
            "there is no token in it; write one, `openssl rand -hex 32` makes it",
        ));
    }
    Ok(tokens)
}

fn options(
    arguments: &ServeArguments,
    tokens: Tokens,
    slots: usize,
    scratch: std::path::PathBuf,
    images: Vec<String>,
) -> Options {
    let mib = |count: u64| count << 20;
    Options {
        api: match arguments.api {
            ServeApi::Native => Api::Native,
            ServeApi::Dsgym => Api::Dsgym,
            ServeApi::SandboxFusion => Api::SandboxFusion,
        },
        slots,
        tokens,
        leases: Leases {
            idle: Duration::from_secs(arguments.idle),
            lifetime: Duration::from_secs(arguments.lifetime),
        },
        wait: Duration::from_secs(arguments.wait),
        drain: Duration::from_secs(arguments.drain),
        client: ClientLimits {
            sandboxes: arguments.client_sandboxes.unwrap_or(slots),
            requests: arguments.client_requests,
            body_bytes: usize::try_from(mib(arguments.body)).unwrap_or(usize::MAX),
            upload_bytes: mib(arguments.uploads),
        },
        most: SandboxLimits {
            cell: Duration::from_secs(arguments.cell),
            memory_bytes: mib(arguments.memory),
            output_bytes: MAX_OUTPUT_BYTES,
            ..SandboxLimits::default()
        },
        data: arguments.data.clone(),
        submissions: arguments.submissions.clone(),
        images,
        scratch,
        scorer: context::scorer(),
    }
}

impl From<ServeError> for Failure {
    fn from(error: ServeError) -> Self {
        let code = match &error {
            ServeError::NoToken(_) => ExitCode::Usage,
            ServeError::Listen { .. } => ExitCode::Unavailable,
            ServeError::Folder { .. } | ServeError::Scratch(_) => ExitCode::Files,
        };
        Self::new(code, format!("failed to {error}"))
    }
}
