//! Containers that wait warm, by what they fit: filled ahead, bounded for each host, handed out once.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::container::{Key, Warm};

/// What nobody has asked for so long is given up.
const IDLE: Duration = Duration::from_secs(300);
/// A container does not wait longer: it has a deadline.
const OLDEST: Duration = Duration::from_secs(6 * 3600);

/// The waiting containers of all hosts.
#[derive(Default)]
pub struct Pool {
    shelves: Mutex<HashMap<(usize, Key), Shelf>>,
}

struct Shelf {
    ready: Vec<Warm>,
    filling: usize,
    used: Instant,
}

impl Pool {
    /// A container of this host that fits. What is too old to be handed out is dropped, which ends it.
    pub fn take(&self, host: usize, key: &Key) -> Option<Warm> {
        let mut all = self.all();
        let slot = all.get_mut(&(host, key.clone()))?;
        slot.used = Instant::now();
        slot.ready.retain(|warm| warm.since.elapsed() < OLDEST);
        slot.ready.pop()
    }

    /// Whether one waits.
    pub fn has(&self, host: usize, key: &Key) -> bool {
        self.all()
            .get(&(host, key.clone()))
            .is_some_and(|slot| !slot.ready.is_empty())
    }

    /// Reserves a place for a container that is to be started, if `bound` for the host lets it; what fits something that was
    /// asked for longer ago has to make room.
    pub fn reserve(&self, host: usize, key: &Key, bound: usize) -> bool {
        let mut all = self.all();
        let total: usize = all
            .iter()
            .filter(|((other, _), _)| *other == host)
            .map(|(_, slot)| slot.ready.len() + slot.filling)
            .sum();
        if total >= bound {
            let oldest = all
                .iter_mut()
                .filter(|((other, fits), slot)| {
                    *other == host && fits != key && !slot.ready.is_empty()
                })
                .min_by_key(|(_, slot)| slot.used);
            let Some((_, slot)) = oldest.filter(|_| bound > 0) else {
                return false;
            };
            slot.ready.pop();
        }
        let slot = all.entry((host, key.clone())).or_insert_with(|| Shelf {
            ready: Vec::new(),
            filling: 0,
            used: Instant::now(),
        });
        slot.filling += 1;
        true
    }

    /// Puts the container in the place that was reserved, or gives the place up.
    pub fn fill(&self, host: usize, key: &Key, warm: Option<Warm>) {
        if let Some(slot) = self.all().get_mut(&(host, key.clone())) {
            slot.filling = slot.filling.saturating_sub(1);
            slot.ready.extend(warm);
        }
    }

    /// Gives up what has been idle for long.
    pub fn drain(&self) {
        self.all()
            .retain(|_, slot| slot.filling > 0 || slot.used.elapsed() < IDLE);
    }

    /// Gives up what waits on a host that is gone.
    pub fn forget(&self, host: usize) {
        for ((other, _), slot) in self.all().iter_mut() {
            if *other == host {
                slot.ready.clear();
            }
        }
    }

    /// How many containers wait.
    pub fn len(&self) -> usize {
        self.all().values().map(|slot| slot.ready.len()).sum()
    }

    fn all(&self) -> MutexGuard<'_, HashMap<(usize, Key), Shelf>> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
