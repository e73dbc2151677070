//! What can be watched.

use std::time::Duration;

use async_graphql::Request;
use futures::{Stream, StreamExt};
use serde_json::{Value, json};

use super::story::succeeded;
use super::{Asked, Story, told};

const PATIENCE: Duration = Duration::from_secs(20);

async fn next(stream: &mut (impl Stream<Item = async_graphql::Response> + Unpin)) -> Value {
    let response = tokio::time::timeout(PATIENCE, stream.next()).await;
    let response = response.unwrap().unwrap();
    assert!(response.errors.is_empty(), "{:?}", response.errors);
    response.data.into_json().unwrap()
}

#[tokio::test]
async fn events_come_from_the_past_and_go_on_live() {
    let story = told().await;
    let asked = Asked::over(&story).await;
    let query = "subscription { events(after: 15) { position } }";
    let mut stream = asked.service.subscribe(Request::new(query));
    for position in [16, 17] {
        assert_eq!(next(&mut stream).await["events"]["position"], position);
    }
    story.put("new.txt", 50).await;
    assert_eq!(next(&mut stream).await["events"]["position"], 18);
    story.put("new.txt", 51).await;
    assert_eq!(next(&mut stream).await["events"]["position"], 19);
}

#[tokio::test]
async fn events_are_chosen() {
    let story = told().await;
    let asked = Asked::over(&story).await;
    let query = r#"subscription {
        events(after: 0, where: { type: "ObjectCreated" }) { stream data } }"#;
    let mut stream = asked.service.subscribe(Request::new(query));
    for key in ["a.txt", "b.txt", "c.csv"] {
        let data = next(&mut stream).await;
        assert_eq!(data["events"]["stream"], format!("object-inbox/{key}"));
        assert_eq!(data["events"]["data"]["key"], key);
    }
}

#[tokio::test]
async fn an_execution_is_watched_to_its_end() {
    let story = Story::new();
    story.pipeline("p").await;
    story.put("a.txt", 1).await;
    let execution = story.start("p", "a.txt", 1).await;
    let asked = Asked::over(&story).await;
    let query = format!("subscription {{ execution(id: \"{execution}\") {{ status }} }}");
    let mut stream = asked.service.subscribe(Request::new(query));
    assert_eq!(next(&mut stream).await["execution"]["status"], "PENDING");
    story.claim(execution).await;
    assert_eq!(next(&mut stream).await["execution"]["status"], "RUNNING");
    story.end(execution, succeeded()).await;
    assert_eq!(next(&mut stream).await["execution"]["status"], "SUCCEEDED");
}

#[tokio::test]
async fn a_client_that_does_not_keep_up_is_told_where_it_is() {
    let story = Story::new();
    let asked = Asked::with(&story, |config| config.live_queue_events = 2).await;
    let query = "subscription { events { position } }";
    let mut stream = asked.service.subscribe(Request::new(query));
    let first = story.put("a.txt", 1).await;
    // The stream begins with its first poll, so it is asked before anything happens.
    let waiting = tokio::time::timeout(Duration::from_millis(50), stream.next()).await;
    let mut at = match waiting {
        Ok(response) => position(response.unwrap()),
        Err(_) => {
            story.put("a.txt", 2).await;
            position(stream.next().await.unwrap())
        }
    };
    for version in 3..20 {
        at = at.max(first.0);
        story.put("a.txt", version).await;
    }
    let head = story.put("a.txt", 20).await;
    asked.service.wait_for(head).await.unwrap();
    let mut responses = Vec::new();
    while let Ok(Some(response)) = tokio::time::timeout(PATIENCE, stream.next()).await {
        responses.push(response);
    }
    let last = responses.pop().unwrap();
    let error = last.errors.first().expect("the laggard is told");
    let extensions = serde_json::to_value(&error.extensions).unwrap();
    assert_eq!(extensions, json!({ "code": "LAGGED", "position": at }));
}

fn position(response: async_graphql::Response) -> u64 {
    let data = response.data.into_json().unwrap();
    data["events"]["position"].as_u64().unwrap()
}
