//! What an AWS service says when it refuses, or cannot.

use serde_json::Value;

use super::client::Answer;

/// The name of an error of the service's that has none of its own.
const SERVICE: &str = "ServiceException";

/// Refusals after which the credentials are asked for again: they are over, or were taken back.
const STALE_CREDENTIALS: [&str; 7] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

/// An error as an AWS service tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AwsException {
    /// Its name, without the service's name before it; empty where the service gives none to what it
    /// refuses.
    pub name: String,
    /// Its message.
    pub message: String,
}

impl AwsException {
    /// What an answer tells; `None` where it is no error. The name is in a header or in the document
    /// (AWS JSON 1.0 protocol, "Operation error serialization").
    pub fn of(answer: &Answer) -> Option<Self> {
        if answer.status.is_success() {
            return None;
        }
        let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let text = |name: &str| document[name].as_str().filter(|text| !text.is_empty());
        let header = answer.headers.get("x-amzn-errortype");
        let name = header
            .and_then(|value| value.to_str().ok())
            .or_else(|| text("__type"))
            .unwrap_or_default();
        let name = name.split(':').next().unwrap_or_default();
        let name = match name.rsplit('#').next().unwrap_or_default() {
            "" if answer.status.is_server_error() => SERVICE,
            name => name,
        };
        let message = text("message").or_else(|| text("Message"));
        let mut message = match message {
            Some(message) => message.to_owned(),
            None => format!("the service answered {}", answer.status),
        };
        if let Some(reason) = text("Reason") {
            message = format!("{message} ({reason})");
        }
        Some(Self {
            name: name.to_owned(),
            message,
        })
    }

    /// Whether other credentials may be taken.
    pub fn is_about_credentials(&self) -> bool {
        STALE_CREDENTIALS.contains(&self.name.as_str())
    }
}
