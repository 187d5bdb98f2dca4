//! synth-score
