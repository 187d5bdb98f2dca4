//! A full disk stops a run with a clear error and costs nothing that was paid for.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crate::support::{
    Ended, Endpoint, Place, asked_again_after_use, assert_nothing_left, assert_same_files,
    parquet_files, stored_replies,
};

/// Disks to try, in KiB: too small for the ledger, for the store, for the replies, for the dataset.
const SIZES: [u32; 6] = [64, 200, 400, 700, 1000, 1400];

#[test]
fn a_full_disk_stops_with_a_clear_error_and_loses_nothing() {
    let endpoint = Endpoint::start();
    let calm = Place::at(&endpoint);
    calm.run().succeed();

    let place = Place::at(&endpoint);
    let first = endpoint.requests();
    let mut stored = BTreeSet::new();
    let mut stops = 0;
    for kibibytes in SIZES {
        let before = endpoint.requests();
        let Some(ended) = on_a_disk_of(&place, kibibytes) else {
            return;
        };
        println!(
            "{kibibytes} KiB: exit code {}, {} requests, {}",
            ended.code,
            endpoint.requests() - before,
            ended.stderr.trim().lines().next().unwrap_or_default()
        );
        assert!(
            endpoint.log()[before..]
                .iter()
                .all(|seen| !stored.contains(&seen.mark)),
            "asked for what was stored"
        );
        let now = stored_replies(&place.output());
        assert!(stored.is_subset(&now), "lost a reply");
        stored = now;
        assert_nothing_left(&place.folder());
        if ended.code == 0 {
            continue;
        }
        stops += 1;
        assert_eq!(ended.code, 8, "{}\n{}", ended.stdout, ended.stderr);
        assert!(
            ended.stderr.contains("space") && ended.stderr.contains("run again"),
            "{}",
            ended.stderr
        );
        assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
    }
    assert!(stops >= 3, "the disks were too large for this test");

    place.run().succeed();
    assert_eq!(asked_again_after_use(&endpoint.log()[first..]), 0);
    assert_same_files(&parquet_files(&place), &parquet_files(&calm));
}

/// Runs with the output on a disk of that size, which holds what the output held before, and is copied out at the end.
/// None where no disk can be made.
fn on_a_disk_of(place: &Place, kibibytes: u32) -> Option<Ended> {
    let (output, kept) = (place.output(), place.folder().join("kept"));
    fs::create_dir_all(&output).unwrap();
    let script = format!(
        r#"mount -t tmpfs -o size={kibibytes}k,mode=755 tmpfs output || exit 77
        if [ -d kept ]; then cp -a kept/. output/ || exit 78; fi
        "{}" run --json
        code=$?
        rm -rf kept; cp -a output kept || exit 79
        exit $code"#,
        env!("CARGO_BIN_EXE_synth")
    );
    let mut command = Command::new("unshare");
    // Root needs no user of its own, and sandboxes are other users then.
    command.arg(if rustix::process::geteuid().is_root() {
        "-m"
    } else {
        "-rm"
    });
    command.args(["sh", "-c", &script]);
    let ended = place.wrapped(command).run();
    if ended.code == 77 || ended.stderr.contains("unshare") {
        println!("skipped: no disk can be made here: {}", ended.stderr.trim());
        return None;
    }
    assert_ne!(
        ended.code, 78,
        "what an earlier disk held does not fit on a larger one: {}",
        ended.stderr
    );
    // The disk went with its namespace; what was on it is now where it was.
    fs::remove_dir_all(&output).unwrap();
    assert!(
        Command::new("cp")
            .arg("-a")
            .args([&kept, &output])
            .status()
            .unwrap()
            .success()
    );
    Some(ended)
}
