//! Recipes carried out in real sandboxes: one of our own, bad ones, and those of published tasks.

#![expect(
    clippy::print_stdout,
    reason = "a test says what it skips and what it measured"
)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use serde_json::Value;
use synth_core::config::{Config, Layer};
use synth_core::{DataFile, Fingerprint, Limits, Memo, MemoError};
use synth_pipeline::Blobs;

use super::super::recipe::{Feature, Model, Problem, Range, Recipe, Scaler, Within};
use super::super::script::Script;
use super::{Followed, Refusal, examples, follow, predictions};
use crate::services::Services;

/// Remembers nothing.
struct NoMemo;

#[async_trait]
impl Memo for NoMemo {
    async fn get(&self, _: Fingerprint) -> Result<Option<Vec<u8>>, MemoError> {
        Ok(None)
    }

    async fn put(&self, _: Fingerprint, _: Vec<u8>) -> Result<(), MemoError> {
        Ok(())
    }
}

/// Real sandboxes and a store for files.
pub(in crate::prepare::designed) struct Bench {
    /// Where code runs.
    pub services: Services,
    /// The store.
    pub blobs: Blobs,
    /// The default ones.
    pub limits: Limits,
    _folder: tempfile::TempDir,
}

impl Bench {
    /// Nothing where the kernel does not isolate.
    pub async fn open() -> Option<Self> {
        let cache = std::env::var("SYNTH__SANDBOX__CACHE").map(|cache| Layer::Key {
            origin: "the environment".to_owned(),
            path: "sandbox.cache".to_owned(),
            value: cache,
        });
        let layers: Vec<Layer> = cache.into_iter().collect();
        let config: Config = synth_core::config::load(&layers).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let services = Services::new(
            &config,
            Arc::new(NoMemo),
            folder.path().join("scratch"),
            |_| {},
        );
        if let Err(error) = services.sandboxes().await {
            let error = error.to_string();
            assert!(error.contains("isolat"), "{error}");
            println!("skipped: {error}");
            return None;
        }
        let limits = &config.prepare.limits;
        Some(Self {
            services,
            blobs: Blobs::open(&folder.path().join("blobs")).unwrap(),
            limits: Limits {
                turns: limits.turns,
                cell_seconds: limits.cell_seconds,
                total_seconds: limits.total_seconds,
                memory_bytes: limits.memory_mib << 20,
                output_bytes: limits.output_bytes,
            },
            _folder: folder,
        })
    }

    /// A stored file, as a task has it.
    pub fn file(&self, path: &str, bytes: &[u8]) -> DataFile {
        DataFile {
            path: path.to_owned(),
            bytes: bytes.len() as u64,
            blake3: self.blobs.put(bytes).unwrap(),
        }
    }

    async fn follow(&self, recipe: &Recipe, files: &[DataFile]) -> Result<Followed, Refusal> {
        follow(
            &self.services,
            &self.blobs,
            recipe,
            files,
            5,
            &self.limits,
            "test",
        )
        .await
        .unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recipe_is_followed_and_those_who_disobey_are_told_apart() {
    let Some(bench) = Bench::open().await else {
        return;
    };
    let (train, test) = examples::tables();
    let files = [
        bench.file("train_v1.csv", &train),
        bench.file("val_v1.csv", &test),
    ];
    let recipe = examples::recipe();
    let followed = bench.follow(&recipe, &files).await.unwrap();
    let written = String::from_utf8(followed.truth).unwrap();
    assert!(written.starts_with("row_id,mood\n200,"), "{written}");
    assert_eq!(written.lines().count(), 61);
    assert!(
        followed.prompt.contains("`MLPClassifier`") && followed.solution.contains("MLPClassifier(")
    );

    // Numbers tell more than labels.
    let numbers = Recipe {
        problem: Problem::Regression,
        model: Model::MlpRegressor,
        targets: vec!["energy".to_owned()],
        ..recipe.clone()
    };
    let followed = bench.follow(&numbers, &files).await.unwrap();
    assert!(followed.remarks.is_empty(), "{:?}", followed.remarks);
    let names = |separated| -> Vec<&str> {
        let those = followed
            .mutants
            .iter()
            .filter(|mutant| mutant.separated == separated);
        those.map(|mutant| mutant.name.as_str()).collect()
    };
    assert_eq!(names(false), [""; 0], "not told apart");
    assert_eq!(names(true).len(), 9);
    assert!((followed.separated - 1.0).abs() < 1e-9);

    // Trees do not mind how a feature is scaled, and the verifier cannot see who left that out.
    let tree = Recipe {
        model: Model::DecisionTreeClassifier,
        params: Vec::new(),
        ..recipe.clone()
    };
    let followed = bench.follow(&tree, &files).await.unwrap();
    let scaler = followed
        .mutants
        .iter()
        .find(|mutant| mutant.name == "skip_scaler")
        .unwrap();
    assert!(!scaler.separated);
    assert!(
        followed.separated < 1.0 && followed.separated > 0.5,
        "{}",
        followed.separated
    );

    let reason = async |recipe: &Recipe, train: &[u8]| {
        let files = [bench.file("train_v1.csv", train), files[1].clone()];
        let refusal = bench.follow(recipe, &files).await.unwrap_err();
        println!("{}: {}", refusal.reason, refusal.message);
        refusal.reason
    };
    let mut unknown = recipe.clone();
    unknown.features[0].column = "slep".to_owned();
    assert_eq!(reason(&unknown, &train).await, "reference_failed");
    assert_eq!(
        reason(&recipe, b"PK\x03\x04 half a zip").await,
        "reference_failed"
    );
    let constant = Recipe {
        model: Model::Lasso,
        params: vec![("alpha".to_owned(), serde_json::json!(1e9))],
        ..numbers
    };
    assert_eq!(reason(&constant, &train).await, "degenerate_reference");
    let restless = Recipe {
        model: Model::Ridge,
        params: vec![(
            "alpha=__import__('random').SystemRandom().random(), fit_intercept".to_owned(),
            true.into(),
        )],
        ..constant
    };
    assert_eq!(
        reason(&restless, &train).await,
        "reference_not_deterministic"
    );
    bench.services.close().await;
}

/// Published tasks, which are no part of the repository. Where `SYNTH_REQUIRE_SHARED` is set, they have to be there.
fn published() -> Option<PathBuf> {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/dare/dev_tasks/databases");
    if path.is_dir() {
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

/// The recipe of a published task, from its hidden metadata.
fn recipe_of(question: &Value, tables: [Vec<String>; 2]) -> Recipe {
    let texts = |value: &Value| -> Vec<String> { serde_json::from_value(value.clone()).unwrap() };
    let text = |name: &str| question[name].as_str().unwrap();
    let ending = text("save_file_type");
    let numeric = texts(&question["numerical_features"]);
    let [train_tables, test_tables] = tables;
    let range = |(column, value): (&String, &Value)| {
        let within = match value.as_array().unwrap().as_slice() {
            [low, high] if low.is_number() => {
                Within::Between(low.as_f64().unwrap(), high.as_f64().unwrap())
            }
            _ => Within::OneOf(texts(value)),
        };
        Range {
            column: column.clone(),
            description: column.clone(),
            within,
        }
    };
    let feature = |column: String| Feature {
        is_numeric: numeric.contains(&column),
        description: column.clone(),
        column,
    };
    Recipe {
        problem: serde_json::from_value(question["problem_type"].clone()).unwrap(),
        targets: texts(&question["target"]),
        features: texts(&question["selected_features"])
            .into_iter()
            .map(feature)
            .collect(),
        ranges: question["expected_ranges"]
            .as_object()
            .unwrap()
            .iter()
            .map(range)
            .collect(),
        imputer: serde_json::from_value(question["imputer_type"].clone()).unwrap(),
        scaler: Scaler::Standard,
        model: serde_json::from_value(question["model_type"].clone()).unwrap(),
        params: Vec::new(),
        random_state: u32::try_from(question["random_state"].as_u64().unwrap()).unwrap(),
        format: serde_json::from_value(question["save_file_type"].clone()).unwrap(),
        train_file: format!("train_v1.{ending}"),
        train_tables,
        test_file: format!("val_v1.{ending}"),
        test_table: test_tables.into_iter().next().unwrap_or_default(),
        metadata_file: "metadata.txt".to_owned(),
        id_column: "row_id".to_owned(),
        submission: "prediction.csv".to_owned(),
    }
}

/// The tables of the databases of a task, by Python's own reader.
async fn tables(bench: &Bench, files: &[DataFile]) -> [Vec<String>; 2] {
    let names = "import sqlite3, json\ndef names(path):\n    rows = sqlite3.connect(path).execute(\"select name from sqlite_master where type='table' order by name\")\n    return [name for name, in rows]\njson.dump([names('data/train_v1.sqlite'), names('data/val_v1.sqlite')], open('names.json', 'w'))";
    let script = Script {
        label: "tables",
        files,
        code: names,
        seed: 1,
        limits: &bench.limits,
    };
    let ran = script
        .run(&bench.services, &bench.blobs, &["names.json"])
        .await
        .unwrap();
    serde_json::from_slice(&ran.files["names.json"]).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_references_of_published_tasks_are_reproduced() {
    let Some(folder) = published() else { return };
    let Some(bench) = Bench::open().await else {
        return;
    };
    let mut folders: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("verify/simulated_pred_local.csv").is_file())
        .collect();
    folders.sort();
    assert_eq!(folders.len(), 8);
    let mut agree = 0;
    for folder in folders {
        let metadata = std::fs::read(folder.join("verify/all_metadata.json")).unwrap();
        let metadata: Value = serde_json::from_slice(&metadata).unwrap();
        let question = &metadata["question"];
        let ending = question["save_file_type"].as_str().unwrap();
        let files = [format!("train_v1.{ending}"), format!("val_v1.{ending}")].map(|name| {
            bench.file(
                &name,
                &std::fs::read(folder.join("source").join(&name)).unwrap(),
            )
        });
        let tables = if ending == "sqlite" {
            tables(&bench, &files).await
        } else {
            [Vec::new(), Vec::new()]
        };
        let recipe = recipe_of(question, tables);
        let started = Instant::now();
        let followed = bench.follow(&recipe, &files).await;
        let seconds = started.elapsed().as_secs_f64();
        let name = folder.file_name().unwrap().to_string_lossy();
        let followed = match followed {
            Ok(followed) => followed,
            Err(refusal) => {
                println!("{name}: {}: {}", refusal.reason, refusal.message);
                continue;
            }
        };
        let equal = [
            "simulated_pred_local.csv",
            "simulated_pred_local.sklearn191.csv",
        ]
        .map(|file| {
            let truth = std::fs::read(folder.join("verify").join(file)).unwrap();
            let score = predictions::score(&recipe, Some(&followed.truth), &truth);
            if !score.success {
                println!("{name}: {}", score.reason);
            }
            score.success
        });
        agree += usize::from(equal == [true; 2]);
        let unseen: Vec<_> = followed
            .mutants
            .iter()
            .filter(|mutant| !mutant.separated)
            .map(|mutant| &mutant.name)
            .collect();
        println!(
            "{name}: {:?}, equal {equal:?}, separated {:.2} of {}, not {unseen:?}, {:?}, {seconds:.1} s",
            recipe.model,
            followed.separated,
            followed.mutants.len(),
            followed.remarks
        );
    }
    bench.services.close().await;
    assert_eq!(agree, 8, "references that equal the published ones");
}
