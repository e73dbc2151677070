//! Reading the log beside the conductor, and waiting for its timers.

use std::time::Duration;

use daybook_event_store::{ReadError, RecordedEvent, Subscription};
use tokio::sync::mpsc;

use crate::clock;

/// How many events are folded before what they made due is looked at.
const FOLD_BATCH: usize = 1_000;

/// How long to wait before the log is read again after it could not be read.
pub(super) const READ_PAUSE: Duration = Duration::from_secs(1);

/// Reads ahead of the fold, in a task of its own, so that no page is read twice because something
/// else was due meanwhile. The only error that it hands on is one that trying again cannot mend.
pub(super) async fn read(
    mut subscription: Subscription,
    batches: mpsc::Sender<Result<Vec<RecordedEvent>, ReadError>>,
) {
    loop {
        match subscription.next_batch(FOLD_BATCH).await {
            Ok(batch) => {
                if batches.send(Ok(batch)).await.is_err() {
                    return;
                }
            }
            Err(error @ ReadError::Ahead { .. }) => {
                let _ = batches.send(Err(error)).await;
                return;
            }
            Err(error) => {
                tracing::error!(%error, "the log cannot be read; trying again");
                tokio::time::sleep(READ_PAUSE).await;
            }
        }
    }
}

/// Waits until a time; for ever where there is none.
pub(super) async fn sleep_until(due: Option<jiff::Timestamp>) {
    match due {
        None => std::future::pending().await,
        Some(due) => {
            let wait = due.duration_since(clock::now());
            tokio::time::sleep(Duration::try_from(wait).unwrap_or(Duration::ZERO)).await;
        }
    }
}

/// Waits until a moment; for ever where there is none.
pub(super) async fn sleep_until_instant(due: Option<std::time::Instant>) {
    match due {
        None => std::future::pending().await,
        Some(due) => tokio::time::sleep_until(due.into()).await,
    }
}
