//! Texts without an allocator: fields that end with a NUL are read, numbers are read and written.

use core::ffi::CStr;

/// Reads the fields of a request one after the other.
pub struct Fields<'a> {
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The next byte.
    pub fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*first)
    }

    /// The text up to the next NUL.
    pub fn text(&mut self) -> Option<&'a CStr> {
        let text = CStr::from_bytes_until_nul(self.rest).ok()?;
        self.rest = &self.rest[text.count_bytes() + 1..];
        Some(text)
    }

    /// A text that is a decimal number.
    pub fn number(&mut self) -> Option<u64> {
        number(self.text()?.to_bytes())
    }

    /// What has not been read yet.
    pub const fn rest(self) -> &'a [u8] {
        self.rest
    }
}

/// A decimal number, from all of the bytes.
pub fn number(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0_u64, |sum, digit| {
        let value = digit.checked_sub(b'0').filter(|value| *value < 10)?;
        sum.checked_mul(10)?.checked_add(u64::from(value))
    })
}

/// The first number in a line such as `RssAnon:   120 kB`.
pub fn first_number(line: &[u8]) -> Option<u64> {
    let digits = &line[line.iter().position(u8::is_ascii_digit)?..];
    let end = digits
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(digits.len());
    number(&digits[..end])
}

/// A short text in the making; what does not fit is left out. Ends with a NUL.
pub struct Text<const ROOM: usize> {
    bytes: [u8; ROOM],
    length: usize,
}

impl<const ROOM: usize> Text<ROOM> {
    pub const fn new() -> Self {
        Self {
            bytes: [0; ROOM],
            length: 0,
        }
    }

    pub fn add(mut self, more: &[u8]) -> Self {
        let room = ROOM - 1 - self.length;
        let more = &more[..more.len().min(room)];
        self.bytes[self.length..][..more.len()].copy_from_slice(more);
        self.length += more.len();
        self
    }

    pub fn add_number(self, mut number: u64) -> Self {
        let mut digits = [0; 20];
        let mut start = digits.len();
        loop {
            start -= 1;
            digits[start] = b'0' + (number % 10) as u8;
            number /= 10;
            if number == 0 {
                return self.add(&digits[start..]);
            }
        }
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    pub fn path(&self) -> &CStr {
        CStr::from_bytes_until_nul(&self.bytes).unwrap_or(c"")
    }
}
