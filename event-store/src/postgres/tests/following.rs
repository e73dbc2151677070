//! Several services append, others follow: no gap, no repeat, whatever else is open.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio_postgres::Client;

use super::super::PostgresEventLog;
use super::connect;
use crate::conformance::fixture::{all, append, given, ids, take, within, write_alone};
use crate::testing::postgres::TestDatabase;
use crate::{EventLog, Expected, Position, RecordedEvent};

const SERVICES: usize = 4;
const WRITERS: u128 = 10;
const EACH: u128 = 40;
const EVENTS: usize = (WRITERS * EACH) as usize;

/// Sessions that wait for a lock.
const WAITING: &str = "SELECT count(*) FROM pg_stat_activity \
    WHERE datname = current_database() AND wait_event_type = 'Lock'";

/// A session that finds the tables.
async fn session(database: &TestDatabase) -> Client {
    let session = database.session().await;
    let found = session.batch_execute("SET search_path = daybook").await;
    found.unwrap();
    session
}

/// Waits until somebody waits for a lock, or until `done` says that nobody will.
async fn until_somebody_waits(session: &Client, done: impl Fn() -> bool) {
    within(async {
        loop {
            let waiting: i64 = session.query_one(WAITING, &[]).await.unwrap().get(0);
            if waiting > 0 || done() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

async fn follow(log: Arc<PostgresEventLog>) -> Vec<RecordedEvent> {
    let mut subscription = log.subscribe(Position::START);
    let mut events = Vec::new();
    while events.len() < EVENTS {
        events.extend(within(subscription.next_batch(7)).await.unwrap());
    }
    events
}

/// Ten writers over four services, with a follower each.
async fn ten_writers_and_followers(database: &TestDatabase) -> impl Future<Output = ()> + use<> {
    let services = join_all((0..SERVICES).map(|_| {
        let url = database.url();
        async move { connect(&url).await }
    }))
    .await;
    async move {
        let followers: Vec<_> = services
            .iter()
            .map(|log| tokio::spawn(follow(log.clone())))
            .collect();
        let writers: Vec<_> = (0..WRITERS)
            .zip(services.iter().cycle())
            .map(|(writer, log)| tokio::spawn(write_alone(log.clone(), writer, EACH)))
            .collect();
        for writer in join_all(writers).await {
            writer.unwrap();
        }
        let whole = all(&*services[0]).await;
        let positions: Vec<u64> = whole.iter().map(|event| event.position.0).collect();
        assert_eq!(positions, (1..=EVENTS as u64).collect::<Vec<_>>());
        let mut streams: BTreeMap<_, Vec<u64>> = BTreeMap::new();
        for event in &whole {
            let versions = streams.entry(event.stream.clone()).or_default();
            versions.push(event.version.0);
        }
        assert_eq!(streams.len(), WRITERS as usize);
        for (stream, versions) in streams {
            assert_eq!(versions, (0..EACH as u64).collect::<Vec<_>>(), "{stream}");
        }
        assert!(whole.iter().map(|event| event.recorded_at).is_sorted());
        for follower in join_all(followers).await {
            assert_eq!(follower.unwrap(), whole);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_services_beside_an_old_snapshot() {
    let database = TestDatabase::create().await;
    let writing = ten_writers_and_followers(&database).await;
    let old = session(&database).await;
    let begin = "BEGIN ISOLATION LEVEL REPEATABLE READ; \
                 SELECT txid_current(), count(*) FROM events";
    old.batch_execute(begin).await.unwrap();
    writing.await;
    let row = old.query_one("SELECT count(*) FROM events", &[]).await;
    assert_eq!(row.unwrap().get::<_, i64>(0), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_services_beside_one_who_holds_the_head() {
    let database = TestDatabase::create().await;
    let writing = tokio::spawn(ten_writers_and_followers(&database).await);
    let (holder, observer) = (session(&database).await, session(&database).await);
    for _ in 0..5 {
        let hold = "BEGIN; SELECT FROM head FOR UPDATE";
        holder.batch_execute(hold).await.unwrap();
        until_somebody_waits(&observer, || writing.is_finished()).await;
        holder.batch_execute("ROLLBACK").await.unwrap();
    }
    within(writing).await.unwrap();
}

/// What a transaction does to followers that has its position first and commits last.
#[derive(Debug, PartialEq, Eq)]
struct Followed {
    /// Positions that one who reads on after the last one seen never gets to see.
    missed: Vec<i64>,
    /// What the subscription says of it.
    subscription: Result<Vec<u128>, String>,
}

async fn follow_a_slow_transaction(database: &TestDatabase) -> Followed {
    let log = connect(&database.url()).await;
    let (slow, observer) = (session(database).await, session(database).await);
    let takes_its_position = "BEGIN; SELECT append_events(now(), '{slow}', '{-1}', '{1}', '{1}', \
        '{0}', '{00000000-0000-0000-0000-000000000001}', '{Happened}', '{1}', '{\"{}\"}', \
        '{null}', '{\"\\\\x00112233445566778899aabbccddeeff\"}')";
    slow.batch_execute(takes_its_position).await.unwrap();
    let quick = tokio::spawn({
        let log = log.clone();
        async move { given(&*log, "quick", Expected::NoStream, 2..3).await }
    });
    // It waits for the slow one, or does not know of it.
    until_somebody_waits(&observer, || quick.is_finished()).await;
    let mut seen = positions_after(&observer, 0).await;
    let mut subscription = log.clone().subscribe(Position::START);
    let followed = match quick.is_finished() {
        true => within(subscription.next_batch(10)).await,
        false => Ok(Vec::new()),
    };
    slow.batch_execute("COMMIT").await.unwrap();
    within(quick).await.unwrap();
    seen.extend(positions_after(&observer, seen.last().copied().unwrap_or(0)).await);
    let there = positions_after(&observer, 0).await;
    assert_eq!(there, [1, 2]);
    let followed = match followed {
        Ok(_) => Ok(ids(&take(&mut subscription, 2).await)),
        Err(error) => Err(error.to_string()),
    };
    Followed {
        missed: there
            .into_iter()
            .filter(|position| !seen.contains(position))
            .collect(),
        subscription: followed,
    }
}

async fn positions_after(session: &Client, after: i64) -> Vec<i64> {
    let sql = "SELECT position FROM events WHERE position > $1 ORDER BY position";
    let rows = session.query(sql, &[&after]).await.unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_misses_a_slow_transaction() {
    let database = TestDatabase::create().await;
    let wanted = Followed {
        missed: Vec::new(),
        subscription: Ok(vec![1, 2]),
    };
    assert_eq!(follow_a_slow_transaction(&database).await, wanted);
}

/// The test of the test: a writer whose positions come from a plain sequence is found out, and the
/// log itself refuses to skip what is not there yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn positions_from_a_plain_sequence_are_found_out() {
    let database = TestDatabase::create().await;
    connect(&database.url()).await.close().await;
    take_positions_from_a_sequence(&database).await;
    let wanted = Followed {
        missed: vec![1],
        subscription: Err("log damaged: position 1 is missing, 2 is there".into()),
    };
    assert_eq!(follow_a_slow_transaction(&database).await, wanted);
}

/// Changes the function that appends in this one thing.
async fn take_positions_from_a_sequence(database: &TestDatabase) {
    let session = session(database).await;
    let source = "SELECT pg_get_functiondef('append_events'::regproc)";
    let source: String = session.query_one(source, &[]).await.unwrap().get(0);
    let changes = [
        (
            "SELECT h.position, greatest(h.recorded_at, append_events.now) \
             INTO STRICT before, moment\n        FROM head h FOR UPDATE;",
            "before := nextval('positions') - 1; moment := append_events.now;\n    \
             PERFORM nextval('positions') FROM generate_series(2, cardinality(versions));",
        ),
        (
            "UPDATE head SET position = before + taken, recorded_at = moment;",
            "",
        ),
    ];
    let mut changed = source;
    for (from, to) in changes {
        assert!(changed.contains(from), "{changed}");
        changed = changed.replace(from, to);
    }
    let tables = "CREATE SEQUENCE positions; DROP TABLE head; CREATE VIEW head AS \
                  SELECT coalesce(max(position), 0) AS position FROM events";
    session.batch_execute(tables).await.unwrap();
    session.batch_execute(&changed).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn notifications_wake_those_who_hardly_ever_ask() {
    let database = TestDatabase::create().await;
    let hardly_ever = super::PostgresOptions {
        poll_interval: Duration::from_secs(3_600),
        ..super::options()
    };
    let log = PostgresEventLog::connect(&database.url(), hardly_ever).await;
    let mut subscription = log.unwrap().subscribe(Position::START);
    let other = connect(&database.url()).await;
    // Before it listens it may miss some, but not all of them.
    let mut next = 0..;
    let first = tokio::spawn(async move { subscription.next_batch(1).await });
    within(async {
        while !first.is_finished() {
            let id = next.next().unwrap();
            let stream = format!("s-{id}");
            other
                .append(append(&stream, Expected::NoStream, id..id + 1))
                .await
                .unwrap();
        }
    })
    .await;
    assert_eq!(ids(&first.await.unwrap().unwrap()), [0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn asking_makes_up_for_lost_notifications() {
    let database = TestDatabase::create().await;
    let log = connect(&database.url()).await;
    let mut subscription = log.subscribe(Position::START);
    let other = session(&database).await;
    let silent = "SELECT append_events(now(), '{s}', '{-1}', '{1}', '{1}', '{0}', \
        '{00000000-0000-0000-0000-000000000001}', '{Happened}', '{1}', '{\"{}\"}', '{null}', \
        '{\"\\\\x00112233445566778899aabbccddeeff\"}')";
    other.batch_execute(silent).await.unwrap();
    assert_eq!(ids(&take(&mut subscription, 1).await), [1]);
}
