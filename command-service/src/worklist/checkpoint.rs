//! The worklist on disk: a file that may be deleted at any time, and costs a fold from the start.

use std::path::Path;

use daybook_event_store::Position;
use tokio::fs;

use super::Worklist;

/// Changes with the shape of the worklist: a file of another shape is not read.
const FORMAT: u32 = 1;

impl Worklist {
    /// The checkpoint, if there is one that can be read and is not ahead of the log.
    pub(crate) async fn restore(path: &Path, head: Position) -> Option<Self> {
        let bytes = fs::read(path).await.ok()?;
        let (format, worklist): (u32, Worklist) = match serde_json::from_slice(&bytes) {
            Ok(read) => read,
            Err(error) => {
                tracing::info!(%error, "the worklist's checkpoint is of another version; folding anew");
                return None;
            }
        };
        if format != FORMAT || worklist.position > head {
            tracing::warn!(
                position = worklist.position.0,
                head = head.0,
                "the worklist's checkpoint does not belong to this log; folding anew"
            );
            return None;
        }
        Some(worklist)
    }

    /// Writes the checkpoint, the whole file or nothing.
    pub(crate) async fn save(&self, path: &Path) -> std::io::Result<()> {
        let bytes = serde_json::to_vec(&(FORMAT, self))?;
        let beside = path.with_extension("tmp");
        fs::write(&beside, bytes).await?;
        fs::rename(&beside, path).await
    }
}
