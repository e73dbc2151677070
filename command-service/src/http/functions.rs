//! What the functions' processes are doing in this process at the moment, which no log knows:
//! `GET /v1/functions`, and `GET /v1/executions/{id}/logs?after=BYTES` for what a running attempt
//! wrote so far. A reader asks again and again for what is new, so that a slow one holds up nobody;
//! what it is too late for is dropped, and it is told how much.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::routing::get;
use axum::{Json, Router};
use daybook_domain::ExecutionId;
use daybook_functions::{FunctionHost, FunctionStatus, SandboxMode};
use serde::{Deserialize, Serialize};

use super::parse_id;
use super::problem::Problem;
use crate::revisions::Rejections;
use crate::room::Room;

#[derive(Clone)]
struct Place {
    host: Arc<FunctionHost>,
    room: Room,
    rejections: Rejections,
}

pub(super) fn router(host: Arc<FunctionHost>, room: Room, rejections: Rejections) -> Router {
    Router::new()
        .route("/v1/functions", get(list))
        .route("/v1/executions/{id}/logs", get(live_logs))
        .with_state(Place {
            host,
            room,
            rejections,
        })
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct FunctionAnswer {
    name: String,
    runtime: &'static str,
    /// The revision that runs here, and its package.
    revision: Option<u32>,
    sha256: Option<String>,
    concurrency: usize,
    busy: usize,
    idle: usize,
    /// Executions of the ledger that wait for it, and how many may.
    waiting: usize,
    queue: usize,
    failed_starts: u32,
    backing_off_ms: Option<u64>,
    last_start_failure: Option<String>,
    /// Why newer code does not run here.
    rejected: Option<String>,
    /// `required`, `available` or `off`; nothing where it runs elsewhere.
    sandbox: Option<&'static str>,
    /// What of it this machine does not have, in words.
    sandbox_lacks: Vec<String>,
}

#[derive(Deserialize)]
struct After {
    /// How many bytes the reader has.
    #[serde(default)]
    after: u64,
}

async fn live_logs(
    State(place): State<Place>,
    Path(id): Path<String>,
    Query(After { after }): Query<After>,
) -> Result<Json<serde_json::Value>, Problem> {
    let id: ExecutionId = parse_id(&id)?;
    let Some(logs) = place.host.live_logs(id, after) else {
        return Err(Problem::not_found(format!(
            "no attempt of execution {id} runs in this process: it waits, is over, or runs in \
             another one"
        )));
    };
    Ok(Json(serde_json::json!({
        "task": logs.task,
        "attempt": logs.attempt,
        "text": logs.text,
        "next": logs.next,
        "missed": logs.missed,
    })))
}

async fn list(State(place): State<Place>) -> Json<serde_json::Value> {
    let functions: Vec<_> = place
        .host
        .status()
        .into_iter()
        .map(|status| {
            let rejected = place.rejections.of(&status.function);
            let waiting = place.room.waiting(&status.function);
            FunctionAnswer::of(status, waiting, rejected)
        })
        .collect();
    Json(serde_json::json!({ "functions": functions }))
}

impl FunctionAnswer {
    fn of(status: FunctionStatus, waiting: usize, rejected: Option<String>) -> Self {
        let (revision, sha256) = status
            .revision
            .map(|code| (code.revision, code.sha256))
            .unzip();
        let lacks = status.sandbox_lacks.iter();
        let sandbox_lacks = lacks.map(ToString::to_string).collect();
        Self {
            name: status.function.to_string(),
            runtime: status.runtime.as_str(),
            revision,
            sha256,
            concurrency: status.concurrency,
            busy: status.busy,
            idle: status.idle,
            waiting,
            queue: status.queue,
            failed_starts: status.failed_starts,
            backing_off_ms: status
                .backing_off
                .map(|pause| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)),
            last_start_failure: status.last_start_failure,
            rejected,
            sandbox: status.sandbox.map(SandboxMode::as_str),
            sandbox_lacks,
        }
    }
}
