//! Models against a server that misbehaves: `faults` of the endpoint, `layers` around it, `secrets` that must not show.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod faults;
mod layers;
mod secrets;
mod support;
