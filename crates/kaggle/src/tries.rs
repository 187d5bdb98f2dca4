//! The tries of one call: each is paced, a passing fault is waited for, and patience ends.

use tokio::time::Instant;

use crate::KaggleError;
use crate::call::Call;
use crate::fault::Fault;
use crate::pace::{Limiter, Patience};

pub(crate) struct Tries<'a> {
    call: &'a Call,
    limiter: &'a Limiter,
    patience: Patience,
    since: Instant,
    /// Since the last headway.
    in_a_row: u32,
    /// In all.
    pub(crate) all: u32,
}

impl<'a> Tries<'a> {
    pub(crate) fn new(call: &'a Call, limiter: &'a Limiter, patience: Patience) -> Self {
        Self {
            call,
            limiter,
            patience,
            since: Instant::now(),
            in_a_row: 0,
            all: 0,
        }
    }

    /// Waits until the next try may be made.
    pub(crate) async fn begin(&mut self) {
        self.limiter.pace().await;
        self.in_a_row += 1;
        self.all = self.all.saturating_add(1);
    }

    /// The last try brought something: patience begins anew.
    pub(crate) fn headway(&mut self) {
        self.since = Instant::now();
        self.in_a_row = 1;
    }

    /// Waits after a failed try; an error when no other try is to be made.
    pub(crate) async fn failed(&mut self, fault: Fault) -> Result<(), KaggleError> {
        let call = self.call;
        if let Fault::Final(error) | Fault::NotServed(error) = fault {
            return Err(error);
        }
        let pause = self.patience.pause(self.in_a_row, fault.retry_after());
        if !self.patience.allows(self.in_a_row, self.since, pause) {
            return Err(fault.given_up(call.name, self.all, self.since.elapsed()));
        }
        tracing::debug!(call = call.name, what = %call.what, tries = self.in_a_row, ?pause, ?fault, "trying again");
        if matches!(fault, Fault::Throttled { .. }) {
            self.limiter.rest(pause);
        }
        tokio::time::sleep(pause).await;
        Ok(())
    }
}
