//! The port to the dialects: what was read of a delivery.

use async_trait::async_trait;
use daybook_intake::{Delivery, Notification};

use super::{Response, SourceName};

/// Reads deliveries: tells the dialects apart, authenticates, decodes.
#[async_trait]
pub trait Reader: Send + Sync + 'static {
    /// What is in a delivery, in its order. `source` is the configured one that it came for.
    async fn read(&self, source: Option<&SourceName>, delivery: &Delivery) -> Reading;
}

/// What was read of a delivery.
#[derive(Clone, Debug, Default)]
pub struct Reading {
    /// Its records, in their order.
    pub items: Vec<Item>,
    /// What the dialect wants to be answered, where it is not our own answer (handshakes).
    pub answer: Option<Response>,
}

/// One record of a delivery.
#[derive(Clone, Debug)]
pub enum Item {
    /// A store tells of an object.
    Notification {
        /// What it says.
        notification: Box<Notification>,
        /// The message of the transport that it came in.
        message: Option<MessageRef>,
    },
    /// Nothing that concerns an object: a test, a message about the subscription.
    Ignored {
        /// Why, in a word.
        reason: String,
        /// Why, in a sentence.
        why: String,
        /// The message of the transport that it came in.
        message: Option<MessageRef>,
    },
    /// A question whether this endpoint is meant, and it was answered.
    Handshake {
        /// What was done about it, in a sentence.
        why: String,
        /// The message of the transport that it came in.
        message: Option<MessageRef>,
    },
    /// It cannot be understood, or not be believed.
    Rejected {
        /// Why, and how that is answered.
        refusal: Refusal,
        /// The message of the transport that it came in.
        message: Option<MessageRef>,
    },
}

/// Why something is refused for good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Why, in a word.
    pub reason: String,
    /// Why, in a sentence.
    pub why: String,
    /// The status for the whole delivery, where all of it is refused.
    pub status: Option<u16>,
}

/// A message of a transport that batches: one may hold many records.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MessageRef {
    /// Its id at the transport, if it has one.
    pub id: Option<String>,
    /// Its place in the batch, from 0.
    pub index: usize,
}

impl Item {
    pub(super) fn is_notification(&self) -> bool {
        matches!(self, Self::Notification { .. })
    }
}
