//! How the house's records are named in the ledger.

use synth_core::{Judgement, Query, Selection, Source, Task, Trajectory};

use crate::Record;

macro_rules! named_by_id {
    ($($record:ty),*) => {
        $(impl Record for $record {
            fn id(&self) -> String {
                self.id.to_string()
            }
        })*
    };
}

named_by_id!(Source, Task, Query, Trajectory);

/// What stands behind the prefix of a trajectory's id.
fn of_trajectory(prefix: &str, id: &synth_core::TrajectoryId) -> String {
    format!(
        "{prefix}{}",
        id.as_str()
            .trim_start_matches(synth_core::TrajectoryId::PREFIX)
    )
}

/// The id of the judgement of a trajectory.
pub fn judgement_id(id: &synth_core::TrajectoryId) -> String {
    of_trajectory("jdg_", id)
}

impl Record for Judgement {
    fn id(&self) -> String {
        judgement_id(&self.trajectory_id)
    }
}

impl Record for Selection {
    fn id(&self) -> String {
        of_trajectory("sel_", &self.trajectory_id)
    }
}
