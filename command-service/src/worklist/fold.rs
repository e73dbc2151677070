//! How events change the worklist.

use daybook_domain::execution::{Cause, ExecutionEvent, TriggerObject, id_of};
use daybook_domain::function::FunctionEvent;
use daybook_domain::pipeline::PipelineEvent;
use daybook_domain::reconcile::ReconcileEvent;
use daybook_domain::replay::ReplayEvent;
use daybook_domain::stored_object::{ObjectCreated, ObjectEvent, object_of};
use daybook_domain::worker::WorkerEvent;
use daybook_domain::{Aggregate, DecodeError, Event, ExecutionId, ReconcileId, ReplayId, WorkerId};
use daybook_event_store::blobs::{BlobError, BlobStore};
use daybook_event_store::{Position, RecordedEvent};
use jiff::Timestamp;
use serde_json::Value;
use thiserror::Error;

use super::{LiveWorker, OpenPhase, OpenReconcile, OpenTask, OwedStart, Worklist};

/// What an event made due, or ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Something about this execution.
    Execution(ExecutionId),
    /// A worker is there, or still there.
    WorkerSeen(WorkerId),
    /// Who has to do what may be another now: a worker came or went, what one had claimed is
    /// free, or a function has other code.
    Reassigned,
    /// A replay has work to do.
    Replay(ReplayId),
    /// A reconcile began, or is over.
    Reconcile,
}

/// An event that cannot be folded. The command service stops: what it cannot read it must not skip.
#[derive(Debug, Error)]
#[error("event at position {position} of stream {stream} cannot be read")]
pub(crate) struct FoldError {
    position: Position,
    stream: String,
    #[source]
    source: FoldCause,
}

/// What is wrong with it.
#[derive(Debug, Error)]
pub(crate) enum FoldCause {
    #[error(transparent)]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Blob(#[from] BlobError),
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error("the name of the stream has no valid id")]
    Stream,
}

impl FoldError {
    /// Whether trying again may help: the blob store does not answer now.
    pub(crate) fn is_transient(&self) -> bool {
        matches!(self.source, FoldCause::Blob(BlobError::Unavailable(_)))
    }
}

impl Worklist {
    /// Folds the next event of the log.
    pub(crate) async fn fold(
        &mut self,
        event: &RecordedEvent,
        blobs: &BlobStore,
    ) -> Result<Vec<Change>, FoldError> {
        let changes = self
            .fold_stream(event, blobs)
            .await
            .map_err(|source| FoldError {
                position: event.position,
                stream: event.stream.to_string(),
                source,
            })?;
        self.position = event.position;
        self.last_event = Some(event.event_id);
        Ok(changes)
    }

    async fn fold_stream(
        &mut self,
        event: &RecordedEvent,
        blobs: &BlobStore,
    ) -> Result<Vec<Change>, FoldCause> {
        let stream = event.stream.as_str();
        let (kind, name) = stream.split_once('-').ok_or(FoldCause::Stream)?;
        Ok(match kind {
            "object" if self.is_unwanted(event) => Vec::new(),
            "object" => match decode(event, blobs).await? {
                ObjectEvent::ObjectCreated(created) => self.created(created),
                ObjectEvent::ObjectRemoved(_) | ObjectEvent::NotificationDisregarded(_) => {
                    Vec::new()
                }
            },
            "execution" => {
                let id: ExecutionId = name.parse().map_err(|_| FoldCause::Stream)?;
                self.executed(id, &decode(event, blobs).await?, event);
                vec![Change::Execution(id)]
            }
            "pipeline" => self.piped(decode(event, blobs).await?, name)?,
            "function" => {
                let decoded: FunctionEvent = decode(event, blobs).await?;
                let name = name.parse().map_err(|_| FoldCause::Stream)?;
                let function = self.functions.entry(name).or_default();
                *function = std::mem::take(function).evolve(&decoded);
                vec![Change::Reassigned]
            }
            "worker" => self.manned(decode(event, blobs).await?),
            "replay" => {
                let id: ReplayId = name.parse().map_err(|_| FoldCause::Stream)?;
                self.replayed(id, &decode(event, blobs).await?)
            }
            "reconcile" => {
                let id: ReconcileId = name.parse().map_err(|_| FoldCause::Stream)?;
                self.reconciled(id, decode(event, blobs).await?, event.position)
            }
            // Exports and deliveries without a key give no work.
            _ => Vec::new(),
        })
    }

    /// Whether an event of an object gives no work whatever it says: a ledger may be told of many
    /// objects that no pipeline is for, and their streams' names are read sooner than their events.
    fn is_unwanted(&self, event: &RecordedEvent) -> bool {
        ObjectEvent::TYPES.contains(&(&*event.event_type, event.schema_version))
            && object_of(event.stream.as_str()).is_some_and(|(bucket, key)| {
                let mut pipelines = self.pipelines.values();
                !pipelines.any(|pipeline| pipeline.wants(&bucket, &key).is_some())
            })
    }

    fn created(&mut self, created: ObjectCreated) -> Vec<Change> {
        let shadow = created
            .produced_by
            .as_ref()
            .and_then(|by| by.shadow.as_ref());
        if created.repeated || shadow.is_some() {
            return Vec::new();
        }
        let object = TriggerObject {
            bucket: created.bucket,
            key: created.key,
            version: created.version,
        };
        let mut changes = Vec::new();
        for (name, pipeline) in &self.pipelines {
            if pipeline.wants(&object.bucket, &object.key).is_none() {
                continue;
            }
            let id = id_of(name, &object, &Cause::Trigger);
            let owed = OwedStart {
                pipeline: name.clone(),
                after: self.position,
            };
            self.owed.insert(id, owed);
            changes.push(Change::Execution(id));
        }
        changes
    }

    fn executed(&mut self, id: ExecutionId, event: &ExecutionEvent, recorded: &RecordedEvent) {
        let before = self.waits_for(id);
        self.go_on(id, event, recorded);
        self.recount(before, self.waits_for(id));
    }

    fn go_on(&mut self, id: ExecutionId, event: &ExecutionEvent, recorded: &RecordedEvent) {
        match event {
            ExecutionEvent::ExecutionStarted(started) => {
                self.owed.remove(&id);
                self.entering(id, started.deadline(), correlation_of(recorded));
            }
            ExecutionEvent::TaskScheduled(scheduled) => {
                if let Some(open) = self.tasks.get_mut(&id) {
                    open.task = scheduled.task;
                    open.attempt = scheduled.attempt;
                    open.function = scheduled.function.clone();
                    open.phase = OpenPhase::Due;
                }
            }
            ExecutionEvent::TaskStateEntered(entered) => {
                if let Some(open) = self.tasks.get_mut(&id) {
                    open.function = entered.function.clone();
                }
            }
            ExecutionEvent::TaskStarted(started) => {
                self.in_phase(id, OpenPhase::Claimed(started.worker));
            }
            ExecutionEvent::RetryScheduled(retry) => {
                self.in_phase(id, OpenPhase::At(retry.due));
                if let Some(open) = self.tasks.get_mut(&id) {
                    open.attempt = retry.attempt;
                }
            }
            ExecutionEvent::TaskCommitted(_) => {
                if let Some(open) = self.tasks.get_mut(&id)
                    && let OpenPhase::Claimed(worker) = open.phase
                {
                    open.phase = OpenPhase::Publishing(worker);
                }
            }
            ExecutionEvent::TaskSucceeded(_)
            | ExecutionEvent::TaskFailed(_)
            | ExecutionEvent::TaskTimedOut(_)
            | ExecutionEvent::TaskInterrupted(_)
            | ExecutionEvent::TaskStateExited(_) => self.in_phase(id, OpenPhase::Entering),
            ExecutionEvent::ExecutionSucceeded(_)
            | ExecutionEvent::ExecutionFailed(_)
            | ExecutionEvent::ExecutionTimedOut(_)
            | ExecutionEvent::ExecutionAborted(_) => {
                self.tasks.remove(&id);
            }
        }
    }

    fn entering(&mut self, id: ExecutionId, deadline: Option<Timestamp>, correlation: String) {
        // The function is filled in by the events that follow in the same append.
        if let Ok(function) = "unknown".parse() {
            let phase = OpenPhase::Entering;
            let open = OpenTask {
                task: 0,
                attempt: 0,
                function,
                phase,
                deadline,
                correlation,
            };
            self.tasks.insert(id, open);
        }
    }

    fn in_phase(&mut self, id: ExecutionId, phase: OpenPhase) {
        if let Some(open) = self.tasks.get_mut(&id) {
            open.phase = phase;
        }
    }

    fn manned(&mut self, event: WorkerEvent) -> Vec<Change> {
        match event {
            WorkerEvent::WorkerJoined(joined) => {
                let worker = LiveWorker {
                    lease_ms: joined.lease_ms,
                    renewal: 0,
                    functions: joined.functions,
                };
                self.workers.insert(joined.worker, worker);
                vec![Change::WorkerSeen(joined.worker), Change::Reassigned]
            }
            WorkerEvent::LeaseRenewed(renewed) => {
                if let Some(worker) = self.workers.get_mut(&renewed.worker) {
                    worker.renewal = renewed.renewal;
                }
                vec![Change::WorkerSeen(renewed.worker)]
            }
            WorkerEvent::FunctionsOffered(offered) => {
                if let Some(worker) = self.workers.get_mut(&offered.worker) {
                    worker.functions = offered.functions;
                }
                vec![Change::Reassigned]
            }
            WorkerEvent::WorkerLeft(left) => {
                self.workers.remove(&left.worker);
                vec![Change::Reassigned]
            }
        }
    }

    fn piped(&mut self, event: PipelineEvent, name: &str) -> Result<Vec<Change>, FoldCause> {
        let name = name.parse().map_err(|_| FoldCause::Stream)?;
        // Whatever changed: what was owed to somebody may be owed to nobody now, or to another.
        let owed = self.owed.iter().filter(|(_, owed)| owed.pipeline == name);
        let mut owed: Vec<_> = owed.map(|(id, owed)| (owed.after, *id)).collect();
        owed.sort_unstable();
        let owed = owed.into_iter().map(|(_, id)| Change::Execution(id));
        let pipeline = self.pipelines.entry(name).or_default();
        *pipeline = std::mem::take(pipeline).evolve(&event);
        Ok(owed.collect())
    }

    fn reconciled(
        &mut self,
        id: ReconcileId,
        event: ReconcileEvent,
        position: Position,
    ) -> Vec<Change> {
        match event {
            ReconcileEvent::ReconcileStarted(started) => {
                let bucket = started.bucket;
                let open = OpenReconcile {
                    bucket,
                    position,
                    paused: false,
                };
                self.reconciles.insert(id, open);
            }
            ReconcileEvent::ReconcileProgressed(_) => return Vec::new(),
            ReconcileEvent::ReconcilePaused(_) => self.pause(id, true),
            ReconcileEvent::ReconcileResumed(_) => self.pause(id, false),
            ReconcileEvent::ReconcileCompleted(_)
            | ReconcileEvent::ReconcileFailed(_)
            | ReconcileEvent::ReconcileCancelled(_) => {
                self.reconciles.remove(&id);
            }
        }
        vec![Change::Reconcile]
    }

    fn pause(&mut self, id: ReconcileId, paused: bool) {
        if let Some(open) = self.reconciles.get_mut(&id) {
            open.paused = paused;
        }
    }

    fn replayed(&mut self, id: ReplayId, event: &ReplayEvent) -> Vec<Change> {
        match event {
            ReplayEvent::ReplayStarted(_) => {
                self.replays.insert(id, 0);
            }
            ReplayEvent::ReplayProgressed(progressed) => {
                self.replays.insert(id, progressed.done);
            }
            ReplayEvent::ReplayCompleted(_) | ReplayEvent::ReplayCancelled(_) => {
                self.replays.remove(&id);
            }
        }
        vec![Change::Replay(id)]
    }
}

/// An event, with what of it is kept apart.
pub(crate) async fn decode<E: Event>(
    event: &RecordedEvent,
    blobs: &BlobStore,
) -> Result<E, FoldCause> {
    if let Some(event) = E::from_bytes(&event.event_type, event.schema_version, &event.data) {
        return Ok(event);
    }
    let body: Value = serde_json::from_slice(&event.data)?;
    let body = blobs.hydrate(body).await?;
    Ok(E::from_json(&event.event_type, event.schema_version, body)?)
}

/// What an event belongs to; an event that does not say so begins a story of its own.
pub(crate) fn correlation_of(event: &RecordedEvent) -> String {
    event
        .metadata
        .correlation_id
        .clone()
        .unwrap_or_else(|| event.event_id.to_string())
}
