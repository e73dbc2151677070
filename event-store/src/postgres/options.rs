//! How a PostgreSQL log is set up.

use std::fmt;
use std::time::Duration;

use crate::{Clock, system_clock};

/// How a PostgreSQL log is set up. The default serves; everything has its bound here.
#[derive(Clone)]
pub struct PostgresOptions {
    /// The schema that the tables live in: a lower-case SQL name. It is made where it is missing.
    pub schema: String,
    /// Connections for reading; one each for writing and for listening come on top.
    pub readers: usize,
    /// Calls of `append_each` that may wait for the writer; later ones wait to be queued.
    pub queued_calls: usize,
    /// Events that one transaction takes at most, unless a single append has more.
    pub batch_events: usize,
    /// Bytes that one transaction takes at most, unless a single append has more.
    pub batch_bytes: usize,
    /// How often the end of the log is looked up, for subscribers whose notification got lost.
    pub poll_interval: Duration,
    /// How long an append or a read is tried again while the database is away or busy, before it
    /// is answered with an error.
    pub patience: Duration,
    /// How long one attempt may take, before its connection is given up.
    pub attempt_timeout: Duration,
    /// Where `recorded_at` comes from.
    pub clock: Clock,
}

impl Default for PostgresOptions {
    fn default() -> Self {
        Self {
            schema: "daybook".into(),
            readers: 8,
            queued_calls: 1_024,
            batch_events: 2_000,
            batch_bytes: 4 * 1024 * 1024,
            poll_interval: Duration::from_millis(500),
            patience: Duration::from_secs(30),
            attempt_timeout: Duration::from_secs(15),
            clock: system_clock(),
        }
    }
}

impl fmt::Debug for PostgresOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresOptions")
            .field("schema", &self.schema)
            .field("readers", &self.readers)
            .field("queued_calls", &self.queued_calls)
            .field("batch_events", &self.batch_events)
            .field("batch_bytes", &self.batch_bytes)
            .field("poll_interval", &self.poll_interval)
            .field("patience", &self.patience)
            .field("attempt_timeout", &self.attempt_timeout)
            .finish_non_exhaustive()
    }
}
