//! PostgreSQL against memory: whatever is appended to both in one call, they answer alike.

use std::collections::BTreeMap;

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::{PostgresEventLog, PostgresOptions};
use crate::conformance::fixture::{all, append};
use crate::memory::MemoryEventLog;
use crate::testing::postgres::TestDatabase;
use crate::{Append, AppendError, Appended, EventLog, Expected, StreamName, StreamVersion};

/// Few streams, versions and ids, so that conflicts and repeats are common.
fn attempt() -> impl Strategy<Value = Append> {
    // Ids follow from the version, mostly: then the same attempt again is a repeat.
    let expected = prop_oneof![3 => Just(None), 5 => (0..6u64).prop_map(Some)];
    (0..3u8, expected, 0..4u8, 0..4u128).prop_map(|(stream, expected, other, count)| {
        let after = expected.map_or(0, |version| u128::from(version) + 1);
        let first = if other == 0 { 100 } else { after };
        let expected = Expected::from(expected.map(StreamVersion));
        append(&format!("s-{stream}"), expected, first..first + count)
    })
}

#[test]
fn postgres_answers_like_memory() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let database = runtime.block_on(TestDatabase::create());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(24)
    });
    let calls = vec(vec(attempt(), 0..12), 1..12);
    let cases = std::cell::Cell::new(0);
    let result = runner.run(&calls, |calls| {
        cases.set(cases.get() + 1);
        let schema = format!("case_{}", cases.get());
        runtime.block_on(run(&database.url(), schema, calls));
        Ok(())
    });
    result.unwrap();
}

async fn run(url: &str, schema: String, calls: Vec<Vec<Append>>) {
    let options = PostgresOptions {
        schema,
        // So that calls are cut into several transactions, too.
        batch_events: 5,
        ..super::options()
    };
    let memory = MemoryEventLog::new();
    let postgres = PostgresEventLog::connect(url, options).await.unwrap();
    for appends in calls {
        let wanted = memory.append_each(appends.clone()).await;
        let found = postgres.append_each(appends.clone()).await;
        assert_eq!(answers(&found), answers(&wanted), "{appends:?}");
    }
    assert_eq!(streams(&*postgres).await, streams(&*memory).await);
    postgres.close().await;
}

/// Only the order within a stream is promised: an append that turns out to be right after a
/// conflict may come after later ones to other streams.
fn answers(results: &[Result<Appended, AppendError>]) -> Vec<String> {
    let results = results.iter();
    let results = results.map(|result| result.as_ref().map(|appended| appended.version));
    results.map(|result| format!("{result:?}")).collect()
}

/// For each stream the ids of its events, in order.
async fn streams(log: &dyn EventLog) -> BTreeMap<StreamName, Vec<u128>> {
    let mut streams: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for event in all(log).await {
        let ids = streams.entry(event.stream).or_default();
        assert_eq!(event.version.0, ids.len() as u64);
        ids.push(event.event_id.as_u128());
    }
    streams
}
