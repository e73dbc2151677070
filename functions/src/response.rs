//! What a function answers, read from the body of the Runtime API's `response` call: in one piece, or
//! as a stream (`Lambda-Runtime-Function-Response-Mode: streaming`).
//!
//! A state machine takes no part of an answer before the whole, so a stream is gathered, as AWS Lambda
//! does it for a caller of `Invoke`. A stream ends with trailers if the function failed in the middle
//! of it, and is cut off if its process died.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::{Request, header::HeaderValue};
use serde_json::{Value, json};

use crate::runtime_api::RESPONSE_LIMIT_BYTES;
use crate::session::{ErrorReport, Reply};

const MODE: &str = "lambda-runtime-function-response-mode";
const ERROR_TYPE: &str = "lambda-runtime-function-error-type";
/// Base64 of the error document.
const ERROR_BODY: &str = "lambda-runtime-function-error-body";

/// A stream whose beginning is the head of an HTTP answer as JSON
/// (`awslambda.HttpResponseStream.from` in Node.js).
const HTTP_INTEGRATION: &str = "application/vnd.awslambda.http-integration-response";
/// What stands between that head and the body.
const HEAD_END: [u8; 8] = [0; 8];

/// What was read of a body.
pub(crate) struct Collected {
    /// `None` if it is larger than [`RESPONSE_LIMIT_BYTES`].
    pub(crate) body: Option<Bytes>,
    trailers: HeaderMap,
}

/// Reads an answer to its end.
pub(crate) async fn read(request: Request<Incoming>) -> Reply {
    let (head, body) = request.into_parts();
    let streamed = is(head.headers.get(MODE), "streaming");
    let collected = match collect(body).await {
        Ok(collected) => collected,
        Err(_) => return Reply::Truncated,
    };
    if let Some(failed) = collected.trailers.get(ERROR_TYPE) {
        let document = collected.trailers.get(ERROR_BODY);
        let document = document.and_then(|document| BASE64_STANDARD.decode(document).ok());
        return Reply::Error(ErrorReport {
            header_type: failed.to_str().ok().map(str::to_owned),
            body: document.unwrap_or_default().into(),
        });
    }
    match collected.body {
        None => Reply::TooLarge,
        Some(body) if !streamed => Reply::Response(body),
        Some(body) if is(head.headers.get(CONTENT_TYPE), HTTP_INTEGRATION) => {
            http_answer(&body).map_or(Reply::Streamed(body), Reply::Value)
        }
        Some(body) => Reply::Streamed(body),
    }
}

/// Reads a body to its end. What is too much is read as well and thrown away, since clients do not
/// expect an answer before they have sent everything.
pub(crate) async fn collect(mut body: Incoming) -> Result<Collected, hyper::Error> {
    let mut collected = BytesMut::new();
    let mut trailers = HeaderMap::new();
    let mut length = 0_usize;
    while let Some(frame) = body.frame().await {
        match frame?.into_data() {
            Ok(data) => {
                length = length.saturating_add(data.len());
                if length <= RESPONSE_LIMIT_BYTES {
                    collected.extend_from_slice(&data);
                } else {
                    collected = BytesMut::new();
                }
            }
            Err(frame) => trailers.extend(frame.into_trailers().unwrap_or_default()),
        }
    }
    let body = (length <= RESPONSE_LIMIT_BYTES).then(|| collected.freeze());
    Ok(Collected { body, trailers })
}

/// A stream as a value: JSON where it is that, else its text, else nothing that JSON can hold.
pub(crate) fn value_of_stream(body: &[u8]) -> Option<Value> {
    match serde_json::from_slice(body) {
        Ok(value) => Some(value),
        Err(_) => Some(Value::String(std::str::from_utf8(body).ok()?.to_owned())),
    }
}

/// The answer to an HTTP request, as a function without streams would have returned it.
fn http_answer(stream: &[u8]) -> Option<Value> {
    let end = stream
        .windows(HEAD_END.len())
        .position(|window| window == HEAD_END)?;
    let Ok(Value::Object(mut answer)) = serde_json::from_slice(&stream[..end]) else {
        return None;
    };
    let body = &stream[end + HEAD_END.len()..];
    let (body, encoded) = match std::str::from_utf8(body) {
        Ok(text) => (text.to_owned(), false),
        Err(_) => (BASE64_STANDARD.encode(body), true),
    };
    answer.insert("body".to_owned(), body.into());
    answer.insert("isBase64Encoded".to_owned(), json!(encoded));
    Some(Value::Object(answer))
}

fn is(header: Option<&HeaderValue>, value: &str) -> bool {
    header
        .and_then(|header| header.to_str().ok())
        .is_some_and(|header| header.trim().eq_ignore_ascii_case(value))
}
