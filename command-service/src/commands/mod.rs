//! Executes commands: loads the aggregate from its stream, lets it decide, appends what it
//! decided, and decides anew when another writer was faster.
//!
//! ```text
//!  command ─> CqrsFramework ─ load_aggregate ─> cache | EventLog::read_stream (+ blobs)
//!                 │ decide
//!                 └─ commit ─> blobs (what is big) ─> EventLog::append
//! ```

mod batch;
#[cfg(test)]
mod batch_tests;
mod cache;
mod error;
mod store;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;

use cqrs_es::{AggregateError, CqrsFramework};
use daybook_domain::execution::Execution;
use daybook_domain::export::Export;
use daybook_domain::function::Function;
use daybook_domain::intake_source::IntakeSource;
use daybook_domain::pipeline::Pipeline;
use daybook_domain::reconcile::Reconcile;
use daybook_domain::replay::Replay;
use daybook_domain::stored_object::StoredObject;
use daybook_domain::worker::Worker;
use daybook_domain::{Aggregate, CommandId};
use daybook_event_store::blobs::BlobStore;
use daybook_event_store::{EventLog, EventMetadata, Position, StreamName};

use crate::clock;
use crate::shim::Root;
pub(crate) use batch::{Outcome, Proposal};
use cache::Cache;
pub use error::CommandError;
use store::LogStore;

/// How often a command decides anew after a conflict before it gives up. Each conflict means that
/// somebody else got further, so that this is only reached on a stream that is fought over.
const MAX_CONFLICTS: u32 = 32;

/// The aggregates of the ledger, ready to be commanded. Cheap to clone.
#[derive(Clone)]
pub struct Ledger(Arc<Rooms>);

struct Rooms {
    log: Arc<dyn EventLog>,
    blobs: BlobStore,
    /// Whether others append to the log, so that a kept fold may be behind it.
    shared: bool,
    objects: Cache<StoredObject>,
    executions: Cache<Execution>,
    pipelines: Cache<Pipeline>,
    functions: Cache<Function>,
    reconciles: Cache<Reconcile>,
    replays: Cache<Replay>,
    exports: Cache<Export>,
    workers: Cache<Worker>,
    intake_sources: Cache<IntakeSource>,
}

/// Where a command comes from.
#[derive(Clone, Debug)]
pub struct Origin {
    /// Its id: sending it again under the same id records nothing twice.
    pub command: CommandId,
    /// What belongs together.
    pub correlation: String,
    /// The event or command that caused it.
    pub causation: Option<String>,
    /// Who acts.
    pub actor: String,
    /// Where in a trace it happens (W3C Trace Context), if that is known.
    pub traceparent: Option<String>,
}

/// What came of a command.
#[derive(Clone, Debug)]
pub struct Executed<A: Aggregate> {
    /// What was recorded; empty when it decided nothing new.
    pub events: Vec<A::Event>,
    /// The state afterwards.
    pub state: A,
    /// The position of the last recorded event; `None` when there was none.
    pub position: Option<Position>,
}

/// An aggregate that the ledger keeps a cache for.
pub trait Kept: Aggregate {
    #[doc(hidden)]
    fn cache(ledger: &Ledger) -> &Cache<Self>;
}

macro_rules! kept {
    ($($aggregate:ty => $field:ident),+ $(,)?) => {
        $(impl Kept for $aggregate {
            fn cache(ledger: &Ledger) -> &Cache<Self> {
                &ledger.0.$field
            }
        })+
    };
}
kept!(
    StoredObject => objects,
    Execution => executions,
    Pipeline => pipelines,
    Function => functions,
    Reconcile => reconciles,
    Replay => replays,
    Export => exports,
    Worker => workers,
    IntakeSource => intake_sources,
);

impl Ledger {
    /// A ledger over a log and a blob store; `shared` where other processes append to the log.
    pub fn new(log: Arc<dyn EventLog>, blobs: BlobStore, shared: bool) -> Self {
        Self(Arc::new(Rooms {
            log,
            blobs,
            shared,
            objects: Cache::default(),
            executions: Cache::default(),
            pipelines: Cache::default(),
            functions: Cache::default(),
            reconciles: Cache::default(),
            replays: Cache::default(),
            exports: Cache::default(),
            workers: Cache::default(),
            intake_sources: Cache::default(),
        }))
    }

    /// The log.
    pub fn log(&self) -> &Arc<dyn EventLog> {
        &self.0.log
    }

    /// The blob store.
    pub fn blobs(&self) -> &BlobStore {
        &self.0.blobs
    }

    /// Executes a command on the aggregate of a stream. When it returns `Ok`, what was decided is
    /// on disk.
    pub async fn execute<A: Kept>(
        &self,
        stream: &str,
        command: A::Command,
        origin: &Origin,
    ) -> Result<Executed<A>, CommandError<A::Error>> {
        let mut asked_anew = false;
        for _ in 0..MAX_CONFLICTS {
            let may_be_behind = self.0.shared && !asked_anew && A::cache(self).has(stream);
            let store = LogStore::<A>::new(self, StreamName::new(stream), origin);
            let committed = store.committed();
            let framework = CqrsFramework::new(store, Vec::new(), ());
            let command = (command.clone(), clock::context());
            let result = framework
                .execute_with_metadata(stream, command, HashMap::new())
                .await;
            match result {
                Ok(()) => {
                    let executed = committed.take().ok_or_else(CommandError::incomplete)?;
                    // That there is nothing to do is for the stream itself to say.
                    if executed.events.is_empty() && may_be_behind {
                        asked_anew = true;
                        A::cache(self).forget(stream);
                        continue;
                    }
                    return Ok(executed);
                }
                Err(AggregateError::AggregateConflict) => A::cache(self).forget(stream),
                // The fold may have been a cached one that is behind: ask the stream itself.
                Err(AggregateError::UserError(_)) if !asked_anew => {
                    asked_anew = true;
                    A::cache(self).forget(stream);
                }
                Err(error) => {
                    A::cache(self).forget(stream);
                    return Err(error.into());
                }
            }
        }
        Err(CommandError::Contended(stream.to_owned()))
    }

    /// Drops the fold of an execution that will hardly be needed again.
    pub(crate) fn settled(&self, stream: &str) {
        self.0.executions.forget(stream);
    }

    /// The state of an aggregate, and whether it exists, by all that this process was answered.
    pub async fn load<A: Kept>(&self, stream: &str) -> Result<Option<A>, CommandError<A::Error>> {
        if self.0.shared {
            return self.read(stream).await;
        }
        let loaded = store::load::<A>(self, &StreamName::new(stream)).await;
        let (Root(state), version) = loaded.map_err(CommandError::<A::Error>::from)?;
        Ok(version.map(|_| state))
    }

    /// The same by all that is on record. For who acts on events: one can be read from the log before
    /// the fold is kept that whoever recorded it has made.
    pub async fn read<A: Kept>(&self, stream: &str) -> Result<Option<A>, CommandError<A::Error>> {
        let read = store::read::<A>(self, &StreamName::new(stream)).await;
        let (Root(state), version) = read.map_err(CommandError::<A::Error>::from)?;
        Ok(version.map(|_| state))
    }
}

impl Origin {
    /// The metadata of the events that a command leads to.
    fn metadata(&self) -> EventMetadata {
        EventMetadata {
            correlation_id: Some(self.correlation.clone()),
            causation_id: Some(
                self.causation
                    .clone()
                    .unwrap_or_else(|| self.command.to_string()),
            ),
            actor: Some(self.actor.clone()),
            traceparent: self.traceparent.clone(),
        }
    }
}
