//! A function: the revisions of its code, so that each task can say exactly which code ran.

mod command;
mod error;
mod event;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use command::FunctionCommand;
pub use error::FunctionError;
pub use event::{FunctionEvent, FunctionRevised, FunctionSettings};

use crate::execution::CodeRevision;
use crate::{Aggregate, Context, FunctionName};

/// The name of the stream of a function.
pub fn stream_of(function: &FunctionName) -> String {
    format!("function-{function}")
}

/// The aggregate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Function {
    /// The newest code; `None` before the first.
    pub current: Option<CodeRevision>,
    /// The size of its package in bytes.
    pub package_bytes: u64,
    /// How that code is run.
    pub settings: Option<FunctionSettings>,
}

impl Aggregate for Function {
    const NAME: &'static str = "function";
    type Command = FunctionCommand;
    type Event = FunctionEvent;
    type Error = FunctionError;

    fn decide(
        &self,
        command: FunctionCommand,
        _context: &Context,
    ) -> Result<Vec<FunctionEvent>, FunctionError> {
        let FunctionCommand::Revise {
            function,
            sha256,
            package_bytes,
            settings,
            actor,
        } = command;
        let same = self
            .current
            .as_ref()
            .is_some_and(|current| current.sha256 == sha256)
            && self.settings.as_ref() == Some(&settings);
        if same {
            return Ok(Vec::new());
        }
        let revision = self
            .current
            .as_ref()
            .map_or(1, |current| current.revision + 1);
        Ok(vec![
            FunctionRevised {
                function,
                revision,
                sha256,
                package_bytes,
                settings,
                actor,
            }
            .into(),
        ])
    }

    fn evolve(mut self, event: &FunctionEvent) -> Self {
        let FunctionEvent::FunctionRevised(event) = event;
        self.current = Some(CodeRevision {
            revision: event.revision,
            sha256: event.sha256.clone(),
        });
        self.package_bytes = event.package_bytes;
        self.settings = Some(event.settings.clone());
        self
    }
}
