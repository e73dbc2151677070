//! The few operations of Amazon SQS that a consumer needs, in its JSON protocol: one signed `POST` each,
//! by the client that AWS Lambda is called with (ADR 15). Nothing is tried twice here.
//!
//! Shapes and limits are those of the Amazon SQS API reference (`ReceiveMessage`,
//! `DeleteMessageBatch`, `ChangeMessageVisibilityBatch`, `GetQueueAttributes`).

use std::time::Duration;

use axum::http::{HeaderValue, Method, Request, Uri, header};
use bytes::Bytes;
use daybook_functions::outbound::{Aws, AwsAccess, AwsError, AwsException};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use thiserror::Error;

/// How long an answer may take beyond what the service was allowed to wait.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// How long a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// One queue.
pub(super) struct SqsClient {
    aws: Aws,
    endpoint: Uri,
    url: String,
}

/// One message, as it was received.
#[derive(Debug)]
pub(super) struct Message {
    /// What it is deleted by; another one each time.
    pub(super) receipt: String,
    /// How often it was received, this time included.
    pub(super) receives: u32,
    /// All of it, as the service sent it.
    pub(super) raw: Box<RawValue>,
}

/// What a queue says of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Attributes {
    /// Whether messages that are received too often go elsewhere.
    pub(super) redrive: bool,
    /// About how many messages wait.
    pub(super) waiting: Option<u64>,
}

/// An entry of a batch that was not done.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NotDone {
    /// Which one, from 0.
    pub(super) index: usize,
    /// The service's name of the reason.
    pub(super) code: String,
    /// Whether it is of no use to try again.
    pub(super) for_good: bool,
}

/// Why a request came to nothing. All of these pass, or are put right elsewhere, so that the caller
/// says so and tries again.
#[derive(Debug, Error)]
pub(super) enum SqsError {
    /// There is no such queue. It may be made yet.
    #[error("there is no queue {0}; make it, or correct its url")]
    Gone(String),
    /// The credentials are missing, over, or not allowed to.
    #[error("the queue may not be used as this identity ({0})")]
    Denied(String),
    /// Too much at once.
    #[error("the service asks to go slower ({0})")]
    Throttled(String),
    /// The service refuses or fails otherwise.
    #[error("the service answered {0}")]
    Failed(String),
    /// The answer holds more than is taken at once. Ask for fewer messages.
    #[error("the messages are too large to be received together")]
    TooLarge,
    /// There was no answer.
    #[error("the service does not answer ({0})")]
    Unanswered(String),
}

impl SqsError {
    /// The name that it is counted under.
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Gone(_) => "gone",
            Self::Denied(_) => "denied",
            Self::Throttled(_) => "throttled",
            Self::Failed(_) => "failed",
            Self::TooLarge => "too_large",
            Self::Unanswered(_) => "unanswered",
        }
    }
}

impl SqsClient {
    /// Asks for nothing yet. The endpoint is where the queue's URL points, if none is given.
    pub(super) fn new(
        url: &str,
        endpoint: Option<&str>,
        access: AwsAccess,
    ) -> Result<Self, String> {
        let origin = endpoint.map_or_else(|| origin(url), |it| Some(it.to_owned()));
        let origin = origin.ok_or("its url is no https:// or http:// URL")?;
        let origin = format!("{}/", origin.trim_end_matches('/'));
        let aws = Aws::new("sqs", access, &origin, CONNECT_TIMEOUT).map_err(|error| {
            format!(
                "the system's certificate authorities are not to be had ({error}); install \
                 ca-certificates, or name a file with them in SSL_CERT_FILE"
            )
        })?;
        Ok(Self {
            aws,
            endpoint: origin.parse().map_err(|_| "its endpoint is no URL")?,
            url: url.to_owned(),
        })
    }

    /// Waits at most `wait` for messages, at most `most`, and hides them from others for `visibility`.
    pub(super) async fn receive(
        &self,
        most: u32,
        wait: Duration,
        visibility: Duration,
    ) -> Result<Vec<Message>, SqsError> {
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Answer {
            #[serde(default)]
            messages: Vec<Box<RawValue>>,
        }
        let body = json!({
            "QueueUrl": self.url,
            "MaxNumberOfMessages": most,
            "WaitTimeSeconds": wait.as_secs(),
            "VisibilityTimeout": visibility.as_secs(),
            // The older name of the two, which every implementation knows.
            "AttributeNames": ["ApproximateReceiveCount", "SentTimestamp"],
        });
        let answer: Answer = self
            .call("ReceiveMessage", &body, wait + ANSWER_TIMEOUT)
            .await?;
        answer.messages.into_iter().map(Message::parse).collect()
    }

    /// Deletes at most ten messages; says which ones are still there.
    pub(super) async fn delete(&self, receipts: &[&str]) -> Result<Vec<NotDone>, SqsError> {
        let entries = receipts.iter().enumerate();
        let entries = entries
            .map(|(index, receipt)| json!({ "Id": index.to_string(), "ReceiptHandle": receipt }));
        self.batch("DeleteMessageBatch", entries.collect()).await
    }

    /// Hides at most ten messages for so many seconds from now on, each for its own time.
    pub(super) async fn hide(&self, receipts: &[(&str, u64)]) -> Result<Vec<NotDone>, SqsError> {
        let entries = receipts.iter().enumerate().map(|(index, (receipt, secs))| {
            json!({
                "Id": index.to_string(),
                "ReceiptHandle": receipt,
                "VisibilityTimeout": secs,
            })
        });
        let entries = entries.collect();
        self.batch("ChangeMessageVisibilityBatch", entries).await
    }

    /// What the queue says of itself.
    pub(super) async fn attributes(&self) -> Result<Attributes, SqsError> {
        let body = json!({
            "QueueUrl": self.url,
            "AttributeNames": ["RedrivePolicy", "ApproximateNumberOfMessages"],
        });
        let answer: Value = self
            .call("GetQueueAttributes", &body, ANSWER_TIMEOUT)
            .await?;
        let attributes = &answer["Attributes"];
        let waiting = attributes["ApproximateNumberOfMessages"].as_str();
        Ok(Attributes {
            redrive: attributes["RedrivePolicy"].is_string(),
            waiting: waiting.and_then(|text| text.parse().ok()),
        })
    }

    async fn batch(
        &self,
        operation: &'static str,
        entries: Vec<Value>,
    ) -> Result<Vec<NotDone>, SqsError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Failed {
            id: String,
            #[serde(default)]
            code: String,
            #[serde(default)]
            sender_fault: bool,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Answer {
            #[serde(default)]
            failed: Option<Vec<Failed>>,
        }
        if entries.is_empty() {
            return Ok(Vec::new());
        }
        let body = json!({ "QueueUrl": self.url, "Entries": entries });
        let answer: Answer = self.call(operation, &body, ANSWER_TIMEOUT).await?;
        let failed = answer.failed.unwrap_or_default().into_iter();
        let not_done = failed.filter_map(|failed| {
            Some(NotDone {
                index: failed.id.parse().ok()?,
                code: failed.code,
                for_good: failed.sender_fault,
            })
        });
        Ok(not_done.collect())
    }

    async fn call<T: serde::de::DeserializeOwned>(
        &self,
        operation: &'static str,
        body: &Value,
        timeout: Duration,
    ) -> Result<T, SqsError> {
        let mut request = Request::new(Bytes::from(body.to_string()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = self.endpoint.clone();
        let headers = request.headers_mut();
        let json = HeaderValue::from_static("application/x-amz-json-1.0");
        headers.insert(header::CONTENT_TYPE, json);
        if let Ok(target) = HeaderValue::try_from(format!("AmazonSQS.{operation}")) {
            headers.insert("x-amz-target", target);
        }
        let called = tokio::time::timeout(timeout, self.aws.call(request)).await;
        let answer = match called {
            Ok(Ok(answer)) => answer,
            Ok(Err(AwsError::Credentials(why))) => return Err(SqsError::Denied(why)),
            Ok(Err(AwsError::Unanswered(why))) => return Err(SqsError::Unanswered(why)),
            Ok(Err(AwsError::TooLarge)) => return Err(SqsError::TooLarge),
            Err(_) => {
                let why = format!("nothing came within {} s", timeout.as_secs());
                return Err(SqsError::Unanswered(why));
            }
        };
        if let Some(refused) = AwsException::of(&answer) {
            return Err(self.error(refused, answer.status.as_u16()));
        }
        // An operation without a result may be answered with nothing.
        let text: &[u8] = match answer.body.trim_ascii() {
            b"" => b"{}",
            text => text,
        };
        serde_json::from_slice(text).map_err(|error| {
            SqsError::Failed(format!("{operation} with what is no answer: {error}"))
        })
    }

    fn error(&self, refused: AwsException, status: u16) -> SqsError {
        let about_credentials = refused.is_about_credentials();
        let AwsException { name, message } = refused;
        let told = format!("{name}: {message}");
        // Names of the query protocol come where the JSON one is translated from it.
        let name = name.rsplit('.').next().unwrap_or_default();
        match name {
            "QueueDoesNotExist" | "NonExistentQueue" | "InvalidAddress" => {
                SqsError::Gone(self.url.clone())
            }
            "RequestThrottled"
            | "ThrottlingException"
            | "Throttling"
            | "KmsThrottled"
            | "OverLimit"
            | "TooManyRequestsException"
            | "SlowDown" => SqsError::Throttled(told),
            _ if about_credentials || matches!(status, 401 | 403) => SqsError::Denied(told),
            _ if name.contains("AccessDenied") || name == "InvalidSecurity" => {
                SqsError::Denied(told)
            }
            _ if status == 429 => SqsError::Throttled(told),
            _ => SqsError::Failed(told),
        }
    }
}

impl Message {
    fn parse(raw: Box<RawValue>) -> Result<Self, SqsError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct Known {
            receipt_handle: String,
            #[serde(default)]
            attributes: KnownAttributes,
        }
        #[derive(Default, Deserialize)]
        #[serde(rename_all = "PascalCase")]
        struct KnownAttributes {
            #[serde(default)]
            approximate_receive_count: Option<String>,
        }
        let known: Known = serde_json::from_str(raw.get())
            .map_err(|error| SqsError::Failed(format!("a message that is none: {error}")))?;
        let receives = known.attributes.approximate_receive_count;
        Ok(Self {
            receipt: known.receipt_handle,
            receives: receives.and_then(|text| text.parse().ok()).unwrap_or(1),
            raw,
        })
    }
}

/// Scheme and authority of a URL.
fn origin(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    let (scheme, authority) = (uri.scheme_str()?, uri.authority()?);
    matches!(scheme, "http" | "https").then(|| format!("{scheme}://{authority}"))
}

/// The region that a queue's URL names, if it is one of AWS's own.
pub fn region_of(url: &str) -> Option<String> {
    let uri: Uri = url.parse().ok()?;
    let host = uri.host()?;
    let region = match host.split('.').collect::<Vec<_>>()[..] {
        ["sqs" | "sqs-fips", region, "amazonaws", "com"]
        | ["sqs", region, "amazonaws", "com", "cn"]
        | ["sqs", region, "api", "aws"]
        // By way of a VPC.
        | [_, "sqs", region, "vpce", "amazonaws", "com"]
        // The older form.
        | [region, "queue", "amazonaws", "com"] => region,
        ["queue", "amazonaws", "com"] => "us-east-1",
        _ => return None,
    };
    Some(region.to_owned())
}
