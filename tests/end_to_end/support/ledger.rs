//! A look into a ledger that nobody has open: which replies it holds, and all that it says as text.

use std::collections::BTreeSet;
use std::path::Path;

use rusqlite::{Connection, OpenFlags};
use serde_json::Value;
use synth_core::{Fingerprint, Memo as _};
use synth_pipeline::{Ledger, LedgerError};

/// The marks of the replies that the ledger in `output` holds; none when there is no ledger yet.
pub fn stored_replies(output: &Path) -> BTreeSet<u64> {
    remembered(output)
        .into_iter()
        .filter_map(|bytes| {
            let value: Value = serde_json::from_slice(&bytes).ok()?;
            value
                .pointer("/usage/cached_tokens")
                .filter(|_| value.get("finish").is_some())?
                .as_u64()
        })
        .collect()
}

/// All that the ledger in `output` has of run `small`, as text.
pub fn stored_text(output: &Path) -> String {
    let mut text: String = remembered(output)
        .iter()
        .map(|bytes| String::from_utf8_lossy(bytes).into_owned())
        .collect();
    let ledger = Ledger::open_read_only(output).unwrap();
    for stage in synth_stages::STAGES {
        let Some(listing) = ledger.listing("small", stage.name()).unwrap() else {
            continue;
        };
        for key in listing.keys {
            let outcome = ledger.outcome(&key).unwrap().unwrap();
            text.push_str(&String::from_utf8_lossy(&outcome.value));
            text.push_str(outcome.message.as_deref().unwrap_or_default());
        }
    }
    text
}

/// Every value of the memory.
fn remembered(output: &Path) -> Vec<Vec<u8>> {
    let ledger = match Ledger::open_read_only(output) {
        Ok(ledger) => ledger,
        Err(LedgerError::Missing(_)) => return Vec::new(),
        Err(error) => panic!("{error}"),
    };
    let connection = Connection::open_with_flags(
        output.join("ledger.sqlite"),
        OpenFlags::SQLITE_OPEN_READ_ONLY,
    )
    .unwrap();
    let mut statement = connection.prepare("SELECT key FROM memo").unwrap();
    let keys: Vec<[u8; 32]> = statement
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    keys.into_iter()
        .map(|key| {
            let value = runtime.block_on(ledger.get(Fingerprint::from_bytes(key)));
            value.unwrap().expect("what is stored reads")
        })
        .collect()
}
