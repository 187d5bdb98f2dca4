//! Pages of lists: opaque tokens, or numbers.

use data_encoding::BASE64URL_NOPAD;

use super::answer::ApiError;
use super::call::Call;

/// The most rows of a page.
const MOST: usize = 200;

/// Where a page begins and how many rows it has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Page {
    pub start: usize,
    pub size: usize,
}

impl Page {
    /// What a call asks for; a token counts before a number.
    pub(super) fn of(call: &Call, usual: usize) -> Result<Self, ApiError> {
        let size = match call.number("pageSize") {
            None | Some(0) => usual,
            Some(size) => usize::try_from(size).map_err(|_| ApiError::bad("Invalid page size"))?,
        };
        let size = size.min(MOST);
        let start = if let Some(token) = call.text("pageToken") {
            read(&call.route, token).ok_or_else(|| ApiError::bad("Invalid page token"))?
        } else {
            let number = call.number("page").unwrap_or(1).max(1);
            (usize::try_from(number).unwrap_or(usize::MAX) - 1).saturating_mul(size)
        };
        Ok(Self { start, size })
    }

    /// The rows of this page and the token of the next one.
    pub(super) fn cut<T>(
        self,
        route: &str,
        rows: impl Iterator<Item = T>,
    ) -> (Vec<T>, Option<String>) {
        let mut rows: Vec<T> = rows.skip(self.start).take(self.size + 1).collect();
        let more = rows.len() > self.size;
        rows.truncate(self.size);
        (rows, more.then(|| token(route, self.start + self.size)))
    }
}

fn token(route: &str, start: usize) -> String {
    BASE64URL_NOPAD.encode(format!("{route}:{start}").as_bytes())
}

fn read(route: &str, token: &str) -> Option<usize> {
    let text = String::from_utf8(BASE64URL_NOPAD.decode(token.as_bytes()).ok()?).ok()?;
    text.strip_prefix(route)?.strip_prefix(':')?.parse().ok()
}
