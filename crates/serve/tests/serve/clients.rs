//! Programs that are not ours against the server: scripts in Python that behave as DSGym's and DARE-bench's clients do, SandboxFusion's own
//! client, and a validator of OpenAPI documents.
//!
//! The first two need Python alone. The others run when `SYNTH_TEST_PYTHON_READERS` names a Python that has the packages of
//! `tests/readers/requirements.txt`.

use std::ffi::OsStr;
use std::path::Path;

use synth_serve::{Api, Tokens};
use tokio::process::Command;

use crate::support::Place;

/// Runs a script of `clients/`, which ends well when it got what it expects; false where there is no such Python.
async fn run(python: impl AsRef<OsStr>, script: &str, arguments: &[&str]) -> bool {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/serve/clients");
    let ended = Command::new(python)
        .arg(folder.join(script))
        .args(arguments)
        .env("no_proxy", "*")
        .output()
        .await;
    let Ok(ended) = ended else {
        return false;
    };
    assert!(
        ended.status.success(),
        "{script}\n{}\n{}",
        String::from_utf8_lossy(&ended.stdout),
        String::from_utf8_lossy(&ended.stderr)
    );
    true
}

fn readers() -> Option<std::ffi::OsString> {
    let python = std::env::var_os("SYNTH_TEST_PYTHON_READERS");
    if python.is_none() {
        println!("skipped: SYNTH_TEST_PYTHON_READERS names no Python with the clients");
    }
    python
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_of_dsgym_works_unchanged_with_a_token_in_its_url() {
    const TOKEN: &str = "a-token-for-agents";
    let place = Place::with(Api::Dsgym, |options| {
        options.tokens = Tokens::read(TOKEN).unwrap();
    })
    .await;
    let manager = format!("http://agent:{TOKEN}@{}", place.address);
    if !run("python3", "dsgym_agent.py", &[&manager]).await {
        println!("skipped: there is no `python3` here");
    }
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_tools_of_dare_bench_and_verl_work_unchanged() {
    let place = Place::start(Api::SandboxFusion).await;
    if !run("python3", "script_tools.py", &[&place.url("/run_code")]).await {
        println!("skipped: there is no `python3` here");
    }
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_of_sandbox_fusion_works_unchanged() {
    let Some(python) = readers() else { return };
    let place = Place::start(Api::SandboxFusion).await;
    assert!(run(python, "official_sandbox_fusion.py", &[&place.url("")]).await);
    place.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_document_is_valid_and_answers_are_as_it_says() {
    let Some(python) = readers() else { return };
    let place = Place::start(Api::Native).await;
    assert!(run(python, "openapi.py", &[&place.url("")]).await);
    place.stop().await;
}
