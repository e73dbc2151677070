//! A function of AWS Lambda: `Invoke`, request and response, and its answer as an outcome.
//!
//! Names of errors are those that AWS Step Functions gives: what the function reports as it reports
//! it, what the service reports with `Lambda.` before it, so that a `Retry` means the same here.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::header::{HeaderName, HeaderValue};
use hyper::{Method, Request, StatusCode};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::report::Figures;
use super::target::{LambdaArn, LambdaSpec};
use crate::builtin_errors::{self as errors, answer_too_large, failed, reported};
use crate::environment::trace_id;
use crate::invocation::{Invocation, OutcomeResult};
use crate::outbound::{Answer, Aws, AwsAccess, AwsError, AwsException};

/// What stays as it is in the path and the query of a request (Signature Version 4, "UriEncode").
const PLAIN: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');

/// How long AWS may take to describe a function when the config is loaded.
const DESCRIBE_TIMEOUT: Duration = Duration::from_secs(10);

/// What AWS's own clients call an error that has no name of its own.
const NAMELESS: &str = "AWSLambdaException";

/// A Lambda function, ready to be called.
pub(crate) struct LambdaFunction {
    arn: LambdaArn,
    base: String,
    aws: Aws,
}

/// What came of a call.
pub(crate) struct Called {
    pub(crate) result: OutcomeResult,
    pub(crate) logs: String,
    pub(crate) figures: Figures,
}

impl LambdaFunction {
    /// Asks for nothing yet.
    pub(crate) fn new(spec: LambdaSpec, connect_timeout: Duration) -> Result<Self, String> {
        let arn = spec.arn.clone();
        let endpoint = spec.endpoint.clone().or_else(|| arn.endpoint());
        let endpoint = endpoint.ok_or_else(|| {
            format!("where the partition of {arn} is served is not known; name its endpoint")
        })?;
        let name = utf8_percent_encode(&arn.function, PLAIN);
        let access = AwsAccess {
            region: arn.region.clone(),
            profile: spec.profile,
            key: spec.key,
        };
        let endpoint = endpoint.trim_end_matches('/');
        Ok(Self {
            base: format!("{endpoint}/2015-03-31/functions/{name}"),
            aws: Aws::new("lambda", access, endpoint, connect_timeout).map_err(|error| {
                format!(
                    "the system's certificate authorities are not to be had ({error}); install \
                     ca-certificates, or name a file with them in SSL_CERT_FILE"
                )
            })?,
            arn,
        })
    }

    /// What is known of its code: what AWS says, where it may be asked and answers in time.
    /// Fails only where AWS says that there is no such function.
    pub(crate) async fn describe(&self) -> Result<Value, String> {
        let unknown =
            || json!({ "arn": self.arn.to_string(), "code": "unknown", "runtime": "lambda" });
        let request = self.request(Method::GET, "configuration", Bytes::new());
        let answer = tokio::time::timeout(DESCRIBE_TIMEOUT, self.aws.call(request)).await;
        let why = match answer {
            Ok(Ok(answer)) if answer.status == StatusCode::OK => {
                let told: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
                if let (Some(sha256), Some(version)) =
                    (told["CodeSha256"].as_str(), told["Version"].as_str())
                {
                    return Ok(json!({
                        "arn": self.arn.to_string(),
                        "code_sha256": sha256,
                        // What `$LATEST` or an alias stands for may change at any time.
                        "pinned": self.arn.is_version(),
                        "runtime": "lambda",
                        "version": version,
                    }));
                }
                "the answer does not say".to_owned()
            }
            Ok(Ok(answer)) => {
                // Another success than 200 says nothing of the function.
                let (name, message) = exception(&answer)
                    .unwrap_or_else(|| (NAMELESS.to_owned(), answer.status.to_string()));
                if name == "ResourceNotFoundException" {
                    return Err(format!(
                        "AWS knows no function {}: {message}; correct its arn",
                        self.arn
                    ));
                }
                format!("{name}: {message}")
            }
            Ok(Err(AwsError::Credentials(why) | AwsError::Unanswered(why))) => why,
            Ok(Err(AwsError::TooLarge)) => "the answer is too large".to_owned(),
            Err(_) => format!("no answer within {} s", DESCRIBE_TIMEOUT.as_secs()),
        };
        tracing::warn!(arn = %self.arn, why, "which code a Lambda function has is not known");
        Ok(unknown())
    }

    pub(crate) async fn call(&self, invocation: &Invocation) -> Called {
        let mut request = self.request(Method::POST, "invocations", invocation.payload.clone());
        let context = json!({ "custom": {
            "daybook-execution": invocation.execution.to_string(),
            "daybook-task": invocation.task.to_string(),
            "daybook-attempt": invocation.attempt.to_string(),
        }, "env": {} });
        let trace = trace_id(invocation.traceparent.as_deref(), invocation.request_id);
        for (name, value) in [
            ("content-type", "application/json"),
            ("x-amz-invocation-type", "RequestResponse"),
            ("x-amz-log-type", "Tail"),
            (
                "x-amz-client-context",
                &STANDARD.encode(context.to_string()),
            ),
            ("x-amzn-trace-id", &trace),
        ] {
            if let Ok(value) = HeaderValue::from_str(value) {
                request
                    .headers_mut()
                    .insert(HeaderName::from_static(name), value);
            }
        }
        match self.aws.call(request).await {
            Ok(answer) => called(&answer),
            Err(AwsError::Credentials(why) | AwsError::Unanswered(why)) => {
                Called::without_logs(failed(errors::LAMBDA_CLIENT, why))
            }
            Err(AwsError::TooLarge) => Called::without_logs(answer_too_large()),
        }
    }

    fn request(&self, method: Method, what: &str, body: Bytes) -> Request<Bytes> {
        let mut url = format!("{}/{what}", self.base);
        if let Some(qualifier) = &self.arn.qualifier {
            let qualifier = utf8_percent_encode(qualifier, PLAIN);
            url = format!("{url}?Qualifier={qualifier}");
        }
        let mut request = Request::new(body);
        *request.method_mut() = method;
        // The endpoint was checked with the config, all else is escaped.
        *request.uri_mut() = url.parse().unwrap_or_default();
        request
    }
}

impl Called {
    fn without_logs(result: OutcomeResult) -> Self {
        Self {
            result,
            logs: String::new(),
            figures: Figures::default(),
        }
    }
}

/// What an answer of `Invoke` means.
fn called(answer: &Answer) -> Called {
    let header = |name: &str| answer.headers.get(name).and_then(|it| it.to_str().ok());
    if let Some((name, message)) = exception(answer) {
        return Called::without_logs(failed(&format!("{}{name}", errors::LAMBDA), message));
    }
    let logs = header("x-amz-log-result").and_then(|text| STANDARD.decode(text).ok());
    let mut logs = String::from_utf8_lossy(&logs.unwrap_or_default()).into_owned();
    let figures = Figures::from_logs(&logs);
    if let Some(version) = header("x-amz-executed-version") {
        if !logs.is_empty() && !logs.ends_with('\n') {
            logs.push('\n');
        }
        logs.push_str(&format!("[daybook] AWS Lambda ran version {version}\n"));
    }
    let result = match header("x-amz-function-error") {
        Some(_) => reported(&answer.body, None, errors::LAMBDA_UNKNOWN),
        None if answer.body.trim_ascii().is_empty() => OutcomeResult::Succeeded(Value::Null),
        None => match serde_json::from_slice(&answer.body) {
            Ok(value) => OutcomeResult::Succeeded(value),
            Err(error) => failed(
                errors::INVALID_RESPONSE,
                format!("the response is not JSON: {error}"),
            ),
        },
    };
    Called {
        result,
        logs,
        figures,
    }
}

/// The name and the message of what the service refused or could not do.
fn exception(answer: &Answer) -> Option<(String, String)> {
    let AwsException { name, message } = AwsException::of(answer)?;
    match name.is_empty() {
        true => Some((NAMELESS.to_owned(), message)),
        false => Some((name, message)),
    }
}

#[cfg(test)]
mod tests;
