//! Cancellation in two steps: first take no new items and finish those in flight, then drop everything.

use tokio_util::sync::CancellationToken;

/// What Ctrl-C means, once and twice.
#[derive(Clone, Debug, Default)]
pub struct Cancel {
    soft: CancellationToken,
    hard: CancellationToken,
}

impl Cancel {
    /// The next step: the first call asks to finish what runs, the second to stop at once.
    pub fn escalate(&self) {
        if self.soft.is_cancelled() {
            self.hard.cancel();
        }
        self.soft.cancel();
    }

    /// Whether no new items are to be taken.
    pub fn is_soft(&self) -> bool {
        self.soft.is_cancelled()
    }

    /// Whether everything is to be dropped.
    pub fn is_hard(&self) -> bool {
        self.hard.is_cancelled()
    }

    /// Waits until no new items are to be taken.
    pub async fn soft(&self) {
        self.soft.cancelled().await;
    }

    /// Waits until everything is to be dropped.
    pub async fn hard(&self) {
        self.hard.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_call_is_the_hard_one() {
        let cancel = Cancel::default();
        assert!(!cancel.is_soft());
        cancel.escalate();
        assert!(cancel.is_soft() && !cancel.is_hard());
        cancel.escalate();
        assert!(cancel.is_hard());
    }
}
