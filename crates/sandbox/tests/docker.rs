//! The Docker backend keeps the contract, on a real Engine.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on panics, one that is skipped says why"
)]

use std::sync::Arc;

use suite::Backend;

#[macro_use]
mod suite;
mod support;

keeps_the_contract!(start);

async fn start(slots: usize) -> Option<Backend> {
    match support::start_docker(&support::docker_config(), slots).await {
        Ok(sandboxes) => Some(Arc::new(sandboxes)),
        Err(why) => {
            eprintln!("skipped: {why}");
            None
        }
    }
}
