//! What can happen to a replay. These names and shapes are storage format.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::aggregate::events;
use crate::execution::Status;
use crate::{ExecutionId, PipelineName, ReplayId};

events! {
    /// The events of the stream `replay-{id}`.
    pub enum ReplayEvent {
        /// Somebody asked, and this was chosen.
        ReplayStarted,
        /// Some more executions were started.
        ReplayProgressed,
        /// Terminal: all of the plan is started.
        ReplayCompleted,
        /// Terminal: somebody stopped it.
        ReplayCancelled,
    }
}

/// Somebody asked, and this was chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplayStarted {
    /// The id.
    pub replay: ReplayId,
    /// How it was chosen.
    pub selection: Selection,
    /// The log position at which it was chosen.
    pub position: u64,
    /// The executions to run again, in order.
    pub plan: Vec<ExecutionId>,
    /// Who asked.
    pub actor: String,
    /// Why, in the asker's words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// Which executions a replay runs again. Of several runs for one object version the newest one
/// stands for all.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// Those of this pipeline.
    pub pipeline: PipelineName,
    /// In this status; `None` is any terminal one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    /// Started at this time or later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Started before this time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// Some more executions were started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplayProgressed {
    /// How many of the plan are started.
    pub done: u64,
}

/// All of the plan is started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplayCompleted {
    /// How many.
    pub started: u64,
}

/// Somebody stopped it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReplayCancelled {
    /// Who.
    pub actor: String,
}
