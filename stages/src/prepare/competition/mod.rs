//! Tasks of a Kaggle competition.

use synth_core::{Source, Task};
use synth_pipeline::WorkError;

use super::Made;
use crate::Cx;

/// The task that a competition sets, graded here.
#[expect(
    clippy::unused_async,
    reason = "what it is to do waits for models and sandboxes"
)]
pub(super) async fn tasks(_cx: &Cx<'_>, _source: &Source, _open: &Task) -> Result<Made, WorkError> {
    Ok(Made::default())
}
