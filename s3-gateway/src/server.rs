//! The HTTP server in front of the service.

use std::io;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use s3s::service::S3Service;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::front;
use crate::gateway::Gateway;
use crate::heard::Heard;
use crate::service;
use crate::trace;

pub(crate) async fn serve(
    gateway: Arc<Gateway>,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let slots = Arc::new(Semaphore::new(gateway.limits.max_connections));
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(gateway.limits.header_timeout)
        .max_buf_size(gateway.limits.max_header_bytes)
        .keep_alive(true);
    let region: Arc<str> = gateway.region.as_str().into();
    let service = service::build(gateway);
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            biased;
            () = shutdown.cancelled() => break,
            accepted = accept(&listener, &slots) => accepted,
        };
        let (stream, slot) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Of one connection (it was reset) or passing (no descriptors left): wait a little.
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            }
        };
        // Without it each answer waits for the client's delayed acknowledgement.
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let (service, region) = (service.clone(), Arc::clone(&region));
        let connection = http.serve_connection(
            TokioIo::new(stream),
            service_fn(move |request| answer(service.clone(), Arc::clone(&region), request)),
        );
        let connection = graceful.watch(connection);
        tokio::spawn(async move {
            let _slot = slot;
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    graceful.shutdown().await;
    Ok(())
}

async fn accept(
    listener: &TcpListener,
    slots: &Arc<Semaphore>,
) -> io::Result<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let slot = Arc::clone(slots)
        .acquire_owned()
        .await
        .map_err(io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    Ok((stream, slot))
}

async fn answer(
    service: S3Service,
    region: Arc<str>,
    request: hyper::Request<Incoming>,
) -> Result<s3s::HttpResponse, Box<dyn std::error::Error + Send + Sync>> {
    let begun = std::time::Instant::now();
    let method = request.method().clone();
    // Without the query: a presigned URL's signature is a secret for as long as it lasts.
    let path = request.uri().path().to_owned();
    let version = request.version();
    let (mut parts, body) = request.into_parts();
    let (body, ended) = Heard::new(body);
    let response = match front::check(&mut parts) {
        Ok(()) => {
            let traceparent = trace::of(&parts.headers);
            let request = hyper::Request::from_parts(parts, s3s::Body::http_body(body));
            trace::within(traceparent, service.call(request)).await?
        }
        Err(error) => front::refused(error)?,
    };
    let mut response = front::finish(response, &path, &region);
    ended.tell(version, response.headers_mut());
    count(&method, response.status().as_u16(), begun.elapsed());
    tracing::debug!(
        target: "daybook_s3_gateway::access",
        %method,
        path,
        status = response.status().as_u16(),
        duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        "served"
    );
    Ok(response)
}

/// For `/metrics`.
fn count(method: &hyper::Method, status: u16, took: std::time::Duration) {
    // Clients may invent methods; figures are kept for each.
    let method = match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "PUT" => "PUT",
        "POST" => "POST",
        "DELETE" => "DELETE",
        _ => "other",
    };
    metrics::counter!("daybook_s3_requests_total", "method" => method, "status" => status.to_string())
        .increment(1);
    metrics::histogram!("daybook_s3_request_seconds", "method" => method)
        .record(took.as_secs_f64());
}
