//! One consumer of a queue: it waits for messages, has them taken in, and deletes those whose records
//! are on disk.
//!
//! ```text
//!  receive ─> Door::take ─┬─ settled ────> delete
//!    ^                    ├─ unreadable ─> hide for a while; the queue's redrive policy gets it
//!    │                    └─ owed ───────> keep hidden, take again when the ledger can
//!    └── pause, where something fails ──┘
//! ```
//! A message is received at least once more than it has to be where this process ends between the
//! append and the delete; then its records are known, and get their verdict. A ledger that is away
//! costs no receives: messages are kept hidden until it is back, or they would all go to the
//! dead-letter queue in an outage of minutes.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::SqsQueue;
use super::backoff::{Backoff, hidden_secs};
use super::client::{Message, NotDone, SqsClient, SqsError};
use super::door::{Door, Fate};
use super::state::QueueState;

/// How often a deletion is tried before the messages are left to come again.
const DELETE_ATTEMPTS: u32 = 5;

/// An empty answer that comes sooner than this was not waited for, and is not asked for again sooner.
const SHORTEST_POLL: Duration = Duration::from_secs(1);

/// One consumer of a queue.
pub(super) struct Consumer {
    pub(super) queue: Arc<SqsQueue>,
    pub(super) client: Arc<SqsClient>,
    pub(super) state: Arc<QueueState>,
    pub(super) door: Door,
    pub(super) stop: CancellationToken,
}

impl Consumer {
    /// Consumes until it is told to stop; what it has then, it finishes.
    pub(super) async fn run(self) {
        let mut backoff = Backoff::default();
        let mut most = self.queue.batch;
        loop {
            let begun = Instant::now();
            let received = tokio::select! {
                biased;
                () = self.stop.cancelled() => return,
                received = self.client.receive(most, self.queue.wait, self.queue.visibility) => received,
            };
            let pause = match received {
                Ok(messages) if messages.is_empty() => {
                    (backoff, most) = (Backoff::default(), self.queue.batch);
                    self.state.well();
                    SHORTEST_POLL.saturating_sub(begun.elapsed())
                }
                Ok(messages) => {
                    (backoff, most) = (Backoff::default(), self.queue.batch);
                    self.state.well();
                    Box::pin(self.work(messages)).await;
                    Duration::ZERO
                }
                Err(error) => {
                    if matches!(error, SqsError::TooLarge) {
                        most = 1;
                    }
                    self.state.failed("receiving", &error);
                    backoff.pause()
                }
            };
            if self.stopped_within(pause).await {
                return;
            }
        }
    }

    /// Takes messages in, whatever time that takes.
    async fn work(&self, messages: Vec<Message>) {
        self.state.received(messages.len());
        let mut owed = messages;
        let mut backoff = Backoff::default();
        let mut due = Instant::now() + self.queue.visibility / 2;
        loop {
            let fates = tokio::select! {
                biased;
                fates = self.door.take(&owed) => fates,
                never = self.keep_hidden(&owed, &mut due) => match never {},
            };
            let mut why = None;
            let (mut settled, mut unreadable) = (Vec::new(), Vec::new());
            let mut still = Vec::new();
            for (message, fate) in owed.into_iter().zip(fates) {
                match fate {
                    Fate::Settled => settled.push(message),
                    Fate::Unreadable { kept } => unreadable.push((message, kept)),
                    Fate::Owed(reason) => {
                        why = Some(reason);
                        still.push(message);
                    }
                }
            }
            owed = still;
            self.delete(&settled).await;
            self.give_back(&unreadable).await;
            let Some(why) = why else {
                return;
            };
            self.state.problem(&format!("recording: {why}"));
            let pause = tokio::select! {
                biased;
                stopped = self.stopped_within(backoff.pause()) => stopped,
                never = self.keep_hidden(&owed, &mut due) => match never {},
            };
            if pause {
                // Somebody else may have them at once.
                let receipts: Vec<_> = owed.iter().map(|it| (it.receipt.as_str(), 0)).collect();
                self.hide(&receipts).await;
                return;
            }
        }
    }

    /// Hides the messages anew each time that half of their time is over.
    async fn keep_hidden(&self, messages: &[Message], due: &mut Instant) -> Infallible {
        let visibility = self.queue.visibility;
        loop {
            sleep_until(*due).await;
            let receipts = messages.iter().map(|it| it.receipt.as_str());
            let receipts: Vec<_> = receipts.map(|it| (it, visibility.as_secs())).collect();
            let pause = match self.hide(&receipts).await {
                true => visibility / 2,
                false => visibility / 10,
            };
            *due = Instant::now() + pause;
        }
    }

    /// Deletes what is settled. What cannot be deleted comes again, and is known then.
    async fn delete(&self, messages: &[Message]) {
        let mut left: Vec<&str> = messages.iter().map(|it| it.receipt.as_str()).collect();
        let mut backoff = Backoff::default();
        for attempt in 0..DELETE_ATTEMPTS {
            if left.is_empty() {
                return;
            }
            if attempt > 0 {
                sleep(backoff.pause()).await;
            }
            match self.client.delete(&left).await {
                Ok(not_done) => {
                    self.state.deleted(left.len() - not_done.len());
                    left = again("delete", &left, &not_done);
                }
                Err(error) => self.state.failed("deleting", &error),
            }
        }
        if !left.is_empty() {
            tracing::warn!(
                queue = self.queue.name,
                messages = left.len(),
                "messages that are on record could not be deleted; they will come again"
            );
        }
    }

    /// Leaves what nobody can read to the queue's redrive policy. Without one it would come for ever:
    /// it is deleted when it has come often enough, once it is kept.
    async fn give_back(&self, messages: &[(Message, bool)]) {
        if messages.is_empty() {
            return;
        }
        self.state.unreadable(messages.len());
        let no_redrive = self.state.redrive() == Some(false);
        let (mut over, mut back) = (Vec::new(), Vec::new());
        for (message, kept) in messages {
            match no_redrive && *kept && message.receives >= self.queue.max_receives {
                true => over.push(message.receipt.as_str()),
                false => {
                    let secs = hidden_secs(message.receives, self.queue.visibility);
                    back.push((message.receipt.as_str(), secs));
                }
            }
        }
        if !back.is_empty() {
            self.hide(&back).await;
        }
        if over.is_empty() {
            return;
        }
        match self.client.delete(&over).await {
            Ok(not_done) => {
                let messages = over.len() - not_done.len();
                tracing::warn!(
                    queue = self.queue.name,
                    messages,
                    "messages that cannot be read came too often, and were deleted; they are kept, see \
                     `daybook intake rejected`"
                );
            }
            Err(error) => self.state.failed("deleting", &error),
        }
    }

    /// Whether that was done. A message whose time is over already is somebody else's.
    async fn hide(&self, receipts: &[(&str, u64)]) -> bool {
        match self.client.hide(receipts).await {
            Ok(not_done) => {
                for it in &not_done {
                    tracing::debug!(
                        queue = self.queue.name,
                        code = it.code,
                        "a message is not hidden"
                    );
                }
                true
            }
            Err(error) => {
                self.state.failed("hiding", &error);
                false
            }
        }
    }

    async fn stopped_within(&self, pause: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => true,
            () = sleep(pause) => false,
        }
    }
}

/// The entries of a batch that are worth another try.
fn again<'a>(doing: &'static str, tried: &[&'a str], not_done: &[NotDone]) -> Vec<&'a str> {
    let mut left = Vec::new();
    for it in not_done {
        match tried.get(it.index) {
            Some(receipt) if !it.for_good => left.push(*receipt),
            _ => tracing::warn!(
                doing,
                code = it.code,
                "a message is no longer this consumer's"
            ),
        }
    }
    left
}
