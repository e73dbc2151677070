//! What is acknowledged survives: failing disks (`io`), full ones (`full`), torn write-ahead logs
//! (`torn`) and killed processes (`killed`).

mod full;
mod io;
mod killed;
mod torn;
mod vfs;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::{SqliteEventLog, SqliteOptions};
use crate::conformance::fixture::{all, append};
use crate::{Append, AppendError, Appended, EventLog, Expected, Position, StreamVersion};

/// Everything small, so that a few appends meet every part of the adapter.
fn options() -> SqliteOptions {
    SqliteOptions {
        cached_streams: 2,
        unindexed_streams: 40,
        checkpoint_pages: 12,
        readers: 1,
        wal_reserved_bytes: 64 * 1024,
        ..SqliteOptions::default()
    }
}

fn open(path: &Path) -> Arc<SqliteEventLog> {
    SqliteEventLog::open(path, options()).unwrap()
}

/// What was tried on a log, and what it said.
#[derive(Default)]
struct Story {
    tried: Vec<(Append, Result<Appended, AppendError>)>,
}

impl Story {
    async fn append(&mut self, log: &SqliteEventLog, appends: Vec<Append>) {
        let results = log.append_each(appends.clone()).await;
        self.tried.extend(appends.into_iter().zip(results));
    }

    fn refused(&self) -> usize {
        self.tried
            .iter()
            .filter(|(_, result)| result.is_err())
            .count()
    }

    /// Everything acknowledged is there and where it was said to be, what was not written is not
    /// there, nothing is there twice or in part, and the log goes on.
    async fn check(&self, log: &SqliteEventLog) {
        let events = all(log).await;
        let mut there = BTreeMap::new();
        let mut versions = BTreeMap::new();
        for (event, position) in events.iter().zip(1..) {
            assert_eq!(
                event.position,
                Position(position),
                "positions are contiguous"
            );
            let next = versions.entry(event.stream.clone()).or_insert(0);
            assert_eq!(event.version, StreamVersion(*next), "versions are gapless");
            *next += 1;
            let before = there.insert(event.event_id, event.position);
            assert_eq!(before, None, "an event is there twice");
        }
        assert_eq!(log.check_storage().await.unwrap(), Vec::<String>::new());
        for (append, result) in &self.tried {
            let found = append
                .events
                .iter()
                .filter_map(|event| there.get(&event.event_id));
            let found: Vec<_> = found.collect();
            match result {
                Ok(appended) => assert_eq!(found.last(), Some(&&appended.position)),
                Err(AppendError::Unavailable(why)) => assert_eq!(found.len(), 0, "{why}"),
                Err(_) => assert!(found.is_empty() || found.len() == append.events.len()),
            }
        }
        let again = self
            .tried
            .iter()
            .map(|(append, _)| append.clone())
            .collect();
        let again = log.append_each(again).await;
        for ((_, first), again) in self.tried.iter().zip(&again) {
            let again = again.as_ref().unwrap();
            if let Ok(first) = first {
                assert_eq!(again, first, "a repeat is what it was");
            }
        }
    }
}

/// Appends to one stream as it grows, to new ones, and to enough at once that the index of names
/// moves.
async fn append_some(log: &SqliteEventLog, story: &mut Story) {
    let mut expected = Expected::NoStream;
    for turn in 0..6u128 {
        let id = turn * 1_000;
        let mut appends = vec![append("grows", expected, id..id + 2)];
        if turn % 2 == 0 {
            let count = if turn == 2 { 70 } else { 3 };
            appends.extend((1..count).map(|other| {
                let stream = format!("s-{turn}-{other}");
                append(
                    &stream,
                    Expected::NoStream,
                    id + 10 * other..id + 10 * other + 1,
                )
            }));
        }
        story.append(log, appends).await;
        expected = Expected::Exact(StreamVersion(turn as u64 * 2 + 1));
        // Readers meet faults of their own.
        let _ = log.read_all(Position(turn as u64), 5).await;
    }
}
