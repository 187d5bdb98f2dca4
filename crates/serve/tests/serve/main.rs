//! The server over real sandboxes, as its clients see it.

#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a skipped test says why, and one that misses something ends"
)]

mod clients;
mod docs;
mod dsgym;
mod native;
mod sandbox_fusion;
mod support;
