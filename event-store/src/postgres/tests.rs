use std::sync::Arc;

use async_trait::async_trait;

use super::{PostgresEventLog, PostgresOptions};
use crate::EventLog;
use crate::conformance::Harness;
use crate::testing::postgres::TestDatabase;

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

    async fn connect(&self) -> Arc<dyn EventLog> {
        let log = PostgresEventLog::connect(&self.database.url(), PostgresOptions::default()).await;
        log.expect("the log opens")
    }
}

#[async_trait]
impl Harness for PostgresHarness {
    async fn open(&mut self) -> Arc<dyn EventLog> {
        self.connect().await
    }

    async fn reopen(&mut self, log: Arc<dyn EventLog>) -> Option<Arc<dyn EventLog>> {
        log.close().await;
        Some(self.connect().await)
    }
}

crate::conformance_suite!(PostgresHarness::new().await);
