//! The projector goes on where it was, starts anew where it must, and stops where it has to.

use std::time::Duration;

use daybook_event_store::{EventLog, Expected, Position, StreamName};
use rusqlite::Connection;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::story::{Story, failed};
use crate::model;
use crate::projector::{Projector, ProjectorConfig, ProjectorState, WaitError};
use crate::query::{EventFilter, Page};

const PATIENCE: Duration = Duration::from_secs(20);

async fn busy() -> Story {
    let story = Story::new();
    story.pipeline("p").await;
    for (number, name) in ["a.txt", "b.txt", "c.txt"].into_iter().enumerate() {
        let version = u32::try_from(number).unwrap() + 1;
        story.put(name, version).await;
        story.run("p", name, version).await;
    }
    story.put("d.txt", 9).await;
    let execution = story.start("p", "d.txt", 9).await;
    story.claim(execution).await;
    story.end(execution, failed("no")).await;
    story
}

async fn start(story: &Story, batch_events: usize) -> (Projector, CancellationToken) {
    let shutdown = CancellationToken::new();
    let config = ProjectorConfig {
        batch_events,
        ..ProjectorConfig::new(story.model_path())
    };
    let (log, blobs) = (story.log(), story.blobs.clone());
    let projector = Projector::start(log, blobs, config, shutdown.clone());
    (projector.await.unwrap(), shutdown)
}

async fn caught_up(story: &Story, projector: &Projector) {
    let head = story.log.head().await.unwrap();
    projector.wait_for(head, PATIENCE).await.unwrap();
}

async fn stopped(projector: &Projector) {
    let mut status = projector.watch();
    let stopped = status.wait_for(|status| status.state == ProjectorState::Stopped);
    stopped.await.unwrap();
}

#[tokio::test]
async fn a_rebuild_is_equal_and_takes_its_place() {
    let story = busy().await;
    let (projector, _shutdown) = start(&story, 5).await;
    caught_up(&story, &projector).await;
    let report = projector.rebuild("all").await.unwrap();
    assert!(report.equal, "{:?}", report.differences);
    assert_eq!(report.position, projector.position());
    let events = report.tables.iter().find(|table| table.table == "events");
    assert_eq!(events.unwrap().live_rows, report.position.0);

    // Reading and folding go on with the new file, and nothing is left beside it.
    story.put("later.txt", 20).await;
    caught_up(&story, &projector).await;
    let found = projector.reader().object("inbox", "later.txt", None).await;
    assert!(found.unwrap().is_some());
    let left: Vec<_> = std::fs::read_dir(story.dir.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains("rebuild"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[tokio::test]
async fn a_rebuild_shows_what_differs_and_mends_it() {
    let story = busy().await;
    let (projector, _shutdown) = start(&story, 1000).await;
    caught_up(&story, &projector).await;
    let other = Connection::open(story.model_path()).unwrap();
    other
        .execute(
            "UPDATE objects SET status = 'RUNNING' WHERE key = 'a.txt'",
            [],
        )
        .unwrap();
    drop(other);
    let compared = projector.compare().await.unwrap();
    assert!(!compared.equal);
    assert_eq!(compared.differences.len(), 1);
    assert!(compared.differences[0].only_live[0].contains("RUNNING"));
    // Comparing changes nothing; rebuilding does.
    assert!(!projector.rebuild("objects").await.unwrap().equal);
    assert!(projector.rebuild("all").await.unwrap().equal);
}

#[tokio::test]
async fn an_unknown_projection_is_refused() {
    let story = Story::new();
    let (projector, _shutdown) = start(&story, 1000).await;
    let error = projector.rebuild("nonsense").await.unwrap_err();
    assert!(error.to_string().contains("objects"), "{error}");
}

#[tokio::test]
async fn stopped_anywhere_it_goes_on_to_the_same_rows() {
    let story = busy().await;
    let head = story.log.head().await.unwrap().0;
    for stop in [1, 2, head / 2, head - 1] {
        let (projector, shutdown) = start(&story, 1).await;
        let reached = projector.wait_for(Position(stop), PATIENCE).await;
        shutdown.cancel();
        reached.unwrap();
        stopped(&projector).await;
    }
    // A transaction that never ended, as a crash leaves it.
    let torn = Connection::open(story.model_path()).unwrap();
    torn.execute_batch("BEGIN IMMEDIATE; DELETE FROM events;")
        .unwrap();
    drop(torn);
    let (projector, _shutdown) = start(&story, 3).await;
    caught_up(&story, &projector).await;
    let report = projector.compare().await.unwrap();
    assert!(report.equal, "{:?}", report.differences);
}

#[tokio::test]
async fn a_file_of_another_version_or_kind_is_made_again() {
    let story = busy().await;
    for spoil in ["version", "text", "tables"] {
        let path = story.model_path();
        model::remove(&path).unwrap();
        match spoil {
            "version" => {
                let (conn, _) = model::create(&path).unwrap();
                conn.pragma_update(None, "user_version", 99).unwrap();
            }
            "text" => {
                std::fs::write(&path, "no database, but long enough to be read as one").unwrap()
            }
            _ => {
                let (conn, _) = model::create(&path).unwrap();
                conn.execute_batch("DROP TABLE checkpoint").unwrap();
            }
        }
        let (projector, shutdown) = start(&story, 1000).await;
        caught_up(&story, &projector).await;
        assert!(projector.compare().await.unwrap().equal, "{spoil}");
        shutdown.cancel();
        stopped(&projector).await;
    }
}

#[tokio::test]
async fn a_file_ahead_of_the_log_or_of_another_one_is_made_again() {
    let story = busy().await;
    let (projector, shutdown) = start(&story, 1000).await;
    caught_up(&story, &projector).await;
    shutdown.cancel();
    stopped(&projector).await;

    let other = Story::new();
    other.put("z.txt", 1).await;
    std::fs::copy(story.model_path(), other.model_path()).unwrap();
    let (projector, _shutdown) = start(&other, 1000).await;
    caught_up(&other, &projector).await;
    assert_eq!(projector.position(), other.log.head().await.unwrap());
    let all = projector
        .reader()
        .events(EventFilter::default(), Page::first(100));
    assert_eq!(all.await.unwrap().rows.len(), 1);
}

#[tokio::test]
async fn it_stops_before_an_event_that_it_does_not_know() {
    let story = Story::new();
    let before = story.put("a.txt", 1).await;
    let stream = StreamName::new("pipeline-p");
    let unknown = vec![("PipelineFromTheFuture".to_owned(), json!({}))];
    let at = story.append(&stream, Expected::NoStream, unknown).await;
    let (projector, _shutdown) = start(&story, 1000).await;
    let error = projector.wait_for(at, PATIENCE).await.unwrap_err();
    let WaitError::Stopped { current, why } = error else {
        panic!("{error}");
    };
    assert_eq!(current, before);
    for part in ["PipelineFromTheFuture", "pipeline-p", &at.to_string()] {
        assert!(why.contains(part), "{why}");
    }
    // What was folded before can be read.
    let found = projector.reader().object("inbox", "a.txt", None).await;
    assert!(found.unwrap().is_some());
}

#[tokio::test]
async fn waiting_ends_with_the_position_or_says_where_it_is() {
    let story = Story::new();
    let (projector, _shutdown) = start(&story, 1000).await;
    let missing = Position(1);
    let error = projector.wait_for(missing, Duration::from_millis(1)).await;
    assert_eq!(
        error.unwrap_err(),
        WaitError::TimedOut {
            wanted: missing,
            current: Position(0)
        }
    );
    let waiting = projector.wait_for(missing, PATIENCE);
    let (waited, _) = tokio::join!(waiting, story.put("a.txt", 1));
    waited.unwrap();
}

#[tokio::test]
async fn live_clients_get_each_event_once_it_is_folded() {
    let story = Story::new();
    let (projector, _shutdown) = start(&story, 1000).await;
    let mut live = projector.live();
    story.put("a.txt", 1).await;
    let event = live.recv().await.unwrap();
    assert_eq!(&*event.event_type, "ObjectCreated");
    assert!(projector.position() >= event.position);
}
