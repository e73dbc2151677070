//! One of each event as it is written today, with every optional field and with none: what the
//! golden files in `domain/fixtures` are made of and compared with.
//!
//! A sample is named after what it shows. Its name is part of the golden file's, so a sample that
//! comes to show something new gets a new name (CONTRIBUTING.md, "Adding an event").

mod execution;
mod export;
mod function;
mod intake;
mod object;
mod pipeline;
mod reconcile;
mod replay;
mod worker;

use std::collections::BTreeSet;

use serde_json::Value;

use super::trace::{Field, trace};
use crate::{Event, LedgerEvent, Upcaster};

/// The samples of one aggregate.
pub(super) struct Samples {
    /// How the names of its streams begin, and the folder of its golden files.
    pub(super) kind: &'static str,
    pub(super) types: &'static [(&'static str, u32)],
    pub(super) upcasters: &'static [Upcaster],
    pub(super) samples: Vec<Sample>,
}

/// One event as it is written today.
pub(super) struct Sample {
    pub(super) event_type: &'static str,
    pub(super) schema_version: u32,
    /// What it shows: `full`, `bare` or another word.
    pub(super) name: &'static str,
    pub(super) body: Value,
    /// The fields that its structs declare, and those that it has.
    pub(super) declared: BTreeSet<Field>,
    pub(super) present: BTreeSet<Field>,
}

/// The samples of every aggregate.
pub(super) fn all() -> Vec<Samples> {
    vec![
        samples("object", object::samples()),
        samples("execution", execution::samples()),
        samples("pipeline", pipeline::samples()),
        samples("function", function::samples()),
        samples("replay", replay::samples()),
        samples("reconcile", reconcile::samples()),
        samples("export", export::samples()),
        samples("worker", worker::samples()),
        samples("intake", intake::samples()),
    ]
}

/// What a stored event of a kind says today, as `{"type": …, "data": …}`.
pub(super) fn read(
    kind: &str,
    event_type: &str,
    schema_version: u32,
    body: Value,
) -> Result<(&'static str, Value), String> {
    let stream = format!("{kind}-x");
    let event =
        LedgerEvent::from_json(&stream, event_type, schema_version, body).map_err(|error| {
            match std::error::Error::source(&error) {
                Some(source) => format!("{error}: {source}"),
                None => error.to_string(),
            }
        })?;
    let today = |event_type, body| Ok((event_type, body));
    match event.ok_or_else(|| format!("{kind} is no aggregate"))? {
        LedgerEvent::Object(event) => today(event.event_type(), event.to_json()),
        LedgerEvent::Execution(event) => today(event.event_type(), event.to_json()),
        LedgerEvent::Pipeline(event) => today(event.event_type(), event.to_json()),
        LedgerEvent::Function(event) => today(event.event_type(), event.to_json()),
        LedgerEvent::Replay(event) => today(event.event_type(), event.to_json()),
        LedgerEvent::Reconcile(event) => today(event.event_type(), event.to_json()),
        LedgerEvent::Export(event) => today(event.event_type(), event.to_json()),
        LedgerEvent::Worker(event) => today(event.event_type(), event.to_json()),
        LedgerEvent::IntakeSource(event) => today(event.event_type(), event.to_json()),
    }
}

fn samples<E: Event>(kind: &'static str, samples: Vec<(&'static str, E)>) -> Samples {
    let samples = samples.into_iter().map(|(name, event)| {
        let body = event.to_json();
        let (declared, present) = trace::<E>(event.event_type(), &body);
        Sample {
            event_type: event.event_type(),
            schema_version: event.schema_version(),
            name,
            body,
            declared,
            present,
        }
    });
    Samples {
        kind,
        types: E::TYPES,
        upcasters: E::UPCASTERS,
        samples: samples.collect(),
    }
}

/// An id that is the same each time.
fn uuid(number: u128) -> uuid::Uuid {
    uuid::Uuid::from_u128(0xda1b_0000_0000_4000_8000_0000_0000_0000 + number)
}

/// A moment that is the same each time.
fn time() -> jiff::Timestamp {
    jiff::Timestamp::from_microsecond(1_772_618_400_123_456).unwrap()
}

fn name<N: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> N {
    text.parse().unwrap()
}
