//! What can happen to one who delivers. These names and shapes are storage format.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::aggregate::events;

events! {
    /// The events of the stream `intake-{source}`.
    pub enum IntakeSourceEvent {
        /// It asked whether it may deliver, and was answered that it may.
        HandshakeAnswered,
    }
}

/// It asked whether it may deliver, and was answered that it may.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandshakeAnswered {
    /// Its name; `-` for the endpoint without one.
    pub source: String,
    /// How it asked.
    pub kind: HandshakeKind,
    /// What for: a topic, an origin, a channel.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// The identities of the newest handshakes, this one last.
    pub answered: VecDeque<Uuid>,
}

/// How somebody asks whether he may deliver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HandshakeKind {
    /// Amazon SNS: the subscription of a topic was confirmed.
    SnsSubscription,
    /// Azure Event Grid: its validation code was given back.
    EventGrid,
    /// CloudEvents: the origin of a web hook was allowed.
    WebHook,
    /// Google Cloud Storage: the first message of a channel.
    GoogleChannel,
}
