//! A worker: one life of a command service. What it had claimed may be taken over when it is known
//! to be gone: it said so, or it did not renew its lease in time.
//!
//! ```text
//!  Join ─> WorkerJoined ── Renew ─> LeaseRenewed ── Leave ────────────────> WorkerLeft
//!                       └─ Offer ─> FunctionsOffered └ Expire (by another) ──> WorkerLeft
//! ```
//!
//! How long ago a renewal was, everybody measures on a clock of his own; the stream only decides
//! which came first, the renewal or the word that it did not come.

mod command;
mod error;
mod event;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use command::WorkerCommand;
pub use error::WorkerError;
pub use event::{FunctionsOffered, LeaseRenewed, WorkerEvent, WorkerJoined, WorkerLeft};

use crate::{Aggregate, Context, FunctionName, WorkerId};

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
    /// How long its word counts, in milliseconds.
    pub lease_ms: Option<u64>,
    /// Its newest renewal, from 1; 0 before the first.
    pub renewal: u64,
    /// The functions that it can run, each with the SHA-256 of its package.
    pub functions: BTreeMap<FunctionName, String>,
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
                lease_ms,
                functions,
            } => {
                let joined = WorkerJoined {
                    worker,
                    host,
                    version,
                    lease_ms,
                    functions,
                };
                Ok(vec![joined.into()])
            }
            _ if !self.joined => Err(WorkerError::Unknown),
            WorkerCommand::Renew { .. } if self.left => Err(WorkerError::Left),
            WorkerCommand::Renew { renewal, .. } if renewal <= self.renewal => Ok(Vec::new()),
            WorkerCommand::Renew { worker, renewal } => {
                Ok(vec![LeaseRenewed { worker, renewal }.into()])
            }
            WorkerCommand::Offer { .. } if self.left => Err(WorkerError::Left),
            WorkerCommand::Offer { functions, .. } if functions == self.functions => Ok(Vec::new()),
            WorkerCommand::Offer { worker, functions } => {
                Ok(vec![FunctionsOffered { worker, functions }.into()])
            }
            // Ending what has ended is what was asked for.
            WorkerCommand::Leave { .. } | WorkerCommand::Expire { .. } if self.left => {
                Ok(Vec::new())
            }
            WorkerCommand::Leave { worker, why } => Ok(vec![WorkerLeft { worker, why }.into()]),
            WorkerCommand::Expire { renewal, .. }
                if self.lease_ms.is_none() || renewal != self.renewal =>
            {
                Err(WorkerError::Alive)
            }
            WorkerCommand::Expire {
                worker, observer, ..
            } => {
                let why = format!("its lease lapsed, as worker {observer} saw");
                Ok(vec![WorkerLeft { worker, why }.into()])
            }
        }
    }

    fn evolve(mut self, event: &WorkerEvent) -> Self {
        match event {
            WorkerEvent::WorkerJoined(joined) => {
                self.joined = true;
                self.lease_ms = joined.lease_ms;
                self.functions.clone_from(&joined.functions);
            }
            WorkerEvent::LeaseRenewed(renewed) => self.renewal = renewed.renewal,
            WorkerEvent::FunctionsOffered(offered) => {
                self.functions.clone_from(&offered.functions);
            }
            WorkerEvent::WorkerLeft(_) => self.left = true,
        }
        self
    }
}
