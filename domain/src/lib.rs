//! The domain: aggregates as pure `decide` / `evolve`, their commands and events, ids, and the
//! Amazon States Language.
//!
//! No I/O, no clock, no randomness, no async: whatever a decision needs from outside comes in
//! through [`Context`]. Commands come from the command service, events go back to it and from
//! there into the log. Event names and shapes are storage format.

mod aggregate;
pub mod asl;
mod chain;
pub mod execution;
pub mod export;
pub mod function;
mod ids;
pub mod intake_source;
mod ledger_event;
pub mod pipeline;
pub mod reconcile;
pub mod replay;
pub mod stored_object;
mod upcast;
pub mod worker;

pub use aggregate::{Aggregate, Context, DecodeError, Event, Load};
pub use chain::Chain;
pub use ids::{
    BucketName, CommandId, ExecutionId, ExportId, FunctionName, InvalidName, ObjectKey,
    PipelineName, ReconcileId, ReplayId, SHADOWS, ShadowId, WorkerId,
};
pub use ledger_event::LedgerEvent;
pub use upcast::Upcaster;
