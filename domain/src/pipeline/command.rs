//! What a pipeline can be asked to do.

use serde_json::Value;

use super::Trigger;
use crate::PipelineName;

/// The commands of a pipeline.
#[derive(Clone, Debug, PartialEq)]
pub enum PipelineCommand {
    /// Run this from now on.
    Revise {
        /// The pipeline.
        pipeline: PipelineName,
        /// The state machine.
        definition: Value,
        /// Which objects it wants.
        triggers: Vec<Trigger>,
        /// Who changed it.
        actor: String,
    },
    /// Take no objects for now.
    Pause {
        /// Who.
        actor: String,
    },
    /// Take objects again.
    Resume {
        /// Who.
        actor: String,
    },
    /// It is not in the config any more.
    Retire {
        /// Who.
        actor: String,
    },
}
