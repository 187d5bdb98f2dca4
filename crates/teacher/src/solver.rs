//! The solver: looks at the data, solves the question in one of several styles, repairs what fails, and answers with what was printed.

use std::sync::LazyLock;

use regex::Regex;

use crate::TeacherConfig;
use crate::complete::{Action, Move};
use crate::conversation::{Conversation, printed};
use crate::dice::Dice;
use crate::heuristic;
use crate::problem::{self, Problem, recognise};
use crate::prompt::{self, Question, Table, pattern};
use crate::python;
use crate::trips::stumble;

/// What an attempt is going to do, fixed by the task and the seed.
pub(crate) struct Script {
    /// The cells in order, each with the thought that goes before it.
    pub cells: Vec<(String, String)>,
    /// A cell that fails, run once before the cell at this place.
    pub trip: Option<(usize, String)>,
    /// What to run when a cell fails that should not have.
    pub fallback: Option<String>,
}

/// The next move of an attempt at a question.
pub fn solve(config: &TeacherConfig, conversation: &Conversation, question: &Question) -> Move {
    let tables = prompt::tables(&conversation.task);
    let mut dice = Dice::new(&["solver", &conversation.task, &conversation.seed]);
    let names = prompt::answer_names(&question.format);
    let script = match recognise(question, &tables) {
        Some(problem) => own(config, &problem, &tables, &mut dice),
        None => foreign(config, question, &tables, &names, &mut dice),
    };
    let mut words = Dice::new(&[
        "solver's words",
        &conversation.task,
        &conversation.seed,
        &conversation.steps.len().to_string(),
    ]);
    play(&script, conversation, &mut words, |outputs, words| {
        finish(&names, outputs, words)
    })
}

/// Follows a script through what has already run, and makes its next move.
pub(crate) fn play(
    script: &Script,
    conversation: &Conversation,
    words: &mut Dice,
    finish: impl Fn(&[&str], &mut Dice) -> Move,
) -> Move {
    let mut cells: Vec<(String, String)> = script.cells.clone();
    let mut place = 0;
    let mut tripped = script.trip.is_none();
    let mut repairs = 0;
    let mut last_error = None;
    for step in &conversation.steps {
        last_error = step.error();
        let at_trip = !tripped && script.trip.as_ref().is_some_and(|(at, _)| *at == place);
        if at_trip {
            tripped = true;
            // A mistake that happened not to raise has done the cell's work.
            place += usize::from(last_error.is_none());
        } else if last_error.is_none() {
            place += 1;
        } else {
            repairs += 1;
            match &script.fallback {
                Some(code) if repairs == 1 => {
                    cells = vec![(String::new(), code.clone())];
                    place = 0;
                }
                _ => place = usize::MAX,
            }
        }
        if place == usize::MAX {
            break;
        }
    }
    let outputs: Vec<&str> = conversation
        .steps
        .iter()
        .map(|step| step.output.as_str())
        .collect();
    let Some((thought, code)) = cells.get(place) else {
        return finish(&outputs, words);
    };
    if !tripped && let Some((_, broken)) = script.trip.as_ref().filter(|(at, _)| *at == place) {
        let seen = if place == 1 {
            observed(&outputs, words)
        } else {
            String::new()
        };
        return Move {
            thought: format!("{seen}{thought}"),
            action: Action::Code(broken.clone()),
        };
    }
    let thought = match last_error {
        Some(error) => format!("{} {thought}", diagnosis(&error, words)),
        None if place == 1 => format!("{}{thought}", observed(&outputs, words)),
        None => thought.clone(),
    };
    Move {
        thought: thought.trim().to_owned(),
        action: Action::Code(code.clone()),
    }
}

fn own(config: &TeacherConfig, problem: &Problem, tables: &[Table], dice: &mut Dice) -> Script {
    let (trips, wrong) = (
        dice.chance(config.error_rate),
        dice.chance(config.wrong_rate),
    );
    let style = &problem.family.style[dice.below(problem.family.style.len())];
    let which = dice.below(problem.family.wrong.len());
    let mut cells = vec![look(problem, tables, dice)];
    if wrong {
        let thought = format!(
            "The columns are as expected; {}.",
            problem.family.style[0].say
        );
        cells.push((thought, problem.mistaken(which)));
    } else {
        let parts = problem.cells(style);
        let many = parts.len() > 1;
        for (index, code) in parts.into_iter().enumerate() {
            let thought = match index {
                0 if many => format!(
                    "{}: {}. First the ingredients.",
                    dice.phrase(&["My way", "The plan", "How I go about it"]),
                    style.say
                ),
                0 => format!(
                    "{} {}.",
                    dice.phrase(&[
                        "This takes one step:",
                        "Now the result:",
                        "The rest is short:"
                    ]),
                    style.say
                ),
                _ => dice
                    .phrase(&[
                        "The intermediate values look sound, so I finish the calculation.",
                        "That is what I need; now the values in the form that is asked for.",
                        "Nothing odd so far. The last step prints the answer.",
                    ])
                    .to_owned(),
            };
            cells.push((thought, code));
        }
    }
    let table = problem::find(tables, &problem.table);
    let trip = trips
        .then(|| broken(&cells, &problem.main_columns(), &table, dice))
        .flatten();
    let first = &problem.family.style[0];
    let fallback = format!(
        "{}\n{}",
        problem.load(tables),
        problem.cells(first).join("\n\n")
    );
    Script {
        cells,
        trip,
        fallback: Some(fallback),
    }
}

fn broken(
    cells: &[(String, String)],
    columns: &[&str],
    table: &Table,
    dice: &mut Dice,
) -> Option<(usize, String)> {
    if table.encoding.starts_with("cp")
        || table.encoding.starts_with("latin")
        || table.encoding.starts_with("utf-16")
    {
        // Without its encoding such a file cannot be read: the most natural mistake of all.
        let code = cells[0].1.replace(
            &format!(", encoding={}", python::literal(&table.encoding)),
            "",
        );
        if code != cells[0].1 && dice.chance(0.3) {
            return Some((0, code));
        }
    }
    stumble(&cells.get(1)?.1, columns, table, dice).map(|code| (1, code))
}

fn look(problem: &Problem, tables: &[Table], dice: &mut Dice) -> (String, String) {
    let columns = problem.main_columns();
    let quoted: Vec<String> = columns.iter().map(|column| format!("`{column}`")).collect();
    let named: Vec<String> = columns
        .iter()
        .map(|column| python::literal(column))
        .collect();
    let thought = format!(
        "{} {}{}.",
        dice.phrase(&[
            "Before I compute anything I load the data and look at",
            "I load the table and look at",
            "First a look at the data, above all at"
        ]),
        quoted.join(", "),
        if problem.coerced.is_empty() {
            ""
        } else {
            ", which must be turned into numbers"
        }
    );
    let list = named.join(", ");
    let peek = dice.phrase(&["head(3)", "sample(3, random_state=0)", "head(5)"]);
    let mut code = problem.load(tables);
    code.push_str(&format!(
        "print(\"shape:\", df.shape)\nprint(df[[{list}]].{peek})\n"
    ));
    code.push_str(
        match dice.below(3) {
            0 => "print(df[[LIST]].dtypes)\n",
            1 => "print(df[[LIST]].describe(include=\"all\"))\n",
            _ => "print(df[[LIST]].nunique())\n",
        }
        .replace("LIST", &list)
        .as_str(),
    );
    code.push_str(&format!(
        "print(\"missing:\", df[[{list}]].isna().sum().to_dict())"
    ));
    (thought, code)
}

fn foreign(
    config: &TeacherConfig,
    question: &Question,
    tables: &[Table],
    names: &[String],
    dice: &mut Dice,
) -> Script {
    let (trips, wrong) = (
        dice.chance(config.error_rate),
        dice.chance(config.wrong_rate),
    );
    let Some(table) = tables.first() else {
        let code = "import os\n\nprint(os.listdir(\"data\") if os.path.isdir(\"data\") else \"no data folder\")";
        let thought = "The task describes no table, so I check what lies in the data folder.";
        return Script {
            cells: vec![(thought.to_owned(), code.to_owned())],
            trip: None,
            fallback: None,
        };
    };
    let glance = format!(
        "{}\nprint(\"shape:\", df.shape)\nprint(df.iloc[:3, :10].to_string())\nprint(df.dtypes.head(30))\nprint(\"missing:\", df.isna().sum()[lambda n: n > 0].head(15).to_dict())",
        python::load(table)
    );
    let thought = dice.phrase(&[
        "I load the table and look at shape, types and gaps before anything else.",
        "First the data: shape, types, missing values.",
        "Before computing I check what the columns hold.",
    ]);
    let mut cells = vec![(thought.to_owned(), glance)];
    let mut trip = None;
    if let Some(plan) = heuristic::plan(question, tables, names) {
        let code = if wrong {
            plan.mistaken()
        } else {
            plan.code.clone()
        };
        cells.push((plan.thought.clone(), code));
        let columns: Vec<&str> = plan.columns.iter().map(String::as_str).collect();
        trip = trips
            .then(|| broken(&cells, &columns, table, dice))
            .flatten();
    }
    Script {
        cells,
        trip,
        fallback: None,
    }
}

/// What the first look showed.
fn observed(outputs: &[&str], words: &mut Dice) -> String {
    static SHAPE: LazyLock<Regex> = LazyLock::new(|| pattern(r"shape: \((\d+), (\d+)\)"));
    static MISSING: LazyLock<Regex> = LazyLock::new(|| pattern(r"missing: \{(.*)\}"));
    let Some(look) = outputs.iter().rev().find(|output| SHAPE.is_match(output)) else {
        return String::new();
    };
    let Some(shape) = SHAPE.captures(look) else {
        return String::new();
    };
    let gaps: Vec<&str> = MISSING
        .captures(look)
        .and_then(|found| found.get(1))
        .map(|list| {
            list.as_str()
                .split(", '")
                .filter(|part| !part.ends_with(": 0") && !part.is_empty())
                .collect()
        })
        .unwrap_or_default();
    let verb = words.phrase(&["The table has", "There are", "I see"]);
    let missing = match gaps.len() {
        0 => words
            .phrase(&[
                "nothing is missing in the columns that matter",
                "without gaps in the columns in use",
                "and no missing values here",
            ])
            .to_owned(),
        1 => format!(
            "with missing values in one column ({})",
            gaps[0].replace('\'', "")
        ),
        many => format!("with missing values in {many} columns"),
    };
    format!(
        "{verb} {} rows and {} columns, {missing}. ",
        &shape[1], &shape[2]
    )
}

/// What an error means, in the words of somebody who read it.
fn diagnosis(error: &str, words: &mut Dice) -> String {
    let error: String = error.chars().take(160).collect();
    let name = error.split(':').next().unwrap_or_default();
    let meaning = if name.ends_with("KeyError") {
        "that name is not among the columns or labels; I use the exact spelling from the data"
    } else if name.ends_with("NameError") {
        "an import is missing; I add it"
    } else if name.ends_with("AttributeError") {
        "there is no such method; I call the one that exists"
    } else if name.ends_with("UnicodeDecodeError") {
        "the file is not UTF-8; I pass the encoding that the description names"
    } else if name.ends_with("TypeError") {
        "text columns got into the calculation; I select the numeric ones that are needed"
    } else if name.ends_with("ValueError") {
        "the values do not have the form that this call expects"
    } else {
        "this way does not work here; I take the simplest one"
    };
    format!(
        "{} `{error}`: {meaning}.",
        words.phrase(&[
            "The run failed with",
            "That raised",
            "The traceback ends with"
        ])
    )
}

/// The answer from what was printed, or an honest word that there is none.
fn finish(names: &[String], outputs: &[&str], words: &mut Dice) -> Move {
    let values: Vec<Option<String>> = names.iter().map(|name| printed(outputs, name)).collect();
    if names.is_empty() || values.iter().any(Option::is_none) {
        let thought = "I looked at the data, but I have no sound method for this question, and a guess would help nobody.";
        let answer = "I could not determine the answer from the data.";
        return Move {
            thought: thought.to_owned(),
            action: Action::Answer(answer.to_owned()),
        };
    }
    let pairs: Vec<String> = names
        .iter()
        .zip(&values)
        .map(|(name, value)| format!("@{name}[{}]", value.as_deref().unwrap_or_default()))
        .collect();
    let shown: Vec<&str> = pairs.iter().take(4).map(String::as_str).collect();
    let thought = format!(
        "{} {}{}",
        words.phrase(&[
            "The last run printed",
            "The output shows",
            "The result rests on the printed values"
        ]),
        shown.join(", "),
        words.phrase(&[
            ", in the form that was asked for.",
            "; rounding is as requested.",
            ", and nothing in the output speaks against it."
        ])
    );
    Move {
        thought,
        action: Action::Answer(pairs.join(", ")),
    }
}
