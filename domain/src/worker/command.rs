//! What can be said of a worker.

use crate::WorkerId;

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
    },
    /// It is gone.
    Leave {
        /// The worker.
        worker: WorkerId,
        /// Why, in words.
        why: String,
    },
}
