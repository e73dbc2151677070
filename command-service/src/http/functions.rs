//! What the functions' processes of this service are doing: of this moment and of this process, so
//! it is asked of the host and not of the log.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use daybook_functions::{FunctionHost, FunctionStatus};
use serde::Serialize;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct FunctionAnswer {
    name: String,
    runtime: &'static str,
    concurrency: usize,
    busy: usize,
    idle: usize,
    failed_starts: u32,
    /// For how long it may not start yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    backing_off_ms: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_start_failure: Option<String>,
    /// `required`, `available` or `off`.
    sandbox: &'static str,
    /// What of it this machine does not have, in words.
    sandbox_lacks: Vec<String>,
}

/// All of them, by name.
pub(super) async fn list(State(host): State<Arc<FunctionHost>>) -> Json<Vec<FunctionAnswer>> {
    Json(host.status().into_iter().map(answer).collect())
}

fn answer(status: FunctionStatus) -> FunctionAnswer {
    let lacks = status.sandbox_lacks.iter();
    FunctionAnswer {
        name: status.function.to_string(),
        runtime: status.runtime.as_str(),
        concurrency: status.concurrency,
        busy: status.busy,
        idle: status.idle,
        failed_starts: status.failed_starts,
        backing_off_ms: status
            .backing_off
            .map(|pause| u64::try_from(pause.as_millis()).unwrap_or(u64::MAX)),
        last_start_failure: status.last_start_failure,
        sandbox: status.sandbox.as_str(),
        sandbox_lacks: lacks.map(ToString::to_string).collect(),
    }
}
