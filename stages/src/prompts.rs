//! The prompts: one Markdown template each under `prompts/`, with its version and inputs in front matter.

use std::sync::LazyLock;

use minijinja::{Environment, UndefinedBehavior, Value};

/// A template by name.
pub struct Prompt {
    /// Its path under `prompts/`, without the ending.
    pub name: &'static str,
    /// The whole file; a change of it is a change of what rests on it.
    pub text: &'static str,
}

macro_rules! prompts {
    ($($constant:ident = $name:literal;)*) => {
        $(
            #[doc = concat!("`prompts/", $name, ".md`")]
            pub const $constant: Prompt = Prompt { name: $name, text: include_str!(concat!("../../prompts/", $name, ".md")) };
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
    EXPLORE = "queries/explore";
    SOLVE = "trajectories/solve";
    PREDICT = "trajectories/predict";
    GRADE = "judge/grade";
}

impl Prompt {
    /// The template without its front matter.
    pub fn body(&self) -> &'static str {
        self.text
            .strip_prefix("---\n")
            .and_then(|rest| rest.split_once("\n---\n"))
            .map_or(self.text, |(_, body)| body)
    }
}

static ENVIRONMENT: LazyLock<Environment<'static>> = LazyLock::new(|| {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    for prompt in ALL {
        environment
            .add_template(prompt.name, prompt.body())
            .expect("the prompts are templates: a test renders each");
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
