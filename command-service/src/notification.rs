//! The event that a trigger hands to a function: the S3 event notification, as AWS Lambda gets it
//! (S3 user guide, "Event message structure", version 2.1).

use daybook_domain::execution::TriggerObject;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

/// What S3 leaves as it is in the key of a notification, besides letters and digits.
const KEY: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'*')
    .remove(b'/')
    .remove(b' ');

/// The notification of one object version.
pub fn s3_event(
    object: &TriggerObject,
    event_name: &str,
    event_time: Timestamp,
    sequencer: Option<&str>,
    region: &str,
) -> Value {
    let bucket = object.bucket.as_str();
    json!({
        "Records": [{
            "eventVersion": "2.1",
            "eventSource": "aws:s3",
            "awsRegion": region,
            "eventTime": format!("{event_time:.3}"),
            "eventName": event_name,
            "s3": {
                "s3SchemaVersion": "1.0",
                "configurationId": "daybook",
                "bucket": { "name": bucket, "arn": format!("arn:aws:s3:::{bucket}") },
                "object": {
                    "key": form_encoded(object.key.as_str()),
                    "size": object.version.size,
                    "eTag": object.version.etag,
                    "versionId": object.version.version_id,
                    "sequencer": sequencer,
                }
            }
        }]
    })
}

/// Keys come form-encoded in notifications: a space is `+`, other bytes are `%XX`.
fn form_encoded(key: &str) -> String {
    utf8_percent_encode(key, KEY).to_string().replace(' ', "+")
}
