//! Each dialect in forms that the corpus does not show, and what somebody might try.

mod alike;
mod aws;
mod azure;
mod google;
mod hostile;
mod queued;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use serde_json::{Value, json};

use super::*;
use crate::{Change, Notification, Source};

/// A delivery without headers.
fn delivery(transport: Transport, body: impl ToString) -> Delivery {
    Delivery {
        transport,
        method: "POST".to_owned(),
        headers: Vec::new(),
        query: Vec::new(),
        body: Bytes::from(body.to_string()),
    }
}

/// A request with headers.
fn request(headers: &[(&str, &str)], body: impl ToString) -> Delivery {
    let headers = headers.iter();
    Delivery {
        headers: headers
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
        ..delivery(Transport::Http, body)
    }
}

fn now() -> Timestamp {
    "2026-03-04T12:00:00Z".parse().unwrap()
}

fn read(delivery: &Delivery) -> Decoded {
    decode(delivery, &Settings::default(), now())
}

/// The one notification that a delivery is.
#[track_caller]
fn one(delivery: &Delivery) -> Notification {
    match &read(delivery).items[..] {
        [
            Item {
                told: Told::Notification(told),
                ..
            },
        ] => (**told).clone(),
        other => panic!("{other:?}"),
    }
}

/// In words what each item is: `created`, `removed`, `other`, or a reason.
fn words(decoded: &Decoded) -> Vec<String> {
    let word = |item: &Item| match &item.told {
        Told::Notification(told) => match told.change {
            Change::Created => "created".to_owned(),
            Change::Removed => "removed".to_owned(),
            Change::Other => "other".to_owned(),
        },
        Told::Ignored { reason, .. } => reason.to_string(),
        Told::Handshake(_) => "handshake".to_owned(),
        Told::Rejected(rejection) => rejection.reason.to_string(),
    };
    decoded.items.iter().map(word).collect()
}

#[track_caller]
fn check(delivery: &Delivery, expect: &[&str]) {
    let decoded = read(delivery);
    assert_eq!(words(&decoded), expect, "{:?}", decoded.items);
}

/// A sound record of S3.
fn s3_record(event_name: &str) -> Value {
    json!({
        "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-west-1",
        "eventTime": "2026-03-04T10:11:12.345Z", "eventName": event_name,
        "s3": {
            "s3SchemaVersion": "1.0",
            "bucket": { "name": "inbox", "arn": "arn:aws:s3:::inbox" },
            "object": { "key": "a+b", "size": 3, "eTag": "e", "sequencer": "0069A80BF0" }
        }
    })
}

fn s3_event(event_name: &str) -> Value {
    json!({ "Records": [s3_record(event_name)] })
}

/// A sound description of an object at Google.
fn gcs_object() -> Value {
    json!({
        "kind": "storage#object", "name": "dir/a b+c", "bucket": "landing",
        "generation": "1772619072345678", "metageneration": "1", "size": "9", "etag": "CM="
    })
}

/// A sound message of Pub/Sub.
fn pubsub_message(event_type: &str) -> Value {
    json!({
        "attributes": {
            "bucketId": "landing", "objectId": "dir/a b+c", "objectGeneration": "1772619072345678",
            "eventType": event_type, "payloadFormat": "JSON_API_V1",
            "eventTime": "2026-03-04T10:11:12.345678Z"
        },
        "data": STANDARD.encode(gcs_object().to_string()),
        "messageId": "1"
    })
}

/// A sound event of Event Grid.
fn azure_event(event_type: &str, api: &str) -> Value {
    json!({
        "topic": "/subscriptions/0/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/acct",
        "subject": "/blobServices/default/containers/raw/blobs/in/f 1.csv",
        "eventType": event_type, "id": "i", "dataVersion": "", "metadataVersion": "1",
        "eventTime": "2026-03-04T10:11:12.3456789Z",
        "data": {
            "api": api, "eTag": "\"0x8D\"", "contentLength": 3, "blobType": "BlockBlob",
            "url": "https://acct.blob.core.windows.net/raw/in/f%201.csv", "sequencer": "0000493"
        }
    })
}
