//! What is done to an append where it comes from, so that the one writer only has to insert: its
//! limits are checked and its events encoded.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::block::encode_body;
use super::streams::hash_of;
use crate::admission::{check_limits, weight};
use crate::{Append, AppendError, Expected, NewEvent, RecordedEvent, StreamName};

/// SQLite's integers are signed. What is beyond them is beyond everything stored.
pub(super) fn to_sql(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// A stream's name with its hash, which is what the index of streams knows.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct HashedName {
    pub(super) name: StreamName,
    pub(super) hash: i64,
}

impl HashedName {
    pub(super) fn new(name: StreamName) -> Self {
        let hash = hash_of(name.as_str());
        Self { name, hash }
    }
}

impl Hash for HashedName {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        hasher.write_i64(self.hash);
    }
}

/// An append that was checked and is ready to be inserted.
pub(super) struct EncodedAppend {
    pub(super) stream: HashedName,
    pub(super) expected: Expected,
    pub(super) events: Vec<EncodedEvent>,
    pub(super) bytes: usize,
}

/// An event without what only the writer knows: position, version, time and numbers of names.
pub(super) struct EncodedEvent {
    pub(super) event_id: uuid::Uuid,
    pub(super) event_type: Arc<str>,
    pub(super) body: Vec<u8>,
}

/// Checks the limits and encodes.
pub(super) fn encode(append: Append) -> Result<EncodedAppend, AppendError> {
    check_limits(&append)?;
    let bytes = weight(&append);
    let events = append.events.into_iter();
    Ok(EncodedAppend {
        stream: HashedName::new(append.stream),
        expected: append.expected,
        events: events
            .map(|event| EncodedEvent {
                event_id: event.event_id,
                body: encode_body(&event, &crate::clock::new_salt()),
                event_type: event.event_type,
            })
            .collect(),
        bytes,
    })
}

/// An event that has its salt already.
pub(super) fn encode_recorded(event: &RecordedEvent) -> EncodedEvent {
    let new = NewEvent {
        event_id: event.event_id,
        event_type: event.event_type.clone(),
        schema_version: event.schema_version,
        data: event.data.clone(),
        metadata: event.metadata.clone(),
    };
    EncodedEvent {
        event_id: event.event_id,
        event_type: event.event_type.clone(),
        body: encode_body(&new, &event.salt),
    }
}
