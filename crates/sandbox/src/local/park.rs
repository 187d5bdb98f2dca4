//! Sandboxes made ahead: each is handed out once and never comes back.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::nursery::{Nursery, Parked};
use crate::SandboxError;

/// How many are made at once: one is forked while another warms up.
const MAKERS: usize = 2;
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LAST_PAUSE: Duration = Duration::from_secs(30);

/// A bounded number of parked sandboxes, filled in the background.
pub struct Park {
    shared: Arc<Shared>,
    makers: Mutex<JoinSet<()>>,
}

struct Shared {
    nursery: Arc<Nursery>,
    wanted: usize,
    ready: Mutex<VecDeque<Parked>>,
    making: AtomicUsize,
    taken: Notify,
}

impl Park {
    /// A park that fills itself up to `wanted`.
    pub fn new(nursery: Arc<Nursery>, wanted: usize) -> Self {
        let shared = Arc::new(Shared {
            nursery,
            wanted,
            ready: Mutex::default(),
            making: AtomicUsize::new(0),
            taken: Notify::new(),
        });
        let mut makers = JoinSet::new();
        for _ in 0..MAKERS.min(wanted) {
            makers.spawn(fill(Arc::clone(&shared)));
        }
        Self {
            shared,
            makers: Mutex::new(makers),
        }
    }

    /// A parked sandbox, or a new one if none is ready.
    pub async fn take(&self) -> Result<Parked, SandboxError> {
        while let Some(parked) = self.shared.take() {
            if parked.is_fresh() {
                return Ok(parked);
            }
        }
        self.shared.nursery.make().await
    }

    /// Lets go of all that are parked; no more are made ahead.
    pub fn close(&self) {
        let makers = &mut *self.makers.lock().unwrap_or_else(PoisonError::into_inner);
        makers.abort_all();
        self.shared.ready().clear();
    }
}

impl Shared {
    fn ready(&self) -> MutexGuard<'_, VecDeque<Parked>> {
        self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Option<Parked> {
        let parked = self.ready().pop_front();
        self.taken.notify_one();
        parked
    }

    /// Whether one more is to be made; who asks then makes it.
    fn claim(&self) -> bool {
        let ready = self.ready();
        let missing = ready.len() + self.making.load(Ordering::Relaxed) < self.wanted;
        if missing {
            self.making.fetch_add(1, Ordering::Relaxed);
        }
        missing
    }
}

async fn fill(shared: Arc<Shared>) {
    let mut pause = FIRST_PAUSE;
    loop {
        if !shared.claim() {
            shared.taken.notified().await;
            continue;
        }
        // The other one may have to make some too.
        shared.taken.notify_one();
        let made = shared.nursery.make().await;
        let mut ready = shared.ready();
        shared.making.fetch_sub(1, Ordering::Relaxed);
        match made {
            Ok(parked) => {
                ready.push_back(parked);
                pause = FIRST_PAUSE;
            }
            Err(SandboxError::Closed) => return,
            // Whoever opens a sandbox hears of it too.
            Err(error) => {
                drop(ready);
                tracing::debug!(%error, "a sandbox was not made ahead");
                sleep(pause).await;
                pause = (pause * 2).min(LAST_PAUSE);
            }
        }
    }
}
