//! A plain table in the PostgreSQL that our log is in, without a thought for subscribers.
//!
//! The server is the one named by `DAYBOOK_TEST_POSTGRES_URL`, or one of its own, with its data
//! where temporary files go. `fsync` is on.

use std::future::Future;
use std::sync::Arc;
use std::time::Instant;

use daybook_event_store::testing::postgres::TestDatabase;
use futures::future::{join_all, try_join_all};
use tokio_postgres::Client;
use uuid::Uuid;

use crate::Result;
use crate::report::{Figure, PLAIN_POSTGRES, Workload};
use crate::workload::{EACH, EVENT_BYTES, PAGE};

const BATCH: usize = 1_000;

pub(crate) async fn measure(database: &TestDatabase) -> Result<Vec<Figure>> {
    let figure = |workload, events_per_second| Figure {
        workload,
        engine: PLAIN_POSTGRES,
        events_per_second,
        p50: None,
    };
    Ok(vec![
        figure(Workload::Alone, plain_clients(database, 1).await?),
        figure(Workload::Clients, plain_clients(database, 64).await?),
        figure(Workload::Batches1000, plain_batches(database).await?),
        figure(Workload::ReadAll, plain_read_all(database).await?),
    ])
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
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(done)
        })
    });
    let done = try_join_all(tasks.collect::<Vec<_>>()).await?;
    let done = done.into_iter().sum::<Result<usize>>()?;
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

async fn plain_clients(database: &TestDatabase, count: usize) -> Result<f64> {
    plain_table(database, "plain_single").await?;
    let clients = join_all((0..count).map(|_| database.session())).await;
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
