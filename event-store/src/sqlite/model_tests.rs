//! SQLite against memory: whatever is done to both, they answer alike.

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use tempfile::TempDir;
use uuid::Uuid;

use super::{SqliteEventLog, SqliteOptions};
use crate::conformance::fixture::{all, append};
use crate::memory::MemoryEventLog;
use crate::{
    Append, AppendError, Direction, EventLog, EventMetadata, Expected, Position, RecordedEvent,
    StreamName, StreamVersion,
};

#[derive(Clone, Debug)]
enum Operation {
    Append(Vec<Attempt>),
    ReadAll {
        after: u64,
        limit: usize,
    },
    ReadStream {
        stream: u8,
        from: Option<u64>,
        direction: Direction,
        limit: usize,
    },
    Import {
        stream: u8,
        count: u8,
    },
    Check,
    Restart,
}

/// Few streams, versions and ids, so that conflicts and repeats are common.
#[derive(Clone, Debug)]
struct Attempt {
    stream: u8,
    expected: Option<u64>,
    first_id: u8,
    count: u8,
}

impl Attempt {
    fn append(&self) -> Append {
        let first = u128::from(self.first_id);
        let expected = Expected::from(self.expected.map(StreamVersion));
        let ids = first..first + u128::from(self.count);
        append(&format!("s-{}", self.stream), expected, ids)
    }
}

fn attempt() -> impl Strategy<Value = Attempt> {
    // Ids follow from the version, mostly: then the same attempt again is a repeat.
    let expected = prop_oneof![3 => Just(None), 5 => (0..6u64).prop_map(Some)];
    (0..3u8, expected, 0..4u8, 0..4u8).prop_map(|(stream, expected, other, count)| {
        let after = expected.map_or(0, |version| version as u8 + 1);
        Attempt {
            stream,
            expected,
            first_id: if other == 0 { 100 } else { after },
            count,
        }
    })
}

fn operation() -> impl Strategy<Value = Operation> {
    let read_stream = (
        0..4u8,
        prop::option::of(0..12u64),
        prop::bool::ANY,
        0..5usize,
    )
        .prop_map(|(stream, from, forward, limit)| Operation::ReadStream {
            stream,
            from,
            direction: if forward {
                Direction::Forward
            } else {
                Direction::Backward
            },
            limit,
        });
    prop_oneof![
        8 => vec(attempt(), 0..5).prop_map(Operation::Append),
        2 => (0..30u64, 0..8usize).prop_map(|(after, limit)| Operation::ReadAll { after, limit }),
        3 => read_stream,
        1 => (0..4u8, 0..4u8).prop_map(|(stream, count)| Operation::Import { stream, count }),
        1 => Just(Operation::Check),
        1 => Just(Operation::Restart),
    ]
}

/// Steps in all.
const STEPS: u32 = 10_000;
/// Steps on one log.
const STEPS_EACH: u32 = 100;

proptest! {
    #![proptest_config(ProptestConfig::with_cases(STEPS / STEPS_EACH))]

    #[test]
    fn sqlite_answers_like_memory(operations in vec(operation(), STEPS_EACH as usize)) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(run(operations));
    }
}

async fn run(operations: Vec<Operation>) {
    let folder = tempfile::tempdir().unwrap();
    let memory = MemoryEventLog::new();
    let mut sqlite = open(&folder);
    for operation in operations {
        match operation {
            Operation::Append(attempts) => {
                let appends: Vec<_> = attempts.iter().map(Attempt::append).collect();
                let wanted = memory.append_each(appends.clone()).await;
                let found = sqlite.append_each(appends).await;
                assert_eq!(comparable(&found), comparable(&wanted), "{attempts:?}");
            }
            Operation::ReadAll { after, limit } => {
                let wanted = memory.read_all(Position(after), limit).await.unwrap();
                let found = sqlite.read_all(Position(after), limit).await.unwrap();
                assert_same(found, wanted);
            }
            Operation::ReadStream {
                stream,
                from,
                direction,
                limit,
            } => {
                let stream = StreamName::new(format!("s-{stream}"));
                let from = from.map(StreamVersion);
                let wanted = memory.read_stream(&stream, from, direction, limit).await;
                let found = sqlite.read_stream(&stream, from, direction, limit).await;
                assert_same(found.unwrap(), wanted.unwrap());
            }
            Operation::Import { stream, count } => {
                let events = next_events(&memory, stream, count).await;
                let wanted = memory.import(events.clone()).await.unwrap();
                assert_eq!(sqlite.import(events).await.unwrap(), wanted);
            }
            Operation::Check => {
                assert_eq!(sqlite.check_storage().await.unwrap(), Vec::<String>::new());
            }
            Operation::Restart => {
                drop(sqlite);
                sqlite = open(&folder);
            }
        }
        assert_eq!(sqlite.head().await.unwrap(), memory.head().await.unwrap());
    }
    assert_same(all(&*sqlite).await, all(&*memory).await);
}

/// Events as another log may have them, that are the next of this one.
async fn next_events(log: &MemoryEventLog, stream: u8, count: u8) -> Vec<RecordedEvent> {
    let stream = StreamName::new(format!("s-{stream}"));
    let last = log.read_stream(&stream, None, Direction::Backward, 1).await;
    let last = last.unwrap().first().map(|event| event.version);
    let version = Expected::from(last).next_version().0;
    let position = log.head().await.unwrap().0 + 1;
    let events = (0..u64::from(count)).map(|number| RecordedEvent {
        position: Position(position + number),
        stream: stream.clone(),
        version: StreamVersion(version + number),
        event_id: Uuid::from_u128(u128::from(1_000 + position + number)),
        event_type: format!("Imported{}", number % 2).into(),
        schema_version: 2,
        // Not before anything that either log has taken by its own clock.
        recorded_at: "2300-01-01T00:00:00Z".parse().unwrap(),
        data: "{}".into(),
        metadata: EventMetadata::default(),
        salt: [9; 16],
    });
    events.collect()
}

/// Small caches, so that what they hold and what they forgot are both met.
fn open(folder: &TempDir) -> Arc<SqliteEventLog> {
    let options = SqliteOptions {
        cached_streams: 1,
        unindexed_streams: 1,
        batch_events: 3,
        checkpoint_pages: 10,
        wal_reserved_bytes: 64 * 1024,
        ..SqliteOptions::default()
    };
    SqliteEventLog::open(&folder.path().join("events.sqlite"), options).unwrap()
}

fn comparable(results: &[Result<crate::Appended, AppendError>]) -> Vec<String> {
    let results = results.iter();
    results.map(|result| format!("{result:?}")).collect()
}

/// The same but for time and salt, which each log takes itself.
fn assert_same(found: Vec<RecordedEvent>, wanted: Vec<RecordedEvent>) {
    assert_eq!(found.len(), wanted.len());
    for (found, wanted) in found.into_iter().zip(wanted) {
        let wanted = RecordedEvent {
            recorded_at: found.recorded_at,
            salt: found.salt,
            ..wanted
        };
        assert_eq!(found, wanted);
    }
}
