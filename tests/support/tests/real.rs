//! The world of real competitions: pages and standings from ../shared, tables made up in their shape.

#![expect(clippy::print_stdout, reason = "a skipped test says why")]

use std::path::{Path, PathBuf};

use synth_fixtures::World;

/// The file, which is no part of the repository. Where `SYNTH_REQUIRE_SHARED` is set, it has to be there.
fn file() -> Option<PathBuf> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/data/kaggle/competitions.json.gz");
    if file.exists() {
        return Some(file);
    }
    assert!(
        std::env::var_os("SYNTH_REQUIRE_SHARED").is_none(),
        "{} is missing",
        file.display()
    );
    println!("skipped: {} is not here", file.display());
    None
}

#[test]
fn sixty_competitions_have_pages_standings_and_tables_that_fit_together() {
    let Some(file) = file() else { return };
    let world = World::real(&file).unwrap();
    assert_eq!(world.competitions.len(), 60);
    for competition in &world.competitions {
        let rows = |place: usize| -> (Vec<String>, Vec<Vec<String>>) {
            let bytes = competition.files[place].content.bytes();
            let mut reader = csv::Reader::from_reader(bytes.as_ref());
            let header = reader
                .headers()
                .unwrap()
                .iter()
                .map(str::to_owned)
                .collect();
            let rows = reader
                .records()
                .map(|row| row.unwrap().iter().map(str::to_owned).collect())
                .collect();
            (header, rows)
        };
        let ((train_header, train), (test_header, test), (_, sample)) = (rows(0), rows(1), rows(2));
        assert!(train.len() >= 300, "{}", competition.slug);
        assert_eq!(
            train_header.len(),
            test_header.len() + 1,
            "{}",
            competition.slug
        );
        let ids = |rows: &[Vec<String>]| -> Vec<String> {
            rows.iter().map(|row| row[0].clone()).collect()
        };
        assert_eq!(ids(&test), ids(&sample), "{}", competition.slug);
        assert!(
            competition.leaderboard.private.len() > 10,
            "{}",
            competition.slug
        );
        assert!(competition.metric.is_some() && competition.pages.len() == 3);
    }
}

#[test]
fn targets_and_classes_are_those_that_the_pages_name() {
    let Some(file) = file() else { return };
    let world = World::real(&file).unwrap();
    let header = |slug: &str, place: usize| {
        let bytes = world.competition(slug).unwrap().files[place]
            .content
            .bytes();
        String::from_utf8(bytes.to_vec())
            .unwrap()
            .lines()
            .next()
            .unwrap()
            .to_owned()
    };
    assert!(header("playground-series-s3e9", 0).ends_with(",Strength"));
    assert_eq!(
        header("playground-series-s3e26", 2),
        "id,Status_C,Status_CL,Status_D"
    );
    assert_eq!(
        world.competition("titanic").unwrap().files[2].name,
        "gender_submission.csv"
    );
    let named = world
        .competitions
        .iter()
        .filter(|competition| !header(&competition.slug, 0).ends_with(",target"))
        .count();
    assert!(named >= 30, "{named} targets are named");
}
