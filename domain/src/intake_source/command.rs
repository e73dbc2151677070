//! What can be said about one who delivers.

use uuid::Uuid;

use super::HandshakeKind;

/// The commands of a source.
#[derive(Clone, Debug, PartialEq)]
pub enum IntakeSourceCommand {
    /// It asked whether it may deliver, and was answered that it may.
    AnswerHandshake {
        /// Its name; `-` for the endpoint without one.
        source: String,
        /// How it asked.
        kind: HandshakeKind,
        /// What for: a topic, an origin, a channel.
        subject: Option<String>,
        /// Tells this question from others, the same when it is asked again.
        identity: Uuid,
    },
}
