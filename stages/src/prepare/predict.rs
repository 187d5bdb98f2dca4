//! What an agent is told that has to predict: which columns of which rows, by what, and where to write it.

use serde::Serialize;

use super::SUBMISSION;
use crate::prompts;

/// The inputs of the prompt; what does not apply is left as it is by default.
#[derive(Default, Serialize)]
pub(super) struct Predict<'a> {
    /// The rows for which the targets are known.
    pub train_file: &'a str,
    /// The rows to predict.
    pub test_file: &'a str,
    /// What is predicted.
    pub targets: &'a [String],
    /// The columns that name rows.
    pub keys: &'a [String],
    /// `macro_f1`, or else R2.
    pub metric: &'a str,
    /// The file that describes the columns.
    pub metadata_file: Option<&'a str>,
    /// For `SQLite`: the tables of the training rows, to be joined on the first key.
    pub train_tables: Vec<&'a str>,
    /// For `SQLite`: the table of the rows to predict.
    pub test_table: Option<&'a str>,
    /// For forecasts: when rows were measured.
    pub time_column: Option<&'a str>,
    /// How times are written.
    pub time_format: Option<&'a str>,
    /// The columns that tell series apart.
    pub entities: &'a [String],
    /// From one row to the next.
    pub step: Option<&'a str>,
    /// Whether nothing but the keys is known of the rows to predict.
    pub only_keys: bool,
}

#[derive(Serialize)]
struct Inputs<'a> {
    #[serde(flatten)]
    predict: &'a Predict<'a>,
    submission_file: &'a str,
    id_column: &'a str,
}

impl Predict<'_> {
    /// The prompt.
    pub(super) fn render(&self) -> String {
        let inputs = Inputs {
            predict: self,
            submission_file: SUBMISSION,
            id_column: self.keys.first().map_or("", String::as_str),
        };
        prompts::render(
            &prompts::PREDICT,
            minijinja::Value::from(minijinja::value::Serde(inputs)),
        )
    }
}
