//! What a prompt for a competition says: its facts, line by line.

use crate::prompt::names;

/// A competition as a solver is asked to enter it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Contest {
    /// The table with known answers.
    pub train: String,
    /// The table with the rows to predict, where there is one.
    pub test: Option<String>,
    /// The example submission.
    pub sample: String,
    /// The columns of the submission that align rows.
    pub keys: Vec<String>,
    /// The key's name in the tables, where it is another.
    pub table_key: Option<String>,
    /// The target's name in the table with known answers, where it is another.
    pub table_target: Option<String>,
    /// The columns of the submission that hold predictions.
    pub targets: Vec<String>,
    /// Where the targets are probabilities of one column's labels: that column, and each target with its label.
    pub classes: Option<(String, Vec<(String, String)>)>,
    /// What a predicted cell holds.
    pub values: Values,
    /// The metric's name.
    pub metric: String,
    /// The file to write.
    pub submission: String,
}

/// What a predicted cell holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Values {
    /// A number.
    #[default]
    Number,
    /// A label.
    Label,
    /// A probability.
    Probability,
    /// Labels, the most likely first, at most so many.
    Ranked(usize),
    /// A text.
    Text,
}

/// The competition that a question is about.
pub fn read(text: &str) -> Option<Contest> {
    if !text
        .trim_start()
        .starts_with("This is a competition. Predict ")
    {
        return None;
    }
    let facts = text.split_once("## Facts")?.1;
    let fact = |name: &str| {
        facts.lines().find_map(|line| {
            line.trim()
                .strip_prefix("- ")?
                .strip_prefix(name)?
                .strip_prefix(": ")
        })
    };
    let first = |name: &str| fact(name).and_then(|value| names(value).into_iter().next());
    let file =
        |name: &str| first(name).map(|path| path.strip_prefix("data/").unwrap_or(&path).to_owned());
    let values = fact("values")?.trim();
    let values = match values.split_once(", at most ") {
        Some((_, most)) => Values::Ranked(most.trim().parse().unwrap_or(1).clamp(1, 1000)),
        None if values.starts_with("label") => Values::Label,
        None if values.starts_with("probability") => Values::Probability,
        None if values.starts_with("text") => Values::Text,
        None if values.starts_with("ranked") => Values::Ranked(5),
        None => Values::Number,
    };
    let contest = Contest {
        train: file("known answers")?,
        test: file("rows to predict"),
        sample: file("example submission")?,
        keys: names(fact("key columns")?),
        table_key: first("key column in the tables"),
        table_target: first("column in the table of known answers"),
        targets: names(fact("columns to predict")?),
        classes: fact("classes").and_then(classes),
        values,
        metric: first("metric")?,
        submission: first("submission")?,
    };
    (!contest.targets.is_empty()).then_some(contest)
}

/// `` `Status` with `Status_C` for `C`, `Status_D` for `D` ``.
fn classes(fact: &str) -> Option<(String, Vec<(String, String)>)> {
    let all = names(fact);
    let (column, pairs) = all.split_first()?;
    let pairs = pairs
        .chunks_exact(2)
        .map(|pair| (pair[0].clone(), pair[1].clone()))
        .collect();
    Some((column.clone(), pairs))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_are_read_line_by_line() {
        let text = "This is a competition. Predict `Status`.\n\n## Facts\n\n- known answers: `data/train.csv`\n- rows to predict: `data/a b/test.csv`\n- example submission: `data/sample_submission.csv`\n- key columns: `id`\n- key column in the tables: `Id`\n- columns to predict: `Status_C`, `Status_D`\n- column in the table of known answers: `status`\n- classes: `Status` with `Status_C` for `C`, `Status_D` for `D`\n- values: probability\n- metric: `multiclass_log_loss`, less is better\n- submission: `submission.csv`\n";
        let contest = read(text).expect("it is a competition");
        assert_eq!(contest.test.as_deref(), Some("a b/test.csv"));
        assert_eq!(contest.table_key.as_deref(), Some("Id"));
        assert_eq!(contest.table_target.as_deref(), Some("status"));
        assert_eq!(contest.targets, ["Status_C", "Status_D"]);
        let (column, pairs) = contest.classes.expect("classes are named");
        assert_eq!(column, "Status");
        assert_eq!(pairs[1], ("Status_D".to_owned(), "D".to_owned()));
        assert_eq!(contest.values, Values::Probability);
        let none = text
            .replace("`data/a b/test.csv`", "none")
            .replace("values: probability", "values: ranked labels, at most 3");
        let contest = read(&none).expect("it is a competition");
        assert_eq!((contest.test, contest.values), (None, Values::Ranked(3)));
    }
}
