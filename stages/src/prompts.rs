//! The prompts: one Markdown template each under `prompts/`, with its version and inputs in front matter.
//!
//! They are embedded. A folder of one's own can lie over them, once and before anything is rendered: see [`lay_over`].

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{LazyLock, OnceLock};

use minijinja::{Environment, UndefinedBehavior, Value};
use walkdir::WalkDir;

/// A template by name.
pub struct Prompt {
    /// Its path under `prompts/`, without the ending.
    pub name: &'static str,
    /// The embedded file.
    embedded: &'static str,
}

macro_rules! prompts {
    ($($constant:ident = $name:literal;)*) => {
        $(
            #[doc = concat!("`prompts/", $name, ".md`")]
            pub const $constant: Prompt = Prompt { name: $name, embedded: include_str!(concat!("../../prompts/", $name, ".md")) };
        )*
        /// All of them.
        pub const ALL: &[Prompt] = &[$($constant),*];
    };
}

prompts! {
    AGENT_TAGS = "agent/tags";
    AGENT_TOOLS = "agent/tools";
    AGENT_REMINDER = "agent/reminder";
    TABLES = "tables";
    DESIGN_TABLE = "prepare/design_table";
    DESIGN_SERIES = "prepare/design_series";
    DESIGN_AGAIN = "prepare/design_again";
    INSTRUCTIONS_STEPS = "prepare/instructions_steps";
    INSTRUCTIONS_PROSE = "prepare/instructions_prose";
    INSTRUCTIONS_BRIEF = "prepare/instructions_brief";
    EXPLORE = "queries/explore";
    SOLVE = "trajectories/solve";
    PREDICT = "trajectories/predict";
    EQUIVALENT = "trajectories/equivalent";
    COMPETE = "trajectories/compete";
    GRADE = "judge/grade";
    VALID = "filter/valid";
}

/// The files that lie over embedded ones, by name. One set for the process, like the embedded ones that they stand for.
static OVER: OnceLock<BTreeMap<&'static str, String>> = OnceLock::new();

/// Lays the templates in `folder` over the embedded ones of the same path. A file that stands for none, is no template, or
/// asks for an input that there is not, is refused with a sentence for a person. Only the first call of a process counts.
pub fn lay_over(folder: &Path) -> Result<(), String> {
    let mut over = BTreeMap::new();
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let entry = entry
            .map_err(|error| format!("cannot read the prompts `{}`: {error}", folder.display()))?;
        let path = entry.path();
        if !entry.file_type().is_file() || path.extension().is_none_or(|ending| ending != "md") {
            continue;
        }
        let relative = path.strip_prefix(folder).unwrap_or(path).with_extension("");
        let Some(prompt) = ALL.iter().find(|prompt| Path::new(prompt.name) == relative) else {
            let names: Vec<_> = ALL
                .iter()
                .map(|prompt| format!("{}.md", prompt.name))
                .collect();
            return Err(format!(
                "`{}` stands for no prompt; there are {}",
                path.display(),
                names.join(", ")
            ));
        };
        let text = fs::read_to_string(path)
            .map_err(|error| format!("cannot read the prompt `{}`: {error}", path.display()))?;
        check(prompt, &text).map_err(|problem| format!("`{}`: {problem}", path.display()))?;
        over.insert(prompt.name, text);
    }
    try_out(&over)?;
    OVER.get_or_init(|| over);
    Ok(())
}

/// Renders each with nothing in it, which finds filters, tests and includes that there are not.
fn try_out(over: &BTreeMap<&'static str, String>) -> Result<(), String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    for prompt in ALL {
        let text = over
            .get(prompt.name)
            .map_or(prompt.embedded, String::as_str);
        let problem = |error: minijinja::Error| {
            format!("the prompt `{}` does not render: {error:#}", prompt.name)
        };
        environment
            .add_template(prompt.name, body(text))
            .map_err(problem)?;
    }
    for prompt in ALL {
        let template = environment
            .get_template(prompt.name)
            .map_err(|error| error.to_string())?;
        template
            .render(minijinja::context! {})
            .map_err(|error| format!("the prompt `{}` does not render: {error:#}", prompt.name))?;
    }
    Ok(())
}

/// A template may leave inputs out, but has no others than the embedded one.
fn check(prompt: &Prompt, text: &str) -> Result<(), String> {
    let environment = Environment::new();
    let inputs = |text| {
        environment
            .template_from_str(body(text))
            .map(|template| template.undeclared_variables(true))
            .map_err(|error| format!("it is no template: {error:#}"))
    };
    let known = inputs(prompt.embedded)?;
    let unknown = inputs(text)?.difference(&known).min().cloned();
    match unknown {
        None => Ok(()),
        Some(unknown) => {
            let mut known: Vec<_> = known.into_iter().collect();
            known.sort();
            Err(format!(
                "there is no input `{unknown}`; there are {}",
                known.join(", ")
            ))
        }
    }
}

impl Prompt {
    /// The whole file; a change of it is a change of what rests on it.
    pub fn text(&self) -> &'static str {
        OVER.get()
            .and_then(|over| over.get(self.name))
            .map_or(self.embedded, String::as_str)
    }

    /// The template without its front matter.
    pub fn body(&self) -> &'static str {
        body(self.text())
    }
}

fn body(text: &str) -> &str {
    text.strip_prefix("---\n")
        .and_then(|rest| rest.split_once("\n---\n"))
        .map_or(text, |(_, body)| body)
}

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    for prompt in ALL {
        environment.add_template(prompt.name, prompt.body()).expect(
            "the prompts are templates: a test renders each, and those laid over were checked",
        );
    }
    environment
});

/// Renders a template. Panics when an input is missing, which a test of every template rules out.
pub fn render(prompt: &Prompt, inputs: Value) -> String {
    let template = ENVIRONMENT
        .get_template(prompt.name)
        .expect("every prompt is in the environment");
    let text = template
        .render(inputs)
        .unwrap_or_else(|error| panic!("the prompt `{}` does not render: {error:#}", prompt.name));
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_renders_with_nothing_in_it() {
        assert_eq!(try_out(&BTreeMap::new()), Ok(()));
    }

    #[test]
    fn a_template_of_ones_own_has_no_other_inputs() {
        assert_eq!(check(&GRADE, GRADE.embedded), Ok(()));
        assert_eq!(check(&GRADE, "Judge: {{ question }} {{ answer }}"), Ok(()));
        let unknown = check(&GRADE, "Judge: {{ querstion }}").unwrap_err();
        assert!(
            unknown.contains("`querstion`") && unknown.contains("question"),
            "{unknown}"
        );
        assert!(
            check(&GRADE, "{% if %}")
                .unwrap_err()
                .contains("no template")
        );
    }

    #[test]
    fn a_file_that_stands_for_no_prompt_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("judge")).unwrap();
        fs::write(folder.path().join("judge/grad.md"), "Judge.").unwrap();
        let problem = lay_over(folder.path()).unwrap_err();
        assert!(problem.contains("judge/grade.md"), "{problem}");
        assert!(lay_over(&folder.path().join("none")).is_err());
    }
}
