//! Making the outputs of an attempt visible that were staged, once its success is on record.
//!
//! ```text
//!  seal ─> TaskCommitted ─> Gateway::publish ─> TaskSucceeded, … ─> Gateway::discard
//! ```
//! With `TaskCommitted` it is decided. What follows may be broken off anywhere and is done again: by
//! this worker, by its next life, or by another one that takes over.

use std::time::Duration;

use daybook_domain::CommandId;
use daybook_domain::execution::{Execution, ExecutionCommand, Phase, stream_of};
use daybook_event_store::Position;
use daybook_s3_gateway::{AttemptId, Fate, PublishError};
use tokio_util::sync::CancellationToken;

use super::attempt::Tools;
use crate::clock;
use crate::commands::{CommandError, Origin};
use crate::gateway::{Story, fate_of};
use crate::trace;

/// The first and the longest pause before outputs that could not be published are tried again.
const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

impl Tools {
    /// Discards what an attempt staged, if that is what was decided about it. What cannot be asked or
    /// removed now, the gateway finds later.
    pub(super) async fn discard(&self, attempt: AttemptId) {
        let stream = stream_of(attempt.execution);
        match self.ledger.load::<Execution>(&stream).await {
            Ok(state) if fate_of(state.as_ref(), attempt) == Fate::Discard => {
                self.gateway.discard(attempt).await;
            }
            Ok(_) => {}
            Err(error) => tracing::warn!(%attempt, %error, "what was staged is left for later"),
        }
    }
}

/// Staged outputs that are to become visible.
pub(super) struct Publication {
    pub attempt: AttemptId,
    pub correlation: String,
    /// Cancelled when this is not for this worker to do any more.
    pub cancel: CancellationToken,
}

impl Publication {
    /// Publishes and says so, as a task of its own.
    pub(super) async fn run(self, tools: Tools) {
        let execution = self.attempt.execution;
        tracing::info!(%execution, "goes on with publishing what an attempt staged");
        let AttemptId { task, attempt, .. } = self.attempt;
        let story = Story {
            correlation: self.correlation.clone(),
            attempt: trace::of_attempt(&self.correlation, execution, task, attempt),
        };
        tools.stories.begin(execution, story);
        let position = self.perform(&tools).await;
        tools.stories.end(execution);
        tools.done(execution, position, false).await;
    }

    /// Publishes until everything is visible and that is on record. Where it is recorded. `None`
    /// when another worker did so, or is to do so.
    pub(super) async fn perform(&self, tools: &Tools) -> Option<Position> {
        let (mut pause, longest) = PAUSES;
        loop {
            let attempt = self.attempt;
            match tools.gateway.publish(attempt).await {
                Ok(()) => break,
                Err(error) if self.is_done(tools, &error).await => return None,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::error!(%attempt, error, "outputs not yet published");
                }
            }
            tokio::select! {
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(longest),
                () = self.cancel.cancelled() => return None,
            }
        }
        let position = self.record(tools).await;
        tools.discard(self.attempt).await;
        position
    }

    /// Whether there was nothing to publish because somebody else has done it.
    async fn is_done(&self, tools: &Tools, error: &PublishError) -> bool {
        if !matches!(error, PublishError::NotHere(_)) {
            return false;
        }
        let stream = stream_of(self.attempt.execution);
        match tools.ledger.load::<Execution>(&stream).await {
            Ok(state) => {
                let phase = state.and_then(|state| state.task().map(|task| task.phase));
                !matches!(phase, Some(Phase::Committed { .. }))
            }
            Err(_) => false,
        }
    }

    /// Offers to the log that the outputs are published, until it is recorded or refused.
    async fn record(&self, tools: &Tools) -> Option<Position> {
        let AttemptId {
            execution,
            task,
            attempt,
        } = self.attempt;
        let origin = Origin {
            // What was said before, by whomever, the stream knows by task and attempt.
            command: CommandId(clock::random_id()),
            correlation: self.correlation.clone(),
            causation: None,
            actor: format!("worker:{}", tools.worker),
            traceparent: Some(trace::of_execution(&self.correlation, execution).to_string()),
        };
        let command = ExecutionCommand::RecordPublished { task, attempt };
        let (mut pause, longest) = PAUSES;
        loop {
            let stream = stream_of(execution);
            match tools
                .ledger
                .execute::<Execution>(&stream, command.clone(), &origin)
                .await
            {
                Ok(executed) => return executed.position,
                Err(CommandError::Refused(error)) => {
                    tracing::info!(%execution, attempt, %error, "publication was not asked for");
                    return None;
                }
                Err(error) => {
                    tracing::error!(%execution, attempt, %error, "publication not yet recorded");
                    tokio::time::sleep(pause).await;
                    pause = (pause * 2).min(longest);
                }
            }
        }
    }
}
