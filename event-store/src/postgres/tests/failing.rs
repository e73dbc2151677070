//! The server goes away in every way it can, under writers: nothing is lost, nothing is doubled.

use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use tokio::task::{JoinHandle, block_in_place};

use super::super::{PostgresEventLog, PostgresOptions};
use super::{connect, options};
use crate::conformance::fixture::{all, append, given, ids, take, within};
use crate::testing::postgres::{Shutdown, TestDatabase, TestServer};
use crate::{AppendError, Appended, EventLog, Expected, Position, ReadError, RecordedEvent};

const WRITERS: u128 = 6;
/// Each writer goes on until it is told to stop, but not beyond this.
const MOST: u128 = 1_000_000;

/// Appends that were acknowledged.
type Acknowledged = Vec<(u128, Appended)>;

/// Writers, each with a stream of its own, that go on through all trouble.
struct Writers {
    stop: tokio::sync::watch::Sender<bool>,
    tasks: Vec<JoinHandle<Acknowledged>>,
}

impl Writers {
    fn start(services: &[Arc<PostgresEventLog>]) -> Self {
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let tasks = (0..WRITERS)
            .zip(services.iter().cycle())
            .map(|(writer, log)| tokio::spawn(write(log.clone(), writer, stopped.clone())))
            .collect();
        Self { stop, tasks }
    }

    async fn stop(self) -> Vec<Acknowledged> {
        self.stop.send_replace(true);
        let acknowledged = within(join_all(self.tasks)).await;
        acknowledged.into_iter().map(Result::unwrap).collect()
    }
}

async fn write(
    log: Arc<PostgresEventLog>,
    writer: u128,
    stopped: tokio::sync::watch::Receiver<bool>,
) -> Acknowledged {
    let mut acknowledged = Vec::new();
    let mut expected = Expected::NoStream;
    let stream = format!("writer-{writer}");
    for id in (writer * MOST..).take(MOST as usize) {
        if *stopped.borrow() {
            break;
        }
        let appended = loop {
            match log.append(append(&stream, expected, id..id + 1)).await {
                Ok(appended) => break appended,
                Err(AppendError::Unavailable(_) | AppendError::Unknown(_)) => {}
                Err(error) => panic!("{error}"),
            }
        };
        expected = Expected::Exact(appended.version);
        acknowledged.push((id, appended));
    }
    acknowledged
}

/// Waits until this many more events are there.
async fn progress(log: &PostgresEventLog, events: u64) {
    within(async {
        let start = log.head().await.unwrap();
        while log.head().await.unwrap().0 < start.0 + events {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Everything acknowledged is there, where it was said to be, once; and nothing else is.
async fn assert_whole(log: &PostgresEventLog, acknowledged: Vec<Acknowledged>) {
    let events = all(log).await;
    let positions: Vec<u64> = events.iter().map(|event| event.position.0).collect();
    assert_eq!(positions, (1..=events.len() as u64).collect::<Vec<_>>());
    let mut wanted: Vec<_> = acknowledged.into_iter().flatten().collect();
    wanted.sort_by_key(|(_, appended)| appended.position);
    let found: Vec<_> = events
        .iter()
        .map(|event| {
            let appended = Appended {
                version: event.version,
                position: event.position,
            };
            (event.event_id.as_u128(), appended)
        })
        .collect();
    assert_eq!(found, wanted);
    assert_eq!(log.check_storage().await.unwrap(), Vec::<String>::new());
}

/// Follows from the start to the position, through all trouble.
async fn follow(log: Arc<PostgresEventLog>, end: Position) -> Vec<RecordedEvent> {
    let mut subscription = log.subscribe(Position::START);
    let mut events = Vec::new();
    while subscription.position() < end {
        match within(subscription.next_batch(100)).await {
            Ok(batch) => events.extend(batch),
            Err(ReadError::Unavailable(_)) => {}
            Err(error) => panic!("{error}"),
        }
    }
    events
}

async fn two_services(url: &str) -> Vec<Arc<PostgresEventLog>> {
    vec![connect(url).await, connect(url).await]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_server_loses_and_doubles_nothing() {
    let mut server = TestServer::start();
    let services = two_services(&server.url()).await;
    let mut subscription = services[1].clone().subscribe(Position::START);
    let writers = Writers::start(&services);
    for how in [Shutdown::Fast, Shutdown::Immediate, Shutdown::Fast] {
        progress(&services[0], 30).await;
        block_in_place(|| {
            server.stop(how);
            server.start_again();
        });
    }
    progress(&services[0], 30).await;
    let acknowledged = writers.stop().await;
    assert_whole(&services[0], acknowledged).await;
    let whole = all(&*services[0]).await;
    assert_eq!(take(&mut subscription, whole.len()).await, whole);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_sessions_lose_and_double_nothing() {
    let database = TestDatabase::create().await;
    let services = two_services(&database.url()).await;
    let writers = Writers::start(&services);
    let killer = database.session().await;
    for _ in 0..20 {
        progress(&services[0], 10).await;
        let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                    WHERE datname = current_database() AND pid <> pg_backend_pid()";
        killer.batch_execute(kill).await.unwrap();
    }
    let acknowledged = writers.stop().await;
    assert_whole(&services[0], acknowledged).await;
    let end = services[1].head().await.unwrap();
    let followed = follow(services[1].clone(), end).await;
    assert_eq!(followed, all(&*services[0]).await);
}

/// A primary, its standby, and a URL that names both.
fn primary_and_standby() -> (TestServer, TestServer, String) {
    let primary = TestServer::start();
    let standby = primary.standby();
    let one = format!("127.0.0.1:{}", primary.port());
    let both = format!("{one},127.0.0.1:{}", standby.port());
    let url = primary.url().replace(&one, &both);
    (primary, standby, url)
}

async fn execute(server: &TestServer, sql: &str) {
    let (client, connection) = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    for sql in sql.split(';') {
        client.batch_execute(sql).await.unwrap();
    }
}

/// Waits until the query, whose answer is true or false, says so.
async fn until(server: &TestServer, sql: &str) {
    let (client, connection) = tokio_postgres::connect(&server.url(), tokio_postgres::NoTls)
        .await
        .unwrap();
    tokio::spawn(connection);
    within(async {
        while !client.query_one(sql, &[]).await.unwrap().get::<_, bool>(0) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promoted_synchronous_standby_has_everything() {
    let (mut primary, standby, url) = block_in_place(primary_and_standby);
    let synchronous = "ALTER SYSTEM SET synchronous_standby_names = '*'; SELECT pg_reload_conf()";
    execute(&primary, synchronous).await;
    until(
        &primary,
        "SELECT coalesce(bool_or(sync_state = 'sync'), false) FROM pg_stat_replication",
    )
    .await;
    let services = two_services(&url).await;
    let mut subscription = services[1].clone().subscribe(Position::START);
    let writers = Writers::start(&services);
    progress(&services[0], 50).await;
    block_in_place(|| {
        primary.stop(Shutdown::Immediate);
        standby.promote();
    });
    progress(&services[0], 50).await;
    let acknowledged = writers.stop().await;
    assert_whole(&services[0], acknowledged).await;
    let whole = all(&*services[0]).await;
    assert_eq!(take(&mut subscription, whole.len()).await, whole);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_ahead_of_a_promoted_standby_stops() {
    let (mut primary, mut standby, url) = block_in_place(primary_and_standby);
    let log = connect(&url).await;
    let kept = given(&*log, "a", Expected::NoStream, 1..6).await.position;
    until(
        &standby,
        "SELECT to_regclass('daybook.head') IS NOT NULL \
             AND pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn()",
    )
    .await;
    let there = format!("SELECT position = {kept} FROM daybook.head");
    until(&standby, &there).await;
    // It misses what comes now.
    block_in_place(|| standby.stop(Shutdown::Fast));
    let lost = given(&*log, "b", Expected::NoStream, 6..9).await.position;
    let mut subscription = log.clone().subscribe(Position::START);
    assert_eq!(take(&mut subscription, 8).await.len(), 8);
    let waiting = tokio::spawn(async move { subscription.next_batch(1).await });
    block_in_place(|| {
        primary.stop(Shutdown::Immediate);
        standby.start_again();
        standby.promote();
    });
    match within(waiting).await.unwrap() {
        Err(ReadError::Ahead { position, head }) => assert_eq!((position, head), (lost, kept)),
        other => panic!("{other:?}"),
    }
    assert_eq!(ids(&all(&*log).await), [1, 2, 3, 4, 5]);
}

fn impatient() -> PostgresOptions {
    PostgresOptions {
        patience: Duration::from_millis(400),
        attempt_timeout: Duration::from_millis(200),
        ..options()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_sent_is_unavailable() {
    let mut server = TestServer::start();
    connect(&server.url()).await.close().await;
    let log = PostgresEventLog::connect(&server.url(), impatient())
        .await
        .unwrap();
    given(&*log, "a", Expected::NoStream, 1..2).await;
    block_in_place(|| server.stop(Shutdown::Fast));
    // The first may have been on its way when the session ended.
    let _ = log.append(append("b", Expected::NoStream, 2..3)).await;
    let result = log.append(append("c", Expected::NoStream, 3..4)).await;
    assert!(
        matches!(result, Err(AppendError::Unavailable(_))),
        "{result:?}"
    );
    let result = log.read_all(Position::START, 1).await;
    assert!(
        matches!(result, Err(ReadError::Unavailable(_))),
        "{result:?}"
    );
    block_in_place(|| server.start_again());
    within(async {
        while log
            .append(append("c", Expected::NoStream, 3..4))
            .await
            .is_err()
        {}
    })
    .await;
    assert_eq!(
        all(&*log)
            .await
            .last()
            .map(|event| event.event_id.as_u128()),
        Some(3)
    );
}

/// A standby that does not answer keeps commits waiting; they are on disk all the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_be_committed_is_unknown_until_it_is_asked_again() {
    let server = TestServer::start();
    connect(&server.url()).await.close().await;
    let log = PostgresEventLog::connect(&server.url(), impatient())
        .await
        .unwrap();
    given(&*log, "a", Expected::NoStream, 1..2).await;
    let nobody = "ALTER SYSTEM SET synchronous_standby_names = 'nobody'; SELECT pg_reload_conf()";
    execute(&server, nobody).await;
    let once = append("b", Expected::NoStream, 2..4);
    let result = loop {
        // Until the setting has reached the session.
        let stream = format!("probe-{}", log.head().await.unwrap());
        let probe = log.append(append(&stream, Expected::NoStream, 9..10)).await;
        if probe.is_err() {
            break log.append(once.clone()).await;
        }
    };
    assert!(matches!(result, Err(AppendError::Unknown(_))), "{result:?}");
    let again = "SET synchronous_commit = local; ALTER SYSTEM RESET synchronous_standby_names; \
                 SELECT pg_reload_conf()";
    execute(&server, again).await;
    let found = within(async {
        loop {
            if let Ok(appended) = log.append(once.clone()).await {
                return appended;
            }
        }
    })
    .await;
    let there: Vec<_> = all(&*log)
        .await
        .into_iter()
        .filter(|event| event.stream == once.stream)
        .collect();
    assert_eq!(ids(&there), [2, 3]);
    assert_eq!(there[1].position, found.position);
}

/// Refuses some inserts, each with one of these codes.
fn refuse(inserts: u64, codes: &str) -> String {
    format!(
        "CREATE SEQUENCE IF NOT EXISTS daybook.asked; \
         SELECT setval('daybook.asked', 1, false); \
         CREATE OR REPLACE FUNCTION daybook.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ \
         DECLARE codes text[] := '{{{codes}}}'; asked bigint := nextval('daybook.asked'); \
         BEGIN \
             IF asked <= {inserts} THEN \
                 RAISE 'refused' USING ERRCODE = codes[1 + asked % cardinality(codes)]; \
             END IF; \
             RETURN NULL; \
         END $$; \
         CREATE OR REPLACE TRIGGER refuse BEFORE INSERT ON daybook.events \
             FOR EACH STATEMENT EXECUTE FUNCTION daybook.refuse()"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_that_pass_are_tried_again() {
    let database = TestDatabase::create().await;
    let log = connect(&database.url()).await;
    // Serialization failure, deadlock, lock not available, disk full, read-only.
    let refusing = refuse(5, "40001,40P01,55P03,53100,25006");
    database.execute(&refusing).await;
    given(&*log, "a", Expected::NoStream, 1..3).await;
    assert_eq!(ids(&all(&*log).await), [1, 2]);
    let asked = "SELECT last_value FROM daybook.asked";
    let asked = database.session().await.query_one(asked, &[]).await;
    assert_eq!(asked.unwrap().get::<_, i64>(0), 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refusals_for_good_are_answered() {
    let database = TestDatabase::create().await;
    let log = connect(&database.url()).await;
    database.execute(&refuse(1, "42501")).await;
    let result = log.append(append("a", Expected::NoStream, 1..2)).await;
    assert!(
        matches!(result, Err(AppendError::Unavailable(_))),
        "{result:?}"
    );
    given(&*log, "a", Expected::NoStream, 1..2).await;
    assert_eq!(ids(&all(&*log).await), [1]);
}
