//! Events of the ledger with and without their blobs.

use daybook_event_store::{EventMetadata, Position, StreamName, StreamVersion};
use jiff::Timestamp;
use tempfile::TempDir;
use uuid::Uuid;

use super::*;

/// An event whose body went through the blob store.
async fn stored(blobs: &BlobStore, event_type: &str, body: Value) -> RecordedEvent {
    let body = blobs.offload(body, None).await.unwrap();
    RecordedEvent {
        position: Position(1),
        stream: StreamName::new("execution-x"),
        version: StreamVersion(0),
        event_id: Uuid::nil(),
        event_type: event_type.into(),
        schema_version: 1,
        recorded_at: Timestamp::UNIX_EPOCH,
        data: serde_json::to_vec(&body).unwrap().into(),
        metadata: EventMetadata::default(),
        salt: [1; 16],
    }
}

fn folder() -> (TempDir, Decoder) {
    let folder = tempfile::tempdir().unwrap();
    let blobs = BlobStore::open(&folder.path().to_string_lossy()).unwrap();
    (folder, Decoder { blobs: Some(blobs) })
}

const NO_BLOBS: Decoder = Decoder { blobs: None };

fn big() -> String {
    "x".repeat(20_000)
}

#[tokio::test]
async fn a_payload_is_read_where_its_reference_is() {
    let (_folder, decoder) = folder();
    let blobs = decoder.blobs.as_ref().unwrap();
    let event = stored(blobs, "ExecutionSucceeded", json!({ "output": big() })).await;
    assert_eq!(decoder.decode(&event).await, Ok(Decoded::Read));
    assert_eq!(NO_BLOBS.decode(&event).await, Ok(Decoded::Read));
}

#[tokio::test]
async fn a_text_needs_its_blob() {
    let (_folder, decoder) = folder();
    let blobs = decoder.blobs.as_ref().unwrap();
    let body = json!({ "error": "NotText", "cause": big() });
    let event = stored(blobs, "ExecutionFailed", body).await;
    assert_eq!(decoder.decode(&event).await, Ok(Decoded::Read));
    assert_eq!(NO_BLOBS.decode(&event).await, Ok(Decoded::NotChecked));
}

#[tokio::test]
async fn a_missing_blob_is_found() {
    let (_folder, decoder) = folder();
    let (elsewhere, other) = folder();
    let event = stored(
        other.blobs.as_ref().unwrap(),
        "ExecutionSucceeded",
        json!({ "output": big() }),
    )
    .await;
    drop(elsewhere);
    let found = decoder.decode(&event).await.unwrap_err();
    assert!(found.ends_with(" is missing"), "{found}");
}

#[tokio::test]
async fn a_reference_to_nothing_is_found() {
    let (_folder, decoder) = folder();
    let mut event = stored(
        decoder.blobs.as_ref().unwrap(),
        "ExecutionSucceeded",
        json!({}),
    )
    .await;
    event.data = r#"{"output":{"$blob":{"sha256":"x","size":1}}}"#.into();
    let found = decoder.decode(&event).await.unwrap_err();
    assert_eq!(found, "\"x\" is no name of a blob");
}

#[tokio::test]
async fn what_no_release_wrote_is_found() {
    let (_folder, decoder) = folder();
    let blobs = decoder.blobs.as_ref().unwrap();
    let mut event = stored(blobs, "ExecutionSucceeded", json!({ "output": 1 })).await;
    event.schema_version = 9;
    let found = decoder.decode(&event).await.unwrap_err();
    assert!(found.contains("schema version 9"), "{found}");
    event.stream = StreamName::new("of-no-aggregate");
    assert_eq!(decoder.decode(&event).await, Ok(Decoded::Read));
    event.stream = StreamName::new("execution-x");
    event.schema_version = 1;
    event.data = "{}".into();
    let found = decoder.decode(&event).await.unwrap_err();
    assert!(found.contains("missing field `output`"), "{found}");
}
