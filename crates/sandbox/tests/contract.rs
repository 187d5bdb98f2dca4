//! The local backend keeps the contract, and what it promises beyond that.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on panics, one that is skipped says why"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use suite::{Backend, open, stdout};
use synth_core::config::{SandboxBackend, SandboxConfig};
use synth_sandbox::{LocalSandboxes, SandboxError, Sandboxes};

#[macro_use]
mod suite;

keeps_the_contract!(start);

/// The backend under test; nothing where the kernel does not isolate.
async fn start(slots: usize) -> Option<Backend> {
    let config = SandboxConfig {
        backend: SandboxBackend::Local,
        python: std::env::var_os("SYNTH_TEST_PYTHON")
            .map(PathBuf::from)
            .unwrap_or_default(),
        parked: 2,
        ..SandboxConfig::default()
    };
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("contract");
    match LocalSandboxes::start(&config, slots, &scratch, &|_| {}).await {
        Ok(sandboxes) => Some(Arc::new(sandboxes)),
        Err(error @ SandboxError::Isolation { .. }) => {
            eprintln!("skipped: {error}");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn the_root_holds_what_it_needs_and_no_more() {
    suite::shared(
        |slots| Box::pin(start(slots)),
        async |backend| the_root(&*backend).await,
    );
}

async fn the_root(sandboxes: &dyn Sandboxes) {
    let mut sandbox = open(sandboxes).await;
    let code = "import os, socket\nprint(os.path.exists('/home'), os.path.exists('/var'))\n\
                print(open('/etc/passwd').read())\nprint(os.getpid(), socket.gethostname())\n\
                print(sorted(int(name) for name in os.listdir('/proc') if name.isdigit()))";
    let expected = "False False\nagent:x:1000:1000:agent:/workspace:/bin/sh\n\n2 sandbox\n[1, 2]\n";
    assert_eq!(stdout(&mut sandbox, code).await, expected);
    sandbox.close().await;
}
