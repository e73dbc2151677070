//! Passing a body on to a store.
//!
//! ```text
//!  client ─ chunks ─> relay ─ channel of one ─> the SDK's request ─> the store
//!                       └ holds the last chunk back: checksums, turn, fence
//! ```
//! Nobody is ahead of anybody by more than a chunk or two, so that a slow store slows the client
//! and the other way round. A request whose body ends early is none: a body that is found wrong,
//! or whose invocation is over, leaves nothing at the store.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use aws_sdk_s3::config::RequestChecksumCalculation;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::primitives::{ByteStream, SdkBody};
use bytes::Bytes;
use daybook_domain::ObjectKey;
use futures::StreamExt;
use hyper::body::{Body, Frame, SizeHint};
use s3s::{S3Error, S3ErrorCode, S3Result};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::digest::Digest;
use super::incoming::{Incoming, Sums, incomplete};
use super::order::Turn;
use super::{Upstream, connect};
use crate::error::StoreError;
use crate::grants::Scope;
use crate::local::stamp::Checksums;

/// What a body is for: a part becomes nothing by itself, so that nobody has to wait for a turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Object,
    Part,
}

/// A body that a store has taken.
pub(super) struct Sent<O> {
    pub(super) said: O,
    pub(super) size: u64,
    pub(super) checksums: Checksums,
    /// `None` for parts.
    pub(super) turn: Option<Turn>,
}

impl Upstream {
    /// Sends a body of this length with the request that `request` makes of it.
    pub(super) async fn send<O, E, R>(
        &self,
        purpose: Purpose,
        key: &ObjectKey,
        scope: Option<&Arc<Scope>>,
        incoming: Incoming,
        length: u64,
        request: impl FnOnce(ByteStream, Sums) -> R,
    ) -> S3Result<Sent<O>>
    where
        R: Future<Output = Result<O, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        if length <= self.bounds().replay_bytes {
            let (bytes, checksums) = incoming.whole(length).await?;
            return self
                .send_whole(purpose, key, scope, bytes, checksums, request)
                .await;
        }
        let (chunks, received) = mpsc::channel(1);
        let sums = self.passed_on(incoming.sums());
        let body = Outgoing {
            chunks: received,
            left: length,
        };
        let body = ByteStream::new(SdkBody::from_body_1_x(body));
        let mut sending = Box::pin(request(body, sums));
        let relaying = self.relay(purpose, key, scope, incoming, length, chunks);
        let relayed = tokio::select! {
            relayed = relaying => relayed,
            sent = &mut sending => return Err(self.too_early(sent)),
        };
        let patience = self.bounds().read_timeout;
        let (checksums, turn) = match relayed {
            Ok(relayed) => relayed,
            Err(Broken::Refused(error)) => return Err(error),
            Err(Broken::Stalled) => {
                return Err(self.interrupted(self.unreachable("it takes no bytes any more")));
            }
            Err(Broken::Gone) => {
                let why = timeout(patience, sending).await;
                return Err(match why {
                    Ok(sent) => self.too_early(sent),
                    Err(_) => self.interrupted(self.unreachable("it broke off")),
                });
            }
        };
        let said = match timeout(patience, sending).await {
            Ok(Ok(said)) => said,
            Ok(Err(error)) => {
                return Err(self.interrupted(self.failed(error, S3ErrorCode::NoSuchUpload)));
            }
            Err(_) => return Err(self.interrupted(self.unreachable("did not answer in time"))),
        };
        Ok(Sent {
            said,
            size: length,
            checksums,
            turn,
        })
    }

    /// The same with a body that is at hand, and can be sent again.
    pub(super) async fn send_whole<O, E, R>(
        &self,
        purpose: Purpose,
        key: &ObjectKey,
        scope: Option<&Arc<Scope>>,
        bytes: Bytes,
        checksums: Checksums,
        request: impl FnOnce(ByteStream, Sums) -> R,
    ) -> S3Result<Sent<O>>
    where
        R: Future<Output = Result<O, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let turn = self.turn(purpose, key).await;
        super::open(scope)?;
        let size = bytes.len() as u64;
        let sums = self.passed_on(Sums {
            before: checksums.clone(),
            ..Sums::default()
        });
        let sent = Box::pin(request(ByteStream::from(bytes), sums)).await;
        let said = sent.map_err(|error| self.failed(error, S3ErrorCode::NoSuchUpload))?;
        Ok(Sent {
            said,
            size,
            checksums,
            turn,
        })
    }

    async fn relay(
        &self,
        purpose: Purpose,
        key: &ObjectKey,
        scope: Option<&Arc<Scope>>,
        incoming: Incoming,
        length: u64,
        chunks: mpsc::Sender<Result<Bytes, BoxError>>,
    ) -> Result<(Checksums, Option<Turn>), Broken> {
        let patience = self.bounds().read_timeout;
        let relayed = self
            .relay_here(purpose, key, scope, incoming, length, &chunks)
            .await;
        if relayed.is_err() {
            // So that the connection breaks off, rather than ends as if that were all.
            let why = "the body is not to become an object".into();
            let _ = timeout(patience, chunks.send(Err(why))).await;
        }
        relayed
    }

    async fn relay_here(
        &self,
        purpose: Purpose,
        key: &ObjectKey,
        scope: Option<&Arc<Scope>>,
        mut incoming: Incoming,
        length: u64,
        chunks: &mpsc::Sender<Result<Bytes, BoxError>>,
    ) -> Result<(Checksums, Option<Turn>), Broken> {
        let patience = self.bounds().read_timeout;
        let mut digest = Digest::of(&incoming.announced);
        let mut held: Option<Bytes> = None;
        while let Some(chunk) = incoming.chunks.next().await {
            let chunk = chunk?;
            if chunk.is_empty() {
                continue;
            }
            digest.update(&chunk);
            if digest.size > length {
                return Err(incomplete().into());
            }
            if let Some(ready) = held.replace(chunk) {
                room(chunks, patience).await?.send(Ok(ready));
            }
        }
        let Some(last) = held.filter(|_| digest.size == length) else {
            return Err(incomplete().into());
        };
        let sums = digest.verify(&incoming.announced, incoming.trailers.as_ref())?;
        let turn = self.turn(purpose, key).await;
        let room = room(chunks, patience).await?;
        let pass = match scope.map(|scope| scope.pass()) {
            Some(None) => return Err(S3Error::from(StoreError::Fenced).into()),
            Some(Some(pass)) => Some(pass),
            None => None,
        };
        room.send(Ok(last));
        drop(pass);
        Ok((sums, turn))
    }

    async fn turn(&self, purpose: Purpose, key: &ObjectKey) -> Option<Turn> {
        match purpose {
            Purpose::Object => Some(self.order.turn(key).await),
            Purpose::Part => None,
        }
    }

    fn passed_on(&self, sums: Sums) -> Sums {
        if self.config.checksums {
            sums
        } else {
            Sums {
                flowing: sums.flowing,
                ..Sums::default()
            }
        }
    }

    /// How a request with a body differs from others.
    pub(super) fn overrides(&self, sums: &Sums) -> aws_sdk_s3::config::Builder {
        let config = aws_sdk_s3::Config::builder();
        let config = match sums.flowing {
            true => config.timeout_config(connect::streaming(self.bounds())),
            false => config,
        };
        match sums.after {
            // The SDK computes it on the way and lets it follow.
            Some(_) => {
                config.request_checksum_calculation(RequestChecksumCalculation::WhenSupported)
            }
            None => config,
        }
    }

    /// A store that answers before it has the whole of a body refuses it, or is no store.
    fn too_early<O, E>(&self, sent: Result<O, SdkError<E, HttpResponse>>) -> S3Error
    where
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        self.interrupted(match sent {
            Err(error) => self.failed(error, S3ErrorCode::NoSuchUpload),
            Ok(_) => self.unreachable("it took a body before its end"),
        })
    }
}

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a body was not passed on.
enum Broken {
    Refused(S3Error),
    /// The store takes nothing.
    Stalled,
    /// The request is over.
    Gone,
}

impl From<S3Error> for Broken {
    fn from(error: S3Error) -> Self {
        Self::Refused(error)
    }
}

async fn room<T>(
    chunks: &mpsc::Sender<T>,
    patience: Duration,
) -> Result<mpsc::Permit<'_, T>, Broken> {
    match timeout(patience, chunks.reserve()).await {
        Ok(Ok(room)) => Ok(room),
        Ok(Err(_)) => Err(Broken::Gone),
        Err(_) => Err(Broken::Stalled),
    }
}

/// The body of a request to a store.
struct Outgoing {
    chunks: mpsc::Receiver<Result<Bytes, BoxError>>,
    left: u64,
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        self.chunks.poll_recv(context).map(|chunk| {
            let chunk = match chunk? {
                Ok(chunk) => chunk,
                Err(error) => return Some(Err(error)),
            };
            self.left = self.left.saturating_sub(chunk.len() as u64);
            Some(Ok(Frame::data(chunk)))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}
