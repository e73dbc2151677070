//! Errors as problem details (RFC 9457), and request bodies that are refused as such.

use axum::Json;
use axum::extract::{FromRequest, Request};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::commands::CommandError;
use crate::redrive::RedriveError;

/// What went wrong with a command, for the one who gave it.
#[derive(Debug, Serialize)]
pub(super) struct Problem {
    title: &'static str,
    status: u16,
    detail: String,
}

impl Problem {
    pub(super) fn invalid(detail: String) -> Self {
        Self {
            title: "the command cannot be understood",
            status: 400,
            detail,
        }
    }

    pub(super) fn not_found(detail: String) -> Self {
        Self {
            title: "there is no such thing",
            status: 404,
            detail,
        }
    }

    fn refused(detail: String) -> Self {
        Self {
            title: "the command is refused",
            status: 409,
            detail,
        }
    }

    pub(super) fn unavailable(error: Box<dyn std::error::Error + Send + Sync>) -> Self {
        tracing::error!(error = %chain(&*error), "a command did not go through");
        Self {
            title: "the ledger cannot take the command now",
            status: 503,
            detail: chain(&*error),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        let problem = header::HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, problem);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let seconds = header::HeaderValue::from_static("1");
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<CommandError<E>> for Problem {
    fn from(error: CommandError<E>) -> Self {
        match error {
            CommandError::Refused(error) => Self::refused(chain(&error)),
            error => Self::unavailable(Box::new(error)),
        }
    }
}

impl From<RedriveError> for Problem {
    fn from(error: RedriveError) -> Self {
        match error {
            RedriveError::Unknown(_) => Self::not_found(chain(&error)),
            RedriveError::NotOver(_) | RedriveError::Retired(_) | RedriveError::Remote { .. } => {
                Self::refused(chain(&error))
            }
            RedriveError::Ledger(error) => Self::unavailable(error),
        }
    }
}

/// A JSON body. An empty one is an empty object, so that `curl -X POST` alone is a command.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let bytes = bytes::Bytes::from_request(request, state)
            .await
            .map_err(|error| Problem::invalid(error.body_text()))?;
        let text: &[u8] = if bytes.is_empty() { b"{}" } else { &bytes };
        serde_json::from_slice(text)
            .map(Body)
            .map_err(|error| Problem::invalid(format!("the body does not fit: {error}")))
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        let part = error.to_string();
        // A transparent error says what its source says.
        if !text.ends_with(&part) {
            text.push_str(": ");
            text.push_str(&part);
        }
        source = error.source();
    }
    text
}
