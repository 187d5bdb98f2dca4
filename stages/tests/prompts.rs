//! Every prompt rendered with fixed records, so that a change of one shows as text.

use std::collections::BTreeSet;

use minijinja::{Value, context, value::Serde};
use synth_core::{ColumnSummary, ExecutionFacts, TableSummary};
use synth_stages::prompts::{self, Prompt, render};

fn column(name: &str, kind: &str, range: Option<(&str, &str)>) -> ColumnSummary {
    ColumnSummary {
        name: name.to_owned(),
        kind: kind.to_owned(),
        missing: 2,
        distinct: 1000,
        min: range.map(|(min, _)| min.to_owned()),
        max: range.map(|(_, max)| max.to_owned()),
        mean: None,
        examples: vec!["a".to_owned(), "b".to_owned()],
    }
}

fn tables() -> Value {
    let table = |path: &str, encoding: &str, separator: &str| TableSummary {
        path: path.to_owned(),
        table: None,
        encoding: encoding.to_owned(),
        separator: separator.to_owned(),
        rows: 1200,
        columns: vec![
            column("price eur", "number", Some(("1.5", "9"))),
            column("kind", "text", None),
        ],
    };
    Value::from(Serde(vec![
        table("orders.csv", "utf-8", ","),
        table("kunden.csv", "cp1252", ";"),
    ]))
}

#[test]
fn the_rules_for_agents() {
    for (name, prompt) in [
        ("tags", &prompts::AGENT_TAGS),
        ("tools", &prompts::AGENT_TOOLS),
    ] {
        insta::assert_snapshot!(
            format!("agent_{name}"),
            render(prompt, context! { turns => 15, cell_seconds => 60 })
        );
    }
}

#[test]
fn the_reminder() {
    for scaffold in ["tags", "tools"] {
        let problem = "Your message held no action.";
        insta::assert_snapshot!(
            format!("reminder_{scaffold}"),
            render(&prompts::AGENT_REMINDER, context! { problem, scaffold })
        );
    }
}

#[test]
fn the_exploration() {
    let inputs = |seed_question: Option<&str>, context: &str| {
        context! { title => "shop", context => context, tables => tables(), per_task => 5, seed_question => seed_question }
    };
    insta::assert_snapshot!("explore", render(&prompts::EXPLORE, inputs(None, "")));
    insta::assert_snapshot!(
        "explore_with_seed",
        render(
            &prompts::EXPLORE,
            inputs(Some("What is the mean price?"), "Orders of a shop.")
        )
    );
}

#[test]
fn the_question() {
    let inputs = context! {
        title => "shop",
        context => "Orders of a shop.",
        tables => tables(),
        question => "What is the mean of `price eur`?",
        constraints => "Two decimals.",
        answer_format => "@mean[number]",
    };
    insta::assert_snapshot!("solve", render(&prompts::SOLVE, inputs));
}

#[test]
fn the_prediction() {
    let inputs = |metric: &str, time_column: Option<&str>| {
        context! {
            train_file => "train.csv",
            test_file => "test.csv",
            targets => ["kind"],
            keys => ["row_id"],
            id_column => "row_id",
            submission_file => "submission.csv",
            metric => metric,
            time_column => time_column,
            time_format => (),
            step => (),
            entities => Vec::<String>::new(),
            only_keys => false,
            train_tables => Vec::<String>::new(),
            test_table => (),
            metadata_file => (),
        }
    };
    insta::assert_snapshot!(
        "predict_classes",
        render(&prompts::PREDICT, inputs("macro_f1", None))
    );
    insta::assert_snapshot!(
        "predict_future",
        render(&prompts::PREDICT, inputs("clipped_r2", Some("month")))
    );
    insta::assert_snapshot!(
        "predict_series",
        render(
            &prompts::PREDICT,
            context! {
                targets => ["sales", "returns"],
                keys => ["day", "shop", "article"],
                time_format => "%d/%m/%Y",
                step => "1D",
                entities => ["shop", "article"],
                only_keys => true,
                metadata_file => "metadata.txt",
                ..inputs("clipped_r2", Some("day"))
            }
        )
    );
    insta::assert_snapshot!(
        "predict_from_a_database",
        render(
            &prompts::PREDICT,
            context! {
                train_file => "train.sqlite",
                test_file => "test.sqlite",
                train_tables => ["part_1", "part_2", "part_3"],
                test_table => "rows",
                metadata_file => "metadata.txt",
                ..inputs("macro_f1", None)
            }
        )
    );
}

#[test]
fn the_designs() {
    let inputs = |columns_known: &str| {
        let tables = tables().get_item_by_index(0).unwrap();
        context! {
            title => "Orders of a shop",
            tags => ["retail", "food"],
            description => "What was ordered.",
            table => tables,
            columns_known => columns_known,
            rows => "price eur,kind\n1.5,a",
            max_targets => 3,
            frequencies => ["1h", "1D"],
            aggregations => ["mean", "sum"],
        }
    };
    insta::assert_snapshot!(
        "design_table",
        render(&prompts::DESIGN_TABLE, inputs("kind: what it is"))
    );
    insta::assert_snapshot!("design_series", render(&prompts::DESIGN_SERIES, inputs("")));
    insta::assert_snapshot!(
        "design_again",
        render(
            &prompts::DESIGN_AGAIN,
            context! { problem => "there is no column `x`; `targets` names it" }
        )
    );
}

#[test]
fn the_competition() {
    let inputs = |more: Value| {
        context! {
            train_file => "train.csv",
            sample_file => "sample_submission.csv",
            keys => ["id"],
            rows => 40,
            submission_file => "submission.csv",
            files => [context! { path => "train.csv", bytes => 1234 }],
            turns => 15,
            cell_seconds => 60,
            total_seconds => 300,
            memory_mib => 2048,
            ..more
        }
    };
    let number = context! {
        test_file => "test.csv", table_key => Value::from(()), targets => ["prediction"], known_as => "price",
        class_column => Value::from(()), classes => Vec::<Value>::new(), form => "number", most => 0, metric => "rmse", is_max => false,
        grading => "time", graded_by => "day", evaluation => "Scored by RMSE.", more_files => 3, absent => ["lost.csv"], teams => 120,
    };
    insta::assert_snapshot!("compete_number", render(&prompts::COMPETE, inputs(number)));
    let classes = context! {
        test_file => Value::from(()), table_key => "image", targets => ["y_a", "y_b"], known_as => Value::from(()), class_column => "y",
        classes => [context! { column => "y_a", label => "a" }, context! { column => "y_b", label => "b" }],
        form => "probability", most => 0, metric => "multiclass_log_loss", is_max => false, grading => "stratified",
        graded_by => Value::from(()), evaluation => "", more_files => 0, absent => Vec::<Value>::new(), teams => Value::from(()),
    };
    insta::assert_snapshot!(
        "compete_classes",
        render(&prompts::COMPETE, inputs(classes))
    );
}

#[test]
fn the_judgement() {
    let facts = ExecutionFacts {
        cells: 3,
        failed_cells: 1,
        last_cell_ok: true,
        answer_in_outputs: true,
    };
    let inputs = context! {
        question => "What is the mean of `price eur`?",
        constraints => "",
        answer_format => "@mean[number]",
        transcript => "## Agent\n\n<answer>@mean[3.1]</answer>",
        answer => "@mean[3.1]",
        reference => "@mean[3.1]",
        reward => "1.0000",
        facts => Value::from(Serde(facts)),
    };
    insta::assert_snapshot!("grade", render(&prompts::GRADE, inputs));
}

#[test]
fn the_question_whether_a_competition_is_valid() {
    let inputs = context! {
        title => "Rain in the hills",
        slug => "rain-in-the-hills",
        segment => "Playground",
        tags => ["tabular", "weather"],
        metric => "Root Mean Squared Error",
        teams => 120,
        files => ["train.csv (1.2 MB)", "sample_submission.csv (10.0 kB)"],
        description => "Predict the rain of a day.",
        evaluation => "Submissions are scored on the RMSE.",
        data => "",
    };
    insta::assert_snapshot!("valid", render(&prompts::VALID, inputs));
    let nothing = context! {
        title => "", slug => "", segment => (), tags => Vec::<String>::new(), metric => (), teams => (),
        files => Vec::<String>::new(), description => "", evaluation => "", data => "",
    };
    insta::assert_snapshot!("valid_of_nothing", render(&prompts::VALID, nothing));
}

#[test]
fn equivalence() {
    let inputs = context! {
        question => "Does income rise with education?",
        reference => "Yes, by about 8% a year.",
        answer => "It rises; each year adds 7.9%.",
    };
    insta::assert_snapshot!("equivalent", render(&prompts::EQUIVALENT, inputs));
}

/// What a prompt's front matter says.
fn front_matter(prompt: &Prompt) -> (u32, BTreeSet<String>) {
    let (front, _) = prompt
        .text()
        .strip_prefix("---\n")
        .and_then(|rest| rest.split_once("\n---\n"))
        .expect("front matter");
    let field = |name: &str| {
        front
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}: ")))
            .expect("a field")
    };
    let inputs = field("inputs")
        .trim_matches(['[', ']'])
        .split(", ")
        .map(str::to_owned)
        .collect();
    (field("version").parse().expect("a version"), inputs)
}

#[test]
fn the_front_matter_names_the_inputs_that_a_template_uses() {
    let environment = minijinja::Environment::new();
    for prompt in prompts::ALL {
        let (version, named) = front_matter(prompt);
        assert!(version >= 1, "{}", prompt.name);
        let template = environment
            .template_from_str(prompt.body())
            .expect("a template");
        let used: BTreeSet<String> = template.undeclared_variables(false).into_iter().collect();
        let missing: Vec<_> = used.difference(&named).collect();
        assert!(
            missing.is_empty(),
            "`{}` uses {missing:?}, which its front matter does not name",
            prompt.name
        );
    }
}
