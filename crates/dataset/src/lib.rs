//! synth-dataset
