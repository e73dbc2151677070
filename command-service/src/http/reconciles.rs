//! `/v1/reconciles`: comparisons of buckets with the ledger.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use daybook_domain::reconcile::{
    Counts, Finding, Reconcile, ReconcileCommand, ReconcilePhase, Source, stream_of,
};
use daybook_domain::stored_object::NotificationFilter;
use daybook_domain::{BucketName, PipelineName, ReconcileId};
use daybook_s3_gateway::Gateway;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

use super::problem::{Body, Problem};
use super::{actor_of, check_reason, command_of, known_pipeline, parse_id};
use crate::commands::{Ledger, Origin};
use crate::reconcile::{self, Filters, LiveReconciles, Request};

/// What these commands act on.
#[derive(Clone)]
pub(super) struct Place {
    pub(super) ledger: Ledger,
    pub(super) gateway: Arc<Gateway>,
    pub(super) live: LiveReconciles,
    pub(super) filters: Filters,
}

pub(super) fn router(place: Place) -> Router {
    Router::new()
        .route("/v1/reconciles", post(start))
        .route("/v1/reconciles/{id}", get(show))
        .route("/v1/reconciles/{id}/findings", get(findings))
        .route("/v1/reconciles/{id}/pause", post(pause))
        .route("/v1/reconciles/{id}/resume", post(resume))
        .route("/v1/reconciles/{id}/cancel", post(cancel))
        .with_state(place)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct StartRequest {
    bucket: BucketName,
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    dry_run: bool,
    pipeline: Option<PipelineName>,
    revision: Option<u32>,
    inventory: Option<String>,
    rate: Option<u32>,
    reason: Option<String>,
}

async fn start(
    State(place): State<Place>,
    headers: HeaderMap,
    Body(request): Body<StartRequest>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let (command, actor) = (command_of(&headers)?, actor_of(&headers));
    check_reason(request.reason.as_deref())?;
    if !place.gateway.has_bucket(&request.bucket) {
        let bucket = &request.bucket;
        return Err(match place.filters.knows(bucket) {
            true => Problem::invalid(format!(
                "bucket {bucket} is known from notifications alone and cannot be listed; give it \
                 upstream = {{ bucket = \"NAME\", … }} in the config instead of notified = true"
            )),
            false => Problem::not_found(format!("there is no bucket {bucket}")),
        });
    }
    if request.rate == Some(0) {
        return Err(Problem::invalid(
            "a rate of 0 would never end; leave it out for no bound".to_owned(),
        ));
    }
    if let Some(pipeline) = &request.pipeline {
        known_pipeline(&place.ledger, pipeline).await?;
    }
    if request.revision.is_some() && request.pipeline.is_none() {
        return Err(Problem::invalid(
            "a revision is one of a pipeline's function; give the pipeline as well".to_owned(),
        ));
    }
    let id = ReconcileId(Uuid::new_v5(&command.0, b"reconcile"));
    let asked = Request {
        bucket: request.bucket,
        prefix: request.prefix,
        dry_run: request.dry_run,
        source: match request.inventory {
            Some(manifest) => Source::Inventory { manifest },
            None => Source::Listing,
        },
        pipeline: request.pipeline,
        revision: request.revision,
        rate: request.rate,
        reason: request.reason,
    };
    let position =
        reconcile::start(&place.ledger, &place.filters, id, asked, command, &actor).await?;
    let answer = json!({ "reconcile": id, "position": position.map(|position| position.0) });
    Ok((StatusCode::CREATED, Json(answer)))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    reconcile: ReconcileId,
    status: Option<&'static str>,
    bucket: Option<BucketName>,
    prefix: String,
    dry_run: bool,
    pipeline: Option<PipelineName>,
    /// The revision of its function that is to have processed each object.
    revision: Option<u32>,
    /// Which notifications of the bucket are taken.
    filters: Vec<NotificationFilter>,
    source: Value,
    actor: String,
    reason: Option<String>,
    /// The log position when it was asked for.
    asked_at: u64,
    /// Where the log ended when it was done.
    position: Option<u64>,
    /// The last key that was compared.
    key: Option<String>,
    /// Of a reconcile that runs: what was counted so far.
    counts: CountsAnswer,
    /// Why it failed.
    why: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CountsAnswer {
    keys: u64,
    versions: u64,
    accounted: u64,
    missing: u64,
    gone: u64,
    changed: u64,
    recorded: u64,
    filtered: u64,
    unsettled: u64,
    unprocessed: u64,
    started: u64,
}

impl From<Counts> for CountsAnswer {
    fn from(counts: Counts) -> Self {
        Self {
            keys: counts.keys,
            versions: counts.versions,
            accounted: counts.accounted,
            missing: counts.missing,
            gone: counts.gone,
            changed: counts.changed,
            recorded: counts.recorded,
            filtered: counts.filtered,
            unsettled: counts.unsettled,
            unprocessed: counts.unprocessed,
            started: counts.started,
        }
    }
}

async fn show(State(place): State<Place>, Path(id): Path<String>) -> Result<Json<Answer>, Problem> {
    let id: ReconcileId = parse_id(&id)?;
    let reconcile = known(&place.ledger, id).await?;
    let Some(asked) = reconcile.started else {
        return Err(unknown(id));
    };
    let live = place
        .live
        .of(id)
        .filter(|_| reconcile.phase == Some(ReconcilePhase::Running));
    let (key, counts) = match live {
        Some(live) => (live.key, live.counts),
        None => (reconcile.key.map(|key| key.to_string()), reconcile.counts),
    };
    Ok(Json(Answer {
        reconcile: id,
        status: reconcile.phase.map(ReconcilePhase::as_str),
        bucket: Some(asked.bucket),
        prefix: asked.prefix,
        dry_run: asked.dry_run,
        pipeline: asked.pipeline,
        revision: asked.revision,
        filters: asked.filters,
        source: serde_json::to_value(&asked.source).unwrap_or_default(),
        actor: asked.actor,
        reason: asked.reason,
        asked_at: asked.position,
        position: reconcile.position,
        key,
        counts: counts.into(),
        why: reconcile.why,
    }))
}

#[derive(Deserialize)]
struct FromEvent {
    /// The event to go on with, as the last page said.
    #[serde(default)]
    from: u64,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FindingAnswer {
    kind: &'static str,
    key: String,
    version_id: Option<String>,
    etag: Option<String>,
    size: Option<u64>,
    modified_at: Option<jiff::Timestamp>,
    recorded: bool,
}

impl From<Finding> for FindingAnswer {
    fn from(finding: Finding) -> Self {
        let version = finding.version;
        Self {
            kind: finding.kind.as_str(),
            key: finding.key.to_string(),
            version_id: version.version_id,
            etag: version.etag,
            size: version.size,
            modified_at: version.modified_at,
            recorded: finding.recorded,
        }
    }
}

async fn findings(
    State(place): State<Place>,
    Path(id): Path<String>,
    Query(FromEvent { from }): Query<FromEvent>,
) -> Result<Json<Value>, Problem> {
    let id: ReconcileId = parse_id(&id)?;
    known(&place.ledger, id).await?;
    let page = reconcile::findings(&place.ledger, id, from).await;
    let page = page.map_err(Problem::unavailable)?;
    let findings: Vec<FindingAnswer> = page.findings.into_iter().map(Into::into).collect();
    Ok(Json(json!({ "findings": findings, "next": page.next })))
}

async fn pause(
    place: State<Place>,
    id: Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    steer(place, id, headers, |actor| ReconcileCommand::Pause {
        actor,
    })
    .await
}

async fn resume(
    place: State<Place>,
    id: Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    steer(place, id, headers, |actor| ReconcileCommand::Resume {
        actor,
    })
    .await
}

async fn cancel(
    place: State<Place>,
    id: Path<String>,
    headers: HeaderMap,
) -> Result<Json<Value>, Problem> {
    steer(place, id, headers, |actor| ReconcileCommand::Cancel {
        actor,
    })
    .await
}

async fn steer(
    State(place): State<Place>,
    Path(id): Path<String>,
    headers: HeaderMap,
    command_by: impl FnOnce(String) -> ReconcileCommand,
) -> Result<Json<Value>, Problem> {
    let id: ReconcileId = parse_id(&id)?;
    let (command, actor) = (command_of(&headers)?, actor_of(&headers));
    let origin = Origin {
        command,
        correlation: id.to_string(),
        causation: None,
        actor: actor.clone(),
        traceparent: None,
    };
    let executed = place
        .ledger
        .execute::<Reconcile>(&stream_of(id), command_by(actor), &origin)
        .await?;
    let status = executed.state.phase.map(ReconcilePhase::as_str);
    Ok(Json(json!({ "reconcile": id, "status": status })))
}

async fn known(ledger: &Ledger, id: ReconcileId) -> Result<Reconcile, Problem> {
    let reconcile = ledger.load::<Reconcile>(&stream_of(id)).await?;
    reconcile.ok_or_else(|| unknown(id))
}

fn unknown(id: ReconcileId) -> Problem {
    Problem::not_found(format!("there is no reconcile {id}"))
}
