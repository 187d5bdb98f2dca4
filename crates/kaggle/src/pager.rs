//! Walks a list to its end, whichever way its pages are asked for, and notices when it has none.

use std::collections::HashSet;

use reqwest::header::HeaderMap;
use serde::Serialize;
use serde::de::DeserializeOwned;
use synth_core::Fingerprint;

use crate::call::Call;
use crate::{Kaggle, KaggleError, decode};

/// The pages of a list, one after the other.
pub struct Pager<'a, T> {
    kaggle: &'a Kaggle,
    call: Call,
    key: &'static str,
    state: State,
    seen: HashSet<Fingerprint>,
    pages: u32,
    items: std::marker::PhantomData<fn() -> T>,
}

enum State {
    Token(Option<String>),
    /// Pages of the old form are asked for by number.
    Number(u32),
    Done,
}

impl<'a, T: DeserializeOwned + Serialize> Pager<'a, T> {
    pub(crate) fn new(kaggle: &'a Kaggle, call: Call, key: &'static str) -> Self {
        Self {
            kaggle,
            call,
            key,
            state: State::Token(None),
            seen: HashSet::new(),
            pages: 0,
            items: std::marker::PhantomData,
        }
    }

    /// The next page; none after the last.
    pub async fn next(&mut self) -> Result<Option<Vec<T>>, KaggleError> {
        let call = match &self.state {
            State::Done => return Ok(None),
            State::Token(token) => self.call.clone().maybe("pageToken", token.clone()),
            State::Number(page) => self.call.clone().field("page", *page),
        };
        if self.pages >= self.kaggle.options.max_pages {
            return Err(self.endless(format!("there are more than {}", self.pages)));
        }
        self.pages += 1;
        let (_, value) = self.kaggle.json(&call, &HeaderMap::new()).await?;
        let page = decode::list::<T>(call.name, self.key, value)?;
        match (page.next, page.is_bare) {
            (Some(token), _) => {
                if !self.seen.insert(Fingerprint::of_bytes(token.as_bytes())) {
                    return Err(self.endless("a page is said to follow itself".to_owned()));
                }
                self.state = State::Token(Some(token));
            }
            (None, true) if !page.items.is_empty() => {
                // A server that does not know of pages gives the first one for ever.
                let bytes = serde_json::to_vec(&page.items).unwrap_or_default();
                if !self.seen.insert(Fingerprint::of_bytes(&bytes)) {
                    self.state = State::Done;
                    return Ok(None);
                }
                let page = match self.state {
                    State::Number(page) => page,
                    State::Token(_) | State::Done => 1,
                };
                self.state = State::Number(page.saturating_add(1));
            }
            (None, _) => {
                self.state = State::Done;
                if page.is_bare {
                    return Ok(None);
                }
            }
        }
        Ok(Some(page.items))
    }

    /// All items of all pages; at most `max` of them, the rest is not asked for.
    pub async fn up_to(mut self, max: usize) -> Result<Vec<T>, KaggleError> {
        let mut all = Vec::new();
        while all.len() < max
            && let Some(page) = self.next().await?
        {
            all.extend(page);
        }
        all.truncate(max);
        Ok(all)
    }

    /// All items of all pages.
    pub async fn all(self) -> Result<Vec<T>, KaggleError> {
        self.up_to(usize::MAX).await
    }

    fn endless(&self, message: String) -> KaggleError {
        KaggleError::Pagination {
            call: self.call.name,
            message,
        }
    }
}
