//! Tables: reading CSV, Parquet and SQLite files as they come, and measuring each once.

mod measure;
mod read;
mod sqlite;

pub use measure::{SUMMARY_VERSION, is_missing, measure};
pub use read::{Table, content_signature, ending, is_table, read_table, read_tables};
