//! Hand-made competitions that a filter drops, each for one reason, on the data of a plain one.

use super::small::{Target, pages, tabular};
use super::table::board;
use super::{Competition, DataFile};

/// The competitions.
pub(super) fn all() -> Vec<Competition> {
    let value = |signal: f64| format!("{:.2}", 10.0 + signal);
    let target = Target {
        id: "id",
        name: "score",
        value: &value,
        sample: &[("score", "10")],
    };
    let plain = |id: u32, slug: &str, board_teams: usize| {
        let mut competition = pages(
            tabular(id, slug, &target),
            "A plain regression.",
            "Submissions are scored on the root mean squared error.",
            "id,score\n301,10\n302,11",
            "score",
        )
        .standings(board(slug, board_teams, 0.3, 2.0));
        competition.metric = Some("Root Mean Squared Error".into());
        competition
    };
    let mut kernels_only = plain(2001, "notebook-garden", 40);
    kernels_only.kernels_only = true;
    kernels_only.category = "Featured".into();

    let no_leaderboard = plain(2002, "quiet-meadow", 0);

    let mut golf = plain(2003, "shortest-program", 44);
    golf.pages.clear();
    let mut golf = golf
        .page("Description", "Code golf: write the shortest Python program that solves each of 400 puzzles. Fewer bytes, better score.")
        .page("Evaluation", "Your submission is a zip file of programs `task001.py` to `task400.py`. A correct program scores 2500 minus its length in bytes.");
    golf.metric = Some("Golf Score".into());
    golf.tags = vec![
        "technique > optimization".into(),
        "subject > code golf".into(),
    ];
    golf.category = "Research".into();

    let mut unknown_metric = plain(2004, "odd-measure", 33);
    unknown_metric.metric = Some("Weighted Frobnication Index".into());
    unknown_metric.pages[1].content = "Submissions are evaluated on the Weighted Frobnication Index, as defined in the notebook.\n\n```\nid,score\n301,10\n```".into();

    let mut rules = plain(2005, "closed-gate", 55);
    rules.rules_accepted = false;
    rules.joined = false;

    let mut old = plain(2006, "old-mill", 66);
    old.enabled = "2014-11-04T00:00:00Z".into();
    old.deadline = "2015-01-06T23:59:00Z".into();
    old.category = "Featured".into();

    let mut disabled = plain(2007, "shut-shop", 25);
    disabled.submissions_disabled = true;

    let mut huge = plain(2008, "huge-haul", 77);
    huge.files.push(DataFile {
        stated_bytes: Some(20_000_000_000),
        ..DataFile::new("images.bin", "too large to have here")
    });

    let mut not_joined = plain(2009, "far-island", 88);
    not_joined.joined = false;

    let mut hackathon = plain(2010, "town-hackathon", 0);
    hackathon.pages.clear();
    let mut hackathon = hackathon
        .page("Description", "A hackathon: build a demo of an app for the town. Judges read your write-up and watch your video.")
        .page("Evaluation", "Entries are graded by a panel on creativity, clarity and impact.");
    hackathon.metric = None;
    hackathon.files.clear();
    hackathon.tags = vec!["subject > hackathon".into()];

    // One of the slugs that a published benchmark keeps for itself, with data of our own.
    let overlap = plain(2011, "leaf-classification", 99);

    let mut unlisted = plain(2012, "hidden-cove", 111);
    unlisted.listed = false;

    vec![
        kernels_only,
        no_leaderboard,
        golf,
        unknown_metric,
        rules,
        old,
        disabled,
        huge,
        not_joined,
        hackathon,
        overlap,
        unlisted,
    ]
}
