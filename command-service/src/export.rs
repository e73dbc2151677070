//! Records who takes which part of the ledger out. The bytes themselves come from the query side.

use daybook_domain::export::{
    Export, ExportCommand, ExportCompleted, ExportError, ExportRange, ExportStarted, stream_of,
};
use daybook_domain::{CommandId, ExportId};
use daybook_event_store::Position;
use jiff::Timestamp;
use uuid::Uuid;

use crate::commands::{CommandError, Ledger, Origin};

/// What to take out.
pub(crate) struct ExportRequest {
    pub since: Option<Timestamp>,
    pub until: Option<Timestamp>,
    pub format: String,
    pub reason: Option<String>,
}

/// Begins an export of all that is in the log now, within the times asked for.
pub(crate) async fn start(
    ledger: &Ledger,
    request: ExportRequest,
    command: CommandId,
    actor: &str,
) -> Result<ExportStarted, CommandError<ExportError>> {
    let id = ExportId(Uuid::new_v5(&command.0, b"export"));
    let head = ledger
        .log()
        .head()
        .await
        .map_err(|error| CommandError::Unavailable(Box::new(error)))?;
    let started = ExportStarted {
        export: id,
        range: ExportRange {
            after: Position::START.0,
            up_to: head.0,
            since: request.since,
            until: request.until,
        },
        format: request.format,
        actor: actor.to_owned(),
        reason: request.reason,
    };
    let origin = origin(id, command, actor);
    let executed = ledger
        .execute::<Export>(
            &stream_of(id),
            ExportCommand::Start(started.clone()),
            &origin,
        )
        .await?;
    Ok(executed.state.started.unwrap_or(started))
}

/// Records what was delivered.
pub(crate) async fn complete(
    ledger: &Ledger,
    id: ExportId,
    completed: ExportCompleted,
    command: CommandId,
) -> Result<Option<Position>, CommandError<ExportError>> {
    let origin = origin(id, command, &completed.actor);
    let executed = ledger
        .execute::<Export>(&stream_of(id), ExportCommand::Complete(completed), &origin)
        .await?;
    Ok(executed.position)
}

fn origin(id: ExportId, command: CommandId, actor: &str) -> Origin {
    Origin {
        command,
        correlation: id.to_string(),
        causation: None,
        actor: actor.to_owned(),
        traceparent: None,
    }
}
