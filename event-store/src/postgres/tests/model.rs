//! PostgreSQL against memory: whatever is appended to both in one call, they answer alike.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::{PostgresEventLog, PostgresOptions};
use crate::conformance::fixture::{all, append, ids};
use crate::memory::MemoryEventLog;
use crate::testing::postgres::TestDatabase;
use crate::{Append, EventLog, Expected, StreamVersion};

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
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(24));
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
        assert_eq!(format!("{found:?}"), format!("{wanted:?}"), "{appends:?}");
    }
    let (found, wanted) = (all(&*postgres).await, all(&*memory).await);
    assert_eq!(ids(&found), ids(&wanted));
    for (found, wanted) in found.iter().zip(&wanted) {
        assert_eq!(
            (&found.stream, found.version, found.position),
            (&wanted.stream, wanted.version, wanted.position)
        );
    }
    postgres.close().await;
}
