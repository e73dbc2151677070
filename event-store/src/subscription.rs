//! The catch-up subscription: one reader for every adapter.
//!
//! It only pages through [`EventLog::read_all`] and never takes events from anywhere else, so the
//! moment where catching up becomes living does not exist and nothing can fall into it. A watched
//! position wakes it when there is more to read.

use std::cmp::Ordering;
use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use futures::stream::{self, Stream};
use tokio::sync::watch;

use crate::{EventLog, Position, ReadError, RecordedEvent};

/// Reads everything after a position, then waits for more. Never a gap, never a repeat.
pub struct Subscription {
    log: Arc<dyn EventLog>,
    position: Position,
    head: watch::Receiver<Position>,
}

impl Subscription {
    /// For adapters. `head` must come to show the position of every event, and only once the event
    /// can be read; it may show it late. When its sender is gone, the log has stopped.
    pub fn new(
        log: Arc<dyn EventLog>,
        after: Position,
        head: watch::Receiver<Position>,
    ) -> Subscription {
        Subscription {
            log,
            position: after,
            head,
        }
    }

    /// The position of the last event given out, or that of the start.
    pub fn position(&self) -> Position {
        self.position
    }

    /// Waits until there is at least one event, and returns 1 to `limit` of them in order.
    ///
    /// Cancel-safe: an event that was not returned comes with the next call. After an error it may
    /// be called again and goes on where it was.
    pub async fn next_batch(&mut self, limit: usize) -> Result<Vec<RecordedEvent>, ReadError> {
        loop {
            // Seen before the read: what is announced from here on wakes us below.
            let announced = *self.head.borrow_and_update();
            match announced.cmp(&self.position) {
                Ordering::Greater => {
                    let events = self.log.read_all(self.position, limit.max(1)).await?;
                    if let Some(last) = events.last() {
                        self.position = last.position;
                        return Ok(events);
                    }
                }
                // Announced late, or never to be: only the log itself knows.
                Ordering::Less => self.refuse_to_be_ahead().await?,
                Ordering::Equal => {}
            }
            self.head.changed().await.map_err(|_| stopped())?;
        }
    }

    async fn refuse_to_be_ahead(&self) -> Result<(), ReadError> {
        let (position, head) = (self.position, self.log.head().await?);
        if head < position {
            return Err(ReadError::Ahead { position, head });
        }
        Ok(())
    }

    /// The same as a stream of single events, read in pages of at most `page` events. It ends
    /// after an error; to go on, subscribe again after the last event received.
    pub fn into_stream(
        self,
        page: usize,
    ) -> impl Stream<Item = Result<RecordedEvent, ReadError>> + Send {
        stream::unfold(Some((self, VecDeque::new())), move |state| async move {
            let (mut subscription, mut events) = state?;
            if events.is_empty() {
                match subscription.next_batch(page).await {
                    Ok(batch) => events.extend(batch),
                    Err(error) => return Some((Err(error), None)),
                }
            }
            let event: RecordedEvent = events.pop_front()?;
            Some((Ok(event), Some((subscription, events))))
        })
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription")
            .field("position", &self.position)
            .finish_non_exhaustive()
    }
}

fn stopped() -> ReadError {
    ReadError::Unavailable("the log has stopped, there will be no more events".into())
}
