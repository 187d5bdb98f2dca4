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
        let mut shelves = self.shelves();
        let shelf = shelves.get_mut(&(host, key.clone()))?;
        shelf.used = Instant::now();
        shelf.ready.retain(|warm| warm.since.elapsed() < OLDEST);
        shelf.ready.pop()
    }

    /// Whether one waits.
    pub fn has(&self, host: usize, key: &Key) -> bool {
        self.shelves()
            .get(&(host, key.clone()))
            .is_some_and(|shelf| !shelf.ready.is_empty())
    }

    /// Reserves a place for a container that is to be started, if `bound` for the host lets it; what fits something that was
    /// asked for longer ago has to make room.
    pub fn reserve(&self, host: usize, key: &Key, bound: usize) -> bool {
        let mut shelves = self.shelves();
        let total: usize = shelves
            .iter()
            .filter(|((other, _), _)| *other == host)
            .map(|(_, shelf)| shelf.ready.len() + shelf.filling)
            .sum();
        if total >= bound {
            let oldest = shelves
                .iter_mut()
                .filter(|((other, fits), shelf)| {
                    *other == host && fits != key && !shelf.ready.is_empty()
                })
                .min_by_key(|(_, shelf)| shelf.used);
            let Some((_, shelf)) = oldest.filter(|_| bound > 0) else {
                return false;
            };
            shelf.ready.pop();
        }
        let shelf = shelves.entry((host, key.clone())).or_insert_with(|| Shelf {
            ready: Vec::new(),
            filling: 0,
            used: Instant::now(),
        });
        shelf.filling += 1;
        true
    }

    /// Puts the container in the place that was reserved, or gives the place up.
    pub fn fill(&self, host: usize, key: &Key, warm: Option<Warm>) {
        if let Some(shelf) = self.shelves().get_mut(&(host, key.clone())) {
            shelf.filling = shelf.filling.saturating_sub(1);
            shelf.ready.extend(warm);
        }
    }

    /// Gives up what has been idle for long.
    pub fn drain(&self) {
        self.shelves()
            .retain(|_, shelf| shelf.filling > 0 || shelf.used.elapsed() < IDLE);
    }

    /// Gives up what waits on a host that is gone.
    pub fn forget(&self, host: usize) {
        for ((other, _), shelf) in self.shelves().iter_mut() {
            if *other == host {
                shelf.ready.clear();
            }
        }
    }

    /// How many containers wait.
    pub fn len(&self) -> usize {
        self.shelves().values().map(|shelf| shelf.ready.len()).sum()
    }

    fn shelves(&self) -> MutexGuard<'_, HashMap<(usize, Key), Shelf>> {
        self.shelves.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
