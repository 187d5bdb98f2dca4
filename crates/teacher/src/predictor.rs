//! The predictor.

use crate::TeacherConfig;
use crate::complete::{Action, Move};
use crate::conversation::Conversation;
use crate::prompt::Prediction;

/// The next move of an attempt at a prediction.
pub fn predict(_config: &TeacherConfig, _conversation: &Conversation, prediction: &Prediction) -> Move {
    Move { thought: String::new(), action: Action::Answer(prediction.submission.clone()) }
}
