use std::collections::BTreeMap;

use daybook_domain::execution::TriggerObject;
use daybook_domain::stored_object::ObjectVersion;
use daybook_domain::{BucketName, ObjectKey};

use super::*;
use crate::testing::invocation;

/// A notification as the command service makes it, for a key that is hard to write.
fn triggered(key: &str) -> Invocation {
    let mut invocation = invocation("");
    invocation.trigger = Some(TriggerObject {
        bucket: BucketName::parse("inbox").unwrap(),
        key: ObjectKey::parse(key).unwrap(),
        version: ObjectVersion::default(),
    });
    invocation.task = 2;
    invocation.attempt = 3;
    invocation.payload = Bytes::from(
        json!({ "Records": [{
            "eventSource": "aws:s3", "awsRegion": "eu-central-1",
            "eventTime": "2026-01-02T03:04:05.678Z", "eventName": "ObjectCreated:Put",
            "s3": { "object": { "key": "as+it+is" } },
        }] })
        .to_string(),
    );
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    invocation.traceparent = Some(trace.to_owned());
    invocation
}

fn event(invocation: &Invocation) -> CloudEvent {
    CloudEvent::of(invocation, &FunctionName::parse("thumbs").unwrap())
}

#[test]
fn an_object_that_arrived_is_an_event_as_the_s3_adapter_makes_it() {
    let invocation = triggered("a folder/b+ü%\".txt");
    let request = event(&invocation).into_request(EventMode::Binary);
    let headers: BTreeMap<_, _> = request
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str(), value.to_str().unwrap().to_owned()))
        .collect();
    let execution = invocation.execution.to_string();
    let expected = [
        ("ce-daybookattempt", "3"),
        ("ce-daybookexecution", &execution),
        ("ce-id", &format!("{execution}.2")),
        ("ce-source", "aws:s3.eu-central-1.inbox"),
        ("ce-specversion", "1.0"),
        ("ce-subject", "a%20folder/b+%C3%BC%25%22.txt"),
        ("ce-time", "2026-01-02T03:04:05.678Z"),
        (
            "ce-traceparent",
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        ),
        ("ce-type", "com.amazonaws.s3.ObjectCreated:Put"),
        ("content-type", "application/json"),
    ]
    .map(|(name, value)| (name, value.to_owned()));
    assert_eq!(headers, BTreeMap::from(expected));
    assert_eq!(*request.body(), invocation.payload);
}

#[test]
fn structured_is_one_document_with_the_data_as_it_is() {
    let invocation = triggered("a folder/b+ü%\".txt");
    let request = event(&invocation).into_request(EventMode::Structured);
    assert_eq!(
        request.headers()["content-type"],
        "application/cloudevents+json; charset=utf-8"
    );
    let document: Value = serde_json::from_slice(request.body()).unwrap();
    assert_eq!(document["subject"], "a folder/b+ü%\".txt");
    assert_eq!(document["specversion"], "1.0");
    assert_eq!(document["datacontenttype"], "application/json");
    let data: Value = serde_json::from_slice(&invocation.payload).unwrap();
    assert_eq!(document["data"], data);
}

#[test]
fn another_attempt_has_the_same_id_and_another_task_has_not() {
    let mut invocation = triggered("k");
    let id = |invocation: &Invocation| {
        let request = event(invocation).into_request(EventMode::Binary);
        request.headers()["ce-id"].clone()
    };
    let first = id(&invocation);
    invocation.attempt += 1;
    invocation.request_id = crate::clock::new_id();
    assert_eq!(id(&invocation), first);
    invocation.task += 1;
    assert_ne!(id(&invocation), first);
}

#[test]
fn what_is_no_notification_is_a_task() {
    let mut invocation = triggered("k");
    invocation.payload = Bytes::from_static(b"[1]");
    let request = event(&invocation).into_request(EventMode::Binary);
    let headers = request.headers();
    assert_eq!(headers["ce-type"], "daybook.task");
    assert_eq!(headers["ce-source"], "daybook:functions/thumbs");
    assert_eq!(headers["ce-subject"], "k");
    assert!(!headers.contains_key("ce-time"));
}
