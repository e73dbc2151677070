//! The bytes of an export.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use daybook_domain::ExportId;
use daybook_domain::export::{Export, ExportCommand, ExportRange, ExportStarted, stream_of};
use serde_json::Value;
use uuid::Uuid;

use super::{Asked, Story, text, told};

async fn export(story: &Story, id: u128, range: ExportRange) -> ExportId {
    let id = ExportId(Uuid::from_u128(id));
    let command = ExportCommand::Start(ExportStarted {
        export: id,
        range,
        format: "jsonl".into(),
        actor: "test".into(),
        reason: None,
    });
    story.decide::<Export>(&stream_of(id), command).await;
    id
}

fn range(after: u64, up_to: u64) -> ExportRange {
    ExportRange {
        after,
        up_to,
        since: None,
        until: None,
    }
}

async fn lines(asked: &Asked, id: ExportId) -> Vec<Value> {
    let request = Request::get(format!("/v1/exports/{id}/events"));
    let response = asked.send(request.body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), StatusCode::OK);
    text(response)
        .await
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

#[tokio::test]
async fn an_export_gives_its_range_as_cloud_events() {
    let story = told().await;
    let asked = Asked::over(&story).await;
    let id = export(&story, 1, range(1, 3)).await;
    let found = lines(&asked, id).await;
    let positions: Vec<_> = found.iter().map(|line| line["position"].as_u64()).collect();
    assert_eq!(positions, [Some(2), Some(3)]);
    let event = &found[0];
    assert_eq!(event["specversion"], "1.0");
    assert_eq!(event["source"], "daybook:daybook");
    assert_eq!(event["type"], "daybook.ObjectCreated");
    assert_eq!(event["subject"], "object-inbox/a.txt");
    assert_eq!(event["time"], "2026-05-28T20:26:40.001000Z");
    assert_eq!(event["data"]["key"], "a.txt");
    let names = event.as_object().unwrap().keys();
    let plain = |name: &str| {
        name.chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit())
    };
    for name in names {
        assert!(plain(name), "{name}");
    }
}

#[tokio::test]
async fn an_export_by_time_holds_what_was_recorded_then() {
    let story = told().await;
    let asked = Asked::over(&story).await;
    let within = ExportRange {
        since: Some("2026-05-28T20:26:40.001Z".parse().unwrap()),
        until: Some("2026-05-28T20:26:40.003Z".parse().unwrap()),
        ..range(0, 17)
    };
    let id = export(&story, 2, within).await;
    let found = lines(&asked, id).await;
    // One object, and the three events with which a run begins.
    let positions: Vec<_> = found.iter().map(|line| line["position"].as_u64()).collect();
    assert_eq!(positions, [Some(2), Some(3), Some(4), Some(5)]);
}

#[tokio::test]
async fn an_export_longer_than_a_page_comes_whole() {
    let story = Story::new();
    for version in 0..600 {
        story.put("a.txt", version).await;
    }
    let asked = Asked::over(&story).await;
    let id = export(&story, 3, range(0, 600)).await;
    assert_eq!(lines(&asked, id).await.len(), 600);
}

#[tokio::test]
async fn an_unknown_export_is_not_found() {
    let story = Story::new();
    let asked = Asked::over(&story).await;
    for id in ["nonsense", "00000000-0000-0000-0000-000000000009"] {
        let request = Request::get(format!("/v1/exports/{id}/events"));
        let response = asked.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
    }
}
