//! stub
use std::path::PathBuf;
/// The embedded defaults.
pub const DEFAULT_TOML: &str = include_str!("../../../../configs/default.toml");
/// stub
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ConfigError(pub String);
/// stub
#[derive(Debug)]
pub enum Layer { /// file
    File(PathBuf) }
/// stub
pub fn load(_: &[Layer]) -> Result<super::Config, ConfigError> { toml::from_str(DEFAULT_TOML).map_err(|e| ConfigError(e.to_string())) }
