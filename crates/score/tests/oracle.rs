//! Equal to the original: every prediction of the oracle gets the score that DARE-bench's published code gives it, but for those where that code
//! gives credit for nothing, raises, or comes to no number; those get 0 and a reason.
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test fails by panicking and says what it skipped"
)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::Deserialize;
use synth_score::dare::Case;

#[derive(Deserialize)]
struct Recorded {
    #[serde(flatten)]
    case: Case,
    score: Option<f64>,
    defect_tag: Option<String>,
}

/// The oracle, unpacked; `None` where it is not beside the repository.
fn oracle() -> Option<PathBuf> {
    let archive =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/dare/oracle.tar.gz");
    if !archive.exists() {
        assert!(
            std::env::var_os("SYNTH_REQUIRE_SHARED").is_none(),
            "there is no {}",
            archive.display()
        );
        println!("skipped: there is no {}", archive.display());
        return None;
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("oracle");
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    let unpacked = Command::new("tar")
        .args([
            "-xzf",
            archive.to_str().unwrap(),
            "-C",
            folder.to_str().unwrap(),
        ])
        .status()
        .unwrap();
    assert!(unpacked.success());
    Some(folder.join("oracle"))
}

#[test]
fn every_case_of_the_oracle_gets_the_published_score_or_the_declared_zero() {
    let Some(folder) = oracle() else { return };
    let cases = std::fs::read_to_string(folder.join("cases.jsonl")).unwrap();
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut wrong = Vec::new();
    for line in cases.lines() {
        let recorded: Recorded = serde_json::from_str(line).unwrap();
        let score = recorded.case.score(&folder).unwrap();
        let expected = match recorded.defect_tag {
            None => recorded.score.unwrap(),
            Some(_) => 0.0,
        };
        let tag = recorded.defect_tag.as_deref().unwrap_or("as published");
        *counts.entry(tag.to_owned()).or_default() += 1;
        if (score.reward - expected).abs() > 1e-9 || score.reason.is_empty() {
            let (id, reward, reason) = (&recorded.case.case_id, score.reward, &score.reason);
            wrong.push(format!(
                "{id} ({tag}): {reward} instead of {expected}: {reason}"
            ));
        }
    }
    println!("{counts:?}");
    assert!(
        counts["as published"] > 2_000 && counts.len() == 4,
        "{counts:?}"
    );
    assert!(
        wrong.is_empty(),
        "{} cases differ:\n{}",
        wrong.len(),
        wrong[..wrong.len().min(40)].join("\n")
    );
}
