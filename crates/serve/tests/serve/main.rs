//! The server over real sandboxes, as its clients see it.

mod clients;
mod docs;
mod dsgym;
mod native;
mod sandbox_fusion;
mod support;
