//! The read side's memory: read models in one SQLite file, derived from the log alone.
//!
//! ```text
//!  EventLog ── Subscription ──> Projector ── one transaction: rows + checkpoint ──> ReadModel
//!                                   │                                                  │
//!                                   └── committed events, to live subscribers          └── Reader
//! ```
//!
//! Events come in through a catch-up [`Projector`]; rows go out through a [`Reader`]. Nothing here
//! is a truth of its own: the file may be deleted at any time and is made again from the log. Big
//! bodies are not copied: rows say at which position of the log they are.

mod as_of;
mod background;
mod compare;
mod decode;
mod fold;
mod model;
mod pool;
mod projector;
mod query;
mod rebuild;
mod schema;
mod status;
mod writer;

#[cfg(test)]
mod tests;

pub use as_of::{AsOfError, AsOfModel, MAX_AS_OF_EVENTS};
pub use compare::{Difference, TableDigest};
pub use decode::DecodeFault;
pub use fold::FoldError;
pub use model::{Checkpoint, OpenError};
pub use pool::{ReadModelError, Reader};
pub use projector::{
    BATCH_EVENTS, LIVE_QUEUE_EVENTS, Projector, ProjectorConfig, ProjectorState, ProjectorStatus,
    WaitError,
};
pub use query::{
    AccessRow, AttemptRow, CompletenessRow, CostRow, Cursor, CursorKey, EventFilter, EventRow,
    ExecutionFilter, ExecutionOrder, ExecutionRow, ExportRow, FailureRow, FunctionRow,
    NotificationRow, ObjectFilter, ObjectOrder, ObjectRow, Page, Paged, PipelineRow, ReconcileRow,
    ReplayRow, RevisionRow, StatisticsBucket, StatisticsRows, StepRow, StreamFilter, Touched,
};
pub use rebuild::{RebuildError, RebuildReport, TableReport};
pub use schema::PROJECTIONS;
pub use status::ObjectStatus;
