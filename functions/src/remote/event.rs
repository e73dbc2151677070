//! An invocation as a CloudEvent 1.0. One that an object triggered has the attributes that
//! CloudEvents' own adapter for Amazon S3 gives it; its data is the event as AWS Lambda gets it.
//!
//! `id` stays the same over all attempts of a task, so that a receiver can tell a repetition:
//! `daybookattempt` is what changes.

use bytes::Bytes;
use daybook_domain::FunctionName;
use hyper::Request;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use serde_json::{Map, Value, json};

use super::target::EventMode;
use crate::invocation::Invocation;

const JSON: &str = "application/json";
const STRUCTURED: &str = "application/cloudevents+json; charset=utf-8";

/// What is escaped in headers, besides all beyond ASCII (HTTP protocol binding, "HTTP Header
/// Values").
const HEADER_VALUE: &AsciiSet = &CONTROLS.add(b' ').add(b'"').add(b'%');

/// A CloudEvent whose data is JSON.
pub(crate) struct CloudEvent {
    attributes: Vec<(&'static str, String)>,
    data: Bytes,
}

impl CloudEvent {
    /// The event of an invocation.
    pub(crate) fn of(invocation: &Invocation, function: &FunctionName) -> Self {
        let input: Value = serde_json::from_slice(&invocation.payload).unwrap_or_default();
        let record = &input["Records"][0];
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let mut attributes = vec![
            ("specversion", "1.0".to_owned()),
            (
                "id",
                format!("{}.{}", invocation.execution, invocation.task),
            ),
        ];
        let mut set = |name, value: Option<String>| {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                attributes.push((name, value));
            }
        };
        match (text(&record["eventName"]), &invocation.trigger) {
            (Some(event_name), Some(trigger)) if record["eventSource"] == "aws:s3" => {
                let region = text(&record["awsRegion"]).unwrap_or_default();
                set("type", Some(format!("com.amazonaws.s3.{event_name}")));
                set(
                    "source",
                    Some(format!("aws:s3.{region}.{}", trigger.bucket)),
                );
                set("time", text(&record["eventTime"]));
            }
            // A later state of a machine: its input is what the one before made of the event.
            _ => {
                set("type", Some("daybook.task".to_owned()));
                set("source", Some(format!("daybook:functions/{function}")));
            }
        }
        let trigger = invocation.trigger.as_ref();
        set("subject", trigger.map(|it| it.key.as_str().to_owned()));
        set("daybookexecution", Some(invocation.execution.to_string()));
        set("daybookattempt", Some(invocation.attempt.to_string()));
        set("traceparent", invocation.traceparent.clone());
        Self {
            attributes,
            data: invocation.payload.clone(),
        }
    }

    /// The event as a request, which lacks its address.
    pub(crate) fn into_request(self, mode: EventMode) -> Request<Bytes> {
        match mode {
            EventMode::Binary => self.binary(),
            EventMode::Structured => self.structured(),
        }
    }

    fn binary(self) -> Request<Bytes> {
        let mut request = Request::new(self.data);
        let headers = request.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(JSON));
        for (name, value) in &self.attributes {
            let value = utf8_percent_encode(value, HEADER_VALUE).to_string();
            // Neither fails: the names are ours, and of the values only visible ASCII is left.
            if let (Ok(name), Ok(value)) = (
                HeaderName::try_from(format!("ce-{name}")),
                HeaderValue::try_from(value),
            ) {
                headers.insert(name, value);
            }
        }
        request
    }

    fn structured(self) -> Request<Bytes> {
        let mut document = Map::new();
        for (name, value) in self.attributes {
            document.insert(name.to_owned(), Value::String(value));
        }
        document.insert("datacontenttype".to_owned(), json!(JSON));
        let mut body = Value::Object(document).to_string().into_bytes();
        // The data as it is, without a copy of it as a tree.
        body.pop();
        body.extend_from_slice(b",\"data\":");
        body.extend_from_slice(&self.data);
        body.push(b'}');
        let mut request = Request::new(Bytes::from(body));
        let structured = HeaderValue::from_static(STRUCTURED);
        request.headers_mut().insert(CONTENT_TYPE, structured);
        request
    }
}

#[cfg(test)]
mod tests;
