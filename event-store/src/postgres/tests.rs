use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{PostgresEventLog, PostgresOptions};
use crate::EventLog;
use crate::conformance::Harness;
use crate::testing::postgres::TestDatabase;

mod blobs;
mod failing;
mod following;
mod model;
mod opening;
mod pure;

/// The suite, each case in a database of its own.
struct PostgresHarness {
    database: TestDatabase,
}

impl PostgresHarness {
    async fn new() -> Self {
        Self {
            database: TestDatabase::create().await,
        }
    }
}

#[async_trait]
impl Harness for PostgresHarness {
    async fn open(&mut self) -> Arc<dyn EventLog> {
        connect(&self.database.url()).await
    }

    async fn reopen(&mut self, log: Arc<dyn EventLog>) -> Option<Arc<dyn EventLog>> {
        log.close().await;
        Some(connect(&self.database.url()).await)
    }
}

crate::conformance_suite!(PostgresHarness::new().await);

/// Impatient about what it must not wait for.
fn options() -> PostgresOptions {
    PostgresOptions {
        poll_interval: Duration::from_millis(50),
        readers: 3,
        ..PostgresOptions::default()
    }
}

async fn connect(url: &str) -> Arc<PostgresEventLog> {
    let log = PostgresEventLog::connect(url, options()).await;
    log.expect("the log opens")
}
