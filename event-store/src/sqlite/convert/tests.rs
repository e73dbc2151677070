use std::sync::Arc;

use rusqlite::params;

use super::*;
use crate::conformance::fixture::{all, exact, given};
use crate::memory::MemoryEventLog;
use crate::sqlite::SqliteEventLog;
use crate::{EventLog, Expected};

/// The tables of the first layout, as that release made them.
const OLD_TABLES: &str = "
    CREATE TABLE streams (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
    CREATE TABLE event_types (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
    CREATE TABLE events (
        position       INTEGER PRIMARY KEY,
        stream_id      INTEGER NOT NULL,
        version        INTEGER NOT NULL,
        event_id       BLOB NOT NULL,
        type_id        INTEGER NOT NULL,
        schema_version INTEGER NOT NULL,
        recorded_at    INTEGER NOT NULL,
        data           BLOB NOT NULL,
        metadata       BLOB NOT NULL,
        salt           BLOB NOT NULL
    ) STRICT;
    CREATE UNIQUE INDEX events_by_stream ON events (stream_id, version);
    PRAGMA application_id = 0x44617962;
    PRAGMA user_version = 1;";

/// A log of the first layout with these events, as a killed process leaves it.
fn old_log(path: &Path, events: &[RecordedEvent]) {
    let connection = Connection::open(path).unwrap();
    connection
        .query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))
        .unwrap();
    connection.execute_batch(OLD_TABLES).unwrap();
    let number = |table: &str, name: &str| -> i64 {
        let insert = format!("INSERT OR IGNORE INTO {table} (name) VALUES (?)");
        connection.execute(&insert, [name]).unwrap();
        let find = format!("SELECT id FROM {table} WHERE name = ?");
        connection
            .query_row(&find, [name], |row| row.get(0))
            .unwrap()
    };
    for event in events {
        let stream = number("streams", event.stream.as_str());
        let event_type = number("event_types", &event.event_type);
        connection
            .execute(
                "INSERT INTO events VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                params![
                    event.position.0,
                    stream,
                    event.version.0,
                    event.event_id.as_bytes(),
                    event_type,
                    event.schema_version,
                    event.recorded_at.as_microsecond(),
                    &event.data[..],
                    serde_json::to_vec(&event.metadata).unwrap(),
                    event.salt,
                ],
            )
            .unwrap();
    }
}

async fn events() -> Vec<RecordedEvent> {
    let log = MemoryEventLog::new();
    given(&*log, "a", Expected::NoStream, 1..3).await;
    given(&*log, "b", Expected::NoStream, 11..14).await;
    given(&*log, "a", exact(1), 3..4).await;
    let mut events = all(&*log).await;
    events[1].metadata.actor = Some("cli:ada".to_owned());
    events
}

fn open(path: &Path) -> Arc<SqliteEventLog> {
    SqliteEventLog::open(path, SqliteOptions::default()).unwrap()
}

#[tokio::test]
async fn a_log_of_the_first_layout_is_converted_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.sqlite");
    let events = events().await;
    old_log(&path, &events);
    let log = open(&path);
    assert_eq!(all(&*log).await, events);
    assert_eq!(log.check_storage().await.unwrap(), Vec::<String>::new());
    let appended = given(&*log, "b", exact(2), 20..21).await;
    assert_eq!(appended.position.0, events.len() as u64 + 1);
    log.close().await;
    assert_eq!(all(&*open(&path)).await.len(), events.len() + 1);

    let kept = Connection::open(beside(&path, KEPT)).unwrap();
    let count: usize = kept
        .query_row("SELECT count(*) FROM events", [], |row| row.get(0))
        .unwrap();
    assert_eq!(count, events.len());
    assert!(!beside(&path, "converting").exists());
}

#[tokio::test]
async fn a_conversion_that_was_broken_off_is_begun_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.sqlite");
    let events = events().await;
    old_log(&path, &events);
    std::fs::write(beside(&path, "converting"), "half of it").unwrap();
    assert_eq!(all(&*open(&path)).await, events);
}

#[tokio::test]
async fn a_damaged_one_is_left_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log.sqlite");
    let mut events = events().await;
    events.remove(2);
    old_log(&path, &events);
    let error = SqliteEventLog::open(&path, SqliteOptions::default()).err();
    assert!(
        matches!(&error, Some(OpenError::NotConvertible { .. })),
        "{error:?}"
    );
    let old = Connection::open(&path).unwrap();
    let version: i64 = old
        .query_row("PRAGMA user_version", [], |row| row.get(0))
        .unwrap();
    assert_eq!(version, OLD_SCHEMA_VERSION);
}
