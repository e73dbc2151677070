//! Why a reconcile refuses.

use thiserror::Error;

/// Why a reconcile refuses a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ReconcileError {
    /// There is no such reconcile. Check the id.
    #[error("there is no such reconcile")]
    Unknown,
    /// It is paused. Resume it first.
    #[error("this reconcile is paused")]
    Paused,
    /// It is over. Start another one.
    #[error("this reconcile is over")]
    Over,
}
