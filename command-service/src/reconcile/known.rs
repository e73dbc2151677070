//! The ledger's side of a comparison: what the log has of each key, in the order of keys.
//!
//! It is read from the log itself. The newest event of a key's stream carries all that is known of
//! it, so that one event a key is enough.

use daybook_domain::stored_object::{
    ObjectEvent, ObjectState, ObjectVersion, StoredObject, stream_of,
};
use daybook_domain::{Aggregate, BucketName, Event, ObjectKey, ReconcileId};
use daybook_event_store::{
    Direction, Position, ReadError, RecordedEvent, StreamName, StreamRange, StreamVersion,
};
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_util::task::AbortOnDropHandle;

use super::Problem;
use crate::commands::Ledger;

/// Events of one key that are read at once.
const PAGE: usize = 256;

/// How many pages are decoded ahead.
const PAGES_AHEAD: usize = 2;

/// What the ledger has of a key.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Known {
    pub key: ObjectKey,
    pub state: ObjectState,
    /// Whether its newest event was recorded by this reconcile, before it was interrupted.
    pub ours: bool,
}

/// All keys that the ledger knows of, in order.
pub(super) struct KnownKeys {
    head: Position,
    pages: mpsc::Receiver<Result<Vec<Known>, Problem>>,
    _reading: AbortOnDropHandle<()>,
}

impl KnownKeys {
    /// Those of a bucket that begin so and come after a key.
    pub(super) async fn begin(
        ledger: &Ledger,
        id: ReconcileId,
        bucket: &BucketName,
        prefix: &str,
        after: Option<&ObjectKey>,
    ) -> Result<Self, Problem> {
        let streams = format!("object-{bucket}/");
        let range = StreamRange {
            prefix: format!("{streams}{prefix}"),
            after: after.map(|key| stream_of(bucket, key)),
        };
        let mut newest = ledger.log().clone().newest_of_streams(range).await?;
        let (head, ledger, id) = (newest.head(), ledger.clone(), id.to_string());
        let (sender, pages) = mpsc::channel(PAGES_AHEAD);
        // Beside the comparison, since decoding is a good part of the work.
        let reading = tokio::spawn(async move {
            loop {
                let page = match newest.next_page().await {
                    Ok(Some(events)) => decode_page(&ledger, &streams, &id, events).await,
                    Ok(None) => return,
                    Err(error) => Err(error.into()),
                };
                let failed = page.is_err();
                if sender.send(page).await.is_err() || failed {
                    return;
                }
            }
        });
        Ok(Self {
            head,
            pages,
            _reading: AbortOnDropHandle::new(reading),
        })
    }

    /// Where the log ended when they were read.
    pub(super) fn head(&self) -> Position {
        self.head
    }

    pub(super) async fn next_page(&mut self) -> Result<Option<Vec<Known>>, Problem> {
        self.pages.recv().await.transpose()
    }
}

async fn decode_page(
    ledger: &Ledger,
    streams: &str,
    id: &str,
    events: Vec<RecordedEvent>,
) -> Result<Vec<Known>, Problem> {
    let mut page = Vec::with_capacity(events.len());
    for event in events {
        let name = event.stream.as_str().strip_prefix(streams);
        let Some(key) = name.and_then(|key| ObjectKey::parse(key).ok()) else {
            continue;
        };
        page.push(Known {
            key,
            ours: event.metadata.causation_id.as_deref() == Some(id),
            state: state_of(ledger, &event).await?,
        });
    }
    Ok(page)
}

/// The state after an event. Most have it in place and in today's form, and then the rest of the
/// body need not be looked at.
async fn state_of(ledger: &Ledger, event: &RecordedEvent) -> Result<ObjectState, Problem> {
    #[derive(Deserialize)]
    struct Body {
        state: ObjectState,
    }
    let current = ObjectEvent::TYPES.contains(&(&*event.event_type, event.schema_version));
    let moved = event.data.windows(BLOB.len()).any(|part| part == BLOB);
    if current
        && !moved
        && let Ok(body) = serde_json::from_slice::<Body>(&event.data)
    {
        return Ok(body.state);
    }
    let event = decode(ledger, event).await?;
    Ok(StoredObject::default().evolve(&event).state)
}

/// What is in a body a part of which lies in the blob store.
const BLOB: &[u8] = b"\"$blob\"";

async fn decode(ledger: &Ledger, event: &RecordedEvent) -> Result<ObjectEvent, Problem> {
    let body = serde_json::from_slice(&event.data).map_err(Problem::damaged)?;
    let body = ledger.blobs().hydrate(body).await;
    let body = body.map_err(Problem::unavailable)?;
    ObjectEvent::from_json(&event.event_type, event.schema_version, body).map_err(Problem::damaged)
}

/// An event of a key, with what its metadata says.
pub(super) struct KeyEvent {
    pub event: ObjectEvent,
    pub recorded: RecordedEvent,
}

/// Reads all events of a key, the newest first, until it is told to stop.
pub(super) async fn each_event(
    ledger: &Ledger,
    bucket: &BucketName,
    key: &ObjectKey,
    mut take: impl FnMut(KeyEvent) -> bool,
) -> Result<(), Problem> {
    let stream = StreamName::new(stream_of(bucket, key));
    let mut from: Option<StreamVersion> = None;
    loop {
        let page = ledger
            .log()
            .read_stream(&stream, from, Direction::Backward, PAGE)
            .await?;
        let last = page.last().map(|event| event.version.0);
        let full = page.len() == PAGE;
        for recorded in page {
            let event = decode(ledger, &recorded).await?;
            if !take(KeyEvent { event, recorded }) {
                return Ok(());
            }
        }
        match last.and_then(|last| last.checked_sub(1)) {
            Some(next) if full => from = Some(StreamVersion(next)),
            _ => return Ok(()),
        }
    }
}

/// All versions of a key that were ever recorded.
pub(super) async fn all_versions(
    ledger: &Ledger,
    bucket: &BucketName,
    key: &ObjectKey,
) -> Result<Vec<ObjectVersion>, Problem> {
    let mut versions = Vec::new();
    each_event(ledger, bucket, key, |event| {
        if let ObjectEvent::ObjectCreated(created) = event.event {
            versions.push(created.version);
        }
        true
    })
    .await?;
    Ok(versions)
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Damaged(_) => Problem::damaged(error),
            error => Problem::unavailable(error),
        }
    }
}
