//! A write-ahead log that ends early or wrongly, as a power failure leaves it: what opens is what
//! was there after one of the commits, and has all that was in the database.

use std::path::Path;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use tempfile::TempDir;

use super::vfs::plan_for;
use super::{SqliteOptions, open};
use crate::conformance::fixture::{all, append};
use crate::sqlite::SqliteEventLog;
use crate::{EventLog, Expected, Position, RecordedEvent, StreamVersion};

const SEED: u64 = 20_251_125;
/// Before each page of the write-ahead log.
const FRAME_HEADER: usize = 24;
const WAL_HEADER: usize = 32;

/// A log as a crash leaves it.
struct Crashed {
    database: Vec<u8>,
    wal: Vec<u8>,
    events: Vec<RecordedEvent>,
    /// The heads after each commit, the first of them in the database itself.
    commits: Vec<Position>,
    page: usize,
}

#[tokio::test]
async fn cut_at_any_length_a_prefix_of_commits_opens() {
    let crashed = crash().await;
    let frame = FRAME_HEADER + crashed.page;
    let frames = (crashed.wal.len() - WAL_HEADER) / frame;
    let mut chance = StdRng::seed_from_u64(SEED);
    let mut lengths = vec![0, 1, WAL_HEADER - 1, WAL_HEADER];
    for number in 0..=frames {
        let at = WAL_HEADER + number * frame;
        lengths.extend([at - 1, at, (at + 1).min(crashed.wal.len())]);
        lengths.push((at + chance.random_range(0..frame)).min(crashed.wal.len()));
    }
    let mut opened = Vec::new();
    for length in lengths {
        opened.push(crashed.open_with(&crashed.wal[..length]).await);
    }
    opened.dedup();
    assert_eq!(opened.first(), crashed.commits.first());
    assert_eq!(opened.iter().max(), crashed.commits.last());
}

#[tokio::test]
async fn with_bytes_changed_a_prefix_of_commits_opens() {
    let crashed = crash().await;
    let mut chance = StdRng::seed_from_u64(SEED);
    for _ in 0..200 {
        let mut wal = crashed.wal.clone();
        // Mostly near the end, which is what a crash tears.
        let range = match chance.random_range(0..3) {
            0 => 0..wal.len(),
            _ => wal.len() - 3 * crashed.page..wal.len(),
        };
        for _ in 0..chance.random_range(1..4) {
            let at = chance.random_range(range.clone());
            wal[at] ^= chance.random_range(1..=255u8);
        }
        crashed.open_with(&wal).await;
    }
}

async fn crash() -> Crashed {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.sqlite");
    let options = SqliteOptions {
        page_size_bytes: 4096,
        wal_reserved_bytes: 0,
        ..SqliteOptions::default()
    };
    let log = SqliteEventLog::open(&path, options.clone()).unwrap();
    let mut commits = Vec::new();
    commit(&log, 0, &mut commits).await;
    drop(log);
    // It is moved into the database now.
    let log = SqliteEventLog::open(&path, options).unwrap();
    for turn in 1..12 {
        commit(&log, turn, &mut commits).await;
    }
    let (database, wal) = files(&path);
    let page = 4096;
    assert!((wal.len() - WAL_HEADER).is_multiple_of(FRAME_HEADER + page));
    Crashed {
        database,
        wal,
        events: all(&*log).await,
        commits,
        page,
    }
}

async fn commit(log: &SqliteEventLog, turn: u128, commits: &mut Vec<Position>) {
    let expected = match turn {
        0 => Expected::NoStream,
        turn => Expected::Exact(StreamVersion(turn as u64 * 2 - 1)),
    };
    let id = turn * 1_000;
    let mut appends = vec![append("grows", expected, id..id + 2)];
    appends.extend((1..=turn).map(|other| {
        let stream = format!("s-{turn}-{other}");
        append(
            &stream,
            Expected::NoStream,
            id + 10 * other..id + 10 * other + 3,
        )
    }));
    let results = log.append_each(appends).await;
    commits.push(results.last().unwrap().as_ref().unwrap().position);
}

fn files(path: &Path) -> (Vec<u8>, Vec<u8>) {
    let wal = path.with_extension("sqlite-wal");
    (std::fs::read(path).unwrap(), std::fs::read(wal).unwrap())
}

impl Crashed {
    /// Opens the log with this write-ahead log, checks what is there and returns its head.
    async fn open_with(&self, wal: &[u8]) -> Position {
        let folder = TempDir::new().unwrap();
        // It need not be synced.
        plan_for(folder.path());
        let path = folder.path().join("events.sqlite");
        std::fs::write(&path, &self.database).unwrap();
        std::fs::write(path.with_extension("sqlite-wal"), wal).unwrap();
        let log = open(&path);
        let found = all(&*log).await;
        let head = found.last().map_or(Position::START, |last| last.position);
        assert!(self.commits.contains(&head), "{head} is inside a commit");
        assert_eq!(found, self.events[..found.len()]);
        assert_eq!(log.check_storage().await.unwrap(), Vec::<String>::new());
        let next = log.append(append("next", Expected::NoStream, 1..2)).await;
        assert_eq!(next.unwrap().position.0, head.0 + 1);
        head
    }
}
