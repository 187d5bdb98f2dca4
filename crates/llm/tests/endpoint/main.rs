//! Models against a server that misbehaves: `faults` of the endpoint, `layers` around it, `secrets` that must not show.

mod faults;
mod layers;
mod secrets;
mod support;
