//! A pipeline: which objects it wants and the state machine that it runs for them, in revisions.

mod command;
mod error;
mod event;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

pub use command::PipelineCommand;
pub use error::PipelineError;
pub use event::{
    PipelineEvent, PipelinePaused, PipelineResumed, PipelineRetired, PipelineRevised, Trigger,
};

use crate::asl::{Machine, State};
use crate::{Aggregate, Context, FunctionName, ObjectKey, PipelineName};

/// The name of the stream of a pipeline.
pub fn stream_of(pipeline: &PipelineName) -> String {
    format!("pipeline-{pipeline}")
}

/// The aggregate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Pipeline {
    /// The newest revision; `None` before the first.
    pub current: Option<Revision>,
    /// Whether it takes no objects for now.
    pub paused: bool,
    /// Whether it was taken out of the config.
    pub retired: bool,
}

/// One revision of a pipeline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Revision {
    /// From 1.
    pub revision: u32,
    /// SHA-256 over definition and triggers.
    pub sha256: String,
    /// The state machine.
    pub definition: Value,
    /// Which objects it wants.
    pub triggers: Vec<Trigger>,
}

impl Revision {
    /// The function that its first state calls.
    pub fn first_function(&self) -> Option<FunctionName> {
        let machine = Machine::parse(&self.definition).ok()?;
        let State::Task(task) = machine.states.get(&machine.start_at)?;
        Some(task.function.clone())
    }
}

impl Trigger {
    /// Whether it wants an object.
    pub fn matches(&self, bucket: &crate::BucketName, key: &ObjectKey) -> bool {
        self.bucket == *bucket
            && self
                .prefix
                .as_deref()
                .is_none_or(|prefix| key.as_str().starts_with(prefix))
            && self
                .suffix
                .as_deref()
                .is_none_or(|suffix| key.as_str().ends_with(suffix))
    }
}

impl Pipeline {
    /// The revision to run for an object, if the pipeline wants it. A paused pipeline wants it too:
    /// it takes it up when it is resumed, so that nothing is lost meanwhile.
    pub fn wants(&self, bucket: &crate::BucketName, key: &ObjectKey) -> Option<&Revision> {
        if self.retired {
            return None;
        }
        self.current.as_ref().filter(|revision| {
            revision
                .triggers
                .iter()
                .any(|trigger| trigger.matches(bucket, key))
        })
    }
}

impl Aggregate for Pipeline {
    const NAME: &'static str = "pipeline";
    type Command = PipelineCommand;
    type Event = PipelineEvent;
    type Error = PipelineError;

    fn decide(
        &self,
        command: PipelineCommand,
        _context: &Context,
    ) -> Result<Vec<PipelineEvent>, PipelineError> {
        match command {
            PipelineCommand::Revise {
                pipeline,
                definition,
                triggers,
                actor,
            } => {
                Machine::parse(&definition).map_err(PipelineError::Definition)?;
                let sha256 = digest_of(&definition, &triggers);
                let same = self
                    .current
                    .as_ref()
                    .is_some_and(|current| current.sha256 == sha256);
                if same && !self.retired {
                    return Ok(Vec::new());
                }
                let revision = match &self.current {
                    Some(current) if same => current.revision,
                    Some(current) => current.revision + 1,
                    None => 1,
                };
                Ok(vec![
                    PipelineRevised {
                        pipeline,
                        revision,
                        sha256,
                        definition,
                        triggers,
                        actor,
                    }
                    .into(),
                ])
            }
            _ if self.current.is_none() => Err(PipelineError::Unknown),
            PipelineCommand::Pause { .. } if self.paused => Ok(Vec::new()),
            PipelineCommand::Pause { actor } => Ok(vec![PipelinePaused { actor }.into()]),
            PipelineCommand::Resume { .. } if !self.paused => Ok(Vec::new()),
            PipelineCommand::Resume { actor } => Ok(vec![PipelineResumed { actor }.into()]),
            PipelineCommand::Retire { .. } if self.retired => Ok(Vec::new()),
            PipelineCommand::Retire { actor } => Ok(vec![PipelineRetired { actor }.into()]),
        }
    }

    fn evolve(mut self, event: &PipelineEvent) -> Self {
        match event {
            PipelineEvent::PipelineRevised(event) => {
                self.current = Some(Revision {
                    revision: event.revision,
                    sha256: event.sha256.clone(),
                    definition: event.definition.clone(),
                    triggers: event.triggers.clone(),
                });
                self.retired = false;
            }
            PipelineEvent::PipelinePaused(_) => self.paused = true,
            PipelineEvent::PipelineResumed(_) => self.paused = false,
            PipelineEvent::PipelineRetired(_) => self.retired = true,
        }
        self
    }
}

fn digest_of(definition: &Value, triggers: &[Trigger]) -> String {
    // Another order of the same keys may count as another revision, which does no harm.
    let text = serde_json::json!({ "definition": definition, "triggers": triggers }).to_string();
    hex::encode(Sha256::digest(text.as_bytes()))
}
