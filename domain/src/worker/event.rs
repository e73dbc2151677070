//! What can happen to a worker. These names and shapes are storage format.

use serde::{Deserialize, Serialize};

use crate::WorkerId;
use crate::aggregate::events;

events! {
    /// The events of the stream `worker-{id}`.
    pub enum WorkerEvent {
        /// It is here.
        WorkerJoined,
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
}

/// It is gone.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerLeft {
    /// The worker.
    pub worker: WorkerId,
    /// Why, in words.
    pub why: String,
}
