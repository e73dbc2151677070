//! Why a replay refuses.

use thiserror::Error;

/// Why a replay refuses a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReplayError {
    /// There is no such replay. Check the id.
    #[error("there is no such replay")]
    Unknown,
    /// It was cancelled. Start another one.
    #[error("this replay was cancelled")]
    Cancelled,
}
