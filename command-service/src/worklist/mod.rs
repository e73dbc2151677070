//! What is due: a small fold of the log, disposable and checkpointed.
//!
//! It only proposes. Whether an execution starts and who gets an attempt is decided by the
//! aggregates; a worklist that is behind or wrong costs a refused command, never a wrong event.

mod checkpoint;
mod fold;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap};

use daybook_domain::function::Function;
use daybook_domain::pipeline::Pipeline;
use daybook_domain::{
    BucketName, ExecutionId, FunctionName, PipelineName, ReconcileId, ReplayId, WorkerId,
};
use daybook_event_store::Position;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub(crate) use fold::{Change, FoldCause, FoldError, correlation_of, decode};

/// The fold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Worklist {
    /// Up to where the log is folded.
    pub position: Position,
    /// The id of the event there, by which a checkpoint is known to belong to its log.
    pub last_event: Option<Uuid>,
    /// The pipelines.
    pub pipelines: BTreeMap<PipelineName, Pipeline>,
    /// The functions.
    pub functions: BTreeMap<FunctionName, Function>,
    /// The workers that have joined and not left.
    pub workers: BTreeMap<WorkerId, LiveWorker>,
    /// Executions that are owed: the object is there, the start is not.
    pub owed: BTreeMap<ExecutionId, OwedStart>,
    /// The tasks of executions that are not over.
    pub tasks: HashMap<ExecutionId, OpenTask>,
    /// How many of them are due and claimed by nobody, by function.
    #[serde(skip)]
    waiting: BTreeMap<FunctionName, usize>,
    /// Replays that are not over: how many of their plan are started.
    pub replays: BTreeMap<ReplayId, u64>,
    /// Reconciles that are not over.
    pub reconciles: BTreeMap<ReconcileId, OpenReconcile>,
}

/// A reconcile that is not over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct OpenReconcile {
    /// The bucket; of each, one is compared at a time.
    pub bucket: BucketName,
    /// Where it was asked for: the first one goes first.
    pub position: Position,
    /// Whether it is to stand still; the others of the bucket do not wait for it.
    #[serde(default)]
    pub paused: bool,
}

/// A worker that has joined and not left.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct LiveWorker {
    /// How long its word counts, in milliseconds; `None` for one that is alone on its log.
    pub lease_ms: Option<u64>,
    /// Its newest renewal.
    pub renewal: u64,
    /// The functions that it can run, each with the SHA-256 of its package.
    pub functions: BTreeMap<FunctionName, String>,
}

/// An execution that is owed. There may be millions, so what it starts with stays in the log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct OwedStart {
    /// The pipeline that wants the object.
    pub pipeline: PipelineName,
    /// The position before that at which the object's arrival is recorded.
    pub after: Position,
}

/// The task of an execution that is not over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct OpenTask {
    /// The task within the execution.
    pub task: u32,
    /// The current or coming attempt.
    pub attempt: u32,
    /// The function.
    pub function: FunctionName,
    /// Where the attempt stands.
    pub phase: OpenPhase,
    /// When the execution as a whole times out.
    pub deadline: Option<Timestamp>,
    /// What belongs together.
    pub correlation: String,
}

/// Where an attempt stands, as far as the worklist cares.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum OpenPhase {
    /// Not yet scheduled.
    Entering,
    /// Due now.
    Due,
    /// Due at a later time.
    At(Timestamp),
    /// Claimed.
    Claimed(WorkerId),
    /// It succeeded, and what it staged is to be published; by whom first.
    Publishing(WorkerId),
}

impl Worklist {
    /// How many tasks wait for each function for which some ever did.
    pub(crate) fn waiting(&self) -> &BTreeMap<FunctionName, usize> {
        &self.waiting
    }

    /// The function that an execution's task waits for, if it is due and claimed by nobody.
    fn waits_for(&self, id: ExecutionId) -> Option<FunctionName> {
        let open = self.tasks.get(&id)?;
        (open.phase == OpenPhase::Due).then(|| open.function.clone())
    }

    /// Notes what an execution's task waits for, and what it waited for before.
    fn recount(&mut self, before: Option<FunctionName>, now: Option<FunctionName>) {
        if before == now {
            return;
        }
        if let Some(waiting) = before.and_then(|function| self.waiting.get_mut(&function)) {
            *waiting -= 1;
        }
        if let Some(function) = now {
            *self.waiting.entry(function).or_default() += 1;
        }
    }

    /// How many executions it holds.
    pub(crate) fn executions(&self) -> usize {
        self.owed.len() + self.tasks.len()
    }

    /// The reconciles whose turn it is: of each bucket the one that was asked for first.
    pub(crate) fn reconciles_in_turn(&self) -> impl Iterator<Item = ReconcileId> {
        let mut first: BTreeMap<&BucketName, (Position, ReconcileId)> = BTreeMap::new();
        for (id, open) in self.reconciles.iter().filter(|(_, open)| !open.paused) {
            let this = (open.position, *id);
            let first = first.entry(&open.bucket).or_insert(this);
            *first = this.min(*first);
        }
        first.into_values().map(|(_, id)| id)
    }

    /// The worker whose claim on an execution may be superseded, because it is gone.
    pub(crate) fn abandoned_by(&self, task: &OpenTask) -> Option<WorkerId> {
        match task.phase {
            OpenPhase::Claimed(worker) if !self.workers.contains_key(&worker) => Some(worker),
            _ => None,
        }
    }

    /// The workers that can run the current revision of a function.
    pub(crate) fn offering(&self, function: &FunctionName) -> impl Iterator<Item = WorkerId> {
        let wanted = self
            .functions
            .get(function)
            .and_then(|function| function.current.as_ref())
            .map(|code| code.sha256.as_str());
        self.workers.iter().filter_map(move |(id, worker)| {
            let offered = worker.functions.get(function).map(String::as_str);
            (offered.is_some() && offered == wanted).then_some(*id)
        })
    }
}
