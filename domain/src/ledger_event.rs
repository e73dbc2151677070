//! An event of any aggregate, told apart by the name of its stream.
//!
//! For those who read the whole log: projections, and the check of a ledger.

use serde_json::Value;

use crate::execution::ExecutionEvent;
use crate::export::ExportEvent;
use crate::function::FunctionEvent;
use crate::intake_source::IntakeSourceEvent;
use crate::pipeline::PipelineEvent;
use crate::reconcile::ReconcileEvent;
use crate::replay::ReplayEvent;
use crate::stored_object::ObjectEvent;
use crate::worker::WorkerEvent;
use crate::{DecodeError, Event};

/// An event of any aggregate.
#[derive(Clone, Debug, PartialEq)]
#[expect(
    clippy::large_enum_variant,
    reason = "most events are those of objects: a box for each would cost more than the room"
)]
pub enum LedgerEvent {
    /// Of a stream `object-{bucket}/{key}`.
    Object(ObjectEvent),
    /// Of a stream `execution-{id}`.
    Execution(ExecutionEvent),
    /// Of a stream `pipeline-{name}`.
    Pipeline(PipelineEvent),
    /// Of a stream `function-{name}`.
    Function(FunctionEvent),
    /// Of a stream `replay-{id}`.
    Replay(ReplayEvent),
    /// Of a stream `reconcile-{id}`.
    Reconcile(ReconcileEvent),
    /// Of a stream `export-{id}`.
    Export(ExportEvent),
    /// Of a stream `worker-{id}`.
    Worker(WorkerEvent),
    /// Of a stream `intake-{source}`.
    IntakeSource(IntakeSourceEvent),
}

impl LedgerEvent {
    /// An event from the name of its stream and from its stored name, shape version and body.
    /// `None` for a stream of no aggregate.
    pub fn from_json(
        stream: &str,
        event_type: &str,
        schema_version: u32,
        body: Value,
    ) -> Result<Option<Self>, DecodeError> {
        fn read<E: Event>(
            (event_type, schema_version, body): (&str, u32, Value),
            wrap: fn(E) -> LedgerEvent,
        ) -> Result<Option<LedgerEvent>, DecodeError> {
            E::from_json(event_type, schema_version, body).map(|event| Some(wrap(event)))
        }
        let stored = (event_type, schema_version, body);
        match stream.split_once('-').map_or("", |(kind, _)| kind) {
            "object" => read(stored, Self::Object),
            "execution" => read(stored, Self::Execution),
            "pipeline" => read(stored, Self::Pipeline),
            "function" => read(stored, Self::Function),
            "replay" => read(stored, Self::Replay),
            "reconcile" => read(stored, Self::Reconcile),
            "export" => read(stored, Self::Export),
            "worker" => read(stored, Self::Worker),
            "intake" => read(stored, Self::IntakeSource),
            _ => Ok(None),
        }
    }
}
