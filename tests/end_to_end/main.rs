//! The real binary, end to end: what it promises about work that was paid for, about faults, about wrong input, about data.
//!
//! `support` has the place, the clock and the endpoint; every other module is one kind of promise. The first test to run
//! makes the Python environment in the user's cache folder, which takes a minute where there is none yet.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on fails; its figures are read by people"
)]

mod competitions;
mod designed;
mod disk;
mod faults;
mod incremental;
mod input;
mod interrupt;
mod kaggle;
mod killed;
mod mini;
mod models;
mod published;
mod scoring;
mod serve;
mod suite;
mod support;
