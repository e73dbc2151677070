//! Reading beside a writer, as another process would.

use std::path::PathBuf;
use std::sync::Arc;

use tempfile::TempDir;

use crate::conformance::fixture::{all, append, exact, given, ids, take, within};
use crate::sqlite::{OpenError, SqliteEventLog, SqliteOptions};
use crate::{AppendError, EventLog, Expected, Position, ReadError};

fn path(folder: &TempDir) -> PathBuf {
    folder.path().join("events.sqlite")
}

fn writer(folder: &TempDir) -> Arc<SqliteEventLog> {
    SqliteEventLog::open(&path(folder), SqliteOptions::default()).unwrap()
}

fn reader(folder: &TempDir) -> Arc<dyn EventLog> {
    SqliteEventLog::open_read_only(&path(folder)).unwrap()
}

#[tokio::test]
async fn it_sees_what_the_writer_commits() {
    let folder = tempfile::tempdir().unwrap();
    let log = writer(&folder);
    given(&*log, "a", Expected::NoStream, 1..3).await;
    let beside = reader(&folder);
    assert_eq!(all(&*beside).await, all(&*log).await);

    let mut subscription = beside.clone().subscribe(Position(1));
    assert_eq!(ids(&take(&mut subscription, 1).await), [2]);
    given(&*log, "a", exact(1), 3..4).await;
    assert_eq!(ids(&take(&mut subscription, 1).await), [3]);
    assert_eq!(beside.head().await.unwrap(), Position(3));
    assert_eq!(beside.check_storage().await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn it_writes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let log = writer(&folder);
    given(&*log, "a", Expected::NoStream, 1..3).await;
    let beside = reader(&folder);
    let appended = beside.append(append("b", Expected::NoStream, 4..5)).await;
    assert!(
        matches!(&appended, Err(AppendError::Unavailable(why)) if why.contains("reading only")),
        "{appended:?}"
    );
    let imported = beside.import(all(&*log).await).await;
    assert!(
        matches!(imported, Err(AppendError::Unavailable(_))),
        "{imported:?}"
    );
    assert_eq!(all(&*log).await.len(), 2);
}

#[tokio::test]
async fn it_needs_no_writer_and_leaves_the_file_alone() {
    let folder = tempfile::tempdir().unwrap();
    let log = writer(&folder);
    given(&*log, "a", Expected::NoStream, 1..3).await;
    log.close().await;
    let before = std::fs::read(path(&folder)).unwrap();
    let alone = reader(&folder);
    assert_eq!(ids(&all(&*alone).await), [1, 2]);
    alone.close().await;
    drop(alone);
    assert_eq!(std::fs::read(path(&folder)).unwrap(), before);
    given(&*writer(&folder), "a", exact(1), 3..4).await;
}

/// A writer that comes back has to sync what it recovers, whoever reads meanwhile.
#[tokio::test]
async fn a_writer_comes_back_while_it_reads() {
    let folder = tempfile::tempdir().unwrap();
    let log = writer(&folder);
    given(&*log, "a", Expected::NoStream, 1..3).await;
    let beside = reader(&folder);
    drop(log);
    let log = writer(&folder);
    given(&*log, "a", exact(1), 3..4).await;
    assert_eq!(ids(&all(&*beside).await), [1, 2, 3]);
}

#[test]
fn a_missing_log_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let error = SqliteEventLog::open_read_only(&path(&folder)).err();
    assert!(
        matches!(error, Some(OpenError::Missing { .. })),
        "{error:?}"
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn what_is_no_log_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(path(&folder), b"").unwrap();
    let error = SqliteEventLog::open_read_only(&path(&folder)).err();
    assert!(
        matches!(error, Some(OpenError::NotAnEventLog { .. })),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_subscriber_ahead_is_told_and_a_closed_log_ends_it() {
    let folder = tempfile::tempdir().unwrap();
    let log = writer(&folder);
    given(&*log, "a", Expected::NoStream, 1..3).await;
    let beside = reader(&folder);
    let mut ahead = beside.clone().subscribe(Position(9));
    let told = within(ahead.next_batch(1)).await;
    assert!(matches!(told, Err(ReadError::Ahead { .. })), "{told:?}");

    let mut waiting = beside.clone().subscribe(Position(2));
    beside.close().await;
    within(beside.stopped()).await;
    let told = within(waiting.next_batch(1)).await;
    assert!(matches!(told, Err(ReadError::Unavailable(_))), "{told:?}");
}
