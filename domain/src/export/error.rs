//! Why an export refuses.

use thiserror::Error;

/// Why an export refuses a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ExportError {
    /// There is no such export. Check the id.
    #[error("there is no such export")]
    Unknown,
    /// It was completed with another digest. Export again.
    #[error("this export was completed before, with another count or digest")]
    Different,
}
