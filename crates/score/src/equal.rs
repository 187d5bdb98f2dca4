//! When two values of an answer are the same: as numbers, else as lists, else as text.

/// Nested lists deeper than this are compared as text, so that no input can exhaust the stack.
const MAX_DEPTH: usize = 16;

/// Whether `a` and `b` say the same.
///
/// Both numbers: they differ by at most `abs` or by at most `rel` times the larger magnitude (as Python's
/// `math.isclose`), with room for a rounding error of the last binary digits. Thousands separators, a currency sign,
/// `%`, a Unicode minus and scientific notation are understood. `%` and currency signs are units: `12.5%` equals
/// `12.5`, not `0.125`; two different units are never equal.
/// `1,234` is a number; a list of 1 and 234 is written with a space or brackets.
///
/// Otherwise lists, `a, b` or `[a, b]` or `(a, b)`: of equal length and equal element by element, in order.
///
/// Otherwise text, dates included: equal without regard to case, outer quotes and the amount of white space.
pub fn values_equal(a: &str, b: &str, abs: f64, rel: f64) -> bool {
    Tolerance::new(abs, rel).equal(a, b)
}

/// How far two numbers may be apart.
#[derive(Clone, Copy)]
pub struct Tolerance {
    abs: f64,
    rel: f64,
}

impl Tolerance {
    /// Absolute and relative; NaN and what is below 0 is 0.
    pub const fn new(abs: f64, rel: f64) -> Self {
        Self {
            abs: abs.max(0.0),
            rel: rel.max(0.0),
        }
    }

    /// Whether two values say the same.
    pub fn equal(self, a: &str, b: &str) -> bool {
        equal_within(a, b, self, 0)
    }

    fn covers(self, a: f64, b: f64) -> bool {
        let magnitude = a.abs().max(b.abs());
        let allowed = self.abs.max(self.rel * magnitude);
        (a - b).abs() <= allowed * (1.0 + 1e-9) + 4.0 * f64::EPSILON * magnitude
    }
}

/// The number that a value is, where it is one.
pub fn number_of(value: &str) -> Option<f64> {
    Number::parse(unquoted(value)).map(|number| number.value)
}

fn equal_within(a: &str, b: &str, tolerance: Tolerance, depth: usize) -> bool {
    let (a, b) = (unquoted(a), unquoted(b));
    if let (Some(a), Some(b)) = (Number::parse(a), Number::parse(b)) {
        let units_agree = a.unit.is_none() || b.unit.is_none() || a.unit == b.unit;
        return units_agree && tolerance.covers(a.value, b.value);
    }
    if depth < MAX_DEPTH {
        let (left, right) = (elements(a), elements(b));
        let lists = left.is_some() || right.is_some();
        let (left, right) = (left.unwrap_or(vec![a]), right.unwrap_or(vec![b]));
        if lists && left.len() == right.len() {
            return left
                .iter()
                .zip(&right)
                .all(|(a, b)| equal_within(a, b, tolerance, depth + 1));
        }
    }
    folded(a) == folded(b)
}

/// The text without white space and matching quotes around it.
pub fn unquoted(text: &str) -> &str {
    const QUOTES: [(char, char); 6] = [
        ('"', '"'),
        ('\'', '\''),
        ('`', '`'),
        ('“', '”'),
        ('‘', '’'),
        ('«', '»'),
    ];
    let mut text = text.trim();
    while let Some(inner) = QUOTES
        .iter()
        .find_map(|&(open, close)| text.strip_prefix(open)?.strip_suffix(close))
    {
        text = inner.trim();
    }
    text
}

/// The text in lower case, its white space made single blanks.
pub fn folded(text: &str) -> String {
    text.split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .to_lowercase()
}

/// The elements of a list; `None` for a text that neither is bracketed nor has a comma between its parts.
pub fn elements(text: &str) -> Option<Vec<&str>> {
    let inner = [('[', ']'), ('(', ')')]
        .iter()
        .find_map(|&(open, close)| text.strip_prefix(open)?.strip_suffix(close))
        .filter(|inner| stays_inside(inner));
    if inner.is_some_and(|inner| inner.trim().is_empty()) {
        return Some(Vec::new());
    }
    let mut parts = split_at_commas(inner.unwrap_or(text));
    // Python's `(1,)` and a comma left at the end of a bracketed list.
    if inner.is_some() && parts.len() > 1 && parts.last().is_some_and(|last| last.trim().is_empty())
    {
        parts.pop();
    }
    (inner.is_some() || parts.len() > 1).then_some(parts)
}

/// Whether no bracket closes that was not opened in this text: `1), (2` is not the inside of one pair.
fn stays_inside(text: &str) -> bool {
    let mut depth = 0_i64;
    text.chars().all(|letter| {
        depth += step(letter);
        depth >= 0
    })
}

fn split_at_commas(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut depth) = (0, 0_i64);
    let mut at_start = true;
    let mut quote: Option<char> = None;
    for (index, letter) in text.char_indices() {
        let begins = at_start;
        at_start = begins && letter.is_whitespace();
        match quote {
            Some(open) if letter == open => quote = None,
            Some(_) => {}
            // A quote counts only where an element begins: `it's, so` has an apostrophe. One that never closes is text.
            None if begins
                && matches!(letter, '"' | '\'')
                && text[index + 1..].contains(letter) =>
            {
                quote = Some(letter);
            }
            None if letter == ',' && depth <= 0 => {
                parts.push(&text[start..index]);
                start = index + 1;
                at_start = true;
            }
            None => depth += step(letter),
        }
    }
    parts.push(&text[start..]);
    parts
}

fn step(letter: char) -> i64 {
    match letter {
        '[' | '(' | '{' => 1,
        ']' | ')' | '}' => -1,
        _ => 0,
    }
}

struct Number {
    value: f64,
    /// `%` or a currency sign.
    unit: Option<char>,
}

impl Number {
    fn parse(text: &str) -> Option<Self> {
        // Longer than any number a person or a program would write out.
        if text.len() > 400 {
            return None;
        }
        let mut unit = None;
        let mut plain = String::with_capacity(text.len());
        for letter in text.chars() {
            match letter {
                '%' | '$' | '€' | '£' | '¥' | '₹' => {
                    if unit.replace(letter).is_some() {
                        return None;
                    }
                    // A unit stands before or after the digits, never among them.
                    plain.push('\u{1}');
                }
                '−' | '–' | '﹣' | '－' => plain.push('-'),
                '\u{a0}' | '\u{202f}' | '\u{2009}' => plain.push(' '),
                '\u{1}' => return None,
                _ => plain.push(letter),
            }
        }
        let plain = match plain.split_once('\u{1}') {
            None => plain,
            Some((before, after)) => match (before.trim(), after.trim()) {
                ("" | "+", digits) | (digits, "") => digits.to_owned(),
                ("-", digits) => format!("-{digits}"),
                _ => return None,
            },
        };
        let value: f64 = scientific(&plain)?.parse().ok()?;
        value.is_finite().then_some(Self { value, unit })
    }
}

/// The text as `f64` reads it, if it is a decimal number, perhaps grouped by thousands, perhaps with an exponent.
fn scientific(text: &str) -> Option<String> {
    let text = text.trim();
    let (sign, text) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (&text[..1], rest.trim_start()),
        None => ("", text),
    };
    let (mantissa, exponent) = [
        "e", "E", "×10^", "x10^", "*10^", " × 10^", " x 10^", " * 10^",
    ]
    .iter()
    .find_map(|mark| text.split_once(mark))
    .map_or((text, None), |(mantissa, exponent)| {
        (mantissa, Some(exponent))
    });
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let whole = ungrouped(whole)?;
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(fraction) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let exponent = match exponent {
        None => "0",
        Some(exponent) => {
            let magnitude = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
            if magnitude.is_empty() || !digits(magnitude) {
                return None;
            }
            exponent
        }
    };
    Some(format!("{sign}{whole}.{fraction}e{exponent}"))
}

/// The digits of a whole part: plain, or in groups of three behind the first.
fn ungrouped(whole: &str) -> Option<String> {
    let separator = whole.chars().find(|letter| !letter.is_ascii_digit());
    let Some(separator) = separator else {
        return Some(whole.to_owned());
    };
    if !matches!(separator, ',' | '_' | ' ' | '\'') {
        return None;
    }
    let groups: Vec<&str> = whole.split(separator).collect();
    let well_formed = groups.iter().enumerate().all(|(index, group)| {
        let length_fits = if index == 0 {
            (1..=3).contains(&group.len())
        } else {
            group.len() == 3
        };
        length_fits && group.bytes().all(|byte| byte.is_ascii_digit())
    });
    well_formed.then(|| groups.concat())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn same(a: &str, b: &str) -> bool {
        values_equal(a, b, 0.0, 0.0)
    }

    #[test]
    fn ways_to_write_a_number_are_equal() {
        for (a, b) in [
            ("0.50", "0.5"),
            ("1,234,567.80", "1234567.8"),
            ("1 234", "1234"),
            ("1_000", "1000"),
            ("1.5e3", "1500"),
            ("1.5 × 10^3", "1500"),
            ("1E+05", "100000"),
            ("\u{2212}3", "-3"),
            ("- 3", "-3"),
            ("12.5%", "12.5"),
            ("12.5 %", "12.5%"),
            ("$1,000", "1000"),
            ("-$5", "-5"),
            ("7 €", "7"),
            (".5", "0.5"),
            ("5.", "5"),
            ("'42'", "42"),
            ("+1", "1"),
            ("0", "-0"),
        ] {
            assert!(same(a, b), "{a} == {b}");
            assert!(same(b, a), "{b} == {a}");
        }
    }

    #[test]
    fn different_things_are_different() {
        for (a, b) in [
            ("2014-12-31", "2014-05-01"),
            ("2014-12-31", "2014"),
            ("12.5%", "0.125"),
            ("$5", "€5"),
            ("5", "-5"),
            ("1,2,3", "3,2,1"),
            ("1,2", "1,2,3"),
            ("1,23", "123"),
            ("5 apples", "5"),
            ("a", "b"),
            ("", "0"),
            ("nan", "0"),
            ("inf", "1e999"),
            ("[]", ""),
            ("(1), (2)", "1), (2"),
        ] {
            assert!(!same(a, b), "{a} != {b}");
            assert!(!same(b, a), "{b} != {a}");
        }
    }

    #[test]
    fn lists_are_compared_in_order_element_by_element() {
        assert!(same("a, b, c", "[A, 'b', \"c\"]"));
        assert!(same("[0.50, 1]", "(0.5, 1.0)"));
        assert!(same("[[1, 2], [3]]", "[[1.0,2],[3]]"));
        assert!(same("[a]", "a"));
        assert!(same("['x, y', z]", "[\"x, y\", Z]"));
        assert!(same("(1,)", "[1]"));
        assert!(values_equal("[1.01, 2]", "[1, 2]", 0.02, 0.0));
        assert!(!values_equal("[1.01, 2]", "[1, 2]", 0.001, 0.0));
    }

    #[test]
    fn text_is_compared_without_case_quotes_and_extra_space() {
        assert!(same(" “Iris   Setosa” ", "iris setosa"));
        assert!(same("Été", "été"));
        assert!(same("2014-12-31", " 2014-12-31"));
        assert!(!same("it's, so", "its, so"));
    }

    #[test]
    fn a_tolerance_reaches_its_own_boundary() {
        assert!(values_equal("34.65", "34.64", 0.01, 0.0));
        assert!(!values_equal("34.65", "34.63", 0.01, 0.0));
        assert!(values_equal("101", "100", 0.0, 0.01));
        assert!(!values_equal("102", "100", 0.0, 0.01));
        assert!(!values_equal("102", "100", f64::NAN, -1.0));
    }

    #[test]
    fn deep_nesting_does_not_exhaust_the_stack() {
        let deep = "[".repeat(100_000) + &"]".repeat(100_000);
        assert!(same(&deep, &deep));
    }

    #[test]
    fn long_values_are_compared_in_linear_time() {
        for filler in [" ", "a ", ",", "',", "[1],", "\"x', "] {
            let long = format!("[{}]", filler.repeat(200_000));
            assert!(same(&long, &long));
        }
    }

    proptest! {
        #[test]
        fn equality_is_total_reflexive_and_symmetric(a in ".{0,40}", b in "[-0-9,.\\[\\]()e%$ a'\"]{0,24}") {
            prop_assert!(same(&a, &a));
            prop_assert!(same(&b, &b));
            prop_assert_eq!(same(&a, &b), same(&b, &a));
        }

        #[test]
        fn printed_numbers_equal_themselves(value in -1e12..1e12_f64) {
            let (plain, exponent) = (format!("{value}"), format!("{value:e}"));
            prop_assert!(same(&plain, &exponent));
        }
    }
}
