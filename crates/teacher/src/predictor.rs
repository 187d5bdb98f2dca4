//! The predictor: looks at both tables, builds features and a model, checks it on held-out rows, writes the file and verifies it.

use crate::TeacherConfig;
use crate::complete::Move;
use crate::conversation::Conversation;
use crate::dice::Dice;
use crate::prediction::Prediction;
use crate::problem::find;
use crate::prompt;
use crate::python::{literal, read_csv};
use crate::solver::{Script, play};
use crate::tabular;

const LOOK: &str = include_str!("../python/predict_look.py");
const FEATURES: &str = include_str!("../python/predict_features.py");
const FORECAST: &str = include_str!("../python/predict_forecast.py");
const FORECAST_CHECK: &str = include_str!("../python/predict_forecast_check.py");

/// Rows to fit a model on, at most: with more, one cell could run out of its time.
const MOST_ROWS: u32 = 12_000;

struct Model {
    say: &'static str,
    imports: &'static str,
    make: &'static str,
}

const CLASSIFIERS: [Model; 3] = [
    Model {
        say: "a logistic regression on scaled features, with balanced classes because macro F1 counts each class alike",
        imports: "from sklearn.linear_model import LogisticRegression\nfrom sklearn.pipeline import make_pipeline\nfrom sklearn.preprocessing import StandardScaler",
        make: "make_pipeline(StandardScaler(), LogisticRegression(max_iter=400, class_weight=\"balanced\"))",
    },
    Model {
        say: "a random forest with balanced class weights",
        imports: "from sklearn.ensemble import RandomForestClassifier",
        make: "RandomForestClassifier(n_estimators=120, max_depth=16, min_samples_leaf=2, class_weight=\"balanced\", random_state=0)",
    },
    Model {
        say: "gradient boosting, which copes with mixed scales",
        imports: "from sklearn.ensemble import HistGradientBoostingClassifier",
        make: "HistGradientBoostingClassifier(max_iter=80, learning_rate=0.1, max_leaf_nodes=20, random_state=0)",
    },
];

const REGRESSORS: [Model; 3] = [
    Model {
        say: "a ridge regression on scaled features",
        imports: "from sklearn.linear_model import RidgeCV\nfrom sklearn.pipeline import make_pipeline\nfrom sklearn.preprocessing import StandardScaler",
        make: "make_pipeline(StandardScaler(), RidgeCV(alphas=[0.1, 1.0, 10.0, 100.0]))",
    },
    Model {
        say: "a random forest of moderate size",
        imports: "from sklearn.ensemble import RandomForestRegressor",
        make: "RandomForestRegressor(n_estimators=100, max_depth=16, min_samples_leaf=2, max_features=0.5, random_state=0)",
    },
    Model {
        say: "gradient boosting",
        imports: "from sklearn.ensemble import HistGradientBoostingRegressor",
        make: "HistGradientBoostingRegressor(max_iter=200, learning_rate=0.08, max_leaf_nodes=24, random_state=0)",
    },
];

/// The next move of an attempt at a prediction.
pub fn predict(
    config: &TeacherConfig,
    conversation: &Conversation,
    prediction: &Prediction,
) -> Move {
    if prediction.rich {
        return tabular::predict(config, conversation, prediction);
    }
    let (Some(goal), Some(key)) = (prediction.targets.first(), prediction.keys.first()) else {
        return tabular::predict(config, conversation, prediction);
    };
    let mut dice = Dice::new(&["predictor", &conversation.task, &conversation.seed]);
    let (trips, wrong) = (
        dice.chance(config.error_rate),
        dice.chance(config.wrong_rate),
    );
    let models = if prediction.labels {
        &CLASSIFIERS
    } else {
        &REGRESSORS
    };
    let model = &models[dice.below(models.len())];
    let tables = prompt::tables(&conversation.task);
    let render = |template: &str| {
        template
            .replace(
                "__TRAIN__",
                &read_csv(&find(&tables, &prediction.train.path)),
            )
            .replace("__TEST__", &read_csv(&find(&tables, &prediction.test.path)))
            .replace("__TARGET__", &literal(goal))
            .replace("__ID__", &literal(key))
            .replace(
                "__TIME__",
                &literal(prediction.time_column.as_deref().unwrap_or_default()),
            )
            .replace("__FILE__", &literal(&prediction.submission))
    };
    let target = format!("`{goal}`");
    let look = (
        format!(
            "{} both tables: what is in the test file, how {target} is distributed, what is missing.",
            dice.phrase(&[
                "First I look at",
                "I start with a look at",
                "Before modelling I inspect"
            ])
        ),
        render(LOOK),
    );
    let features = match &prediction.time_column {
        Some(time) => (format!("The rows to predict lie in the future, so I build features from the calendar of `{time}`, a trend, and what the test file knows."), render(FORECAST)),
        None => ("I turn the shared columns into numbers: gaps filled by the median, dates split, frequent categories one-hot.".to_owned(), render(FEATURES)),
    };
    let check = (
        format!(
            "The features are ready. I try {} and measure it on rows that it has not seen.",
            model.say
        ),
        render(&if prediction.time_column.is_some() {
            forecast_check(model)
        } else {
            check(model, prediction.labels)
        }),
    );
    let write = if wrong {
        (
            "The check is done; I write the file.".to_owned(),
            render(&constant(prediction.labels)),
        )
    } else {
        (
            format!(
                "The score on held-out rows is known now. I fit on the known rows, write `{}` and read it back to check its shape.",
                prediction.submission
            ),
            render(&WRITE.replace(
                "__VALUES__",
                if prediction.labels {
                    "classes[model.predict(X_new)]"
                } else {
                    "model.predict(X_new)"
                },
            )),
        )
    };
    let trip = trips.then(|| match dice.below(3) {
        0 => (2, without_imports(&check.1)),
        1 => (
            1,
            features
                .1
                .replacen(&literal(goal), &literal(&format!("{goal}_")), 1),
        ),
        _ => (
            1,
            format!(
                "print(train.corr()[{}].sort_values(ascend=False))\n{}",
                literal(goal),
                features.1
            ),
        ),
    });
    let fallback = render(&format!("{LOOK}\n{}", constant(prediction.labels)));
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
        tabular::finish(&prediction.submission, outputs, words)
    })
}

fn check(model: &Model, labels: bool) -> String {
    let (metric, score, prepare) = if labels {
        // Codes instead of labels: digits as text and mixed types confuse some models. `y` stays, so that a second run of
        // the cell does the same.
        let codes = "codes, classes = pd.factorize(y)\ngoal = pd.Series(codes, index=X.index)";
        (
            "f1_score",
            "f1_score(y_test, predicted, average=\"macro\")",
            codes,
        )
    } else {
        (
            "r2_score",
            "r2_score(y_test, predicted)",
            "goal = y.astype(float)",
        )
    };
    format!(
        "{}\nfrom sklearn.metrics import {metric}\nfrom sklearn.model_selection import train_test_split\n\n{prepare}\nrows = X.sample(min(len(X), {MOST_ROWS}), random_state=0).index\nX_train, X_test, y_train, y_test = train_test_split(X.loc[rows], goal.loc[rows], test_size=0.2, random_state=0)\nmodel = {}.fit(X_train, y_train)\npredicted = model.predict(X_test)\nprint(\"held-out score:\", round({score}, 4))\nmodel = model.fit(X.loc[rows], goal.loc[rows])",
        model.imports, model.make
    )
}

/// For forecasts simple trends stand beside the chosen model, and what does best on the latest known rows is used.
fn forecast_check(model: &Model) -> String {
    FORECAST_CHECK
        .replace("__IMPORTS__", model.imports)
        .replace("__MODEL__", model.make)
        .replace("__ROWS__", &MOST_ROWS.to_string())
}

const WRITE: &str = r#"submission = pd.DataFrame({__ID__: test[__ID__].to_numpy(), __TARGET__: __VALUES__})
submission.to_csv(__FILE__, index=False)
written = pd.read_csv(__FILE__)
print(written.head(3))
print("written:", written.shape, "of", len(test), "rows, missing:", int(written.isna().sum().sum()))"#;

/// A file that is complete but knows nothing: one prediction for all rows.
fn constant(labels: bool) -> String {
    let value = if labels {
        "train[__TARGET__].mode().iloc[0]"
    } else {
        "train[__TARGET__].median()"
    };
    format!(
        "submission = pd.DataFrame({{__ID__: test[__ID__].to_numpy(), __TARGET__: {value}}})\nsubmission.to_csv(__FILE__, index=False)\nprint(\"written:\", submission.shape, \"of\", len(test), \"rows, missing:\", int(submission.isna().sum().sum()))"
    )
}

fn without_imports(code: &str) -> String {
    let kept: Vec<&str> = code
        .lines()
        .filter(|line| !line.starts_with("from sklearn"))
        .collect();
    kept.join("\n").trim_start().to_owned()
}
