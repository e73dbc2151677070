//! A server that answers as a test wants, and keeps what it was asked.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

/// A server on loopback.
pub(super) struct Stub {
    pub(super) address: SocketAddr,
    seen: Arc<Mutex<Vec<Request<Bytes>>>>,
    arrived: watch::Receiver<usize>,
    _serving: AbortOnDropHandle<()>,
}

impl Stub {
    /// Answers each request at once; `None` is no answer ever.
    pub(super) async fn answering(
        answer: impl Fn(&Request<Bytes>) -> Option<Response<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (count, arrived) = watch::channel(0);
        let (answer, keep) = (Arc::new(answer), Arc::clone(&seen));
        let count = Arc::new(count);
        let serving = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (answer, keep) = (Arc::clone(&answer), Arc::clone(&keep));
                let count = Arc::clone(&count);
                let service = service_fn(move |request: Request<Incoming>| {
                    let (answer, keep) = (Arc::clone(&answer), Arc::clone(&keep));
                    let count = Arc::clone(&count);
                    async move {
                        let (head, body) = request.into_parts();
                        let body = body.collect().await.unwrap().to_bytes();
                        let request = Request::from_parts(head, body);
                        let answer = answer(&request);
                        keep.lock().unwrap().push(request);
                        count.send_modify(|count| *count += 1);
                        match answer {
                            Some(answer) => Ok::<_, Infallible>(answer.map(Full::new)),
                            None => std::future::pending().await,
                        }
                    }
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        Self {
            address,
            seen,
            arrived,
            _serving: AbortOnDropHandle::new(serving),
        }
    }

    /// Answers all requests alike.
    pub(super) async fn saying(status: u16, body: &'static str) -> Self {
        Self::answering(move |_| Some(response(status, &[], body))).await
    }

    /// Waits for so many requests.
    pub(super) async fn asked(&self, times: usize) {
        let mut arrived = self.arrived.clone();
        arrived.wait_for(|count| *count >= times).await.unwrap();
    }

    /// The requests so far.
    pub(super) fn seen(&self) -> Vec<Request<Bytes>> {
        std::mem::take(&mut self.seen.lock().unwrap())
    }
}

pub(super) fn response(
    status: u16,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Response<Bytes> {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(body.into()).unwrap()
}
