//! One invocation of a function, and what came of it.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;
use daybook_domain::execution::{AttemptReport, TriggerObject};
use daybook_domain::{Chain, ExecutionId, ShadowId};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::masks::Masks;

/// One invocation.
#[derive(Clone)]
pub struct Invocation {
    /// The request's id, as the function sees it. A new one for each invocation.
    pub request_id: Uuid,
    /// The execution that it belongs to.
    pub execution: ExecutionId,
    /// The task within the execution, from 1.
    pub task: u32,
    /// The attempt of the task, from 1.
    pub attempt: u32,
    /// The object version that triggered the execution.
    pub trigger: Option<TriggerObject>,
    /// The shadow under which it writes, if it does.
    pub shadow: Option<ShadowId>,
    /// What leads to the objects that it writes.
    pub chain: Chain,
    /// The event, as JSON.
    pub payload: Bytes,
    /// The state's own limit; the function's holds as well.
    pub timeout: Option<Duration>,
    /// The W3C trace context that the function continues.
    pub traceparent: Option<String>,
    /// Cancelling it interrupts the invocation: credentials are revoked, the process is killed.
    pub cancel: CancellationToken,
}

impl fmt::Debug for Invocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invocation")
            .field("request_id", &self.request_id)
            .field("execution", &self.execution)
            .field("attempt", &self.attempt)
            .field("payload_bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}

/// What came of an invocation.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// How it ended.
    pub result: OutcomeResult,
    /// What it touched and what it cost.
    pub report: AttemptReport,
    /// Whether it wrote aside, so that somebody has to publish that or to discard it.
    pub staged: bool,
    /// What the process wrote to standard output and error meanwhile, within
    /// [`LOG_LIMIT_BYTES`](crate::LOG_LIMIT_BYTES). A process's start belongs to the invocation
    /// that waited for it.
    pub logs: String,
}

/// How an invocation ended.
#[derive(Clone, Debug, PartialEq)]
pub enum OutcomeResult {
    /// The function answered. An empty answer is `null`.
    Succeeded(Value),
    /// The function failed, or its process did.
    Failed {
        /// The error's name, as `Retry` and `Catch` match it.
        error: String,
        /// The JSON text of the error document (`errorType`, `errorMessage`, ...).
        cause: String,
    },
    /// It took too long; its process group was killed.
    TimedOut {
        /// The JSON text of the error document.
        cause: String,
    },
    /// It ended through no fault of the function: cancelled, or the host shut down. Whether the
    /// function ran, and how far, is not known.
    Interrupted {
        /// Why, in words.
        why: String,
    },
}

impl OutcomeResult {
    pub(crate) fn interrupted(why: impl Into<String>) -> Self {
        Self::Interrupted { why: why.into() }
    }

    /// What is recorded of a failure must not hold a secret. An answer is data and stays.
    pub(crate) fn masked(self, masks: &Masks) -> Self {
        match self {
            Self::Failed { error, cause } => Self::Failed {
                error: masks.text(&error),
                cause: masks.text(&cause),
            },
            Self::TimedOut { cause } => Self::TimedOut {
                cause: masks.text(&cause),
            },
            other => other,
        }
    }
}
