//! Values as Python writes them. Instructions quote them the same way.

use serde_json::Value;

/// A value as a literal; a list becomes a tuple, which no parameter of a model can change.
pub(super) fn literal(value: &Value) -> String {
    match value {
        Value::Null => "None".to_owned(),
        Value::Bool(true) => "True".to_owned(),
        Value::Bool(false) => "False".to_owned(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(literal).collect();
            let comma = if items.len() == 1 { "," } else { "" };
            format!("({}{comma})", items.join(", "))
        }
        Value::Object(entries) => {
            let entries: Vec<String> = entries
                .iter()
                .map(|(name, value)| format!("{}: {}", text(name), literal(value)))
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        // JSON's escapes are Python's too.
        Value::Number(_) | Value::String(_) => value.to_string(),
    }
}

/// Text as a literal.
pub(super) fn text(text: &str) -> String {
    literal(&Value::from(text))
}

/// Texts as a list.
pub(super) fn texts<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    let texts: Vec<String> = texts.into_iter().map(text).collect();
    format!("[{}]", texts.join(", "))
}

/// A finite number, as short as it can be without being another one.
pub(super) fn number(number: f64) -> String {
    if number != 0.0 && !(1e-5..1e16).contains(&number.abs()) {
        format!("{number:e}")
    } else {
        format!("{number}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_as_python_writes_them() {
        let value = serde_json::json!([null, true, 0.5, "a\"\\\n", [16], {"k": []}]);
        assert_eq!(
            literal(&value),
            r#"(None, True, 0.5, "a\"\\\n", (16,), {"k": ()})"#
        );
        assert_eq!(texts(["é", "b"]), r#"["é", "b"]"#);
    }

    #[test]
    fn a_number_reads_back_as_itself() {
        for value in [0.0, 10.0, -0.1, 1e300, 2.5e-9, 123_456_789.125] {
            assert_eq!(
                number(value).parse::<f64>().unwrap().to_bits(),
                value.to_bits()
            );
        }
        assert_eq!(number(10.0), "10");
        assert_eq!(number(1e300), "1e300");
    }
}
