//! What a terminal may be given: text that others wrote, without what a terminal would obey.

use std::iter::Peekable;
use std::str::Chars;

/// The text without escape sequences and without control characters other than line ends and tabs.
pub fn harmless(text: &str) -> String {
    let mut left = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        match c {
            '\u{1b}' => skip_escape(&mut rest),
            '\u{9b}' => skip_parameters(&mut rest),
            '\n' | '\t' => left.push(c),
            c if c.is_control() || is_reordering(c) => {}
            c => left.push(c),
        }
    }
    left
}

/// Walks past what belongs to an escape: a command with its parameters, a string up to its end, or one character.
fn skip_escape(rest: &mut Peekable<Chars<'_>>) {
    match rest.peek() {
        Some('[') => {
            rest.next();
            skip_parameters(rest);
        }
        Some(']' | 'P' | '_' | '^' | 'X') => skip_string(rest),
        // An escape at the end of a line says nothing, and the line stays one.
        Some('\n') | None => {}
        Some(_) => {
            rest.next();
        }
    }
}

fn skip_parameters(rest: &mut Peekable<Chars<'_>>) {
    while rest.next_if(|c| matches!(c, ' '..='?')).is_some() {}
    rest.next_if(|c| matches!(c, '@'..='~'));
}

/// A string ends with a bell or `ESC \`; one that does not ends with its line, so that it cannot swallow the rest of the text.
fn skip_string(rest: &mut Peekable<Chars<'_>>) {
    while let Some(c) = rest.next_if(|c| *c != '\n') {
        if matches!(c, '\u{7}' | '\u{9c}') {
            break;
        }
        if c == '\u{1b}' {
            rest.next_if_eq(&'\\');
            break;
        }
    }
}

/// Characters that make a line read otherwise than it is written.
fn is_reordering(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_terminal_would_obey_is_taken_out() {
        for (text, left) in [
            ("plain\ttext\nµ ── 日本", "plain\ttext\nµ ── 日本"),
            ("\u{1b}[2J\u{1b}[1;31mred\u{1b}[0m", "red"),
            ("\u{9b}31mred", "red"),
            ("a\u{1b}]0;title\u{7}b", "ab"),
            ("a\u{1b}]52;c;cm0=\u{1b}\\b", "ab"),
            ("a\u{1b}]never ended\nb", "a\nb"),
            ("10 %\r20 %\u{8}\u{7}\0", "10 %20 %"),
            ("a\u{1b}cb\u{1b}", "ab"),
            ("admin\u{202e}txt", "admintxt"),
        ] {
            assert_eq!(harmless(text), left);
        }
    }
}
