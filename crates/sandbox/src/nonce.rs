//! Secrets for requests: nothing that a sandbox has seen tells it the next one.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::SandboxError;

/// Where nonces are drawn from.
pub struct Nonces {
    secret: [u8; 32],
    drawn: AtomicU64,
}

impl Nonces {
    /// With a secret of its own.
    pub fn new() -> Result<Self, SandboxError> {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret)
            .map_err(|error| SandboxError::io("draw a random secret")(error.into()))?;
        Ok(Self {
            secret,
            drawn: AtomicU64::new(0),
        })
    }

    /// One that was never drawn before.
    pub fn next(&self) -> String {
        let number = self.drawn.fetch_add(1, Ordering::Relaxed);
        blake3::keyed_hash(&self.secret, &number.to_le_bytes()).to_hex()[..32].to_owned()
    }
}
