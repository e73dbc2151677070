//! The lives of this process as a worker: it joins, works, and leaves; and where the others took it
//! for gone meanwhile, it begins anew under another id.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use daybook_domain::worker::{Worker, WorkerCommand, WorkerError, stream_of};
use daybook_domain::{CommandId, FunctionName, WorkerId};
use daybook_functions::FunctionHost;
use thiserror::Error;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::clock;
use crate::commands::{CommandError, Ledger, Origin};
use crate::conductor::{Claims, Conductor, ConductorConfig, Ended, Fence, Lease, Stop};
use crate::gateway::Stories;
use crate::worklist::Worklist;

/// How long to wait before joining is tried again.
const JOIN_PAUSE: Duration = Duration::from_secs(1);

/// Why the lives of a worker cannot go on.
#[derive(Debug, Error)]
pub(crate) enum LifeError {
    /// The log cannot be followed.
    #[error(transparent)]
    Stop(#[from] Stop),
    /// The ledger refuses it.
    #[error("this process could not join anew as a worker")]
    Join(#[source] CommandError<WorkerError>),
}

/// What stays the same from one life to the next.
pub(crate) struct Lives {
    pub ledger: Ledger,
    pub host: Arc<FunctionHost>,
    pub claims: Arc<Claims>,
    pub fence: Fence,
    /// How long its word counts; `None` where it is alone.
    pub lease: Option<Duration>,
    pub region: String,
    pub stories: Stories,
    pub checkpoint: PathBuf,
    pub host_name: String,
    pub version: String,
    /// The functions that run here, each with the SHA-256 of its package.
    pub functions: BTreeMap<FunctionName, String>,
    /// The life that was begun by joining.
    pub current: Option<(WorkerId, Lease)>,
}

impl Lives {
    /// Begins a life.
    pub(crate) async fn join(&mut self) -> Result<WorkerId, CommandError<WorkerError>> {
        let worker = WorkerId(clock::random_id());
        let join = WorkerCommand::Join {
            worker,
            host: self.host_name.clone(),
            version: self.version.clone(),
            lease_ms: self
                .lease
                .map(|lease| u64::try_from(lease.as_millis()).unwrap_or(u64::MAX)),
            functions: self.functions.clone(),
        };
        // The others count from when they see it, which is later.
        let sent = Instant::now();
        self.command(worker, worker, join).await?;
        tracing::info!(%worker, "joined as a worker");
        let lease = Lease::begin(self.lease, sent, self.fence.clone());
        self.current = Some((worker, lease));
        Ok(worker)
    }

    /// Where the log has one process at a time, whoever had joined and not left is gone.
    pub(crate) async fn declare_gone(
        &self,
        worklist: &Worklist,
        successor: WorkerId,
    ) -> Result<(), CommandError<WorkerError>> {
        for gone in worklist.workers.keys() {
            let why = "its process ended without a word".to_owned();
            let leave = WorkerCommand::Leave { worker: *gone, why };
            self.command(*gone, successor, leave).await?;
        }
        Ok(())
    }

    /// Works life after life until the shutdown, and leaves.
    pub(crate) async fn run(
        mut self,
        mut worklist: Worklist,
        shutdown: CancellationToken,
    ) -> Result<(), LifeError> {
        loop {
            let (worker, lease) = match self.current.take() {
                Some(life) => life,
                None => {
                    self.rejoin(&shutdown).await?;
                    continue;
                }
            };
            let conductor = Conductor::new(ConductorConfig {
                ledger: self.ledger.clone(),
                host: self.host.clone(),
                worker,
                lease,
                claims: self.claims.clone(),
                region: self.region.clone(),
                stories: self.stories.clone(),
                checkpoint: self.checkpoint.clone(),
                worklist,
            });
            match conductor.run(shutdown.clone()).await? {
                Ended::ByLapse(left) => worklist = *left,
                Ended::ByShutdown => {
                    self.leave(worker).await;
                    return Ok(());
                }
            }
        }
    }

    async fn rejoin(&mut self, shutdown: &CancellationToken) -> Result<(), LifeError> {
        loop {
            match self.join().await {
                Ok(_) => return Ok(()),
                Err(error @ (CommandError::Unavailable(_) | CommandError::Contended(_)))
                    if !shutdown.is_cancelled() =>
                {
                    tracing::warn!(%error, "could not join anew; trying again");
                    tokio::time::sleep(JOIN_PAUSE).await;
                }
                Err(error) => return Err(LifeError::Join(error)),
            }
        }
    }

    async fn leave(&self, worker: WorkerId) {
        let why = "stopped".to_owned();
        let leave = WorkerCommand::Leave { worker, why };
        if let Err(error) = self.command(worker, worker, leave).await {
            tracing::warn!(%error, "leaving could not be recorded");
        }
    }

    async fn command(
        &self,
        worker: WorkerId,
        actor: WorkerId,
        command: WorkerCommand,
    ) -> Result<(), CommandError<WorkerError>> {
        let purpose: &[u8] = match command {
            WorkerCommand::Join { .. } => b"join",
            _ => b"leave",
        };
        let origin = Origin {
            command: CommandId(Uuid::new_v5(&worker.0, purpose)),
            correlation: worker.to_string(),
            causation: None,
            actor: format!("worker:{actor}"),
        };
        self.ledger
            .execute::<Worker>(&stream_of(worker), command, &origin)
            .await
            .map(|_| ())
    }
}
