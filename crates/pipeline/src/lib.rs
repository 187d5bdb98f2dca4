//! synth-pipeline
