//! Reconcile: a bucket compared with the ledger, and what the ledger lacks recorded.
//!
//! ```text
//!  bucket: Survey | inventory ──┐
//!                               ├─ Merge ─> equal ──────────────> counted
//!  log: newest_of_streams ──────┘    └────> differs ─> queue ─> settle: look again, record
//!                                                                   └─> ReconcileProgressed
//! ```
//! Both sides come in the order of keys, so that memory stays bounded however many there are. A
//! reconcile is an aggregate: its worker drives it from where its last progress left it, after a
//! crash too. Nothing is recorded of what is equal.

mod backfill;
mod bucket;
mod inventory;
mod known;
mod limits;
mod live;
mod merge;
mod pace;
mod revision;
mod run;
mod settling;
mod start;
mod statement;
#[cfg(test)]
mod tests;

use std::error::Error;
use std::sync::Arc;

use daybook_domain::reconcile::{
    Reconcile, ReconcileCommand, ReconcileError, ReconcilePhase, stream_of,
};
use daybook_domain::{CommandId, ReconcileId};
use daybook_s3_gateway::SurveyError;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::commands::{CommandError, Executed, Kept, Ledger, Origin};
use crate::room::Room;
use bucket::Buckets;
pub use limits::ReconcileLimits;
pub(crate) use live::LiveReconciles;
pub use start::ReconcileSchedule;
pub(crate) use start::{Filters, Request, keep_schedule, start};
pub(crate) use statement::findings;

/// What a reconcile needs.
#[derive(Clone)]
pub(crate) struct Tools {
    pub ledger: Ledger,
    pub buckets: Arc<dyn Buckets>,
    pub live: LiveReconciles,
    pub room: Room,
    pub region: String,
    pub limits: ReconcileLimits,
}

/// Why a reconcile stands still.
#[derive(Debug)]
pub(crate) enum Problem {
    /// Trying again may help.
    Unavailable(Box<dyn Error + Send + Sync>),
    /// Trying again does not help. The words are for people.
    Hopeless(String),
    /// It was stopped, by its command or with its worker.
    Stopped,
}

impl Problem {
    pub(super) fn unavailable(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Unavailable(error.into())
    }

    pub(super) fn damaged(error: impl Error) -> Self {
        Self::Hopeless(format!("the ledger is damaged: {}", told(&error)))
    }

    pub(super) fn command<E: Error + Send + Sync + 'static>(error: CommandError<E>) -> Self {
        match error {
            CommandError::Damaged(error) => {
                Self::Hopeless(format!("the ledger is damaged: {}", told(&*error)))
            }
            error => Self::unavailable(error),
        }
    }
}

impl From<SurveyError> for Problem {
    fn from(error: SurveyError) -> Self {
        match error {
            SurveyError::NoSuchBucket(_) => Self::Hopeless(error.to_string()),
            error => Self::unavailable(error),
        }
    }
}

/// An error with its sources.
fn told(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        text = format!("{text}: {error}");
        source = error.source();
    }
    text
}

/// Goes on with a reconcile until it is over or the process stops. It runs again after a crash from
/// where it had recorded its progress.
pub(crate) async fn drive(tools: Tools, id: ReconcileId, cancel: CancellationToken) {
    let mut failures = 0;
    let mut reached = None;
    loop {
        let outcome = tokio::select! {
            outcome = run::go_on(&tools, id) => outcome,
            () = cancel.cancelled() => Ok(()),
        };
        tools.live.end(id);
        let why = match outcome {
            Ok(()) | Err(Problem::Stopped) => return,
            Err(Problem::Hopeless(why)) => {
                failures = tools.limits.attempts;
                why
            }
            Err(Problem::Unavailable(error)) => told(&*error),
        };
        let before = reached.clone();
        if let Ok(Some(reconcile)) = tools.ledger.read::<Reconcile>(&stream_of(id)).await {
            if reconcile.phase != Some(ReconcilePhase::Running) {
                return;
            }
            reached = reconcile.key;
        }
        failures = if before == reached { failures + 1 } else { 0 };
        tracing::warn!(reconcile = %id, why, "the reconcile pauses");
        if failures >= tools.limits.attempts {
            let fail = ReconcileCommand::Fail { why };
            match tools.command(id, fail, b"fail").await {
                Ok(_) => return,
                Err(error) => {
                    tracing::error!(reconcile = %id, error = told(&error), "it could not be recorded that a reconcile failed")
                }
            }
        }
        tokio::select! {
            () = tokio::time::sleep(tools.limits.retry_after) => {}
            () = cancel.cancelled() => return,
        }
    }
}

impl Tools {
    /// A command of the reconcile's own on itself. The same purpose is the same command.
    async fn command(
        &self,
        id: ReconcileId,
        command: ReconcileCommand,
        purpose: &[u8],
    ) -> Result<Executed<Reconcile>, CommandError<ReconcileError>> {
        let origin = Origin {
            command: CommandId(Uuid::new_v5(&id.0, purpose)),
            correlation: id.to_string(),
            causation: Some(id.to_string()),
            actor: format!("reconcile:{id}"),
            traceparent: None,
        };
        self.execute::<Reconcile>(stream_of(id), command, origin)
            .await
    }

    /// Executes a command to its end, also where nobody waits for it any more: a reconcile may be
    /// stopped at any moment, and a command that was broken off behind its append would leave the
    /// fold that is kept of the stream behind the log.
    async fn execute<A: Kept>(
        &self,
        stream: String,
        command: A::Command,
        origin: Origin,
    ) -> Result<Executed<A>, CommandError<A::Error>> {
        let ledger = self.ledger.clone();
        let work = async move { ledger.execute::<A>(&stream, command, &origin).await };
        match tokio::spawn(work).await {
            Ok(executed) => executed,
            Err(broken) => Err(CommandError::Unavailable(Box::new(broken))),
        }
    }
}
