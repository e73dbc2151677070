//! How something was at an earlier time.

use std::time::Duration;

use daybook_event_store::{EventLog, Position};
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;

use super::story::{Story, succeeded};
use crate::projector::{Projector, ProjectorConfig};

/// When the event at a position was recorded.
async fn time_of(story: &Story, position: Position) -> Timestamp {
    let before = Position(position.0 - 1);
    story.log.read_all(before, 1).await.unwrap()[0].recorded_at
}

#[tokio::test]
async fn an_object_is_shown_as_it_was() {
    let story = Story::new();
    story.pipeline("p").await;
    let first = story.put("a.txt", 1).await;
    let execution = story.start("p", "a.txt", 1).await;
    let claimed = story.claim(execution).await;
    story.end(execution, succeeded()).await;
    let second = story.put("a.txt", 2).await;

    let config = ProjectorConfig::new(story.model_path());
    let shutdown = CancellationToken::new();
    let projector = Projector::start(story.log(), story.blobs.clone(), config, shutdown);
    let projector = projector.await.unwrap();
    projector
        .wait_for(second, Duration::from_secs(20))
        .await
        .unwrap();

    let (bucket, key) = ("inbox".parse().unwrap(), "a.txt".parse().unwrap());
    for (position, version, status) in [
        (first, "v1", "PENDING"),
        (claimed, "v1", "RUNNING"),
        (Position(second.0 - 1), "v1", "SUCCEEDED"),
        (second, "v2", "PENDING"),
    ] {
        let time = time_of(&story, position).await;
        let model = projector.object_as_of(&bucket, &key, time).await.unwrap();
        let row = model.reader.object("inbox", "a.txt", None).await.unwrap();
        let row = row.unwrap();
        assert_eq!(row.version_id.as_deref(), Some(version));
        assert_eq!(row.status, status, "at {position}");
    }
    let before = Timestamp::UNIX_EPOCH;
    let model = projector.object_as_of(&bucket, &key, before).await.unwrap();
    let row = model.reader.object("inbox", "a.txt", None).await.unwrap();
    assert!(row.is_none());

    let time = time_of(&story, claimed).await;
    let id = execution.to_string();
    let model = projector.execution_as_of(&id, time).await.unwrap().unwrap();
    let row = model.reader.execution(&id).await.unwrap().unwrap();
    assert_eq!(row.status, "RUNNING");
}
