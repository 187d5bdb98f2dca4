//! The forms that an answer has had: RPC without defaults, today's REST with `xNullable`, `x` and `hasX`, and REST as it was in 2021.

use serde_json::{Map, Value, json};

/// Which REST answers there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rest {
    /// Today's: an optional field as `xNullable` (where set), `x` and `hasX`.
    #[default]
    Now,
    /// Of 2021: plain fields with `null`, `ref` a bare slug, lists of files as bare arrays.
    Of2021,
}

/// The form of one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Dialect {
    Rpc,
    Rest(Rest),
}

/// How a message is written down.
#[derive(Clone, Copy, Debug)]
pub(super) struct Form {
    pub dialect: Dialect,
    pub int64_strings: bool,
    pub bare_refs: bool,
}

/// A message: fields in camel case with their kinds, written down by [`Message::write`].
#[derive(Clone, Debug, Default)]
pub(super) struct Message(Vec<(&'static str, Field)>);

#[derive(Clone, Debug)]
pub(super) enum Field {
    Text(String),
    MaybeText(Option<String>),
    Int(i64),
    MaybeInt(Option<i64>),
    /// 64 bits: may come as a string.
    Long(i64),
    MaybeLong(Option<i64>),
    Bool(bool),
    MaybeBool(Option<bool>),
    MaybeNumber(Option<f64>),
    Date(Option<String>),
    List(Vec<Message>),
    Texts(Vec<String>),
    Inner(Option<Message>),
}

impl Message {
    pub(super) fn new(fields: Vec<(&'static str, Field)>) -> Self {
        Self(fields)
    }

    pub(super) fn write(&self, form: Form) -> Value {
        let mut written = Map::new();
        for (name, field) in &self.0 {
            match form.dialect {
                Dialect::Rpc => {
                    if let Some(value) = field.value(form).filter(|value| !is_default(value, field))
                    {
                        written.insert((*name).into(), value);
                    }
                }
                Dialect::Rest(Rest::Of2021) => {
                    let value = field.value(form).unwrap_or(Value::Null);
                    written.insert((*name).into(), value);
                }
                Dialect::Rest(Rest::Now) => write_now(&mut written, name, field, form),
            }
        }
        Value::Object(written)
    }
}

fn write_now(written: &mut Map<String, Value>, name: &str, field: &Field, form: Form) {
    let value = field.value(form);
    if let Some(absent) = field.absent() {
        if let Some(value) = &value {
            written.insert(format!("{name}Nullable"), value.clone());
        }
        let (first, rest) = name.split_at(1);
        let has = format!("has{}{rest}", first.to_uppercase());
        written.insert(has, json!(value.is_some()));
        written.insert(name.into(), value.unwrap_or(absent));
    } else if let Some(value) = value {
        written.insert(name.into(), value);
    }
}

/// What the RPC form leaves out: a required field at its default. A set optional field stays, whatever its value.
fn is_default(value: &Value, field: &Field) -> bool {
    if field.absent().is_some() {
        return false;
    }
    match value {
        Value::Bool(value) => !value,
        Value::Number(value) => value.as_i64() == Some(0),
        Value::String(value) => {
            value.is_empty() || (value == "0" && matches!(field, Field::Long(_)))
        }
        Value::Array(values) => values.is_empty(),
        Value::Null | Value::Object(_) => false,
    }
}

impl Field {
    pub(super) fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    pub(super) fn some(text: impl Into<String>) -> Self {
        Self::MaybeText(Some(text.into()))
    }

    fn value(&self, form: Form) -> Option<Value> {
        let long = |value: i64| {
            if form.int64_strings {
                json!(value.to_string())
            } else {
                json!(value)
            }
        };
        match self {
            Self::Text(text) => Some(json!(text)),
            Self::MaybeText(text) => text.as_ref().map(|text| json!(text)),
            Self::Int(value) => Some(json!(value)),
            Self::MaybeInt(value) => value.map(|value| json!(value)),
            Self::Long(value) => Some(long(*value)),
            Self::MaybeLong(value) => value.map(long),
            Self::Bool(value) => Some(json!(value)),
            Self::MaybeBool(value) => value.map(|value| json!(value)),
            Self::MaybeNumber(value) => value.map(|value| json!(value)),
            Self::Date(date) => date.as_ref().map(|date| json!(date)),
            Self::List(messages) => {
                Some(messages.iter().map(|message| message.write(form)).collect())
            }
            Self::Texts(texts) => Some(json!(texts)),
            Self::Inner(message) => message.as_ref().map(|message| message.write(form)),
        }
    }

    /// For an optional field, what stands where it is not set.
    fn absent(&self) -> Option<Value> {
        match self {
            Self::MaybeText(_) => Some(json!("")),
            Self::MaybeInt(_) | Self::MaybeLong(_) => Some(json!(0)),
            Self::MaybeNumber(_) => Some(json!(0.0)),
            Self::MaybeBool(_) => Some(json!(false)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message() -> Message {
        Message::new(vec![
            ("name", Field::text("")),
            ("title", Field::some("")),
            ("reward", Field::MaybeText(None)),
            ("totalBytes", Field::Long(12)),
            ("files", Field::List(Vec::new())),
            ("deadline", Field::Date(None)),
        ])
    }

    fn written(dialect: Dialect, int64_strings: bool) -> Value {
        message().write(Form {
            dialect,
            int64_strings,
            bare_refs: false,
        })
    }

    #[test]
    fn rpc_leaves_out_defaults_and_keeps_set_optional_fields() {
        assert_eq!(
            written(Dialect::Rpc, true),
            json!({"title": "", "totalBytes": "12"})
        );
    }

    #[test]
    fn rest_of_today_has_three_fields_for_an_optional_one() {
        assert_eq!(
            written(Dialect::Rest(Rest::Now), false),
            json!({
                "name": "", "titleNullable": "", "title": "", "hasTitle": true, "reward": "", "hasReward": false,
                "totalBytes": 12, "files": []
            })
        );
    }

    #[test]
    fn rest_of_2021_has_nulls() {
        assert_eq!(
            written(Dialect::Rest(Rest::Of2021), false),
            json!({"name": "", "title": "", "reward": null, "totalBytes": 12, "files": [], "deadline": null})
        );
    }
}
