//! What can happen to a worker. These names and shapes are storage format.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::aggregate::events;
use crate::{FunctionName, WorkerId};

events! {
    /// The events of the stream `worker-{id}`.
    pub enum WorkerEvent {
        /// It is here.
        WorkerJoined,
        /// It is still here.
        LeaseRenewed,
        /// It runs other code from now on.
        FunctionsOffered,
        /// It is gone, by its own word or by that of a worker that knows.
        WorkerLeft,
    }
}

/// It is here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerJoined {
    /// The worker.
    pub worker: WorkerId,
    /// The machine it runs on.
    pub host: String,
    /// The version of the program.
    pub version: String,
    /// How long its word counts, in milliseconds: who sees no renewal for so long may hold it for
    /// gone. Absent for one that is alone on its log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_ms: Option<u64>,
    /// The functions that it can run, each with the SHA-256 of its package.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub functions: BTreeMap<FunctionName, String>,
}

/// It is still here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LeaseRenewed {
    /// The worker.
    pub worker: WorkerId,
    /// Which renewal it is, from 1.
    pub renewal: u64,
}

/// It runs other code from now on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FunctionsOffered {
    /// The worker.
    pub worker: WorkerId,
    /// All functions that it can run, each with the SHA-256 of its package.
    pub functions: BTreeMap<FunctionName, String>,
}

/// It is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerLeft {
    /// The worker.
    pub worker: WorkerId,
    /// Why, in words.
    pub why: String,
}
