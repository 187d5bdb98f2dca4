//! What a cell printed: its head and tail within a bound, made harmless.

use std::collections::VecDeque;

/// Keeps the first and last bytes of a stream; the middle is counted and thrown away.
pub struct OutputBuffer {
    head: Vec<u8>,
    tail: VecDeque<u8>,
    head_max: usize,
    tail_max: usize,
    total: u64,
}

impl OutputBuffer {
    /// A buffer that holds `max` bytes.
    pub fn new(max: u64) -> Self {
        let max = usize::try_from(max).unwrap_or(usize::MAX);
        Self {
            head: Vec::new(),
            tail: VecDeque::new(),
            head_max: max - max / 2,
            tail_max: max / 2,
            total: 0,
        }
    }

    /// How much was read.
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// Takes in what was read.
    pub fn push(&mut self, mut bytes: &[u8]) {
        self.total += bytes.len() as u64;
        let room = self.head_max - self.head.len();
        if room > 0 {
            let (first, rest) = bytes.split_at(room.min(bytes.len()));
            self.head.extend_from_slice(first);
            bytes = rest;
        }
        bytes = &bytes[bytes.len().saturating_sub(self.tail_max)..];
        let surplus = (self.tail.len() + bytes.len()).saturating_sub(self.tail_max);
        self.tail.drain(..surplus);
        self.tail.extend(bytes);
    }

    /// The text, and whether something was cut out of its middle.
    pub fn finish(self) -> (String, bool) {
        let cut = self.total - (self.head.len() + self.tail.len()) as u64;
        let tail: Vec<u8> = self.tail.into();
        if cut == 0 {
            return (clean(&[self.head, tail].concat()), false);
        }
        // A character that the cut went through belongs to neither side.
        let head_end = whole_characters(&self.head);
        let tail_start = tail
            .iter()
            .take(3)
            .take_while(|byte| **byte & 0xC0 == 0x80)
            .count();
        let cut = cut + (self.head.len() - head_end + tail_start) as u64;
        let head = clean(&self.head[..head_end]);
        let tail = clean(&tail[tail_start..]);
        (
            format!("{head}\n[… {} bytes cut …]\n{tail}", grouped(cut)),
            true,
        )
    }
}

/// `text` made harmless and cut to about `max` bytes.
pub fn bounded(text: &str, max: u64) -> (String, bool) {
    let mut buffer = OutputBuffer::new(max);
    buffer.push(text.as_bytes());
    buffer.finish()
}

/// How many bytes of `bytes` are not the beginning of a character that goes on after the end.
fn whole_characters(bytes: &[u8]) -> usize {
    for back in 1..=bytes.len().min(3) {
        let byte = bytes[bytes.len() - back];
        let length = match byte {
            0xC0..=0xDF => 2,
            0xE0..=0xEF => 3,
            0xF0..=0xF7 => 4,
            0x80..=0xBF => continue,
            _ => 1,
        };
        return if length > back {
            bytes.len() - back
        } else {
            bytes.len()
        };
    }
    bytes.len()
}

/// Text without terminal escapes, without control characters other than newline, return and tab, and without characters that hide
/// or turn around what stands beside them; bytes that are no UTF-8 become `�`.
fn clean(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let suspicious = |byte: u8| match byte {
        b'\n' | b'\t' => false,
        // The lead bytes of what `is_hidden` knows, too.
        0..0x20 | 0x7F | 0xC2 | 0xD8 | 0xE2 | 0xEF | 0xF3 => true,
        _ => false,
    };
    if !text.bytes().any(suspicious) {
        return text.into_owned();
    }
    let mut kept = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\u{1b}' => match characters.peek() {
                Some('[') => {
                    characters.next();
                    skip_control_sequence(&mut characters);
                }
                Some(']' | 'P' | 'X' | '^' | '_') => skip_string(&mut characters),
                Some('(' | ')' | '*' | '+' | '#' | '%') => {
                    characters.next();
                    characters.next();
                }
                Some(next) if ('0'..='~').contains(next) => {
                    characters.next();
                }
                _ => {}
            },
            '\u{9b}' => skip_control_sequence(&mut characters),
            '\n' | '\t' | '\r' => kept.push(character),
            other if other.is_control() || is_hidden(other) => {}
            other => kept.push(other),
        }
    }
    kept
}

/// Whether a character shows nothing and changes how others are read: direction marks and overrides, spaces without width, tags.
/// (Joiners stay: scripts and emoji need them.)
const fn is_hidden(character: char) -> bool {
    matches!(
        character,
        '\u{61c}'
            | '\u{200b}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{202a}'..='\u{202e}'
            | '\u{2060}'..='\u{2069}'
            | '\u{feff}'
            | '\u{e0000}'..='\u{e007f}'
    )
}

/// Skips parameters up to the final byte; stops where no such sequence would go on.
fn skip_control_sequence(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while let Some(character) = characters.next_if(|character| (' '..='~').contains(character)) {
        if ('@'..='~').contains(&character) {
            return;
        }
    }
}

/// Skips an operating-system command or the like, which ends with a bell or a string terminator and stays on its line.
fn skip_string(characters: &mut std::iter::Peekable<std::str::Chars<'_>>) {
    while let Some(character) = characters.next_if(|character| *character != '\n') {
        match character {
            '\u{7}' | '\u{9c}' => return,
            '\u{1b}' => {
                characters.next_if_eq(&'\\');
                return;
            }
            _ => {}
        }
    }
}

/// `12345` as `12,345`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn short_output_is_kept_whole() {
        assert_eq!(bounded("one\ntwo\n", 8), ("one\ntwo\n".into(), false));
    }

    #[test]
    fn long_output_keeps_head_and_tail_and_says_what_was_cut() {
        let mut buffer = OutputBuffer::new(8);
        for _ in 0..5000 {
            buffer.push(b"abc");
        }
        assert_eq!(
            buffer.finish(),
            ("abca\n[… 14,992 bytes cut …]\ncabc".into(), true)
        );
    }

    #[test]
    fn a_cut_does_not_split_a_character() {
        let (text, cut) = bounded(&"é".repeat(100), 10);
        assert!(cut);
        assert_eq!(text, "éé\n[… 192 bytes cut …]\néé");
    }

    #[test]
    fn escapes_and_control_characters_go_and_bad_bytes_are_marked() {
        let (text, _) = bounded(
            "\u{1b}[31mred\u{1b}[0m \u{1b}]0;title\u{7}x\u{0}\u{8}y\tz\r\n\u{9b}1mé",
            1000,
        );
        assert_eq!(text, "red xy\tz\r\né");
        let mut buffer = OutputBuffer::new(100);
        buffer.push(b"a\xff\xfeb");
        assert_eq!(buffer.finish().0, "a\u{fffd}\u{fffd}b");
    }

    #[test]
    fn hidden_characters_go_and_joiners_stay() {
        let text = "a\u{202e}b\u{2066}c\u{200b}d\u{feff}e\u{e0041}f\u{61c}g … 👩\u{200d}🔬 ✓";
        assert_eq!(bounded(text, 1000).0, "abcdefg … 👩\u{200d}🔬 ✓");
    }

    #[test]
    fn an_unfinished_escape_takes_no_more_than_its_line() {
        assert_eq!(bounded("\u{1b}]0;never ends\nnext", 100).0, "\nnext");
    }

    proptest! {
        #[test]
        fn the_bound_holds_whatever_is_printed(parts in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..50), 0..20), max in 0_u64..100) {
            let mut buffer = OutputBuffer::new(max);
            for part in &parts {
                buffer.push(part);
            }
            prop_assert!((buffer.head.len() + buffer.tail.len()) as u64 <= max);
            let total: usize = parts.iter().map(Vec::len).sum();
            let (text, cut) = buffer.finish();
            prop_assert_eq!(cut, total as u64 > max);
            let escape = '\u{1b}';
            prop_assert!(!text.contains(escape));
        }
    }
}
