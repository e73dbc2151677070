//! The worklist on disk: a file that may be deleted at any time, and costs a fold from the start.

use std::path::Path;
use std::sync::Arc;

use daybook_event_store::{EventLog, Position};
use tokio::fs;

use super::Worklist;

/// Changes with the shape of the worklist: a file of another shape is not read.
const FORMAT: u32 = 7;

impl Worklist {
    /// The checkpoint, if there is one that can be read and that belongs to this log.
    pub(crate) async fn restore(path: &Path, log: &Arc<dyn EventLog>) -> Option<Self> {
        let bytes = fs::read(path).await.ok()?;
        let (format, mut worklist): (u32, Worklist) = match serde_json::from_slice(&bytes) {
            Ok(read) => read,
            Err(error) => {
                tracing::info!(%error, "the worklist's checkpoint has another shape; folding anew");
                return None;
            }
        };
        if format != FORMAT || !worklist.is_of(log).await {
            tracing::warn!(
                position = worklist.position.0,
                "the worklist's checkpoint does not belong to this log; folding anew"
            );
            return None;
        }
        let ids: Vec<_> = worklist.tasks.keys().copied().collect();
        for id in ids {
            worklist.recount(None, worklist.waits_for(id));
        }
        Some(worklist)
    }

    /// Whether the event up to which it was folded is where it was: a log that was restored from
    /// an older copy goes on with other events.
    async fn is_of(&self, log: &Arc<dyn EventLog>) -> bool {
        let Some(before) = self.position.0.checked_sub(1) else {
            return true;
        };
        let there = log.read_all(Position(before), 1).await;
        let id = there
            .ok()
            .and_then(|events| events.first().map(|event| event.event_id));
        id.is_some() && id == self.last_event
    }

    /// Writes the checkpoint, the whole file or nothing.
    pub(crate) async fn save(&self, path: &Path) -> std::io::Result<()> {
        let bytes = serde_json::to_vec(&(FORMAT, self))?;
        let beside = path.with_extension("tmp");
        fs::write(&beside, bytes).await?;
        fs::rename(&beside, path).await
    }
}
