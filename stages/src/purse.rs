//! How much may be downloaded in one invocation, and how much was.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use tokio::sync::watch;

/// Whoever watches is told of bytes no more often than this.
const TELL_EVERY: Duration = Duration::from_secs(1);

/// The downloads of an invocation, all together.
pub struct DownloadPurse {
    limit: u64,
    bytes: AtomicU64,
    is_spent: watch::Sender<bool>,
    told: Mutex<Option<Instant>>,
}

impl DownloadPurse {
    /// A purse of so many bytes; 0 means that there is no limit.
    pub fn new(limit: u64) -> Self {
        Self {
            limit,
            bytes: AtomicU64::new(0),
            is_spent: watch::Sender::new(false),
            told: Mutex::default(),
        }
    }

    /// The limit.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Bytes downloaded so far.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Relaxed)
    }

    /// Whether the limit is reached.
    pub fn is_spent(&self) -> bool {
        *self.is_spent.borrow()
    }

    /// Returns when the limit is reached, perhaps never.
    pub async fn spent(&self) {
        let mut receiver = self.is_spent.subscribe();
        if receiver.wait_for(|spent| *spent).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The account of one download, of which so many bytes were there before.
    pub fn tally(&self, before: u64) -> Tally<'_> {
        Tally {
            purse: self,
            seen: AtomicU64::new(before),
        }
    }

    fn add(&self, bytes: u64) -> u64 {
        let all = self.bytes.fetch_add(bytes, Relaxed).saturating_add(bytes);
        if self.limit > 0 && all >= self.limit {
            self.is_spent.send_replace(true);
        }
        all
    }
}

/// The account of one download.
pub struct Tally<'a> {
    purse: &'a DownloadPurse,
    seen: AtomicU64,
}

impl Tally<'_> {
    /// Takes note of how far the download is; now and then, what all downloads took so far, for whoever watches.
    pub fn note(&self, bytes: u64) -> Option<u64> {
        let seen = self.seen.swap(bytes, Relaxed);
        // A download that begins anew is paid for again.
        let all = self.purse.add(bytes.checked_sub(seen).unwrap_or(bytes));
        let mut told = self.purse.told.lock().expect("no holder panics");
        let is_due = told.is_none_or(|told| told.elapsed() >= TELL_EVERY);
        is_due.then(|| {
            *told = Some(Instant::now());
            all
        })
    }

    /// Takes note of the last bytes, which nobody may have been told of.
    pub fn finish(&self, bytes: u64) {
        let seen = self.seen.swap(bytes, Relaxed);
        self.purse.add(bytes.saturating_sub(seen));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_was_there_before_costs_nothing_and_the_limit_is_told_of() {
        let purse = DownloadPurse::new(100);
        let tally = purse.tally(50);
        assert_eq!(tally.note(60), Some(10), "the first word");
        assert_eq!(tally.note(90), None, "not so soon again");
        assert!(!purse.is_spent());
        // It began anew.
        tally.note(40);
        assert_eq!(purse.bytes(), 80);
        tally.finish(60);
        assert!(purse.is_spent());
        tokio::time::timeout(Duration::from_secs(5), purse.spent())
            .await
            .expect("told of though nobody listened when it was reached");
    }

    #[tokio::test]
    async fn without_a_limit_it_is_never_spent() {
        let purse = DownloadPurse::new(0);
        purse.tally(0).finish(u64::MAX);
        assert!(!purse.is_spent());
        let waited = tokio::time::timeout(Duration::from_millis(20), purse.spent()).await;
        assert!(waited.is_err());
    }
}
