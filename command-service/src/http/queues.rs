//! `GET /v1/queues`: how the queues are that this process pulls from.

use axum::extract::State;
use axum::routing::get;
use axum::{Json, Router};
use serde::Serialize;

use crate::intake::sqs::{QueueStatus, Queues};

pub(super) fn router(queues: Queues) -> Router {
    Router::new()
        .route("/v1/queues", get(list))
        .with_state(queues)
}

#[derive(Serialize)]
struct Answer {
    queues: Vec<QueueStatus>,
}

async fn list(State(queues): State<Queues>) -> Json<Answer> {
    Json(Answer {
        queues: queues.statuses(),
    })
}
