//! Fidelity: the official client works against the fixture. Lists, files, pages, downloads with the right bytes, the leaderboard.
//!
//! Runs when `SYNTH_TEST_PYTHON_KAGGLE` names a Python with the packages of `requirements-kaggle.txt`; where
//! `SYNTH_REQUIRE_KAGGLE_CLIENT` is set, it has to. The client's address for tests is `http://localhost`, whose port is fixed:
//! `http_proxy` leads it to the fixture's.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test that cannot go on panics, and one that is skipped says why"
)]

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use synth_fixtures::{Fault, Fixture, KEY, Rule, TOKEN, USERNAME, World};

struct Client {
    python: PathBuf,
    home: tempfile::TempDir,
    proxy: String,
}

impl Client {
    fn of(fixture: &Fixture) -> Option<Self> {
        let Some(python) = std::env::var_os("SYNTH_TEST_PYTHON_KAGGLE") else {
            assert!(
                std::env::var_os("SYNTH_REQUIRE_KAGGLE_CLIENT").is_none(),
                "SYNTH_TEST_PYTHON_KAGGLE names no Python with the official client"
            );
            println!("skipped: SYNTH_TEST_PYTHON_KAGGLE names no Python with the official client");
            return None;
        };
        Some(Self {
            python: python.into(),
            home: tempfile::tempdir().unwrap(),
            proxy: fixture.api_url().to_owned(),
        })
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.python);
        command
            .args(["-m", "kaggle"])
            .args(arguments)
            .env_clear()
            .env("HOME", self.home.path())
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("PYTHONIOENCODING", "utf-8")
            .env("KAGGLE_API_ENVIRONMENT", "LOCALHOST")
            .env("http_proxy", &self.proxy)
            .env("KAGGLE_USERNAME", USERNAME)
            .env("KAGGLE_KEY", KEY);
        command
    }

    /// What the client prints; it has to end well.
    fn run(&self, arguments: &[&str]) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        text(&output)
    }

    fn folder(&self) -> &Path {
        self.home.path()
    }
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// A file of a zip on disk.
fn unzipped(path: &Path, name: &str) -> Vec<u8> {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(path).unwrap()).unwrap();
    let mut bytes = Vec::new();
    archive
        .by_name(name)
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    bytes
}

fn content(world: &World, slug: &str, name: &str) -> Vec<u8> {
    let competition = world.competition(slug).unwrap();
    let file = competition
        .files
        .iter()
        .find(|file| file.name == name)
        .unwrap();
    file.content.bytes().to_vec()
}

#[test]
fn the_official_client_lists_reads_and_downloads_competitions() {
    let world = World::small();
    let fixture = Fixture::start(world.clone());
    let Some(client) = Client::of(&fixture) else {
        return;
    };

    let list = client.run(&["competitions", "list", "--csv"]);
    assert!(
        list.contains(
            "competitions/shells-and-snails,2022-01-31 23:59:00,Playground,Swag,1200,True"
        ),
        "{list}"
    );
    let token = list
        .lines()
        .find_map(|line| line.strip_prefix("Next Page Token = "))
        .unwrap();
    let next = client.run(&["competitions", "list", "--csv", "--page-token", token]);
    assert!(
        next.contains("leaf-classification") && !next.contains("shells-and-snails"),
        "{next}"
    );
    let found = client.run(&[
        "competitions",
        "list",
        "--csv",
        "-s",
        "ferry",
        "--category",
        "featured",
    ]);
    assert!(
        found.contains("ferry-delays") && !found.contains("shells"),
        "{found}"
    );

    let files = client.run(&["competitions", "files", "shells-and-snails", "--csv"]);
    for name in ["train.csv", "test.csv", "sample_submission.csv"] {
        let bytes = content(&world, "shells-and-snails", name).len();
        assert!(
            files.contains(&format!("{name},{bytes},2021-12-20")),
            "{files}"
        );
    }

    let slug = "shells-and-snails";
    let pages = client.run(&["competitions", "pages", slug, "list", slug, "--csv"]);
    assert_eq!(
        pages.lines().collect::<Vec<_>>(),
        [
            "name",
            "Description",
            "Evaluation",
            "data-description",
            "rules"
        ]
    );
    let page = [
        "competitions",
        "pages",
        slug,
        "list",
        slug,
        "--content",
        "--page-name",
        "evaluation",
    ];
    let page = client.run(&page);
    assert!(page.contains("accuracy score"), "{page}");

    let to = client.folder().to_str().unwrap();
    client.run(&[
        "competitions",
        "download",
        "shells-and-snails",
        "-p",
        to,
        "-q",
    ]);
    let bundle = client.folder().join("shells-and-snails.zip");
    assert_eq!(
        unzipped(&bundle, "train.csv"),
        content(&world, "shells-and-snails", "train.csv")
    );
    client.run(&[
        "competitions",
        "download",
        "ferry-delays",
        "-f",
        "test.csv",
        "-p",
        to,
        "-q",
    ]);
    assert_eq!(
        std::fs::read(client.folder().join("test.csv")).unwrap(),
        content(&world, "ferry-delays", "test.csv")
    );
    client.run(&[
        "competitions",
        "download",
        "zipped-alone",
        "-f",
        "train.csv",
        "-p",
        to,
        "-q",
    ]);
    assert_eq!(
        unzipped(&client.folder().join("train.csv.zip"), "train.csv"),
        content(&world, "zipped-alone", "train.csv")
    );

    let board = client.run(&[
        "competitions",
        "leaderboard",
        "ferry-delays",
        "--show",
        "--csv",
    ]);
    assert!(
        board.contains("100400000,team 0,2022-01-31 22:58:59,0.97"),
        "{board}"
    );
    client.run(&[
        "competitions",
        "leaderboard",
        "ferry-delays",
        "--download",
        "-p",
        to,
        "-q",
    ]);
    let zip = client.folder().join("ferry-delays.zip");
    let name = "ferry-delays-publicleaderboard-2023-11-21T19:40:00.csv";
    let lines = String::from_utf8(unzipped(&zip, name))
        .unwrap()
        .lines()
        .count();
    assert_eq!(lines, 91);

    let storage: Vec<_> = fixture
        .requests()
        .into_iter()
        .filter(|seen| seen.route == "Storage")
        .collect();
    assert!(
        storage
            .iter()
            .all(|seen| seen.status == 200 && !seen.has("authorization") && !seen.has("cookie"))
    );
    assert_eq!(storage.len(), 3);
}

#[test]
fn the_official_client_lists_reads_and_downloads_datasets() {
    let world = World::small();
    let fixture = Fixture::start(world.clone());
    let Some(client) = Client::of(&fixture) else {
        return;
    };
    let list = client.run(&[
        "datasets",
        "list",
        "--csv",
        "-s",
        "river",
        "--file-type",
        "csv",
        "--license",
        "cc",
    ]);
    assert!(
        list.contains("fixture/river-fish") && !list.contains("town-rents"),
        "{list}"
    );
    let files = client.run(&["datasets", "files", "fixture/pictures", "--csv"]);
    assert!(
        files.contains("images/00.png") && files.contains("Next Page Token"),
        "{files}"
    );
    let to = client.folder().to_str().unwrap();
    client.run(&["datasets", "metadata", "fixture/river-fish", "-p", to]);
    let metadata = std::fs::read_to_string(client.folder().join("dataset-metadata.json")).unwrap();
    assert!(
        metadata.contains("CC0-1.0") && metadata.contains("species of the fish"),
        "{metadata}"
    );
    client.run(&["datasets", "download", "fixture/river-fish", "-p", to, "-q"]);
    let dataset = world.dataset("fixture/river-fish").unwrap();
    assert_eq!(
        unzipped(&client.folder().join("river-fish.zip"), "fish.csv"),
        dataset.files[0].content.bytes()
    );
}

#[test]
fn the_official_client_understands_refusals_and_goes_on_after_a_cut() {
    let world = World::small();
    let fixture = Fixture::start(world.clone());
    let Some(client) = Client::of(&fixture) else {
        return;
    };
    let to = client.folder().to_str().unwrap();
    let refused = |arguments: &[&str]| {
        let output = client.command(arguments).output().unwrap();
        text(&output)
    };
    let rules = refused(&["competitions", "download", "closed-gate", "-p", to]);
    assert!(
        rules.contains("You must accept this competition's rules"),
        "{rules}"
    );
    let wrong = text(
        &client
            .command(&["competitions", "list"])
            .env("KAGGLE_KEY", "wrong")
            .output()
            .unwrap(),
    );
    assert!(wrong.contains("Authentication required"), "{wrong}");
    assert!(fixture.requests().iter().any(|seen| seen.status == 401));
    let bearer = text(
        &client
            .command(&["competitions", "files", "ferry-delays", "--csv"])
            .env("KAGGLE_API_TOKEN", TOKEN)
            .env_remove("KAGGLE_USERNAME")
            .env_remove("KAGGLE_KEY")
            .output()
            .unwrap(),
    );
    assert!(bearer.contains("train.csv"), "{bearer}");
    fixture.fault(Rule::new(Fault::Int64Strings));
    fixture.fault(
        Rule::new(Fault::Cut { at: 1000 })
            .slug("shells-and-snails")
            .times(1),
    );
    client.run(&["competitions", "files", "shells-and-snails", "--csv"]);
    client.run(&[
        "competitions",
        "download",
        "shells-and-snails",
        "-p",
        to,
        "-q",
    ]);
    let bundle = client.folder().join("shells-and-snails.zip");
    assert_eq!(
        unzipped(&bundle, "train.csv"),
        content(&world, "shells-and-snails", "train.csv")
    );
    assert!(
        fixture
            .requests()
            .iter()
            .any(|seen| seen.status == 206 && seen.has("if-range"))
    );
}
