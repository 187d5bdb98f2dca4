//! Hand-made competitions with a shape of their own: rows in time, rows in groups, several targets, several stages.

use super::small::{ROWS, TRAIN, Target, tabular, with_files};
use super::table::{FEATURES, Table, board, dice, features, normal};
use super::{Competition, Content};

/// The competitions.
pub(super) fn all() -> Vec<Competition> {
    vec![time_split(), grouped(), two_targets(), two_stages()]
}

/// Days of sales in shops: the test set is what comes after the training set.
fn time_split() -> Competition {
    let mut dice = dice("bakery-sales");
    let mut table = Table::new(&["id", "date", "shop", "product", "num_sold"]);
    let first = jiff::civil::date(2019, 1, 1);
    for day in 0..120_i32 {
        let date = first.saturating_add(jiff::Span::new().days(day));
        for (place, shop) in ["north", "south"].iter().enumerate() {
            for (rank, product) in ["bread", "cake", "roll"].iter().enumerate() {
                let week = if day % 7 >= 5 { 1.4 } else { 1.0 };
                let sold = (40.0 + 25.0 * place as f64 + 12.0 * rank as f64 + 0.2 * f64::from(day))
                    * week
                    + 4.0 * normal(&mut dice);
                table.rows.push(vec![
                    table.rows.len().to_string(),
                    date.to_string(),
                    (*shop).to_owned(),
                    (*product).to_owned(),
                    format!("{:.0}", sold.max(1.0)),
                ]);
            }
        }
    }
    let rows = 90 * 6;
    let target = Target {
        id: "id",
        name: "num_sold",
        value: &|_| String::new(),
        sample: &[("num_sold", "50")],
    };
    let mut competition = with_files(Competition::new(1008, "bakery-sales"), &table, rows, &target)
        .page("Description", "Forecast the sales of a month in two bakeries.")
        .page("Evaluation", "Submissions are evaluated on SMAPE between forecasts and actual values. We define SMAPE = 0 when the actual and predicted values are both 0.\n\n```\nid,num_sold\n540,50\n541,60\n```")
        .page("data-description", "- **train.csv** - the training set, which covers 90 days\n- **test.csv** - the test set; you predict `num_sold` for the 30 days after the training set\n- **sample_submission.csv** - a sample submission file in the correct format")
        .standings(board("bakery-sales", 75, 4.5, 60.0));
    competition.metric = Some("SMAPE".into());
    competition.tags = vec![
        "data type > time series analysis".into(),
        "data type > tabular".into(),
    ];
    competition.category = "Research".into();
    competition
}

/// Rows that belong together: whole breaths are in the training set or in the test set.
fn grouped() -> Competition {
    let mut dice = dice("breath-pressure");
    let mut table = Table::new(&["id", "breath_id", "time_step", "flow", "valve", "pressure"]);
    for breath in 0..60 {
        let depth = 10.0 + 3.0 * normal(&mut dice);
        for step in 0..12 {
            let time = f64::from(step) * 0.25;
            let flow = depth * (time * 1.1).sin();
            let pressure = 5.0 + 1.5 * flow + 0.4 * normal(&mut dice);
            table.rows.push(vec![
                (table.rows.len() + 1).to_string(),
                (breath + 1).to_string(),
                format!("{time:.2}"),
                format!("{flow:.3}"),
                u8::from(step < 6).to_string(),
                format!("{pressure:.3}"),
            ]);
        }
    }
    let target = Target {
        id: "id",
        name: "pressure",
        value: &|_| String::new(),
        sample: &[("pressure", "0")],
    };
    let mut competition = with_files(Competition::new(1009, "breath-pressure"), &table, 45 * 12, &target)
        .page("Description", "Simulate a lung. Each breath is a short time series of its own.")
        .page("Evaluation", "The competition will be scored as the mean absolute error between the predicted and actual pressures.\n\n```\nid,pressure\n541,20\n542,23\n```")
        .page("data-description", "- **breath_id** - globally-unique id of a breath; no breath is in both files\n- **pressure** - the target, not in test.csv")
        .standings(board("breath-pressure", 650, 0.4, 12.0));
    competition.metric = Some("Mean Absolute Error".into());
    competition.category = "Featured".into();
    competition.reward = "$7,500".into();
    competition
}

/// Two targets, each a column of the submission, scored by the mean of their errors.
fn two_targets() -> Competition {
    let mut dice = dice("kiln-defects");
    let mut table = Table::new(&["id"]);
    table.header.extend(FEATURES.map(str::to_owned));
    table.header.extend(["crack".to_owned(), "bend".to_owned()]);
    for row in 0..ROWS {
        let features = features(&mut dice);
        let mut cells = vec![row.to_string()];
        cells.extend(features.values);
        cells.push(u8::from(features.signal > 0.5).to_string());
        cells.push(u8::from(features.signal + 0.5 * normal(&mut dice) < -0.3).to_string());
        table.rows.push(cells);
    }
    let (train, test) = table.split(TRAIN);
    let mut sample = Table::new(&["id", "crack", "bend"]);
    sample.rows = test
        .rows
        .iter()
        .map(|row| vec![row[0].clone(), "0.5".into(), "0.5".into()])
        .collect();
    let mut competition = Competition::new(1010, "kiln-defects")
        .file("train.csv", train.csv())
        .file("test.csv", test.without(&["crack", "bend"]).csv())
        .file("sample_submission.csv", sample.csv())
        .page("Description", "Find the defects of tiles.")
        .page("Evaluation", "Submissions are evaluated using area under the ROC curve. The AUC is calculated for each of the two defects and the average is the final score.\n\n```\nid,crack,bend\n300,0.5,0.5\n```")
        .page("data-description", "train.csv, test.csv and sample_submission.csv; the targets are `crack` and `bend`.")
        .standings(board("kiln-defects", 300, 0.93, 0.5));
    competition.metric = Some("Mean Column-wise ROC AUC".into());
    competition
}

/// A competition in two stages: the files of the later one count.
fn two_stages() -> Competition {
    let wins = |signal: f64| u8::from(signal > 0.0).to_string();
    let target = Target {
        id: "ID",
        name: "Pred",
        value: &wins,
        sample: &[("Pred", "0.5")],
    };
    let mut competition = tabular(1012, "village-cup", &target);
    let stages: Vec<(String, Content)> = competition
        .files
        .iter()
        .flat_map(|file| {
            (1..=2).map(move |stage| {
                (
                    format!("stage{stage}/Stage{stage}_{}", file.name),
                    file.content.clone(),
                )
            })
        })
        .collect();
    competition.files.clear();
    for (name, content) in stages {
        competition = competition.file(&name, content);
    }
    // The first stage asked for fewer rows.
    let first = competition
        .files
        .iter_mut()
        .find(|file| file.name.ends_with("Stage1_sample_submission.csv"));
    if let Some(file) = first {
        let text = String::from_utf8_lossy(&file.content.bytes()).into_owned();
        let lines: Vec<&str> = text.lines().take(41).collect();
        file.content = (lines.join("\n") + "\n").into();
    }
    let mut competition = competition
        .page(
            "Description",
            "Predict who wins, first for past years (stage 1), then for this one (stage 2).",
        )
        .page(
            "Evaluation",
            "Submissions are scored on the log loss.\n\n```\nID,Pred\n301,0.5\n302,0.7\n```",
        )
        .page(
            "data-description",
            "Files of each stage are in a folder of their own. Only the second stage counts.",
        )
        .standings(board("village-cup", 101, 0.42, 0.9));
    competition.metric = Some("Log Loss".into());
    competition.tags = vec!["subject > people and society > sports".into()];
    competition
}
