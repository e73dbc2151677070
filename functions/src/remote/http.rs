//! A function behind HTTP: a CloudEvent goes out by POST, the answer becomes the outcome.
//!
//! Names of errors are those of the HTTP Task of AWS Step Functions, so that a `Retry` reads the
//! same there.

use std::io;
use std::time::Duration;

use daybook_domain::FunctionName;
use hyper::Method;
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue, LOCATION, RETRY_AFTER};
use serde_json::{Value, json};

use super::event::CloudEvent;
use super::target::{HttpHeaders, HttpSpec};
use crate::builtin_errors::{self as errors, answer_too_large, failed};
use crate::invocation::{Invocation, OutcomeResult};
use crate::masks::Masks;
use crate::outbound::{Answer, CallError, HttpClient, check_literal};

/// How much of an error's body its cause quotes.
const QUOTED_CHARS: usize = 2 << 10;

/// A function behind HTTP, ready to be called.
pub(crate) struct HttpFunction {
    spec: HttpSpec,
    client: HttpClient,
    /// The values of its headers, which an answer may quote.
    masks: Masks,
}

impl HttpFunction {
    /// Checks the address, as far as that can be done without resolving it.
    pub(crate) fn new(spec: HttpSpec, connect_timeout: Duration) -> Result<Self, String> {
        if !spec.private_addresses {
            check_literal(&spec.url.uri).map_err(|refused| refused.to_string())?;
        }
        let client = HttpClient::new(connect_timeout, spec.private_addresses, spec.url.is_https());
        let client = client.map_err(|error: io::Error| {
            format!(
                "the system's certificate authorities are not to be had ({error}); install \
                 ca-certificates, or name a file with them in SSL_CERT_FILE"
            )
        })?;
        let masks = masks(&spec.headers);
        Ok(Self {
            spec,
            client,
            masks,
        })
    }

    /// What is known of its code: where it is.
    pub(crate) fn describe(&self) -> Value {
        json!({
            "code": "unknown",
            "mode": self.spec.mode.as_str(),
            "runtime": "http",
            "url": self.spec.url.as_str(),
        })
    }

    pub(crate) async fn call(
        &self,
        function: &FunctionName,
        invocation: &Invocation,
    ) -> OutcomeResult {
        let mut request = CloudEvent::of(invocation, function).into_request(self.spec.mode);
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.spec.url.uri.clone();
        let headers = request.headers_mut();
        if let Some(Ok(trace)) = invocation.traceparent.as_deref().map(HeaderValue::from_str) {
            headers.insert(HeaderName::from_static("traceparent"), trace);
        }
        for (name, value) in &self.spec.headers.0 {
            headers.insert(name, value.clone());
        }
        match self.client.call(request).await {
            Ok(answer) => outcome(&answer, &self.masks).masked(&self.masks),
            Err(CallError::Refused(why)) => failed(errors::ADDRESS_REFUSED, why),
            Err(CallError::Broken(why)) => failed(errors::HTTP_SOCKET, why),
            Err(CallError::TooLarge) => answer_too_large(),
        }
    }
}

/// Each value as a whole, and what follows its first word: the credentials of an authentication
/// scheme (RFC 9110, section 11.4).
fn masks(headers: &HttpHeaders) -> Masks {
    let texts = headers.0.iter().filter_map(|(name, value)| {
        let value = value.to_str().ok()?;
        let credentials = value.split_once(' ').map(|(_, rest)| (name.as_str(), rest));
        Some(std::iter::once((name.as_str(), value)).chain(credentials))
    });
    Masks::new(texts.flatten())
}

/// What an answer means.
fn outcome(answer: &Answer, masks: &Masks) -> OutcomeResult {
    if answer.status.is_success() {
        return success(answer);
    }
    let error = format!("{}{}", errors::HTTP_STATUS, answer.status.as_u16());
    let mut message = format!("the function answered {}", answer.status);
    let header = |name| answer.headers.get(name).and_then(|it| it.to_str().ok());
    if answer.status.is_redirection() {
        let place = header(LOCATION).unwrap_or("nowhere");
        message = format!("{message}, which leads to {place}; redirects are not followed");
    }
    let retry_after = header(RETRY_AFTER);
    if let Some(after) = retry_after {
        message = format!("{message}, and asks to be left alone for (or until) {after}");
    }
    // Masked before it is cut: half a secret is not found.
    let body = masks.text(&String::from_utf8_lossy(&answer.body));
    let body: String = body.trim().chars().take(QUOTED_CHARS).collect();
    if !body.is_empty() {
        message = format!("{message}: {body}");
    }
    let mut cause = json!({
        "errorType": error,
        "errorMessage": message,
        "statusCode": answer.status.as_u16(),
    });
    if let Some(after) = retry_after {
        cause["retryAfter"] = json!(after);
    }
    OutcomeResult::Failed {
        error,
        cause: cause.to_string(),
    }
}

/// JSON is itself, any other text a string: frameworks answer `OK` for functions that say nothing.
fn success(answer: &Answer) -> OutcomeResult {
    let body = answer.body.trim_ascii();
    if body.is_empty() {
        return OutcomeResult::Succeeded(Value::Null);
    }
    let content_type = answer.headers.get(CONTENT_TYPE);
    let content_type = content_type.map(|value| {
        let value = value.to_str().unwrap_or_default();
        let essence = value.split(';').next().unwrap_or_default();
        essence.trim().to_ascii_lowercase()
    });
    let is_json = |it: &String| it == "application/json" || it.ends_with("+json");
    match (serde_json::from_slice(body), &content_type) {
        (Ok(value), None) => OutcomeResult::Succeeded(value),
        (Ok(value), Some(said)) if is_json(said) => OutcomeResult::Succeeded(value),
        (Err(error), Some(said)) if is_json(said) => failed(
            errors::INVALID_RESPONSE,
            format!("the answer is said to be {said} and is not: {error}"),
        ),
        _ => match std::str::from_utf8(&answer.body) {
            Ok(text) => OutcomeResult::Succeeded(Value::String(text.to_owned())),
            Err(_) => failed(
                errors::INVALID_RESPONSE,
                "the answer is neither JSON nor text; answer with JSON, or write an object and \
                 answer with its key",
            ),
        },
    }
}

#[cfg(test)]
mod tests;
