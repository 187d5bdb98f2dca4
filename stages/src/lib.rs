//! synth-stages
