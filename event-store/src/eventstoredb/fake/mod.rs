//! A stand-in for the server: it speaks the few calls that the adapter makes, over real HTTP/2 and
//! TLS, and keeps its events in memory.
//!
//! It is **not** the server. It was written from the server's public protocol and source, so what
//! runs against it shows that our side is of one piece, not that a server agrees.

#![expect(clippy::result_large_err, reason = "it is the error of the library")]

mod calls;
mod messages;
mod quick;
mod store;

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tonic::Status;
use tonic::body::BoxBody;
use tonic::codec::ProstCodec;
use tonic::metadata::MetadataMap;
use tonic::server::Grpc;

use self::messages::{AppendReq, AppendResp, ClusterInfo, ReadReq, ReadResp, SupportedMethods};
use self::quick::Quick;
use self::store::Store;
use crate::system_clock;

/// What goes wrong with the next append.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    /// It is refused before anything is written.
    Refused(Status),
    /// It is written, and the answer is lost.
    AnswerLost(Status),
    /// It is written, and the answer never comes.
    NoAnswer,
}

/// A running fake. It ends with this handle.
pub(super) struct Fake {
    pub(super) address: SocketAddr,
    state: Arc<State>,
    tasks: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

struct State {
    store: Mutex<Store>,
    /// How many records there are.
    records: watch::Sender<usize>,
    appends: Mutex<Appends>,
    /// The header of each call; `None` where it had none.
    authorizations: Mutex<Vec<Option<String>>>,
    /// The only header that is let in.
    wanted_authorization: Mutex<Option<String>>,
    members: Mutex<Vec<SocketAddr>>,
    /// Takes no subscriptions.
    deaf: AtomicBool,
}

#[derive(Default)]
struct Appends {
    troubles: VecDeque<Trouble>,
    asked: usize,
    /// Writes an event of somebody else behind each append.
    neighbour: bool,
}

impl Fake {
    pub(super) async fn start() -> Fake {
        Fake::listen(None).await
    }

    pub(super) async fn start_tls(tls: TlsAcceptor) -> Fake {
        Fake::listen(Some(tls)).await
    }

    /// Takes connections again after [`Fake::stop`].
    pub(super) async fn resume(&self) {
        let listener = TcpListener::bind(self.address).await.unwrap();
        let (state, tasks) = (self.state.clone(), self.tasks.clone());
        let accepting = tokio::spawn(accept(listener, None, state, tasks.clone()));
        *tasks.lock().unwrap() = vec![accepting];
    }

    async fn listen(tls: Option<TlsAcceptor>) -> Fake {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let store = Store::new(system_clock());
        let state = Arc::new(State {
            records: watch::Sender::new(store.len()),
            store: Mutex::new(store),
            appends: Mutex::default(),
            authorizations: Mutex::default(),
            wanted_authorization: Mutex::default(),
            members: Mutex::new(vec![address]),
            deaf: AtomicBool::new(false),
        });
        let tasks: Arc<Mutex<Vec<JoinHandle<()>>>> = Arc::default();
        let accepting = tokio::spawn(accept(listener, tls, state.clone(), tasks.clone()));
        tasks.lock().unwrap().push(accepting);
        Fake {
            address,
            state,
            tasks,
        }
    }

    pub(super) fn url(&self) -> String {
        format!("esdb://{}?tls=false", self.address)
    }

    pub(super) fn trouble(&self, troubles: impl IntoIterator<Item = Trouble>) {
        self.state.appends().troubles.extend(troubles);
    }

    pub(super) fn appends_asked(&self) -> usize {
        self.state.appends().asked
    }

    /// Somebody else writes an event behind each of ours.
    pub(super) fn with_neighbour(self) -> Fake {
        self.state.appends().neighbour = true;
        self
    }

    /// Takes no subscriptions from here on.
    pub(super) fn refuse_subscriptions(&self) {
        self.state.deaf.store(true, Ordering::Relaxed);
    }

    pub(super) fn write_foreign(&self, stream: &str) {
        self.state.store().write_foreign(stream);
        self.state.tell();
    }

    pub(super) fn records(&self) -> usize {
        self.state.store().len()
    }

    pub(super) fn put_back(&self, records: usize) {
        self.state.store().put_back(records);
    }

    pub(super) fn want_authorization(&self, header: &str) {
        *self.state.wanted_authorization.lock().unwrap() = Some(header.into());
    }

    pub(super) fn authorizations(&self) -> Vec<Option<String>> {
        self.state.authorizations.lock().unwrap().clone()
    }

    /// What the cluster's gossip says: the first one leads.
    pub(super) fn set_members(&self, members: Vec<SocketAddr>) {
        *self.state.members.lock().unwrap() = members;
    }

    /// Cuts every connection, and takes no more.
    pub(super) fn stop(&self) {
        self.tasks
            .lock()
            .unwrap()
            .iter()
            .for_each(JoinHandle::abort);
    }

    /// Cuts the connections that there are.
    pub(super) fn cut(&self) {
        self.tasks.lock().unwrap()[1..]
            .iter()
            .for_each(JoinHandle::abort);
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn accept(
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
    state: Arc<State>,
    tasks: Arc<Mutex<Vec<JoinHandle<()>>>>,
) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        let task = tokio::spawn(connection(stream, tls.clone(), state.clone()));
        tasks.lock().unwrap().push(task);
    }
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, state: Arc<State>) {
    let stream = Quick(stream);
    match tls {
        None => serve(stream, state).await,
        Some(tls) => {
            // A client that does not trust us hangs up.
            if let Ok(stream) = tls.accept(stream).await {
                serve(stream, state).await;
            }
        }
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, state: Arc<State>) {
    let service = service_fn(move |request| answer(state.clone(), request));
    // It ends with an error when the client goes away.
    let _ = hyper::server::conn::http2::Builder::new(TokioExecutor::new())
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(
    state: Arc<State>,
    request: hyper::Request<Incoming>,
) -> Result<hyper::Response<BoxBody>, Infallible> {
    let path = request.uri().path().to_owned();
    Ok(match path.as_str() {
        "/event_store.client.streams.Streams/Append" => {
            let call = tower::service_fn(move |request| calls::append(state.clone(), request));
            let codec = ProstCodec::<AppendResp, AppendReq>::default();
            Grpc::new(codec).client_streaming(call, request).await
        }
        "/event_store.client.streams.Streams/Read" => {
            let call = tower::service_fn(move |request| calls::read(state.clone(), request));
            let codec = ProstCodec::<ReadResp, ReadReq>::default();
            Grpc::new(codec).server_streaming(call, request).await
        }
        "/event_store.client.server_features.ServerFeatures/GetSupportedMethods" => {
            let call = tower::service_fn(move |request| calls::features(state.clone(), request));
            let codec = ProstCodec::<SupportedMethods, ()>::default();
            Grpc::new(codec).unary(call, request).await
        }
        "/event_store.client.gossip.Gossip/Read" => {
            let call = tower::service_fn(move |request| calls::gossip(state.clone(), request));
            let codec = ProstCodec::<ClusterInfo, ()>::default();
            Grpc::new(codec).unary(call, request).await
        }
        _ => Status::unimplemented("the fake does not know this call").into_http(),
    })
}

impl State {
    fn store(&self) -> MutexGuard<'_, Store> {
        self.store.lock().unwrap()
    }

    fn appends(&self) -> MutexGuard<'_, Appends> {
        self.appends.lock().unwrap()
    }

    fn next_append(&self) -> (Option<Trouble>, bool) {
        let mut appends = self.appends();
        appends.asked += 1;
        (appends.troubles.pop_front(), appends.neighbour)
    }

    fn tell(&self) {
        let records = self.store().len();
        self.records.send_replace(records);
    }

    fn note(&self, metadata: &MetadataMap) -> Option<String> {
        let header = metadata.get("authorization");
        let header = header.map(|header| header.to_str().unwrap().to_owned());
        self.authorizations.lock().unwrap().push(header.clone());
        header
    }

    fn let_in(&self, metadata: &MetadataMap) -> Result<(), Status> {
        let header = self.note(metadata);
        let wanted = self.wanted_authorization.lock().unwrap().clone();
        match (wanted, header) {
            (Some(wanted), header) if header.as_ref() != Some(&wanted) => {
                Err(Status::permission_denied("Access Denied"))
            }
            _ => Ok(()),
        }
    }
}
