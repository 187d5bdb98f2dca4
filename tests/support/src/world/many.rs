//! Competitions by the thousand, each made from its number when it is asked for: nothing of them is held.

use super::table::{FEATURES, Table, board, class_of, dice, features};
use super::{Competition, Content, World};

/// Rows of a table: little, as there are many.
const ROWS: usize = 24;

impl World {
    /// So many competitions: `many-00000`, `many-00001`, …
    pub fn many(competitions: usize) -> Self {
        Self {
            generated: competitions,
            ..Self::default()
        }
    }
}

/// The number in a slug of a generated competition.
pub(super) fn number_of(slug: &str) -> Option<usize> {
    let digits = slug.strip_prefix("many-")?;
    let number: usize = digits.parse().ok()?;
    (slug_of(number) == slug).then_some(number)
}

fn slug_of(number: usize) -> String {
    format!("many-{number:05}")
}

/// The competition of a number.
pub(super) fn competition(number: usize) -> Competition {
    let slug = slug_of(number);
    let id = u32::try_from(100_000 + number).unwrap_or(u32::MAX);
    let mut competition = Competition::new(id, slug.as_str())
        .page(
            "Description",
            format!("# Garden {number}\n\nTell a garden's colour from its measures."),
        )
        .page(
            "Evaluation",
            "Submissions are evaluated on **accuracy**.\n\n```\nid,colour\n0,red\n1,blue\n```",
        )
        .page(
            "data-description",
            "* train.csv\n* test.csv\n* sample_submission.csv\n\n`colour` is the target.",
        )
        .standings(board(&slug, 5, 0.9, 0.5));
    competition.metric = Some("Categorization Accuracy".into());
    competition.enabled = format!("20{:02}-03-01T00:00:00Z", 18 + number % 6);
    competition.deadline = format!("20{:02}-06-30T23:59:00Z", 18 + number % 6);
    let made = |part: fn(&Table) -> Table| {
        let slug = slug.clone();
        Content::made(move || part(&table(&slug)).csv())
    };
    competition
        .file("train.csv", made(|table| table.split(ROWS / 2).0))
        .file(
            "test.csv",
            made(|table| table.split(ROWS / 2).1.without(&["colour"])),
        )
        .file("sample_submission.csv", made(sample))
}

fn table(slug: &str) -> Table {
    let mut dice = dice(slug);
    let mut table = Table::new(&["id"]);
    table.header.extend(FEATURES.map(str::to_owned));
    table.header.push("colour".into());
    for id in 0..ROWS {
        let features = features(&mut dice);
        let mut row = vec![id.to_string()];
        row.extend(features.values);
        row.push(["red", "blue"][class_of(features.signal, 2)].to_owned());
        table.rows.push(row);
    }
    table
}

fn sample(table: &Table) -> Table {
    let (_, test) = table.split(ROWS / 2);
    let mut sample = Table::new(&["id", "colour"]);
    sample.rows = test
        .rows
        .iter()
        .map(|row| vec![row[0].clone(), "red".into()])
        .collect();
    sample
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_competition_is_found_by_its_slug_and_kept_when_it_is_changed() {
        let mut world = World::many(10_000);
        assert!(world.competition("many-09999").is_some());
        assert!(world.competition("many-10000").is_none());
        assert!(world.competition("many-1").is_none());
        world.competition_mut("many-00007").unwrap().deadline = "2030-01-01T00:00:00Z".into();
        assert_eq!(
            world.competition("many-00007").unwrap().deadline,
            "2030-01-01T00:00:00Z"
        );
        let slugs: Vec<String> = (0..world.places())
            .filter_map(|place| world.at(place))
            .map(|competition| competition.slug.clone())
            .collect();
        assert_eq!(slugs.len(), 10_000);
        assert_eq!(slugs.iter().filter(|slug| *slug == "many-00007").count(), 1);
    }
}
