//! Just enough of Python's lexer to know whether a place in a text lies inside a string or a comment.

/// Whether `code`, read from its start, ends inside a string literal that could still be closed.
///
/// A single-quoted string ends at the end of its line at the latest, as in Python, so that an apostrophe in a comment or
/// in broken code cannot swallow the rest.
pub fn ends_inside_string(code: &str) -> bool {
    let bytes = code.as_bytes();
    let mut i = 0;
    while i < bytes.len() {
        match bytes[i] {
            b'#' => i = end_of_line(bytes, i),
            quote @ (b'"' | b'\'') => match end_of_string(bytes, i, quote) {
                Some(end) => i = end,
                None => return true,
            },
            _ => i += 1,
        }
    }
    false
}

fn end_of_line(bytes: &[u8], from: usize) -> usize {
    bytes[from..]
        .iter()
        .position(|byte| *byte == b'\n')
        .map_or(bytes.len(), |offset| from + offset)
}

/// The place behind the string that begins at `start`, or nothing if the text ends before the string does.
fn end_of_string(bytes: &[u8], start: usize, quote: u8) -> Option<usize> {
    let triple = bytes[start..].starts_with(&[quote; 3]);
    let mut i = start + if triple { 3 } else { 1 };
    while i < bytes.len() {
        match bytes[i] {
            b'\\' => i += 2,
            b'\n' if !triple => return Some(i),
            byte if byte == quote && (!triple || bytes[i..].starts_with(&[quote; 3])) => {
                return Some(i + if triple { 3 } else { 1 });
            }
            _ => i += 1,
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::ends_inside_string;

    #[test]
    fn an_open_string_is_noticed() {
        assert!(ends_inside_string("print(\"the tag "));
        assert!(ends_inside_string("x = '''a\nb"));
        assert!(ends_inside_string("x = 'a\\'"));
    }

    #[test]
    fn closed_strings_and_comments_are_over() {
        assert!(!ends_inside_string("print('a', \"b\") # it's fine\n"));
        assert!(!ends_inside_string("x = \"\"\"it's\"\"\"\n"));
        assert!(!ends_inside_string("x = 'broken\ny = 1"));
    }
}
