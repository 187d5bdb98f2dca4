//! The judgement whether a competition can become a task: by rules over the words of its pages, in sentences that cite them.

use serde_json::{Value, json};

use crate::prompt::section;

const HEADINGS: [&str; 5] = [
    "# Competition",
    "# Description",
    "# Evaluation",
    "# Data",
    "# Your judgement",
];

/// Words of contests in which no model predicts anything.
const NO_CHALLENGE: [&str; 16] = [
    "capture the flag",
    "code golf",
    "hackathon",
    "optimization puzzle",
    "optimisation puzzle",
    "shortest path",
    "travelling salesman",
    "traveling salesman",
    "packing problem",
    "write a paper",
    "submit a paper",
    "simulation competition",
    "agents compete",
    "your bot",
    "write-up will be judged",
    "notebook will be judged",
];
/// Words of contests whose results are given away, or a matter of luck.
const NO_WORK: [&str; 9] = [
    "march madness",
    "random numbers",
    "this is a test competition",
    "not a real competition",
    "for testing only",
    "guess the number",
    "lottery",
    "the answer is in",
    "answers are included",
];
const PREDICTS: [&str; 10] = [
    "predict", "classif", "forecast", "estimat", "detect", "recogni", "regress", "identif", "rank",
    "label",
];
const METRICS: [&str; 24] = [
    "accuracy",
    "auc",
    "roc",
    "log loss",
    "logloss",
    "rmse",
    "rmsle",
    "root mean",
    "mean squared",
    "mean absolute",
    "mae",
    "f1",
    "f-score",
    "kappa",
    "precision",
    "recall",
    "map@",
    "ndcg",
    "gini",
    "r2",
    "jaccard",
    "correlation",
    "error",
    "score",
];

/// The judgement as strict JSON.
pub fn judge(message: &str) -> String {
    let part = |heading: &str| {
        // Sections end at the next heading of the prompt; pages may hold headings of their own.
        let text = section(message, heading, &HEADINGS).unwrap_or_default();
        if text == "none" { String::new() } else { text }
    };
    let facts = part("# Competition");
    let (description, evaluation, data) =
        (part("# Description"), part("# Evaluation"), part("# Data"));
    let fact = |name: &str| {
        facts
            .lines()
            .find_map(|line| {
                line.strip_prefix("- ")?
                    .strip_prefix(name)?
                    .strip_prefix(": ")
            })
            .unwrap_or_default()
            .trim()
    };
    let all = format!(
        "{} {} {description} {evaluation} {data}",
        fact("Title"),
        fact("Tags")
    )
    .to_lowercase();
    let found = |words: &[&'static str]| words.iter().find(|word| all.contains(**word)).copied();
    let tables = fact("Files")
        .split(", ")
        .filter(|file| {
            let name = file.split(" (").next().unwrap_or_default().to_lowercase();
            [".csv", ".tsv", ".parquet", ".zip", ".json", ".jsonl"]
                .iter()
                .any(|ending| name.ends_with(ending))
        })
        .count();
    let challenge = match (found(&NO_CHALLENGE), found(&PREDICTS)) {
        (Some(word), _) => no(format!(
            "The pages speak of \"{word}\": nothing is predicted from data by a model."
        )),
        (None, Some(_)) => yes("The pages ask for predictions from data by a model."),
        (None, None) if !fact("Metric").is_empty() && fact("Metric") != "not named" => yes(
            "The pages do not say much, but a metric of predictions is named and rows are to be predicted.",
        ),
        (None, None) => no("No page says that anything is to be predicted from data."),
    };
    let work = match found(&NO_WORK) {
        Some(word) => no(format!(
            "The pages speak of \"{word}\": the result is given away or a matter of luck."
        )),
        None => yes("A good result takes work on features and models; nothing gives it away."),
    };
    let scored = METRICS
        .iter()
        .any(|word| evaluation.to_lowercase().contains(word))
        || !matches!(fact("Metric"), "" | "not named");
    let told = description.chars().count() + data.chars().count();
    let specified = if !scored {
        no("Neither the evaluation page nor a metric says how predictions are scored.")
    } else if told < 200 {
        no(format!(
            "Description and data pages have {told} characters in all, too few to know what to predict from which files."
        ))
    } else if data.is_empty() && tables < 2 {
        no(
            "There is no data page, and the files do not tell a training part from a part to predict.",
        )
    } else {
        yes("The pages say what is predicted, from which files, and how it is scored.")
    };
    json!({"valid_challenge": challenge, "meaningful_engineering": work, "well_specified": specified})
        .to_string()
}

fn yes(rationale: impl Into<String>) -> Value {
    json!({"verdict": "yes", "rationale": rationale.into()})
}

fn no(rationale: impl Into<String>) -> Value {
    json!({"verdict": "no", "rationale": rationale.into()})
}
