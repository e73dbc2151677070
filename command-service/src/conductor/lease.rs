//! This worker's word that it is here: renewed while it has work, and what it may do meanwhile.
//!
//! ```text
//!  keep ── Renew ─> log            the other workers fold LeaseRenewed and wait for the next
//!    └─> until ─> hold (claims), term (running attempts), fence (writes through the gateway)
//! ```
//!
//! Invariant: this worker stops before anybody else may hold it for gone. Both measure the same
//! length on monotonic clocks of their own; this one counts from before the renewal was sent, the
//! others from when they saw it, and this one takes a margin off for killing what runs.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use daybook_domain::worker::{Worker, WorkerCommand, WorkerError, stream_of};
use daybook_domain::{CommandId, WorkerId};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::commands::{CommandError, Ledger, Origin};

/// The lease is renewed when this part of it has passed.
const RENEW_AFTER: u32 = 3;

/// This part of the lease is left for killing what runs before others may take over.
const MARGIN: u32 = 5;

/// How long to wait before a renewal is tried again.
const RETRY_PAUSE: Duration = Duration::from_millis(500);

/// Tells the gateway until when the keys of functions count.
pub(crate) type Fence = Arc<dyn Fn(std::time::Instant) + Send + Sync>;

/// The lease of one life of a worker. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Lease {
    /// `None` for a worker that is alone on its log, whose word always counts.
    length: Option<Duration>,
    state: Arc<watch::Sender<State>>,
    wanted: Arc<watch::Sender<bool>>,
    fence: Fence,
}

struct State {
    /// When the last renewal was sent.
    sent: Instant,
    /// Cancelled when the lease lapses; after that a renewal begins another term.
    term: CancellationToken,
    /// Whether the others hold this worker for gone, so that there will be no other term.
    lost: bool,
}

impl Lease {
    /// The lease that begins with joining, whose command was sent at `sent`.
    pub(crate) fn begin(length: Option<Duration>, sent: Instant, fence: Fence) -> Self {
        let term = CancellationToken::new();
        let lease = Self {
            length,
            state: Arc::new(watch::Sender::new(State {
                sent,
                term,
                lost: false,
            })),
            wanted: Arc::new(watch::Sender::new(false)),
            fence,
        };
        if let Some(length) = length {
            (lease.fence)(until(sent, length).into_std());
        }
        lease
    }

    /// Whether there is work for which the lease has to be renewed.
    pub(super) fn want(&self, wanted: bool) {
        self.wanted.send_if_modified(|now| {
            let changed = *now != wanted;
            *now = wanted;
            changed
        });
    }

    /// Waits until the lease counts for a while, and returns the token that is cancelled when it
    /// lapses. `None` where it could not be renewed.
    pub(super) async fn hold(&self) -> Option<CancellationToken> {
        let Some(length) = self.length else {
            return Some(self.state.borrow().term.clone());
        };
        let mut state = self.state.subscribe();
        let counts = |state: &State| {
            let left = until(state.sent, length).saturating_duration_since(Instant::now());
            !state.term.is_cancelled() && left > length / MARGIN
        };
        let held = state.wait_for(|state| state.lost || counts(state));
        let held = tokio::time::timeout(length, held).await.ok()?.ok()?;
        (!held.lost).then(|| held.term.clone())
    }

    /// Renews the lease while it is wanted, and ends the term when that comes too late. Returns
    /// when others hold this worker for gone: then it has to join anew under another id.
    pub(super) async fn keep(&self, ledger: &Ledger, worker: WorkerId) {
        let Some(length) = self.length else {
            return std::future::pending().await;
        };
        tokio::select! {
            () = self.renew(ledger, worker, length) => {}
            () = self.watch(length) => {}
        }
        self.state.send_modify(|state| state.lost = true);
        self.lapse();
    }

    async fn renew(&self, ledger: &Ledger, worker: WorkerId, length: Duration) {
        let mut wanted = self.wanted.subscribe();
        for renewal in 1.. {
            let due = self.state.borrow().sent + length / RENEW_AFTER;
            tokio::time::sleep_until(due).await;
            if wanted.wait_for(|wanted| *wanted).await.is_err() {
                return;
            }
            // Taken once for all tries: the others may have seen the first.
            let sent = Instant::now();
            while let Err(error) = send(ledger, worker, renewal).await {
                if let CommandError::Refused(error) = error {
                    tracing::warn!(%worker, %error, "others took this worker for gone");
                    return;
                }
                tracing::warn!(%worker, %error, "the lease could not be renewed; trying again");
                tokio::time::sleep(RETRY_PAUSE).await;
            }
            self.extend(sent, length);
        }
    }

    /// Whether what ran in this term may still have its say: it did not outlast the lease.
    pub(super) fn covers(&self, term: &CancellationToken) -> bool {
        let lasts = |length| until(self.state.borrow().sent, length) > Instant::now();
        !term.is_cancelled() && self.length.is_none_or(lasts)
    }

    fn extend(&self, sent: Instant, length: Duration) {
        self.state.send_modify(|state| {
            // The gateway saw the end of the term by the clock, whoever is told first here.
            if until(state.sent, length) <= Instant::now() {
                state.term.cancel();
            }
            state.sent = sent;
            if state.term.is_cancelled() {
                state.term = CancellationToken::new();
            }
        });
        (self.fence)(until(sent, length).into_std());
    }

    /// Ends the term when the lease lapses. It is not for renewing late: what ran has to end.
    async fn watch(&self, length: Duration) {
        let mut state = self.state.subscribe();
        loop {
            let end = until(state.borrow_and_update().sent, length);
            if end <= Instant::now() {
                self.lapse();
                if state.changed().await.is_err() {
                    return;
                }
            } else {
                tokio::time::sleep_until(end).await;
            }
        }
    }

    fn lapse(&self) {
        self.state.borrow().term.cancel();
    }
}

/// Until when this worker's word counts for itself.
fn until(sent: Instant, length: Duration) -> Instant {
    sent + (length - length / MARGIN)
}

async fn send(
    ledger: &Ledger,
    worker: WorkerId,
    renewal: u64,
) -> Result<(), CommandError<WorkerError>> {
    let name = format!("renew:{renewal}");
    let origin = Origin {
        command: CommandId(Uuid::new_v5(&worker.0, name.as_bytes())),
        correlation: worker.to_string(),
        causation: None,
        actor: format!("worker:{worker}"),
        traceparent: None,
    };
    let renew = WorkerCommand::Renew { worker, renewal };
    ledger
        .execute::<Worker>(&stream_of(worker), renew, &origin)
        .await
        .map(|_| ())
}
