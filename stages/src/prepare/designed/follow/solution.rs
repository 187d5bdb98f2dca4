//! A recipe as code: the reference solution, and with a shortcut one that disobeys.

use std::fmt::Write;

use super::super::recipe::{Format, Problem, Range, Recipe, Within};
use super::python::{number, text, texts};
use super::wording::parameters;

/// What a solution does otherwise than every recipe wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shortcut {
    /// Nothing.
    None,
    /// Numeric features are not scaled.
    NoScaler,
    /// Gaps in numeric features are filled with 0.
    ZeroFill,
}

/// The program. It reads under `data/`, writes the submission, and prints nothing.
pub(super) fn solution(recipe: &Recipe, shortcut: Shortcut) -> String {
    let mut code = imports(recipe, shortcut);
    let mut line = |text: &str| {
        code.push_str(text);
        code.push('\n');
    };
    let names = |numeric: bool| {
        let of = recipe
            .features
            .iter()
            .filter(|feature| feature.is_numeric == numeric);
        texts(of.map(|feature| feature.column.as_str()))
    };
    let (numeric, categorical) = (names(true), names(false));
    line(&format!(
        "TARGETS = {}",
        texts(recipe.targets.iter().map(String::as_str))
    ));
    line(&format!(
        "FEATURES = {}",
        texts(
            recipe
                .features
                .iter()
                .map(|feature| feature.column.as_str())
        )
    ));
    line(&format!("NUMERIC = {numeric}"));
    line(&format!("CATEGORICAL = {categorical}"));

    line("\n# Load.");
    line(&load(recipe));

    line("# Leave out rows with a known value outside of its range, and rows without a target.");
    line("sound = pd.Series(True, index=train.index)");
    for range in &recipe.ranges {
        line(&filter(range));
    }
    line("train = train[sound]");
    line("train = train.dropna(subset=TARGETS)");

    line("\n# Numeric features first, categorical ones behind them.");
    let mut blocks = Vec::new();
    if recipe.features.iter().any(|feature| feature.is_numeric) {
        let scale = match shortcut {
            Shortcut::NoScaler => String::new(),
            _ => format!(", (\"scale\", {}())", recipe.scaler.class()),
        };
        let fill = fill(recipe, shortcut);
        line(&format!("numeric = Pipeline([(\"fill\", {fill}){scale}])"));
        blocks.push("(\"numeric\", numeric, NUMERIC)");
    }
    if recipe.features.iter().any(|feature| !feature.is_numeric) {
        line("encoder = OneHotEncoder(handle_unknown=\"ignore\", sparse_output=False)");
        line("fill = SimpleImputer(strategy=\"most_frequent\")");
        line("categorical = Pipeline([(\"fill\", fill), (\"encode\", encoder)])");
        blocks.push("(\"categorical\", categorical, CATEGORICAL)");
    }
    line(&format!(
        "prepare = ColumnTransformer([{}])",
        blocks.join(", ")
    ));
    line("known = prepare.fit_transform(train[FEATURES])");
    line("unknown = prepare.transform(test[FEATURES])");

    line("\n# Fit, predict, write.");
    let model = format!(
        "{}({})",
        recipe.model.class().1,
        parameters(recipe).join(", ")
    );
    let id = text(&recipe.id_column);
    line(&format!("predictions = test[[{id}]].copy()"));
    if recipe.problem == Problem::Regression && recipe.targets.len() > 1 {
        line(&format!("model = {model}"));
        line("model.fit(known, train[TARGETS])");
        line("predictions[TARGETS] = model.predict(unknown)");
    } else {
        line("for target in TARGETS:");
        line(&format!("    model = {model}"));
        line("    model.fit(known, train[target])");
        line("    predictions[target] = model.predict(unknown)");
    }
    line(&format!(
        "predictions.to_csv({}, index=False)",
        text(&recipe.submission)
    ));
    code
}

fn imports(recipe: &Recipe, shortcut: Shortcut) -> String {
    let has = |numeric: bool| {
        recipe
            .features
            .iter()
            .any(|feature| feature.is_numeric == numeric)
    };
    let (module, class) = recipe.model.class();
    let mut from_sklearn = vec![
        ("sklearn.compose", "ColumnTransformer"),
        ("sklearn.impute", "SimpleImputer"),
        ("sklearn.pipeline", "Pipeline"),
        (module, class),
    ];
    if has(false) {
        from_sklearn.push(("sklearn.preprocessing", "OneHotEncoder"));
    }
    if has(true) && shortcut != Shortcut::NoScaler {
        from_sklearn.push(("sklearn.preprocessing", recipe.scaler.class()));
    }
    from_sklearn.sort_unstable();
    let mut code = String::new();
    if recipe.format == Format::Sqlite {
        code.push_str("import sqlite3\n\n");
    }
    code.push_str("import pandas as pd\n");
    for (module, class) in from_sklearn {
        // Writing to memory does not fail.
        let _ = writeln!(code, "from {module} import {class}");
    }
    code.push('\n');
    code
}

fn load(recipe: &Recipe) -> String {
    let path = |file: &str| text(&format!("data/{file}"));
    let (train, test) = (path(&recipe.train_file), path(&recipe.test_file));
    match recipe.format {
        Format::Csv => {
            let read = |path: &str| {
                format!("pd.read_csv({path}, keep_default_na=False, na_values=[\"\"])")
            };
            format!("train = {}\ntest = {}\n", read(&train), read(&test))
        }
        Format::Parquet => {
            format!("train = pd.read_parquet({train})\ntest = pd.read_parquet({test})\n")
        }
        Format::Sqlite => {
            let read = |table: &str, database: &str| {
                let query = format!("SELECT * FROM \"{}\"", table.replace('"', "\"\""));
                format!("pd.read_sql({}, {database})", text(&query))
            };
            let mut code = format!("database = sqlite3.connect({train})\n");
            for (place, table) in recipe.train_tables.iter().enumerate() {
                let rows = read(table, "database");
                let _ = if place == 0 {
                    writeln!(code, "train = {rows}")
                } else {
                    let id = text(&recipe.id_column);
                    writeln!(code, "train = train.merge({rows}, on={id})")
                };
            }
            code.push_str("database.close()\n");
            let _ = write!(
                code,
                "database = sqlite3.connect({test})\ntest = {}\ndatabase.close()\n",
                read(&recipe.test_table, "database")
            );
            code
        }
    }
}

fn filter(range: &Range) -> String {
    let column = format!("train[{}]", text(&range.column));
    let holds = match &range.within {
        Within::Between(low, high) => {
            format!("{column}.between({}, {})", number(*low), number(*high))
        }
        Within::OneOf(values) => {
            format!(
                "{column}.isin({})",
                texts(values.iter().map(String::as_str))
            )
        }
    };
    format!("sound &= {column}.isna() | {holds}")
}

fn fill(recipe: &Recipe, shortcut: Shortcut) -> String {
    if shortcut == Shortcut::ZeroFill {
        "SimpleImputer(strategy=\"constant\", fill_value=0)".to_owned()
    } else {
        format!("SimpleImputer(strategy=\"{}\")", recipe.imputer.strategy())
    }
}
