//! What can be said of a worker.

use std::collections::BTreeMap;

use crate::{FunctionName, WorkerId};

/// The commands of a worker.
#[derive(Clone, Debug, PartialEq)]
pub enum WorkerCommand {
    /// It is here.
    Join {
        /// The worker.
        worker: WorkerId,
        /// The machine it runs on.
        host: String,
        /// The version of the program.
        version: String,
        /// How long its word counts; `None` for one that is alone on its log.
        lease_ms: Option<u64>,
        /// The functions that it can run, each with the SHA-256 of its package.
        functions: BTreeMap<FunctionName, String>,
    },
    /// It is still here.
    Renew {
        /// The worker.
        worker: WorkerId,
        /// Which renewal it is, from 1: sending the same one again renews nothing.
        renewal: u64,
    },
    /// It runs other code from now on.
    Offer {
        /// The worker.
        worker: WorkerId,
        /// All functions that it can run, each with the SHA-256 of its package.
        functions: BTreeMap<FunctionName, String>,
    },
    /// It is gone, by its own word or by that of one who knows.
    Leave {
        /// The worker.
        worker: WorkerId,
        /// Why, in words.
        why: String,
    },
    /// It did not renew its lease in time, as somebody else saw.
    Expire {
        /// The worker.
        worker: WorkerId,
        /// The newest renewal that was seen; a later one saves it.
        renewal: u64,
        /// Who saw it.
        observer: WorkerId,
    },
}
