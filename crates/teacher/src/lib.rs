//! The builtin teacher.
