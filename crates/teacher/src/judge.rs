//! The judge: grades an attempt by rules over the facts and the transcript, in words that cite them.

use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

use crate::dice::Dice;
use crate::prompt::{answer_names, pattern};

/// What the prompt tells of an attempt.
struct Facts {
    question: String,
    constraints: String,
    format: String,
    transcript: String,
    answer: String,
    reference: String,
    reward: f64,
    cells: u32,
    failed: u32,
    last_ok: bool,
    supported: bool,
}

/// The judgement as strict JSON.
pub fn judge(message: &str, seed: &str) -> String {
    let facts = read(message);
    let mut dice = Dice::new(&["judge", message, seed]);
    let right = facts.reward >= 0.5;
    let clarity = clarity(&facts);
    let value = educational_value(&facts);
    let exploration = exploration(&facts);
    let robustness = robustness(&facts);
    let alignment = alignment(&facts, right);
    let plausibility = plausibility(&facts, right, &mut dice);
    let sound = plausibility.0 >= 3 && alignment.0 >= 3 && exploration.0 >= 2 && robustness.0 >= 2;
    let grade = |(score, rationale): &(u8, String)| json!({"score": score, "rationale": rationale});
    let judgement: Value = json!({
        "clarity": grade(&clarity),
        "educational_value": grade(&value),
        "exploration": grade(&exploration),
        "robustness": grade(&robustness),
        "alignment": grade(&alignment),
        "plausibility": grade(&plausibility),
        "verdict": if right && sound { "keep" } else { "reject" },
    });
    judgement.to_string()
}

fn read(message: &str) -> Facts {
    static CELLS: LazyLock<Regex> =
        LazyLock::new(|| pattern(r"- Code cells run: (\d+), of which failed: (\d+)"));
    // The attempt is material that may hold anything, so facts are read from behind it.
    let (before, rest) = message.split_once("\n# Attempt\n").unwrap_or((message, ""));
    let (transcript, after) = rest
        .rsplit_once("\n# Facts, established by code\n")
        .unwrap_or((rest, message));
    let query = before
        .rsplit_once("\n# Query\n")
        .map_or(before, |(_, query)| query);
    let (query, format) = query.rsplit_once("Answer format:").unwrap_or((query, ""));
    let (question, constraints) = query.rsplit_once("Constraints:").unwrap_or((query, ""));
    let line = |start: &str| {
        after
            .lines()
            .find_map(|line| line.strip_prefix("- ")?.strip_prefix(start))
            .unwrap_or_default()
            .trim()
            .to_owned()
    };
    let reference = after
        .split_once("- Reference answer:")
        .map(|(_, rest)| {
            rest.split_once("- Reward by the verifier:")
                .map_or(rest, |(reference, _)| reference)
        })
        .unwrap_or_default();
    let answer = after
        .split_once("- Final answer:")
        .map(|(_, rest)| {
            rest.split_once("- Reference answer:")
                .map_or(rest, |(answer, _)| answer)
        })
        .unwrap_or_default();
    let count = |group: usize| {
        CELLS
            .captures(after)
            .and_then(|found| found[group].parse().ok())
            .unwrap_or(0)
    };
    Facts {
        question: question.trim().to_owned(),
        constraints: constraints.trim().to_owned(),
        format: format.trim().to_owned(),
        transcript: transcript.to_owned(),
        answer: answer.trim().to_owned(),
        reference: reference.trim().to_owned(),
        reward: line("Reward by the verifier:").parse().unwrap_or(0.0),
        cells: count(1),
        failed: count(2),
        last_ok: line("The last cell succeeded:") == "yes",
        supported: line("Every value of the answer was printed by a cell:") == "yes",
    }
}

fn clarity(facts: &Facts) -> (u8, String) {
    let words = facts.constraints.split_whitespace().count();
    let named = answer_names(&facts.format).len();
    let rounded = facts.format.contains("round")
        || facts.constraints.to_lowercase().contains("round")
        || facts.format.contains("integer");
    if facts.question.split_whitespace().count() < 3 {
        return (
            1,
            "The question is too short to say what is asked.".to_owned(),
        );
    }
    match (words, named, rounded) {
        (15.., 1.., true) => (
            5,
            format!(
                "The constraints fix the choices in {words} words, and the format names {named} value(s) with their form."
            ),
        ),
        (6.., 1.., _) => (
            4,
            format!(
                "The format names {named} value(s); the {words} words of constraints leave little open."
            ),
        ),
        (_, 1.., _) => (
            3,
            format!(
                "The format names {named} value(s), but the constraints say little about variants and missing values."
            ),
        ),
        _ if facts.question.contains("Predict the column") => (
            4,
            "Target, files, columns of the submission and metric are all named.".to_owned(),
        ),
        _ => (
            3,
            "What is asked is understandable, but the form of the answer is loosely described."
                .to_owned(),
        ),
    }
}

fn educational_value(facts: &Facts) -> (u8, String) {
    let text = format!("{} {}", facts.question, facts.constraints).to_lowercase();
    let mentions = |words: &[&str]| {
        words
            .iter()
            .copied()
            .find(|word| text.contains(word))
            .map(str::to_owned)
    };
    let hard = [
        "cross-valid",
        "regress",
        "cluster",
        "k-means",
        "principal component",
        "logistic",
        "decision tree",
        "bootstrap",
        "kruskal",
        "partial",
        "train",
        "join",
        "predict",
    ];
    let medium = [
        "correlat",
        "test",
        "outlier",
        "group",
        "quantile",
        "skew",
        "rolling",
        "month",
        "weight",
        "pivot",
        "impute",
        "z-score",
        "standardis",
        "bins",
        "log",
    ];
    if let Some(word) = mentions(&hard) {
        (
            5,
            format!(
                "It needs modelling or several linked steps (`{word}`), well beyond a look-up."
            ),
        )
    } else if let Some(word) = mentions(&medium) {
        (
            4,
            format!(
                "It exercises a standard technique of analysis (`{word}`) with its usual pitfalls."
            ),
        )
    } else {
        (
            3,
            "A basic statistic with a condition: useful practice, but simple.".to_owned(),
        )
    }
}

fn exploration(facts: &Facts) -> (u8, String) {
    let looks = [
        ".head(",
        ".describe(",
        ".dtypes",
        ".info(",
        ".shape",
        "isna()",
        ".nunique(",
        ".columns",
        "sample(",
    ];
    let seen: Vec<&str> = looks
        .iter()
        .copied()
        .filter(|look| facts.transcript.contains(look))
        .collect();
    match (facts.cells, seen.len()) {
        (0, _) => (
            1,
            "No code was run, so the data was never looked at.".to_owned(),
        ),
        (1, 0) => (
            2,
            "A single cell computes at once, without a look at the data.".to_owned(),
        ),
        (_, 0) => (
            2,
            format!(
                "{} cells ran, none of which inspects the data.",
                facts.cells
            ),
        ),
        (1, _) => (
            3,
            format!("Some inspection ({}) in the only cell.", seen.join(" ")),
        ),
        (_, 1) => (
            3,
            format!("A short look ({}) before the calculation.", seen[0]),
        ),
        (cells, many) => (
            if many >= 3 { 5 } else { 4 },
            format!(
                "The attempt inspects the data ({}) before it computes, over {cells} cells.",
                seen.join(" ")
            ),
        ),
    }
}

fn robustness(facts: &Facts) -> (u8, String) {
    match (facts.cells, facts.failed, facts.last_ok) {
        (0, _, _) => (1, "There is no code that could run.".to_owned()),
        (cells, 0, _) => (5, format!("All {cells} cells ran without an error.")),
        (cells, failed, true) if failed * 2 <= cells => (
            4,
            format!(
                "{failed} of {cells} cells failed; the error was read and repaired, and the last cell succeeded."
            ),
        ),
        (cells, failed, true) => (
            3,
            format!("{failed} of {cells} cells failed before the last one succeeded."),
        ),
        (cells, failed, false) => (
            1,
            format!(
                "{failed} of {cells} cells failed, the last one among them, and it was never repaired."
            ),
        ),
    }
}

fn alignment(facts: &Facts, right: bool) -> (u8, String) {
    let names = answer_names(&facts.format);
    let present = names
        .iter()
        .filter(|name| facts.answer.contains(&format!("@{name}[")))
        .count();
    if names.is_empty() {
        return if right {
            (4, "The work ends in what was asked for.".to_owned())
        } else {
            (2, "The result does not meet what was asked for.".to_owned())
        };
    }
    match (present == names.len(), right) {
        (true, true) => (
            5,
            format!(
                "All {} value(s) of the format are given, by the method that the constraints ask for.",
                names.len()
            ),
        ),
        (true, false) => (
            2,
            format!(
                "All {} value(s) are given, but the result shows that a constraint was not followed.",
                names.len()
            ),
        ),
        _ => (
            1,
            format!(
                "Only {present} of {} value(s) of the format are given.",
                names.len()
            ),
        ),
    }
}

fn plausibility(facts: &Facts, right: bool, dice: &mut Dice) -> (u8, String) {
    let short = |text: &str| text.chars().take(80).collect::<String>();
    match (right, facts.supported) {
        (true, true) => {
            let opening = dice.phrase(&[
                "The printed output supports",
                "A cell printed",
                "The outputs contain",
            ]);
            (
                5,
                format!(
                    "{opening} {}, and it agrees with the reference.",
                    short(&facts.answer)
                ),
            )
        }
        (true, false) => (
            4,
            format!(
                "{} agrees with the reference (reward {}), though not every value was printed by a cell.",
                short(&facts.answer),
                facts.reward
            ),
        ),
        (false, true) => (
            2,
            format!(
                "The values were printed, but {} differs from the reference {}.",
                short(&facts.answer),
                short(&facts.reference)
            ),
        ),
        (false, false) => (
            1,
            format!(
                "The answer {} is neither printed by a cell nor equal to the reference.",
                short(&facts.answer)
            ),
        ),
    }
}
