//! What the ledger promises when processes meet, die or run out of disk, and when bytes rot.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs::{self, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use proptest::prelude::*;
use synth_core::{Fingerprint, Memo};
use synth_pipeline::ledger::{Basis, Listing, OutcomeKey, Status, StoredOutcome};
use synth_pipeline::{Ledger, LedgerError};

fn key(n: usize) -> Fingerprint {
    Fingerprint::of(&("key", n))
}

/// Bytes that do not compress, so that their place in the file is all theirs.
fn value(n: usize, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&n.to_le_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    bytes
}

/// Runs the test `child_process` in a process of its own, in this role.
fn child(role: &str, folder: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_process", "--nocapture", "--quiet"])
        .env("LEDGER_TEST_ROLE", role)
        .env("LEDGER_TEST_FOLDER", folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Reads lines of a child until one begins with `prefix`, and returns the rest of that one.
fn line_of(output: &mut impl BufRead, prefix: &str) -> String {
    let mut line = String::new();
    loop {
        line.clear();
        assert!(
            output.read_line(&mut line).unwrap() > 0,
            "the child ended without saying `{prefix}`"
        );
        if let Some(rest) = line.trim_end().strip_prefix(prefix) {
            return rest.to_owned();
        }
    }
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap()
        .block_on(future)
}

fn say(text: &str) {
    let mut output = std::io::stdout();
    writeln!(output, "{text}").unwrap();
    output.flush().unwrap();
}

/// Not a test of its own: what the others run in further processes.
#[tokio::test]
async fn child_process() {
    let Ok(role) = std::env::var("LEDGER_TEST_ROLE") else {
        return;
    };
    let folder = std::path::PathBuf::from(std::env::var_os("LEDGER_TEST_FOLDER").unwrap());
    match role.as_str() {
        "hold" => {
            let _ledger = Ledger::open(&folder).unwrap();
            say("\nholding");
            std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        }
        "append" => {
            let ledger = Ledger::open(&folder).unwrap();
            let writers = (0..8).map(|writer| {
                let ledger = &ledger;
                async move {
                    for n in 0.. {
                        let n = 8 * n + writer;
                        ledger.put(key(n), value(n, 700)).await.unwrap();
                        say(&format!("\nacknowledged {n}"));
                    }
                }
            });
            futures::future::join_all(writers).await;
        }
        "fill" => {
            let ledger = Ledger::open(&folder).unwrap();
            for n in 0..10_000 {
                match ledger
                    .put_outcome(
                        outcome_key(n),
                        "crawl",
                        basis(n),
                        outcome(n, value(n, 4000)),
                    )
                    .await
                {
                    Ok(()) => {}
                    Err(error) => {
                        assert!(matches!(error, LedgerError::DiskFull(_)), "{error:?}");
                        for known in 0..n {
                            assert_eq!(
                                ledger.outcome(&outcome_key(known)).unwrap().unwrap().value,
                                value(known, 4000)
                            );
                        }
                        drop(ledger);
                        fs::remove_file(folder.join("ballast")).unwrap();
                        let ledger = Ledger::open(&folder).unwrap();
                        for known in 0..n {
                            assert_eq!(
                                ledger.outcome(&outcome_key(known)).unwrap().unwrap().value,
                                value(known, 4000)
                            );
                        }
                        ledger.put(key(n), value(n, 4000)).await.unwrap();
                        say(&format!("\nfull after {n}"));
                        return;
                    }
                }
            }
            panic!("the disk never was full");
        }
        role => panic!("no such role: {role}"),
    }
}

fn basis(n: usize) -> Basis {
    let fingerprint = Fingerprint::of(&n);
    Basis {
        version: 1,
        config: fingerprint,
        prompts: fingerprint,
        content: fingerprint,
    }
}

fn outcome_key(n: usize) -> OutcomeKey {
    OutcomeKey::new("crawl", &n.to_string(), &basis(n))
}

fn outcome(n: usize, value: Vec<u8>) -> StoredOutcome {
    StoredOutcome {
        item: n.to_string(),
        status: Status::Kept,
        reason: None,
        message: None,
        spurious: false,
        made: vec![format!("made{n}")],
        value,
    }
}

#[test]
fn a_second_process_is_refused_by_the_name_of_the_first_and_let_in_when_that_is_gone() {
    let folder = tempfile::tempdir().unwrap();
    let mut holder = child("hold", folder.path());
    line_of(
        &mut BufReader::new(holder.stdout.as_mut().unwrap()),
        "holding",
    );
    let refused = Ledger::open(folder.path()).err().unwrap();
    let message = refused.to_string();
    assert!(matches!(refused, LedgerError::InUse { .. }));
    assert!(
        message.contains(&format!("is in use by process {};", holder.id())),
        "{message}"
    );

    // To look is allowed all the while.
    assert_eq!(
        Ledger::open_read_only(folder.path())
            .unwrap()
            .sizes()
            .unwrap(),
        (0, 0)
    );

    holder.kill().unwrap();
    holder.wait().unwrap();
    Ledger::open(folder.path()).unwrap();
}

#[test]
fn nothing_acknowledged_is_lost_when_the_process_is_killed() {
    for round in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let mut appender = child("append", folder.path());
        let mut output = BufReader::new(appender.stdout.take().unwrap());
        let mut acknowledged: Vec<usize> = (0..100 + 77 * round)
            .map(|_| line_of(&mut output, "acknowledged ").parse().unwrap())
            .collect();
        appender.kill().unwrap();
        appender.wait().unwrap();
        // What it said between the last line read and its death counts too, except for a torn last line.
        let mut rest = String::new();
        output.read_to_string(&mut rest).unwrap();
        let whole = rest.rfind('\n').map_or("", |end| &rest[..end]);
        acknowledged.extend(
            whole
                .lines()
                .filter_map(|line| line.strip_prefix("acknowledged ")?.parse::<usize>().ok()),
        );

        let ledger = Ledger::open(folder.path()).unwrap();
        for n in acknowledged {
            assert_eq!(
                block_on(ledger.get(key(n))).unwrap(),
                Some(value(n, 700)),
                "value {n}"
            );
        }
    }
}

#[tokio::test]
async fn one_may_look_beside_a_writer_and_sees_what_was_acknowledged_but_cannot_write() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(
        Ledger::open_read_only(folder.path()),
        Err(LedgerError::Missing(_))
    ));
    let writer = Ledger::open(folder.path()).unwrap();
    let reader = Ledger::open_read_only(folder.path()).unwrap();
    for n in 0..20 {
        writer.put(key(n), value(n, 100)).await.unwrap();
        assert_eq!(reader.get(key(n)).await.unwrap(), Some(value(n, 100)));
    }
    let message = reader
        .put(key(99), Vec::new())
        .await
        .unwrap_err()
        .to_string();
    assert!(message.contains("to look at only"), "{message}");
}

#[test]
fn a_ledger_of_another_format_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(Ledger::open(folder.path()).unwrap());
    let connection = rusqlite::Connection::open(folder.path().join("ledger.sqlite")).unwrap();
    connection.pragma_update(None, "user_version", 99).unwrap();
    drop(connection);
    assert!(matches!(
        Ledger::open(folder.path()),
        Err(LedgerError::Format { found: 99, .. })
    ));
    assert!(matches!(
        Ledger::open_read_only(folder.path()),
        Err(LedgerError::Format { found: 99, .. })
    ));
}

#[test]
fn a_file_that_is_no_ledger_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("ledger.sqlite"), vec![b'x'; 8192]).unwrap();
    assert!(matches!(
        Ledger::open(folder.path()),
        Err(LedgerError::Damaged(_))
    ));
}

#[tokio::test]
async fn a_torn_log_ends_before_the_cut_and_never_in_the_middle_of_a_commit() {
    let folder = tempfile::tempdir().unwrap();
    let wal = folder.path().join("ledger.sqlite-wal");
    let ledger = Ledger::open(folder.path()).unwrap();
    let mut ends = Vec::new();
    for n in 0..120 {
        ledger
            .put(key(n), value(n, 300 + 53 * n % 5000))
            .await
            .unwrap();
        ends.push(fs::metadata(&wal).unwrap().len());
    }
    let (database, log) = (
        fs::read(folder.path().join("ledger.sqlite")).unwrap(),
        fs::read(&wal).unwrap(),
    );
    assert!(
        ends.is_sorted() && log.len() as u64 == ends[119],
        "no checkpoint came in between"
    );

    for cut in 0..150_u64 {
        let at = if cut < 5 {
            log.len() as u64 - cut
        } else {
            Fingerprint::of(&cut).seed() % log.len() as u64
        };
        let mut torn = log[..at as usize].to_vec();
        if cut % 3 == 0 {
            // A disk that wrote something else behind the cut.
            torn.extend(value(cut as usize, 6000));
        }
        let copy = tempfile::tempdir().unwrap();
        fs::write(copy.path().join("ledger.sqlite"), &database).unwrap();
        fs::write(copy.path().join("ledger.sqlite-wal"), torn).unwrap();
        let acknowledged = ends.iter().filter(|end| **end <= at).count();
        if acknowledged == 0 && at < ends[0] {
            // Not even the tables may be there; that it opens is all there is to ask.
            drop(Ledger::open(copy.path()).unwrap());
            continue;
        }
        let reopened = Ledger::open(copy.path()).unwrap();
        for n in 0..120 {
            let found = reopened.get(key(n)).await.unwrap();
            let expected = (n < acknowledged).then(|| value(n, 300 + 53 * n % 5000));
            assert_eq!(found, expected, "value {n} of a log cut at {at}");
        }
        reopened.put(key(999), value(999, 10)).await.unwrap();
    }
}

#[tokio::test]
async fn a_flipped_byte_makes_its_value_absent_and_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    for n in 0..50 {
        ledger.put(key(n), value(n, 900)).await.unwrap();
        ledger
            .put_outcome(
                outcome_key(n),
                "crawl",
                basis(n),
                outcome(n, value(1000 + n, 900)),
            )
            .await
            .unwrap();
    }
    drop(ledger);

    let path = folder.path().join("ledger.sqlite");
    let mut bytes = fs::read(&path).unwrap();
    for needle in [value(7, 900), value(1009, 900)] {
        let at = bytes
            .windows(64)
            .position(|window| window == &needle[400..464])
            .unwrap();
        bytes[at] ^= 4;
    }
    fs::write(&path, bytes).unwrap();

    let ledger = Ledger::open(folder.path()).unwrap();
    for n in 0..50 {
        assert_eq!(
            ledger.get(key(n)).await.unwrap(),
            (n != 7).then(|| value(n, 900))
        );
        let stored = ledger.outcome(&outcome_key(n)).unwrap();
        assert_eq!(
            stored.map(|outcome| outcome.value),
            (n != 9).then(|| value(1000 + n, 900))
        );
    }
    // The write behind these is done when the next one is.
    ledger.put(key(7), value(7, 900)).await.unwrap();
    assert_eq!(
        ledger.latest_basis(&outcome_key(9)).unwrap(),
        None,
        "what cannot be read does not look settled either"
    );
    assert_eq!(ledger.get(key(7)).await.unwrap(), Some(value(7, 900)));
}

#[test]
fn a_full_disk_is_named_and_loses_nothing_acknowledged() {
    let can_mount = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "true"])
        .output();
    if !can_mount.is_ok_and(|output| output.status.success()) {
        say(
            "\nskipped: no user namespaces here; the ledger's own tests cover a full disk by another way",
        );
        return;
    }
    for ballast in [100, 317, 400] {
        let folder = tempfile::tempdir().unwrap();
        let script = format!(
            "mount -t tmpfs -o size=2m none \"$LEDGER_TEST_FOLDER\" && head -c {ballast}k /dev/zero > \"$LEDGER_TEST_FOLDER/ballast\" && \
             exec \"$0\" --exact child_process --nocapture --quiet"
        );
        let output = Command::new("unshare")
            .args(["--user", "--map-root-user", "--mount", "sh", "-c", &script])
            .arg(std::env::current_exe().unwrap())
            .env("LEDGER_TEST_ROLE", "fill")
            .env("LEDGER_TEST_FOLDER", folder.path())
            .output()
            .unwrap();
        let (said, cried) = (
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr),
        );
        assert!(
            output.status.success() && said.contains("full after "),
            "{said}\n{cried}"
        );
    }
}

#[tokio::test]
async fn an_open_ledger_leaves_no_log_behind_when_it_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    ledger.put(key(1), value(1, 10)).await.unwrap();
    drop(ledger);
    assert!(!folder.path().join("ledger.sqlite-wal").exists());
}

#[tokio::test]
async fn what_was_pinned_first_stays_pinned() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).unwrap();
    let fact = |value: &str| vec![("split/src_1".to_owned(), value.to_owned())];
    ledger.pin(fact("train")).await.unwrap();
    ledger.pin(fact("holdout")).await.unwrap();
    assert_eq!(
        ledger.pinned("split/src_1").unwrap().as_deref(),
        Some("train")
    );
    assert_eq!(ledger.pinned("split/src_2").unwrap(), None);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn outcomes_and_listings_come_back_as_they_were(
        outcomes in prop::collection::vec((".*", any::<Vec<u8>>(), 0..3u8, any::<Option<String>>(), any::<bool>()), 1..8),
    ) {
        let folder = tempfile::tempdir()?;
        let ledger = Ledger::open(folder.path()).unwrap();
        let mut keys = Vec::new();
        for (n, (item, value, status, reason, spurious)) in outcomes.into_iter().enumerate() {
            let status = [Status::Kept, Status::Dropped, Status::Failed][usize::from(status)];
            let stored = StoredOutcome { item, status, message: reason.clone(), reason, spurious, made: Vec::new(), value };
            block_on(ledger.put_outcome(outcome_key(n), "crawl", basis(n), stored.clone())).unwrap();
            prop_assert_eq!(ledger.outcome(&outcome_key(n)).unwrap(), Some(stored));
            prop_assert_eq!(ledger.latest_basis(&outcome_key(n)).unwrap(), Some(basis(n)));
            keys.insert(0, outcome_key(n));
        }
        let listing = Listing { records: 7, keys };
        block_on(ledger.put_listing("nightly", "crawl", &listing)).unwrap();
        prop_assert_eq!(ledger.listing("nightly", "crawl").unwrap(), Some(listing));
    }
}

#[test]
fn a_lock_file_that_a_dead_process_left_keeps_nobody_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut lock = OpenOptions::new()
        .create(true)
        .truncate(true)
        .write(true)
        .open(folder.path().join("ledger.lock"))
        .unwrap();
    write!(lock, "process 1").unwrap();
    drop(lock);
    Ledger::open(folder.path()).unwrap();
}
