//! A bulk re-run as a durable thing of its own: what was chosen, at which position, by whom, and
//! how far it is.

mod command;
mod error;
mod event;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use command::ReplayCommand;
pub use error::ReplayError;
pub use event::{
    ReplayCancelled, ReplayCompleted, ReplayEvent, ReplayProgressed, ReplayStarted, Selection,
};

use crate::{Aggregate, Context, ExecutionId, ReplayId};

/// The name of the stream of a replay.
pub fn stream_of(replay: ReplayId) -> String {
    format!("replay-{replay}")
}

/// The aggregate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    /// The executions to run again, in order.
    pub plan: Vec<ExecutionId>,
    /// How many of them have been started anew.
    pub done: u64,
    /// Where it stands; `None` before it began.
    pub phase: Option<ReplayPhase>,
    /// Who asked.
    pub actor: String,
}

/// Where a replay stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReplayPhase {
    /// It starts executions.
    Running,
    /// All of the plan is started.
    Completed,
    /// Somebody stopped it.
    Cancelled,
}

impl ReplayPhase {
    /// The name as the query side and the command line say it.
    pub fn as_str(self) -> &'static str {
        match self {
            ReplayPhase::Running => "RUNNING",
            ReplayPhase::Completed => "COMPLETED",
            ReplayPhase::Cancelled => "CANCELLED",
        }
    }
}

impl Aggregate for Replay {
    const NAME: &'static str = "replay";
    type Command = ReplayCommand;
    type Event = ReplayEvent;
    type Error = ReplayError;

    fn decide(
        &self,
        command: ReplayCommand,
        _context: &Context,
    ) -> Result<Vec<ReplayEvent>, ReplayError> {
        if let ReplayCommand::Start {
            replay,
            selection,
            position,
            plan,
            actor,
            reason,
        } = command
        {
            return Ok(match self.phase {
                Some(_) => Vec::new(),
                None => {
                    let nothing_to_do = plan.is_empty();
                    let started = ReplayStarted {
                        replay,
                        selection,
                        position,
                        plan,
                        actor,
                        reason,
                    };
                    let completed = nothing_to_do.then(|| ReplayCompleted { started: 0 }.into());
                    std::iter::once(started.into()).chain(completed).collect()
                }
            });
        }
        match (command, self.phase) {
            (_, None) => Err(ReplayError::Unknown),
            (ReplayCommand::Progress { .. }, Some(ReplayPhase::Cancelled)) => {
                Err(ReplayError::Cancelled)
            }
            (ReplayCommand::Progress { done }, Some(_)) if done <= self.done => Ok(Vec::new()),
            (ReplayCommand::Progress { done }, Some(_)) => {
                let planned = self.plan.len() as u64;
                let done = done.min(planned);
                let completed = (done == planned).then(|| ReplayCompleted { started: done }.into());
                Ok(std::iter::once(ReplayProgressed { done }.into())
                    .chain(completed)
                    .collect())
            }
            (ReplayCommand::Cancel { .. }, Some(phase)) if phase != ReplayPhase::Running => {
                Ok(Vec::new())
            }
            (ReplayCommand::Cancel { actor }, Some(_)) => {
                Ok(vec![ReplayCancelled { actor }.into()])
            }
            (ReplayCommand::Start { .. }, Some(_)) => Ok(Vec::new()),
        }
    }

    fn evolve(mut self, event: &ReplayEvent) -> Self {
        match event {
            ReplayEvent::ReplayStarted(event) => {
                self.plan = event.plan.clone();
                self.phase = Some(ReplayPhase::Running);
                self.actor = event.actor.clone();
            }
            ReplayEvent::ReplayProgressed(event) => self.done = event.done,
            ReplayEvent::ReplayCompleted(_) => self.phase = Some(ReplayPhase::Completed),
            ReplayEvent::ReplayCancelled(_) => self.phase = Some(ReplayPhase::Cancelled),
        }
        self
    }
}
