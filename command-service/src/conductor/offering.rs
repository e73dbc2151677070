//! What this worker can run, and what it ought to: the code that it offers goes into the log, and the
//! revisions that the log knows go to who has them made ready (`revisions.rs`).

use std::time::Duration;

use daybook_domain::worker::{Worker, WorkerCommand, stream_of};
use daybook_domain::{CommandId, WorkerId};
use tokio::task::JoinHandle;

use super::Conductor;
use crate::clock;
use crate::commands::{CommandError, Origin};

/// How long to wait before an offer is made again that the log could not take.
const OFFER_PAUSE: Duration = Duration::from_secs(1);

impl Conductor {
    /// Says what this worker can run whenever that changes.
    pub(super) fn keep_offering(&self) -> JoinHandle<()> {
        let ledger = self.config.ledger.clone();
        let worker = self.config.worker;
        let mut offered = self.config.offered.clone();
        tokio::spawn(async move {
            loop {
                let functions = offered.borrow_and_update().clone();
                let offer = WorkerCommand::Offer { worker, functions };
                let stream = stream_of(worker);
                let origin = origin(worker);
                match ledger.execute::<Worker>(&stream, offer, &origin).await {
                    Ok(_) => {
                        if offered.changed().await.is_err() {
                            return std::future::pending().await;
                        }
                    }
                    // It is held for gone, and joins anew with what it can run then.
                    Err(CommandError::Refused(_)) => return,
                    Err(error) => {
                        tracing::warn!(%error, "what this worker can run is not yet recorded");
                        tokio::time::sleep(OFFER_PAUSE).await;
                    }
                }
            }
        })
    }

    /// Hands on what the log says of the functions.
    pub(super) fn tell_functions(&self) {
        let functions = &self.worklist.functions;
        self.config.known.send_if_modified(|known| {
            let changed = known != functions;
            if changed {
                known.clone_from(functions);
            }
            changed
        });
    }
}

fn origin(worker: WorkerId) -> Origin {
    Origin {
        command: CommandId(clock::random_id()),
        correlation: worker.to_string(),
        causation: None,
        actor: format!("worker:{worker}"),
        traceparent: None,
    }
}
