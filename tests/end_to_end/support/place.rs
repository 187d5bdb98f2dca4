//! A folder of a test's own, with a configuration that keeps runs short.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use tempfile::TempDir;

use super::{Endpoint, KEY, KEY_VARIABLE, Synth};

/// Two sources, two queries each, two attempts at each query: some ten trajectories.
const SMALL: &str = r#"
[run]
name = "small"

[jobs]
items = 4
sandboxes = 3

[sources.bundled]
kind = "bundled"
only = ["diabetes", "shop"]

[prepare]
eval_share = 0.5

[queries]
per_task = 2

[trajectories]
attempts = 2
"#;

/// Questions about tables need no more of the stack, whose import is dear where nearly every run starts anew.
const TABLES_ONLY: &str = "
[sandbox]
preload = \"pandas\"
parked = 3
";

/// A working folder; it goes with its value.
pub struct Place {
    folder: TempDir,
    invocations: AtomicUsize,
}

impl Place {
    /// A folder with nothing in it: the defaults hold.
    pub fn empty() -> Self {
        Self {
            folder: tempfile::Builder::new()
                .prefix("synth-test-")
                .tempdir()
                .unwrap(),
            invocations: AtomicUsize::new(0),
        }
    }

    /// A small run with the builtin teacher.
    pub fn small() -> Self {
        let place = Self::empty();
        place.write("work/synth.toml", &format!("{SMALL}{TABLES_ONLY}"));
        place
    }

    /// A small run with a model behind an endpoint.
    pub fn at(endpoint: &Endpoint) -> Self {
        let place = Self::small();
        place.write(
            "work/synth.toml",
            &format!("{SMALL}{TABLES_ONLY}\n{}", model(&endpoint.base_url)),
        );
        place
    }

    /// A small run of other sources: the text of their tables in the configuration.
    pub fn of(endpoint: Option<&Endpoint>, sources: &str) -> Self {
        let place = Self::small();
        let (head, rest) = SMALL.split_once("[sources.bundled]").unwrap();
        let (_, tail) = rest.split_once("\n\n").unwrap();
        let model = endpoint.map_or(String::new(), |endpoint| model(&endpoint.base_url));
        place.write(
            "work/synth.toml",
            &format!("{head}{sources}\n{tail}\n{model}"),
        );
        place
    }

    /// Where `synth` is started.
    pub fn folder(&self) -> PathBuf {
        let folder = self.folder.path().join("work");
        fs::create_dir_all(&folder).unwrap();
        folder.canonicalize().unwrap()
    }

    /// What `synth` writes: the ledger, the store, the runs.
    pub fn output(&self) -> PathBuf {
        self.folder().join("output")
    }

    /// The folder of the run.
    pub fn run_folder(&self) -> PathBuf {
        self.output().join("small")
    }

    pub fn write(&self, path: &str, text: &str) {
        self.write_bytes(path, text.as_bytes());
    }

    pub fn write_bytes(&self, path: &str, bytes: &[u8]) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }

    /// `synth`, to be given arguments.
    pub fn synth(&self, arguments: &[&str]) -> Synth {
        Synth::new(&self.folder(), self.logs())
            .env(KEY_VARIABLE, KEY)
            .args(arguments)
    }

    /// `synth run --json`.
    pub fn run(&self) -> Synth {
        self.synth(&["run", "--json"])
    }

    /// Another command that runs `synth` in the end.
    pub fn wrapped(&self, command: std::process::Command) -> Synth {
        Synth::wrapped(command, &self.folder(), self.logs()).env(KEY_VARIABLE, KEY)
    }

    /// The account that the run's folder has of a stage.
    pub fn manifest(&self, stage: &str) -> serde_json::Value {
        let path = self.run_folder().join(stage).join("manifest.json");
        let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{error}: {}", path.display()));
        serde_json::from_slice(&bytes).unwrap()
    }

    fn logs(&self) -> PathBuf {
        let number = self.invocations.fetch_add(1, Relaxed);
        self.folder.path().join(format!("log-{number}"))
    }
}

fn model(base_url: &str) -> String {
    format!(
        "[models.teacher]\nprovider = \"openai\"\nbase_url = \"{base_url}\"\nmodel = \"builtin/teacher\"\napi_key_env = \"{KEY_VARIABLE}\"\n"
    )
}

/// The folder of this repository.
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Data that is no part of the repository, by its path under `../shared/data`: none, said so, where it is absent. Where
/// `SYNTH_REQUIRE_SHARED` is set, it has to be there.
pub fn shared(path: &str) -> Option<PathBuf> {
    let path = repository().join("../shared/data").join(path);
    if path.exists() {
        return Some(path);
    }
    assert!(
        std::env::var_os("SYNTH_REQUIRE_SHARED").is_none(),
        "{} is missing",
        path.display()
    );
    println!("skipped: there is no {}", path.display());
    None
}
