//! Bulk re-runs: what is chosen at a stated position of the log, recorded as a plan, and started
//! one by one until the plan is done.

use std::collections::HashMap;
use std::time::Duration;

use daybook_domain::execution::{Cause, ExecutionEvent, Status};
use daybook_domain::replay::{
    Replay, ReplayCommand, ReplayError, ReplayPhase, Selection, stream_of,
};
use daybook_domain::{CommandId, Event, ExecutionId, ReplayId};
use daybook_event_store::{Position, RecordedEvent};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use crate::commands::{CommandError, Ledger, Origin};
use crate::redrive::{self, RedriveError};
use crate::room::Room;

/// How many events are read at once while choosing.
const PAGE: usize = 5_000;

/// After how many starts the progress is recorded: so many are at most repeated after a crash,
/// and repeating them starts nothing anew.
const PROGRESS_EVERY: u64 = 100;

/// How long a replay waits before it tries again what the ledger could not take.
const PAUSE: Duration = Duration::from_secs(5);

/// The most executions of one replay. The plan is one document.
pub(crate) const MAX_PLAN: usize = 1_000_000;

/// What a replay would run again.
#[derive(Clone, Debug)]
pub struct Preview {
    /// The position at which it was chosen.
    pub position: Position,
    /// The executions, oldest first.
    pub plan: Vec<ExecutionId>,
}

/// Chooses by folding the log up to its head. Of several runs for one object version, the newest
/// one speaks; shadows do not count.
pub(crate) async fn choose(
    ledger: &Ledger,
    selection: &Selection,
) -> Result<Preview, Box<dyn std::error::Error + Send + Sync>> {
    let head = ledger.log().head().await?;
    let mut runs = Runs::default();
    let mut after = Position::START;
    while after < head {
        let page = ledger.log().read_all(after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.position;
        for event in page.iter().filter(|event| event.position <= head) {
            runs.fold(event, selection, ledger).await?;
        }
    }
    let plan = runs.chosen(selection);
    if plan.len() > MAX_PLAN {
        return Err(format!(
            "the selection has {} executions, more than the {MAX_PLAN} of one replay; narrow it \
             with since and until",
            plan.len()
        )
        .into());
    }
    Ok(Preview {
        position: head,
        plan,
    })
}

/// The runs of the selected pipeline.
#[derive(Default)]
struct Runs {
    runs: HashMap<ExecutionId, Run>,
    newest: HashMap<String, ExecutionId>,
    order: Vec<ExecutionId>,
}

struct Run {
    object: String,
    started_at: Timestamp,
    status: Status,
}

impl Runs {
    async fn fold(
        &mut self,
        event: &RecordedEvent,
        selection: &Selection,
        ledger: &Ledger,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let Some(id) = event.stream.as_str().strip_prefix("execution-") else {
            return Ok(());
        };
        let id: ExecutionId = id.parse()?;
        let status = match &*event.event_type {
            "ExecutionStarted" => {
                let body = serde_json::from_slice(&event.data)?;
                let body = ledger.blobs().hydrate(body).await?;
                let decoded =
                    ExecutionEvent::from_json(&event.event_type, event.schema_version, body)?;
                if let ExecutionEvent::ExecutionStarted(started) = decoded
                    && started.pipeline == selection.pipeline
                    && started.shadow.is_none()
                {
                    let object = &started.object;
                    let identity = object.version.identity();
                    let object = format!("{}/{}@{identity}", object.bucket, object.key);
                    let started_at = event.recorded_at;
                    let run = Run {
                        object: object.clone(),
                        started_at,
                        status: Status::Pending,
                    };
                    self.runs.insert(id, run);
                    self.newest.insert(object, id);
                    self.order.push(id);
                }
                return Ok(());
            }
            "ExecutionSucceeded" => Status::Succeeded,
            "ExecutionFailed" => Status::Failed,
            "ExecutionTimedOut" => Status::TimedOut,
            "ExecutionAborted" => Status::Aborted,
            _ => return Ok(()),
        };
        if let Some(run) = self.runs.get_mut(&id) {
            run.status = status;
        }
        Ok(())
    }

    fn chosen(&self, selection: &Selection) -> Vec<ExecutionId> {
        self.order
            .iter()
            .filter(|id| {
                self.runs.get(id).is_some_and(|run| {
                    self.newest.get(&run.object) == Some(id)
                        && run.status.is_terminal()
                        && selection.status.is_none_or(|status| status == run.status)
                        && selection.since.is_none_or(|since| run.started_at >= since)
                        && selection.until.is_none_or(|until| run.started_at < until)
                })
            })
            .copied()
            .collect()
    }
}

/// Starts what is left of a replay's plan. Runs again after a crash where it had recorded its
/// progress; starting twice is starting once. What cannot be done now is tried again until the
/// replay is over or the process stops.
pub(crate) async fn drive(ledger: Ledger, room: Room, id: ReplayId, cancel: CancellationToken) {
    while let Err(error) = go_on(&ledger, &room, id, &cancel).await {
        tracing::warn!(replay = %id, %error, "the replay pauses");
        tokio::select! {
            () = tokio::time::sleep(PAUSE) => {}
            () = cancel.cancelled() => return,
        }
    }
}

/// Goes on until the plan is done, the replay is over, or the ledger does not answer.
async fn go_on(
    ledger: &Ledger,
    room: &Room,
    id: ReplayId,
    cancel: &CancellationToken,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let replay = match ledger.read::<Replay>(&stream_of(id)).await? {
        Some(replay) if replay.phase == Some(ReplayPhase::Running) => replay,
        _ => return Ok(()),
    };
    // What the last one calls first, and so the next one.
    let mut function = None;
    let mut done = replay.done;
    let start = usize::try_from(done).unwrap_or(usize::MAX);
    for of in replay.plan.iter().skip(start) {
        if let Some(function) = &function {
            cancel.run_until_cancelled(room.wait(function)).await;
        }
        if cancel.is_cancelled() {
            return Ok(());
        }
        let cause = Cause::Replay {
            of: *of,
            replay: id,
        };
        match redrive::redrive(ledger, *of, cause, false, CommandId(id.0), &replay.actor).await {
            Ok(redriven) => function = redriven.function,
            Err(error @ RedriveError::Ledger(_)) => return Err(error.into()),
            Err(error) => tracing::warn!(replay = %id, %error, "left out of the replay"),
        }
        done += 1;
        let all = done == replay.plan.len() as u64;
        if all || done.is_multiple_of(PROGRESS_EVERY) {
            match progress(ledger, id, done).await {
                // Cancelled meanwhile.
                Err(CommandError::Refused(_)) => return Ok(()),
                result => result?,
            }
        }
    }
    Ok(())
}

async fn progress(
    ledger: &Ledger,
    id: ReplayId,
    done: u64,
) -> Result<(), CommandError<ReplayError>> {
    let origin = Origin {
        command: CommandId(uuid::Uuid::new_v5(&id.0, &done.to_be_bytes())),
        correlation: id.to_string(),
        causation: Some(id.to_string()),
        actor: "replay".to_owned(),
        traceparent: None,
    };
    ledger
        .execute::<Replay>(&stream_of(id), ReplayCommand::Progress { done }, &origin)
        .await
        .map(|_| ())
}
