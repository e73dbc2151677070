//! Where the log ends, as far as this process knows: what wakes its subscriptions.

use std::sync::Arc;

use tokio::sync::watch;

use crate::Position;

/// The watched end of the log. The writer and the follower share it; when both are gone, the log
/// has stopped.
#[derive(Clone)]
pub(super) struct Head(Arc<watch::Sender<Position>>);

impl Head {
    pub(super) fn new(position: Position) -> (Self, watch::Receiver<Position>) {
        let (sender, receiver) = watch::channel(position);
        (Self(Arc::new(sender)), receiver)
    }

    pub(super) fn known(&self) -> Position {
        *self.0.borrow()
    }

    /// Somebody has seen that the log reaches this far.
    pub(super) fn raise(&self, position: Position) {
        self.0.send_if_modified(|known| {
            let further = position > *known;
            *known = position.max(*known);
            further
        });
    }

    /// The log was asked, and ends there. `known` is what was known before it was asked: if it
    /// ends before that, then events that were there are gone, and whoever has seen them must be
    /// woken to hear of it.
    pub(super) fn looked_up(&self, known: Position, position: Position) {
        if position >= known {
            return self.raise(position);
        }
        tracing::error!(
            %known,
            %position,
            "the log ends before events that were there: it was restored, or a standby took over \
             that had not received them"
        );
        self.0.send_replace(position);
    }
}
