//! synth-sandbox
