use std::fs;
use std::path::Path;
use std::sync::atomic::Ordering;

use rusqlite::Connection;

use super::Writer;
use crate::model::{self, with_suffix};

/// So few pages that a test gets to each step many times.
const LIMIT: i64 = 40;

fn open(path: &Path) -> Writer {
    let (conn, _) = model::open(path).unwrap();
    Writer::with_limit(conn, path, LIMIT).unwrap()
}

/// Commits a row that changes some pages.
fn commit(writer: &mut Writer, number: u32) {
    let name = format!(
        "{:08x}{}",
        number.wrapping_mul(2_654_435_761),
        "-".repeat(700)
    );
    let sql = "INSERT INTO counters VALUES ('test', ?1, ?2)";
    writer.conn.execute(sql, (name, number)).unwrap();
    writer.committed().unwrap();
}

/// Waits until the pages that were moved are given to the disk, if some were.
fn wait(writer: &Writer) {
    let moving = || writer.moving.as_ref();
    while moving().is_some_and(|moving| !moving.is_over()) {
        std::thread::yield_now();
    }
}

fn rows(conn: &Connection) -> u32 {
    conn.query_row("SELECT count(*) FROM counters", [], |row| row.get(0))
        .unwrap()
}

#[test]
fn the_synced_file_and_the_write_ahead_log_have_all_of_it_at_any_time() {
    let folder = tempfile::tempdir().unwrap();
    let (path, failed) = (folder.path().join("model"), folder.path().join("failed"));
    let mut writer = open(&path);
    // What a power failure leaves of the file, at worst: nothing of what was moved without a sync.
    let mut synced = fs::read(&path).unwrap();
    let (mut moved, mut anew) = (0, 0);
    for number in 1..=600 {
        let before = (writer.moving.is_some(), writer.moved);
        commit(&mut writer, number);
        match (before.0, writer.moving.is_some()) {
            (false, true) => moved += 1,
            (true, false) => {
                synced = fs::read(&path).unwrap();
                // Nobody reads, so all of it is there, and nothing is moved without a sync any more.
                assert_eq!(writer.moved, writer.pages.load(Ordering::Relaxed));
                assert!(writer.holder.is_autocommit());
            }
            _ => {}
        }
        anew += u32::from(writer.moved < before.1);
        let level: i64 = writer
            .conn
            .pragma_query_value(None, "synchronous", |row| row.get(0))
            .unwrap();
        assert_eq!(level, 1, "it is NORMAL between commits");
        fs::write(&failed, &synced).unwrap();
        fs::copy(with_suffix(&path, "-wal"), with_suffix(&failed, "-wal")).unwrap();
        let left = Connection::open(&failed).unwrap();
        assert_eq!(rows(&left), number);
        drop(left);
        for suffix in ["", "-wal", "-shm"] {
            let _ = fs::remove_file(with_suffix(&failed, suffix));
        }
        if number % 5 == 0 {
            wait(&writer);
        }
    }
    assert!(
        moved > 2 && anew > 1,
        "moved {moved} times, anew {anew} times"
    );
}

#[test]
fn what_is_closed_in_the_middle_is_there_when_it_is_opened_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    let mut writer = open(&path);
    let mut number = 0;
    while writer.moving.is_none() {
        number += 1;
        commit(&mut writer, number);
    }
    drop(writer);
    let writer = open(&path);
    assert_eq!(rows(&writer.conn), number);
    let (conn, _file) = writer.into_parts().unwrap();
    assert_eq!(rows(&conn), number);
}

#[test]
fn a_reader_that_stays_delays_the_checkpoint_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model");
    let mut writer = open(&path);
    commit(&mut writer, 1);
    let reader = model::open_reader(&path).unwrap();
    reader.execute_batch("BEGIN").unwrap();
    assert_eq!(rows(&reader), 1);
    for number in 2..=200 {
        commit(&mut writer, number);
    }
    assert_eq!(rows(&reader), 1);
    reader.execute_batch("COMMIT").unwrap();
    assert_eq!(rows(&reader), 200);
    let grown = writer.pages.load(Ordering::Relaxed);
    assert!(grown > 2 * LIMIT, "it could not begin anew");
    for number in 201..=210 {
        commit(&mut writer, number);
        wait(&writer);
    }
    assert_eq!(rows(&reader), 210);
    assert!(writer.pages.load(Ordering::Relaxed) < grown);
}

#[test]
fn what_was_moved_and_not_synced_stays_in_the_log_when_all_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let (path, failed) = (folder.path().join("model"), folder.path().join("failed"));
    let mut writer = open(&path);
    let before = fs::read(&path).unwrap();
    let mut number = 0;
    while writer.moving.is_none() {
        number += 1;
        commit(&mut writer, number);
    }
    drop(writer);
    fs::write(&failed, before).unwrap();
    fs::copy(with_suffix(&path, "-wal"), with_suffix(&failed, "-wal")).unwrap();
    assert_eq!(rows(&Connection::open(&failed).unwrap()), number);
}
