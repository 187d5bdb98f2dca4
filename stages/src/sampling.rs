//! Sampling settings as they are sent: the configured ones with a seed of the item's own.

use synth_core::{Fingerprint, Sampling};

use crate::Cx;
use crate::services::name_of;

/// `configured` with a seed drawn from the run's seed and `identity`, unless one is configured or the endpoint takes none.
pub(crate) fn seeded(
    cx: &Cx<'_>,
    role: &str,
    configured: &Sampling,
    identity: &impl serde::Serialize,
) -> Sampling {
    let takes_seed = cx
        .config
        .models
        .get(name_of(cx.config, role))
        .is_none_or(|model| model.seeds);
    // Endpoints take seeds of 31 bits; the draw's number is added to it.
    let seed = Fingerprint::of(&(cx.config.run.seed, identity)).seed() >> 34;
    Sampling {
        seed: takes_seed.then_some(configured.seed.unwrap_or(seed)),
        ..configured.clone()
    }
}

/// The settings of one draw, as the endpoint saw them: the draw's number is added to the seed.
pub(crate) fn drawn(sampling: &Sampling, sample: u32) -> Sampling {
    Sampling {
        seed: sampling.seed.map(|seed| seed + u64::from(sample)),
        ..sampling.clone()
    }
}
