//! Questions in other people's words.

use crate::prompt::{Question, Table};

/// A way to answer.
pub struct Plan {
    pub thought: String,
    pub code: String,
    pub columns: Vec<String>,
}

impl Plan {
    pub fn mistaken(&self) -> String {
        self.code.clone()
    }
}

pub fn plan(_question: &Question, _tables: &[Table], _names: &[String]) -> Option<Plan> {
    None
}
