//! Why a worker refuses.

use thiserror::Error;

/// Why a worker refuses a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum WorkerError {
    /// It has never joined. Check the id.
    #[error("there is no such worker")]
    Unknown,
    /// A worker that left does not come back. Join under a new id.
    #[error("this worker has left; a new life has a new id")]
    Left,
    /// It has renewed its lease meanwhile, or has none. Watch it on.
    #[error("this worker's lease has not lapsed")]
    Alive,
}
