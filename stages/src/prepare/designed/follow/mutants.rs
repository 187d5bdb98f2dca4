//! Solutions that disobey one instruction each. How many of them the verifier refuses tells how closely it watches.

use serde::{Deserialize, Serialize};

use super::super::recipe::{Imputer, Recipe};
use super::python::{literal, text};
use super::solution::{Shortcut, solution};

/// A solution that does one thing otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Disobedient {
    /// What it does otherwise, with the column where there is one: `skip_filter: age`.
    pub name: String,
    /// The file that it writes.
    pub file: String,
    /// Its code.
    pub code: String,
    /// Whether it does otherwise only where numeric features have gaps.
    pub needs_gaps: bool,
}

/// All that can disobey a recipe: one for each instruction that the recipe has.
pub(super) fn disobedient(recipe: &Recipe) -> Vec<Disobedient> {
    let mut all = Vec::new();
    let mut add = |name: String, changed: &Recipe, shortcut: Shortcut, needs_gaps: bool| {
        let file = format!("disobedient-{}.csv", all.len());
        let recipe = Recipe {
            submission: file.clone(),
            ..changed.clone()
        };
        all.push(Disobedient {
            name,
            file,
            code: solution(&recipe, shortcut),
            needs_gaps,
        });
    };
    let has_numeric = recipe.features.iter().any(|feature| feature.is_numeric);
    if has_numeric {
        add("skip_scaler".into(), recipe, Shortcut::NoScaler, false);
    }
    for (place, range) in recipe.ranges.iter().enumerate() {
        let mut changed = recipe.clone();
        changed.ranges.remove(place);
        add(
            format!("skip_filter: {}", range.column),
            &changed,
            Shortcut::None,
            false,
        );
    }
    if recipe.features.len() > 1 {
        let mut changed = recipe.clone();
        if let Some(feature) = changed.features.pop() {
            let name = format!("drop_feature: {}", feature.column);
            add(name, &changed, Shortcut::None, false);
        }
    }
    if recipe.model.takes_seed() {
        let changed = Recipe {
            random_state: recipe.random_state.wrapping_add(1) % (1 << 31),
            ..recipe.clone()
        };
        add("other_seed".into(), &changed, Shortcut::None, false);
    }
    if has_numeric {
        let imputer = match recipe.imputer {
            Imputer::Mean => Imputer::Median,
            Imputer::Median | Imputer::MostFrequent => Imputer::Mean,
        };
        let changed = Recipe {
            imputer,
            ..recipe.clone()
        };
        add("other_imputer".into(), &changed, Shortcut::None, true);
        add("impute_zero".into(), recipe, Shortcut::ZeroFill, true);
    }
    if recipe.features.len() > 1 {
        let mut changed = recipe.clone();
        changed.features.reverse();
        add("features_reversed".into(), &changed, Shortcut::None, false);
    }
    all
}

/// How running one ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Ending {
    /// It wrote its file.
    Ran,
    /// What it does otherwise makes no difference in this data.
    Same,
    /// It raised.
    Failed(String),
}

/// The file that [`driver`] writes: an [`Ending`] by place.
pub(super) const ENDINGS: &str = "disobedient.json";

/// One program that runs the reference and then all of them, each with variables of its own, and notes after each how it went:
/// when time runs out, what was done is there.
pub(super) fn driver(reference: &str, all: &[Disobedient]) -> String {
    let programs: Vec<_> = all
        .iter()
        .map(|solution| serde_json::json!([solution.code, solution.needs_gaps]))
        .collect();
    format!(
        r#"import json, warnings
warnings.simplefilter("ignore")
facts = {{}}
exec({reference}, facts)
gaps = any(facts[table][facts["NUMERIC"]].isna().any(axis=None) for table in ["train", "test"])
facts.clear()
endings = []
for code, needs_gaps in {programs}:
    if needs_gaps and not gaps:
        endings.append("same")
    else:
        try:
            exec(code, {{}})
            endings.append("ran")
        except Exception as error:
            endings.append({{"failed": f"{{type(error).__name__}}: {{error}}"[:300]}})
    with open("{ENDINGS}", "w") as file:
        json.dump(endings, file)
"#,
        reference = text(reference),
        programs = literal(&programs.into()),
    )
}
