//! Whether a request was heard to its end before it was answered.
//!
//! Where it was not (it was refused by its headers, say), the rest of the body may still be on its
//! way, so the connection cannot serve another request and is closed behind the answer. The answer
//! has to say so (RFC 9112, section 9.6): a client that is not told sends its next request into
//! a connection that closes, and cannot know whether it was carried out.
//!
//! The gateway's listener wraps its requests in [`Heard`], and so does that of the API and of the
//! intake, which the program has.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use hyper::header::{CONNECTION, HeaderValue};
use hyper::{HeaderMap, Version};

/// A request's body, which notes when it was read to its end.
#[derive(Debug)]
pub struct Heard<B> {
    body: B,
    ended: Ended,
}

/// What [`Heard`] noted, for whoever answers.
#[derive(Clone, Debug)]
pub struct Ended(Arc<AtomicBool>);

impl<B: Body> Heard<B> {
    /// The same body, and what to ask when it is answered.
    pub fn new(body: B) -> (Self, Ended) {
        let ended = Ended(Arc::new(AtomicBool::new(body.is_end_stream())));
        let heard = Self {
            body,
            ended: ended.clone(),
        };
        (heard, ended)
    }
}

impl Ended {
    /// Says in an answer's headers that the connection is closed behind it, if it will be.
    pub fn tell(&self, version: Version, headers: &mut HeaderMap) {
        if !self.0.load(Ordering::Acquire) && version >= Version::HTTP_11 {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Heard<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None)) || self.body.is_end_stream() {
            self.ended.0.store(true, Ordering::Release);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
