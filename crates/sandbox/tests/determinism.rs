//! The same cells give the same outputs, in a sandbox forked from loaded libraries and in one that loads them itself.
//!
//! The cells are those of all the built-in teacher's families, over two bundled tables.

#![expect(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a test that cannot go on panics, one that is skipped says why"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::future::join_all;
use serde::Deserialize;
use synth_core::config::SandboxConfig;
use synth_core::{CellOutcome, Observation};
use synth_sandbox::{
    LocalSandboxes, MountedFile, SandboxError, SandboxLimits, SandboxSpec, Sandboxes,
};

const LOAD: &str = "import numpy as np\nimport pandas as pd\ndf = pd.read_csv('data/orders.csv')\n\
                    df['order_date'] = pd.to_datetime(df['order_date'])\nother = pd.read_csv('data/customers.csv')\ndf.head()";
/// Cells whose outputs hang on seeds, hashes, clocks' zones, locales and threads.
const DELICATE: &str = "\
import random, time, locale, os
random.random(), random.sample(range(1000), 5)
# %%
np.random.rand(3), np.random.permutation(10)
# %%
print(hash('text'), {'a', 'b', 'c', 'd'}, sorted(os.environ), time.tzname, locale.setlocale(locale.LC_ALL, ''))
# %%
from sklearn.ensemble import RandomForestClassifier
part = df.dropna()
model = RandomForestClassifier(20).fit(part[['quantity', 'delivery_days']], part['returned'])
model.predict_proba(part[['quantity', 'delivery_days']])[:5]
# %%
from sklearn.cluster import KMeans
KMeans(3, n_init=2).fit(part[['quantity', 'delivery_days']]).inertia_
# %%
df.sample(5)
# %%
import matplotlib.pyplot as plt
_ = df['quantity'].hist()
# %%
undefined
# %%
df['no such column']
# %%
import warnings
warnings.warn('careful')
";

#[derive(Deserialize)]
struct File {
    family: Vec<Family>,
}

#[derive(Deserialize)]
struct Family {
    slots: Vec<String>,
    style: Vec<Style>,
}

#[derive(Deserialize)]
struct Style {
    code: String,
}

/// The cells of each file of families, with columns of the orders in their slots.
fn corpus() -> Vec<Vec<String>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../teacher/families");
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.sort();
    let mut corpus = vec![parts(&format!("{LOAD}\n# %%\n{DELICATE}"))];
    for path in paths {
        let file: File = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
        let mut cells = Vec::new();
        for family in &file.family {
            for style in &family.style {
                cells.extend(parts(&format!(
                    "{LOAD}\n# %%\n{}",
                    fill(&family.slots, &style.code)
                )));
            }
        }
        corpus.push(cells);
    }
    corpus
}

fn parts(code: &str) -> Vec<String> {
    code.split("# %%\n").map(str::to_owned).collect()
}

fn fill(slots: &[String], code: &str) -> String {
    let mut numbers = [
        "unit_price_eur",
        "discount_percent",
        "delivery_days",
        "quantity",
    ]
    .iter();
    let mut columns = BTreeMap::new();
    let mut code = code.to_owned();
    for slot in slots {
        let words: Vec<&str> = slot.split(' ').collect();
        let column = match words[1] {
            "number" => numbers.next().unwrap(),
            "category" | "text" => "category",
            "binary" => "returned",
            "date" | "years" | "months" => "order_date",
            "file" => "customers.csv",
            "key" => "customer_id",
            "category@f" => "segment",
            "number@f" => "birth_year",
            "missing" | "gaps" => "rating",
            "value" => match columns[words[2]] {
                "category" => "garden",
                "returned" => "yes",
                _ => "private",
            },
            "other" => match columns[words[2]] {
                "category" => "toys",
                _ => "no",
            },
            "threshold" => "20",
            "choice" => words[2],
            unknown => panic!("a slot of the kind `{unknown}`"),
        };
        columns.insert(words[0], column);
        let literal = if matches!(words[1], "choice" | "threshold") {
            column.to_owned()
        } else {
            format!("'{column}'")
        };
        code = code.replace(&format!("__{}__", words[0]), &literal);
    }
    code
}

/// What all the cells show, without what a clock or a scale says.
async fn outputs(sandboxes: &dyn Sandboxes, corpus: &[Vec<String>]) -> Vec<Vec<Observation>> {
    let shop = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../sources/shop");
    let files: Vec<_> = ["orders.csv", "customers.csv"]
        .map(|name| MountedFile {
            path: name.into(),
            host_path: shop.join(name),
        })
        .into();
    let spec = SandboxSpec {
        label: "determinism".into(),
        seed: 11,
        files,
        limits: SandboxLimits {
            cell: Duration::from_secs(120),
            ..SandboxLimits::default()
        },
        ..SandboxSpec::default()
    };
    let run = async |cells: &Vec<String>| {
        let mut sandbox = sandboxes.open(&spec).await.unwrap();
        let mut seen = Vec::new();
        for code in cells {
            let observation = sandbox.execute(code).await.unwrap().observation;
            seen.push(Observation {
                duration_ms: 0,
                memory_peak_bytes: None,
                ..observation
            });
        }
        sandbox.close().await;
        seen
    };
    join_all(corpus.iter().map(run)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cold_start_and_a_forked_start_give_the_same_outputs() {
    let config = SandboxConfig {
        python: std::env::var_os("SYNTH_TEST_PYTHON")
            .map(PathBuf::from)
            .unwrap_or_default(),
        ..SandboxConfig::default()
    };
    let scratch = Path::new(env!("CARGO_TARGET_TMPDIR")).join("determinism");
    let forked = match LocalSandboxes::start(&config, 2, &scratch, &|_| {}).await {
        Err(error @ SandboxError::Isolation { .. }) => {
            eprintln!("skipped: {error}");
            return;
        }
        forked => forked.unwrap(),
    };
    let corpus = corpus();
    let one = outputs(&forked, &corpus).await;
    let two = outputs(&forked, &corpus).await;
    forked.close().await;
    let cold = LocalSandboxes::start_cold(&config, 2, &scratch, &|_| {})
        .await
        .unwrap();
    let three = outputs(&cold, &corpus).await;
    cold.close().await;

    let seen: Vec<&Observation> = one.iter().flatten().collect();
    let well = seen
        .iter()
        .filter(|seen| seen.outcome == CellOutcome::Ok)
        .count();
    assert!(
        seen.len() > 200 && well * 10 > seen.len() * 9,
        "{well} of {} went well",
        seen.len()
    );
    for (again, how) in [(two, "another fork"), (three, "a cold start")] {
        for (cells, (first, again)) in corpus.iter().zip(one.iter().zip(&again)) {
            for (code, (first, again)) in cells.iter().zip(first.iter().zip(again)) {
                assert_eq!(first, again, "in {how}: {code}");
            }
        }
    }
}
