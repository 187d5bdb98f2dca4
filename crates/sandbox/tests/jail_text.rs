//! The jail's texts, which it reads and writes without an allocator, tried out where there is one.

#[path = "../jail/text.rs"]
mod text;

use text::{Fields, Text, first_number, number};

#[test]
fn fields_are_read_to_their_ends_and_no_further() {
    let mut fields = Fields::new(b"bname\x0042\0\0left");
    assert_eq!(fields.byte(), Some(b'b'));
    assert_eq!(fields.text(), Some(c"name"));
    assert_eq!(fields.number(), Some(42));
    assert_eq!(fields.text(), Some(c""));
    // No NUL follows, so there is no further field.
    assert_eq!(fields.text(), None);
    assert_eq!(fields.rest(), b"left");
    assert_eq!(Fields::new(b"").byte(), None);
}

#[test]
fn a_number_is_all_digits_and_fits() {
    assert_eq!(number(b"0"), Some(0));
    assert_eq!(number(b"18446744073709551615"), Some(u64::MAX));
    for wrong in [
        &b""[..],
        b"-1",
        b"+1",
        b"1 ",
        b"0x1",
        b"18446744073709551616",
        b"\xff",
    ] {
        assert_eq!(number(wrong), None, "{wrong:?}");
    }
}

#[test]
fn the_first_number_of_a_line_is_found() {
    assert_eq!(first_number(b"RssAnon:\t   120 kB"), Some(120));
    assert_eq!(first_number(b"7"), Some(7));
    assert_eq!(first_number(b"none"), None);
    assert_eq!(first_number(b""), None);
}

#[test]
fn a_text_takes_what_fits_and_ends_with_a_nul() {
    let text = Text::<8>::new().add(b"ab").add_number(0).add_number(120);
    assert_eq!(text.bytes(), b"ab0120");
    assert_eq!(text.path(), c"ab0120");
    let full = text.add(b"long").add_number(u64::MAX);
    assert_eq!(full.bytes(), b"ab0120l");
    assert_eq!(full.path(), c"ab0120l");
    assert_eq!(
        Text::<21>::new().add_number(u64::MAX).bytes(),
        b"18446744073709551615"
    );
}
