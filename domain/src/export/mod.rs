//! An export: who took which part of the ledger out, and what its digest is.

mod command;
mod error;
mod event;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use command::ExportCommand;
pub use error::ExportError;
pub use event::{ExportCompleted, ExportEvent, ExportRange, ExportStarted};

use crate::{Aggregate, Context, ExportId};

/// The name of the stream of an export.
pub fn stream_of(export: ExportId) -> String {
    format!("export-{export}")
}

/// The aggregate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Export {
    /// What was asked for; `None` before it began.
    pub started: Option<ExportStarted>,
    /// What was delivered; `None` until it is complete.
    pub completed: Option<ExportCompleted>,
}

impl Aggregate for Export {
    const NAME: &'static str = "export";
    type Command = ExportCommand;
    type Event = ExportEvent;
    type Error = ExportError;

    fn decide(
        &self,
        command: ExportCommand,
        _context: &Context,
    ) -> Result<Vec<ExportEvent>, ExportError> {
        match command {
            ExportCommand::Start(_) if self.started.is_some() => Ok(Vec::new()),
            ExportCommand::Start(started) => Ok(vec![started.into()]),
            ExportCommand::Complete(_) if self.started.is_none() => Err(ExportError::Unknown),
            ExportCommand::Complete(completed) => match &self.completed {
                None => Ok(vec![completed.into()]),
                Some(before) if *before == completed => Ok(Vec::new()),
                Some(_) => Err(ExportError::Different),
            },
        }
    }

    fn evolve(mut self, event: &ExportEvent) -> Self {
        match event {
            ExportEvent::ExportStarted(event) => self.started = Some(event.clone()),
            ExportEvent::ExportCompleted(event) => self.completed = Some(event.clone()),
        }
        self
    }
}
