//! For how long the big logs of attempts are kept. Those lie in the blob store; when they are older
//! than `log_retain`, they are removed there, and a note stands in their place. What is recorded of
//! the attempt stays, small logs included: events never change.
//!
//! ```text
//!  log, from where the last look ended ─ outcomes older than that ─> BlobStore::remove
//! ```
//! Where the last look ended is a file that may be deleted: then all outcomes are looked at again.

use std::path::{Path, PathBuf};
use std::time::Duration;

use daybook_event_store::blobs::{BlobError, BlobRef};
use daybook_event_store::{Position, ReadError, RecordedEvent};
use serde::Deserialize;
use thiserror::Error;
use tokio::fs;
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::commands::Ledger;

/// How often it is looked.
const EVERY: Duration = Duration::from_secs(600);

/// How many events are read at once.
const PAGE: usize = 1_000;

/// Why a look ended early. The next one goes on from there.
#[derive(Debug, Error)]
enum SweepError {
    #[error(transparent)]
    Log(#[from] ReadError),
    #[error(transparent)]
    Blobs(#[from] BlobError),
    #[error("the place that was reached cannot be kept")]
    Place(#[from] std::io::Error),
}

/// Removes big logs whose time is over.
pub(crate) struct LogRetention {
    ledger: Ledger,
    place: PathBuf,
    retain: Duration,
}

impl LogRetention {
    /// `place` is the file that says how far it came.
    pub(crate) fn new(ledger: Ledger, place: PathBuf, retain: Duration) -> Self {
        Self {
            ledger,
            place,
            retain,
        }
    }

    /// Looks again and again until the end.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        loop {
            match self.sweep().await {
                Ok(0) => {}
                Ok(removed) => {
                    tracing::info!(removed, "logs of attempts were removed: their time is over")
                }
                Err(error) => tracing::warn!(%error, "old logs of attempts could not be removed"),
            }
            tokio::select! {
                () = tokio::time::sleep(EVERY) => {}
                () = shutdown.cancelled() => return,
            }
        }
    }

    /// Removes what is due now; how many.
    async fn sweep(&self) -> Result<u64, SweepError> {
        let Ok(until) = clock::now().checked_sub(self.retain) else {
            return Ok(0);
        };
        let mut reached = reached(&self.place).await;
        // A log that was restored from an older copy is shorter than what was reached.
        if reached > self.ledger.log().head().await? {
            reached = Position::START;
        }
        let mut removed = 0;
        loop {
            let page = self.ledger.log().read_all(reached, PAGE).await?;
            let due = page.iter().take_while(|event| event.recorded_at < until);
            let mut looked_at = 0;
            for event in due {
                if let Some(blob) = passing_log(event) {
                    self.ledger.blobs().remove(&blob).await?;
                    removed += 1;
                }
                reached = event.position;
                looked_at += 1;
            }
            if looked_at > 0 {
                keep(&self.place, reached).await?;
            }
            if looked_at < PAGE {
                return Ok(removed);
            }
        }
    }
}

/// The log of an outcome, where it lies in the blob store for a time.
fn passing_log(event: &RecordedEvent) -> Option<BlobRef> {
    #[derive(Deserialize)]
    struct Outcome {
        logs: Reference,
    }
    #[derive(Deserialize)]
    struct Reference {
        #[serde(rename = "$blob")]
        blob: BlobRef,
    }
    let outcome: Outcome = serde_json::from_slice(&event.data).ok()?;
    Some(outcome.logs.blob).filter(|blob| blob.passing)
}

async fn reached(place: &Path) -> Position {
    let text = fs::read_to_string(place).await.unwrap_or_default();
    text.trim().parse().map_or(Position::START, Position)
}

async fn keep(place: &Path, reached: Position) -> std::io::Result<()> {
    let beside = place.with_extension("tmp");
    fs::write(&beside, format!("{}\n", reached.0)).await?;
    fs::rename(&beside, place).await
}

#[cfg(test)]
mod tests;
