//! `/v1/notifications`: where stores deliver over HTTP, and `/v1/notifications/rejected`, where people
//! see what was refused.
//!
//! Whoever can reach this may send anything: bodies are read within a time and a size, and their room
//! is taken as they come, so that neither one large one nor thousands of slow ones harm the others.

mod body;
#[cfg(test)]
mod tests;

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use daybook_intake::{Delivery, Transport};
use percent_encoding::percent_decode_str;
use serde::Deserialize;

use super::problem::Problem;
use crate::intake::{self, Intake, SourceName};
use body::{BodyError, Coding};

/// The bounds of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HttpLimits {
    /// The largest body in bytes, as it comes and when it is unpacked.
    pub max_body: usize,
    /// How long a body may take to come.
    pub body_timeout: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            max_body: 16 << 20,
            body_timeout: Duration::from_secs(30),
        }
    }
}

/// How many rejected deliveries are listed if nobody says how many.
const LISTED: usize = 100;

/// The most that are listed at once.
const MOST_LISTED: usize = 1_000;

/// How much of a body that is refused is read all the same, in times the size that one may have: so
/// that its sender sees the answer. Of whom it is not enough, the listener takes leave.
const DRAINED_BODIES: usize = 2;

/// How many headers and parameters of a request are looked at.
const MAX_HEADERS: usize = 100;

#[derive(Clone)]
struct Place {
    intake: Intake,
    limits: HttpLimits,
}

/// Where stores deliver.
pub fn deliveries(intake: Intake, limits: HttpLimits) -> Router {
    Router::new()
        .route("/v1/notifications", post(open).options(open))
        .route("/v1/notifications/{source}", post(named).options(named))
        .with_state(Place { intake, limits })
}

/// Where people see what was refused.
pub(super) fn rejections(intake: Intake) -> Router {
    Router::new()
        .route("/v1/notifications/rejected", get(list_rejected))
        .route("/v1/notifications/rejected/{id}", get(show_rejected))
        .with_state(intake)
}

async fn open(State(place): State<Place>, request: Request) -> Response {
    receive(place, None, request).await
}

async fn named(State(place): State<Place>, Path(name): Path<String>, request: Request) -> Response {
    match name.parse::<SourceName>() {
        Ok(source) => receive(place, Some(source), request).await,
        Err(error) => Problem::not_found(error.to_string()).into_response(),
    }
}

async fn receive(place: Place, source: Option<SourceName>, request: Request) -> Response {
    let Place { intake, limits } = place;
    let (parts, mut body) = request.into_parts();
    let mut delivery = head_of(&parts);
    let source = source.as_ref();
    let taken = taken_in(&intake, source, &limits, &parts, &mut body, &mut delivery).await;
    let refused = match taken {
        Ok(response) => return response,
        Err(refused) => refused,
    };
    if !matches!(
        refused,
        Refused::Body(BodyError::TooSlow(_) | BodyError::BrokeOff)
    ) {
        let rest = body::drain(body, limits.max_body.saturating_mul(DRAINED_BODIES));
        let _ = tokio::time::timeout(limits.body_timeout, rest).await;
    }
    match refused {
        Refused::Overloaded(overloaded) => answer(intake::turned_away(overloaded).response),
        Refused::Body(error) => {
            intake.refused(source, &delivery, error.reason(), &error.to_string());
            refusal(&error)
        }
    }
}

/// A delivery that was kept as it came over HTTP, as it is handed over: with its body unpacked. Or what
/// its sender is answered if it is not even looked at, as one of the records of an answer.
pub fn unpacked(delivery: Delivery, limits: &HttpLimits) -> Result<Delivery, serde_json::Value> {
    let body = unpacked_body(&delivery, limits).map_err(|error| refused_record(&error))?;
    Ok(Delivery { body, ..delivery })
}

fn unpacked_body(delivery: &Delivery, limits: &HttpLimits) -> Result<bytes::Bytes, BodyError> {
    let headers = delivery.headers.iter().filter_map(|(name, value)| {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        Some((name, HeaderValue::from_str(value).ok()?))
    });
    let headers = headers.collect();
    let coding = Coding::of(&headers)?;
    body::check_type(&headers)?;
    if delivery.body.len() > limits.max_body {
        return Err(BodyError::TooLarge(limits.max_body));
    }
    coding.unpack_within(&delivery.body, limits.max_body)
}

/// Why a request is not read to its end.
enum Refused {
    Overloaded(intake::Overloaded),
    Body(BodyError),
}

impl From<BodyError> for Refused {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Overloaded(overloaded) => Self::Overloaded(overloaded),
            error => Self::Body(error),
        }
    }
}

async fn taken_in(
    intake: &Intake,
    source: Option<&SourceName>,
    limits: &HttpLimits,
    parts: &Parts,
    body: &mut Body,
    delivery: &mut Delivery,
) -> Result<Response, Refused> {
    let coding = Coding::of(&parts.headers)?;
    body::check_type(&parts.headers)?;
    let mut room = intake.room(0).map_err(Refused::Overloaded)?;
    let read = body::read(body, limits.max_body, &mut room);
    let read = tokio::time::timeout(limits.body_timeout, read).await;
    let packed = read.map_err(|_| BodyError::TooSlow(limits.body_timeout))??;
    delivery.body = coding.unpack(packed, limits.max_body, &mut room).await?;
    let delivered = intake
        .deliver_within(source, std::mem::replace(delivery, nothing()), room)
        .await;
    Ok(answer(delivered.response))
}

/// What is left of a delivery that was handed over.
fn nothing() -> Delivery {
    Delivery {
        transport: Transport::Http,
        method: String::new(),
        headers: Vec::new(),
        query: Vec::new(),
        body: bytes::Bytes::new(),
    }
}

/// A delivery without its body.
fn head_of(parts: &Parts) -> Delivery {
    let headers = parts.headers.iter().take(MAX_HEADERS);
    Delivery {
        transport: Transport::Http,
        method: parts.method.as_str().to_owned(),
        headers: headers
            .filter_map(|(name, value)| {
                // What is not UTF-8 is no header of any dialect.
                let value = std::str::from_utf8(value.as_bytes()).ok()?;
                Some((name.as_str().to_owned(), value.to_owned()))
            })
            .collect(),
        query: parts.uri.query().map(parameters).unwrap_or_default(),
        body: bytes::Bytes::new(),
    }
}

/// The parameters of a query, decoded.
fn parameters(query: &str) -> Vec<(String, String)> {
    let decoded = |text: &str| {
        let text = text.replace('+', " ");
        percent_decode_str(&text).decode_utf8_lossy().into_owned()
    };
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    pairs
        .take(MAX_HEADERS)
        .map(|pair| {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            (decoded(name), decoded(value))
        })
        .collect()
}

fn answer(answer: intake::Response) -> Response {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Body::from(answer.body)).into_response();
    for (name, value) in answer.headers {
        // What a sender asked to be given back may be no header.
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(&value)) {
            response.headers_mut().insert(name, value);
        }
    }
    if status == StatusCode::UNAUTHORIZED {
        let scheme = HeaderValue::from_static("Bearer");
        response
            .headers_mut()
            .insert(header::WWW_AUTHENTICATE, scheme);
    }
    response
}

fn refused_record(error: &BodyError) -> serde_json::Value {
    serde_json::json!({
        "verdict": "error", "reason": error.reason(), "detail": error.to_string(),
    })
}

fn refusal(error: &BodyError) -> Response {
    let body = serde_json::json!({ "records": [refused_record(error)] });
    answer(intake::Response::json(error.status(), &body))
}

#[derive(Deserialize)]
struct Listing {
    limit: Option<usize>,
}

async fn list_rejected(
    State(intake): State<Intake>,
    Query(Listing { limit }): Query<Listing>,
) -> Json<serde_json::Value> {
    let most = limit.unwrap_or(LISTED).clamp(1, MOST_LISTED);
    let listed = tokio::task::spawn_blocking(move || intake.rejected(most)).await;
    Json(serde_json::json!({ "rejected": listed.unwrap_or_default() }))
}

async fn show_rejected(
    State(intake): State<Intake>,
    Path(id): Path<String>,
) -> Result<Response, Problem> {
    match intake.rejected_one(&id) {
        Some(rejected) => Ok(Json(rejected).into_response()),
        None => Err(Problem::not_found(format!(
            "there is no rejected delivery {id:?}; the oldest ones are not kept"
        ))),
    }
}
