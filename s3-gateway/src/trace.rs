//! The trace context that a request came with (the header `traceparent` of W3C Trace Context), for
//! the ledger to record with what the request does. It goes along with the task that serves the
//! request, and with those that this one hands its work to.

use std::sync::Arc;

use hyper::HeaderMap;
use tokio::task_local;

/// The header's name.
const HEADER: &str = "traceparent";

/// More than any version of the specification needs.
const MAX_BYTES: usize = 256;

task_local! {
    static CURRENT: Option<Arc<str>>;
}

/// What the request that is served in this task came with; not checked.
pub fn traceparent() -> Option<Arc<str>> {
    CURRENT.try_with(Clone::clone).ok().flatten()
}

/// The context among a request's headers.
pub(crate) fn of(headers: &HeaderMap) -> Option<Arc<str>> {
    let header = headers.get(HEADER)?.to_str().ok()?;
    (header.len() <= MAX_BYTES).then(|| header.into())
}

/// Work for a request that came with this context.
pub(crate) fn within<F: Future>(
    traceparent: Option<Arc<str>>,
    work: F,
) -> impl Future<Output = F::Output> {
    CURRENT.scope(traceparent, work)
}

/// Work for a task of its own, which belongs to the same request.
pub(crate) fn carried<F: Future>(work: F) -> impl Future<Output = F::Output> {
    within(traceparent(), work)
}
