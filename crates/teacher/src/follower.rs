//! The follower: does what instructions say, in code of several styles; its mistakes are steps that it leaves out or changes.

use std::collections::BTreeMap;

use crate::TeacherConfig;
use crate::complete::Move;
use crate::conversation::Conversation;
use crate::dice::Dice;
use crate::prompt;
use crate::python::literal;
use crate::reading;
use crate::solver::{Script, play};
use crate::tabular;
use crate::workflow::{Named, Within, Workflow};

const LOOK: &str = include_str!("../python/follow_look.py");

/// A way to disobey.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Slip {
    Filter(usize),
    AllFilters,
    Scaler,
    Seed,
    Feature,
    Order,
    Zero,
}

/// The next move of an attempt at a prescribed workflow.
pub fn follow(config: &TeacherConfig, conversation: &Conversation, workflow: &Workflow) -> Move {
    let mut dice = Dice::new(&["follower", &conversation.task, &conversation.seed]);
    let (trips, wrong) = (
        dice.chance(config.error_rate),
        dice.chance(config.wrong_rate),
    );
    let slip = wrong.then(|| slip(workflow, &mut dice)).flatten();
    let style = dice.below(3);
    let resolved = meanings(conversation);
    let columns = Columns { resolved };
    let look = (
        format!(
            "{} the files and look up which columns the instructions mean; then I go through them step by step.",
            dice.phrase(&["I load", "First I load", "To begin with I read"])
        ),
        look(conversation, workflow),
    );
    let filter = (
        dice.phrase(&[
            "Every column is known by its name now. I leave out the training rows that the instructions exclude, and count what is left after each condition.",
            "The names are clear. Next the filters, in the order in which they stand; gaps break none of them.",
        ])
        .to_owned(),
        filters(workflow, &columns, slip),
    );
    let model = (
        format!(
            "Numeric block first, categorical block behind it, all fitted on the filtered training rows; then `{}` with just the parameters that are named.",
            workflow.model
        ),
        modelling(workflow, &columns, slip, style),
    );
    let write = (
        format!(
            "The model is fitted. I predict, write `{}` with the columns that are asked for, and read it back.",
            workflow.submission
        ),
        writing(workflow),
    );
    let trip = trips.then(|| trip(workflow, &columns, &filter.1, &model.1, &mut dice));
    let again = format!(
        "{}\n{}\n{}\n{}",
        look.1,
        filters(workflow, &columns, None),
        modelling(workflow, &columns, None, 0),
        write.1
    );
    let script = Script {
        cells: vec![look, filter, model, write],
        trip,
        fallback: Some(again),
    };
    let mut words = Dice::new(&[
        "follower's words",
        &conversation.task,
        &conversation.seed,
        &conversation.steps.len().to_string(),
    ]);
    play(&script, conversation, &mut words, |outputs, words| {
        tabular::finish(&workflow.submission, outputs, words)
    })
}

/// The columns by what they mean, as far as a cell has printed it.
struct Columns {
    resolved: BTreeMap<String, String>,
}

impl Columns {
    fn name<'a>(&'a self, column: &'a Named) -> &'a str {
        match column {
            Named::Name(name) => name,
            Named::Meaning(meaning) => self.resolved.get(meaning).map_or(meaning, String::as_str),
        }
    }

    fn list(&self, columns: &[Named]) -> String {
        let names: Vec<String> = columns
            .iter()
            .map(|column| literal(self.name(column)))
            .collect();
        format!("[{}]", names.join(", "))
    }
}

fn meanings(conversation: &Conversation) -> BTreeMap<String, String> {
    conversation
        .steps
        .iter()
        .flat_map(|step| step.output.lines())
        .filter_map(|line| line.trim().strip_prefix("COLUMNS "))
        .find_map(|json| serde_json::from_str(json).ok())
        .unwrap_or_default()
}

fn slip(workflow: &Workflow, dice: &mut Dice) -> Option<Slip> {
    let mut slips = Vec::new();
    if !workflow.ranges.is_empty() {
        slips.push(Slip::AllFilters);
        slips.push(Slip::Filter(dice.below(workflow.ranges.len())));
    }
    if !workflow.numeric.is_empty() {
        slips.extend([Slip::Scaler, Slip::Zero]);
    }
    if seed_of(workflow).is_some() {
        slips.push(Slip::Seed);
    }
    if workflow.features.len() > 1 {
        slips.extend([Slip::Feature, Slip::Order]);
    }
    dice.pick(&slips).copied()
}

fn seed_of(workflow: &Workflow) -> Option<&String> {
    workflow
        .parameters
        .iter()
        .find(|parameter| parameter.starts_with("random_state="))
}

fn look(conversation: &Conversation, workflow: &Workflow) -> String {
    let tables = prompt::tables(&conversation.task);
    let all = workflow
        .ranges
        .iter()
        .map(|(column, _)| column)
        .chain(&workflow.features);
    let mut wanted: Vec<String> = Vec::new();
    for column in all {
        if let Named::Meaning(meaning) = column
            && !wanted.contains(meaning)
        {
            wanted.push(meaning.clone());
        }
    }
    let load = |name: &str, rows: &reading::Rows| {
        let code = rows.load(name, &tables, &[], None);
        if rows.is_text() {
            // Only empty cells are gaps: the word NA is a value like others.
            let call = code.trim_end().trim_end_matches(')');
            format!("{call}, keep_default_na=False, na_values=[\"\"])\n")
        } else {
            code
        }
    };
    let wanted: Vec<String> = wanted.iter().map(|meaning| literal(meaning)).collect();
    let list: Vec<String> = workflow
        .targets
        .iter()
        .map(|target| literal(target))
        .collect();
    format!(
        "{}\n{}{}{}",
        reading::imports(&[&workflow.train, &workflow.test]),
        load("train", &workflow.train),
        load("test", &workflow.test),
        LOOK.replace("__TARGETS__", &format!("[{}]", list.join(", ")))
            .replace("__WANTED__", &format!("[{}]", wanted.join(", ")))
            .replace(
                "__METADATA__",
                &literal(&format!("data/{}", workflow.metadata))
            )
    )
}

fn filters(workflow: &Workflow, columns: &Columns, slip: Option<Slip>) -> String {
    let mut code = "sound = pd.Series(True, index=train.index)\n".to_owned();
    for (place, (column, within)) in workflow.ranges.iter().enumerate() {
        if slip == Some(Slip::AllFilters) || slip == Some(Slip::Filter(place)) {
            continue;
        }
        let column = format!("train[{}]", literal(columns.name(column)));
        let holds = match within {
            Within::Between(low, high) => format!("{column}.between({low}, {high})"),
            Within::OneOf(values) => {
                let values: Vec<String> = values.iter().map(|value| literal(value)).collect();
                format!("{column}.isin([{}])", values.join(", "))
            }
        };
        code.push_str(&format!(
            "sound &= {column}.isna() | {holds}\nprint(\"rows left:\", int(sound.sum()))\n"
        ));
    }
    code.push_str(
        "train = train[sound].dropna(subset=targets)\nprint(\"training rows:\", train.shape)",
    );
    code
}

fn modelling(workflow: &Workflow, columns: &Columns, slip: Option<Slip>, style: usize) -> String {
    let (mut numeric, mut categorical) = (workflow.numeric.clone(), workflow.categorical.clone());
    match slip {
        Some(Slip::Feature) => {
            if numeric.len() > 1 || categorical.is_empty() {
                numeric.pop();
            } else {
                categorical.pop();
            }
        }
        Some(Slip::Order) => {
            numeric.reverse();
            categorical.reverse();
        }
        _ => {}
    }
    let parameters: Vec<String> = workflow
        .parameters
        .iter()
        .map(|parameter| match parameter.split_once('=') {
            Some(("random_state", _)) if slip == Some(Slip::Seed) => "random_state=0".to_owned(),
            _ => parameter.clone(),
        })
        .collect();
    let model = format!("{}({})", workflow.model, parameters.join(", "));
    let imputer = if slip == Some(Slip::Zero) {
        "SimpleImputer(strategy=\"constant\", fill_value=0)".to_owned()
    } else {
        format!("SimpleImputer(strategy={})", literal(&workflow.imputer))
    };
    let scales = slip != Some(Slip::Scaler);
    let mut imports = vec![
        "from sklearn.impute import SimpleImputer".to_owned(),
        format!("from {} import {}", workflow.module, workflow.model),
    ];
    let mut preprocessing = Vec::new();
    if !categorical.is_empty() {
        preprocessing.push("OneHotEncoder".to_owned());
    }
    if scales && !numeric.is_empty() {
        preprocessing.push(workflow.scaler.clone());
    }
    if !preprocessing.is_empty() {
        imports.push(format!(
            "from sklearn.preprocessing import {}",
            preprocessing.join(", ")
        ));
    }
    let (has_numeric, has_categorical) = (!numeric.is_empty(), !categorical.is_empty());
    let mut code = format!(
        "numeric = {}\ncategorical = {}\n",
        columns.list(&numeric),
        columns.list(&categorical)
    );
    let scaling = format!("{}()", workflow.scaler);
    let encoder = "OneHotEncoder(handle_unknown=\"ignore\", sparse_output=False)";
    if style == 1 {
        // Each step by hand.
        code.push_str("blocks, new_blocks = [], []\n");
        if has_numeric {
            code.push_str(&format!("imputer = {imputer}\nblock, new_block = imputer.fit_transform(train[numeric]), imputer.transform(test[numeric])\n"));
            if scales {
                code.push_str(&format!("scaler = {scaling}\nblock, new_block = scaler.fit_transform(block), scaler.transform(new_block)\n"));
            }
            code.push_str("blocks.append(block)\nnew_blocks.append(new_block)\n");
        }
        if has_categorical {
            code.push_str(&format!("imputer = SimpleImputer(strategy=\"most_frequent\")\nblock, new_block = imputer.fit_transform(train[categorical]), imputer.transform(test[categorical])\nencoder = {encoder}\nblocks.append(encoder.fit_transform(block))\nnew_blocks.append(encoder.transform(new_block))\n"));
        }
        code.push_str("X, X_new = np.hstack(blocks), np.hstack(new_blocks)\n");
    } else {
        imports.push("from sklearn.compose import ColumnTransformer".to_owned());
        imports.push("from sklearn.pipeline import make_pipeline".to_owned());
        let mut parts = Vec::new();
        if has_numeric {
            let steps = if scales {
                format!("make_pipeline({imputer}, {scaling})")
            } else {
                imputer
            };
            parts.push(format!("    (\"numeric\", {steps}, numeric),\n"));
        }
        if has_categorical {
            parts.push(format!("    (\"categorical\", make_pipeline(SimpleImputer(strategy=\"most_frequent\"), {encoder}), categorical),\n"));
        }
        code.push_str(&format!(
            "prepare = ColumnTransformer([\n{}])\nX, X_new = prepare.fit_transform(train[numeric + categorical]), prepare.transform(test[numeric + categorical])\n",
            parts.concat()
        ));
    }
    code.push_str("print(\"inputs:\", X.shape, X_new.shape)\n");
    if workflow.joint && workflow.targets.len() > 1 {
        code.push_str(&format!(
            "model = {model}.fit(X, train[targets])\npredicted = pd.DataFrame(model.predict(X_new), columns=targets)"
        ));
    } else if style == 2 {
        code.push_str(&format!(
            "predicted = pd.DataFrame({{target: {model}.fit(X, train[target]).predict(X_new) for target in targets}})"
        ));
    } else {
        code.push_str(&format!(
            "predicted = pd.DataFrame(index=range(len(test)))\nfor target in targets:\n    model = {model}\n    model.fit(X, train[target])\n    predicted[target] = model.predict(X_new)"
        ));
    }
    code.push_str("\nprint(predicted.describe(include=\"all\").to_string())");
    imports.sort();
    format!("{}\n\n{code}", imports.join("\n"))
}

fn writing(workflow: &Workflow) -> String {
    let (id, file) = (literal(&workflow.id_column), literal(&workflow.submission));
    format!(
        "submission = test[[{id}]].copy()\nfor target in targets:\n    submission[target] = predicted[target].to_numpy()\nsubmission.to_csv({file}, index=False)\nwritten = pd.read_csv({file})\nprint(written.head(3).to_string())\nprint(\"written:\", written.shape, \"of\", len(test), \"rows, missing:\", int(written.isna().sum().sum()))"
    )
}

/// A cell that raises: an import forgotten, an argument of an older release, a name misspelt.
fn trip(
    workflow: &Workflow,
    columns: &Columns,
    filter: &str,
    model: &str,
    dice: &mut Dice,
) -> (usize, String) {
    if !workflow.categorical.is_empty() && dice.chance(0.5) {
        return (2, model.replace("sparse_output=False", "sparse=False"));
    }
    if dice.chance(0.5) {
        let kept: Vec<&str> = model
            .lines()
            .filter(|line| !line.starts_with("from sklearn"))
            .collect();
        return (2, kept.join("\n").trim_start().to_owned());
    }
    let first = workflow
        .features
        .first()
        .map_or("", |column| columns.name(column));
    (
        1,
        format!(
            "print(train[{}].describe())\n{filter}",
            literal(&format!("{first}_value"))
        ),
    )
}
