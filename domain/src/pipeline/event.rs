//! What can happen to a pipeline. These names and shapes are storage format.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::aggregate::events;
use crate::{BucketName, PipelineName};

events! {
    /// The events of the stream `pipeline-{name}`.
    pub enum PipelineEvent {
        /// Another definition or other triggers count from now on.
        PipelineRevised,
        /// It takes no objects for now.
        PipelinePaused,
        /// It takes objects again.
        PipelineResumed,
        /// It is not in the config any more.
        PipelineRetired,
    }
}

/// Another definition or other triggers count from now on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PipelineRevised {
    /// The pipeline.
    pub pipeline: PipelineName,
    /// From 1.
    pub revision: u32,
    /// SHA-256 over definition and triggers.
    pub sha256: String,
    /// The state machine.
    pub definition: Value,
    /// Which objects it wants.
    pub triggers: Vec<Trigger>,
    /// Who changed it.
    pub actor: String,
}

/// Which objects a pipeline wants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Trigger {
    /// In this bucket.
    pub bucket: BucketName,
    /// With keys that start so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// With keys that end so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suffix: Option<String>,
}

/// It takes no objects for now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PipelinePaused {
    /// Who.
    pub actor: String,
}

/// It takes objects again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PipelineResumed {
    /// Who.
    pub actor: String,
}

/// It is not in the config any more.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PipelineRetired {
    /// Who.
    pub actor: String,
}
