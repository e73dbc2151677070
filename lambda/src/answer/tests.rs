//! What AWS is answered, from real deliveries over the memory log.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use daybook_command_service::Ledger;
use daybook_command_service::intake::{
    Intake, IntakeConfig, MessageAnswer, MessageRef, NoSns, Response, Unavailable,
};
use daybook_event_store::blobs::BlobStore;
use daybook_event_store::memory::MemoryEventLog;
use daybook_intake::{Delivery, Transport};

use super::*;

fn records(key: &str) -> Value {
    json!({ "Records": [{
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-central-1",
        "eventTime": "2026-03-04T10:11:12.345Z", "eventName": "ObjectCreated:Put",
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": { "name": "ord", "arn": "arn:aws:s3:::ord" },
            "object": { "key": key, "size": 3, "eTag": "e", "sequencer": "01" },
        },
    }] })
}

/// An invocation by a queue, with these bodies as messages `m0`, `m1`, ….
fn from_queue(bodies: &[&str]) -> Value {
    let messages = bodies.iter().enumerate().map(|(index, body)| {
        json!({
            "messageId": format!("m{index}"), "receiptHandle": "r", "body": body, "attributes": {},
            "messageAttributes": {}, "md5OfBody": "0", "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:q", "awsRegion": "eu-central-1",
        })
    });
    json!({ "Records": messages.collect::<Vec<_>>() })
}

async fn answer(event: Value) -> Result<Value, String> {
    let scratch = tempfile::tempdir().unwrap();
    let blobs = BlobStore::open(scratch.path().to_str().unwrap()).unwrap();
    let ledger = Ledger::new(MemoryEventLog::new(), blobs, true);
    let intake = Intake::new(ledger, Arc::new(NoSns), IntakeConfig::default()).unwrap();
    let delivery = Delivery {
        transport: Transport::Lambda,
        method: "POST".to_owned(),
        headers: Vec::new(),
        query: Vec::new(),
        body: Bytes::from(event.to_string()),
    };
    let of_queue = event.to_string().contains(QUEUE);
    of(&intake.deliver(None, delivery).await, of_queue)
}

/// What the intake says where the log is away: of messages with these ids, the first so many are
/// settled all the same.
fn away(ids: &[Option<&str>], settled: usize) -> Delivered {
    let messages = ids.iter().enumerate().map(|(index, id)| MessageAnswer {
        message: MessageRef {
            id: id.map(str::to_owned),
            receipt: None,
            index,
        },
        settled: index < settled,
        refused: false,
    });
    Delivered {
        records: Vec::new(),
        messages: messages.collect(),
        response: Response {
            status: 503,
            headers: Vec::new(),
            body: Bytes::new(),
        },
        unavailable: Some(Unavailable {
            why: "the log is away".to_owned(),
            retry_after: Duration::from_secs(2),
        }),
    }
}

#[tokio::test]
async fn a_queue_is_told_what_is_to_come_again() {
    let good = records("a").to_string();
    let answered = answer(from_queue(&[&good, "{rubbish"])).await.unwrap();
    let failures = json!({ "batchItemFailures": [{ "itemIdentifier": "m1" }] });
    assert_eq!(answered, failures);
    let answered = answer(from_queue(&[&good])).await.unwrap();
    assert_eq!(answered, json!({ "batchItemFailures": [] }));
}

#[tokio::test]
async fn others_are_told_the_verdicts() {
    let answered = answer(records("a")).await.unwrap();
    assert_eq!(answered["records"][0]["verdict"], "accepted");
    assert_eq!(answered["records"][0]["key"], "a");
    // It would be as wrong the next time.
    let answered = answer(json!({ "rubbish": true })).await.unwrap();
    assert_eq!(answered["records"][0]["verdict"], "error");
}

#[tokio::test]
async fn an_event_of_a_queue_that_is_refused_as_a_whole_comes_again() {
    let many = format!("{{\"Records\":[{}1]}}", "1,".repeat(10_000));
    let answered = answer(from_queue(&[&records("a").to_string(), &many])).await;
    let again = match &answered {
        Err(_) => true,
        Ok(answered) => answered["batchItemFailures"]
            .as_array()
            .is_some_and(|all| !all.is_empty()),
    };
    assert!(again, "{answered:?}");
}

#[test]
fn a_log_that_is_away_fails_the_invocation() {
    assert_eq!(of(&away(&[None], 0), false).unwrap_err(), "the log is away");
    assert!(of(&away(&[Some("m0"), Some("m1")], 0), true).is_err());
    // Turned away before it was looked at.
    assert!(of(&away(&[], 0), false).is_err());
    let some = of(&away(&[Some("m0"), Some("m1")], 1), true).unwrap();
    assert_eq!(
        some,
        json!({ "batchItemFailures": [{ "itemIdentifier": "m1" }] })
    );
}
