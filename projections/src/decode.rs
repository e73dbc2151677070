//! From recorded bytes to domain events, fit to be folded.
//!
//! Big top-level fields of a body may be references into the blob store (`{"$blob": …}`). Payloads
//! and the texts of outcomes stay references: rows only point to them. Everything else (reports,
//! plans, settings, the cause of an execution) is fetched before the fold begins.

use std::collections::BTreeMap;
use std::sync::Arc;

use daybook_domain::{DecodeError, LedgerEvent};
use daybook_event_store::blobs::{BlobError, BlobStore};
use daybook_event_store::{Position, RecordedEvent, StreamName};
use serde_json::{Map, Value};
use thiserror::Error;

/// An event that cannot be read. Projections stop before it rather than show what is not so.
#[derive(Clone, Debug, Error)]
#[error("event {event_type} at position {position} in stream {stream} cannot be read: {why}")]
pub struct DecodeFault {
    /// Where it is.
    pub position: Position,
    /// Its stream.
    pub stream: StreamName,
    /// Its type.
    pub event_type: String,
    /// What is wrong with it.
    pub why: String,
    /// Whether it may be readable later: the blob store does not answer now.
    pub transient: bool,
}

/// A recorded event with what it says.
#[derive(Clone, Debug)]
pub(crate) struct Prepared {
    pub(crate) recorded: Arc<RecordedEvent>,
    /// `None` for an event of no aggregate: it is only listed.
    pub(crate) event: Option<LedgerEvent>,
    /// Texts that are references, by field.
    references: BTreeMap<String, Value>,
}

/// Payloads of any shape: a reference decodes as well as the payload.
const PAYLOADS: [&str; 3] = ["input", "output", "definition"];
/// Texts that the rows point to, by event type: a reference is taken out before decoding and kept
/// beside the event. The same name can be a structure elsewhere, as `cause` in `ExecutionStarted`.
const TEXTS: [(&str, &[&str]); 7] = [
    ("TaskCommitted", &["logs"]),
    ("TaskSucceeded", &["logs"]),
    ("TaskFailed", &["cause", "logs"]),
    ("TaskTimedOut", &["cause", "logs"]),
    ("TaskInterrupted", &["why"]),
    ("ExecutionFailed", &["cause"]),
    ("ExecutionAborted", &["reason"]),
];
const REFERENCE: &str = "$blob";

/// Reads an event that needs nothing from the blob store, as most do.
pub(crate) fn read_whole(recorded: &RecordedEvent) -> Option<LedgerEvent> {
    LedgerEvent::from_bytes(
        recorded.stream.as_str(),
        &recorded.event_type,
        recorded.schema_version,
        &recorded.data,
    )
}

/// Gives an event as it was read; if that was not possible, reads it with what the fold has to see
/// of it from the blob store.
pub(crate) async fn prepare(
    recorded: Arc<RecordedEvent>,
    whole: Option<LedgerEvent>,
    blobs: &BlobStore,
) -> Result<Prepared, DecodeFault> {
    let fault = |why: String, transient: bool| DecodeFault {
        position: recorded.position,
        stream: recorded.stream.clone(),
        event_type: recorded.event_type.to_string(),
        why,
        transient,
    };
    if whole.is_some() {
        return Ok(Prepared {
            recorded,
            event: whole,
            references: BTreeMap::new(),
        });
    }
    let mut body: Value =
        serde_json::from_slice(&recorded.data).map_err(|error| fault(error.to_string(), false))?;
    let mut references = BTreeMap::new();
    if let Value::Object(fields) = &mut body {
        references = take_texts(&recorded.event_type, fields);
        hydrate_structures(fields, blobs).await.map_err(|error| {
            let transient = matches!(error, BlobError::Unavailable(_));
            fault(error.to_string(), transient)
        })?;
    }
    let event = decode(&recorded, body).map_err(|error| fault(with_sources(&error), false))?;
    Ok(Prepared {
        recorded,
        event,
        references,
    })
}

impl Prepared {
    /// A text field as JSON: the text, or the reference to it.
    pub(crate) fn text(&self, field: &str, inline: &str) -> String {
        match self.references.get(field) {
            Some(reference) => reference.to_string(),
            None => Value::from(inline).to_string(),
        }
    }
}

pub(crate) fn is_reference(value: &Value) -> bool {
    let fields = value.as_object().filter(|fields| fields.len() == 1);
    fields.is_some_and(|fields| fields.contains_key(REFERENCE))
}

fn take_texts(event_type: &str, fields: &mut Map<String, Value>) -> BTreeMap<String, Value> {
    TEXTS
        .iter()
        .filter(|(of, _)| *of == event_type)
        .flat_map(|(_, names)| *names)
        .filter_map(|name| {
            let field = fields.get_mut(*name).filter(|value| is_reference(value))?;
            let reference = std::mem::replace(field, Value::from(""));
            Some(((*name).to_owned(), reference))
        })
        .collect()
}

async fn hydrate_structures(
    fields: &mut Map<String, Value>,
    blobs: &BlobStore,
) -> Result<(), BlobError> {
    for (name, value) in fields.iter_mut() {
        if PAYLOADS.contains(&name.as_str()) || !is_reference(value) {
            continue;
        }
        let alone = Value::Object(Map::from_iter([(name.clone(), value.take())]));
        let mut whole = blobs.hydrate(alone).await?;
        *value = whole[name.as_str()].take();
    }
    Ok(())
}

fn decode(recorded: &RecordedEvent, body: Value) -> Result<Option<LedgerEvent>, DecodeError> {
    LedgerEvent::from_json(
        recorded.stream.as_str(),
        &recorded.event_type,
        recorded.schema_version,
        body,
    )
}

fn with_sources(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", with_sources(source)),
        None => error.to_string(),
    }
}
