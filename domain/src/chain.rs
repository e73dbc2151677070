//! What led to an object: the pipelines that ran one upon the output of the other, counted.
//!
//! It travels along: an execution has that of the object version that triggered it, and what its
//! functions write has the execution's with its own pipeline added. A pipeline that comes up again
//! and again writes, itself or through others, where it is triggered.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::PipelineName;

/// How often each pipeline has run on the way to an object. Empty for what came from outside.
/// Storage format.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Chain(BTreeMap<PipelineName, u32>);

impl Chain {
    /// Whether nothing ran: the object came from outside.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How often the pipeline has run.
    pub fn times(&self, pipeline: &PipelineName) -> u32 {
        self.0.get(pipeline).copied().unwrap_or(0)
    }

    /// The chain of what the pipeline writes when it runs on this.
    #[must_use]
    pub fn and_then(mut self, pipeline: &PipelineName) -> Self {
        let times = self.0.entry(pipeline.clone()).or_default();
        *times = times.saturating_add(1);
        self
    }

    /// The pipelines that have run more than once, by name: those of a loop, if it is one.
    pub fn repeated(&self) -> impl Iterator<Item = &PipelineName> {
        let repeated = self.0.iter().filter(|(_, times)| **times > 1);
        repeated.map(|(pipeline, _)| pipeline)
    }
}
