//! What every aggregate is: a state, `decide` and `evolve`.

use std::fmt::Debug;

use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;
use uuid::Uuid;

use crate::upcast::{Upcaster, upcast};

/// One consistency boundary. Its stream of events is its whole truth.
pub trait Aggregate:
    Clone + Debug + Default + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// The aggregate's name, for messages.
    const NAME: &'static str;
    /// How much of its stream has to be read to know its state.
    const LOAD: Load = Load::WholeStream;
    /// What it can be asked to do.
    type Command: Clone + Debug + Send + 'static;
    /// What can happen to it.
    type Event: Event;
    /// Why it refuses.
    type Error: std::error::Error + Send + Sync + 'static;

    /// What a command leads to. Pure; a command handled before decides nothing new.
    fn decide(
        &self,
        command: Self::Command,
        context: &Context,
    ) -> Result<Vec<Self::Event>, Self::Error>;

    /// The state after an event. Never fails: what was recorded happened.
    fn evolve(self, event: &Self::Event) -> Self;
}

/// How much of a stream has to be read to know an aggregate's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Load {
    /// All events, oldest first.
    WholeStream,
    /// The newest event alone: each event carries the whole (small) state.
    NewestEvent,
}

/// What a pure function may not fetch for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// The current time.
    pub now: Timestamp,
    /// Randomness for this decision (ids, jitter).
    pub seed: u64,
}

/// The events of one aggregate.
pub trait Event:
    Clone + Debug + PartialEq + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// Each event's name as stored, with the version of the shape that [`Event::to_json`] writes.
    const TYPES: &'static [(&'static str, u32)];
    /// The steps that lead from older names and shapes to those of [`Event::TYPES`].
    const UPCASTERS: &'static [Upcaster];

    /// The event's name as stored.
    fn event_type(&self) -> &'static str;
    /// The version of the shape that [`Event::to_json`] writes.
    fn schema_version(&self) -> u32;
    /// The body as stored, without the name.
    fn to_json(&self) -> serde_json::Value;
    /// The same as text.
    fn to_bytes(&self) -> Vec<u8>;
    /// An event from its stored name, shape version and body, where the body is in today's form and
    /// whole; `None` where it has to go through [`Event::from_json`].
    fn from_bytes(event_type: &str, schema_version: u32, body: &[u8]) -> Option<Self>;
    /// An event from its name and body, both in today's form.
    fn from_current(event_type: &str, body: serde_json::Value) -> Result<Self, DecodeError>;

    /// An event from its stored name, shape version and body, brought up to today's form first.
    fn from_json(
        event_type: &str,
        schema_version: u32,
        body: serde_json::Value,
    ) -> Result<Self, DecodeError> {
        let (event_type, body) = upcast::<Self>(event_type, schema_version, body)?;
        Self::from_current(event_type, body)
    }
}

/// A stored event that this version of the program cannot read.
#[derive(Debug, Error)]
pub enum DecodeError {
    /// The name is not one of the aggregate's events: written by a newer version.
    #[error("unknown event type {0}")]
    UnknownType(String),
    /// The shape is newer than this release knows. Upgrade to the one that wrote it.
    #[error(
        "event {event_type} has schema version {found}, and this release knows versions up to \
         {known}: it was written by a newer release; upgrade"
    )]
    TooNew {
        /// The event's name.
        event_type: String,
        /// The version of its shape.
        found: u32,
        /// The newest version that this release knows.
        known: u32,
    },
    /// An upcaster cannot take it on: no release wrote such a version, or such a body.
    #[error(
        "event {event_type} of schema version {schema_version} cannot be brought up to date: {why}"
    )]
    Upcast {
        /// The event's name at that version.
        event_type: String,
        /// The version of its shape.
        schema_version: u32,
        /// What is wrong with it.
        why: String,
    },
    /// The body does not have the event's shape.
    #[error("event {event_type} has an unexpected shape")]
    Shape {
        /// The event's name.
        event_type: String,
        /// What does not fit.
        #[source]
        source: serde_json::Error,
    },
}

/// Room for the body of most events, in bytes: it is written without being moved.
pub(crate) const USUAL_BODY_BYTES: usize = 1024;

/// Whether a body, as text, may have references into a blob store in the place of fields. It is
/// true too often rather than too rarely.
pub fn may_refer(body: &[u8]) -> bool {
    const REFERENCE: &[u8] = b"\"$blob\"";
    // The first look is much quicker, and mostly enough.
    body.contains(&b'$')
        && body
            .windows(REFERENCE.len())
            .any(|window| window == REFERENCE)
}

/// Declares the event enum of an aggregate: each variant wraps the struct of the same name, which
/// is the stored body. The names are storage format.
///
/// `Variant = 2` says that the shape of the body has version 2; without a number it is the first.
/// What leads there from older ones is named after the enum: `upcasters: UPCASTERS`.
macro_rules! events {
    (
        $(#[$meta:meta])* $vis:vis enum $name:ident {
            $($(#[$vmeta:meta])* $variant:ident $(= $version:literal)?),+ $(,)?
        }
        $(upcasters: $upcasters:expr)?
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(tag = "type", content = "data")]
        $vis enum $name { $($(#[$vmeta])* $variant($variant)),+ }

        impl $crate::Event for $name {
            const TYPES: &'static [(&'static str, u32)] = &[$((
                stringify!($variant),
                $crate::upcast::declared_version(&[$($version)?]),
            )),+];
            const UPCASTERS: &'static [$crate::Upcaster] =
                $crate::upcast::declared_upcasters(&[$($upcasters)?]);

            fn event_type(&self) -> &'static str {
                match self { $($name::$variant(_) => stringify!($variant)),+ }
            }

            fn schema_version(&self) -> u32 {
                match self {
                    $($name::$variant(_) => const {
                        $crate::upcast::declared_version(&[$($version)?])
                    }),+
                }
            }

            fn to_json(&self) -> serde_json::Value {
                let body = match self { $($name::$variant(body) => serde_json::to_value(body)),+ };
                // The bodies are plain structs with string keys: they always serialize.
                body.unwrap_or(serde_json::Value::Null)
            }

            fn to_bytes(&self) -> Vec<u8> {
                let mut bytes = Vec::with_capacity($crate::aggregate::USUAL_BODY_BYTES);
                let written = match self {
                    $($name::$variant(body) => serde_json::to_writer(&mut bytes, body)),+
                };
                written.map(|()| bytes).unwrap_or_default()
            }

            fn from_bytes(event_type: &str, schema_version: u32, body: &[u8]) -> Option<Self> {
                if !<Self as $crate::Event>::TYPES.contains(&(event_type, schema_version))
                    || $crate::aggregate::may_refer(body)
                {
                    return None;
                }
                match event_type {
                    $(stringify!($variant) => {
                        serde_json::from_slice(body).map($name::$variant).ok()
                    })+
                    _ => None,
                }
            }

            fn from_current(
                event_type: &str,
                body: serde_json::Value,
            ) -> Result<Self, $crate::DecodeError> {
                match event_type {
                    $(stringify!($variant) => serde_json::from_value(body)
                        .map($name::$variant)
                        .map_err(|source| $crate::DecodeError::Shape {
                            event_type: event_type.to_owned(),
                            source,
                        }),)+
                    other => Err($crate::DecodeError::UnknownType(other.to_owned())),
                }
            }
        }

        $(impl From<$variant> for $name {
            fn from(body: $variant) -> Self { $name::$variant(body) }
        })+
    };
}
pub(crate) use events;

impl Context {
    /// A random-looking id that follows from the seed alone.
    pub fn uuid(&self, purpose: &str) -> Uuid {
        Uuid::new_v5(
            &Uuid::from_u64_pair(self.seed, 0x6461_7962_6f6f_6b00),
            purpose.as_bytes(),
        )
    }

    /// A fraction in 0..1 that follows from the seed alone.
    pub fn fraction(&self) -> f64 {
        // The 53 upper bits are what an f64 holds exactly.
        (self.seed >> 11) as f64 / (1_u64 << 53) as f64
    }
}
