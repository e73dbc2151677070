//! Each kind of damage is found and described; a sound log is not.

use rusqlite::Connection;

use crate::conformance::fixture::given;
use crate::sqlite::{SqliteEventLog, SqliteOptions};
use crate::{EventLog, Expected};

async fn check(damage: &str, wanted: &[&str]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.sqlite");
    let log = SqliteEventLog::open(&path, SqliteOptions::default()).unwrap();
    given(&*log, "a", Expected::NoStream, 1..4).await;
    given(&*log, "b", Expected::NoStream, 4..5).await;
    Connection::open(&path)
        .unwrap()
        .execute_batch(damage)
        .unwrap();
    let finds = log.check_storage().await.unwrap();
    assert_eq!(finds, wanted, "{damage}");
}

#[tokio::test]
async fn a_sound_log_has_no_finds() {
    check("", &[]).await;
}

#[tokio::test]
async fn each_kind_of_damage_is_described() {
    check(
        "DELETE FROM event_types",
        &[
            "the event at 1: type number 1 has no name",
            "the event at 2: type number 1 has no name",
            "the event at 3: type number 1 has no name",
            "the event at 4: type number 1 has no name",
        ],
    )
    .await;
    check(
        "DELETE FROM streams WHERE id = 2",
        &["the event at 4: stream number 2 has no name"],
    )
    .await;
    check(
        "INSERT INTO streams (id, name) VALUES (9, 'c')",
        &["stream c has no events"],
    )
    .await;
    check(
        "UPDATE hashed SET to_id = 1",
        &["the event at 1: stream a has number 1 but is found as None"],
    )
    .await;
    check(
        "DELETE FROM blocks WHERE position = 3",
        &["the block of 1 events up to position 4 does not follow 0"],
    )
    .await;
    check(
        "UPDATE appends SET position = 3 WHERE stream_id = 2",
        &["the event at 4: version 0 of stream number 2 is said to be at Some(3)"],
    )
    .await;
}
