//! The query side: GraphQL over the read models, live subscriptions, and the bytes of exports.
//!
//! ```text
//!  GET|POST /graphql ─┐
//!  /graphql/ws        ├─> schema ─> Reader (rows) ───────────┐
//!  /console           │         └─> EventLog + BlobStore ────┴─> bodies, on demand
//!  /v1/exports/…/events, /v1/projections
//! ```
//!
//! It never writes to the log. Everything comes from [`daybook_projections`] and, for the bodies of
//! events, from the log itself.

mod cloud_event;
mod config;
mod http;
mod schema;
mod service;
mod state;

#[cfg(test)]
mod tests;

pub use cloud_event::cloud_event;
pub use config::{
    EXPORT_PAGE_EVENTS, MAX_ALIASES, MAX_COMPLEXITY, MAX_DEPTH, MAX_PAGE, MAX_QUERY_BYTES,
    MAX_READY_LAG, MAX_ROOT_FIELDS, MAX_WS_MESSAGE_BYTES, MIN_POSITION_TIMEOUT, QueryConfig,
};
pub use schema::sdl;
pub use service::{QueryService, StartError};
