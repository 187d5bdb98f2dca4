//! The client against servers of a test's own, each with the faults that it is about.

mod calls;
mod support;
