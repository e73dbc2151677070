//! The command side: takes in what happens, decides, and records it.
//!
//! Data comes in from the S3 gateway (through the port [`daybook_s3_gateway::ObjectLedger`]), from
//! `POST /v1/…` and from the log itself; it goes out as events into the log, and as invocations to
//! the function host. What is due is found through a disposable [`worklist`]; what is decided is
//! decided by the aggregates alone.

mod arrival;
mod clock;
mod commands;
mod conductor;
mod export;
#[cfg(test)]
mod gated_log;
mod gateway;
mod http;
pub mod intake;
mod lives;
mod notification;
mod publish;
mod reconcile;
mod redrive;
mod replay;
mod retention;
mod revisions;
mod room;
mod service;
mod shim;
mod spans;
mod trace;
mod worklist;

pub use commands::{CommandError, Executed, Ledger, Origin};
pub use gateway::GatewayStorage;
pub use http::notifications::{HttpLimits, deliveries, unpacked};
pub use notification::s3_event;
pub use publish::{PipelineConfig, PublishError};
pub use reconcile::{ReconcileLimits, ReconcileSchedule};
pub use replay::Preview;
pub use service::{CommandService, CommandServiceConfig, StartError};
pub use spans::{Attribute, Span, SpanKind, SpanSink};
