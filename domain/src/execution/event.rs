//! What can happen to an execution, after the history events of AWS Step Functions
//! ("HistoryEvent", Step Functions API reference). These names and shapes are storage format.

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use uuid::Uuid;

use crate::aggregate::events;
use crate::stored_object::ObjectVersion;
use crate::{
    BucketName, Chain, ExecutionId, FunctionName, ObjectKey, PipelineName, ReconcileId, ReplayId,
    ShadowId, WorkerId,
};

events! {
    /// The events of the stream `execution-{id}`.
    pub enum ExecutionEvent {
        /// A run of a pipeline for one cause began.
        ExecutionStarted,
        /// A Task state was entered.
        TaskStateEntered,
        /// An attempt of a task is due.
        TaskScheduled,
        /// A worker claimed the attempt.
        TaskStarted,
        /// The function answered, and what it staged is to be published: that is decided.
        TaskCommitted,
        /// The function answered.
        TaskSucceeded,
        /// The function failed.
        TaskFailed,
        /// The function took too long.
        TaskTimedOut,
        /// The attempt ended through no fault of the function: its worker stopped or died.
        TaskInterrupted,
        /// Another attempt will follow at a stated time.
        RetryScheduled,
        /// A Task state was left.
        TaskStateExited,
        /// Terminal: all went well.
        ExecutionSucceeded,
        /// Terminal: an error that nothing caught.
        ExecutionFailed,
        /// Terminal: the execution as a whole took too long.
        ExecutionTimedOut,
        /// Terminal: somebody stopped it.
        ExecutionAborted,
    }
}

/// A run of a pipeline for one cause began. Pins the revision of the pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExecutionStarted {
    /// The execution's id.
    pub execution: ExecutionId,
    /// The pipeline.
    pub pipeline: PipelineName,
    /// Its revision, from 1.
    pub pipeline_revision: u32,
    /// The state machine that runs, in the Amazon States Language.
    pub definition: Value,
    /// The object version that it runs for.
    pub object: TriggerObject,
    /// Why it runs.
    pub cause: Cause,
    /// The input of the state machine: an S3 event notification.
    pub input: Value,
    /// The actor in words, for example `pipeline:uppercase` or `cli:ada`.
    pub actor: String,
    /// When it began, on the clock of the command service.
    pub started_at: Timestamp,
    /// The state machine's own `TimeoutSeconds`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
    /// The shadow under which its attempts write, if they do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub shadow: Option<ShadowId>,
    /// What led to the object.
    #[serde(default, skip_serializing_if = "Chain::is_empty")]
    pub chain: Chain,
}

impl ExecutionStarted {
    /// When the execution as a whole times out.
    pub fn deadline(&self) -> Option<Timestamp> {
        let seconds = i64::try_from(self.timeout_seconds?).ok()?;
        self.started_at
            .checked_add(SignedDuration::from_secs(seconds))
            .ok()
    }
}

/// The object version for which an execution runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TriggerObject {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// The version that triggered, to which reads are pinned.
    pub version: ObjectVersion,
}

/// Why an execution runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Cause {
    /// The object arrived.
    Trigger,
    /// Somebody asked for this one again.
    Redrive {
        /// The execution that is run again.
        of: ExecutionId,
        /// The command that asked.
        command: crate::CommandId,
        /// Why, in the asker's words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// A bulk re-run chose it.
    Replay {
        /// The execution that is run again.
        of: ExecutionId,
        /// The replay.
        replay: ReplayId,
    },
    /// A reconcile found that a revision of the pipeline's function had not processed the object.
    Revision {
        /// The function.
        function: FunctionName,
        /// The revision.
        revision: u32,
        /// The reconcile.
        reconcile: ReconcileId,
    },
}

/// A Task state was entered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskStateEntered {
    /// The state's name.
    pub state: String,
    /// The function that it calls.
    pub function: FunctionName,
    /// What came in.
    pub input: Value,
}

/// An attempt of a task is due.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskScheduled {
    /// The state's name.
    pub state: String,
    /// The task within the execution, from 1.
    pub task: u32,
    /// The attempt, from 1.
    pub attempt: u32,
    /// The function that is to run.
    pub function: FunctionName,
    /// How long the state lets it take, in seconds; the function's own time-out holds as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_seconds: Option<u64>,
}

/// A worker claimed the attempt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskStarted {
    /// The task.
    pub task: u32,
    /// The attempt.
    pub attempt: u32,
    /// The command service that runs it.
    pub worker: WorkerId,
    /// The code that runs.
    pub code: CodeRevision,
}

/// The code that ran.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CodeRevision {
    /// The function's revision, from 1.
    pub revision: u32,
    /// SHA-256 of the package, in hexadecimal.
    pub sha256: String,
}

/// The function answered, and what it staged is to be published. Nothing undoes this; what follows
/// is `TaskSucceeded`, once everybody can see its outputs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskCommitted {
    /// The task.
    pub task: u32,
    /// The attempt.
    pub attempt: u32,
    /// The answer.
    pub output: Value,
    /// What it did and cost. What it wrote is staged.
    #[serde(default)]
    pub report: AttemptReport,
    /// What it wrote to standard output and error.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub logs: String,
}

/// The function answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskSucceeded {
    /// The task.
    pub task: u32,
    /// The attempt.
    pub attempt: u32,
    /// The answer.
    pub output: Value,
    /// What it did and cost.
    #[serde(default)]
    pub report: AttemptReport,
    /// What it wrote to standard output and error.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub logs: String,
}

/// The function failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskFailed {
    /// The task.
    pub task: u32,
    /// The attempt.
    pub attempt: u32,
    /// The error's name, as `Retry` and `Catch` match it.
    pub error: String,
    /// The details: for a Lambda function the JSON text of its error document.
    pub cause: String,
    /// What it did and cost.
    #[serde(default)]
    pub report: AttemptReport,
    /// What it wrote to standard output and error.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub logs: String,
}

/// The function took too long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskTimedOut {
    /// The task.
    pub task: u32,
    /// The attempt.
    pub attempt: u32,
    /// The details.
    pub cause: String,
    /// What it did and cost.
    #[serde(default)]
    pub report: AttemptReport,
    /// What it wrote to standard output and error.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub logs: String,
}

/// The attempt ended through no fault of the function.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskInterrupted {
    /// The task.
    pub task: u32,
    /// The attempt.
    pub attempt: u32,
    /// The worker that had claimed it.
    pub worker: WorkerId,
    /// Why, in words.
    pub why: String,
    /// What it did until then, where that is known.
    #[serde(default)]
    pub report: AttemptReport,
}

/// Another attempt will follow.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RetryScheduled {
    /// The task.
    pub task: u32,
    /// The coming attempt.
    pub attempt: u32,
    /// The index of the retrier in the state's `Retry` that matched.
    pub retrier: usize,
    /// When it is due.
    pub due: Timestamp,
}

/// A Task state was left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskStateExited {
    /// The state's name.
    pub state: String,
    /// What goes on from it.
    pub output: Value,
}

/// All went well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExecutionSucceeded {
    /// What the state machine gave.
    pub output: Value,
}

/// An error that nothing caught.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExecutionFailed {
    /// The error's name.
    pub error: String,
    /// The details.
    pub cause: String,
}

/// The execution as a whole took too long.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExecutionTimedOut {
    /// The state machine's `TimeoutSeconds`.
    pub timeout_seconds: u64,
}

/// Somebody stopped it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ExecutionAborted {
    /// Who.
    pub actor: String,
    /// Why, in the actor's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What an attempt touched and what it cost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AttemptReport {
    /// The objects that it read, each version once.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub read: Vec<ObjectAccess>,
    /// The objects that it wrote.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub written: Vec<ObjectAccess>,
    /// What the gateway refused, with the policy line that was missing.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<String>,
    /// Whether the lineage is known: false for functions that do not pass the gateway.
    pub lineage_known: bool,
    /// From the hand-over to the answer, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_ms: Option<u64>,
    /// From the start of the process to its first poll, where this attempt waited for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init_ms: Option<u64>,
    /// The memory high-water mark of the process, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_memory_bytes: Option<u64>,
    /// The id under which the function knew the attempt, as its log lines name it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<Uuid>,
    /// What AWS Lambda would bill: start and run, rounded up to a millisecond.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub billed_ms: Option<u64>,
    /// The function's memory at that time, in bytes: what such a millisecond is billed for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
}

/// One object version that an attempt touched.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ObjectAccess {
    /// The bucket.
    pub bucket: BucketName,
    /// The key.
    pub key: ObjectKey,
    /// The version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// The entity tag, without quotes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The size in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// The bytes that were read, in order and apart from each other, where it was not read as a
    /// whole; empty where only its metadata was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ranges: Option<Vec<ByteRange>>,
    /// Whether it was written aside, for nobody else to see. In the outcome of an attempt that did
    /// not succeed: it was never published.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub staged: bool,
}

impl AttemptReport {
    /// What it cost in MiB held for a millisecond: AWS Lambda's gigabyte-seconds are so many over
    /// 1024 and 1000.
    pub fn mib_ms(&self) -> u64 {
        let mib = self.memory_bytes.unwrap_or_default() >> 20;
        self.billed_ms.unwrap_or_default().saturating_mul(mib)
    }

    /// The report once what was staged is published.
    #[must_use]
    pub fn published(mut self) -> Self {
        self.written.iter_mut().for_each(|it| it.staged = false);
        self
    }
}

/// A range of bytes, both ends included, as in HTTP (RFC 9110, section 14.1.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ByteRange {
    /// The offset of the first byte, from 0.
    pub first: u64,
    /// The offset of the last byte.
    pub last: u64,
}
