//! Against the memory log and a folder of blobs.

use bytes::Bytes;
use daybook_event_store::blobs::{BlobStore, Passing, REMOVED};
use daybook_event_store::memory::MemoryEventLog;
use daybook_event_store::{Append, EventMetadata, Expected, NewEvent, StreamName};
use serde_json::{Value, json};
use uuid::Uuid;

use super::*;

struct Given {
    ledger: Ledger,
    dir: tempfile::TempDir,
}

impl Given {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let blobs = BlobStore::open(dir.path().join("blobs").to_str().unwrap()).unwrap();
        Self {
            ledger: Ledger::new(MemoryEventLog::new(), blobs, false),
            dir,
        }
    }

    /// An outcome as it is stored, with this log and the same text as its output.
    async fn outcome(&self, number: u128, text: &str) -> Value {
        let body = json!({ "logs": text, "output": text });
        let passing = Passing {
            fields: &["logs"],
            event: Uuid::from_u128(number),
        };
        let blobs = self.ledger.blobs();
        let stored = blobs.offload(body, Some(passing)).await.unwrap();
        let event = NewEvent {
            event_id: Uuid::from_u128(number),
            event_type: "TaskSucceeded".into(),
            schema_version: 1,
            data: Bytes::from(stored.to_string()),
            metadata: EventMetadata::default(),
        };
        let append = Append {
            stream: StreamName::new(format!("execution-{number}")),
            expected: Expected::NoStream,
            events: vec![event],
        };
        self.ledger.log().append(append).await.unwrap();
        stored
    }

    async fn sweep(&self, retain: Duration) -> u64 {
        let place = self.dir.path().join("log-retention");
        let retention = LogRetention::new(self.ledger.clone(), place, retain);
        retention.sweep().await.unwrap()
    }

    async fn read(&self, stored: Value) -> Value {
        self.ledger.blobs().hydrate(stored).await.unwrap()
    }
}

const LONG: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn a_big_log_goes_when_its_time_is_over_and_what_else_has_its_text_stays() {
    let given = Given::new();
    let text = "a line\n".repeat(5_000);
    let stored = given.outcome(1, &text).await;
    assert_eq!(given.sweep(LONG).await, 0);
    let whole = json!({ "logs": text, "output": text });
    assert_eq!(given.read(stored.clone()).await, whole);

    assert_eq!(given.sweep(Duration::ZERO).await, 1);
    let without = json!({ "logs": REMOVED, "output": text });
    assert_eq!(given.read(stored).await, without);
}

#[tokio::test]
async fn an_equal_log_of_a_later_attempt_stays() {
    let given = Given::new();
    let text = "a line\n".repeat(5_000);
    given.outcome(1, &text).await;
    given.sweep(Duration::ZERO).await;
    let later = given.outcome(2, &text).await;
    assert_eq!(given.read(later).await["logs"], text);
}

#[tokio::test]
async fn it_goes_on_where_it_ended_and_small_logs_stay() {
    let given = Given::new();
    let small = given.outcome(1, "a line").await;
    given.outcome(2, &"x".repeat(20_000)).await;
    assert_eq!(given.sweep(Duration::ZERO).await, 1);
    given.outcome(3, &"y".repeat(20_000)).await;
    assert_eq!(given.sweep(Duration::ZERO).await, 1);
    assert_eq!(given.sweep(Duration::ZERO).await, 0);
    let whole = json!({ "logs": "a line", "output": "a line" });
    assert_eq!(given.read(small).await, whole);
}

#[tokio::test]
async fn a_place_beyond_the_end_of_the_log_is_not_believed() {
    let given = Given::new();
    std::fs::write(given.dir.path().join("log-retention"), "70\n").unwrap();
    given.outcome(1, &"x".repeat(20_000)).await;
    assert_eq!(given.sweep(Duration::ZERO).await, 1);
}
