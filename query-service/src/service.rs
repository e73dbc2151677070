//! The query service: its parts put together.

use std::sync::Arc;

use axum::Router;
use daybook_event_store::blobs::BlobStore;
use daybook_event_store::{EventLog, Position};
use daybook_projections::{OpenError, Projector, ProjectorConfig, ProjectorState, RebuildError};
use daybook_projections::{RebuildReport, WaitError};
use thiserror::Error;
use tokio_util::sync::CancellationToken;

use crate::config::QueryConfig;
use crate::http::{self, Web};
use crate::schema::{self, DaybookSchema};
use crate::state::State;

/// Why the service does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The read model cannot be opened or made. The source says what to do.
    #[error("read model cannot be opened")]
    ReadModel(#[from] OpenError),
}

/// Answers questions about the ledger.
pub struct QueryService {
    state: Arc<State>,
    schema: DaybookSchema,
}

impl QueryService {
    /// Opens the read model and begins to follow the log, until `shutdown`.
    pub async fn start(
        log: Arc<dyn EventLog>,
        blobs: BlobStore,
        config: QueryConfig,
        shutdown: CancellationToken,
    ) -> Result<Arc<Self>, StartError> {
        let projector = Projector::start(
            log.clone(),
            blobs.clone(),
            ProjectorConfig {
                batch_events: config.batch_events,
                live_queue_events: config.live_queue_events,
                readers: config.readers,
                ..ProjectorConfig::new(config.read_model_path.clone())
            },
            shutdown,
        )
        .await?;
        let state = Arc::new(State::new(projector, log, blobs, config));
        let schema = schema::build(state.clone());
        Ok(Arc::new(Self { state, schema }))
    }

    /// The routes: `/graphql`, `/graphql/ws`, `/console`, `/v1/projections…` and
    /// `/v1/exports/{id}/events`.
    pub fn router(&self) -> Router {
        http::router(Web {
            schema: self.schema.clone(),
            state: self.state.clone(),
        })
    }

    /// Runs a request against the schema, as `POST /graphql` would.
    pub async fn execute(
        &self,
        request: impl Into<async_graphql::Request>,
    ) -> async_graphql::Response {
        self.schema.execute(request).await
    }

    /// Runs a subscription, as `/graphql/ws` would.
    pub fn subscribe(
        &self,
        request: impl Into<async_graphql::Request> + Send + 'static,
    ) -> futures::stream::BoxStream<'static, async_graphql::Response> {
        self.schema.execute_stream(request)
    }

    /// The projector behind the read model: its position, status and rows.
    pub fn projector(&self) -> &Projector {
        &self.state.projector
    }

    /// The position up to which answers are true.
    pub fn position(&self) -> Position {
        self.state.projector.position()
    }

    /// Waits until an event is in the read model, at most the configured time.
    pub async fn wait_for(&self, position: Position) -> Result<(), WaitError> {
        let at_most = self.state.config.min_position_timeout;
        self.state.projector.wait_for(position, at_most).await
    }

    /// Makes the read models again from the log; `name` is a projection or `all`.
    pub async fn rebuild(&self, name: &str) -> Result<RebuildReport, RebuildError> {
        self.state.projector.rebuild(name).await
    }

    /// Whether it can answer: it follows the log and is not far behind. The error says what is
    /// missing.
    pub async fn ready(&self) -> Result<(), String> {
        let most = self.state.config.max_ready_lag;
        match self.state.projector.status().state {
            ProjectorState::Running => {}
            ProjectorState::Faulted(why) => return Err(format!("read model stopped: {why}")),
            ProjectorState::Stopped => return Err("read model is closed".into()),
        }
        let lag = self.state.projector.lag().await;
        match lag {
            Ok(lag) if lag <= most => Ok(()),
            Ok(lag) => Err(format!(
                "read model is {lag} positions behind the log, more than {most}"
            )),
            Err(error) => Err(error.to_string()),
        }
    }
}
