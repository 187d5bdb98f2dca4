//! Opening: one process at a time writes, the format is checked, the tables are made.

use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

use rusqlite::{Connection, OpenFlags};

use super::LedgerError;
use super::error::{io_error, sqlite_error};

/// The ledger's format; a ledger of another one is refused, never guessed at.
pub(super) const FORMAT: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE outcome (key BLOB NOT NULL UNIQUE, stage TEXT NOT NULL, item TEXT NOT NULL, basis BLOB NOT NULL,
    status INTEGER NOT NULL, reason TEXT, message TEXT, spurious INTEGER NOT NULL, records INTEGER NOT NULL, digest BLOB NOT NULL,
    value BLOB NOT NULL);
CREATE TABLE made (id TEXT NOT NULL, stage TEXT NOT NULL, key BLOB NOT NULL, UNIQUE (id, stage));
CREATE TABLE memo (key BLOB NOT NULL UNIQUE, value BLOB NOT NULL);
CREATE TABLE pin (name TEXT NOT NULL UNIQUE, value TEXT NOT NULL);
CREATE TABLE listing (run TEXT NOT NULL, stage TEXT NOT NULL, records INTEGER NOT NULL, view BLOB NOT NULL,
    inputs TEXT NOT NULL, keys BLOB NOT NULL, UNIQUE (run, stage));
";

/// Younger than the rest of format 1, so it is made where it is missing.
const PARTIAL: &str = "CREATE TABLE IF NOT EXISTS
    partial (run TEXT NOT NULL, stage TEXT NOT NULL, keys BLOB NOT NULL, UNIQUE (run, stage))";

/// One process at a time: an advisory lock that the system drops with the process, however it ends.
pub(super) fn take_lock(folder: &Path, ledger: &Path) -> Result<File, LedgerError> {
    let path = folder.join("ledger.lock");
    let open = || {
        File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
    };
    let mut file = open().map_err(|error| io_error(&path, &error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // The name of the holder is a courtesy: an unreadable one changes nothing.
            if file.read_to_string(&mut holder).is_err() || holder.is_empty() {
                "another process".clone_into(&mut holder);
            }
            return Err(LedgerError::InUse {
                path: ledger.display().to_string(),
                holder,
            });
        }
        Err(TryLockError::Error(error)) => return Err(io_error(&path, &error)),
    }
    let write = |file: &mut File| {
        file.set_len(0)?;
        file.rewind()?;
        write!(file, "process {}", std::process::id())
    };
    write(&mut file).map_err(|error| io_error(&path, &error))?;
    Ok(file)
}

pub(super) fn prepare(connection: &Connection, path: &Path) -> Result<(), LedgerError> {
    let settings = || -> rusqlite::Result<()> {
        connection.pragma_update(None, "journal_mode", "WAL")?;
        connection.pragma_update(None, "synchronous", "FULL")?;
        connection.pragma_update(None, "cache_size", -64_000)?;
        // Keys are random, so a group touches many pages and the next one the same again: a longer log writes them back once.
        connection.pragma_update(None, "wal_autocheckpoint", 8192)?;
        if is_empty(connection)? {
            // Format and tables appear together, or a crash between the two would leave a ledger that nobody wants.
            connection.execute_batch(&format!(
                "BEGIN IMMEDIATE; PRAGMA user_version = {FORMAT}; {SCHEMA} COMMIT;"
            ))?;
        }
        Ok(())
    };
    settings().map_err(|error| sqlite_error(path, &error))?;
    check_format(connection, path)?;
    connection
        .execute_batch(PARTIAL)
        .map_err(|error| sqlite_error(path, &error))
}

pub(super) fn is_empty(connection: &Connection) -> rusqlite::Result<bool> {
    connection.query_row("SELECT count(*) = 0 FROM sqlite_master", [], |row| {
        row.get(0)
    })
}

pub(super) fn check_format(connection: &Connection, path: &Path) -> Result<(), LedgerError> {
    let found: i64 = connection
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .map_err(|error| sqlite_error(path, &error))?;
    if found == FORMAT {
        Ok(())
    } else {
        Err(LedgerError::Format {
            path: path.display().to_string(),
            found,
        })
    }
}

pub(super) fn read_connection(path: &Path) -> Result<Connection, LedgerError> {
    // WAL readers need to write the shared-memory file, so the connection is not opened read-only; it never writes a row.
    let connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )
    .map_err(|error| sqlite_error(path, &error))?;
    connection
        .pragma_update(None, "cache_size", -16_000)
        .map_err(|error| sqlite_error(path, &error))?;
    connection
        .pragma_update(None, "query_only", true)
        .map_err(|error| sqlite_error(path, &error))?;
    connection
        .busy_timeout(std::time::Duration::from_secs(10))
        .map_err(|error| sqlite_error(path, &error))?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}
