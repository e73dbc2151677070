//! Brings a log of the first layout, with a row an event, into today's.
//!
//! ```text
//! log.sqlite (layout 1) ── all events ──> log.sqlite.converting ── rename ──> log.sqlite
//!          └── hard link ──> log.sqlite.layout-1 (kept, to be removed by hand)
//! ```
//! The caller holds the lock. A conversion that is broken off leaves the old log as it was, and is
//! begun anew at the next opening.

#[cfg(test)]
mod tests;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, Row};
use uuid::Uuid;

use super::SqliteOptions;
use super::schema::{APPLICATION_ID, OpenError, open_writer, sync_folder};
use super::statements::Statements;
use super::tables::Tables;
use crate::{Position, RecordedEvent, StreamName, StreamVersion};

/// The layout that is converted.
pub(super) const OLD_SCHEMA_VERSION: i64 = 1;

/// Events in one transaction of the new log.
const BATCH_EVENTS: usize = 10_000;

const OLD_EVENTS: &str = "SELECT e.position, s.name, e.version, e.event_id, t.name, \
    e.schema_version, e.recorded_at, e.data, e.metadata, e.salt FROM events e \
    JOIN streams s ON s.id = e.stream_id JOIN event_types t ON t.id = e.type_id \
    ORDER BY e.position";

/// Converts the log at this path, if it is of the first layout.
pub(super) fn if_old(path: &Path, options: &SqliteOptions) -> Result<(), OpenError> {
    if !path.exists() {
        return Ok(());
    }
    let database = |source| OpenError::Database {
        path: path.into(),
        source,
    };
    if !is_old(path).map_err(database)? {
        return Ok(());
    }
    let mut old = Connection::open(path).map_err(database)?;
    tracing::info!(path = %path.display(), "converting the event log to today's layout");
    let new = beside(path, "converting");
    remove(&new)?;
    let events = copy(&mut old, &new, options).map_err(|failed| match failed {
        Failed::Open(error) => error,
        Failed::Database(source) => database(source),
        Failed::Event(why) => OpenError::NotConvertible {
            path: path.into(),
            why,
        },
    })?;
    // Nothing may be left in the old log's write-ahead log, which the new one would take for its own.
    old.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
        .and_then(|()| old.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(())))
        .map_err(database)?;
    drop(old);
    replace(path, &new).map_err(|source| OpenError::Io {
        path: path.into(),
        source,
    })?;
    tracing::info!(events, kept = %beside(path, KEPT).display(), "the event log is converted");
    Ok(())
}

fn is_old(path: &Path) -> rusqlite::Result<bool> {
    // A start that was broken off may have left a journal, which a reader could not roll back.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    let read = |pragma: &str| connection.query_row(pragma, [], |row| row.get::<_, i64>(0));
    Ok(read("PRAGMA application_id")? == APPLICATION_ID
        && read("PRAGMA user_version")? == OLD_SCHEMA_VERSION)
}

/// How the old log is kept.
const KEPT: &str = "layout-1";

enum Failed {
    Open(OpenError),
    Database(rusqlite::Error),
    Event(String),
}

impl From<rusqlite::Error> for Failed {
    fn from(error: rusqlite::Error) -> Self {
        Self::Database(error)
    }
}

/// Copies all events, and returns how many there are.
fn copy(old: &mut Connection, new: &Path, options: &SqliteOptions) -> Result<u64, Failed> {
    let options = SqliteOptions {
        wal_reserved_bytes: 0,
        ..options.clone()
    };
    let connection = open_writer(new, &options).map_err(Failed::Open)?;
    let mut tables = Tables::load(&connection, &options)?;
    {
        let mut database = Statements::prepare(&connection)?;
        let mut statement = old.prepare(OLD_EVENTS)?;
        let mut rows = statement.query([])?;
        let mut batch = Vec::with_capacity(BATCH_EVENTS);
        while let Some(row) = rows.next()? {
            batch.push(event(row)?);
            if batch.len() == BATCH_EVENTS {
                take(&mut tables, &mut database, &batch)?;
                batch.clear();
            }
        }
        take(&mut tables, &mut database, &batch)?;
    }
    connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
    Ok(tables.head().0)
}

fn take(
    tables: &mut Tables,
    database: &mut Statements<'_>,
    events: &[RecordedEvent],
) -> Result<(), Failed> {
    if events.is_empty() {
        return Ok(());
    }
    database.begin()?;
    let imported = tables.import(database, events)?;
    imported.map_err(|error| Failed::Event(error.to_string()))?;
    tables.finish(database)?;
    database.commit()?;
    Ok(())
}

fn event(row: &Row<'_>) -> Result<RecordedEvent, Failed> {
    let position = Position(row.get(0)?);
    let damaged = |why: String| Failed::Event(format!("the event at {position}: {why}"));
    let metadata: Vec<u8> = row.get(8)?;
    Ok(RecordedEvent {
        position,
        stream: StreamName::new(row.get::<_, String>(1)?),
        version: StreamVersion(row.get(2)?),
        event_id: Uuid::from_bytes(row.get(3)?),
        event_type: row.get::<_, String>(4)?.into(),
        schema_version: row.get(5)?,
        recorded_at: Timestamp::from_microsecond(row.get(6)?)
            .map_err(|error| damaged(error.to_string()))?,
        data: Bytes::from(row.get::<_, Vec<u8>>(7)?),
        metadata: serde_json::from_slice(&metadata).map_err(|error| damaged(error.to_string()))?,
        salt: row.get(9)?,
    })
}

/// Puts the new log into the place of the old one, which is kept under another name.
fn replace(path: &Path, new: &Path) -> io::Result<()> {
    File::open(new)?.sync_all()?;
    let kept = beside(path, KEPT);
    match fs::hard_link(path, &kept) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    for suffix in ["-wal", "-shm"] {
        // SQLite makes them anew; those of the old log say nothing of the new one.
        let _ = fs::remove_file(with_suffix(path, suffix));
        let _ = fs::remove_file(with_suffix(new, suffix));
    }
    fs::rename(new, path)?;
    sync_folder(path).map_err(io::Error::other)
}

fn remove(path: &Path) -> Result<(), OpenError> {
    for suffix in ["", "-wal", "-shm"] {
        let path = with_suffix(path, suffix);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(OpenError::Io { path, source });
            }
            _ => {}
        }
    }
    Ok(())
}

fn beside(path: &Path, what: &str) -> PathBuf {
    with_suffix(path, &format!(".{what}"))
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
