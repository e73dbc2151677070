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
