//! What was asked of the fixture, so that tests can count it.

use std::collections::BTreeMap;

/// Requests kept in full; older ones are only counted, so that a crawl of thousands stays cheap.
const KEPT: usize = 50_000;

/// Which of the two hosts was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host {
    /// The API.
    Api,
    /// The storage host.
    Storage,
}

/// One request and how it was answered.
#[derive(Clone, Debug)]
pub struct Seen {
    /// The host that was asked.
    pub host: Host,
    /// The HTTP method.
    pub method: String,
    /// The path, without a query.
    pub path: String,
    /// The method's name for API calls (of either form), `Storage` for the storage host.
    pub route: String,
    /// The competition, or the dataset as `owner/slug`; empty for lists.
    pub slug: String,
    /// The status of the answer.
    pub status: u16,
    /// The request's headers with lower-case names; values that are no text are left out.
    pub headers: BTreeMap<String, String>,
}

impl Seen {
    /// Whether the request named this header.
    pub fn has(&self, header: &str) -> bool {
        self.headers.contains_key(header)
    }
}

/// The log: counts of all, the last ones in full.
#[derive(Debug, Default)]
pub(crate) struct Log {
    seen: Vec<Seen>,
    counts: BTreeMap<String, usize>,
}

impl Log {
    pub(crate) fn add(&mut self, seen: Seen) {
        *self.counts.entry(seen.route.clone()).or_default() += 1;
        if self.seen.len() == KEPT {
            self.seen.drain(..KEPT / 2);
        }
        self.seen.push(seen);
    }

    pub(crate) fn count(&self, route: &str) -> usize {
        self.counts.get(route).copied().unwrap_or(0)
    }

    pub(crate) fn counts(&self) -> BTreeMap<String, usize> {
        self.counts.clone()
    }

    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.clone()
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }
}
