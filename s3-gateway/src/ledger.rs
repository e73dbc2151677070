//! The port through which the gateway has object events recorded, and asks what was decided about an
//! attempt; the floor above implements it.

use std::fmt;
use std::str::FromStr;

use async_trait::async_trait;
use daybook_domain::stored_object::{ObjectCommand, ObjectVersion};
use daybook_domain::{BucketName, ExecutionId, ObjectKey};
use thiserror::Error;

/// Where what happens to objects is recorded.
#[async_trait]
pub trait ObjectLedger: Send + Sync + 'static {
    /// Records what the command says. Returns when it is in the log, on disk. Sending the same
    /// command again must lead to nothing new: after a crash the gateway does so. The trace of the
    /// request behind it is [`traceparent`](crate::traceparent).
    async fn record(&self, command: ObjectCommand) -> Result<(), LedgerError>;

    /// The same of a write that it was not told of before, under a key that had no object. A ledger
    /// may take that for the first it hears of the key, if it notices where it is not.
    async fn record_first(&self, command: ObjectCommand) -> Result<(), LedgerError> {
        self.record(command).await
    }

    /// What was decided about the attempt, and so about what it staged. Only [`Fate::Open`] may
    /// become something else later, and [`Fate::Publish`] only [`Fate::Discard`], once everything
    /// is published. A ledger that knows no attempts leaves all of them open.
    async fn fate(&self, _attempt: AttemptId) -> Result<Fate, LedgerError> {
        Ok(Fate::Open)
    }

    /// What is known of a version of a key: of one that the gateway had recorded, and whose bytes it
    /// may have to write again from its journal, after a power failure. What a ledger calls unknown
    /// was never acknowledged to anybody, and is not written again. A ledger that keeps nothing
    /// knows of no version.
    async fn standing(
        &self,
        _bucket: &BucketName,
        _key: &ObjectKey,
        _version: &ObjectVersion,
    ) -> Result<Standing, LedgerError> {
        Ok(Standing::Unknown)
    }
}

/// What the ledger knows of one version of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It is the object that the key has.
    Current,
    /// It was recorded, and the key has been written or removed since. A ledger that forgets old
    /// versions may call them [`Standing::Unknown`].
    Past,
    /// It was never recorded.
    Unknown,
}

/// What was decided about what an attempt staged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It has to become visible; the floor above sees to it.
    Publish,
    /// Nobody needs it any more.
    Discard,
    /// Nothing was decided yet.
    Open,
}

/// One attempt among all. As text it is `EXECUTION.TASK.ATTEMPT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttemptId {
    /// The execution.
    pub execution: ExecutionId,
    /// The task within the execution, from 1.
    pub task: u32,
    /// The attempt of the task, from 1.
    pub attempt: u32,
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.execution, self.task, self.attempt)
    }
}

/// A text that names no attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("an attempt is named EXECUTION.TASK.ATTEMPT")]
pub struct NoAttempt;

impl FromStr for AttemptId {
    type Err = NoAttempt;

    fn from_str(text: &str) -> Result<Self, NoAttempt> {
        let mut parts = text.split('.');
        let mut next = || parts.next().ok_or(NoAttempt);
        let id = Self {
            execution: next()?.parse().map_err(|_| NoAttempt)?,
            task: next()?.parse().map_err(|_| NoAttempt)?,
            attempt: next()?.parse().map_err(|_| NoAttempt)?,
        };
        // What reads the same is written the same: the text is a folder's name.
        (id.to_string() == text).then_some(id).ok_or(NoAttempt)
    }
}

/// Why nothing was recorded, or could be learnt.
#[derive(Debug, Error)]
pub enum LedgerError {
    /// The log cannot be reached or is overloaded. The gateway answers 503 and proposes the same
    /// command again later; the caller need not do anything else.
    #[error("the ledger is unavailable")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// The command was refused for good. The gateway answers 503 as well, and logs it: somebody
    /// has to look.
    #[error("the ledger refused the command")]
    Refused(#[source] Box<dyn std::error::Error + Send + Sync>),
}
