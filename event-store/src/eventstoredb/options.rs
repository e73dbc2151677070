//! The bounds of the EventStoreDB adapter, each with a name.

use std::time::Duration;

/// How an [`EventStoreDbLog`](super::EventStoreDbLog) is run.
#[derive(Clone, Debug)]
pub struct EventStoreDbOptions {
    /// What the names of this ledger's streams begin with: letters, digits, `_` and `.`, ended by
    /// the only hyphen. Ledgers that share a server need different ones.
    pub stream_prefix: String,
    /// How long one call to the server may take, and a reader may wait for the next event of an
    /// answer.
    pub call_timeout: Duration,
    /// Tries of one append or read, the first one included.
    pub attempts: u32,
    /// The wait before the second try; it doubles with each further one.
    pub retry_delay: Duration,
    /// Events asked for at a time where reading `$all`.
    pub page_events: usize,
    /// Appends of one call whose places are looked up at the same time.
    pub lookups: usize,
    /// How often subscribers look for new events, whatever the server tells them.
    pub poll_interval: Duration,
}

impl Default for EventStoreDbOptions {
    fn default() -> Self {
        Self {
            stream_prefix: "daybook-".into(),
            call_timeout: Duration::from_secs(10),
            attempts: 5,
            retry_delay: Duration::from_millis(100),
            page_events: 1024,
            lookups: 64,
            poll_interval: Duration::from_secs(5),
        }
    }
}
