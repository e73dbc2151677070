//! `POST /v1/pipelines/{name}/pause` and `…/resume`: a paused pipeline starts nothing, and what it is
//! owed meanwhile stays pending until it is resumed.

use axum::extract::{Path, State};
use axum::http::HeaderMap;
use axum::routing::post;
use axum::{Json, Router};
use daybook_domain::PipelineName;
use daybook_domain::pipeline::{Pipeline, PipelineCommand, stream_of};

use super::problem::Problem;
use super::{actor_of, command_of, known_pipeline};
use crate::commands::{Ledger, Origin};

pub(super) fn router() -> Router<Ledger> {
    Router::new()
        .route("/v1/pipelines/{name}/pause", post(pause))
        .route("/v1/pipelines/{name}/resume", post(resume))
}

async fn pause(
    ledger: State<Ledger>,
    name: Path<String>,
    headers: HeaderMap,
) -> Result<Json<serde_json::Value>, Problem> {
    command(ledger, name, headers, |actor| PipelineCommand::Pause {
        actor,
    })
    .await
}

async fn resume(
    ledger: State<Ledger>,
    name: Path<String>,
    headers: HeaderMap,
) -> Result<Json<serde_json::Value>, Problem> {
    command(ledger, name, headers, |actor| PipelineCommand::Resume {
        actor,
    })
    .await
}

async fn command(
    State(ledger): State<Ledger>,
    Path(name): Path<String>,
    headers: HeaderMap,
    command: impl FnOnce(String) -> PipelineCommand,
) -> Result<Json<serde_json::Value>, Problem> {
    let name = PipelineName::parse(name).map_err(|error| Problem::invalid(error.to_string()))?;
    let (id, actor) = (command_of(&headers)?, actor_of(&headers));
    known_pipeline(&ledger, &name).await?;
    let stream = stream_of(&name);
    let origin = Origin {
        command: id,
        correlation: stream.clone(),
        causation: None,
        actor: actor.clone(),
        traceparent: None,
    };
    let executed = ledger
        .execute::<Pipeline>(&stream, command(actor), &origin)
        .await?;
    Ok(Json(serde_json::json!({
        "pipeline": name,
        "paused": executed.state.paused,
        "position": executed.position.map(|position| position.0),
    })))
}
