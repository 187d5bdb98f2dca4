//! The client against servers of a test's own, each with the faults that it is about.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod archives;
mod calls;
mod downloads;
mod fixture;
mod support;
