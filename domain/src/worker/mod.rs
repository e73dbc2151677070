//! A worker: one life of a command service. What it had claimed may be taken over when it is known
//! to be gone.

mod command;
mod error;
mod event;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use command::WorkerCommand;
pub use error::WorkerError;
pub use event::{WorkerEvent, WorkerJoined, WorkerLeft};

use crate::{Aggregate, Context, WorkerId};

/// The name of the stream of a worker.
pub fn stream_of(worker: WorkerId) -> String {
    format!("worker-{worker}")
}

/// The aggregate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Worker {
    /// Whether it has joined.
    pub joined: bool,
    /// Whether it has left, by its own word or another's.
    pub left: bool,
}

impl Aggregate for Worker {
    const NAME: &'static str = "worker";
    type Command = WorkerCommand;
    type Event = WorkerEvent;
    type Error = WorkerError;

    fn decide(
        &self,
        command: WorkerCommand,
        _context: &Context,
    ) -> Result<Vec<WorkerEvent>, WorkerError> {
        match command {
            WorkerCommand::Join { .. } if self.left => Err(WorkerError::Left),
            WorkerCommand::Join { .. } if self.joined => Ok(Vec::new()),
            WorkerCommand::Join {
                worker,
                host,
                version,
            } => Ok(vec![
                WorkerJoined {
                    worker,
                    host,
                    version,
                }
                .into(),
            ]),
            WorkerCommand::Leave { .. } if !self.joined => Err(WorkerError::Unknown),
            WorkerCommand::Leave { .. } if self.left => Ok(Vec::new()),
            WorkerCommand::Leave { worker, why } => Ok(vec![WorkerLeft { worker, why }.into()]),
        }
    }

    fn evolve(mut self, event: &WorkerEvent) -> Self {
        match event {
            WorkerEvent::WorkerJoined(_) => self.joined = true,
            WorkerEvent::WorkerLeft(_) => self.left = true,
        }
        self
    }
}
