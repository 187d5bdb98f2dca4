//! Who asks: an access token, a user name with a key, or nobody. Found where the official client finds them.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use crate::KaggleError;

/// A file of credentials is a line; what is longer than this is something else.
const MAX_FILE_BYTES: u64 = 64 << 10;
/// Tokens of this kind are refused as a password.
const TOKEN_PREFIX: &str = "KGAT_";
/// A secret shorter than this is more likely a word of the message.
const MIN_SCRUBBED_BYTES: usize = 4;

/// Who asks. What is secret is hidden from `Debug` and is cut out of messages.
#[derive(Clone, Default)]
pub enum Credentials {
    /// An access token, sent as a bearer.
    Token {
        /// The token.
        token: SecretString,
        /// Where it was found.
        found: String,
    },
    /// A user name with its key, sent as HTTP Basic.
    Key {
        /// The user.
        username: String,
        /// The key.
        key: SecretString,
        /// Where it was found.
        found: String,
    },
    /// Nobody: enough for a few calls about datasets.
    #[default]
    Anonymous,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token { found, .. } => write!(f, "Token {{ found: {found:?} }}"),
            Self::Key { found, .. } => write!(f, "Key {{ found: {found:?} }}"),
            Self::Anonymous => f.write_str("Anonymous"),
        }
    }
}

impl Credentials {
    /// Looks in the environment and the home folder; nobody when there is nothing.
    pub fn find() -> Result<Self, KaggleError> {
        Self::find_in(&|name| std::env::var(name).ok())
    }

    /// [`Credentials::find`] with another environment; `HOME` is a part of it.
    pub fn find_in(environment: &dyn Fn(&str) -> Option<String>) -> Result<Self, KaggleError> {
        let variable = |name: &str| {
            environment(name)
                .map(|value| value.trim().to_owned())
                .filter(|value| !value.is_empty())
        };
        let home = variable("HOME").map(PathBuf::from);
        let dot_kaggle = home.as_ref().map(|home| home.join(".kaggle"));
        if let Some(value) = variable("KAGGLE_API_TOKEN") {
            return from_variable(value);
        }
        if let Some(folder) = &dot_kaggle {
            for name in ["access_token", "access_token.txt"] {
                let path = folder.join(name);
                if let Some(token) = read(&path)? {
                    return token_of(&token, format!("`{}`", path.display()));
                }
            }
        }
        let folder = match (variable("KAGGLE_CONFIG_DIR"), dot_kaggle) {
            (Some(folder), _) => Some(PathBuf::from(folder)),
            (None, Some(folder)) if folder.is_dir() => Some(folder),
            (None, _) => variable("XDG_CONFIG_HOME")
                .map(PathBuf::from)
                .or_else(|| home.map(|home| home.join(".config")))
                .map(|folder| folder.join("kaggle")),
        };
        let mut file = KaggleJson::default();
        let mut found = "the environment".to_owned();
        let (username, key) = (variable("KAGGLE_USERNAME"), variable("KAGGLE_KEY"));
        // What the environment says in full needs no file, so a broken one does no harm.
        if (username.is_none() || key.is_none())
            && let Some(path) = folder.map(|folder| folder.join("kaggle.json"))
            && let Some(text) = read(&path)?
        {
            file = serde_json::from_str(text.expose_secret()).map_err(|error| {
                // The error's own text could quote the key.
                refuse(format!(
                    "`{}` is not the JSON of a Kaggle key (line {}); download it again at https://www.kaggle.com/settings",
                    path.display(),
                    error.line()
                ))
            })?;
            found = format!("`{}`", path.display());
        }
        let username = username.or(file.username.filter(|name| !name.trim().is_empty()));
        let key = key
            .map(SecretString::from)
            .or(file.key.map(SecretString::from))
            .filter(|key| !key.expose_secret().trim().is_empty());
        match (username, key) {
            (_, Some(key)) if key.expose_secret().trim().starts_with(TOKEN_PREFIX) => {
                token_of(&key, found)
            }
            (Some(username), Some(key)) => {
                let key = SecretString::from(key.expose_secret().trim().to_owned());
                let username = username.trim().to_owned();
                Ok(Self::Key {
                    username,
                    key,
                    found,
                })
            }
            (Some(_), None) => Err(refuse(format!(
                "{found} names a user of Kaggle without a key; set `KAGGLE_KEY` too, or `KAGGLE_API_TOKEN` alone"
            ))),
            (None, Some(_)) => Err(refuse(format!(
                "{found} has a key of Kaggle without a user; set `KAGGLE_USERNAME` too"
            ))),
            (None, None) => Ok(Self::Anonymous),
        }
    }

    /// An access token of which the caller says where it is from.
    pub fn token(token: &str, found: &str) -> Result<Self, KaggleError> {
        token_of(&SecretString::from(token.to_owned()), found.to_owned())
    }

    /// Whether nobody asks.
    pub fn is_anonymous(&self) -> bool {
        matches!(self, Self::Anonymous)
    }

    /// The header that says who asks; marked as sensitive.
    pub(crate) fn header(&self) -> Result<Option<HeaderValue>, KaggleError> {
        let text = match self {
            Self::Token { token, .. } => format!("Bearer {}", token.expose_secret()),
            Self::Key { username, key, .. } => {
                let pair = format!("{username}:{}", key.expose_secret());
                format!("Basic {}", BASE64.encode(pair.as_bytes()))
            }
            Self::Anonymous => return Ok(None),
        };
        let mut value = HeaderValue::from_str(&text).map_err(|_| {
            refuse(format!(
                "the credentials from {} hold characters that cannot be sent; set them again",
                self.found()
            ))
        })?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    /// What to do when Kaggle does not accept them.
    pub(crate) fn advice(&self) -> String {
        match self {
            Self::Anonymous => "make a token at https://www.kaggle.com/settings and set `KAGGLE_API_TOKEN` to it, or put it in `~/.kaggle/access_token`".to_owned(),
            _ => format!("it does not accept the credentials from {}; make new ones at https://www.kaggle.com/settings", self.found()),
        }
    }

    /// `text` without any secret.
    pub(crate) fn scrub(&self, text: &str) -> String {
        let secret = match self {
            Self::Token { token, .. } => token.expose_secret(),
            Self::Key { key, .. } => key.expose_secret(),
            Self::Anonymous => return text.to_owned(),
        };
        let mut text = text.to_owned();
        if secret.len() >= MIN_SCRUBBED_BYTES {
            text = text.replace(secret, "[secret]");
        }
        if let Ok(Some(header)) = self.header()
            && let Ok(header) = header.to_str()
            && let Some((_, encoded)) = header.split_once(' ')
        {
            text = text.replace(encoded, "[secret]");
        }
        text
    }

    fn found(&self) -> &str {
        match self {
            Self::Token { found, .. } | Self::Key { found, .. } => found,
            Self::Anonymous => "nowhere",
        }
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct KaggleJson {
    username: Option<String>,
    key: Option<String>,
}

/// The variable holds the token, or the path of a file with it.
fn from_variable(value: String) -> Result<Credentials, KaggleError> {
    let found = "`KAGGLE_API_TOKEN`";
    if let Some(token) = read(Path::new(&value))? {
        return token_of(&token, format!("the file that {found} names"));
    }
    // No token has a `/`; the value is not shown, in case it is a token after all.
    if value.contains('/') {
        return Err(refuse(format!(
            "{found} names a file that is not there; correct the path, or set the token itself"
        )));
    }
    token_of(&value.into(), found.to_owned())
}

fn token_of(token: &SecretString, found: String) -> Result<Credentials, KaggleError> {
    let token = token.expose_secret().trim();
    if token.is_empty() {
        return Err(refuse(format!(
            "the token in {found} is empty; make one at https://www.kaggle.com/settings"
        )));
    }
    let token = SecretString::from(token.to_owned());
    Ok(Credentials::Token { token, found })
}

/// The text of a file; none where there is no such file.
fn read(path: &Path) -> Result<Option<SecretString>, KaggleError> {
    let is_file = std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    if !is_file {
        return Ok(None);
    }
    let file = std::fs::File::open(path).map_err(|error| KaggleError::io(path, error))?;
    let mut text = String::new();
    file.take(MAX_FILE_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| KaggleError::io(path, error))?;
    Ok(Some(text.trim_start_matches('\u{feff}').to_owned().into()))
}

fn refuse(message: String) -> KaggleError {
    KaggleError::Configuration { message }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::fs;

    use super::*;

    fn find(home: &Path, variables: &[(&str, &str)]) -> Result<Credentials, KaggleError> {
        let mut environment: HashMap<String, String> = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        environment.insert("HOME".to_owned(), home.display().to_string());
        Credentials::find_in(&|name| environment.get(name).cloned())
    }

    fn header(credentials: &Credentials) -> String {
        let header = credentials.header().unwrap().unwrap();
        assert!(header.is_sensitive());
        header.to_str().unwrap().to_owned()
    }

    fn write(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[test]
    fn a_token_goes_before_a_key_and_the_variable_before_the_files() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        assert!(find(home, &[]).unwrap().is_anonymous());
        let xdg = home.join(".config/kaggle/kaggle.json");
        write(&xdg, r#"{"username":"ann","key":"from-xdg"}"#);
        let basic = |pair: &str| format!("Basic {}", BASE64.encode(pair.as_bytes()));
        assert_eq!(header(&find(home, &[]).unwrap()), basic("ann:from-xdg"));
        let other = home.join("elsewhere");
        write(
            &other.join("kaggle/kaggle.json"),
            r#"{"username":"ann","key":"other-xdg"}"#,
        );
        let moved = [("XDG_CONFIG_HOME", other.to_str().unwrap())];
        assert_eq!(header(&find(home, &moved).unwrap()), basic("ann:other-xdg"));

        write(
            &home.join(".kaggle/kaggle.json"),
            "\u{feff}{\"username\":\"ann\",\"key\":\"from-home\"}\n",
        );
        assert_eq!(header(&find(home, &[]).unwrap()), basic("ann:from-home"));
        let directory = home.join("keys");
        write(
            &directory.join("kaggle.json"),
            r#"{"username":"bob","key":"from-dir"}"#,
        );
        let variables = [("KAGGLE_CONFIG_DIR", directory.to_str().unwrap())];
        assert_eq!(
            header(&find(home, &variables).unwrap()),
            basic("bob:from-dir")
        );
        let variables = [("KAGGLE_USERNAME", "eve"), ("KAGGLE_KEY", "from-env")];
        assert_eq!(
            header(&find(home, &variables).unwrap()),
            basic("eve:from-env")
        );
        let one = [("KAGGLE_USERNAME", "eve")];
        assert_eq!(header(&find(home, &one).unwrap()), basic("eve:from-home"));

        write(&home.join(".kaggle/access_token.txt"), "second\n");
        assert_eq!(header(&find(home, &variables).unwrap()), "Bearer second");
        write(&home.join(".kaggle/access_token"), " first \n");
        assert_eq!(header(&find(home, &variables).unwrap()), "Bearer first");
        let file = home.join("token");
        write(&file, "in-file\n");
        let variables = [("KAGGLE_API_TOKEN", file.to_str().unwrap())];
        assert_eq!(header(&find(home, &variables).unwrap()), "Bearer in-file");
        let variables = [("KAGGLE_API_TOKEN", "KGAT_value")];
        assert_eq!(
            header(&find(home, &variables).unwrap()),
            "Bearer KGAT_value"
        );
    }

    #[test]
    fn a_token_in_the_place_of_a_key_is_sent_as_a_bearer() {
        let home = tempfile::tempdir().unwrap();
        let variables = [("KAGGLE_USERNAME", "eve"), ("KAGGLE_KEY", "KGAT_abc")];
        assert_eq!(
            header(&find(home.path(), &variables).unwrap()),
            "Bearer KGAT_abc"
        );
    }

    #[test]
    fn halves_and_broken_files_are_errors_that_say_what_to_do_and_hold_no_secret() {
        let home = tempfile::tempdir().unwrap();
        let home = home.path();
        let message = |variables: &[(&str, &str)]| find(home, variables).unwrap_err().to_string();
        assert!(message(&[("KAGGLE_USERNAME", "eve")]).contains("KAGGLE_KEY"));
        assert!(message(&[("KAGGLE_KEY", "sesame")]).contains("KAGGLE_USERNAME"));
        assert!(message(&[("KAGGLE_API_TOKEN", "/not/there")]).contains("not there"));
        let path = home.join(".kaggle/kaggle.json");
        write(&path, "{\"username\": \"eve\", \"key\": sesame}");
        let text = message(&[]);
        assert!(
            text.contains("kaggle.json") && text.contains("settings") && !text.contains("sesame")
        );
        write(&path, "");
        assert!(message(&[]).contains("kaggle.json"));
        write(&home.join(".kaggle/access_token"), "\n");
        assert!(message(&[]).contains("empty"));
    }

    #[test]
    fn what_is_secret_is_in_no_debug_output_and_is_cut_out_of_texts() {
        let key = Credentials::Key {
            username: "eve".to_owned(),
            key: "sesame".to_owned().into(),
            found: "a test".to_owned(),
        };
        assert!(!format!("{key:?}").contains("sesame"));
        let encoded = BASE64.encode(b"eve:sesame");
        assert_eq!(
            key.scrub(&format!("no sesame, nor {encoded}")),
            "no [secret], nor [secret]"
        );
        assert!(!format!("{:?}", key.header().unwrap()).contains(&encoded));
    }
}
