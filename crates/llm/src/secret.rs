//! Keys and secret headers: read from the environment, hidden from `Debug`, cut out of all that an endpoint says.

use http::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use synth_core::config::ModelConfig;

use crate::ModelError;

/// A secret shorter than this is cut out of messages only: in replies, whose text is data, it is more likely a word.
const MIN_BYTES_IN_REPLIES: usize = 16;
const MIN_BYTES_IN_MESSAGES: usize = 4;

/// Headers whose value is secret even where it is written into the configuration.
const SECRET_HEADERS: [&str; 5] = [
    "authorization",
    "proxy-authorization",
    "api-key",
    "x-api-key",
    "cookie",
];

/// What must be sent, and must not be seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Credentials {
    /// The headers of every request, the key's among them; all are marked as sensitive.
    pub(crate) headers: HeaderMap,
    secrets: Vec<SecretString>,
}

impl Credentials {
    /// Reads the key and the headers that the configuration names.
    pub(crate) fn from_environment(name: &str, config: &ModelConfig) -> Result<Self, ModelError> {
        let refuse = |message: String| ModelError::Configuration {
            model: name.to_owned(),
            message,
        };
        let mut credentials = Self::default();
        if !config.api_key_env.is_empty() {
            let key = variable(&config.api_key_env).ok_or_else(|| {
                refuse(format!("its key is not there; set the environment variable `{}`, or empty `api_key_env`", config.api_key_env))
            })?;
            let bearer = format!("Bearer {key}");
            credentials.secrets.push(key.into());
            credentials.insert(AUTHORIZATION, &bearer).map_err(|()| {
                refuse(format!(
                    "the key in `{}` holds characters that cannot be sent; set it again",
                    config.api_key_env
                ))
            })?;
        }
        for (header, value) in &config.headers {
            let header_name: HeaderName = header.parse().map_err(|_| {
                refuse(format!(
                    "`{header}` is not a header's name; correct `headers`"
                ))
            })?;
            let value = if let Some(env) = value.strip_prefix("env:") {
                let value = variable(env).ok_or_else(|| {
                    refuse(format!(
                        "header `{header}` has no value; set the environment variable `{env}`"
                    ))
                })?;
                credentials.secrets.push(value.clone().into());
                value
            } else {
                if SECRET_HEADERS.contains(&header_name.as_str()) {
                    credentials.secrets.push(value.clone().into());
                    let bare = value.strip_prefix("Bearer ").unwrap_or(value);
                    credentials.secrets.push(bare.to_owned().into());
                }
                value.clone()
            };
            credentials.insert(header_name, &value).map_err(|()| {
                refuse(format!(
                    "the value of header `{header}` cannot be sent; correct `headers`"
                ))
            })?;
        }
        Ok(credentials)
    }

    /// `text` for a message, without any secret.
    pub(crate) fn scrub_message(&self, text: &str) -> String {
        self.scrub(text, MIN_BYTES_IN_MESSAGES)
    }

    /// `text` of a reply, without any secret that is long enough not to be a word.
    pub(crate) fn scrub_reply(&self, text: String) -> String {
        if self
            .secrets
            .iter()
            .any(|secret| is_in(secret, &text, MIN_BYTES_IN_REPLIES))
        {
            self.scrub(&text, MIN_BYTES_IN_REPLIES)
        } else {
            text
        }
    }

    fn scrub(&self, text: &str, min_bytes: usize) -> String {
        let mut text = text.to_owned();
        for secret in &self.secrets {
            if is_in(secret, &text, min_bytes) {
                text = text.replace(secret.expose_secret(), "[secret]");
            }
        }
        text
    }

    fn insert(&mut self, name: HeaderName, value: &str) -> Result<(), ()> {
        let mut value = HeaderValue::from_str(value).map_err(|_| ())?;
        value.set_sensitive(true);
        self.headers.insert(name, value);
        Ok(())
    }
}

fn is_in(secret: &SecretString, text: &str, min_bytes: usize) -> bool {
    let secret = secret.expose_secret();
    secret.len() >= min_bytes && text.contains(secret)
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name)
        .ok()
        .map(|value| value.trim().to_owned())
        .filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_cut_out_of_messages_and_replies_and_hidden_from_debug() {
        let mut credentials = Credentials::default();
        credentials
            .secrets
            .push("sk-0123456789abcdef".to_owned().into());
        assert_eq!(
            credentials.insert(AUTHORIZATION, "Bearer sk-0123456789abcdef"),
            Ok(())
        );
        assert_eq!(
            credentials.scrub_message("bad key sk-0123456789abcdef!"),
            "bad key [secret]!"
        );
        assert_eq!(
            credentials.scrub_reply("sk-0123456789abcdef".to_owned()),
            "[secret]"
        );
        assert!(!format!("{credentials:?}").contains("0123456789"));
    }

    #[test]
    fn a_short_secret_does_not_change_replies() {
        let mut credentials = Credentials::default();
        credentials.secrets.push("password".to_owned().into());
        assert_eq!(
            credentials.scrub_reply("the column password".to_owned()),
            "the column password"
        );
        assert_eq!(
            credentials.scrub_message("wrong password"),
            "wrong [secret]"
        );
    }
}
