//! `/graphql`, after the GraphQL over HTTP specification (working draft): GET runs queries alone,
//! POST takes JSON, and the status depends on the media type that the client accepts.

use async_graphql::parser::types::{ExecutableDocument, OperationDefinition, OperationType};
use async_graphql::{Request, Response as GraphqlResponse, ServerError, Variables};
use axum::body::Bytes;
use axum::extract::{FromRequest, RawQuery, State};
use axum::http::header::{ACCEPT, ALLOW, CONTENT_TYPE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::Value;

use super::order::Asked;
use super::{Web, console};

/// What clients may accept.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Media {
    /// `application/graphql-response+json`: the status tells how it went.
    Response,
    /// `application/json`: 200 for every well-formed request.
    Json,
}

impl Media {
    fn content_type(self) -> &'static str {
        match self {
            Media::Response => "application/graphql-response+json; charset=utf-8",
            Media::Json => "application/json; charset=utf-8",
        }
    }
}

/// The parameters of a request.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parameters {
    query: String,
    #[serde(default)]
    operation_name: Option<String>,
    #[serde(default)]
    variables: Option<serde_json::Map<String, Value>>,
    #[serde(default)]
    extensions: Option<serde_json::Map<String, Value>>,
}

/// GET: a query in the URL; or the console, for a browser that comes without one.
pub(super) async fn get(
    State(web): State<Web>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    if wants_html(&headers) {
        return console::page().await;
    }
    let Some(media) = accepted(&headers) else {
        return not_acceptable();
    };
    let parameters = match from_url(query.as_deref().unwrap_or_default()) {
        Ok(parameters) => parameters,
        Err(message) => return malformed(media, message),
    };
    run(web, media, parameters, true).await
}

/// POST: any operation but a subscription, as JSON.
pub(super) async fn post(State(web): State<Web>, request: axum::extract::Request) -> Response {
    let headers = request.headers().clone();
    let Some(media) = accepted(&headers) else {
        return not_acceptable();
    };
    let content_type = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    if !content_type.is_some_and(is_json) {
        let message = "the content type of the request must be application/json, in UTF-8";
        return answer(
            media,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            GraphqlResponse::from_errors(vec![ServerError::new(message, None)]),
        );
    }
    let body = match Bytes::from_request(request, &web).await {
        Ok(body) => body,
        Err(rejection) => return rejection.into_response(),
    };
    match serde_json::from_slice::<Parameters>(&body) {
        Ok(parameters) => run(web, media, parameters, false).await,
        Err(error) => malformed(
            media,
            format!("the request is not as it should be: {error}"),
        ),
    }
}

async fn run(web: Web, media: Media, parameters: Parameters, get: bool) -> Response {
    let mut request = Request::new(parameters.query);
    if let Some(name) = parameters.operation_name {
        request = request.operation_name(name);
    }
    if let Some(variables) = parameters.variables {
        request = request.variables(Variables::from_json(Value::Object(variables)));
    }
    // None of them means anything here; they are part of a well-formed request all the same.
    drop(parameters.extensions);
    match kind_of(&mut request) {
        Some(OperationType::Subscription) if get => {
            return method_not_allowed(media, "subscriptions run at /graphql/ws", "");
        }
        Some(OperationType::Subscription) => {
            return malformed(media, "subscriptions run at /graphql/ws".into());
        }
        Some(OperationType::Mutation) if get => {
            return method_not_allowed(media, "GET runs queries only", "POST");
        }
        _ => {}
    }
    let document = request.parsed_query().ok().cloned();
    let operation_name = request.operation_name.clone();
    let position = web.state.projector.position().0;
    let mut response = web.schema.execute(request).await;
    // Data says that the document was validated and ran.
    if let Some(document) = document.filter(|_| response.data != async_graphql::Value::Null)
        && let Some(operation) = operation_of(&document, operation_name.as_deref())
    {
        Asked::of(&operation.selection_set.node, &document).sort(&mut response.data);
    }
    let response = response.extension("position", async_graphql::Value::from(position));
    let status = match media {
        // Data is null where the request never came to run, or its root could not be given.
        Media::Response if response.is_err() && is_request_error(&response) => {
            StatusCode::BAD_REQUEST
        }
        _ => StatusCode::OK,
    };
    answer(media, status, response)
}

/// The kind of the operation that would run, if that is clear.
fn kind_of(request: &mut Request) -> Option<OperationType> {
    let name = request.operation_name.clone();
    let document = request.parsed_query().ok()?;
    operation_of(document, name.as_deref()).map(|operation| operation.ty)
}

/// The operation of this name; the only one without a name.
fn operation_of<'a>(
    document: &'a ExecutableDocument,
    name: Option<&str>,
) -> Option<&'a OperationDefinition> {
    let mut operations = document.operations.iter();
    let chosen = match name {
        Some(name) => operations.find(|(found, _)| found.is_some_and(|found| **found == *name)),
        None => operations.next(),
    };
    chosen.map(|(_, operation)| &operation.node)
}

/// An error of the request (it never ran) has no path; one of a field has.
fn is_request_error(response: &GraphqlResponse) -> bool {
    response.data == async_graphql::Value::Null
        && response.errors.iter().all(|error| error.path.is_empty())
}

fn answer(media: Media, status: StatusCode, response: GraphqlResponse) -> Response {
    // Written as it is, which keeps the order of its fields. A request that did not run has no data
    // at all, rather than data that is null.
    let body = if is_request_error(&response) {
        let mut body = serde_json::to_value(&response).unwrap_or_default();
        if let Some(fields) = body.as_object_mut() {
            fields.remove("data");
        }
        body.to_string()
    } else {
        match serde_json::to_string(&response) {
            Ok(body) => body,
            Err(error) => return (StatusCode::INTERNAL_SERVER_ERROR, text(error)).into_response(),
        }
    };
    (status, [(CONTENT_TYPE, media.content_type())], body).into_response()
}

fn malformed(media: Media, message: String) -> Response {
    let response = GraphqlResponse::from_errors(vec![ServerError::new(message, None)]);
    answer(media, StatusCode::BAD_REQUEST, response)
}

fn method_not_allowed(media: Media, message: &str, allow: &'static str) -> Response {
    let response = GraphqlResponse::from_errors(vec![ServerError::new(message, None)]);
    let answer = answer(media, StatusCode::METHOD_NOT_ALLOWED, response);
    ([(ALLOW, allow)], answer).into_response()
}

fn not_acceptable() -> Response {
    let message = "this resource is given as application/graphql-response+json or application/json";
    (StatusCode::NOT_ACCEPTABLE, message).into_response()
}

fn wants_html(headers: &HeaderMap) -> bool {
    let accept = headers.get(ACCEPT).and_then(|value| value.to_str().ok());
    let first = accept.and_then(|accept| accept.split([',', ';']).next());
    first.is_some_and(|first| first.trim().eq_ignore_ascii_case("text/html"))
}

/// The media type to answer in: the first known one of those with the greatest quality.
fn accepted(headers: &HeaderMap) -> Option<Media> {
    let accept = match headers.get(ACCEPT) {
        None => return Some(Media::Json),
        Some(value) => value.to_str().ok()?,
    };
    let mut best: Option<(Media, f32)> = None;
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let media = match name.as_str() {
            "application/graphql-response+json" => Media::Response,
            "application/json" | "application/*" | "*/*" => Media::Json,
            _ => continue,
        };
        let quality = parts
            .filter_map(|part| part.strip_prefix("q="))
            .find_map(|quality| quality.parse().ok())
            .unwrap_or(1.0);
        if quality > 0.0 && best.is_none_or(|(_, most)| quality > most) {
            best = Some((media, quality));
        }
    }
    best.map(|(media, _)| media)
}

fn is_json(content_type: &str) -> bool {
    let mut parts = content_type.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let charset = parts.find_map(|part| part.split_once('='));
    name.eq_ignore_ascii_case("application/json")
        && charset.is_none_or(|(name, value)| {
            !name.eq_ignore_ascii_case("charset")
                || value.trim_matches('"').eq_ignore_ascii_case("utf-8")
        })
}

fn from_url(query: &str) -> Result<Parameters, String> {
    let pairs: std::collections::HashMap<String, String> =
        axum::extract::Query::try_from_uri(&format!("/?{query}").parse().map_err(text)?)
            .map_err(text)?
            .0;
    let json = |name: &str| match pairs.get(name).filter(|text| !text.is_empty()) {
        None => Ok(None),
        Some(text) => serde_json::from_str(text)
            .map_err(|error| format!("the parameter {name} is not a JSON object: {error}")),
    };
    Ok(Parameters {
        query: pairs
            .get("query")
            .cloned()
            .ok_or("the parameter query is missing")?,
        operation_name: pairs
            .get("operationName")
            .filter(|name| !name.is_empty())
            .cloned(),
        variables: json("variables")?,
        extensions: json("extensions")?,
    })
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
