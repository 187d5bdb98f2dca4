//! Tasks that a model designs over a dataset and code checks: DARE-bench's six kinds.

#[cfg_attr(
    not(test),
    expect(
        dead_code,
        reason = "what draws and what parameters follow is on its way"
    )
)]
mod dice;
#[expect(
    dead_code,
    reason = "what draws and what parameters follow is on its way"
)]
mod follow;
#[expect(
    dead_code,
    reason = "what draws and what parameters follow is on its way"
)]
mod recipe;
mod script;

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
