//! The AWS Lambda Runtime API, version 2018-06-01, for one process on its own loopback port.
//! Calls come from the process's runtime interface client and go to its [`Session`].
//! Status codes and error bodies are those of AWS's Runtime Interface Emulator.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use uuid::Uuid;

use crate::peer::{self, Peer};
use crate::response;
use crate::session::{Delivery, ErrorReport, Refusal, Reply, Session};

/// The largest response of a function, in bytes (AWS Lambda quotas: 6 MB and a little).
pub const RESPONSE_LIMIT_BYTES: usize = 6_291_556;
/// The largest event, in bytes (AWS Lambda quotas: 6 MB).
pub const PAYLOAD_LIMIT_BYTES: usize = 6 << 20;
/// Connections of one process at the same time. Clients use one.
const CONNECTION_LIMIT: usize = 16;

const PREFIX: &str = "/2018-06-01/runtime/";

/// A port on loopback for one process.
pub(crate) async fn listen() -> std::io::Result<(TcpListener, SocketAddr)> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

/// Serves the process group `group` until the future is dropped.
pub(crate) async fn serve(
    listener: TcpListener,
    session: Arc<Session>,
    group: rustix::process::Pid,
    arn: HeaderValue,
) {
    let permits = Arc::new(Semaphore::new(CONNECTION_LIMIT));
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, as a rule: others may give some back.
                tracing::warn!(%error, "cannot accept a runtime client");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            }
        };
        let (session, arn) = (Arc::clone(&session), arn.clone());
        connections.spawn(async move {
            connection(stream, session, group, arn).await;
            drop(permit);
        });
    }
}

async fn connection(
    stream: TcpStream,
    session: Arc<Session>,
    group: rustix::process::Pid,
    arn: HeaderValue,
) {
    match peer::of(&stream, group).await {
        Peer::Member => {}
        Peer::Gone => return,
        Peer::Foreign => {
            tracing::warn!(
                ?group,
                "refused a connection from outside the function's process group"
            );
            return;
        }
    }
    // Without it, clients that send a request in two packets wait for delayed acknowledgements.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let (session, arn) = (Arc::clone(&session), arn.clone());
        async move { Ok::<_, Infallible>(answer(request, &session, &arn).await) }
    });
    // Ends with an error whenever the process goes away, which its watcher notices by itself.
    let _ = hyper::server::conn::http1::Builder::new()
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(
    request: Request<Incoming>,
    session: &Session,
    arn: &HeaderValue,
) -> Response<Full<Bytes>> {
    let path = request.uri().path().to_owned();
    let Some(call) = path.strip_prefix(PREFIX) else {
        return not_found();
    };
    let parts: Vec<&str> = call.split('/').collect();
    match (request.method(), parts.as_slice()) {
        (&Method::GET, ["invocation", "next"]) => match session.next().await {
            Ok(delivery) => invocation(*delivery, arn),
            Err(refusal) => refused(refusal),
        },
        (&Method::POST, ["invocation", id, "response"]) => {
            let id = Uuid::parse_str(id).ok();
            let reply = response::read(request).await;
            // Refused as "RequestEntityTooLarge", while the invocation fails: both as AWS does it.
            let refusal = match &reply {
                Reply::TooLarge => Some(too_large()),
                Reply::Truncated => Some(unreadable()),
                _ => None,
            };
            let answered = accepted(session.answer(id, "InvocationResponse", reply));
            match refusal {
                Some(refusal) if answered.status() == StatusCode::ACCEPTED => refusal,
                _ => answered,
            }
        }
        (&Method::POST, ["invocation", id, "error"]) => {
            let id = Uuid::parse_str(id).ok();
            match report(request).await {
                Ok(report) => {
                    accepted(session.answer(id, "InvocationErrorResponse", Reply::Error(report)))
                }
                Err(response) => response,
            }
        }
        (&Method::POST, ["init", "error"]) => match report(request).await {
            Ok(report) => accepted(session.init_failed(report)),
            Err(response) => response,
        },
        _ => not_found(),
    }
}

fn invocation(delivery: Delivery, arn: &HeaderValue) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(delivery.payload));
    let text = |text: String| HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static(""));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(
        "lambda-runtime-aws-request-id",
        text(delivery.request_id.to_string()),
    );
    headers.insert(
        "lambda-runtime-deadline-ms",
        HeaderValue::from(delivery.deadline_ms),
    );
    headers.insert("lambda-runtime-invoked-function-arn", arn.clone());
    headers.insert("lambda-runtime-trace-id", text(delivery.trace_id));
    if let Some(traceparent) = delivery.traceparent {
        // Where the official clients look for it (`context.w3c()` in Python).
        let context = json!({ "w3c": { "traceparent": traceparent } });
        headers.insert("lambda-runtime-client-context", text(context.to_string()));
        headers.insert("traceparent", text(traceparent));
    }
    response
}

/// The body of an error call. One beyond the limit is answered as AWS answers it.
async fn report(request: Request<Incoming>) -> Result<ErrorReport, Response<Full<Bytes>>> {
    let header_type = request
        .headers()
        .get("lambda-runtime-function-error-type")
        .and_then(|value| value.to_str().ok())
        .map(str::to_owned);
    let body = match response::collect(request.into_body()).await {
        Ok(collected) => collected.body.unwrap_or(
            // The error itself matters more than its text.
            Bytes::from_static(br#"{"errorMessage":"the error document is too large"}"#),
        ),
        Err(_) => return Err(unreadable()),
    };
    Ok(ErrorReport { header_type, body })
}

fn accepted(result: Result<(), Refusal>) -> Response<Full<Bytes>> {
    match result {
        Ok(()) => json_response(StatusCode::ACCEPTED, &json!({ "status": "OK" })),
        Err(refusal) => refused(refusal),
    }
}

fn refused(refusal: Refusal) -> Response<Full<Bytes>> {
    match refusal {
        Refusal::UnknownRequest => error(
            StatusCode::BAD_REQUEST,
            "InvalidRequestID",
            "Invalid request ID",
        ),
        Refusal::WrongPhase { from, to } => error(
            StatusCode::FORBIDDEN,
            "InvalidStateTransition",
            &format!("Transition from {from} to {to} is not allowed."),
        ),
    }
}

fn too_large() -> Response<Full<Bytes>> {
    error(
        StatusCode::PAYLOAD_TOO_LARGE,
        "RequestEntityTooLarge",
        &format!("Exceeded maximum allowed payload size ({RESPONSE_LIMIT_BYTES} bytes)."),
    )
}

fn unreadable() -> Response<Full<Bytes>> {
    error(StatusCode::BAD_REQUEST, "BodyError", "cannot read the body")
}

fn not_found() -> Response<Full<Bytes>> {
    error(
        StatusCode::NOT_FOUND,
        "NotFound",
        "no such call in the Runtime API",
    )
}

fn error(status: StatusCode, kind: &str, message: &str) -> Response<Full<Bytes>> {
    json_response(
        status,
        &json!({ "errorMessage": message, "errorType": kind }),
    )
}

fn json_response(status: StatusCode, body: &serde_json::Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
