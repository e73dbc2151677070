//! Pulling notifications from Amazon SQS, or what speaks its protocol.
//!
//! ```text
//!  store ─> (SNS, EventBridge ─>) queue ─ ReceiveMessage ─> Consumer ─> Intake ─> event log
//!                                   ^                          │
//!                                   └── delete, hide ──────────┘
//! ```
//! Each configured queue has consumers of its own, which end when the service does. What they know is
//! told by [`Pullers::statuses`] and in `/metrics`. See `docs/sqs.md` for what an operator should know.

mod backoff;
mod client;
mod consumer;
mod door;
mod state;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use daybook_functions::outbound::AwsAccess;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use self::client::SqsClient;
use self::consumer::Consumer;
use self::door::Door;
use self::state::QueueState;
use super::{Intake, SourceName};

pub use self::client::region_of;
pub use self::state::QueueStatus;

/// How often a queue is asked how much waits in it.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// How soon it is asked again where it did not answer.
const LOOK_AGAIN: Duration = Duration::from_secs(5);

/// A queue that is pulled from.
#[derive(Clone)]
pub struct SqsQueue {
    /// Its name in the config.
    pub name: String,
    /// Its URL.
    pub url: String,
    /// Where it is asked, if not where its URL points.
    pub endpoint: Option<String>,
    /// As whom, and in which region.
    pub access: AwsAccess,
    /// How many batches are worked on at the same time.
    pub consumers: usize,
    /// How many messages are received at once, 1 to 10.
    pub batch: u32,
    /// How long the service waits for messages before it says that there are none, at most 20 s.
    pub wait: Duration,
    /// How long a message that was received is hidden from others. It is extended while it is worked
    /// on, so that this is how soon another takes it over if this process dies.
    pub visibility: Duration,
    /// How often a message that cannot be read comes before it is deleted, in queues without a redrive
    /// policy.
    pub max_receives: u32,
    /// The source of the config whose rules its messages have to meet.
    pub source: Option<SourceName>,
}

impl fmt::Debug for SqsQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqsQueue")
            .field("name", &self.name)
            .field("url", &self.url)
            .field("access", &self.access)
            .finish_non_exhaustive()
    }
}

/// What one process pulls from.
#[derive(Clone)]
pub(crate) struct Queues(Arc<[Arc<QueueState>]>);

impl Queues {
    /// How each queue is.
    pub(crate) fn statuses(&self) -> Vec<QueueStatus> {
        self.0.iter().map(|state| state.status()).collect()
    }
}

/// The consumers of all queues, before and after they began.
pub(crate) struct Pullers {
    parts: Vec<(Arc<SqsQueue>, Arc<SqsClient>, Arc<QueueState>)>,
    queues: Queues,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl Pullers {
    /// Checks what can be checked without asking the queues.
    pub(crate) fn new(queues: Vec<SqsQueue>) -> Result<Self, String> {
        let parts = queues.into_iter().map(|queue| {
            let client =
                SqsClient::new(&queue.url, queue.endpoint.as_deref(), queue.access.clone());
            let client = client.map_err(|why| format!("queue {}: {why}", queue.name))?;
            let state = QueueState::new(&queue.name, &queue.url);
            Ok((Arc::new(queue), Arc::new(client), Arc::new(state)))
        });
        let parts = parts.collect::<Result<Vec<_>, String>>()?;
        let queues = Queues(parts.iter().map(|(_, _, state)| state.clone()).collect());
        Ok(Self {
            parts,
            queues,
            stop: CancellationToken::new(),
            tasks: JoinSet::new(),
        })
    }

    /// The queues, for those who ask how they are.
    pub(crate) fn queues(&self) -> Queues {
        self.queues.clone()
    }

    /// Begins to pull.
    pub(crate) fn begin(&mut self, intake: &Intake) {
        for (queue, client, state) in self.parts.drain(..) {
            for _ in 0..queue.consumers {
                let consumer = Consumer {
                    queue: queue.clone(),
                    client: client.clone(),
                    state: state.clone(),
                    door: Door::new(intake.clone(), queue.source.clone()),
                    stop: self.stop.clone(),
                };
                self.tasks.spawn(consumer.run());
            }
            self.tasks.spawn(look(client, state, self.stop.clone()));
        }
    }

    /// Receives nothing more, and waits until what was received is recorded and deleted. What takes
    /// longer than `grace` is left: it will come again.
    pub(crate) async fn stop(mut self, grace: Duration) {
        self.stop.cancel();
        let ended = tokio::time::timeout(grace, async {
            while self.tasks.join_next().await.is_some() {}
        });
        if ended.await.is_err() {
            tracing::warn!("messages of queues are left in the middle; they will come again");
        }
    }
}

/// Asks a queue from time to time how it is.
async fn look(client: Arc<SqsClient>, state: Arc<QueueState>, stop: CancellationToken) {
    let mut told = false;
    let look = async {
        loop {
            let pause = match client.attributes().await {
                Ok(attributes) => {
                    state.is(attributes);
                    LOOK_EVERY
                }
                // What is wrong with the queue, its consumers tell; that one may read it and not ask
                // after it, is told here.
                Err(error) => {
                    if !std::mem::replace(&mut told, true) {
                        tracing::warn!(
                            queue = state.status().name, %error,
                            "whether a queue has a redrive policy is not known; unreadable messages are \
                             left in it"
                        );
                    }
                    LOOK_AGAIN
                }
            };
            sleep(pause).await;
        }
    };
    tokio::select! {
        biased;
        () = stop.cancelled() => {}
        () = look => {}
    }
}
