//! Instructions and solutions beside each other: what changes one changes the other.

use serde_json::json;

use super::super::recipe::{Feature, Format, Imputer, Model, Problem, Recipe, Scaler, Within};
use super::examples::recipe;
use super::mutants::{ENDINGS, disobedient};
use super::solution::{Shortcut, solution};
use super::wording::{WORDINGS, instructions};
use super::{judged, predictions, worded};

/// A recipe of the other kind: several targets, several tables, no categories, no seed.
fn other() -> Recipe {
    Recipe {
        problem: Problem::Regression,
        targets: vec!["energy".to_owned(), "mood score".to_owned()],
        features: recipe()
            .features
            .into_iter()
            .filter(|feature| feature.is_numeric)
            .collect(),
        imputer: Imputer::MostFrequent,
        scaler: Scaler::MinMax,
        model: Model::LinearRegression,
        params: Vec::new(),
        format: Format::Sqlite,
        train_file: "train_v1.sqlite".to_owned(),
        train_tables: vec!["people".to_owned(), "habits".to_owned()],
        test_file: "val_v1.sqlite".to_owned(),
        test_table: "rows".to_owned(),
        ..recipe()
    }
}

#[test]
fn every_wording_reads_well() {
    for (seed, wording) in ["steps", "prose", "brief"].into_iter().enumerate() {
        insta::assert_snapshot!(wording, instructions(&recipe(), seed as u64));
        insta::assert_snapshot!(
            format!("{wording}_of_several_targets"),
            instructions(&other(), seed as u64)
        );
    }
}

#[test]
fn the_solution_is_plain_code() {
    insta::assert_snapshot!("solution", solution(&recipe(), Shortcut::None));
    insta::assert_snapshot!(
        "solution_of_several_targets",
        solution(&other(), Shortcut::None)
    );
}

#[test]
fn a_changed_parameter_changes_both_the_text_and_the_code() {
    type Change = fn(&mut Recipe);
    let changes: Vec<(&str, Change)> = vec![
        ("target", |r| r.targets = vec!["energy".into()]),
        ("targets", |r| r.targets.push("energy".into())),
        ("target order", |r| r.targets = vec!["b".into(), "a".into()]),
        ("feature order", |r| r.features.reverse()),
        ("feature", |r| drop(r.features.pop())),
        ("feature kind", |r| r.features[0].is_numeric = false),
        ("other feature", |r| {
            r.features[0] = Feature {
                column: "age".into(),
                is_numeric: true,
                description: "years of age".into(),
            };
        }),
        ("range", |r| drop(r.ranges.remove(1))),
        ("no range", |r| r.ranges.clear()),
        ("range order", |r| r.ranges.reverse()),
        ("lower bound", |r| {
            r.ranges[0].within = Within::Between(4.5, 10.5);
        }),
        ("upper bound", |r| {
            r.ranges[0].within = Within::Between(4.0, 10.25);
        }),
        ("category", |r| {
            r.ranges[2].within = Within::OneOf(vec!["Bern".into()]);
        }),
        ("ranged column", |r| {
            r.ranges[1].column = "years".into();
            r.ranges[1].description = "years in this job".into();
        }),
        ("imputer", |r| r.imputer = Imputer::Mean),
        ("other imputer", |r| r.imputer = Imputer::MostFrequent),
        ("scaler", |r| r.scaler = Scaler::MinMax),
        ("model", |r| r.model = Model::LogisticRegression),
        ("parameter", |r| r.params[1].1 = json!(90)),
        ("no parameters", |r| r.params.clear()),
        ("seed", |r| r.random_state = 8),
        ("train file", |r| r.train_file = "train.csv".into()),
        ("test file", |r| r.test_file = "test.csv".into()),
        ("submission", |r| r.submission = "prediction.csv".into()),
        ("id", |r| r.id_column = "_row_id".into()),
        ("parquet", |r| r.format = Format::Parquet),
        ("one table", |r| {
            r.format = Format::Sqlite;
            r.train_tables = vec!["a".into()];
            r.test_table = "b".into();
        }),
    ];
    let several: Vec<(&str, Change)> = vec![
        ("train table", |r| r.train_tables[1] = "others".into()),
        ("table order", |r| r.train_tables.reverse()),
        ("train tables", |r| r.train_tables.push("more".into())),
        ("test table", |r| r.test_table = "others".into()),
        ("joint or each", |r| {
            r.problem = Problem::Classification;
        }),
    ];
    let all = changes
        .into_iter()
        .map(|change| (recipe(), change))
        .chain(several.into_iter().map(|change| (other(), change)));
    for (before, (name, change)) in all {
        let mut after = before.clone();
        change(&mut after);
        let code = |recipe| solution(recipe, Shortcut::None);
        assert_ne!(code(&before), code(&after), "{name}");
        for seed in 0..WORDINGS.len() as u64 {
            assert_ne!(
                instructions(&before, seed),
                instructions(&after, seed),
                "{name}, wording {seed}"
            );
        }
    }
}

#[test]
fn instructions_hold_every_parameter_of_the_code() {
    let recipe = recipe();
    for seed in 0..WORDINGS.len() as u64 {
        let text = instructions(&recipe, seed);
        assert!(
            text.starts_with("Follow this workflow to the letter: "),
            "{text}"
        );
        for part in [
            "`data/train_v1.csv`",
            "`data/val_v1.csv`",
            "`data/metadata.txt`",
            "`mood`",
            "`row_id`",
            "\"hours of sleep per night\"",
            "\"where the person lives\"",
            "\"hours before a screen\"",
            "\"years of age\"",
            "between 4 and 10.5",
            "between 18 and 80",
            "`New \"York\"`",
            "`median`",
            "`most_frequent`",
            "`StandardScaler`",
            "`handle_unknown=\"ignore\"`",
            "`sparse_output=False`",
            "`MLPClassifier`",
            "`hidden_layer_sizes=(16,)`",
            "`max_iter=80`",
            "`random_state=7`",
            "`submission.csv`",
        ] {
            assert!(text.contains(part), "wording {seed} lacks {part}:\n{text}");
        }
    }
}

#[test]
fn a_column_whose_description_is_not_its_own_is_named() {
    for description in [
        "",
        "a \"quoted\" word",
        "two\nlines",
        "years of age",
        " padded",
    ] {
        let mut recipe = recipe();
        recipe.features[0].description = description.to_owned();
        recipe.ranges[0].description = description.to_owned();
        for seed in 0..WORDINGS.len() as u64 {
            let text = instructions(&recipe, seed);
            assert!(
                text.contains("`sleep` between 4 and 10.5"),
                "{description:?}: {text}"
            );
        }
    }
}

#[test]
fn names_that_no_text_can_quote_are_refused() {
    for name in ["a`b", "", " a", "a\nb"] {
        let recipe = Recipe {
            targets: vec![name.to_owned()],
            ..recipe()
        };
        assert_eq!(worded(&recipe, 0).unwrap_err().reason, "unquotable_name");
    }
    let mut category = recipe();
    category.ranges[2].within = Within::OneOf(vec!["a`b".to_owned(), "c".to_owned()]);
    assert_eq!(worded(&category, 0).unwrap_err().reason, "unquotable_name");
    for seed in 0..3 {
        assert!(worded(&recipe(), seed).unwrap().contains("`mood`"));
    }
}

#[test]
fn each_instruction_can_be_disobeyed_and_only_those_that_there_are() {
    let names = |recipe: &Recipe| -> Vec<String> {
        disobedient(recipe)
            .into_iter()
            .map(|solution| solution.name)
            .collect()
    };
    assert_eq!(
        names(&recipe()),
        [
            "skip_scaler",
            "skip_filter: sleep",
            "skip_filter: age",
            "skip_filter: city",
            "drop_feature: screen time",
            "other_seed",
            "other_imputer",
            "impute_zero",
            "features_reversed"
        ]
    );
    let mut small = other();
    small.features = vec![recipe().features[1].clone()];
    small.ranges.clear();
    assert!(names(&small).is_empty(), "{:?}", names(&small));
    let mut codes: Vec<String> = disobedient(&recipe())
        .into_iter()
        .map(|solution| solution.code.replace(&solution.file, "submission.csv"))
        .collect();
    codes.push(solution(&recipe(), Shortcut::None));
    let all = codes.len();
    codes.sort();
    codes.dedup();
    assert_eq!(codes.len(), all, "two solutions are the same");
}

#[test]
fn only_solutions_that_ran_are_counted() {
    let recipe = recipe();
    let truth = b"row_id,mood\n1,a\n2,b\n".to_vec();
    let all = disobedient(&recipe);
    let endings = r#"["ran", "ran", "same", {"failed": "ValueError: no"}]"#;
    let files = [
        (ENDINGS.to_owned(), endings.as_bytes().to_vec()),
        (all[0].file.clone(), truth.clone()),
        (all[1].file.clone(), b"row_id,mood\n1,a\n2,a\n".to_vec()),
    ];
    let judge = |truth: &[u8], files: &[(String, Vec<u8>)]| {
        let files = files.iter().cloned().collect();
        judged(
            &recipe,
            String::new(),
            String::new(),
            truth.to_vec(),
            &all,
            &files,
        )
    };
    let followed = judge(&truth, &files).unwrap();
    let separated: Vec<bool> = followed
        .mutants
        .iter()
        .map(|mutant| mutant.separated)
        .collect();
    assert_eq!(separated, [false, true]);
    assert!((followed.separated - 0.5).abs() < 1e-9);
    assert_eq!(followed.remarks.len(), all.len() - 2);
    assert!(
        followed.remarks[1].ends_with("failed: ValueError: no"),
        "{:?}",
        followed.remarks
    );
    assert!(
        followed.remarks[2].ends_with("no time was left"),
        "{:?}",
        followed.remarks
    );

    let nobody = judge(&truth, &[]).unwrap();
    assert!(nobody.mutants.is_empty() && nobody.separated == 0.0);
    let constant = judge(b"row_id,mood\n1,a\n2,a\n", &files).unwrap_err();
    assert_eq!(constant.reason, "degenerate_reference");
}

#[test]
fn predictions_that_say_nothing_are_noticed() {
    let numbers = Recipe {
        problem: Problem::Regression,
        targets: vec!["y".to_owned()],
        ..recipe()
    };
    let sound = |cells: [&str; 3]| {
        let text = format!("row_id,y\n1,{}\n2,{}\n3,{}\n", cells[0], cells[1], cells[2]);
        predictions::sound(&numbers, text.as_bytes())
    };
    assert_eq!(sound(["1", "2", "2"]), Ok(()));
    for cells in [
        ["2", "2.0000000001", "2"],
        ["1", "", "2"],
        ["1", "nan", "2"],
        ["1", "2", "inf"],
    ] {
        assert!(sound(cells).is_err(), "{cells:?}");
    }
    assert!(predictions::sound(&numbers, b"row_id,x\n1,2\n").is_err());
    assert!(predictions::sound(&numbers, b"row_id,y\n").is_err());
    assert!(predictions::sound(&numbers, b"row_id,y\n1\n").is_err());
}

#[test]
fn two_runs_that_differ_are_told_apart_by_line() {
    assert_eq!(
        predictions::difference(b"id,y\n1,2\n", b"id,y\n1,3\n"),
        "two runs differ, first in line 2: `1,2` and `1,3`"
    );
    assert_eq!(
        predictions::difference(b"id\n1\n", b"id\n"),
        "two runs wrote 2 and 1 lines"
    );
}
