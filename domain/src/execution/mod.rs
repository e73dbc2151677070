//! One run of a pipeline for one cause: an Amazon States Language state machine whose history is
//! its stream.
//!
//! ```text
//!  Start ─> ExecutionStarted, TaskStateEntered, TaskScheduled (and TaskStarted, with a claim)
//!                                     │ ClaimTask                 ┌──── due, ClaimTask ────┐
//!                                     v                           │                        │
//!                                 TaskStarted ── RecordOutcome ─> TaskFailed, RetryScheduled
//!                                     │                           TaskFailed, ExecutionFailed
//!                                     ├─> TaskSucceeded, TaskStateExited, ExecutionSucceeded
//!                                     └─> TaskCommitted ── RecordPublished ─> the same three
//! ```
//!
//! `TaskCommitted` is the outcome of an attempt whose outputs were staged: from then on it has
//! succeeded, and neither a time-out nor an abort nor another worker changes that. Whoever asks for
//! one of these hears [`ExecutionError::Publishing`] until the outputs are published, and asks again.
//!
//! A claim and an outcome name their worker and attempt, so that of several command services one
//! runs an attempt and a late outcome changes nothing.

mod command;
mod decide;
mod error;
mod event;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

pub use command::{Claim, ExecutionCommand, StartExecution, TaskOutcome};
pub use error::ExecutionError;
pub use event::{
    AttemptReport, ByteRange, Cause, CodeRevision, ExecutionAborted, ExecutionEvent,
    ExecutionFailed, ExecutionStarted, ExecutionSucceeded, ExecutionTimedOut, ObjectAccess,
    RetryScheduled, TaskCommitted, TaskFailed, TaskInterrupted, TaskScheduled, TaskStarted,
    TaskStateEntered, TaskStateExited, TaskSucceeded, TaskTimedOut, TriggerObject,
};

use crate::stored_object::NAMESPACE;
use crate::{
    Aggregate, Chain, Context, ExecutionId, FunctionName, PipelineName, ShadowId, WorkerId,
};

/// The most bytes of JSON that pass from state to state (Step Functions developer guide, "Quotas":
/// 256 KiB).
pub const MAX_STATE_BYTES: usize = 256 * 1024;

/// The most events of one execution (Step Functions developer guide, "Quotas": 25,000).
pub const MAX_EVENTS: u32 = 25_000;

/// How often an attempt may be interrupted (its worker died or stopped) before the execution
/// fails: an input that kills its host must not do so for ever.
pub const MAX_INTERRUPTIONS: u32 = 100;

/// The error of an execution that was not run because its pipeline, by what it writes, had led to
/// itself too often.
pub const LOOP_DETECTED: &str = "Daybook.LoopDetected";

/// The name of the stream of an execution.
pub fn stream_of(execution: ExecutionId) -> String {
    format!("execution-{execution}")
}

/// The id of the execution of a pipeline for an object version and a cause: starting twice is one
/// execution, and two replays never merge.
pub fn id_of(pipeline: &PipelineName, object: &TriggerObject, cause: &Cause) -> ExecutionId {
    let cause = match cause {
        Cause::Trigger => "trigger".to_owned(),
        Cause::Redrive { of, command, .. } => format!("redrive:{of}:{command}"),
        Cause::Replay { of, replay } => format!("replay:{of}:{replay}"),
        // Two reconciles for one revision start one execution.
        Cause::Revision {
            function, revision, ..
        } => format!("revision:{function}:{revision}"),
    };
    // Lengths first, so that no two different lists of parts read the same.
    let identity = object.version.identity();
    let parts = [
        pipeline.as_str(),
        object.bucket.as_str(),
        object.key.as_str(),
        &identity,
        &cause,
    ];
    let name: String = parts
        .iter()
        .map(|part| format!("{}:{part}", part.len()))
        .collect();
    ExecutionId(Uuid::new_v5(&NAMESPACE, name.as_bytes()))
}

/// The aggregate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Execution {
    started: Option<Started>,
    status: Option<Status>,
    task: Option<Task>,
    last_outcome: Option<AttemptKey>,
    interruptions: u32,
    events: u32,
}

/// What stays the same over the whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Started {
    definition: Value,
    object: TriggerObject,
    /// Of what its functions write.
    chain: Chain,
    deadline: Option<(Timestamp, u64)>,
    shadow: Option<ShadowId>,
}

/// Where an execution stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Status {
    /// Nothing has run yet.
    Pending,
    /// At least one attempt has begun.
    Running,
    /// Terminal: all went well.
    Succeeded,
    /// Terminal: an error that nothing caught.
    Failed,
    /// Terminal: it took too long as a whole.
    TimedOut,
    /// Terminal: somebody stopped it.
    Aborted,
}

impl Status {
    /// Whether nothing can happen any more.
    pub fn is_terminal(self) -> bool {
        !matches!(self, Status::Pending | Status::Running)
    }

    /// The name as the query side and the command line say it.
    pub fn as_str(self) -> &'static str {
        match self {
            Status::Pending => "PENDING",
            Status::Running => "RUNNING",
            Status::Succeeded => "SUCCEEDED",
            Status::Failed => "FAILED",
            Status::TimedOut => "TIMED_OUT",
            Status::Aborted => "ABORTED",
        }
    }
}

/// The task that the execution is in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Task {
    /// The state's name.
    pub state: String,
    /// The task within the execution, from 1.
    pub task: u32,
    /// The current or coming attempt, from 1.
    pub attempt: u32,
    /// The function.
    pub function: FunctionName,
    /// How long an attempt may take, in seconds.
    pub timeout_seconds: Option<u64>,
    /// What came into the state.
    pub input: Value,
    /// Where the attempt stands.
    pub phase: Phase,
    retries: BTreeMap<usize, u64>,
    /// What was decided, from `TaskCommitted` to `TaskSucceeded`.
    committed: Option<TaskCommitted>,
}

/// Where an attempt stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Phase {
    /// Due now, unclaimed.
    Scheduled,
    /// Due at a later time.
    WaitingForRetry {
        /// When.
        due: Timestamp,
    },
    /// Claimed.
    Running {
        /// By whom.
        worker: WorkerId,
    },
    /// It succeeded, and its outputs are being published.
    Committed {
        /// By whom first.
        worker: WorkerId,
    },
    /// Its outcome is recorded.
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct AttemptKey {
    task: u32,
    attempt: u32,
    worker: WorkerId,
}

impl Execution {
    /// Where the execution stands; `None` before it began.
    pub fn status(&self) -> Option<Status> {
        self.status
    }

    /// The object version that it runs for.
    pub fn object(&self) -> Option<&TriggerObject> {
        self.started.as_ref().map(|started| &started.object)
    }

    /// The shadow under which its attempts write, if they do.
    pub fn shadow(&self) -> Option<&ShadowId> {
        self.started.as_ref()?.shadow.as_ref()
    }

    /// What leads to the objects that its functions write.
    pub fn chain(&self) -> Option<&Chain> {
        self.started.as_ref().map(|started| &started.chain)
    }

    /// The task that it is in.
    pub fn task(&self) -> Option<&Task> {
        self.task.as_ref()
    }
}

impl Aggregate for Execution {
    const NAME: &'static str = "execution";
    type Command = ExecutionCommand;
    type Event = ExecutionEvent;
    type Error = ExecutionError;

    fn decide(
        &self,
        command: ExecutionCommand,
        context: &Context,
    ) -> Result<Vec<ExecutionEvent>, ExecutionError> {
        decide::decide(self, command, context)
    }

    fn evolve(mut self, event: &ExecutionEvent) -> Self {
        self.events += 1;
        match event {
            ExecutionEvent::ExecutionStarted(event) => {
                let deadline = event.deadline().zip(event.timeout_seconds);
                self.started = Some(Started {
                    definition: event.definition.clone(),
                    object: event.object.clone(),
                    chain: event.chain.clone().and_then(&event.pipeline),
                    deadline,
                    shadow: event.shadow.clone(),
                });
                self.status = Some(Status::Pending);
            }
            ExecutionEvent::TaskStateEntered(event) => {
                self.task = Some(Task {
                    state: event.state.clone(),
                    task: self.task.as_ref().map_or(1, |task| task.task + 1),
                    attempt: 0,
                    function: event.function.clone(),
                    timeout_seconds: None,
                    input: event.input.clone(),
                    phase: Phase::Over,
                    retries: BTreeMap::new(),
                    committed: None,
                });
            }
            ExecutionEvent::TaskScheduled(event) => self.with_task(|task| {
                task.attempt = event.attempt;
                task.timeout_seconds = event.timeout_seconds;
                task.phase = Phase::Scheduled;
            }),
            ExecutionEvent::TaskStarted(event) => {
                self.status = Some(Status::Running);
                self.with_task(|task| {
                    task.phase = Phase::Running {
                        worker: event.worker,
                    }
                });
            }
            ExecutionEvent::TaskCommitted(event) => self.with_task(|task| {
                if let Phase::Running { worker } = task.phase {
                    task.phase = Phase::Committed { worker };
                }
                task.committed = Some(event.clone());
            }),
            ExecutionEvent::TaskSucceeded(_)
            | ExecutionEvent::TaskFailed(_)
            | ExecutionEvent::TaskTimedOut(_) => self.end_attempt(),
            ExecutionEvent::TaskInterrupted(_) => {
                self.interruptions += 1;
                // Not an outcome of its worker: whatever that one still reports comes too late.
                self.with_task(|task| task.phase = Phase::Over);
            }
            ExecutionEvent::RetryScheduled(event) => self.with_task(|task| {
                *task.retries.entry(event.retrier).or_default() += 1;
                task.attempt = event.attempt;
                task.phase = Phase::WaitingForRetry { due: event.due };
            }),
            ExecutionEvent::TaskStateExited(_) => {}
            ExecutionEvent::ExecutionSucceeded(_) => self.end(Status::Succeeded),
            ExecutionEvent::ExecutionFailed(_) => self.end(Status::Failed),
            ExecutionEvent::ExecutionTimedOut(_) => self.end(Status::TimedOut),
            ExecutionEvent::ExecutionAborted(_) => self.end(Status::Aborted),
        }
        self
    }
}

impl Execution {
    fn with_task(&mut self, change: impl FnOnce(&mut Task)) {
        if let Some(task) = &mut self.task {
            change(task);
        }
    }

    fn end_attempt(&mut self) {
        if let Some(task) = &mut self.task {
            if let Phase::Running { worker } | Phase::Committed { worker } = task.phase {
                self.last_outcome = Some(AttemptKey {
                    task: task.task,
                    attempt: task.attempt,
                    worker,
                });
            }
            task.phase = Phase::Over;
            task.committed = None;
        }
    }

    fn end(&mut self, status: Status) {
        self.status = Some(status);
        self.with_task(|task| task.phase = Phase::Over);
    }
}
