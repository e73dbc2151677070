//! What an export can be asked to do.

use super::{ExportCompleted, ExportStarted};

/// The commands of an export.
#[derive(Clone, Debug, PartialEq)]
pub enum ExportCommand {
    /// Begin.
    Start(ExportStarted),
    /// The bytes are delivered.
    Complete(ExportCompleted),
}
