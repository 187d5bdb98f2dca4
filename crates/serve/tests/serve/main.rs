//! The server over real sandboxes, as its clients see it.

#![expect(clippy::print_stdout, reason = "a skipped test says why")]

mod clients;
mod docs;
mod dsgym;
mod native;
mod sandbox_fusion;
mod support;
