//! What the query side must hold.

mod export;
mod http;
mod limits;
mod queries;
mod schema;
mod serve;
mod socket;
// The same small ledger that the projections are tested with.
#[path = "../../projections/src/tests/story.rs"]
mod story;

use std::sync::Arc;

use axum::body::Body;
use axum::http::{Request, Response};
use daybook_event_store::EventLog;
use http_body_util::BodyExt;
use serde_json::Value;
use tokio_util::sync::{CancellationToken, DropGuard};
use tower::ServiceExt;

use self::story::{Story, failed};
use crate::{QueryConfig, QueryService};

/// A query service over a story.
struct Asked {
    service: Arc<QueryService>,
    _shutdown: DropGuard,
}

impl Asked {
    async fn over(story: &Story) -> Self {
        Self::with(story, |_| {}).await
    }

    async fn with(story: &Story, change: impl FnOnce(&mut QueryConfig)) -> Self {
        let mut config = QueryConfig::new(story.model_path());
        config.clock =
            Arc::new(|| jiff::Timestamp::from_microsecond(story::BEGIN_US + 600_000_000).unwrap());
        change(&mut config);
        let shutdown = CancellationToken::new();
        let (log, blobs) = (story.log(), story.blobs.clone());
        let service = QueryService::start(log, blobs, config, shutdown.clone());
        let service = service.await.unwrap();
        let head = story.log.head().await.unwrap();
        service.wait_for(head).await.unwrap();
        Self {
            service,
            _shutdown: shutdown.drop_guard(),
        }
    }

    /// The data of a query, which must not fail.
    async fn data(&self, query: &str) -> Value {
        let response = self.service.execute(query).await;
        assert!(response.errors.is_empty(), "{query}: {:?}", response.errors);
        response.data.into_json().unwrap()
    }

    /// The messages of the errors of a query.
    async fn errors(&self, query: &str) -> Vec<String> {
        let response = self.service.execute(query).await;
        response
            .errors
            .into_iter()
            .map(|error| error.message)
            .collect()
    }

    async fn send(&self, request: Request<Body>) -> Response<Body> {
        self.service.router().oneshot(request).await.unwrap()
    }
}

async fn text(response: Response<Body>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Two objects of one pipeline, one of which failed, and one that nobody wants.
async fn told() -> Story {
    let story = Story::new();
    story.pipeline("p").await;
    story.put("a.txt", 1).await;
    story.run("p", "a.txt", 1).await;
    story.put("b.txt", 2).await;
    let execution = story.start("p", "b.txt", 2).await;
    story.claim(execution).await;
    story
        .end(execution, failed(r#"{"errorMessage":"no vowels"}"#))
        .await;
    story.put("c.csv", 3).await;
    story
}
