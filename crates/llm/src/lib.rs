//! synth-llm
