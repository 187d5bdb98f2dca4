//! Models over tables: looks, builds features, compares models on held-out rows, predicts and writes. Serves predictions that say
//! more than the plainest prompt does, and competitions.

use crate::TeacherConfig;
use crate::complete::{Action, Move};
use crate::contest::{Contest, Values};
use crate::conversation::Conversation;
use crate::dice::Dice;
use crate::prediction::Prediction;
use crate::prompt::{self, Table};
use crate::python::literal;
use crate::reading::{self, Rows};
use crate::solver::{Script, play};

const LOOK: &str = include_str!("../python/tabular_look.py");
const FEATURES: &str = include_str!("../python/tabular_features.py");
const NUMBERS: &str = include_str!("../python/tabular_numbers.py");
const LABELS: &str = include_str!("../python/tabular_labels.py");
const WRITE: &str = include_str!("../python/tabular_write.py");
const SERIES_FEATURES: &str = include_str!("../python/series_features.py");
const SERIES_MODELS: &str = include_str!("../python/series_models.py");
const CONTEST_LOOK: &str = include_str!("../python/contest_look.py");
const CONTEST_TEXT: &str = include_str!("../python/contest_text.py");
const CONTEST_WRITE: &str = include_str!("../python/contest_write.py");

/// Rows that are read of a table with known answers, at most: two gigabytes must hold them.
const MOST_READ: u64 = 300_000;
/// Rows that features are built for, at most: it must end within the time of one cell.
const MOST_ROWS: &str = "40_000";
/// Rows of a series that models see, the latest.
const MOST_OF_SERIES: &str = "10_000";

/// What is learnt.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Numbers,
    Labels,
    Text,
    Series,
}

/// All that tells one task over tables from another.
struct Job {
    kind: Kind,
    /// Loads the files and looks at them.
    look: String,
    /// The columns to predict, as the file to write calls them.
    targets: Vec<String>,
    /// The columns that no feature may be made of.
    skip: Vec<String>,
    /// What the metric wants of a model.
    aim: Aim,
    /// Turns `probability` and `classes`, or numbers, into `predicted`.
    finish: String,
    /// One value that can stand for all predictions, of `train[source]`.
    constant: &'static str,
    /// Writes `predicted`.
    write: String,
    /// The file to write.
    submission: String,
    /// Code that differs by task, by the mark that it replaces.
    marks: Vec<(&'static str, String)>,
}

/// What a metric wants of a model.
#[derive(Clone, Copy)]
struct Aim {
    /// The score of scikit-learn, and the call that computes it of `guess`.
    score: (&'static str, &'static str),
    /// Whether each class counts alike.
    balanced: bool,
    /// Whether the error counts as it is, not squared.
    absolute: bool,
    /// Whether errors count by their share of the value.
    relative: bool,
}

const MACRO_F1: (&str, &str) = (
    "f1_score",
    "f1_score(goal[check], guess.argmax(axis=1), average=\"macro\")",
);
const ACCURACY: (&str, &str) = (
    "accuracy_score",
    "accuracy_score(goal[check], guess.argmax(axis=1))",
);
const CORRELATION: (&str, &str) = (
    "matthews_corrcoef",
    "matthews_corrcoef(goal[check], guess.argmax(axis=1))",
);
const LIKELIHOOD: (&str, &str) = (
    "log_loss",
    "-log_loss(goal[check], guess, labels=np.arange(count))",
);

/// The next move of an attempt at a prediction.
pub fn predict(
    config: &TeacherConfig,
    conversation: &Conversation,
    prediction: &Prediction,
) -> Move {
    let tables = prompt::tables(&conversation.task);
    let Prediction { train, test, .. } = prediction;
    let list = |names: &[String]| list(names);
    let kind = match (&prediction.time_column, prediction.labels) {
        (Some(_), _) => Kind::Series,
        (None, true) => Kind::Labels,
        (None, false) => Kind::Numbers,
    };
    let look = format!(
        "{}\n{}{}{}",
        reading::imports(&[train, test]),
        train.load("train", &tables, &[], Some(MOST_READ)),
        test.load("test", &tables, &prediction.keys, None),
        LOOK.replace("__TARGETS__", &list(&prediction.targets)),
    );
    let time = prediction.time_column.clone().unwrap_or_default();
    let gather = prediction
        .gather
        .as_ref()
        .map(|(rule, how)| gathering(rule, how))
        .unwrap_or_default();
    let stamp = if prediction.gather.is_some() {
        "pd.concat([moment(part) for part in times], ignore_index=True)"
    } else {
        "moment(pd.concat(times, ignore_index=True))"
    };
    let format = prediction
        .time_format
        .as_ref()
        .map_or_else(|| "None".to_owned(), |format| literal(format));
    let job = Job {
        kind,
        look,
        targets: prediction.targets.clone(),
        skip: prediction.keys.clone(),
        aim: Aim {
            score: MACRO_F1,
            balanced: true,
            absolute: false,
            relative: false,
        },
        finish: if kind == Kind::Labels {
            LABEL.to_owned()
        } else {
            String::new()
        },
        constant: if kind == Kind::Labels { MODE } else { MEDIAN },
        write: WRITE
            .replace("__KEYS__", &list(&prediction.keys))
            .replace("__FILE__", &literal(&prediction.submission)),
        submission: prediction.submission.clone(),
        marks: vec![
            ("__TIME__", literal(&time)),
            ("__ENTITIES__", list(&prediction.entities)),
            ("__GATHER__", gather),
            ("__STAMP__", stamp.to_owned()),
            ("__FORMAT__", format),
        ],
    };
    carry_out(config, conversation, &job)
}

/// The most likely label of each target.
const LABEL: &str = "predicted = {target: np.asarray(classes[target])[probability[target].argmax(axis=1)] for target in targets}";

/// Gathers the training rows into steps of time.
fn gathering(rule: &str, how: &str) -> String {
    let how = if how.chars().all(char::is_alphabetic) {
        how
    } else {
        "mean"
    };
    format!(
        "train[time] = moment(train[time].astype(str))\ntrain = train.groupby(entities + [pd.Grouper(key=time, freq={})])[targets].agg({}).reset_index()\nprint(\"gathered:\", train.shape)",
        literal(rule),
        literal(how)
    )
}

/// The next move of an attempt at a competition.
pub fn compete(config: &TeacherConfig, conversation: &Conversation, contest: &Contest) -> Move {
    let tables = prompt::tables(&conversation.task);
    let job = entry(contest, &tables);
    carry_out(config, conversation, &job)
}

fn entry(contest: &Contest, tables: &[Table]) -> Job {
    let own: Vec<String> = match &contest.table_key {
        Some(key) if contest.test.is_some() => vec![key.clone()],
        _ => contest.keys.clone(),
    };
    let sources = match &contest.classes {
        Some((column, _)) => vec![column.clone()],
        None => contest
            .table_target
            .clone()
            .map_or_else(|| contest.targets.clone(), |name| vec![name]),
    };
    let rows = |path: &str| Rows::described(path, tables);
    let train = rows(&contest.train);
    let test = contest.test.as_deref().map(&rows);
    let mut files = vec![&train];
    files.extend(test.as_ref());
    let mut look = format!(
        "{}\n{}",
        reading::imports(&files),
        train.load("train", tables, &[], Some(MOST_READ))
    );
    let sample = rows(&contest.sample).load("sample", tables, &[], None);
    if rows(&contest.sample).is_text() {
        look.push_str(&format!(
            "{}, dtype=str, keep_default_na=False)\n",
            sample.trim_end().trim_end_matches(')')
        ));
    } else {
        look.push_str(&sample);
    }
    match &test {
        Some(test) => look.push_str(&test.load("test", tables, &own, None)),
        None => look.push_str(&format!("test = sample[{}].copy()\n", list(&own))),
    }
    look.push_str(
        &CONTEST_LOOK
            .replace("__TARGETS__", &list(&contest.targets))
            .replace("__SOURCES__", &list(&sources)),
    );
    let (kind, aim, finish) = approach(contest);
    if contest.values == Values::Probability && contest.classes.is_none() {
        look.push_str("for source in sources:\n    if pd.api.types.is_float_dtype(train[source]) and train[source].nunique() > 2:\n        train[source] = (train[source] >= 0.5).astype(int)\n");
    }
    Job {
        kind,
        look,
        targets: contest.targets.clone(),
        // Without a test table the keys are all that is known of the rows to predict.
        skip: if test.is_some() {
            own.clone()
        } else {
            Vec::new()
        },
        aim,
        finish,
        constant: match contest.values {
            Values::Number => MEDIAN,
            Values::Probability => EVEN,
            Values::Label | Values::Ranked(_) | Values::Text => MODE,
        },
        write: CONTEST_WRITE
            .replace("__KEYS__", &list(&contest.keys))
            .replace("__OWN_KEYS__", &list(&own))
            .replace("__FILE__", &literal(&contest.submission)),
        submission: contest.submission.clone(),
        marks: Vec::new(),
    }
}

/// What is learnt for a metric, and how it becomes what cells must hold.
fn approach(contest: &Contest) -> (Kind, Aim, String) {
    let metric = contest.metric.as_str();
    let mut aim = Aim {
        score: LIKELIHOOD,
        balanced: false,
        absolute: matches!(metric, "mae" | "median_ae" | "mape" | "smape"),
        relative: matches!(metric, "rmsle" | "mape" | "smape"),
    };
    match contest.values {
        Values::Text => (Kind::Text, aim, String::new()),
        Values::Number => (Kind::Numbers, aim, String::new()),
        Values::Label if metric == "quadratic_weighted_kappa" => {
            let finish = "for target in targets:\n    grades = pd.to_numeric(known[target], errors=\"coerce\")\n    predicted[target] = np.rint(predicted[target]).clip(grades.min(), grades.max()).astype(int)";
            (Kind::Numbers, aim, finish.to_owned())
        }
        Values::Label => {
            (aim.score, aim.balanced) = match metric {
                "macro_f1" | "f1" => (MACRO_F1, true),
                "mcc" => (CORRELATION, false),
                _ => (ACCURACY, false),
            };
            (Kind::Labels, aim, LABEL.to_owned())
        }
        Values::Probability => {
            let finish = match &contest.classes {
                Some((column, pairs)) => {
                    let pairs: Vec<String> = pairs
                        .iter()
                        .map(|(target, label)| format!("{}: {}", literal(target), literal(label)))
                        .collect();
                    format!(
                        "labels = {{{}}}\nplaces = {{str(label): place for place, label in enumerate(classes[{source}])}}\npredicted = {{}}\nfor target in targets:\n    place = places.get(labels.get(target, target), places.get(labels.get(target, target) + \".0\"))\n    predicted[target] = probability[{source}][:, place] if place is not None else np.zeros(len(X_new))",
                        pairs.join(", "),
                        source = literal(column)
                    )
                }
                None => "predicted = {target: probability[target][:, -1] for target in targets}"
                    .to_owned(),
            };
            (Kind::Labels, aim, finish)
        }
        Values::Ranked(most) => {
            let finish = format!(
                "predicted = {{}}\nfor target in targets:\n    names = np.asarray([str(label) for label in classes[target]])\n    order = np.argsort(-probability[target], axis=1, kind=\"stable\")[:, :{most}]\n    predicted[target] = np.array([\" \".join(row) for row in names[order]])"
            );
            (Kind::Labels, aim, finish)
        }
    }
}

fn list(names: &[String]) -> String {
    let names: Vec<String> = names.iter().map(|name| literal(name)).collect();
    format!("[{}]", names.join(", "))
}

/// The two models that an attempt compares; `boosting` is left out where it would take too long.
fn models(kind: Kind, aim: Aim, dice: &mut Dice) -> (&'static str, String, String) {
    let weight = if aim.balanced {
        ", class_weight=\"balanced\""
    } else {
        ""
    };
    let (module, linear, forest, boosting) = if kind == Kind::Labels {
        (
            "Classifier",
            format!("make_pipeline(StandardScaler(), LogisticRegression(max_iter=300{weight}))"),
            format!(
                "RandomForestClassifier(n_estimators=100, max_depth=16, min_samples_leaf=2{weight}, random_state=0)"
            ),
            format!(
                "HistGradientBoostingClassifier(max_iter=60, learning_rate=0.1, max_leaf_nodes=20, early_stopping=False{weight}, random_state=0)"
            ),
        )
    } else {
        let loss = if aim.absolute {
            ", loss=\"absolute_error\""
        } else {
            ""
        };
        (
            "Regressor",
            "make_pipeline(StandardScaler(), RidgeCV(alphas=[0.1, 1.0, 10.0, 100.0]))".to_owned(),
            "RandomForestRegressor(n_estimators=100, max_depth=16, min_samples_leaf=2, max_features=0.5, random_state=0)".to_owned(),
            format!(
                "HistGradientBoostingRegressor(max_iter=120, learning_rate=0.1, max_leaf_nodes=20, early_stopping=False{loss}, random_state=0)"
            ),
        )
    };
    let with_linear = if kind == Kind::Labels {
        "from sklearn.linear_model import LogisticRegression\nfrom sklearn.pipeline import make_pipeline\nfrom sklearn.preprocessing import StandardScaler"
    } else {
        "from sklearn.linear_model import RidgeCV\nfrom sklearn.pipeline import make_pipeline\nfrom sklearn.preprocessing import StandardScaler"
    };
    let ensemble = |names: &[&str]| {
        let names: Vec<String> = names.iter().map(|name| format!("{name}{module}")).collect();
        format!("from sklearn.ensemble import {}", names.join(", "))
    };
    match dice.below(3) {
        0 => (
            "a linear model on scaled features and a random forest, and their mean",
            format!("{}\n{with_linear}", ensemble(&["RandomForest"])),
            format!("{{\"linear\": {linear}, \"forest\": {forest}}}"),
        ),
        1 => (
            "a random forest and gradient boosting, and their mean",
            ensemble(&["HistGradientBoosting", "RandomForest"]),
            format!("{{\"forest\": {forest}, \"boosting\": {boosting}}}"),
        ),
        _ => (
            "gradient boosting beside a plain linear model, and their mean",
            format!("{}\n{with_linear}", ensemble(&["HistGradientBoosting"])),
            format!("{{\"linear\": {linear}, \"boosting\": {boosting}}}"),
        ),
    }
}

fn carry_out(config: &TeacherConfig, conversation: &Conversation, job: &Job) -> Move {
    let mut dice = Dice::new(&["tabular", &conversation.task, &conversation.seed]);
    let (trips, wrong) = (
        dice.chance(config.error_rate),
        dice.chance(config.wrong_rate),
    );
    let (say, cell) = modelling(job, &mut dice);
    let series = job.kind == Kind::Series;
    let quoted: Vec<String> = job
        .targets
        .iter()
        .map(|target| format!("`{target}`"))
        .collect();
    let quoted = quoted.join(", ");
    let look = (
        format!(
            "{} the files: what is known of the rows to predict, how {quoted} is distributed, what is missing.",
            dice.phrase(&[
                "First I look at",
                "I start with a look at",
                "Before modelling I inspect"
            ])
        ),
        job.look.clone(),
    );
    let mut template = if series { SERIES_FEATURES } else { FEATURES }
        .replace("__MOST__", if series { MOST_OF_SERIES } else { MOST_ROWS })
        .replace("__SKIP__", &list(&job.skip));
    for (mark, code) in &job.marks {
        template = template.replace(mark, code);
    }
    let features = (
        if series {
            "The rows to predict lie in the future, so I build features from the calendar, a trend, the series that a row belongs to, and what the test file knows ahead.".to_owned()
        } else {
            dice.phrase(&[
                "I turn the shared columns into numbers: gaps filled and told apart, dates split, frequent categories one by one, long text by its topics.",
                "Next the features: every column that both tables have, as numbers; row numbers are left out because they say nothing.",
            ])
            .to_owned()
        },
        template,
    );
    let check = (
        format!(
            "The features are ready. I try {say}, and measure on rows that the models have not seen."
        ),
        cell,
    );
    let ending = if job.finish.is_empty() {
        String::new()
    } else {
        format!("{}\n", job.finish)
    };
    let write = if wrong {
        mistaken(job, &ending, &mut dice)
    } else {
        (
            format!(
                "{} `{}` and read it back to check its shape.",
                dice.phrase(&[
                    "The score on held-out rows is known now. I write",
                    "What did best on held-out rows predicts; I write",
                ]),
                job.submission
            ),
            format!("{ending}{}", job.write),
        )
    };
    let trip = trips.then(|| trip(&features.1, &check.1, &mut dice));
    let fallback = format!("{}\n{}\n{}", job.look, constant(job), job.write);
    let script = Script {
        cells: vec![look, features, check, write],
        trip,
        fallback: Some(fallback),
    };
    let mut words = Dice::new(&[
        "predictor's words",
        &conversation.task,
        &conversation.seed,
        &conversation.steps.len().to_string(),
    ]);
    play(&script, conversation, &mut words, |outputs, words| {
        finish(&job.submission, outputs, words)
    })
}

fn modelling(job: &Job, dice: &mut Dice) -> (&'static str, String) {
    let (say, imports, both) = models(job.kind, job.aim, dice);
    match job.kind {
        Kind::Text => (
            "each text column as it stands, and the most frequent answer",
            CONTEST_TEXT.to_owned(),
        ),
        Kind::Series => {
            let (say, imports, model) = match dice.below(2) {
                0 => (
                    "gradient boosting beside plain trends, seasons and levels",
                    "from sklearn.ensemble import HistGradientBoostingRegressor",
                    "HistGradientBoostingRegressor(max_iter=80, learning_rate=0.1, max_leaf_nodes=20, early_stopping=False, random_state=0)",
                ),
                _ => (
                    "a random forest beside plain trends, seasons and levels",
                    "from sklearn.ensemble import RandomForestRegressor",
                    "RandomForestRegressor(n_estimators=60, max_depth=14, min_samples_leaf=3, max_features=0.5, random_state=0)",
                ),
            };
            let code = SERIES_MODELS
                .replace("__IMPORTS__", imports)
                .replace("__MODEL__", model);
            (say, code)
        }
        Kind::Labels => {
            let code = LABELS
                .replace("__IMPORTS__", &imports)
                .replace("__MODELS__", &both)
                .replace("__METRIC__", job.aim.score.0)
                .replace("__SCORE__", job.aim.score.1);
            (say, code)
        }
        Kind::Numbers => {
            let transform = if job.aim.relative {
                "(lambda values: np.log1p(values.clip(lower=0))), np.expm1"
            } else {
                "(lambda values: values), (lambda values: values)"
            };
            let loss = if job.aim.absolute {
                "lambda error: error.abs().mean()"
            } else {
                "lambda error: (error ** 2).mean()"
            };
            let code = NUMBERS
                .replace("__IMPORTS__", &imports)
                .replace("__MODELS__", &both)
                .replace("__TRANSFORM__", transform)
                .replace("__LOSS__", loss);
            (say, code)
        }
    }
}

/// A file of the right form whose predictions are worth little: all the same, or beside the wrong rows.
fn mistaken(job: &Job, finish: &str, dice: &mut Dice) -> (String, String) {
    if dice.chance(0.5) {
        return (
            "The check is done; I write the file.".to_owned(),
            format!("{}\n{}", constant(job), job.write),
        );
    }
    (
        "The models are fitted. I sort the predictions, so that the file is easy to read, and write it."
            .to_owned(),
        format!(
            "{finish}predicted = {{target: np.sort(np.asarray(values)) for target, values in predicted.items()}}\n{}",
            job.write
        ),
    )
}

/// One prediction for all rows.
fn constant(job: &Job) -> String {
    format!(
        "predicted = {{target: np.full(len(test), {}) for target, source in zip(targets, (sources * len(targets))[: len(targets)])}}",
        job.constant
    )
}

const MEDIAN: &str = "pd.to_numeric(train[source], errors=\"coerce\").median()";
const MODE: &str = "train[source].mode().iloc[0]";
const EVEN: &str = "1 / max(train[source].nunique(), 2)";

/// A cell that raises: an import forgotten, a name misspelt, an argument that there is not.
fn trip(features: &str, check: &str, dice: &mut Dice) -> (usize, String) {
    let kept: Vec<&str> = check
        .lines()
        .filter(|line| !line.starts_with("from sklearn"))
        .collect();
    if kept.len() < check.lines().count() && dice.chance(0.4) {
        return (2, kept.join("\n").trim_start().to_owned());
    }
    if dice.chance(0.5) {
        return (
            1,
            format!("print(train[targets[0] + \"_\"].isna().sum())\n{features}"),
        );
    }
    (
        1,
        format!(
            "print(train.select_dtypes(\"number\").mean().sort_values(ascend=False))\n{features}"
        ),
    )
}

/// The answer once a cell has said that the file is written.
pub fn finish(submission: &str, outputs: &[&str], words: &mut Dice) -> Move {
    let written = outputs.iter().rev().find_map(|output| {
        output
            .lines()
            .find_map(|line| line.trim().strip_prefix("written: "))
    });
    match written {
        Some(shape) => Move {
            thought: format!(
                "{} `{submission}`: {shape}.",
                words.phrase(&["The file is written", "The check read back", "Done:"])
            ),
            action: Action::Answer(submission.to_owned()),
        },
        None => Move {
            thought: "The file could not be written, and I will not claim that it was.".to_owned(),
            action: Action::Answer(format!("I could not write {submission}.")),
        },
    }
}
