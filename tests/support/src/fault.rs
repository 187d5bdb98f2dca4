//! Faults on demand: which answer goes wrong, on which call, about which item, how often.

use std::time::Duration;

/// What goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// 401, as for bad credentials.
    Unauthorized,
    /// 403: the competition's rules are not accepted.
    RulesNotAccepted,
    /// 403: the user has not joined.
    NotJoined,
    /// 400: the user has no team in this competition.
    NoTeam,
    /// 403: what an unknown competition gives.
    UnknownSlug,
    /// 429, with what `Retry-After` is to say, which may be less than it takes.
    Throttled {
        /// The header's seconds; no header where `None`.
        retry_after: Option<u64>,
    },
    /// An error of the server, by status; on the storage host with a body of XML.
    Server(u16),
    /// 200 with a page of HTML where JSON belongs.
    NotJson,
    /// The connection ends before an answer.
    NoAnswer,
    /// A list of files without files.
    EmptyFileList,
    /// 64-bit integers as strings.
    Int64Strings,
    /// A redirect to an address that has expired.
    ExpiredUrl,
    /// The body ends after so many bytes of what was announced.
    Cut {
        /// Bytes sent before the connection breaks.
        at: u64,
    },
    /// The object has another `ETag` from this request on.
    ChangedEtag,
    /// A body in pieces of so many bytes, with a pause before each.
    Slow {
        /// Bytes a piece.
        piece: usize,
        /// The pause.
        pause: Duration,
    },
    /// An `x-goog-hash` with the md5 of something else.
    WrongMd5,
    /// No `x-goog-hash`, as for composed objects.
    NoMd5,
    /// The first half of the bytes, as if that were all.
    Half,
    /// 200 and everything, although a range was asked for.
    IgnoresRange,
}

impl Fault {
    /// Faults of a download's bytes happen on the storage host, unless a rule names a route.
    pub(crate) fn is_of_storage(&self) -> bool {
        matches!(
            self,
            Self::Cut { .. }
                | Self::ChangedEtag
                | Self::Slow { .. }
                | Self::WrongMd5
                | Self::NoMd5
                | Self::Half
                | Self::IgnoresRange
        )
    }
}

/// When a fault strikes. Without further words: on every call that it can strike.
#[derive(Clone, Debug)]
pub struct Rule {
    pub(crate) fault: Fault,
    route: Option<String>,
    slug: Option<String>,
    skip: usize,
    left: Option<usize>,
}

impl Rule {
    /// Strikes always.
    pub fn new(fault: Fault) -> Self {
        Self {
            fault,
            route: None,
            slug: None,
            skip: 0,
            left: None,
        }
    }

    /// Only on this route: a method's name (`GetCompetition`, for REST calls too), or `STORAGE`.
    #[must_use]
    pub fn route(mut self, route: impl Into<String>) -> Self {
        self.route = Some(route.into());
        self
    }

    /// Only about this competition, or this dataset (`owner/slug`).
    #[must_use]
    pub fn slug(mut self, slug: impl Into<String>) -> Self {
        self.slug = Some(slug.into());
        self
    }

    /// Only so many times.
    #[must_use]
    pub fn times(mut self, times: usize) -> Self {
        self.left = Some(times);
        self
    }

    /// Only after so many matching calls went well.
    #[must_use]
    pub fn after(mut self, calls: usize) -> Self {
        self.skip = calls;
        self
    }

    fn matches(&self, route: &str, slug: &str) -> bool {
        let here = match &self.route {
            Some(wanted) => wanted == route,
            None => self.fault.is_of_storage() == (route == STORAGE),
        };
        here && self.slug.as_ref().is_none_or(|wanted| wanted == slug)
    }
}

/// The route of all requests to the storage host.
pub(crate) const STORAGE: &str = "Storage";

/// The rules in force.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Rule>);

impl Faults {
    pub(crate) fn add(&mut self, rule: Rule) {
        self.0.push(rule);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// The faults that strike this request; each counts as used.
    pub(crate) fn strike(&mut self, route: &str, slug: &str) -> Vec<Fault> {
        let mut struck = Vec::new();
        for rule in self.0.iter_mut().filter(|rule| rule.matches(route, slug)) {
            if rule.skip > 0 {
                rule.skip -= 1;
                continue;
            }
            match &mut rule.left {
                Some(0) => continue,
                Some(left) => *left -= 1,
                None => {}
            }
            struck.push(rule.fault.clone());
        }
        self.0.retain(|rule| rule.left != Some(0));
        struck
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_strikes_where_and_as_often_as_it_says() {
        let mut faults = Faults::default();
        faults.add(
            Rule::new(Fault::Unauthorized)
                .route("GetCompetition")
                .slug("shells")
                .after(1)
                .times(2),
        );
        assert!(faults.strike("ListDataFiles", "shells").is_empty());
        assert!(faults.strike("GetCompetition", "leaves").is_empty());
        let struck: Vec<usize> = (0..4)
            .map(|_| faults.strike("GetCompetition", "shells").len())
            .collect();
        assert_eq!(struck, [0, 1, 1, 0]);
    }

    #[test]
    fn faults_of_bytes_strike_on_the_storage_host() {
        let mut faults = Faults::default();
        faults.add(Rule::new(Fault::Cut { at: 10 }));
        assert!(faults.strike("GetCompetition", "shells").is_empty());
        assert_eq!(faults.strike(STORAGE, "shells"), [Fault::Cut { at: 10 }]);
    }
}
