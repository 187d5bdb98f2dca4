//! Hand-made competitions, one for each way that a competition goes through a crawl, a filter and a preparation.
//!
//! All data is made up from the slug; every table has a signal, so that a model can beat a constant.

use super::table::{FEATURES, Table, board, class_of, dice, features};
use super::{Competition, World, datasets, odd, refused, shaped};

/// Rows of a table, and how many of them are for training.
pub(super) const ROWS: usize = 400;
pub(super) const TRAIN: usize = 300;

impl World {
    /// The hand-made competitions and datasets.
    pub fn small() -> Self {
        let mut competitions = vec![
            accuracy(),
            rmse(),
            rmsle(),
            auc(),
            multi_class_log_loss(),
            kappa(),
            map_at_3(),
            f1(),
        ];
        competitions.extend(shaped::all());
        competitions.extend(refused::all());
        competitions.extend(odd::all());
        Self {
            competitions,
            datasets: datasets::all(),
            ..Self::default()
        }
    }
}

/// What a competition's target is like.
pub(super) struct Target<'a> {
    pub id: &'a str,
    pub name: &'a str,
    pub value: &'a dyn Fn(f64) -> String,
    /// What the sample submission says in each of its columns after the id.
    pub sample: &'a [(&'a str, &'a str)],
}

/// A competition with `train.csv`, `test.csv` and `sample_submission.csv` after a target.
pub(super) fn tabular(id: u32, slug: &str, target: &Target<'_>) -> Competition {
    let mut dice = dice(slug);
    let mut table = Table::new(&[target.id]);
    table.header.extend(FEATURES.map(str::to_owned));
    table.header.push(target.name.into());
    for row in 0..ROWS {
        let features = features(&mut dice);
        let mut cells = vec![(row + 1).to_string()];
        cells.extend(features.values);
        cells.push((target.value)(features.signal));
        table.rows.push(cells);
    }
    with_files(Competition::new(id, slug), &table, TRAIN, target)
}

pub(super) fn with_files(
    competition: Competition,
    table: &Table,
    train_rows: usize,
    target: &Target<'_>,
) -> Competition {
    let (train, test) = table.split(train_rows);
    let id = test
        .header
        .iter()
        .position(|name| name == target.id)
        .unwrap_or(0);
    let mut sample = Table::new(&[target.id]);
    sample
        .header
        .extend(target.sample.iter().map(|(name, _)| (*name).to_owned()));
    sample.rows = test
        .rows
        .iter()
        .map(|row| {
            let values = target.sample.iter().map(|(_, value)| (*value).to_owned());
            std::iter::once(row[id].clone()).chain(values).collect()
        })
        .collect();
    competition
        .file("train.csv", train.csv())
        .file("test.csv", test.without(&[target.name]).csv())
        .file("sample_submission.csv", sample.csv())
}

/// The pages that most competitions have. `example` is the head of a submission.
pub(super) fn pages(
    competition: Competition,
    subject: &str,
    evaluation: &str,
    example: &str,
    target: &str,
) -> Competition {
    let title = competition.title.clone();
    competition
        .page("Description", format!("## {title}\n\n{subject}\n\nThe rows are made up by a program; no garden was measured."))
        .page("Evaluation", format!("{evaluation}\n\n## Submission File\n\nFor each row of the test set, predict `{target}`. The file should contain a header and have the following format:\n\n```\n{example}\n```"))
        .page("data-description", format!("## Files\n\n- **train.csv** - the training set; `{target}` is the target\n- **test.csv** - the test set; your objective is to predict `{target}`\n- **sample_submission.csv** - a sample submission file in the correct format\n\n## Columns\n\n- `width`, `height`, `weight` - measures, some of them missing\n- `kind` - one of four\n- `visits` - a count\n- `shade` - light, half or dark"))
        .page("rules", "One account per participant. No private sharing outside teams. Data may be used for any purpose.")
}

fn accuracy() -> Competition {
    let species = |signal| ["whelk", "cockle", "limpet"][class_of(signal, 3)].to_owned();
    let target = Target {
        id: "id",
        name: "species",
        value: &species,
        sample: &[("species", "whelk")],
    };
    let mut competition = pages(
        tabular(1001, "shells-and-snails", &target),
        "Welcome to this month's Playground competition! Tell the species of a shell from its measures.",
        "Submissions are evaluated using the **accuracy score**.",
        "id,species\n301,whelk\n302,cockle",
        "species",
    )
    .standings(board("shells-and-snails", 1200, 0.93, 0.33));
    competition.title = "Shells and Snails".into();
    competition.subtitle = "Playground: multi-class classification of shells".into();
    competition.metric = Some("Accuracy Score".into());
    competition.tags = vec![
        "data type > tabular".into(),
        "technique > classification > multiclass classification".into(),
    ];
    competition
}

fn rmse() -> Competition {
    let harvest = |signal: f64| format!("{:.2}", 120.0 + 35.0 * signal);
    let target = Target {
        id: "id",
        name: "harvest",
        value: &harvest,
        sample: &[("harvest", "120")],
    };
    let mut competition = pages(
        tabular(1002, "orchard-harvest", &target),
        "Predict what an orchard yields, in baskets.",
        "Submissions are scored on the root mean squared error. RMSE is defined as:\n\n$$\\textrm{RMSE} = \\sqrt{ \\frac{1}{N} \\sum_{i=1}^N (y_i - \\widehat{y}_i)^2}$$",
        "id,harvest\n301,120.5\n302,96",
        "harvest",
    )
    .standings(board("orchard-harvest", 420, 9.1, 40.0));
    competition.subtitle = "Playground: regression of harvests".into();
    competition.metric = Some("Root Mean Squared Error".into());
    competition.deadline = "2023-02-28T23:59:00.1Z".into();
    competition
}

fn rmsle() -> Competition {
    let price = |signal: f64| format!("{:.0}", (9.0 + 0.5 * signal).exp());
    let target = Target {
        id: "Id",
        name: "SalePrice",
        value: &price,
        sample: &[("SalePrice", "8000")],
    };
    let mut competition = pages(
        tabular(1003, "workshop-prices", &target),
        "Start here: predict for how much a workshop is sold.",
        "Submissions are evaluated on the Root Mean Squared Logarithmic Error (RMSLE) between the predicted value and the observed sales price.",
        "Id,SalePrice\n301,8000\n302,9100",
        "SalePrice",
    )
    .standings(board("workshop-prices", 160, 0.11, 0.6));
    competition.category = "Getting Started".into();
    competition.deadline = "2030-01-01T00:00:00Z".into();
    competition.enabled = "2018-08-30T17:36:00.907Z".into();
    competition.metric = Some("Root Mean Squared Logarithmic Error".into());
    competition.reward = "Knowledge".into();
    competition
}

fn auc() -> Competition {
    let late = |signal: f64| u8::from(signal > 0.4).to_string();
    let target = Target {
        id: "trip_id",
        name: "late",
        value: &late,
        sample: &[("late", "0.5")],
    };
    let mut competition = pages(
        tabular(1004, "ferry-delays", &target),
        "Which trips of the ferry will be late?",
        "Submissions are evaluated on [area under the ROC curve](https://en.wikipedia.org/wiki/Receiver_operating_characteristic) between the predicted probability and the observed target.",
        "trip_id,late\n301,0.5\n302,0.93",
        "late",
    )
    .standings(board("ferry-delays", 90, 0.97, 0.5));
    competition.metric = Some("Area Under Receiver Operating Characteristic Curve".into());
    competition.category = "Featured".into();
    competition.reward = "$25,000".into();
    competition.max_daily_submissions = 20;
    competition
}

fn multi_class_log_loss() -> Competition {
    let status = |signal| ["C", "CL", "D"][class_of(signal, 3)].to_owned();
    let sample = [
        ("Status_C", "0.4"),
        ("Status_CL", "0.3"),
        ("Status_D", "0.3"),
    ];
    let target = Target {
        id: "id",
        name: "Status",
        value: &status,
        sample: &sample,
    };
    let mut competition = pages(
        tabular(1005, "mushroom-outcomes", &target),
        "Give the probability of each of three outcomes.",
        "Submissions are evaluated using the multi-class logarithmic loss. For each id you must submit a set of predicted probabilities, one for every class: Status_C, Status_CL, Status_D. The submitted probabilities for a given row are not required to sum to one.",
        "id,Status_C,Status_CL,Status_D\n301,0.4,0.3,0.3\n302,0.1,0.8,0.1",
        "Status",
    )
    .standings(board("mushroom-outcomes", 240, 0.35, 1.4));
    competition.metric = Some("Multiclass Loss".into());
    competition
}

fn kappa() -> Competition {
    let quality = |signal| (3 + class_of(signal, 6)).to_string();
    let target = Target {
        id: "Id",
        name: "quality",
        value: &quality,
        sample: &[("quality", "5")],
    };
    let mut competition = pages(
        tabular(1006, "soil-quality", &target),
        "Grade soil from 3 to 8.",
        "Submissions are scored based on the **quadratic weighted kappa**, which measures the agreement between two outcomes.",
        "Id,quality\n301,5\n302,7",
        "quality",
    )
    .standings(board("soil-quality", 310, 0.88, 0.0));
    competition.metric = Some("Quadratic Weighted Kappa".into());
    competition
}

fn map_at_3() -> Competition {
    let fever = |signal| {
        ["dengue_fever", "malaria", "tungiasis", "zika", "plague"][class_of(signal, 5)].to_owned()
    };
    let target = Target {
        id: "id",
        name: "prognosis",
        value: &fever,
        sample: &[("prognosis", "malaria zika plague")],
    };
    let mut competition = pages(
        tabular(1007, "fever-ranking", &target),
        "Name up to three illnesses, the likeliest first.",
        "Submissions will be evaluated based on MAP@3. Each submission can contain up to 3 predictions (all separated by spaces), and the earlier a correct prediction occurs, the higher score it will receive.",
        "id,prognosis\n301,malaria zika plague\n302,zika plague malaria",
        "prognosis",
    )
    .standings(board("fever-ranking", 130, 0.81, 0.2));
    competition.metric = Some("MAP@{K}".into());
    competition
}

fn f1() -> Competition {
    let bloom = |signal: f64| if signal > 0.0 { "True" } else { "False" }.to_owned();
    let target = Target {
        id: "PlantId",
        name: "Blooms",
        value: &bloom,
        sample: &[("Blooms", "False")],
    };
    let mut competition = pages(
        tabular(1011, "hillside-blooms", &target),
        "<p>Will a plant bloom?</p><img src=\"https://example.org/pixel.gif?track=1\" width=\"1\" height=\"1\"><p>Words in <b>HTML</b>, as older pages are.</p>",
        "<p>Submissions are evaluated on the <a href=\"https://en.wikipedia.org/wiki/F-score?utm_source=page\">F1 score</a>.</p>",
        "PlantId,Blooms\n301,False\n302,True",
        "Blooms",
    )
    .standings(board("hillside-blooms", 260, 0.9, 0.4));
    for page in &mut competition.pages {
        page.mime_type = Some("text/html".into());
    }
    competition.metric = Some("F-Score (Micro)".into());
    competition.category = "Community".into();
    competition
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slugs_and_ids_are_unique() {
        let world = World::small();
        let slugs: std::collections::BTreeSet<_> = world
            .competitions
            .iter()
            .map(|competition| &competition.slug)
            .collect();
        let ids: std::collections::BTreeSet<_> = world
            .competitions
            .iter()
            .map(|competition| competition.id)
            .collect();
        assert_eq!(
            (slugs.len(), ids.len()),
            (world.competitions.len(), world.competitions.len())
        );
    }

    #[test]
    fn sample_submissions_name_the_rows_of_the_test_set() {
        let world = World::small();
        for slug in [
            "shells-and-snails",
            "bakery-sales",
            "breath-pressure",
            "mushroom-outcomes",
        ] {
            let competition = world.competition(slug).unwrap();
            let ids = |name: &str| -> Vec<String> {
                let file = competition
                    .files
                    .iter()
                    .find(|file| file.name == name)
                    .unwrap();
                let text = String::from_utf8(file.content.bytes().to_vec()).unwrap();
                text.lines()
                    .skip(1)
                    .map(|line| line.split(',').next().unwrap().to_owned())
                    .collect()
            };
            assert!(ids("test.csv").len() >= 100);
            assert_eq!(ids("test.csv"), ids("sample_submission.csv"), "{slug}");
        }
    }

    #[test]
    fn no_group_is_in_both_parts() {
        let world = World::small();
        let competition = world.competition("breath-pressure").unwrap();
        let groups = |place: usize| -> std::collections::BTreeSet<String> {
            let text =
                String::from_utf8(competition.files[place].content.bytes().to_vec()).unwrap();
            text.lines()
                .skip(1)
                .map(|line| line.split(',').nth(1).unwrap().to_owned())
                .collect()
        };
        assert!(groups(0).is_disjoint(&groups(1)));
    }
}
