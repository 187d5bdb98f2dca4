//! The configuration: embedded defaults, then a file, then `SYNTH__…` environment variables, then `--set key=value`.
//!
//! `model` holds the types, [`load()`] lays the layers over each other and names the line of whatever does not fit.

mod load;
mod model;

pub use load::{ConfigError, DEFAULT_TOML, Layer, load};
pub use model::*;
