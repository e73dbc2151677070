//! One who delivers notifications: which of its questions, whether it may, were answered.
//!
//! Verdicts on objects are for the objects' own streams; here is what concerns no object and is worth
//! knowing all the same. Every event carries the whole (small) state.

mod command;
mod error;
mod event;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

pub use command::IntakeSourceCommand;
pub use error::IntakeSourceError;
pub use event::{HandshakeAnswered, HandshakeKind, IntakeSourceEvent};

use crate::{Aggregate, Context, Load};

/// How many handshakes are remembered to know a repeated one.
pub const REMEMBERED_HANDSHAKES: usize = 16;

/// The name of the stream of a source.
pub fn stream_of(source: &str) -> String {
    format!("intake-{source}")
}

/// The aggregate.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct IntakeSource {
    /// The newest handshakes, oldest first; at most [`REMEMBERED_HANDSHAKES`].
    pub answered: VecDeque<Uuid>,
}

impl Aggregate for IntakeSource {
    const NAME: &'static str = "intake source";
    const LOAD: Load = Load::NewestEvent;
    type Command = IntakeSourceCommand;
    type Event = IntakeSourceEvent;
    type Error = IntakeSourceError;

    fn decide(
        &self,
        command: IntakeSourceCommand,
        _context: &Context,
    ) -> Result<Vec<IntakeSourceEvent>, IntakeSourceError> {
        let IntakeSourceCommand::AnswerHandshake {
            source,
            kind,
            subject,
            identity,
        } = command;
        if self.answered.contains(&identity) {
            return Ok(Vec::new());
        }
        let mut answered = self.answered.clone();
        if answered.len() >= REMEMBERED_HANDSHAKES {
            answered.pop_front();
        }
        answered.push_back(identity);
        let event = HandshakeAnswered {
            source,
            kind,
            subject,
            answered,
        };
        Ok(vec![event.into()])
    }

    fn evolve(self, event: &IntakeSourceEvent) -> Self {
        let IntakeSourceEvent::HandshakeAnswered(event) = event;
        Self {
            answered: event.answered.clone(),
        }
    }
}
