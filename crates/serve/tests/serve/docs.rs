//! The page of examples does what it says: its shell and Python blocks are run, in order, against real servers.

use std::path::Path;
use std::process::Stdio;

use crate::support::Place;
use synth_serve::Api;
use tokio::process::Command;

const PAGE: &str = include_str!("../../../../docs/serve.md");

#[tokio::test(flavor = "multi_thread")]
async fn the_examples_of_the_page_run() {
    for program in ["curl", "python3", "bash"] {
        let found = Command::new(program)
            .arg("--version")
            .stdout(Stdio::null())
            .status()
            .await;
        if found.is_err() {
            println!("skipped: there is no `{program}` here");
            return;
        }
    }
    let native = Place::start(Api::Native).await;
    let dsgym = Place::start(Api::Dsgym).await;
    let fusion = Place::start(Api::SandboxFusion).await;
    assert_eq!(native.get("/").await.text().await.unwrap(), PAGE);
    let folder = tempfile::tempdir().unwrap();
    let mut ran = 0;
    for (language, block) in blocks(PAGE) {
        let block = block
            .replace("127.0.0.1:8700", &native.address.to_string())
            .replace("127.0.0.1:5000", &dsgym.address.to_string())
            .replace("127.0.0.1:8080", &fusion.address.to_string());
        match language {
            "bash" => {
                run("bash", &["-euo", "pipefail", "-c", &block], folder.path()).await;
                ran += 1;
            }
            "python" => {
                run("python3", &["-c", &block], folder.path()).await;
                ran += 1;
            }
            _ => {}
        }
    }
    assert!(ran >= 6, "{ran}");
    for place in [native, dsgym, fusion] {
        place.stop().await;
    }
}

async fn run(program: &str, arguments: &[&str], folder: &Path) {
    let ended = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("no_proxy", "*")
        .output()
        .await
        .unwrap();
    assert!(
        ended.status.success(),
        "{}\n{}\n{}",
        arguments[arguments.len() - 1],
        String::from_utf8_lossy(&ended.stdout),
        String::from_utf8_lossy(&ended.stderr)
    );
}

/// The fenced blocks of a page, each with its language.
fn blocks(page: &str) -> Vec<(&str, String)> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(language) = line.strip_prefix("```") else {
            continue;
        };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        blocks.push((language, block.join("\n")));
    }
    blocks
}
