//! Our log in PostgreSQL, beside a plain table in the same server.
//!
//! The server is the one named by `DAYBOOK_TEST_POSTGRES_URL`, or one of its own, with its data
//! where temporary files go. `fsync` is on.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use daybook_event_store::postgres::{PostgresEventLog, PostgresOptions};
use daybook_event_store::testing::postgres::TestDatabase;
use daybook_event_store::{
    Append, EventLog, EventMetadata, Expected, NewEvent, Position, StreamName,
};
use futures::future::try_join_all;
use tokio_postgres::Client;
use uuid::Uuid;

type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// How long each figure is measured.
const EACH: Duration = Duration::from_secs(3);
/// The data of one event, about that of a small outcome.
const EVENT_BYTES: usize = 400;
const PAGE: usize = 1_000;
const CLIENTS: usize = 64;
const BATCH: usize = 1_000;
const SERVICES: usize = 4;
/// Callers of each service where batches come together.
const CALLERS: usize = 2;

/// Events a second.
pub(crate) struct Rates {
    /// A plain table: each client has a connection and commits one event at a time.
    pub(crate) plain_clients: f64,
    /// A plain table: one client, 1,000 events in each commit, by `UNNEST`.
    pub(crate) plain_batches: f64,
    /// A plain table: all is read in pages.
    pub(crate) plain_read_all: f64,
    /// Our log: one client, one event at a time.
    pub(crate) alone: f64,
    /// Our log: 64 clients of one service, one event at a time.
    pub(crate) clients: f64,
    /// Our log: one client, 1,000 events a call.
    pub(crate) batches: f64,
    /// Our log: four services at a time, 1,000 events a call.
    pub(crate) services: f64,
    /// Our log: four services at a time, 16 clients each, one event at a time.
    pub(crate) services_clients: f64,
    /// Our log: all is read in pages.
    pub(crate) read_all: f64,
}

/// Measures everything, one after the other in one run.
pub(crate) async fn measure() -> Result<Rates> {
    let database = TestDatabase::create().await;
    let plain_clients = plain_clients(&database).await?;
    let plain_batches = plain_batches(&database).await?;
    let plain_read_all = plain_read_all(&database).await?;
    let services = try_join_all((0..SERVICES).map(|_| {
        let url = database.url();
        async move { PostgresEventLog::connect(&url, PostgresOptions::default()).await }
    }))
    .await?;
    let one = &services[..1];
    let rates = Rates {
        plain_clients,
        plain_batches,
        plain_read_all,
        alone: append_rate(one, 1, 1).await?,
        clients: append_rate(one, CLIENTS, 1).await?,
        batches: append_rate(one, 1, BATCH).await?,
        services: append_rate(&services, CALLERS, BATCH).await?,
        services_clients: append_rate(&services, CLIENTS / SERVICES, 1).await?,
        read_all: read_all(one[0].clone()).await?,
    };
    for log in services {
        log.close().await;
    }
    Ok(rates)
}

/// The events a second of tasks that each append again and again, and say how many each time.
async fn rate<F: Future<Output = Result<usize>> + Send + 'static>(
    tasks: impl IntoIterator<Item = impl FnMut() -> F + Send + 'static>,
) -> Result<f64> {
    let start = Instant::now();
    let tasks = tasks.into_iter().map(|mut append| {
        tokio::spawn(async move {
            let mut done = 0;
            while start.elapsed() < EACH {
                done += append().await?;
            }
            Ok::<_, Box<dyn Error + Send + Sync>>(done)
        })
    });
    let done = try_join_all(tasks.collect::<Vec<_>>()).await?;
    let done = done.into_iter().sum::<Result<usize>>()?;
    Ok(done as f64 / start.elapsed().as_secs_f64())
}

async fn append_rate(
    services: &[Arc<PostgresEventLog>],
    clients: usize,
    per_call: usize,
) -> Result<f64> {
    let tasks = services.iter().flat_map(|log| vec![log.clone(); clients]);
    let tasks: Vec<_> = tasks
        .map(|log| {
            move || {
                let log = log.clone();
                async move {
                    let appends = (0..per_call).map(|_| append()).collect();
                    let results = log.append_each(appends).await;
                    let results = results
                        .into_iter()
                        .collect::<std::result::Result<Vec<_>, _>>()?;
                    Ok(results.len())
                }
            }
        })
        .collect();
    rate(tasks).await
}

async fn read_all(log: Arc<PostgresEventLog>) -> Result<f64> {
    let start = Instant::now();
    let (mut after, mut done) = (Position::START, 0);
    loop {
        let page = log.read_all(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.position;
        done += page.len();
    }
    Ok(done as f64 / start.elapsed().as_secs_f64())
}

/// A table as one would write it without thinking of subscribers.
async fn plain_table(database: &TestDatabase, name: &str) -> Result<Client> {
    let client = database.session().await;
    let table = format!(
        "CREATE TABLE IF NOT EXISTS {name} (position bigserial PRIMARY KEY, stream text NOT NULL, \
         version bigint NOT NULL, event_id uuid NOT NULL, event_type text NOT NULL, \
         recorded_at timestamptz NOT NULL DEFAULT now(), data bytea NOT NULL, \
         UNIQUE (stream, version))"
    );
    client.batch_execute(&table).await?;
    Ok(client)
}

async fn plain_clients(database: &TestDatabase) -> Result<f64> {
    plain_table(database, "plain_single").await?;
    let clients = futures::future::join_all((0..CLIENTS).map(|_| database.session())).await;
    let mut tasks = Vec::new();
    for client in clients {
        let insert = "INSERT INTO plain_single (stream, version, event_id, event_type, data) \
                      VALUES ($1, 0, $2, 'TaskSucceeded', $3)";
        let insert = client.prepare(insert).await?;
        let client = Arc::new(client);
        tasks.push(move || {
            let (client, insert) = (client.clone(), insert.clone());
            async move {
                let id = new_id();
                let (stream, data) = (format!("execution-{id}"), vec![b'1'; EVENT_BYTES]);
                client.execute(&insert, &[&stream, &id, &data]).await?;
                Ok(1)
            }
        });
    }
    rate(tasks).await
}

async fn plain_batches(database: &TestDatabase) -> Result<f64> {
    let client = plain_table(database, "plain_batches").await?;
    let insert = "INSERT INTO plain_batches (stream, version, event_id, event_type, data) \
        SELECT stream, 0, id, 'TaskSucceeded', data \
        FROM unnest($1::text[], $2::uuid[], $3::bytea[]) AS e(stream, id, data)";
    let insert = client.prepare(insert).await?;
    let client = Arc::new(client);
    let task = move || {
        let (client, insert) = (client.clone(), insert.clone());
        async move {
            let ids: Vec<Uuid> = (0..BATCH).map(|_| new_id()).collect();
            let streams: Vec<_> = ids.iter().map(|id| format!("execution-{id}")).collect();
            let data = vec![vec![b'1'; EVENT_BYTES]; BATCH];
            client.execute(&insert, &[&streams, &ids, &data]).await?;
            Ok(BATCH)
        }
    };
    rate([task]).await
}

async fn plain_read_all(database: &TestDatabase) -> Result<f64> {
    let client = database.session().await;
    let page = "SELECT position, stream, version, event_id, event_type, data FROM plain_batches \
                WHERE position > $1 ORDER BY position LIMIT $2";
    let page = client.prepare(page).await?;
    let start = Instant::now();
    let (mut after, mut done) = (0i64, 0);
    loop {
        let rows = client.query(&page, &[&after, &(PAGE as i64)]).await?;
        let Some(last) = rows.last() else { break };
        after = last.try_get(0)?;
        for row in &rows {
            let _: (String, Uuid, Vec<u8>) = (row.try_get(1)?, row.try_get(3)?, row.try_get(5)?);
        }
        done += rows.len();
    }
    Ok(done as f64 / start.elapsed().as_secs_f64())
}

#[expect(clippy::disallowed_methods, reason = "a benchmark draws its own ids")]
fn new_id() -> Uuid {
    Uuid::from_bytes(rand::random())
}

fn append() -> Append {
    let id = new_id();
    Append {
        stream: StreamName::new(format!("execution-{id}")),
        expected: Expected::NoStream,
        events: vec![NewEvent {
            event_id: id,
            event_type: "TaskSucceeded".into(),
            schema_version: 1,
            data: vec![b'1'; EVENT_BYTES].into(),
            metadata: EventMetadata::default(),
        }],
    }
}
