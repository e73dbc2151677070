//! What a reconcile found, read back from its events.

use daybook_domain::reconcile::{Finding, ReconcileEvent, stream_of};
use daybook_domain::{Event, ReconcileId};
use daybook_event_store::{Direction, StreamName, StreamVersion};

use crate::commands::Ledger;

/// How many events are read for one page. Each has its findings.
const PAGE: usize = 4;

/// Some findings, and the event to go on with.
pub(crate) struct FindingsPage {
    pub findings: Vec<Finding>,
    pub next: Option<u64>,
}

/// The findings of a reconcile from one of its events on, in the order of keys.
pub(crate) async fn findings(
    ledger: &Ledger,
    id: ReconcileId,
    from: u64,
) -> Result<FindingsPage, Box<dyn std::error::Error + Send + Sync>> {
    let stream = StreamName::new(stream_of(id));
    let from = Some(StreamVersion(from));
    let events = ledger
        .log()
        .read_stream(&stream, from, Direction::Forward, PAGE)
        .await?;
    let next = events.last().map(|event| event.version.0 + 1);
    let next = next.filter(|_| events.len() == PAGE);
    let mut findings = Vec::new();
    for event in events {
        let body = serde_json::from_slice(&event.data)?;
        let body = ledger.blobs().hydrate(body).await?;
        let event = ReconcileEvent::from_json(&event.event_type, event.schema_version, body)?;
        match event {
            ReconcileEvent::ReconcileProgressed(event) => findings.extend(event.findings),
            ReconcileEvent::ReconcileCompleted(event) => findings.extend(event.findings),
            ReconcileEvent::ReconcileStarted(_)
            | ReconcileEvent::ReconcilePaused(_)
            | ReconcileEvent::ReconcileResumed(_)
            | ReconcileEvent::ReconcileFailed(_)
            | ReconcileEvent::ReconcileCancelled(_) => {}
        }
    }
    Ok(FindingsPage { findings, next })
}
