//! What it costs to read a record: the time for each, by dialect and size of the batch.
//!
//! `cargo bench -p daybook-intake`

#![expect(clippy::print_stdout, reason = "a benchmark prints its figures")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use bytes::Bytes;
use daybook_intake::{Delivery, Settings, Told, Transport, decode};
use jiff::Timestamp;
use serde_json::{Value, json};

/// How long each line is measured.
const MEASURED: Duration = Duration::from_millis(500);

fn main() {
    let record = |n: usize| {
        json!({
            "eventVersion": "2.1", "eventSource": "aws:s3", "awsRegion": "eu-west-1",
            "eventTime": "2026-03-04T10:11:12.345Z", "eventName": "ObjectCreated:Put",
            "userIdentity": { "principalId": "AWS:AROAB28522B0590E5E306:ingest-role" },
            "requestParameters": { "sourceIPAddress": "203.0.113.17" },
            "responseElements": {
                "x-amz-request-id": "014CBC7B29FDA84B",
                "x-amz-id-2": "+7BkznIJ7480/T5SJLC+DAhLko2faBmkrkp0BSNEg+DaXex0IcyPYs+wz11MQjoZ"
            },
            "s3": {
                "s3SchemaVersion": "1.0", "configurationId": "new-objects",
                "bucket": {
                    "name": "landing-raw-a1", "arn": "arn:aws:s3:::landing-raw-a1",
                    "ownerIdentity": { "principalId": "AA5A01FFC760F2" }
                },
                "object": {
                    "key": format!("in/2026/03/04/orders+{n}%2B.csv"), "size": 2048,
                    "eTag": "24a3f6cb8d0dac1ec47fadf62eefbe17",
                    "versionId": "3HL4kqtJlcpXroDTDmJ.rmSpXd3dIbrH", "sequencer": "0069A80BF0A1B2C3D4"
                }
            }
        })
    };
    let batch = |count| json!({ "Records": (0..count).map(record).collect::<Vec<Value>>() });
    let queue = json!({ "Messages": (0..10).map(|n| json!({
        "MessageId": n.to_string(), "ReceiptHandle": "r",
        "Body": json!({ "Records": [record(n)] }).to_string()
    })).collect::<Vec<Value>>() });
    measure("S3, one record", Transport::Http, &batch(1));
    measure("S3, ten records", Transport::Http, &batch(10));
    measure("S3, a thousand records", Transport::Http, &batch(1000));
    measure("SQS, ten messages of S3", Transport::Sqs, &queue);
}

fn measure(what: &str, transport: Transport, body: &Value) {
    let delivery = Delivery {
        transport,
        method: "POST".to_owned(),
        headers: Vec::new(),
        query: Vec::new(),
        body: Bytes::from(body.to_string()),
    };
    let settings = Settings::default();
    let now = Timestamp::UNIX_EPOCH;
    let (mut records, started) = (0, Instant::now());
    while started.elapsed() < MEASURED {
        let decoded = black_box(decode(black_box(&delivery), &settings, now));
        let sound = |told: &Told| matches!(told, Told::Notification(_));
        assert!(decoded.items.iter().all(|item| sound(&item.told)));
        records += decoded.items.len();
    }
    let each = started.elapsed().as_secs_f64() * 1e6 / records as f64;
    println!("{what:<28} {each:>7.2} µs a record");
}
