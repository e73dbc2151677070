//! Why an execution refuses.

use thiserror::Error;

use crate::WorkerId;
use crate::asl::AslError;

/// Why an execution refuses a command.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ExecutionError {
    /// There is no such execution. Check the id.
    #[error("this execution has not been started")]
    NotStarted,
    /// It has its terminal outcome; nothing can change that. Redrive it to run it again.
    #[error("this execution is over")]
    Over,
    /// Another worker has the attempt. Leave it to that one.
    #[error("attempt is claimed by worker {0}")]
    Claimed(WorkerId),
    /// There is nothing to claim now. Look again when it is due.
    #[error("no attempt of the task is due")]
    NotDue,
    /// The attempt that this outcome belongs to is not the current one of this worker: it was
    /// superseded. Drop the outcome.
    #[error("the attempt was superseded, and its outcome comes too late")]
    Superseded,
    /// The attempt succeeded, and its outputs are being published; nothing stops that any more. Ask
    /// again once they are.
    #[error("the attempt succeeded, and its outputs are being published")]
    Publishing,
    /// The state machine cannot run. Correct the pipeline's definition.
    #[error("the definition of the state machine cannot run")]
    Definition(#[source] AslError),
}
