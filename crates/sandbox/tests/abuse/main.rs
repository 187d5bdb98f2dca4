//! Attempts at breaking out of a sandbox, and at breaking it: the same list on every backend, each judged from the host's side.
//!
//! `cargo test -p synth-sandbox --test abuse`; a word behind `--` chooses attempts by name, `local::` or `docker::` a backend. An
//! attempt is an `async fn` over a [`scene::Scene`]; after each one, the scene finds out whether all else is as it was.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on panics, one that is skipped says why"
)]

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::sync::{Arc, OnceLock};

use libtest_mimic::{Arguments, Trial};

mod arena;
mod artifacts;
mod backends;
mod disk;
mod filesystem;
mod interpreter;
mod kernel;
mod memory;
mod neighbours;
mod network;
mod output;
mod processes;
mod protocol;
mod scene;
#[path = "../support/mod.rs"]
mod support;
mod time;

use arena::{Arena, SECRET_VARIABLE};
use scene::{Attempt, Scene};

/// At once; they mostly wait for a limit of theirs.
const AT_ONCE: usize = 4;

/// Of each kind, where a new sandbox takes seconds; all of them are run there too if the variable is set.
const FEW: usize = 3;
const ALL: &str = "SYNTH_ABUSE_ALL";

/// With whether they only try what is refused.
const KINDS: [(&[Attempt], bool); 12] = [
    (processes::ATTEMPTS, false),
    (memory::ATTEMPTS, false),
    (disk::ATTEMPTS, false),
    (output::ATTEMPTS, false),
    (time::ATTEMPTS, false),
    (filesystem::ATTEMPTS, true),
    (network::ATTEMPTS, true),
    (kernel::ATTEMPTS, true),
    (protocol::ATTEMPTS, false),
    (interpreter::ATTEMPTS, false),
    (artifacts::ATTEMPTS, false),
    (neighbours::ATTEMPTS, false),
];

fn main() -> ExitCode {
    // The orchestrator's environment holds a secret: a process gets one at its start only.
    if std::env::var_os(SECRET_VARIABLE).is_none() {
        let failed = Command::new(std::env::current_exe().unwrap())
            .args(std::env::args_os().skip(1))
            .env(SECRET_VARIABLE, arena::random_text())
            .exec();
        panic!("{failed}");
    }
    let mut arguments = Arguments::from_args();
    arguments.test_threads.get_or_insert(AT_ONCE);
    let runtime = Arc::new(
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap(),
    );
    let mut trials = Vec::new();
    let mut arenas = Vec::new();
    for backend in backends::ALL {
        // Started by the first of its attempts: a list of names, or a choice of others, starts none.
        let arena = Arc::new(OnceLock::<Result<Option<Arena>, String>>::new());
        for (kind, tidy) in KINDS {
            let all = tidy || !backend.starts_are_dear || std::env::var_os(ALL).is_some();
            for attempt in kind.iter().take(if all { kind.len() } else { FEW }) {
                let (arena, runtime) = (Arc::clone(&arena), Arc::clone(&runtime));
                let name = format!("{}::{}", backend.name, attempt.name);
                trials.push(Trial::test(name, move || {
                    let started = arena.get_or_init(|| runtime.block_on(Arena::start(backend)));
                    if let Some(arena) = started.as_ref().map_err(String::as_str)? {
                        runtime.block_on(Scene::play(arena, attempt, tidy));
                    }
                    Ok(())
                }));
            }
        }
        arenas.push(arena);
    }
    let conclusion = libtest_mimic::run(&arguments, trials);
    for arena in arenas {
        if let Some(Ok(Some(arena))) = arena.get() {
            runtime.block_on(arena.close());
        }
    }
    conclusion.exit_code()
}
