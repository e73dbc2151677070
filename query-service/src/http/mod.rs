//! The HTTP side: the query endpoint, its socket, the console and the few REST resources.

mod console;
mod graphql;
mod order;
mod rest;
mod socket;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};

use crate::config::MAX_QUERY_BYTES;
use crate::schema::DaybookSchema;
use crate::state::State;

/// What handlers work with.
#[derive(Clone)]
pub(crate) struct Web {
    pub(crate) schema: DaybookSchema,
    pub(crate) state: Arc<State>,
}

/// All routes of the query side.
pub(crate) fn router(web: Web) -> Router {
    Router::new()
        .route("/graphql", get(graphql::get).post(graphql::post))
        .route("/graphql/ws", get(socket::upgrade))
        .route("/console", get(console::page))
        .route("/console/", get(console::page))
        .route("/console/{asset}", get(console::asset))
        .route("/v1/exports/{id}/events", get(rest::export_events))
        .route("/v1/projections", get(rest::projections))
        .route("/v1/projections/{name}/rebuild", post(rest::rebuild))
        .layer(DefaultBodyLimit::max(MAX_QUERY_BYTES))
        .with_state(web)
}
