//! Notices what comes into the folders from outside the gateway.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::gateway::Gateway;

pub(crate) async fn run(gateway: Arc<Gateway>, shutdown: CancellationToken) {
    let mut rescan = tokio::time::interval(gateway.limits.rescan_every);
    let mut sweep = tokio::time::interval(gateway.limits.sweep_every);
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return,
            _ = rescan.tick() => if let Err(error) = gateway.rescan().await {
                tracing::warn!(%error, "rescan failed");
            },
            _ = sweep.tick() => gateway.sweep().await,
        }
    }
}
