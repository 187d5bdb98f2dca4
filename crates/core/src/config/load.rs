//! Lays the layers over each other and, when something does not fit, says which line of which layer it was.

use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;
use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::Config;

/// The embedded defaults; every key is explained there.
pub const DEFAULT_TOML: &str = include_str!("../../../../configs/default.toml");

/// One layer of configuration, later ones lying over earlier ones.
#[derive(Clone, Debug)]
pub enum Layer {
    /// The text of a file, and its name for messages.
    File {
        /// What to call it.
        name: String,
        /// TOML.
        text: String,
    },
    /// One key, by its dotted path: `--set judge.samples=3`, or `SYNTH__JUDGE__SAMPLES=3`.
    Key {
        /// Where it comes from: `--set judge.samples=3`, say.
        origin: String,
        /// The dotted path.
        path: String,
        /// A TOML value, or bare text.
        value: String,
    },
}

impl Layer {
    /// The layer of a `--set` argument, `key=value`.
    pub fn from_argument(argument: &str) -> Result<Self, ConfigError> {
        let (path, value) = argument.split_once('=').ok_or_else(|| ConfigError {
            place: format!("--set {argument}"),
            message: "expected key=value, as in `--set judge.samples=3`".to_owned(),
        })?;
        Ok(Self::Key {
            origin: format!("--set {argument}"),
            path: path.trim().to_owned(),
            value: value.trim().to_owned(),
        })
    }

    /// The layer of an environment variable, if it is one of ours: `SYNTH__JUDGE__SAMPLES`.
    pub fn from_variable(name: &str, value: &str) -> Option<Self> {
        let path = name
            .strip_prefix("SYNTH__")?
            .to_lowercase()
            .replace("__", ".");
        Some(Self::Key {
            origin: format!("environment variable {name}"),
            path,
            value: value.to_owned(),
        })
    }
}

/// A configuration that does not fit, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct ConfigError {
    /// File and line, variable or argument.
    pub place: String,
    /// What is wrong and what was expected.
    pub message: String,
}

/// Resolves the embedded defaults with `layers` over them.
pub fn load(layers: &[Layer]) -> Result<Config, ConfigError> {
    let defaults = Layer::File {
        name: "the embedded defaults".to_owned(),
        text: DEFAULT_TOML.to_owned(),
    };
    let mut merged = Table::new();
    let mut places = Places::default();
    for layer in std::iter::once(&defaults).chain(layers) {
        let table = parse(layer, &mut places)?;
        // A file that names sources means those; a single key changes or adds to what is there.
        if matches!(layer, Layer::File { .. }) && table.contains_key("sources") {
            merged.remove("sources");
        }
        merge(&mut merged, table);
    }
    let config: Config =
        serde_path_to_error::deserialize(Value::Table(merged)).map_err(|error| {
            let path = error.path().to_string();
            explain(&places, &path, &error.into_inner().to_string())
        })?;
    check(&config, &places)?;
    Ok(config)
}

/// Which place set which dotted path last.
#[derive(Default)]
struct Places(BTreeMap<String, String>);

impl Places {
    /// The place that set `path`, or the closest one above or below it.
    fn find(&self, path: &str) -> String {
        let mut prefix = path;
        loop {
            if let Some(place) = self.0.get(prefix) {
                return place.clone();
            }
            match prefix.rsplit_once('.') {
                Some((shorter, _)) => prefix = shorter,
                None => return "configuration".to_owned(),
            }
        }
    }
}

fn parse(layer: &Layer, places: &mut Places) -> Result<Table, ConfigError> {
    match layer {
        Layer::File { name, text } => {
            let table = DeTable::parse(text).map_err(|error| ConfigError {
                place: error.span().map_or_else(
                    || name.clone(),
                    |span| format!("{name}:{}", line(text, span.start)),
                ),
                message: match error.span() {
                    Some(span) => {
                        format!("{}, at `{}`", error.message(), text_at(text, span.start))
                    }
                    None => error.message().to_owned(),
                },
            })?;
            note_lines(name, text, "", table.get_ref(), places);
            Table::deserialize(toml::de::Deserializer::from(table)).map_err(|error| ConfigError {
                place: name.clone(),
                message: error.message().to_owned(),
            })
        }
        Layer::Key {
            origin,
            path,
            value,
        } => {
            places.0.insert(path.clone(), origin.clone());
            // A value that is no TOML is meant as text: `--set run.name=tonight`.
            let value = toml::from_str::<Table>(&format!("value = {value}"))
                .ok()
                .and_then(|mut table| table.remove("value"))
                .unwrap_or_else(|| Value::String(value.clone()));
            Ok(path.rsplit('.').fold(value, |inner, key| {
                Value::Table(Table::from_iter([(key.to_owned(), inner)]))
            }))
            .and_then(|value| match value {
                Value::Table(table) => Ok(table),
                _ => Err(ConfigError {
                    place: origin.clone(),
                    message: "a key has at least one part".to_owned(),
                }),
            })
        }
    }
}

fn note_lines(name: &str, text: &str, prefix: &str, table: &DeTable<'_>, places: &mut Places) {
    for (key, value) in table {
        let path = if prefix.is_empty() {
            key.get_ref().to_string()
        } else {
            format!("{prefix}.{}", key.get_ref())
        };
        places.0.insert(
            path.clone(),
            format!("{name}:{}", line(text, key.span().start)),
        );
        note_value(name, text, &path, value, places);
    }
}

fn note_value(
    name: &str,
    text: &str,
    path: &str,
    value: &Spanned<DeValue<'_>>,
    places: &mut Places,
) {
    if let DeValue::Table(inner) = value.get_ref() {
        note_lines(name, text, path, inner, places);
    }
}

/// The line that a place stands in.
fn text_at(text: &str, offset: usize) -> &str {
    text.lines()
        .nth(line(text, offset) - 1)
        .unwrap_or_default()
        .trim()
}

fn line(text: &str, offset: usize) -> usize {
    text[..offset.min(text.len())]
        .bytes()
        .filter(|byte| *byte == b'\n')
        .count()
        + 1
}

fn merge(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => merge(under, over),
            (_, value) => {
                under.insert(key, value);
            }
        }
    }
}

/// Serde names an unknown key first and then those it knows, each in backticks; the nearest of them is worth a hint.
fn explain(places: &Places, path: &str, message: &str) -> ConfigError {
    let mut named = message.split('`').skip(1).step_by(2);
    let hint = named
        .next()
        .filter(|_| message.starts_with("unknown"))
        .and_then(|unknown| {
            let nearest = named
                .map(|known| (strsim::jaro_winkler(unknown, known), known))
                .max_by(|a, b| a.0.total_cmp(&b.0))?;
            (nearest.0 > 0.75).then(|| format!("; did you mean `{}`?", nearest.1))
        })
        .unwrap_or_default();
    let message = message.trim_end().replace('\n', " ");
    ConfigError {
        place: places.find(path),
        message: format!("`{path}`: {message}{hint}"),
    }
}

/// What types cannot say.
fn check(config: &Config, places: &Places) -> Result<(), ConfigError> {
    let fail = |path: &str, message: String| {
        Err(ConfigError {
            place: places.find(path),
            message: format!("`{path}`: {message}"),
        })
    };
    let shares = [
        ("run.max_failed", config.run.max_failed),
        ("prepare.eval_share", config.prepare.eval_share),
        ("prepare.test_share", config.prepare.test_share),
        ("select.max_similarity", config.select.max_similarity),
        (
            "filter.datasets.min_usability",
            config.filter.datasets.min_usability,
        ),
    ];
    for (path, share) in shares {
        if !(0.0..=1.0).contains(&share) {
            return fail(path, format!("{share} is not a share between 0 and 1"));
        }
    }
    for (path, limit) in [("budget.usd", config.budget.usd)] {
        if limit.is_nan() || limit < 0.0 {
            return fail(path, format!("{limit} is no limit; 0 means none"));
        }
    }
    let day = &config.filter.competitions.closed_after;
    if !day.is_empty() && !is_day(day) {
        return fail(
            "filter.competitions.closed_after",
            format!("`{day}` is no day such as 2017-01-01"),
        );
    }
    for (name, model) in &config.models {
        let is_name = |text: &str| {
            text.bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
                && !text.starts_with(|first: char| first.is_ascii_digit())
        };
        // What stands there instead of a name may be the key itself, so it is not repeated.
        if !is_name(&model.api_key_env) {
            let problem = "expected the name of an environment variable, not the key itself";
            return fail(&format!("models.{name}.api_key_env"), problem.to_owned());
        }
    }
    if config
        .models
        .get(&config.roles.embedder)
        .is_some_and(|model| model.provider == super::Provider::Builtin)
    {
        let problem = "the builtin teacher embeds nothing; leave it empty for lexical similarity";
        return fail("roles.embedder", problem.to_owned());
    }
    let at_least_one = [
        ("queries.per_task", config.queries.per_task),
        ("trajectories.attempts", config.trajectories.attempts),
        ("judge.samples", config.judge.samples),
        ("prepare.limits.turns", config.prepare.limits.turns),
    ];
    for (path, number) in at_least_one {
        if number == 0 {
            return fail(path, "must be at least 1".to_owned());
        }
    }
    if config.run.name.is_empty()
        || config.run.name.contains(['/', '\\'])
        || config.run.name.starts_with('.')
    {
        return fail(
            "run.name",
            format!("`{}` cannot be the name of a folder", config.run.name),
        );
    }
    for (role, model) in config.roles.by_name() {
        let optional = role == "embedder" && model.is_empty();
        if !optional && !config.models.contains_key(model) {
            let known: Vec<&str> = config.models.keys().map(String::as_str).collect();
            return fail(
                &format!("roles.{role}"),
                format!("there is no model `{model}`; known: {}", known.join(", ")),
            );
        }
    }
    Ok(())
}

/// Whether a text is a day in ISO 8601, by its form: what days a month has does not matter to an order of texts.
fn is_day(text: &str) -> bool {
    text.len() == 10
        && text.bytes().enumerate().all(|(place, byte)| match place {
            4 | 7 => byte == b'-',
            _ => byte.is_ascii_digit(),
        })
}

impl super::RolesConfig {
    /// The roles with the model that each names.
    pub fn by_name(&self) -> [(&'static str, &str); 5] {
        [
            ("explorer", &self.explorer),
            ("solver", &self.solver),
            ("judge", &self.judge),
            ("designer", &self.designer),
            ("embedder", &self.embedder),
        ]
    }
}

impl Config {
    /// The same without anything that could be a secret: to be written down and shown.
    #[must_use]
    pub fn without_secrets(&self) -> Self {
        let mut shown = self.clone();
        for model in shown.models.values_mut() {
            for value in model
                .headers
                .values_mut()
                .filter(|value| !value.starts_with("env:"))
            {
                "(not written down)".clone_into(value);
            }
            model.base_url = without_password(&model.base_url);
        }
        shown
    }
}

/// An address without user, password and query.
fn without_password(url: &str) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
    let rest = rest.split('?').next().unwrap_or(rest);
    let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let host = authority.rsplit('@').next().unwrap_or(authority);
    if scheme.is_empty() {
        format!("{host}{path}")
    } else {
        format!("{scheme}://{host}{path}")
    }
}

impl fmt::Display for super::Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Builtin => "builtin",
            Self::Openai => "openai",
            Self::Replay => "replay",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(text: &str) -> Layer {
        Layer::File {
            name: "mine.toml".to_owned(),
            text: text.to_owned(),
        }
    }

    fn error(text: &str) -> String {
        load(&[file(text)]).unwrap_err().to_string()
    }

    #[test]
    fn the_defaults_resolve() {
        let config = load(&[]).unwrap();
        assert_eq!(config.run.name, "default");
        assert_eq!(
            config.models["teacher"].provider,
            super::super::Provider::Builtin
        );
    }

    #[test]
    fn later_layers_win() {
        let layers = [
            file("[judge]\nsamples = 2\nretries = 5"),
            Layer::from_variable("SYNTH__JUDGE__SAMPLES", "3").unwrap(),
            Layer::from_argument("judge.samples=4").unwrap(),
        ];
        let config = load(&layers).unwrap();
        assert_eq!((config.judge.samples, config.judge.retries), (4, 5));
    }

    #[test]
    fn bare_text_is_text() {
        assert_eq!(
            load(&[Layer::from_argument("run.name=tonight").unwrap()])
                .unwrap()
                .run
                .name,
            "tonight"
        );
    }

    #[test]
    fn sources_of_ones_own_replace_the_bundled_ones() {
        let config = load(&[file("[sources.mine]\nkind = \"folder\"\npath = \"data\"")]).unwrap();
        assert_eq!(config.sources.keys().collect::<Vec<_>>(), ["mine"]);
    }

    #[test]
    fn an_unknown_key_is_an_error_with_its_line_and_the_nearest_known_key() {
        let message = error("[run]\nseed = 1\n\n[judge]\nsampels = 3\n");
        assert!(
            message.starts_with("mine.toml:5: `judge.sampels`"),
            "{message}"
        );
        assert!(message.ends_with("did you mean `samples`?"), "{message}");
    }

    #[test]
    fn an_ill_typed_key_is_an_error_with_its_line() {
        let message = error("[judge]\nsamples = \"three\"\n");
        assert!(
            message.starts_with("mine.toml:2: `judge.samples`: invalid type"),
            "{message}"
        );
    }

    #[test]
    fn an_ill_typed_argument_names_the_argument() {
        let message = load(&[Layer::from_argument("judge.samples=many").unwrap()])
            .unwrap_err()
            .to_string();
        assert!(
            message.starts_with("--set judge.samples=many: `judge.samples`"),
            "{message}"
        );
    }

    #[test]
    fn broken_toml_names_the_line() {
        assert!(
            error("[run]\nname = \n").starts_with("mine.toml:2: "),
            "{}",
            error("[run]\nname = \n")
        );
    }

    #[test]
    fn a_role_must_name_a_model() {
        let message = error("[roles]\njudge = \"nobody\"\n");
        assert_eq!(
            message,
            "mine.toml:2: `roles.judge`: there is no model `nobody`; known: teacher"
        );
    }

    #[test]
    fn what_could_be_a_secret_is_not_written_down() {
        let config = load(&[file(
            "[models.m]\nprovider = \"openai\"\nmodel = \"m\"\nbase_url = \"https://me:pw@host:1/v1?key=s3\"\n\
             headers = { A = \"s3cret\", B = \"env:NAME\" }\n",
        )])
        .unwrap()
        .without_secrets();
        let model = &config.models["m"];
        assert_eq!(model.base_url, "https://host:1/v1");
        assert_eq!(model.headers["A"], "(not written down)");
        assert_eq!(model.headers["B"], "env:NAME");
    }

    #[test]
    fn a_key_in_the_place_of_its_name_is_refused_and_not_repeated() {
        let message = error("[models.teacher]\napi_key_env = \"sk-secret\"\n");
        assert!(
            message.contains("`models.teacher.api_key_env`"),
            "{message}"
        );
        assert!(!message.contains("sk-secret"), "{message}");
    }

    #[test]
    fn the_teacher_embeds_nothing() {
        assert!(error("[roles]\nembedder = \"teacher\"\n").contains("leave it empty"));
    }

    #[test]
    fn a_budget_is_not_negative() {
        assert!(error("[budget]\nusd = -5.0\n").contains("`budget.usd`: -5 is no limit"));
    }

    #[test]
    fn a_share_is_between_zero_and_one() {
        assert!(
            error("[prepare]\neval_share = 20\n")
                .contains("`prepare.eval_share`: 20 is not a share")
        );
    }
}
