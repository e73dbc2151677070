//! The conformance suite on files, and what only this adapter can get wrong.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use async_trait::async_trait;
use jiff::Timestamp;
use rusqlite::Connection;
use tempfile::TempDir;

use super::{OpenError, SqliteEventLog, SqliteOptions, schema};
use crate::conformance::Harness;
use crate::conformance::fixture::{all, append, assert_conflict, exact, given, ids, within};
use crate::{AppendError, EventLog, Expected, Position, ReadError};

struct SqliteHarness {
    folder: TempDir,
}

impl SqliteHarness {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("events.sqlite")
    }
}

#[async_trait]
impl Harness for SqliteHarness {
    async fn open(&mut self) -> Arc<dyn EventLog> {
        open(&self.path())
    }

    async fn reopen(&mut self, log: Arc<dyn EventLog>) -> Option<Arc<dyn EventLog>> {
        assert_eq!(Arc::strong_count(&log), 1, "the case still holds the log");
        drop(log);
        Some(open(&self.path()))
    }
}

crate::conformance_suite!(SqliteHarness::new());

fn open(path: &Path) -> Arc<SqliteEventLog> {
    SqliteEventLog::open(path, options()).unwrap()
}

/// The length of the write-ahead log tells what is in it.
fn options() -> SqliteOptions {
    SqliteOptions {
        wal_reserved_bytes: 0,
        ..SqliteOptions::default()
    }
}

#[test]
fn old_releases_of_sqlite_are_refused_by_name() {
    let error = schema::check_sqlite(3_051_002, "3.51.2").unwrap_err();
    assert_eq!(
        error.to_string(),
        "SQLite 3.51.2 is too old for an event log, 3.51.3 or later is needed"
    );
    schema::check_sqlite(3_051_003, "3.51.3").unwrap();
    schema::check_sqlite(rusqlite::version_number(), rusqlite::version()).unwrap();
}

#[tokio::test]
async fn a_second_open_is_refused_until_the_first_is_gone() {
    let harness = SqliteHarness::new();
    let log = open(&harness.path());
    let second = SqliteEventLog::open(&harness.path(), SqliteOptions::default());
    assert!(matches!(second, Err(OpenError::InUse { .. })));
    drop(log);
    let log = open(&harness.path());
    log.close().await;
    // Closed is enough, even while a handle is left.
    open(&harness.path());
}

#[tokio::test]
async fn a_newer_schema_is_refused() {
    let harness = SqliteHarness::new();
    drop(open(&harness.path()));
    let connection = Connection::open(harness.path()).unwrap();
    connection
        .pragma_update(None, "user_version", schema::SCHEMA_VERSION + 1)
        .unwrap();
    drop(connection);
    let error = SqliteEventLog::open(&harness.path(), SqliteOptions::default()).err();
    match error {
        Some(OpenError::SchemaTooNew { found, known, .. }) => {
            assert_eq!(
                (found, known),
                (schema::SCHEMA_VERSION + 1, schema::SCHEMA_VERSION)
            );
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_older_schema_is_not_read_as_it_is() {
    let harness = SqliteHarness::new();
    drop(open(&harness.path()));
    let connection = Connection::open(harness.path()).unwrap();
    connection.pragma_update(None, "user_version", 1).unwrap();
    drop(connection);
    let error = SqliteEventLog::open_read_only(&harness.path()).err();
    assert!(
        matches!(error, Some(OpenError::SchemaTooOld { found: 1, .. })),
        "{error:?}"
    );
}

/// Room that was made and not used does not hide what is in front of it, nor comes back as events.
#[tokio::test]
async fn room_for_the_write_ahead_log_is_made_and_used() {
    let harness = SqliteHarness::new();
    let log = SqliteEventLog::open(&harness.path(), SqliteOptions::default()).unwrap();
    let wal = harness.folder.path().join("events.sqlite-wal");
    let room = std::fs::metadata(&wal).unwrap().len();
    assert_eq!(room, u64::from(SqliteOptions::default().wal_reserved_bytes));
    given(&*log, "a", Expected::NoStream, 1..4).await;
    assert_eq!(std::fs::metadata(&wal).unwrap().len(), room);
    let killed = harness.folder.path().join("killed.sqlite");
    std::fs::copy(harness.path(), &killed).unwrap();
    std::fs::copy(&wal, harness.folder.path().join("killed.sqlite-wal")).unwrap();
    assert_eq!(all(&*open(&killed)).await, all(&*log).await);
    log.close().await;
    assert_eq!(std::fs::metadata(&wal).unwrap().len(), 0);
}

#[tokio::test]
async fn a_database_of_something_else_is_refused_and_left_alone() {
    let harness = SqliteHarness::new();
    let connection = Connection::open(harness.path()).unwrap();
    connection.execute_batch("CREATE TABLE mine (x)").unwrap();
    drop(connection);
    let before = std::fs::read(harness.path()).unwrap();
    let error = SqliteEventLog::open(&harness.path(), SqliteOptions::default()).err();
    assert!(
        matches!(error, Some(OpenError::NotAnEventLog { .. })),
        "{error:?}"
    );
    assert_eq!(std::fs::read(harness.path()).unwrap(), before);
}

#[tokio::test]
async fn a_missing_folder_is_named() {
    let harness = SqliteHarness::new();
    let path = harness.folder.path().join("missing/events.sqlite");
    let error = SqliteEventLog::open(&path, SqliteOptions::default())
        .err()
        .unwrap();
    assert!(matches!(error, OpenError::Io { .. }), "{error:?}");
    assert!(error.to_string().contains("missing"), "{error}");
}

/// A killed process leaves the database and its write-ahead log as they are at that moment.
#[tokio::test]
async fn what_was_acknowledged_is_there_after_a_kill() {
    let harness = SqliteHarness::new();
    let log = open(&harness.path());
    let mut expected = Expected::NoStream;
    for id in 0..50 {
        expected = Expected::Exact(given(&*log, "a", expected, id..id + 1).await.version);
    }
    let killed = harness.folder.path().join("killed.sqlite");
    for suffix in ["", "-wal"] {
        let from = harness.folder.path().join(format!("events.sqlite{suffix}"));
        let to = harness.folder.path().join(format!("killed.sqlite{suffix}"));
        std::fs::copy(from, to).unwrap();
    }
    let wal = std::fs::metadata(harness.folder.path().join("killed.sqlite-wal")).unwrap();
    assert!(wal.len() > 0, "there is nothing to recover");
    let again = open(&killed);
    let wal = std::fs::metadata(harness.folder.path().join("killed.sqlite-wal")).unwrap();
    assert_eq!(
        wal.len(),
        0,
        "what was recovered is in the database and synced"
    );
    assert_eq!(all(&*again).await, all(&*log).await);
    given(&*again, "a", exact(49), 50..51).await;
}

#[tokio::test]
async fn a_torn_end_of_the_write_ahead_log_is_ignored() {
    let harness = SqliteHarness::new();
    let log = open(&harness.path());
    given(&*log, "a", Expected::NoStream, 1..4).await;
    let folder = harness.folder.path();
    std::fs::copy(harness.path(), folder.join("torn.sqlite")).unwrap();
    let mut wal = std::fs::read(folder.join("events.sqlite-wal")).unwrap();
    wal.extend_from_slice(&[0xa5; 5_000]);
    std::fs::write(folder.join("torn.sqlite-wal"), wal).unwrap();
    let again = open(&folder.join("torn.sqlite"));
    assert_eq!(all(&*again).await, all(&*log).await);
}

#[tokio::test]
async fn closing_finishes_what_waits_and_empties_the_write_ahead_log() {
    let harness = SqliteHarness::new();
    let log = open(&harness.path());
    let waiting: Vec<_> = (0..200)
        .map(|id| {
            let log = log.clone();
            let append = append(&format!("s-{id}"), Expected::NoStream, id..id + 1);
            tokio::spawn(async move { log.append(append).await })
        })
        .collect();
    tokio::task::yield_now().await;
    log.close().await;
    let mut taken = 0;
    for result in waiting {
        match result.await.unwrap() {
            Ok(_) => taken += 1,
            Err(AppendError::Unavailable(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    let wal = std::fs::metadata(harness.folder.path().join("events.sqlite-wal"));
    assert_eq!(wal.map_or(0, |wal| wal.len()), 0);
    assert_eq!(all(&*open(&harness.path())).await.len(), taken);
}

#[tokio::test]
async fn a_closed_log_says_so() {
    let harness = SqliteHarness::new();
    let log = open(&harness.path());
    let mut subscription = log.clone().subscribe(Position::START);
    log.close().await;
    log.close().await;
    let appended = log.append(append("a", Expected::NoStream, 1..2)).await;
    assert!(
        matches!(appended, Err(AppendError::Unavailable(_))),
        "{appended:?}"
    );
    let read = log.read_all(Position::START, 1).await;
    assert!(matches!(read, Err(ReadError::Unavailable(_))), "{read:?}");
    let batch = within(subscription.next_batch(1)).await;
    assert!(matches!(batch, Err(ReadError::Unavailable(_))), "{batch:?}");
}

/// A deferred constraint makes SQLite itself fail the COMMIT.
#[tokio::test]
async fn after_a_failed_commit_the_writer_stops() {
    let harness = SqliteHarness::new();
    drop(open(&harness.path()));
    let sabotage = "
        CREATE TABLE parent (id INTEGER PRIMARY KEY);
        CREATE TABLE child (id REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
        CREATE TRIGGER fail AFTER INSERT ON streams WHEN NEW.name = 'bad'
            BEGIN INSERT INTO child VALUES (1); END;";
    sabotage_with(&harness, sabotage);
    let log = open(&harness.path());
    given(&*log, "a", Expected::NoStream, 1..2).await;
    let mut subscription = log.clone().subscribe(Position(1));

    let failed = log.append(append("bad", Expected::NoStream, 99..100)).await;
    assert!(matches!(failed, Err(AppendError::Unknown(_))), "{failed:?}");
    let later = log.append(append("c", Expected::NoStream, 3..4)).await;
    match later {
        Err(AppendError::Unavailable(why)) => assert!(why.contains("restart"), "{why}"),
        other => panic!("{other:?}"),
    }
    let batch = within(subscription.next_batch(1)).await;
    assert!(matches!(batch, Err(ReadError::Unavailable(_))), "{batch:?}");
    assert_eq!(ids(&all(&*log).await), [1], "what was there can be read");
    drop((log, subscription));

    let log = open(&harness.path());
    assert_eq!(ids(&all(&*log).await), [1]);
    given(&*log, "b", Expected::NoStream, 4..5).await;
}

/// What the writer remembered of the transaction must go with it.
#[tokio::test]
async fn after_a_failed_insert_the_writer_goes_on() {
    let harness = SqliteHarness::new();
    drop(open(&harness.path()));
    let sabotage = "
        CREATE TRIGGER fail BEFORE INSERT ON streams WHEN NEW.name = 'bad'
            BEGIN SELECT RAISE(ABORT, 'sabotage'); END;";
    sabotage_with(&harness, sabotage);
    let log = open(&harness.path());
    let mut typed = append("a", Expected::NoStream, 1..3);
    typed.events[0].event_type = "Forgotten".into();
    let results = log
        .append_each(vec![
            typed.clone(),
            append("bad", Expected::NoStream, 99..100),
        ])
        .await;
    for result in &results {
        assert!(
            matches!(result, Err(AppendError::Unavailable(_))),
            "{result:?}"
        );
    }
    assert_conflict(&log.append(append("a", exact(1), 5..6)).await, None);
    assert_eq!(log.append(typed).await.unwrap().position, Position(2));
    let events = all(&*log).await;
    assert_eq!(ids(&events), [1, 2]);
    assert_eq!(&*events[0].event_type, "Forgotten");
}

#[tokio::test]
async fn a_clock_that_is_turned_back_does_not_turn_back_the_log() {
    let harness = SqliteHarness::new();
    let now_us = Arc::new(AtomicI64::new(1_000_000));
    let clock = now_us.clone();
    let options = SqliteOptions {
        clock: Arc::new(move || Timestamp::from_microsecond(clock.load(Ordering::SeqCst)).unwrap()),
        ..SqliteOptions::default()
    };
    let mut log = SqliteEventLog::open(&harness.path(), options.clone()).unwrap();
    for (id, time) in [1_000_000, 900_000, 2_000_000, 1].into_iter().enumerate() {
        now_us.store(time, Ordering::SeqCst);
        given(&*log, &format!("s-{id}"), Expected::NoStream, 1..2).await;
        drop(log);
        log = SqliteEventLog::open(&harness.path(), options.clone()).unwrap();
    }
    let times: Vec<i64> = all(&*log)
        .await
        .iter()
        .map(|event| event.recorded_at.as_microsecond())
        .collect();
    assert_eq!(times, [1_000_000, 1_000_000, 2_000_000, 2_000_000]);
}

/// So small that every limit is met: batches, caches, queue, checkpoints.
#[tokio::test]
async fn the_smallest_bounds_still_hold_the_contract() {
    let harness = SqliteHarness::new();
    let options = SqliteOptions {
        readers: 1,
        queued_calls: 1,
        queued_bytes: 1,
        batch_events: 1,
        batch_bytes: 1,
        cached_streams: 1,
        unindexed_streams: 1,
        checkpoint_pages: 1,
        ..SqliteOptions::default()
    };
    let log = SqliteEventLog::open(&harness.path(), options).unwrap();
    let mut expected = Expected::NoStream;
    for turn in 0..5u128 {
        let appends = (0..10u128)
            .map(|stream| {
                let id = turn * 10 + stream;
                append(&format!("s-{stream}"), expected, id..id + 1)
            })
            .collect();
        let results = log.append_each(appends).await;
        assert!(results.iter().all(Result::is_ok), "{results:?}");
        expected = Expected::Exact(results[0].as_ref().unwrap().version);
    }
    assert_eq!(ids(&all(&*log).await), (0..50).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_write_ahead_log_is_moved_when_it_is_long() {
    let mut lengths = Vec::new();
    for checkpoint_pages in [10, u32::MAX] {
        let harness = SqliteHarness::new();
        let options = SqliteOptions {
            checkpoint_pages,
            ..options()
        };
        let log = SqliteEventLog::open(&harness.path(), options).unwrap();
        let mut expected = Expected::NoStream;
        for id in 0..100 {
            expected = Expected::Exact(given(&*log, "a", expected, id..id + 1).await.version);
        }
        let wal = std::fs::metadata(harness.folder.path().join("events.sqlite-wal")).unwrap();
        lengths.push(wal.len() / 4096);
    }
    // Four times the limit while it is being moved, and what one commit adds.
    assert!(lengths[0] < 60, "{lengths:?} pages");
    assert!(lengths[1] >= 100, "{lengths:?} pages");
}

#[tokio::test]
async fn the_settings_that_keep_the_promise_are_on() {
    let harness = SqliteHarness::new();
    drop(open(&harness.path()));
    let connection = schema::open_writer(&harness.path(), &SqliteOptions::default()).unwrap();
    let read = |pragma: &str| -> String {
        connection
            .query_row(
                &format!("SELECT CAST({pragma} AS TEXT) FROM pragma_{pragma}"),
                [],
                |row| row.get(0),
            )
            .unwrap()
    };
    assert_eq!(read("journal_mode"), "wal");
    assert_eq!(read("synchronous"), "2");
    assert_eq!(read("page_size"), "4096");
    assert_eq!(read("application_id"), 0x4461_7962.to_string());
}

fn sabotage_with(harness: &SqliteHarness, sql: &str) {
    let connection = Connection::open(harness.path()).unwrap();
    connection.execute_batch(sql).unwrap();
}
