//! Our own [`cqrs_es::EventStore`] over the [`EventLog`]: expected versions, event ids that follow
//! from the command, big payloads in the blob store before the event that names them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use cqrs_es::{AggregateContext, AggregateError, EventEnvelope, EventStore};
use daybook_domain::{Aggregate, Event, Load, may_refer};
use daybook_event_store::blobs::{INLINE_LIMIT_BYTES, Passing};
use daybook_event_store::{
    Append, AppendError, Direction, NewEvent, RecordedEvent, StreamName, StreamVersion,
};
use uuid::Uuid;

use super::error::{on_append, on_blob, on_decode, on_json, on_read};
use super::{Executed, Kept, Ledger, Origin};
use crate::shim::{Fact, Root};

/// How many events of a stream are read at once.
const PAGE: usize = 512;

/// What attempts wrote is kept for a time only, see `retention.rs`.
const PASSING: &[&str] = &["logs"];

/// How often an append of unknown outcome is repeated with the same ids.
pub(super) const MAX_REPEATS: u32 = 3;

/// The store of one command on one stream.
pub(super) struct LogStore<A: Aggregate> {
    ledger: Ledger,
    stream: StreamName,
    origin: Origin,
    committed: Committed<A>,
}

/// Where the store leaves what it committed: the framework itself returns nothing.
pub(super) struct Committed<A: Aggregate>(Arc<Mutex<Option<Executed<A>>>>);

impl<A: Aggregate> Committed<A> {
    pub(super) fn take(&self) -> Option<Executed<A>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn put(&self, executed: Executed<A>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(executed);
    }
}

/// A loaded aggregate and the version of its stream.
pub(super) struct Loaded<A: Aggregate> {
    root: Root<A>,
    version: Option<StreamVersion>,
}

impl<A: Aggregate> AggregateContext<Root<A>> for Loaded<A> {
    fn aggregate(&mut self) -> &mut Root<A> {
        &mut self.root
    }
}

impl<A: Kept> LogStore<A> {
    pub(super) fn new(ledger: &Ledger, stream: StreamName, origin: &Origin) -> Self {
        Self {
            ledger: ledger.clone(),
            stream,
            origin: origin.clone(),
            committed: Committed(Arc::default()),
        }
    }

    pub(super) fn committed(&self) -> Committed<A> {
        Committed(self.committed.0.clone())
    }

    async fn append(
        &self,
        append: Append,
    ) -> Result<daybook_event_store::Appended, AggregateError<A::Error>> {
        let mut repeats = 0;
        loop {
            match self.ledger.log().append(append.clone()).await {
                Err(AppendError::Unknown(_)) if repeats < MAX_REPEATS => repeats += 1,
                result => return result.map_err(on_append),
            }
        }
    }
}

impl<A: Kept> EventStore<Root<A>> for LogStore<A> {
    type AC = Loaded<A>;

    async fn load_events(
        &self,
        _aggregate_id: &str,
    ) -> Result<Vec<EventEnvelope<Root<A>>>, AggregateError<A::Error>> {
        let mut envelopes = Vec::new();
        let mut from = None;
        loop {
            let page = self
                .ledger
                .log()
                .read_stream(&self.stream, from, Direction::Forward, PAGE)
                .await
                .map_err(on_read)?;
            let Some(last) = page.last() else {
                return Ok(envelopes);
            };
            from = Some(StreamVersion(last.version.0 + 1));
            for event in &page {
                envelopes.push(EventEnvelope {
                    aggregate_id: self.stream.to_string(),
                    sequence: usize::try_from(event.version.0).unwrap_or(usize::MAX),
                    payload: Fact(decode::<A>(&self.ledger, event).await?),
                    metadata: HashMap::new(),
                });
            }
        }
    }

    async fn load_aggregate(
        &self,
        _aggregate_id: &str,
    ) -> Result<Loaded<A>, AggregateError<A::Error>> {
        let (root, version) = load::<A>(&self.ledger, &self.stream).await?;
        Ok(Loaded { root, version })
    }

    async fn commit(
        &self,
        events: Vec<Fact<A::Event>>,
        context: Loaded<A>,
        _metadata: HashMap<String, String>,
    ) -> Result<Vec<EventEnvelope<Root<A>>>, AggregateError<A::Error>> {
        let state = context.root.0;
        if events.is_empty() {
            self.committed.put(Executed {
                events: Vec::new(),
                state,
                position: None,
            });
            return Ok(Vec::new());
        }
        let events: Vec<_> = events.into_iter().map(|Fact(event)| event).collect();
        let append = Append {
            stream: self.stream.clone(),
            expected: context.version.into(),
            events: encode(&self.ledger, self.stream.as_str(), &self.origin, &events).await?,
        };
        let appended = self.append(append).await?;
        A::cache(&self.ledger).put(self.stream.as_str(), state.clone(), appended.version);
        self.committed.put(Executed {
            events,
            state,
            position: Some(appended.position),
        });
        // Nobody listens inside the framework: what follows from an event follows from the log.
        Ok(Vec::new())
    }
}

/// The events of a command as the log takes them; what is big in them lies in the blob store then.
pub(super) async fn encode<E: Event, R: std::error::Error>(
    ledger: &Ledger,
    stream: &str,
    origin: &Origin,
    events: &[E],
) -> Result<Vec<NewEvent>, AggregateError<R>> {
    let mut encoded = Vec::with_capacity(events.len());
    for (ordinal, event) in events.iter().enumerate() {
        let name = format!("{stream}:{ordinal}");
        let event_id = Uuid::new_v5(&origin.command.0, name.as_bytes());
        let mut data = event.to_bytes();
        if data.len() > INLINE_LIMIT_BYTES || may_refer(&data) {
            let passing = Passing {
                fields: PASSING,
                event: event_id,
            };
            let body = ledger.blobs().offload(event.to_json(), Some(passing));
            let body = body.await.map_err(on_blob)?;
            data = serde_json::to_vec(&body).map_err(on_json)?;
        }
        encoded.push(NewEvent {
            event_id,
            event_type: event.event_type().into(),
            schema_version: event.schema_version(),
            data: data.into(),
            metadata: origin.metadata(),
        });
    }
    Ok(encoded)
}

/// The fold of a stream and its version; `None` where the stream does not exist.
pub(super) async fn load<A: Kept>(
    ledger: &Ledger,
    stream: &StreamName,
) -> Result<(Root<A>, Option<StreamVersion>), AggregateError<A::Error>> {
    match A::cache(ledger).get(stream.as_str()) {
        Some((state, version)) => Ok((Root(state), Some(version))),
        None => read(ledger, stream).await,
    }
}

/// The same from the log, whatever is kept of it.
pub(super) async fn read<A: Kept>(
    ledger: &Ledger,
    stream: &StreamName,
) -> Result<(Root<A>, Option<StreamVersion>), AggregateError<A::Error>> {
    let (direction, limit) = match A::LOAD {
        Load::WholeStream => (Direction::Forward, PAGE),
        Load::NewestEvent => (Direction::Backward, 1),
    };
    let mut state = A::default();
    let mut version: Option<StreamVersion> = None;
    loop {
        let from = version.map(|version| StreamVersion(version.0 + 1));
        let page = ledger
            .log()
            .read_stream(stream, from, direction, limit)
            .await
            .map_err(on_read)?;
        for event in &page {
            state = state.evolve(&decode::<A>(ledger, event).await?);
            version = Some(event.version);
        }
        if page.len() < limit || A::LOAD == Load::NewestEvent {
            break;
        }
    }
    if let Some(version) = version {
        A::cache(ledger).put(stream.as_str(), state.clone(), version);
    }
    Ok((Root(state), version))
}

async fn decode<A: Aggregate>(
    ledger: &Ledger,
    event: &RecordedEvent,
) -> Result<A::Event, AggregateError<A::Error>> {
    if let Some(event) = A::Event::from_bytes(&event.event_type, event.schema_version, &event.data)
    {
        return Ok(event);
    }
    let body = serde_json::from_slice(&event.data).map_err(on_json)?;
    let body = ledger.blobs().hydrate(body).await.map_err(on_blob)?;
    A::Event::from_json(&event.event_type, event.schema_version, body).map_err(on_decode)
}
