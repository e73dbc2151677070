//! The same SQLite used plainly, and as well as it can be: a table with a row an event, names
//! numbered, transactions that come ready made, one thread, no queue.

use std::path::Path;
use std::time::{Duration, Instant};

use daybook_event_store::Append;
use rusqlite::{Connection, params};

use crate::Result;
use crate::report::{Figure, PLAIN_SQLITE, Workload};
use crate::workload::{EACH, append};

const TABLES: &str = "
    PRAGMA page_size = 4096;
    PRAGMA journal_mode = WAL;
    PRAGMA synchronous = FULL;
    PRAGMA cache_size = -16384;
    PRAGMA wal_autocheckpoint = 4096;
    CREATE TABLE streams (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);
    CREATE TABLE events (
        position INTEGER PRIMARY KEY, stream INTEGER NOT NULL, version INTEGER NOT NULL,
        event_id BLOB NOT NULL, type INTEGER NOT NULL, recorded_at INTEGER NOT NULL,
        data BLOB NOT NULL, UNIQUE (stream, version)
    );";

pub(crate) fn measure(folder: &Path) -> Result<Vec<Figure>> {
    let connection = Connection::open(folder.join("plain.sqlite"))?;
    connection.execute_batch(TABLES)?;
    Ok(vec![
        transactions(&connection, Workload::Batches64, 64)?,
        transactions(&connection, Workload::Batches1000, 1_000)?,
    ])
}

fn transactions(connection: &Connection, workload: Workload, events: usize) -> Result<Figure> {
    let mut stream = connection.prepare("INSERT INTO streams (name) VALUES (?)")?;
    let mut event = connection.prepare(
        "INSERT INTO events (stream, version, event_id, type, recorded_at, data) \
         VALUES (?, 0, ?, 1, 1764000000000000, ?)",
    )?;
    let (mut took, mut done) = (Duration::ZERO, 0);
    while took < EACH {
        let appends: Vec<Append> = (0..events).map(|_| append()).collect();
        let start = Instant::now();
        connection.execute_batch("BEGIN IMMEDIATE")?;
        for append in &appends {
            let new = &append.events[0];
            let stream = stream.insert([append.stream.as_str()])?;
            event.execute(params![stream, new.event_id.as_bytes(), &new.data[..]])?;
        }
        connection.execute_batch("COMMIT")?;
        took += start.elapsed();
        done += events;
    }
    Ok(Figure {
        workload,
        engine: PLAIN_SQLITE,
        events_per_second: done as f64 / took.as_secs_f64(),
        p50: None,
    })
}
