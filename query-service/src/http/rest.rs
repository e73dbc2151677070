//! The REST resources of the query side: the bytes of an export, and the projections.

use std::sync::Arc;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{Path, State as Shared};
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use daybook_domain::export::{Export, ExportRange, stream_of};
use daybook_domain::{Aggregate, Event as _, ExportId};
use daybook_event_store::{Direction, Position, RecordedEvent, StreamName};
use daybook_projections::{PROJECTIONS, ProjectorState, RebuildError, RebuildReport};
use futures::stream;
use serde_json::{Value, json};

use super::Web;
use crate::cloud_event::cloud_event;
use crate::config::EXPORT_PAGE_EVENTS;
use crate::state::State;

/// `GET /v1/exports/{id}/events`: the export's events as CloudEvents, one a line. The range comes
/// from the log itself, so that it is known as soon as the export is. If the stream breaks, the
/// connection is cut: what was received is then known to be incomplete.
pub(super) async fn export_events(Shared(web): Shared<Web>, Path(id): Path<String>) -> Response {
    let Ok(id) = id.parse::<ExportId>() else {
        return problem(StatusCode::NOT_FOUND, "there is no such export");
    };
    let range = match range_of(&web.state, id).await {
        Ok(Some(range)) => range,
        Ok(None) => return problem(StatusCode::NOT_FOUND, "there is no such export"),
        Err(why) => return problem(StatusCode::SERVICE_UNAVAILABLE, &why),
    };
    let lines = stream::try_unfold(Position(range.after), move |at| {
        let (state, range) = (web.state.clone(), range.clone());
        async move { page(&state, at, &range).await }
    });
    let headers = [(CONTENT_TYPE, "application/cloudevents+jsonl; charset=utf-8")];
    (headers, Body::from_stream(lines)).into_response()
}

/// `GET /v1/projections`: where each stands.
pub(super) async fn projections(Shared(web): Shared<Web>) -> Response {
    let status = web.state.projector.status();
    let head = match web.state.log.head().await {
        Ok(head) => head,
        Err(error) => return problem(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
    };
    let (state, error) = match &status.state {
        ProjectorState::Running if status.position >= head => ("LIVE", None),
        ProjectorState::Running => ("CATCHING_UP", None),
        ProjectorState::Faulted(why) => ("FAULTED", Some(why)),
        ProjectorState::Stopped => ("STOPPED", None),
    };
    let projections: Vec<Value> = PROJECTIONS
        .iter()
        .map(|(name, tables)| {
            json!({
                "name": name,
                "tables": tables,
                "position": status.position,
                "lag": head.0.saturating_sub(status.position.0),
                "state": state,
                "error": error,
            })
        })
        .collect();
    Json(json!({ "head": head, "projections": projections })).into_response()
}

/// `POST /v1/projections/{name}/rebuild`: makes the read models again from the log and says
/// whether they are equal. `all` is every projection.
pub(super) async fn rebuild(Shared(web): Shared<Web>, Path(name): Path<String>) -> Response {
    match web.state.projector.rebuild(&name).await {
        Ok(report) => Json(report_json(&name, &report)).into_response(),
        Err(error @ RebuildError::Unknown(_)) => problem(StatusCode::NOT_FOUND, &error.to_string()),
        Err(error) => {
            tracing::error!(%error, "the rebuild failed");
            problem(StatusCode::INTERNAL_SERVER_ERROR, &in_full(&error))
        }
    }
}

fn report_json(name: &str, report: &RebuildReport) -> Value {
    let tables: Vec<Value> = report
        .tables
        .iter()
        .map(|table| {
            json!({
                "projection": table.projection,
                "table": table.table,
                "liveRows": table.live_rows,
                "rebuiltRows": table.rebuilt_rows,
                "equal": table.equal,
            })
        })
        .collect();
    let differences: Vec<Value> = report
        .differences
        .iter()
        .map(|difference| {
            json!({
                "table": difference.table,
                "onlyLive": difference.only_live,
                "onlyRebuilt": difference.only_rebuilt,
            })
        })
        .collect();
    json!({
        "name": name,
        "position": report.position,
        "equal": report.equal,
        "tables": tables,
        "differences": differences,
    })
}

async fn range_of(state: &State, id: ExportId) -> Result<Option<ExportRange>, String> {
    let stream = StreamName::new(stream_of(id));
    let events = state
        .log
        .read_stream(&stream, None, Direction::Forward, 10)
        .await
        .map_err(|error| error.to_string())?;
    let mut export = Export::default();
    for event in events {
        let body: Value = serde_json::from_slice(&event.data).map_err(|error| error.to_string())?;
        let body = state.blobs.hydrate(body).await;
        let body = body.map_err(|error| error.to_string())?;
        let event =
            <Export as Aggregate>::Event::from_json(&event.event_type, event.schema_version, body)
                .map_err(|error| error.to_string())?;
        export = export.evolve(&event);
    }
    Ok(export.started.map(|started| started.range))
}

/// The next lines of an export; `None` at its end. One page of events is in memory at a time.
async fn page(
    state: &Arc<State>,
    mut at: Position,
    range: &ExportRange,
) -> Result<Option<(Bytes, Position)>, axum::BoxError> {
    while at.0 < range.up_to {
        let events = state.log.read_all(at, EXPORT_PAGE_EVENTS).await?;
        let Some(last) = events.last() else {
            break;
        };
        at = last.position;
        let mut lines = Vec::new();
        let mut past = false;
        for event in &events {
            past = event.position.0 > range.up_to
                || range.until.is_some_and(|until| event.recorded_at >= until);
            if past {
                break;
            }
            if range.since.is_none_or(|since| event.recorded_at >= since) {
                write_line(state, event, &mut lines).await?;
            }
        }
        if past {
            at = Position(range.up_to);
        }
        if !lines.is_empty() {
            return Ok(Some((lines.into(), at)));
        }
    }
    Ok(None)
}

async fn write_line(
    state: &State,
    event: &RecordedEvent,
    lines: &mut Vec<u8>,
) -> Result<(), axum::BoxError> {
    let body = serde_json::from_slice(&event.data)?;
    let body = state.blobs.hydrate(body).await?;
    let event = cloud_event(event, state.config.ledger_id.as_deref(), body);
    serde_json::to_writer(&mut *lines, &event)?;
    lines.push(b'\n');
    Ok(())
}

fn problem(status: StatusCode, detail: &str) -> Response {
    let body = json!({
        "type": "about:blank",
        "title": status.canonical_reason(),
        "status": status.as_u16(),
        "detail": detail,
    });
    let headers = [(CONTENT_TYPE, "application/problem+json")];
    (status, headers, body.to_string()).into_response()
}

fn in_full(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", in_full(source)),
        None => error.to_string(),
    }
}
