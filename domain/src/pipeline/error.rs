//! Why a pipeline refuses.

use thiserror::Error;

use crate::asl::AslError;

/// Why a pipeline refuses a command.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PipelineError {
    /// There is no such pipeline. Check the name.
    #[error("there is no such pipeline")]
    Unknown,
    /// The state machine cannot run. Correct the definition.
    #[error("the definition of the state machine cannot run")]
    Definition(#[source] AslError),
}
