//! How fast the ledger is, beside what the disk can do: `cargo bench -p synth-pipeline [-- ITEMS]`.
//!
//! All of it happens in a temporary folder under `TMPDIR`; put that on the disk in question, for a memory file system
//! syncs for nothing. A ledger can be faster than the plain file: its log is written over in place once it has grown, which
//! spares the file system a commit of its own at each sync.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use synth_core::{Fingerprint, Memo};
use synth_pipeline::Ledger;

mod synthetic;

const VALUE: usize = 8192;
const TIME: Duration = Duration::from_secs(1);
const ROUNDS: u32 = 6;

type Measured<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Measured<()> {
    let items = std::env::args()
        .skip(1)
        .find_map(|argument| argument.parse().ok())
        .unwrap_or(1_000_000);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let folder = tempfile::tempdir()?;

    let mut rows = Vec::new();
    let mut syncs = 0.0_f64;
    for batch in [1, 64] {
        // In turns, for shared disks have moods: both sides meet the same ones.
        let (mut plain, mut rate) = (0.0, 0.0);
        for round in 0..ROUNDS {
            let name = format!("{batch}-{round}");
            plain += append_and_sync(&folder.path().join(format!("plain-{name}")), batch)?
                / f64::from(ROUNDS);
            rate += runtime.block_on(puts(&folder.path().join(name), batch))? / f64::from(ROUNDS);
        }
        syncs = syncs.max(plain / batch as f64);
        rows.push((
            format!("plain append + fsync, batch {batch}"),
            plain,
            String::new(),
        ));
        let note = format!("{:.0} % of the plain file", 100.0 * rate / plain);
        rows.push((format!("memo put, {batch} at once"), rate, note));
    }
    for (name, worked) in [
        ("outcomes through `each`", items as u64),
        ("the same, settled, after reopening", 0),
    ] {
        let (summary, took) =
            runtime.block_on(synthetic::pass(&folder.path().join("each"), items))?;
        assert_eq!((summary.read, summary.worked), (items as u64, worked));
        let note = format!(
            "{items} in {:.1} s, peak memory {} MB",
            took.as_secs_f64(),
            synthetic::peak_memory() >> 20
        );
        rows.push((name.to_owned(), items as f64 / took.as_secs_f64(), note));
    }

    let mut output = io::stdout();
    writeln!(
        output,
        "values of {VALUE} bytes; the disk does about {syncs:.0} fsyncs/s, {:.2} ms each",
        1e3 / syncs
    )?;
    for (name, rate, note) in rows {
        writeln!(output, "{name:<36} {rate:>10.0} /s   {note}")?;
    }
    Ok(())
}

/// Bytes that hardly compress, as different from each other as replies are.
fn value(n: u64) -> Vec<u8> {
    let mut bytes = vec![0; VALUE];
    let mut hasher = blake3::Hasher::new();
    hasher.update(&n.to_le_bytes());
    hasher.finalize_xof().fill(&mut bytes);
    // Letters, so that zstd finds something to do and about half of it to save.
    for byte in &mut bytes {
        *byte = b'a' + *byte % 16;
    }
    bytes
}

/// The physical limit: values a second appended to a file that is synced after each batch.
fn append_and_sync(path: &Path, batch: u64) -> io::Result<f64> {
    let mut file = File::create(path)?;
    let started = Instant::now();
    let mut written = 0;
    while started.elapsed() < TIME {
        let values: Vec<u8> = (written..written + batch).flat_map(value).collect();
        file.write_all(&values)?;
        file.sync_data()?;
        written += batch;
    }
    Ok(written as f64 / started.elapsed().as_secs_f64())
}

/// Values a second put by so many at once, each waiting until its own is durable.
async fn puts(folder: &Path, writers: u64) -> Measured<f64> {
    let ledger = Ledger::open(folder)?;
    let started = Instant::now();
    let put = |writer: u64| {
        let ledger = &ledger;
        async move {
            let mut written = 0;
            while started.elapsed() < TIME {
                let n = writer + writers * written;
                ledger.put(Fingerprint::of(&n), value(n)).await?;
                written += 1;
            }
            Measured::Ok(written)
        }
    };
    let written = futures::future::try_join_all((0..writers).map(put)).await?;
    Ok(written.iter().sum::<u64>() as f64 / started.elapsed().as_secs_f64())
}
