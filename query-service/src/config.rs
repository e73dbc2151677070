//! The limits of the query side, each with a name.

use std::path::PathBuf;
use std::time::Duration;

use daybook_event_store::{Clock, system_clock};
use daybook_projections::{BATCH_EVENTS, LIVE_QUEUE_EVENTS};

/// The most rows of one page.
pub const MAX_PAGE: usize = 100;
/// The deepest nesting of a query. The introspection of common clients needs 13.
pub const MAX_DEPTH: usize = 16;
/// The most that a query may weigh: its fields, those of a list counted once a row of the page.
pub const MAX_COMPLEXITY: usize = 25_000;
/// The most fields at the root of a query.
pub const MAX_ROOT_FIELDS: usize = 20;
/// The most aliases in a document.
pub const MAX_ALIASES: usize = 50;
/// The most bytes of a request to the query endpoint.
pub const MAX_QUERY_BYTES: usize = 256 * 1024;
/// The most bytes of a message on the subscription socket.
pub const MAX_WS_MESSAGE_BYTES: usize = 256 * 1024;
/// How long a query waits for the position that it asks for.
pub const MIN_POSITION_TIMEOUT: Duration = Duration::from_secs(10);
/// How many positions the read model may be behind for the service to call itself ready.
pub const MAX_READY_LAG: u64 = 10_000;
/// How many events an export holds in memory at once.
pub const EXPORT_PAGE_EVENTS: usize = 256;

/// What the query side needs to know.
#[derive(Clone)]
pub struct QueryConfig {
    /// The file of the read model. Its folder must exist.
    pub read_model_path: PathBuf,
    /// The ledger's id, if it has one; otherwise events name their source `daybook`.
    pub ledger_id: Option<String>,
    /// The most rows of one page.
    pub max_page: usize,
    /// The deepest nesting of a query.
    pub max_depth: usize,
    /// The most that a query may weigh.
    pub max_complexity: usize,
    /// The most fields at the root of a query.
    pub max_root_fields: usize,
    /// The most aliases in a document.
    pub max_aliases: usize,
    /// How long a query waits for the position that it asks for.
    pub min_position_timeout: Duration,
    /// How many positions behind the log still count as ready.
    pub max_ready_lag: u64,
    /// How many queries read at once.
    pub readers: usize,
    /// The most events that are folded in one transaction.
    pub batch_events: usize,
    /// How many events a live client may be behind before it is closed.
    pub live_queue_events: usize,
    /// Gives the present moment, for the windows of statistics.
    pub clock: Clock,
}

impl QueryConfig {
    /// The usual settings for a read model.
    pub fn new(read_model_path: impl Into<PathBuf>) -> Self {
        Self {
            read_model_path: read_model_path.into(),
            ledger_id: None,
            max_page: MAX_PAGE,
            max_depth: MAX_DEPTH,
            max_complexity: MAX_COMPLEXITY,
            max_root_fields: MAX_ROOT_FIELDS,
            max_aliases: MAX_ALIASES,
            min_position_timeout: MIN_POSITION_TIMEOUT,
            max_ready_lag: MAX_READY_LAG,
            readers: 4,
            batch_events: BATCH_EVENTS,
            live_queue_events: LIVE_QUEUE_EVENTS,
            clock: system_clock(),
        }
    }
}
