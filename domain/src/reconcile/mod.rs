//! A comparison of a bucket with the ledger as a durable thing of its own: what was compared, by
//! whom, how far it is, and what it found. Its events are the statement of completeness.

mod command;
mod error;
mod event;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use command::ReconcileCommand;
pub use error::ReconcileError;
pub use event::{
    Counts, Finding, FindingKind, ReconcileCancelled, ReconcileCompleted, ReconcileEvent,
    ReconcileFailed, ReconcilePaused, ReconcileProgressed, ReconcileResumed, ReconcileStarted,
    Source,
};

use crate::{Aggregate, Context, ObjectKey, ReconcileId};

/// The name of the stream of a reconcile.
pub fn stream_of(reconcile: ReconcileId) -> String {
    format!("reconcile-{reconcile}")
}

/// The aggregate. What it found stays in its events, since that may be much.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Reconcile {
    /// What was asked for; `None` before it began.
    pub started: Option<ReconcileStarted>,
    /// The last key that is done.
    pub key: Option<ObjectKey>,
    /// What was counted up to there.
    pub counts: Counts,
    /// Where it stands.
    pub phase: Option<ReconcilePhase>,
    /// Where the log ended when it was done.
    pub position: Option<u64>,
    /// Why it failed.
    pub why: Option<String>,
}

/// Where a reconcile stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReconcilePhase {
    /// It compares, or waits until another one of the same bucket is over.
    Running,
    /// Somebody wants it to stand still for now.
    Paused,
    /// All is done.
    Completed,
    /// It cannot be done.
    Failed,
    /// Somebody stopped it.
    Cancelled,
}

impl ReconcilePhase {
    /// The phase as outer interfaces write it.
    pub fn as_str(self) -> &'static str {
        match self {
            ReconcilePhase::Running => "RUNNING",
            ReconcilePhase::Paused => "PAUSED",
            ReconcilePhase::Completed => "COMPLETED",
            ReconcilePhase::Failed => "FAILED",
            ReconcilePhase::Cancelled => "CANCELLED",
        }
    }
}

impl Aggregate for Reconcile {
    const NAME: &'static str = "reconcile";
    type Command = ReconcileCommand;
    type Event = ReconcileEvent;
    type Error = ReconcileError;

    fn decide(
        &self,
        command: ReconcileCommand,
        _context: &Context,
    ) -> Result<Vec<ReconcileEvent>, ReconcileError> {
        use ReconcilePhase::{Completed, Paused, Running};
        Ok(match (command, self.phase) {
            (ReconcileCommand::Start(started), None) => vec![started.into()],
            (ReconcileCommand::Start(_), Some(_)) => Vec::new(),
            (_, None) => return Err(ReconcileError::Unknown),
            (
                ReconcileCommand::Progress {
                    key,
                    counts,
                    findings,
                },
                Some(Running),
            ) => {
                let further = self.key.as_ref().is_none_or(|reached| key > *reached);
                let progressed = ReconcileProgressed {
                    key,
                    counts,
                    findings,
                };
                further.then(|| progressed.into()).into_iter().collect()
            }
            (
                ReconcileCommand::Complete {
                    counts,
                    findings,
                    position,
                },
                Some(Running),
            ) => vec![
                ReconcileCompleted {
                    counts,
                    findings,
                    position,
                }
                .into(),
            ],
            (ReconcileCommand::Complete { .. }, Some(Completed)) => Vec::new(),
            (ReconcileCommand::Fail { why }, Some(Running)) => {
                vec![ReconcileFailed { why }.into()]
            }
            (ReconcileCommand::Pause { actor }, Some(Running)) => {
                vec![ReconcilePaused { actor }.into()]
            }
            (ReconcileCommand::Resume { actor }, Some(Paused)) => {
                vec![ReconcileResumed { actor }.into()]
            }
            (ReconcileCommand::Pause { .. }, Some(Paused))
            | (ReconcileCommand::Resume { .. }, Some(Running)) => Vec::new(),
            (ReconcileCommand::Pause { .. } | ReconcileCommand::Resume { .. }, Some(_)) => {
                return Err(ReconcileError::Over);
            }
            (ReconcileCommand::Cancel { actor }, Some(Running | Paused)) => {
                vec![ReconcileCancelled { actor }.into()]
            }
            (ReconcileCommand::Cancel { .. } | ReconcileCommand::Fail { .. }, Some(_)) => {
                Vec::new()
            }
            (
                ReconcileCommand::Progress { .. } | ReconcileCommand::Complete { .. },
                Some(Paused),
            ) => return Err(ReconcileError::Paused),
            (ReconcileCommand::Progress { .. } | ReconcileCommand::Complete { .. }, Some(_)) => {
                return Err(ReconcileError::Over);
            }
        })
    }

    fn evolve(mut self, event: &ReconcileEvent) -> Self {
        match event {
            ReconcileEvent::ReconcileStarted(event) => {
                self.started = Some(event.clone());
                self.phase = Some(ReconcilePhase::Running);
            }
            ReconcileEvent::ReconcileProgressed(event) => {
                self.key = Some(event.key.clone());
                self.counts = event.counts;
            }
            ReconcileEvent::ReconcilePaused(_) => self.phase = Some(ReconcilePhase::Paused),
            ReconcileEvent::ReconcileResumed(_) => self.phase = Some(ReconcilePhase::Running),
            ReconcileEvent::ReconcileCompleted(event) => {
                self.counts = event.counts;
                self.position = Some(event.position);
                self.phase = Some(ReconcilePhase::Completed);
            }
            ReconcileEvent::ReconcileFailed(event) => {
                self.why = Some(event.why.clone());
                self.phase = Some(ReconcilePhase::Failed);
            }
            ReconcileEvent::ReconcileCancelled(_) => self.phase = Some(ReconcilePhase::Cancelled),
        }
        self
    }
}
