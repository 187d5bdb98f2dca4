//! Tasks that a model designs over a dataset and code checks: DARE-bench's six kinds.

use synth_core::{Source, Task};
use synth_pipeline::WorkError;

use super::Made;
use crate::Cx;

/// The tasks that a dataset is good for.
#[expect(
    clippy::unused_async,
    reason = "what it is to do waits for models and sandboxes"
)]
pub(super) async fn tasks(_cx: &Cx<'_>, _source: &Source, _open: &Task) -> Result<Made, WorkError> {
    Ok(Made::default())
}
