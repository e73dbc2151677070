//! `/v1/…`: the commands that people give.
//!
//! Bodies and answers are JSON; errors are problem details (RFC 9457). Each command takes an
//! `Idempotency-Key` (a UUID): sending it again under the same key does nothing twice. Who acts is
//! said in `Daybook-Actor`; on loopback it is believed.

mod functions;
pub(crate) mod notifications;
mod pipelines;
mod problem;
mod queues;
mod reconciles;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use daybook_domain::execution::{Cause, Status};
use daybook_domain::export::ExportCompleted;
use daybook_domain::replay::{Replay, ReplayCommand, Selection, stream_of};
use daybook_domain::{CommandId, ExecutionId, ExportId, PipelineName, ReplayId};
use daybook_functions::FunctionHost;
use daybook_s3_gateway::Gateway;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::clock;
use crate::commands::{Ledger, Origin};
use crate::intake::Intake;
use crate::intake::sqs::Queues;
use crate::reconcile::{Filters, LiveReconciles};
use crate::revisions::Rejections;
use crate::room::Room;
use crate::{export, redrive, replay};
use notifications::HttpLimits;
use problem::{Body, Problem};

/// The largest body of a command, in bytes.
const MAX_BODY_BYTES: usize = 1 << 20;

/// The longest reason, in bytes: it goes into an event, where people read it.
const MAX_REASON_BYTES: usize = 4 << 10;

/// Who acts, as the client says.
const ACTOR: &str = "daybook-actor";

/// What the commands act on, or tell of.
pub(crate) struct Rooms {
    pub(crate) ledger: Ledger,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) live: LiveReconciles,
    pub(crate) filters: Filters,
    pub(crate) host: Arc<FunctionHost>,
    pub(crate) room: Room,
    pub(crate) rejections: Rejections,
    pub(crate) intake: Intake,
    pub(crate) limits: HttpLimits,
    pub(crate) queues: Queues,
}

/// The command API.
pub(crate) fn router(rooms: Rooms) -> Router {
    let Rooms { ledger, intake, .. } = rooms;
    let reconciles = reconciles::router(reconciles::Place {
        ledger: ledger.clone(),
        gateway: rooms.gateway,
        live: rooms.live,
        filters: rooms.filters,
    });
    Router::new()
        .route("/v1/executions/{id}/redrive", post(redrive_execution))
        .route("/v1/replays", post(start_replay))
        .route("/v1/replays/{id}/cancel", post(cancel_replay))
        .route("/v1/exports", post(start_export))
        .route("/v1/exports/{id}/complete", post(complete_export))
        .merge(pipelines::router())
        .with_state(ledger)
        .merge(reconciles)
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .merge(functions::router(rooms.host, rooms.room, rooms.rejections))
        .merge(notifications::deliveries(intake.clone(), rooms.limits))
        .merge(notifications::rejections(intake))
        .merge(queues::router(rooms.queues))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RedriveRequest {
    reason: Option<String>,
    /// Whether its outputs go to a place of their own, so that nothing that others see changes.
    #[serde(default)]
    shadow: bool,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RedriveAnswer {
    execution: ExecutionId,
    redrive_of: ExecutionId,
    /// For a shadow: what the keys of its outputs begin with.
    #[serde(skip_serializing_if = "Option::is_none")]
    shadow: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
}

async fn redrive_execution(
    State(ledger): State<Ledger>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(request): Body<RedriveRequest>,
) -> Result<(StatusCode, Json<RedriveAnswer>), Problem> {
    let of: ExecutionId = parse_id(&id)?;
    check_reason(request.reason.as_deref())?;
    let (command, actor) = (command_of(&headers)?, actor_of(&headers));
    let cause = Cause::Redrive {
        of,
        command,
        reason: request.reason,
    };
    let redriven = redrive::redrive(&ledger, of, cause, request.shadow, command, &actor).await?;
    let answer = RedriveAnswer {
        execution: redriven.execution,
        redrive_of: of,
        shadow: redriven.shadow.map(|shadow| shadow.prefix()),
        position: redriven.position.map(|position| position.0),
    };
    Ok((StatusCode::CREATED, Json(answer)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct ReplayRequest {
    pipeline: PipelineName,
    status: Option<Status>,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    #[serde(default)]
    dry_run: bool,
    reason: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReplayAnswer {
    /// The replay; absent in a dry run.
    #[serde(skip_serializing_if = "Option::is_none")]
    replay: Option<ReplayId>,
    dry_run: bool,
    /// How many executions it runs again.
    count: usize,
    /// The log position at which they were chosen.
    selected_at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    position: Option<u64>,
}

async fn start_replay(
    State(ledger): State<Ledger>,
    headers: HeaderMap,
    Body(request): Body<ReplayRequest>,
) -> Result<(StatusCode, Json<ReplayAnswer>), Problem> {
    let (command, actor) = (command_of(&headers)?, actor_of(&headers));
    let selection = Selection {
        pipeline: request.pipeline,
        status: request.status,
        since: request.since,
        until: request.until,
    };
    check_reason(request.reason.as_deref())?;
    known_pipeline(&ledger, &selection.pipeline).await?;
    let preview = replay::choose(&ledger, &selection)
        .await
        .map_err(Problem::unavailable)?;
    let count = preview.plan.len();
    let selected_at = preview.position.0;
    if request.dry_run {
        let answer = ReplayAnswer {
            replay: None,
            dry_run: true,
            count,
            selected_at,
            position: None,
        };
        return Ok((StatusCode::OK, Json(answer)));
    }
    let id = ReplayId(Uuid::new_v5(&command.0, b"replay"));
    let origin = Origin {
        command,
        correlation: id.to_string(),
        causation: None,
        actor: actor.clone(),
        traceparent: None,
    };
    let start = ReplayCommand::Start {
        replay: id,
        selection,
        position: selected_at,
        plan: preview.plan,
        actor,
        reason: request.reason,
    };
    let executed = ledger
        .execute::<Replay>(&stream_of(id), start, &origin)
        .await?;
    let answer = ReplayAnswer {
        replay: Some(id),
        dry_run: false,
        count: executed.state.plan.len(),
        selected_at,
        position: executed.position.map(|position| position.0),
    };
    Ok((StatusCode::CREATED, Json(answer)))
}

async fn known_pipeline(ledger: &Ledger, pipeline: &PipelineName) -> Result<(), Problem> {
    let stream = daybook_domain::pipeline::stream_of(pipeline);
    match ledger
        .load::<daybook_domain::pipeline::Pipeline>(&stream)
        .await?
    {
        Some(_) => Ok(()),
        None => Err(Problem::not_found(format!(
            "there is no pipeline {pipeline}"
        ))),
    }
}

async fn cancel_replay(
    State(ledger): State<Ledger>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<serde_json::Value>, Problem> {
    let id: ReplayId = parse_id(&id)?;
    let (command, actor) = (command_of(&headers)?, actor_of(&headers));
    let origin = Origin {
        command,
        correlation: id.to_string(),
        causation: None,
        actor: actor.clone(),
        traceparent: None,
    };
    let cancel = ReplayCommand::Cancel { actor };
    let executed = ledger
        .execute::<Replay>(&stream_of(id), cancel, &origin)
        .await?;
    Ok(Json(serde_json::json!({
        "replay": id,
        "status": executed.state.phase.map(daybook_domain::replay::ReplayPhase::as_str),
        "started": executed.state.done,
    })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StartExportRequest {
    format: String,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    reason: Option<String>,
}

async fn start_export(
    State(ledger): State<Ledger>,
    headers: HeaderMap,
    Body(request): Body<StartExportRequest>,
) -> Result<(StatusCode, Json<serde_json::Value>), Problem> {
    let (command, actor) = (command_of(&headers)?, actor_of(&headers));
    if request.format != "jsonl" {
        return Err(Problem::invalid(format!(
            "format {:?} is not known; this version exports jsonl",
            request.format
        )));
    }
    check_reason(request.reason.as_deref())?;
    let request = export::ExportRequest {
        since: request.since,
        until: request.until,
        format: request.format,
        reason: request.reason,
    };
    let started = export::start(&ledger, request, command, &actor).await?;
    let answer = serde_json::json!({ "export": started.export, "range": started.range });
    Ok((StatusCode::CREATED, Json(answer)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct CompleteExportRequest {
    events: u64,
    sha256: String,
}

async fn complete_export(
    State(ledger): State<Ledger>,
    Path(id): Path<String>,
    headers: HeaderMap,
    Body(request): Body<CompleteExportRequest>,
) -> Result<Json<serde_json::Value>, Problem> {
    let id: ExportId = parse_id(&id)?;
    let (command, actor) = (command_of(&headers)?, actor_of(&headers));
    let completed = ExportCompleted {
        events: request.events,
        sha256: request.sha256,
        actor,
    };
    let position = export::complete(&ledger, id, completed, command).await?;
    Ok(Json(
        serde_json::json!({ "export": id, "position": position }),
    ))
}

fn check_reason(reason: Option<&str>) -> Result<(), Problem> {
    match reason.map_or(0, str::len) {
        0..=MAX_REASON_BYTES => Ok(()),
        bytes => Err(Problem::invalid(format!(
            "the reason has {bytes} bytes, more than {MAX_REASON_BYTES}; shorten it"
        ))),
    }
}

fn parse_id<T: std::str::FromStr>(text: &str) -> Result<T, Problem> {
    text.parse()
        .map_err(|_| Problem::invalid(format!("{text:?} is not an id; ids are UUIDs")))
}

fn command_of(headers: &HeaderMap) -> Result<CommandId, Problem> {
    match headers.get("idempotency-key") {
        None => Ok(CommandId(clock::random_id())),
        Some(key) => key
            .to_str()
            .ok()
            .and_then(|key| key.parse().ok())
            .map(CommandId)
            .ok_or_else(|| Problem::invalid("Idempotency-Key must be a UUID".to_owned())),
    }
}

fn actor_of(headers: &HeaderMap) -> String {
    headers
        .get(ACTOR)
        .and_then(|actor| actor.to_str().ok())
        .filter(|actor| !actor.is_empty() && actor.len() <= 256)
        .map_or_else(|| "http".to_owned(), str::to_owned)
}
