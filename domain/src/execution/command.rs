//! What an execution can be asked to do.

use serde_json::Value;

use super::{AttemptReport, Cause, CodeRevision, TriggerObject};
use crate::{Chain, ExecutionId, PipelineName, ShadowId, WorkerId};

/// The commands of an execution.
#[derive(Clone, Debug, PartialEq)]
pub enum ExecutionCommand {
    /// Begin.
    Start(StartExecution),
    /// A worker with a free slot takes the due attempt, or takes over that of a worker that is
    /// known to be gone.
    ClaimTask {
        /// The task.
        task: u32,
        /// Who claims.
        worker: WorkerId,
        /// The code that will run.
        code: CodeRevision,
        /// The worker whose claim is superseded, by name.
        supersede: Option<WorkerId>,
    },
    /// The outcome of an attempt.
    RecordOutcome {
        /// The task.
        task: u32,
        /// The attempt.
        attempt: u32,
        /// Who ran it.
        worker: WorkerId,
        /// How it ended.
        outcome: TaskOutcome,
        /// What it did and cost.
        report: AttemptReport,
        /// What it wrote to standard output and error.
        logs: String,
    },
    /// What the attempt staged is published: everybody sees it. Whoever did it may say so.
    RecordPublished {
        /// The task.
        task: u32,
        /// The attempt.
        attempt: u32,
    },
    /// The time-out of the whole execution is due.
    TimeOut,
    /// Somebody wants it stopped.
    Abort {
        /// Who.
        actor: String,
        /// Why.
        reason: Option<String>,
    },
}

/// Begin an execution.
#[derive(Clone, Debug, PartialEq)]
pub struct StartExecution {
    /// The id, from [`super::id_of`].
    pub execution: ExecutionId,
    /// The pipeline.
    pub pipeline: PipelineName,
    /// Its revision.
    pub pipeline_revision: u32,
    /// The state machine.
    pub definition: Value,
    /// The object version that it runs for.
    pub object: TriggerObject,
    /// Why it runs.
    pub cause: Cause,
    /// The input of the state machine.
    pub input: Value,
    /// Who or what asked.
    pub actor: String,
    /// The shadow under which its attempts write, if they shall.
    pub shadow: Option<ShadowId>,
    /// What led to the object.
    pub chain: Chain,
    /// How often the pipeline may be in that chain. If it is there as often as this, the execution
    /// fails at once, since it would go on for ever; `None` where a person asked for it.
    pub loop_depth: Option<u32>,
    /// A worker that has a free slot takes the first attempt in the same breath.
    pub claim: Option<Claim>,
}

/// Who takes an attempt, and the code that will run.
#[derive(Clone, Debug, PartialEq)]
pub struct Claim {
    /// Who claims.
    pub worker: WorkerId,
    /// The code that will run.
    pub code: CodeRevision,
}

/// How an attempt ended.
#[derive(Clone, Debug, PartialEq)]
pub enum TaskOutcome {
    /// The function answered.
    Succeeded {
        /// The answer.
        output: Value,
    },
    /// The function answered, and staged outputs that are to be published.
    Committed {
        /// The answer.
        output: Value,
    },
    /// The function failed.
    Failed {
        /// The error's name.
        error: String,
        /// The details.
        cause: String,
    },
    /// The function took too long.
    TimedOut {
        /// The details.
        cause: String,
    },
    /// It was stopped through no fault of its own.
    Interrupted {
        /// Why, in words.
        why: String,
    },
}
